"""What a server tells of its inside: stack traces, names of files, a database's words, secrets (CWE-209)."""

from __future__ import annotations

import binascii
import re

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import Case
from puregrpc.fuzz.checks.words import Observation

__all__ = ["leak_in", "stack_trace_in", "unbase64"]

_SOURCE = rb"(?:py|go|rs|java|kt|scala|js|mjs|cjs|ts|rb|php|cs|cc|cpp|c|h)"
LEAKS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("a stack trace", re.compile(rb"Traceback \(most recent call last\)")),
    ("a stack trace", re.compile(rb'File "[^"\n]{1,300}", line \d+')),
    ("a stack trace", re.compile(rb"\bat [\w$.<>/]+\((?:[\w$]+\.(?:java|kt|scala)(?::\d+)?|Native Method)\)")),
    (
        "a stack trace",
        re.compile(rb"\bat (?:[\w$.<>\[\] ]+ )?\(?(?:file://|node:)?[^\s()]+\.(?:js|ts|mjs|cjs):\d+:\d+\)?"),
    ),
    ("a stack trace", re.compile(rb"\bgoroutine \d+ \[")),
    ("a stack trace", re.compile(rb"thread '[^']*'(?: \(\d+\))? panicked at|stack backtrace:|\bpanicked at ")),
    ("a panic", re.compile(rb"\bpanic: |\bruntime error: |\bnil pointer dereference")),
    (
        "a file's content",
        re.compile(rb"\broot:[^:\n]{0,20}:0:0:|-----BEGIN [A-Z ]*PRIVATE KEY-----|\buid=\d+\(\w+\) gid="),
    ),
    ("a source file", re.compile(rb"(?<![\w.])(?:[\w.@+-]*/)+[\w.@+-]+\." + _SOURCE + rb"\b")),
    ("a source file", re.compile(rb"\b[\w-]+\." + _SOURCE + rb":\d+\b")),
    ("a file name", re.compile(rb"(?<![\w/.])/(?:home|usr|var|etc|opt|root|tmp|srv|app|proc|mnt|data)/[\w./@+-]{2,}")),
    ("a file name", re.compile(rb"\b[A-Z]:\\(?:[\w .-]+\\)+[\w .-]+")),
    ("an address in memory", re.compile(rb"\bat 0x[0-9a-fA-F]{6,16}\b|\b0x[0-9a-f]{10,16}\b")),
    (
        "a database's words",
        re.compile(
            rb"(?i)\bSQLSTATE\b|\bORA-\d{5}|syntax error at or near|near \"[^\"]*\": syntax error|constraint failed: "
            rb"|\bsqlite3?\.\w+Error|\bpsycopg2?\b|sqlalchemy|\bSELECT\b.{1,200}\bFROM\b|\bINSERT INTO\b"
        ),
    ),
    (
        "a secret",
        re.compile(
            rb"(?i)\b(?:password|passwd|secret|api[_-]?key|private[_-]?key)\s*[=:]\s*[^\s,;]{3,}|\w+://[^\s:/@]+:[^\s:/@]+@"
        ),
    ),
)
SURE_LEAKS = 8
"""So many of them are sure enough for the content of replies, where services may say what they like."""

_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")


def leak_in(case: Case, answer: Answer) -> Observation | None:
    """The first thing in a status, its details or trailers, or in a reply, that is nobody's business."""
    texts: list[bytes] = []
    trailers = answer.trailers
    if trailers is not None and len(trailers) > 1:
        text = answer.field(b"grpc-message")
        details = answer.field(b"grpc-status-details-bin")
        others = [v for n, v in trailers if not n.startswith((b":", b"grpc-", b"content-type", b"date", b"server"))]
        if text or details or others:
            texts.append(answer.text.encode())
            if details:
                texts.append(unbase64(details) or b"")
            texts += others
    for text in texts:
        if (found := _search(text, case, LEAKS)) is not None:
            return Observation("leak-of-internals", f"{found[0]} in the status: {found[1]}", found[:1], "", "CWE-209")
    if answer.body and (found := _search(answer.body, case, LEAKS[:SURE_LEAKS])) is not None:
        return Observation("leak-of-internals", f"{found[0]} in the reply: {found[1]}", found[:1], "", "CWE-209")
    return None


def stack_trace_in(text: bytes) -> bool:
    """Whether a program has said that it broke down: a stack trace or a panic."""
    return any(what in ("a stack trace", "a panic") and pattern.search(text) for what, pattern in LEAKS)


def _search(text: bytes, case: Case, patterns: tuple[tuple[str, re.Pattern[bytes]], ...]) -> tuple[str, str] | None:
    for what, pattern in patterns:
        match = pattern.search(text)
        if match and not _is_echo(match[0], case):
            return what, match[0].decode("utf-8", "replace")[:120]
    return None


def _is_echo(found: bytes, case: Case) -> bool:
    """Whether the server has it from the request."""
    return any(found in step.octets or any(found in value for _, value in step.fields) for step in case.steps)


def unbase64(text: bytes) -> bytes | None:
    """The octets of a binary field (PROTOCOL-HTTP2, "Custom-Metadata"); None for what is no base64."""
    if not _BASE64.fullmatch(text):
        return None
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
