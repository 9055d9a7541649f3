"""What the octets of one HTTP/2 frame say, without regard to what came before (RFC 9113, sections 4 and 6)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from puregrpc.trace.explaining import rules
from puregrpc.trace.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from puregrpc.trace.explaining.octets import Octets
    from puregrpc.trace.records import Part

__all__ = ["ERROR_CODES", "HEADER_SIZE", "Head", "Payload", "error_name", "flag_names", "is_plausible", "type_name"]

HEADER_SIZE = 9
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
TYPE_NAMES = {
    DATA: "DATA",
    HEADERS: "HEADERS",
    PRIORITY: "PRIORITY",
    RST_STREAM: "RST_STREAM",
    SETTINGS: "SETTINGS",
    PUSH_PROMISE: "PUSH_PROMISE",
    PING: "PING",
    GOAWAY: "GOAWAY",
    WINDOW_UPDATE: "WINDOW_UPDATE",
    CONTINUATION: "CONTINUATION",
    0x0A: "ALTSVC",
    0x0C: "ORIGIN",
    0x10: "PRIORITY_UPDATE",
}
TYPE_SECTIONS = {
    DATA: "6.1",
    HEADERS: "6.2",
    PRIORITY: "6.3",
    RST_STREAM: "6.4",
    SETTINGS: "6.5",
    PUSH_PROMISE: "6.6",
    PING: "6.7",
    GOAWAY: "6.8",
    WINDOW_UPDATE: "6.9",
    CONTINUATION: "6.10",
}
END_STREAM, END_HEADERS, PADDED, PRIORITY_FLAG, ACK = 0x1, 0x4, 0x8, 0x20, 0x1
FLAGS = {
    DATA: {END_STREAM: "END_STREAM", PADDED: "PADDED"},
    HEADERS: {END_STREAM: "END_STREAM", END_HEADERS: "END_HEADERS", PADDED: "PADDED", PRIORITY_FLAG: "PRIORITY"},
    SETTINGS: {ACK: "ACK"},
    PUSH_PROMISE: {END_HEADERS: "END_HEADERS", PADDED: "PADDED"},
    PING: {ACK: "ACK"},
    CONTINUATION: {END_HEADERS: "END_HEADERS"},
}
ERROR_CODES = (
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
)
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = (
    range(1, 7)
)
SETTING_NAMES = {
    HEADER_TABLE_SIZE: "HEADER_TABLE_SIZE",
    ENABLE_PUSH: "ENABLE_PUSH",
    MAX_CONCURRENT_STREAMS: "MAX_CONCURRENT_STREAMS",
    INITIAL_WINDOW_SIZE: "INITIAL_WINDOW_SIZE",
    MAX_FRAME_SIZE: "MAX_FRAME_SIZE",
    MAX_HEADER_LIST_SIZE: "MAX_HEADER_LIST_SIZE",
    8: "ENABLE_CONNECT_PROTOCOL",
    9: "NO_RFC7540_PRIORITIES",
    0xFE03: "GRPC_ALLOW_TRUE_BINARY_METADATA",
    0xFE04: "GRPC_PREFERRED_RECEIVE_MESSAGE_SIZE",
    0xFE05: "GRPC_ALLOW_SECURITY_FRAME",
}
"""Those of RFC 9113, RFC 8441 and RFC 9218, and those that gRPC's C core sends to its own kind."""

SETTING_SAYS = {
    HEADER_TABLE_SIZE: "octets that the peer's header compression may keep in its table",
    ENABLE_PUSH: "whether the peer may push (0: no)",
    MAX_CONCURRENT_STREAMS: "calls that the peer may have open at once",
    INITIAL_WINDOW_SIZE: "octets of DATA that the peer may send on a new stream",
    MAX_FRAME_SIZE: "octets of payload in one frame at most",
    MAX_HEADER_LIST_SIZE: "octets of header list that are accepted (advice)",
    8: "extended CONNECT (RFC 8441)",
    9: "the old priorities are not used (RFC 9218)",
    0xFE03: "-bin metadata may be sent without base64 (gRPC C core)",
    0xFE04: "message size that is liked best (gRPC C core)",
    0xFE05: "frames with security data are understood (gRPC C core)",
}
MAX_WINDOW = 2**31 - 1
STREAM_TYPES = {DATA, HEADERS, PRIORITY, RST_STREAM, PUSH_PROMISE, CONTINUATION}
CONNECTION_TYPES = {SETTINGS, PING, GOAWAY}
FIXED_LENGTHS = {PRIORITY: 5, RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}


def type_name(frame_type: int) -> str:
    """The name of a frame type."""
    return TYPE_NAMES.get(frame_type, f"type 0x{frame_type:02x}")


def flag_names(frame_type: int, flags: int) -> tuple[str, ...]:
    """The names of the flags that are set; those without a meaning as numbers."""
    known = FLAGS.get(frame_type, {})
    return tuple(known.get(1 << bit, f"0x{1 << bit:02x}") for bit in range(8) if flags & 1 << bit)


def error_name(code: int) -> str:
    """The name of an HTTP/2 error code (RFC 9113, section 7)."""
    return ERROR_CODES[code] if code < len(ERROR_CODES) else f"error code {code}"


@dataclass(frozen=True, slots=True)
class Head:
    """The 9 octets that every frame begins with."""

    length: int
    type: int
    flags: int
    stream_id: int
    reserved: int

    @classmethod
    def parse(cls, data: bytes | bytearray, position: int = 0) -> Head:
        """Read it; at least 9 octets must be there."""
        stream = int.from_bytes(data[position + 5 : position + 9], "big")
        length = int.from_bytes(data[position : position + 3], "big")
        return cls(length, data[position + 3], data[position + 4], stream & MAX_WINDOW, stream >> 31)


def is_plausible(head: Head, max_frame_size: int) -> bool:
    """Whether 9 octets found somewhere in a stream look like the head of a frame that gRPC peers send.

    They use the client's streams, which are odd (RFC 9113, section 5.1.1), never push, and send no DATA without content
    but to end a stream.
    """
    if head.length > max_frame_size or head.reserved or head.type > CONTINUATION:
        return False
    if head.flags & ~sum(FLAGS.get(head.type, {})):
        return False
    if (head.type in STREAM_TYPES and not head.stream_id & 1) or (head.type in CONNECTION_TYPES and head.stream_id):
        return False
    if head.type == PUSH_PROMISE or (not head.length and head.type in CARRIERS and not head.flags & END_STREAM):
        return False
    if head.type == SETTINGS:
        return head.length % 6 == 0 and not (head.flags & ACK and head.length)
    if head.type == GOAWAY:
        return head.length >= 8
    return head.length == FIXED_LENGTHS.get(head.type, head.length)


def _pattern() -> re.Pattern[bytes]:
    """Types, flags and streams of the heads of which `is_plausible` says so."""
    kinds = []
    for kind in range(CONTINUATION + 1):
        bits = sum(FLAGS.get(kind, {}))
        flags = b"".join(re.escape(bytes((value,))) for value in range(256) if not value & ~bits)
        stream = rb"[\0-\x7f]..[" + ODD + rb"]"
        if kind in CONNECTION_TYPES:
            stream = rb"\0{4}"
        elif kind not in STREAM_TYPES:
            stream = rb"[\0-\x7f].{3}"
        kinds.append(re.escape(bytes((kind,))) + b"[" + flags + b"]" + stream)
    return re.compile(rb"(?=...[\0-\x09][\0-\x3f])(?=...(?:" + b"|".join(kinds) + b"))", re.DOTALL)


ODD = b"".join(re.escape(bytes((value,))) for value in range(1, 256, 2))

_LIKELY = _pattern()


def likely_heads(data: bytes | bytearray, start: int) -> Iterator[int]:
    """Places from ``start`` on where 9 octets look like the head of a frame, as far as one sees at a glance."""
    return (found.start() for found in _LIKELY.finditer(data, start))


@dataclass(slots=True)
class Payload:
    """What a frame's octets say. ``content`` is what DATA carries, or the fragment of a header block."""

    parts: list[Part] = field(default_factory=list)
    content: Octets | None = None
    settings: list[tuple[int, int]] = field(default_factory=list)
    increment: int = 0
    error_code: int = 0
    last_stream_id: int = 0
    promised_stream_id: int = 0
    debug_data: bytes = b""
    problems: list[str] = field(default_factory=list)


def read_frame(head: Head, octets: Octets, carried_by: str) -> Payload:
    """Break a frame down into parts. ``octets`` may end early; ``carried_by`` says what explains its content."""
    payload = Payload()
    _read_head(head, octets, payload)
    end = len(octets)
    if end - HEADER_SIZE < head.length:
        # What a cut frame says cannot be trusted; its octets are still accounted for.
        if end > HEADER_SIZE:
            payload.parts.append(octets.part("Part of the payload", HEADER_SIZE, end, f"{end - HEADER_SIZE} octets"))
        return payload
    wanted = FIXED_LENGTHS.get(head.type)
    if wanted is not None and head.length != wanted:
        payload.problems.append(f"FRAME_SIZE_ERROR: {type_name(head.type)} has {wanted} octets, not {head.length}")
        _rest(octets, HEADER_SIZE, payload)
    elif head.type in CARRIERS:
        _read_carrier(head, octets, payload, carried_by)
    else:
        READERS.get(head.type, _read_unknown)(head, octets, payload)
    if head.type in STREAM_TYPES and not head.stream_id:
        payload.problems.append(f"PROTOCOL_ERROR: {type_name(head.type)} belongs to a stream, but has stream 0")
    if head.type in CONNECTION_TYPES and head.stream_id:
        payload.problems.append(
            f"PROTOCOL_ERROR: {type_name(head.type)} belongs to the connection, but has stream {head.stream_id}"
        )
    return payload


def _read_head(head: Head, octets: Octets, payload: Payload) -> None:
    section = TYPE_SECTIONS.get(head.type, "5.5")
    names = flag_names(head.type, head.flags)
    known = sum(FLAGS.get(head.type, {}))
    note = "flags without a meaning here are ignored" if head.flags & ~known else ""
    whom = "the connection itself" if not head.stream_id else f"stream {head.stream_id}"
    payload.parts += [
        octets.part("Length", 0, 3, f"{head.length} octets of payload", rules.h2("4.1")),
        octets.part("Type", 3, 4, f"{type_name(head.type)} (0x{head.type:02x})", rules.h2(section)),
        octets.part("Flags", 4, 5, " ".join(names) or "none", rules.h2(section), note=note),
        octets.part(
            "Stream",
            5,
            9,
            whom,
            rules.grpc("Stream Identification") if head.stream_id else rules.h2("5.1.1"),
            note="the reserved bit is set; it is ignored" if head.reserved else "",
        ),
    ]


def _rest(octets: Octets, start: int, payload: Payload, label: str = "Payload") -> None:
    if start < len(octets):
        payload.parts.append(octets.part(label, start, len(octets), f"{len(octets) - start} octets"))


def _number(octets: Octets, start: int, size: int) -> int:
    return int.from_bytes(octets.data[start : start + size], "big")


def _read_carrier(head: Head, octets: Octets, payload: Payload, carried_by: str) -> None:
    """DATA, HEADERS, PUSH_PROMISE and CONTINUATION: padding, what HEADERS has in front, and the content."""
    start, end = HEADER_SIZE, len(octets)
    section = rules.h2(TYPE_SECTIONS[head.type])
    padding = 0
    if head.flags & PADDED and head.type != CONTINUATION:
        if start == end:
            payload.problems.append("FRAME_SIZE_ERROR: PADDED, but there is no octet for the pad length")
            return
        padding = octets.data[start]
        problem = ""
        if padding > end - start - 1:
            problem = f"PROTOCOL_ERROR: {padding} octets of padding do not fit into the {end - start - 1} that follow"
            padding = 0
        value = f"{octets.data[start]} octets of padding at the end"
        payload.parts.append(octets.part("Pad length", start, start + 1, value, section, problem=problem))
        start += 1
    if head.type == HEADERS and head.flags & PRIORITY_FLAG:
        if end - padding - start < 5:
            payload.problems.append("FRAME_SIZE_ERROR: PRIORITY, but the 5 octets for it are not there")
            _rest(octets, start, payload)
            return
        _priority(octets, start, payload)
        start += 5
    if head.type == PUSH_PROMISE:
        if end - padding - start < 4:
            payload.problems.append("FRAME_SIZE_ERROR: the 4 octets of the promised stream are not there")
            _rest(octets, start, payload)
            return
        payload.promised_stream_id = _number(octets, start, 4) & MAX_WINDOW
        value = f"stream {payload.promised_stream_id}"
        payload.parts.append(octets.part("Promised stream", start, start + 4, value, section))
        start += 4
    stop = end - padding
    payload.content = octets.cut(start, stop)
    if start < stop:
        label = "Data" if head.type == DATA else "Header block fragment"
        rule = rules.grpc("Data Frames") if head.type == DATA else rules.h2("4.3")
        part = octets.part(label, start, stop, f"{stop - start} octets", rule, explained_by=carried_by)
        payload.parts.append(part)
    if padding:
        payload.parts.append(octets.part("Padding", stop, end, f"{padding} octets without a meaning", section))


def _priority(octets: Octets, start: int, payload: Payload) -> None:
    word = _number(octets, start, 4)
    exclusive = ", exclusively" if word >> 31 else ""
    payload.parts += [
        octets.part(
            "Depends on", start, start + 4, f"stream {word & MAX_WINDOW}{exclusive}", rules.h2("6.3"), note="deprecated"
        ),
        octets.part(
            "Weight", start + 4, start + 5, str(octets.data[start + 4] + 1), rules.h2("6.3"), note="deprecated"
        ),
    ]


def _read_priority(_head: Head, octets: Octets, payload: Payload) -> None:
    _priority(octets, HEADER_SIZE, payload)


def _error_code(octets: Octets, start: int, payload: Payload) -> None:
    payload.error_code = _number(octets, start, 4)
    value = f"{error_name(payload.error_code)} ({payload.error_code})"
    payload.parts.append(octets.part("Error code", start, start + 4, value, rules.h2("7")))


def _read_reset(_head: Head, octets: Octets, payload: Payload) -> None:
    _error_code(octets, HEADER_SIZE, payload)


def _read_settings(head: Head, octets: Octets, payload: Payload) -> None:
    if head.flags & ACK and head.length:
        payload.problems.append("FRAME_SIZE_ERROR: SETTINGS with ACK must be empty")
    if head.length % 6:
        payload.problems.append(f"FRAME_SIZE_ERROR: entries have 6 octets, and {head.length} is not a multiple of it")
    position = HEADER_SIZE
    while position + 6 <= len(octets):
        identifier, value = _number(octets, position, 2), _number(octets, position + 2, 4)
        payload.settings.append((identifier, value))
        name = SETTING_NAMES.get(identifier, f"setting 0x{identifier:04x}")
        parts = [
            octets.part("Identifier", position, position + 2, name, rules.h2("6.5.2")),
            octets.part("Value", position + 2, position + 6, str(value), rules.h2("6.5.2")),
        ]
        note = SETTING_SAYS.get(identifier, "not known: ignored by who does not know it")
        problem = _wrong_setting(identifier, value)
        payload.parts.append(
            octets.part(
                name, position, position + 6, str(value), rules.h2("6.5.1"), note=note, problem=problem, parts=parts
            )
        )
        position += 6
    _rest(octets, position, payload, "Incomplete entry")


def _wrong_setting(identifier: int, value: int) -> str:
    if identifier == ENABLE_PUSH and value > 1:
        return "PROTOCOL_ERROR: ENABLE_PUSH is 0 or 1"
    if identifier == INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
        return "FLOW_CONTROL_ERROR: a window is at most 2147483647"
    if identifier == MAX_FRAME_SIZE and not 1 << 14 <= value < 1 << 24:
        return "PROTOCOL_ERROR: MAX_FRAME_SIZE is between 16384 and 16777215"
    return ""


def _read_ping(head: Head, octets: Octets, payload: Payload) -> None:
    value = octets.data[HEADER_SIZE:].hex()
    note = "the same octets as in the PING that it answers" if head.flags & ACK else "any 8 octets"
    payload.parts.append(octets.part("Opaque data", HEADER_SIZE, HEADER_SIZE + 8, value, rules.h2("6.7"), note=note))


def _read_goaway(head: Head, octets: Octets, payload: Payload) -> None:
    if head.length < 8:
        payload.problems.append(f"FRAME_SIZE_ERROR: GOAWAY has 8 octets at least, not {head.length}")
        _rest(octets, HEADER_SIZE, payload)
        return
    start = HEADER_SIZE
    payload.last_stream_id = _number(octets, start, 4) & MAX_WINDOW
    note = "a first warning: calls on their way are still served" if payload.last_stream_id == MAX_WINDOW else ""
    value = f"streams up to {payload.last_stream_id} are served"
    payload.parts.append(octets.part("Last stream", start, start + 4, value, rules.h2("6.8"), note=note))
    _error_code(octets, start + 4, payload)
    payload.debug_data = octets.data[start + 8 :]
    if payload.debug_data:
        text = printable(payload.debug_data)
        payload.parts.append(octets.part("Debug data", start + 8, len(octets), text, rules.h2("6.8")))


def _read_window_update(_head: Head, octets: Octets, payload: Payload) -> None:
    payload.increment = _number(octets, HEADER_SIZE, 4) & MAX_WINDOW
    problem = "" if payload.increment else "PROTOCOL_ERROR: an increment of 0"
    value = f"{payload.increment} more octets"
    part = octets.part("Window size increment", HEADER_SIZE, HEADER_SIZE + 4, value, rules.h2("6.9"), problem=problem)
    payload.parts.append(part)


def _read_unknown(head: Head, octets: Octets, payload: Payload) -> None:
    if head.length:
        value = f"{head.length} octets"
        note = f"{type_name(head.type)} is not part of HTTP/2 itself: ignored by who does not know it"
        payload.parts.append(octets.part("Payload", HEADER_SIZE, len(octets), value, rules.h2("5.5"), note=note))


CARRIERS = {DATA, HEADERS, PUSH_PROMISE, CONTINUATION}
READERS = {
    PRIORITY: _read_priority,
    RST_STREAM: _read_reset,
    SETTINGS: _read_settings,
    PING: _read_ping,
    GOAWAY: _read_goaway,
    WINDOW_UPDATE: _read_window_update,
}
