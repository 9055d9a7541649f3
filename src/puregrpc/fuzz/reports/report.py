"""What a run has found, as text, JSON, JUnit and a page."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from html import escape
from typing import Any
from xml.etree import ElementTree

from google.protobuf import text_format

from puregrpc.codec import Codec
from puregrpc.errors import DecodeError, Error, SchemaError
from puregrpc.fuzz.cases.case import Case, Step, case_to_json
from puregrpc.fuzz.checks.words import CHECKS
from puregrpc.fuzz.engine.findings import Finding, Report
from puregrpc.schema import Registry
from puregrpc.trace import Recording, explain
from puregrpc.trace.showing.ladder import Detail, Ladder, plain
from puregrpc.trace.text import escaped, printable

__all__ = ["Describer", "html_report", "json_report", "junit_report", "text_report"]

MOST_TEXT = 1200
MOST_STEPS = 12
ORDER = {"critical": 0, "high": 1, "medium": 2, "low": 3}


class Describer:
    """Says what a case sends, in words that people use: .proto text, steps, a command of grpcurl."""

    def __init__(self, registry: Registry, *, target: str, is_plaintext: bool) -> None:
        self._registry = registry
        self._codec = Codec(registry)
        self._target = target
        self._is_plaintext = is_plaintext

    def is_message(self, case: Case) -> bool:
        """Whether it is one message, a request or an answer, and nothing else of note."""
        return case.level in ("schema", "client") and len(case.messages) == 1

    def message(self, case: Case) -> str:
        """Its message as .proto text; octets where it is none of the type."""
        octets = case.messages[0]
        try:
            method = self._registry.method(case.method)
            descriptor = method.output_type if case.level == "client" else method.input_type
            parsed = self._codec.to_message(descriptor, octets)
        except (Error, LookupError):
            return f"# not a message of its type\n{printable(octets, 200)}"
        text = text_format.MessageToString(parsed)
        return (text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…\n") or "# empty\n"

    def steps(self, case: Case) -> Iterator[str]:
        """What is done, one line a step."""
        for number, step in enumerate(case.steps):
            if number >= MOST_STEPS:
                yield f"… and {len(case.steps) - number} steps more"
                return
            yield _step(step)

    def grpcurl(self, case: Case) -> str:
        """The command that makes the call; empty where grpcurl cannot express it."""
        if case.level != "schema" or len(case.messages) != 1 or case.expects == "any":
            return ""
        try:
            descriptor = self._registry.method(case.method).input_type
            text = self._codec.to_json(descriptor, case.messages[0])
            if len(text) > MOST_TEXT * 4 or "�" in text:
                return ""
            self._codec.from_json(descriptor, text)
        except (DecodeError, SchemaError, ValueError):
            return ""
        words = ["grpcurl", *(["-plaintext"] if self._is_plaintext else [])]
        known = {b"te", b"content-type", b"grpc-timeout", b"grpc-encoding"}
        for name, value in case.steps[0].fields:
            if not name.startswith(b":") and name not in known:
                words += ["-H", f"{name.decode('latin-1')}: {value.decode('latin-1')}"]
        words += ["-d", text, self._target, case.method.removeprefix("/")]
        return shlex.join(words)

    def trace(self, finding: Finding) -> str:
        """The recorded conversation as `puregrpc trace` tells it; empty without one."""
        recording = finding.evidence.get("recording")
        if not isinstance(recording, Recording):
            return ""
        lines = Ladder(Detail.CONTENT).lines(explain(recording, registry=self._registry))
        shown = plain(lines).splitlines()
        return "\n".join(shown[:60] + ([f"… {len(shown) - 60} lines more"] if len(shown) > 60 else []))


def _step(step: Step) -> str:
    if step.kind == "open":
        odd = [
            f"{printable(name)}: {printable(value, 60)}"
            for name, value in step.fields
            if name not in (b":method", b":scheme", b"te", b"content-type")
        ]
        return f"HEADERS {', '.join(odd)}{' END_STREAM' if step.end else ''}"
    if step.kind in ("message", "data"):
        what = "message" if step.kind == "message" else "DATA"
        return f"{what} of {len(step.octets)} octets {step.octets[:24].hex(' ')}{' END_STREAM' if step.end else ''}"
    if step.kind == "reset":
        return f"RST_STREAM {step.code} on the call {step.stream}"
    if step.kind == "wait":
        return f"wait for its {step.until}"
    if step.kind == "pause":
        return f"wait {step.seconds * 1000:g} ms"
    if step.kind == "raw":
        return f"{len(step.octets)} octets {step.octets[:32].hex(' ')}"
    if step.kind == "flood":
        return f"the probe {step.until} of the hostile catalogue"
    if step.kind == "volley":
        return f"{step.code} calls as fast as they are taken"
    if step.kind == "burst":
        return f"streams {step.stream} to {step.stream + step.code - 1}: {step.code} calls whole and at once"
    if step.kind == "crowd":
        return f"{step.code} connections, each with {len(step.octets)} octets"
    return {"connect": "a new connection", "close": "the connection is closed"}[step.kind]


def in_order(findings: list[Finding]) -> list[Finding]:
    """The worst first."""
    return sorted(findings, key=lambda each: (ORDER.get(each.severity, 9), each.check, each.method))


def text_report(report: Report, describer: Describer, *, traces: bool = False) -> str:
    """The findings for a terminal."""
    out: list[str] = []
    for finding in in_order(report.findings):
        out.append(f"{finding.severity.upper()} {finding.check} {finding.method or 'the connection'} [{finding.id}]")
        out.append(f"  {escaped(finding.summary)}")
        if finding.shape:
            out.append(f"  fields that matter: {', '.join(finding.shape)}")
        if finding.reference:
            out.append(f"  see {finding.reference}")
        out.append(
            f"  seen again {finding.repeats} times on fresh connections" if finding.repeats else f"  {finding.note}"
        )
        case = finding.case
        if describer.is_message(case):
            text = describer.message(case)
            out += [f"    {escaped(line)}" for line in text.splitlines()[:30]]
        else:
            out += [f"    {escaped(line)}" for line in describer.steps(case)]
        command = describer.grpcurl(case)
        if command:
            out.append(f"  {escaped(command)}")
        if traces:
            out += [f"    {line}" for line in describer.trace(finding).splitlines()]
        out.append("")
    for note in report.notes:
        out.append(f"note: {escaped(note)}")
    methods = sum(1 for each in report.methods.values() if each["cases"])
    accepted = f" ({len(report.accepted)} more are in the baseline)" if report.accepted else ""
    rate = report.cases / report.seconds if report.seconds else 0
    out.append(
        f"{len(report.findings)} findings{accepted} in {report.cases} cases, {methods} methods, {report.seconds:.1f} s "
        f"({rate:.0f} cases/s), seed {report.seed}"
    )
    return "\n".join(out)


def _finding(finding: Finding, describer: Describer) -> dict[str, Any]:
    case = finding.case
    shown: dict[str, Any] = {"about": case.about, "fields": list(finding.shape), "steps": list(describer.steps(case))}
    if describer.is_message(case):
        shown["message"] = describer.message(case)
    command = describer.grpcurl(case)
    if command:
        shown["grpcurl"] = command
    made: dict[str, Any] = {
        "id": finding.id, "check": finding.check, "level": finding.level, "method": finding.method,
        "severity": finding.severity, "summary": finding.summary, "reference": finding.reference, "case": shown,
        "replay": case_to_json(case), "repeats": finding.repeats,
    }  # fmt: skip
    if finding.note:
        made["note"] = finding.note
    return made


def json_report(report: Report, describer: Describer) -> str:
    """The report as JSON; it can be replayed, and be the baseline of other runs."""
    value = {
        "target": report.target, "seed": report.seed, "seconds": round(report.seconds, 3), "cases": report.cases,
        "methods": report.methods, "phases": report.phases, "restarts": report.restarts,
        "findings": [_finding(each, describer) for each in in_order(report.findings)],
        "accepted": [each.id for each in report.accepted], "notes": report.notes,
    }  # fmt: skip
    return json.dumps(value, indent=1, ensure_ascii=True) + "\n"


def junit_report(report: Report, describer: Describer) -> str:
    """JUnit's XML: a test case for each method and check that has findings, and one for each method without."""
    suite = ElementTree.Element(
        "testsuite", name="puregrpc fuzz", time=f"{report.seconds:.3f}", failures=str(len(report.findings)), errors="0"
    )
    count = 0
    for path, method in report.methods.items():
        if not any(each.method == path for each in report.findings) and method["cases"]:
            count += 1
            ElementTree.SubElement(suite, "testcase", classname="fuzz", name=path)
    for finding in in_order(report.findings):
        count += 1
        name = f"{finding.method or 'connection'} {finding.check} {finding.id}"
        case = ElementTree.SubElement(suite, "testcase", classname=f"fuzz.{finding.level}", name=name)
        failure = ElementTree.SubElement(case, "failure", type=finding.check, message=_xml(finding.summary))
        failure.text = _xml("\n".join(describer.steps(finding.case)))
    suite.set("tests", str(count))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """Text without the characters that XML has not."""
    return "".join(c if c in "\t\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:left;border-bottom:1px solid #ddd}
article{border:1px solid #ddd;border-left:.4rem solid #888;margin:1rem 0;padding:.4rem 1rem;border-radius:.2rem}
.critical{border-left-color:#b00020}.high{border-left-color:#d9730d}.medium{border-left-color:#c9a400}
pre{background:#f5f6f8;padding:.6rem;overflow:auto;white-space:pre-wrap}code{overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){body{background:#16181c;color:#e4e6ea}pre{background:#22252b}}
"""


def html_report(report: Report, describer: Describer) -> str:
    """A page that needs nothing beside it."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>puregrpc fuzz: {escape(report.target)}</title><style>{STYLE}</style><h1>{escape(report.target)}</h1>",
        f"<p>{len(report.findings)} findings in {report.cases} cases, {report.seconds:.1f} s, seed {report.seed}.</p>",
    ]
    for finding in in_order(report.findings):
        case = finding.case
        text = describer.message(case) if describer.is_message(case) else "\n".join(describer.steps(case))
        command = describer.grpcurl(case)
        trace = describer.trace(finding)
        parts.append(
            f"<article class={escape(finding.severity)} id={finding.id}><h2>{escape(finding.check)}: "
            f"<code>{escape(finding.method or 'the connection')}</code></h2><p>{escape(finding.summary)}</p>"
            f"<p>{escape(finding.severity)}; {escape(finding.reference)}; {finding.id}</p><pre>{escape(text)}</pre>"
            + (f"<pre>{escape(command)}</pre>" if command else "")
            + (f"<details><summary>on the wire</summary><pre>{escape(trace)}</pre></details>" if trace else "")
            + "</article>"
        )
    parts.append("<table><tr><th>method<th>cases<th>statuses</tr>")
    for path, method in report.methods.items():
        statuses = ", ".join(f"{code}: {count}" for code, count in method["statuses"].items())
        parts.append(f"<tr><td><code>{escape(path)}</code><td>{method['cases']}<td>{escape(statuses)}</tr>")
    parts.append("</table><h2>Checks</h2><p>" + ", ".join(f"{name} ({severity})" for name, severity in CHECKS.items()))
    return "\n".join(parts) + "</p></html>\n"
