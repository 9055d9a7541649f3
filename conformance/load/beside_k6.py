"""Runs each case with k6 and with puregrpc, and compares exit status, summary, its export and the JSON lines.

``python -m conformance.load.beside_k6 K6 [CASE]``. Exit status 1 if something differs.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conformance.load.call_cases import CALL_CASES
from conformance.load.case import MARK, Case
from conformance.load.cases import CASES
from conformance.load.edge_cases import EDGE_CASES
from conformance.load.further_cases import FURTHER_CASES
from conformance.load.odd_cases import ODD_CASES
from conformance.load.phase_cases import PHASE_CASES
from conformance.load.selector_cases import SELECTOR_CASES
from conformance.load.servers import Servers, serving
from conformance.load.strange_cases import STRANGE_CASES
from conformance.load.untried_cases import UNTRIED_CASES

JAVASCRIPT = """
import grpc from 'k6/net/grpc';
import exec from 'k6/execution';
import { check, group, sleep } from 'k6';
const client = new grpc.Client();
client.load([], 'hello.proto', 'grpcbin.proto', 'missing.proto');
%s
const shown = (what) => (typeof what === 'boolean' || what === '' || isNaN(what) ? String(what) : Number(what));
const seen = (...what) => { check(1, { [what.map(shown).join(' ')]: () => true }); };
export const options = %s;
%s
"""
PYTHON = """
from puregrpc import AsyncClient, Client, StatusOK, check, group, sleep
from puregrpc.load import abort, scenario, test, vu
true, false, null = True, False, None
client = %s()
client.load([], "hello.proto", "grpcbin.proto", "missing.proto")
%s
def seen(*what): check(1, {" ".join(map(str, what)): True})
options = %s
%s
"""

OURS = re.compile(r"(grpc_connect_duration|grpc_req_failed|grpc_req_planned_duration|grpc_streams_first_message|"
                  r"grpc_streams_msg_interval|grpc_streams_msg_latency|generator_lag|iteration_errors)\b")  # fmt: skip
"""What k6 does not measure."""

HEADING = re.compile("[A-Z]+")
"""Of a part of the summary."""

ONCE_A_SECOND = re.compile(r"vus(_max)?\b")
NUMBER = re.compile(r"-?\d[\d.]*\s?(?:µs|ns|ms|[mhs]|%|[kMG]?B)?(?:\d+s)?")


def shape(text: str) -> list[str]:
    """The lines of a summary without what differs from run to run."""
    found: list[str] = []
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("time=") or OURS.match(line) or ONCE_A_SECOND.match(line):
            continue
        name, dots, values = re.sub(r"\.{3,}", "...", line).partition("...:")
        if dots:
            line = name + dots + NUMBER.sub("#", values)
        elif line[0] in "✓✗" and "=" in line:  # a threshold: the expression stays, the value goes
            expression, _, value = line.rpartition("'")
            line = expression + NUMBER.sub("#", value)
        if HEADING.fullmatch(line) and found and HEADING.fullmatch(found[-1]):
            found.pop()  # all that stood below it is ours
        found.append(" ".join(line.split()))
    if found and HEADING.fullmatch(found[-1]):
        found.pop()
    return found


def tags_of(path: Path) -> dict[str, list[tuple[str, ...]]]:
    """Metric -> the names of the tags that its points have. Nothing that was sent or received is no point."""
    found: dict[str, set[tuple[str, ...]]] = {}
    if not path.exists():  # k6 makes the file once it begins, and not for options that cannot be
        return {}
    for text in path.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        name = line["metric"]
        if name.startswith("data_") and not line["data"].get("value", 1):
            continue
        if line["type"] == "Point" and not (OURS.match(name) or ONCE_A_SECOND.match(name)):
            found.setdefault(name, set()).add(tuple(sorted(line["data"]["tags"])))
    return {name: sorted(tags) for name, tags in found.items()}


def definitions_of(path: Path) -> dict[str, Any]:
    """Metric -> how the lines of JSON define it: its type, its thresholds and its submetrics."""
    if not path.exists():
        return {}
    lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
    found = {line["metric"]: line["data"] for line in lines if line["type"] == "Metric"}
    for each in found.values():
        each["submetrics"] = sorted(each["submetrics"] or (), key=lambda one: one["name"])  # k6 has them in any order
    return {name: each for name, each in found.items() if not (OURS.match(name) or ONCE_A_SECOND.match(name))}


def leaves(value: Any, where: str = "") -> Iterator[str]:
    """The paths of an export, without its numbers."""
    if isinstance(value, dict):
        for name, each in value.items():
            if not (OURS.match(name) or ONCE_A_SECOND.match(name)):
                yield from leaves(each, f"{where}/{name}")
    else:
        yield where


def ran(command: list[str], folder: Path) -> tuple[int, str, str]:
    """Exit status, standard output and standard error. SIGINT is sent once for each MARK that is printed."""
    environment = {**os.environ, "NO_COLOR": "1", "K6_NO_USAGE_REPORT": "true"}
    paths = folder / "stdout", folder / "stderr"
    with paths[0].open("w") as out, paths[1].open("w") as err:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err)
        until, interrupted = time.monotonic() + 90, 0
        while process.poll() is None:
            if time.monotonic() > until:
                process.kill()
            time.sleep(0.05)
            if sum(path.read_text(errors="replace").count(MARK) for path in paths) > interrupted:
                interrupted += 1
                process.send_signal(signal.SIGINT)
    said = ["\n".join(line for line in path.read_text().splitlines() if MARK not in line) for path in paths]
    return process.returncode, said[0], said[1]


def differences(case: Case, k6: str, servers: Servers) -> list[str]:
    """What is not the same."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        servers.write_files(folder)
        constants = servers.constants.items()
        javascript = "\n".join(f"const {name} = '{value}';" for name, value in constants)
        (folder / "script.js").write_text(JAVASCRIPT % (javascript, case.options, case.javascript))
        kind = "AsyncClient" if "async def" in case.python else "Client"
        python = "\n".join(f"{name} = '{value}'" for name, value in constants)
        (folder / "script.py").write_text(PYTHON % (kind, python, case.options, case.python))
        common = ["--summary-export", "export.json", *case.arguments]
        theirs = ran([k6, "run", "-q", "--no-color", "--out", "json=k6.json", *common, "script.js"], folder)
        export = folder / "export.json"
        their_export = json.loads(export.read_text()) if export.exists() else {}
        export.unlink(missing_ok=True)
        ours = ran(
            [sys.executable, "-m", "puregrpc", "run", "-q", "--out", "json=ours.json", *common, "script.py"], folder
        )
        our_export = json.loads(export.read_text()) if export.exists() else {}
        found = []
        if theirs[0] != ours[0]:
            found.append(f"exit status: k6 {theirs[0]}, puregrpc {ours[0]}: {ours[2].strip()[-300:]}")
        if not case.compares_summary:
            return found
        if shape(theirs[1]) != shape(ours[1]):
            found += ["summary of k6:", *shape(theirs[1]), "summary of puregrpc:", *shape(ours[1])]
        if sorted(leaves(their_export)) != sorted(leaves(our_export)):
            only = set(leaves(their_export)) ^ set(leaves(our_export))
            found.append(f"--summary-export: only one of the two has {sorted(only)}")
        if tags_of(folder / "k6.json") != tags_of(folder / "ours.json"):
            found.append(f"tags: k6 {tags_of(folder / 'k6.json')}, puregrpc {tags_of(folder / 'ours.json')}")
        defined = definitions_of(folder / "k6.json"), definitions_of(folder / "ours.json")
        for name in defined[0].keys() & defined[1].keys():
            if defined[0][name] != defined[1][name]:
                found.append(f"{name}: k6 {defined[0][name]}, puregrpc {defined[1][name]}")
        if case.compares_counts:
            for metric, values in their_export.get("metrics", {}).items():
                for key in ("count", "passes", "fails"):
                    mine = our_export.get("metrics", {}).get(metric, {}).get(key)
                    if key in values and not metric.startswith("data_") and values[key] != mine:
                        found.append(f"{metric} {key}: k6 {values[key]}, puregrpc {mine}")
        return found


def main() -> int:
    """Run the cases that are named, or all."""
    k6, *names = sys.argv[1:]
    failed = 0
    with serving() as servers:
        for case in (
            CASES
            + ODD_CASES
            + PHASE_CASES
            + STRANGE_CASES
            + CALL_CASES
            + SELECTOR_CASES
            + UNTRIED_CASES
            + FURTHER_CASES
            + EDGE_CASES
        ):
            if names and case.name not in names:
                continue
            found = differences(case, k6, servers)
            failed += bool(found)
            print(f"{'differs' if found else 'the same':8}  {case.name}", flush=True)
            for line in found:
                print(f"          {line}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
