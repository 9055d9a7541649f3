"""What the fields of a gRPC header block mean, and what is wrong with a block (PROTOCOL-HTTP2; RFC 9113, section 8)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from puregrpc.trace.explaining import rules
from puregrpc.trace.records import HeaderField, Representation, Rule
from puregrpc.trace.text import printable
from puregrpc.wire.status import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Meaning", "binary_value", "check_block", "explain_field", "parse_timeout"]

UNITS = {b"H": (3600.0, "hours"), b"M": (60.0, "minutes"), b"S": (1.0, "seconds"), b"m": (1e-3, "milliseconds"),
         b"u": (1e-6, "microseconds"), b"n": (1e-9, "nanoseconds")}  # fmt: skip
TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
FIELD_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
CONNECTION_FIELDS = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
REQUEST_PSEUDO = (b":method", b":scheme", b":path", b":authority")
MEANINGS = {
    b":method": ("Method", "gRPC always uses POST"),
    b":scheme": ("Scheme", "whether TLS is used"),
    b":path": ("Path", "which method is called"),
    b":authority": ("Authority", "the host that the call is meant for"),
    b":status": ("HTTP-Status", "HTTP's status, 200 for every gRPC response"),
    b"te": ("TE", "the client takes trailers; a proxy that cannot is found out"),
    b"grpc-timeout": ("Timeout", "the deadline, as time that is left"),
    b"content-type": ("Content-Type", "this is gRPC, and its messages have this format"),
    b"grpc-encoding": ("Message-Encoding", "how flagged messages are compressed"),
    b"grpc-accept-encoding": ("Message-Accept-Encoding", "what the peer may compress with"),
    b"user-agent": ("User-Agent", "the client library"),
    b"grpc-status": ("Status", "the status of the call"),
    b"grpc-message": ("Status-Message", "the status in words"),
    b"grpc-status-details-bin": ("Status-Details", "a google.rpc.Status"),
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a field is for, by which rule, what its value says, and what is wrong with it."""

    rule: Rule
    purpose: str
    says: str = ""
    problem: str = ""


def parse_timeout(value: bytes) -> float | None:
    """grpc-timeout in seconds; None if it is not valid."""
    match = TIMEOUT.fullmatch(value)
    return int(match[1]) * UNITS[match[2]][0] if match else None


def binary_value(value: bytes) -> bytes | None:
    """The octets of a ``-bin`` value, with or without padding; None if it is not base64."""
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def explain_field(name: bytes, value: bytes, role: str, *, is_grpc: bool = True) -> Meaning:
    """What one field means in a block of that role, of a call that speaks gRPC or something else over HTTP/2."""
    if name in MEANINGS and (is_grpc or name.startswith(b"grpc-")):
        rule_name, purpose = MEANINGS[name]
        says, problem = _special(name, value)
        return Meaning(rules.grpc(rule_name), purpose, says, problem)
    if name.endswith(b"-bin") and value.startswith(b"\0"):
        purpose = "binary metadata without base64, which gRPC's C core sends to its own kind behind a NUL"
        return Meaning(rules.grpc("Binary-Header"), purpose, f"octets: {printable(value[1:])}")
    problem = _wrong_field(name, value, role)
    if name.startswith(b":"):
        section = "8.3.1" if role == "request" else "8.3.2"
        if not problem and name not in MEANINGS:
            problem = "" if name == b":protocol" else "PROTOCOL_ERROR: no such pseudo-header field"
        return Meaning(rules.h2(section), "control data", "", problem)
    if problem:
        return Meaning(rules.h2("8.2.2" if name in CONNECTION_FIELDS else "8.2.1"), "", "", problem)
    if name.endswith(b"-bin"):
        parts = [binary_value(item.strip()) for item in value.split(b",")]
        if None in parts:
            return Meaning(rules.grpc("Binary-Header"), "binary metadata", "", "the value is not base64")
        says = ", ".join(printable(part) for part in parts if part is not None)
        return Meaning(rules.grpc("Binary-Header"), "binary metadata", f"octets: {says}")
    if name.startswith(b"grpc-"):
        return Meaning(rules.grpc("Custom-Metadata"), "reserved for gRPC itself; not one of PROTOCOL-HTTP2")
    if name in (b"date", b"server", b"content-length", b"accept-encoding", b"via", b"cookie"):
        return Meaning(rules.http(), "HTTP's own")
    return Meaning(rules.grpc("Custom-Metadata"), "metadata of the application")


def _wrong_field(name: bytes, value: bytes, role: str) -> str:
    if name in CONNECTION_FIELDS:
        return "PROTOCOL_ERROR: concerns the connection and is not allowed in HTTP/2"
    if name != name.lower():
        return "PROTOCOL_ERROR: field names are lower case"
    if not FIELD_NAME.fullmatch(name.removeprefix(b":")):
        return "PROTOCOL_ERROR: not a field name"
    if any(octet in value for octet in b"\0\r\n") or value[:1] in (b" ", b"\t") or value[-1:] in (b" ", b"\t"):
        return "PROTOCOL_ERROR: a value has no NUL, CR or LF, and no blank at its ends"
    if name == b"te" and value != b"trailers":
        return "PROTOCOL_ERROR: te is trailers or not there at all"
    if role == "trailers" and name.startswith(b":"):
        return "PROTOCOL_ERROR: no pseudo-header fields in trailers"
    return ""


def _special(name: bytes, value: bytes) -> tuple[str, str]:
    """What the value of one of gRPC's own fields says, and what is wrong with it."""
    if name == b"grpc-timeout":
        timeout = parse_timeout(value)
        if timeout is None:
            return "", "not 1 to 8 digits and one of H, M, S, m, u, n"
        return f"{int(value[:-1])} {UNITS[value[-1:]][1]}", ""
    if name == b"grpc-status":
        if not value.isdigit() or len(value) > 10:
            return "", "not a number (UNKNOWN is taken)"
        return Status(int(value)).name, "" if int(value) <= 16 else "not a status of gRPC (0 to 16)"
    if name == b"grpc-message":
        raw = unquote_to_bytes(value)
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            return printable(raw), "what is percent-encoded is not UTF-8"
        return (text if raw != value else ""), ""
    if name == b"grpc-status-details-bin":
        return ("", "") if binary_value(value) is not None else ("", "the value is not base64")
    if name == b":method":
        return "", "" if value == b"POST" else "gRPC requests are POST"
    if name == b":path":
        if not value.startswith(b"/"):
            return "", "a path begins with /"
        service, _, method = value[1:].decode("latin-1").rpartition("/")
        return (f"method {method} of {service}", "") if service and method else ("", "not /Service/Method")
    if name == b"te":
        return "", "" if value == b"trailers" else "PROTOCOL_ERROR: te is trailers or not there at all"
    if name == b"content-type":
        right = re.fullmatch(rb"application/grpc([+;].*)?", value, re.DOTALL)
        return "", "" if right else "not application/grpc: a gRPC server answers 415, a client makes a status of it"
    if name == b":status":
        return "", "" if value == b"200" else "not 200: the response does not come from gRPC"
    if name == b":scheme":
        return "", "" if value in (b"http", b"https") else "neither http nor https"
    return "", ""


def with_meaning(field: HeaderField, meaning: Meaning) -> HeaderField:
    """The field with what it means added to it and to its part."""
    note = "; ".join(filter(None, (meaning.purpose, field.part.note)))
    value = field.part.value + (f" = {meaning.says}" if meaning.says else "")
    problem = meaning.problem or field.problem
    part = replace(field.part, rule=meaning.rule, note=note, value=value, problem=problem)
    return replace(field, part=part, meaning=meaning.says, problem=problem)


def check_block(fields: Sequence[HeaderField], role: str, *, is_grpc: bool = True) -> list[str]:
    """What is wrong with a block as a whole."""
    known = [f for f in fields if f.representation is not Representation.SIZE_UPDATE]
    if any(f.name is None for f in known):
        return []
    names = [f.name or b"" for f in known]
    problems: list[str] = []
    regular_seen = False
    for name in names:
        if not name.startswith(b":"):
            regular_seen = True
        elif regular_seen:
            problems.append(f"PROTOCOL_ERROR: {printable(name)} stands behind a regular field")
    problems += [f"PROTOCOL_ERROR: {name.decode()} is there twice" for name in REQUEST_PSEUDO if names.count(name) > 1]
    if not is_grpc:
        wanted = () if role not in ("request", "response") else (b":status",) if role == "response" else (b":method",)
        return problems + [f"PROTOCOL_ERROR: {name.decode()} is missing" for name in wanted if name not in names]
    if role == "request":
        problems += [f"PROTOCOL_ERROR: {name.decode()} is missing" for name in REQUEST_PSEUDO[:3] if name not in names]
        if b"te" not in names:
            problems.append("te: trailers is missing")
        if b"content-type" not in names:
            problems.append("content-type is missing")
    elif role in ("response", "trailers-only"):
        if b":status" not in names:
            problems.append("PROTOCOL_ERROR: :status is missing")
        elif b"content-type" not in names:
            problems.append("content-type is missing")
    if role in ("trailers", "trailers-only") and b"grpc-status" not in names:
        problems.append("grpc-status is missing: the client takes the status from HTTP's, or UNKNOWN")
    return problems
