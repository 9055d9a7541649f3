"""What came back on one stream, and what of it no server may send (PROTOCOL-HTTP2, "Responses")."""

from __future__ import annotations

from functools import lru_cache

from puregrpc.fuzz.frames.probe import Fields
from puregrpc.wire.status import decode_grpc_message

__all__ = ["CONTROLS", "Answer"]

CONTROLS = "a control character"
"""What is said of a field's value that has NUL, CR or LF."""

MOST_MEASURED = 1 << 20
"""Longer bodies may not have been kept whole."""
CONNECTION_FIELDS = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}


class Answer:
    """The answer to one call, as it came."""

    __slots__ = (
        "body", "cancelled", "ended", "finished", "has_no_trailers", "headers", "how", "last_data", "reset", "started",
        "stream", "trailers", "violations",
    )  # fmt: skip

    def __init__(self, stream: int, started: float) -> None:
        self.stream = stream
        self.started = started
        self.finished = 0.0
        self.headers: Fields | None = None
        self.trailers: Fields | None = None
        self.body = b""
        self.last_data = 0.0
        """When the last octets of the body came."""
        self.ended = False
        self.cancelled = False
        """It was reset from this side."""
        self.reset: int | None = None
        self.has_no_trailers = False
        """END_STREAM came with DATA."""
        self.how = ""
        """How the stream ended, if not with trailers."""
        self.violations: list[str] = []

    def on_fields(self, fields: Fields, *, end: bool) -> None:
        """A header list came: the response's head, or its trailers, or both in one."""
        known = _problems(fields, self.headers is None)
        if known:
            self.violations.extend(known)
        if self.headers is None:
            status = next((value for name, value in fields if name == b":status"), b"")
            if status.startswith(b"1") and not end:
                return
            self.headers = fields
            if end:
                self.trailers = fields
        elif not end:
            self.violations.append("HEADERS in the middle of a response (RFC 9113, section 8.1)")
        else:
            self.trailers = fields
            self._measure()

    def _measure(self) -> None:
        """Whether the head has told how long the body is (RFC 9113, section 8.1.1)."""
        told = next((value for name, value in self.headers or () if name == b"content-length"), None)
        if told is not None and told != b"%d" % len(self.body) and len(self.body) < MOST_MEASURED:
            self.violations.append(
                f"a content-length of {told[:20]!r} before {len(self.body)} octets of DATA (RFC 9113, section 8.1.1)"
            )

    def on_data(self, octets: bytes) -> None:
        """Octets of the body came."""
        if self.headers is None:
            self.violations.append("DATA before HEADERS (RFC 9113, section 8.1)")
        self.body += octets

    def field(self, name: bytes) -> bytes | None:
        """A field of the trailers."""
        for each, value in self.trailers or ():
            if each == name:
                return value
        return None

    @property
    def http_status(self) -> int:
        """The :status, 0 without one."""
        for name, value in self.headers or ():
            if name == b":status":
                return int(value) if value.isdigit() else 0
        return 0

    @property
    def code(self) -> int | None:
        """The grpc-status; None if the stream ended without one."""
        text = self.field(b"grpc-status")
        return int(text) if text is not None and text.isdigit() and len(text) < 10 else None

    @property
    def text(self) -> str:
        """The grpc-message."""
        found = self.field(b"grpc-message")
        return decode_grpc_message(found) if found else ""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return max(self.finished - self.started, 0.0)

    def messages(self) -> tuple[list[tuple[int, bytes]], int]:
        """The messages with the first octet of their prefix, and how many octets are left over."""
        found = []
        at = 0
        body = self.body
        while len(body) - at >= 5:
            size = int.from_bytes(body[at + 1 : at + 5], "big")
            if len(body) - at - 5 < size:
                break
            found.append((body[at], body[at + 5 : at + 5 + size]))
            at += 5 + size
        return found, len(body) - at

    def summary(self) -> str:
        """How it ended, in a few words."""
        if not self.ended:
            return "no end"
        if self.code is not None:
            from puregrpc.wire.status import Status

            text = self.text
            return f"{Status(self.code).name}{': ' + text[:200] if text else ''}"
        if self.how:
            return self.how
        return f"HTTP {self.http_status} without grpc-status"


@lru_cache(maxsize=2048)
def _problems(fields: Fields, is_head: bool) -> tuple[str, ...]:
    """What is wrong with a header list by itself (RFC 9113, section 8.2 and 8.3)."""
    found = []
    is_pseudo = True
    statuses = 0
    for name, value in fields:
        if name.startswith(b":"):
            if name != b":status":
                found.append(f"the pseudo-header {name!r} in a response (RFC 9113, section 8.3)")
            elif not is_head:
                found.append("a :status in trailers (RFC 9113, section 8.1)")
            elif not is_pseudo:
                found.append("a :status behind other fields (RFC 9113, section 8.3)")
            statuses += 1
            if not (len(value) == 3 and value.isdigit()):
                found.append(f"a :status of {value[:20]!r} (RFC 9113, section 8.3.2)")
        else:
            is_pseudo = False
            if not name or name != name.lower():
                found.append(f"the field name {name[:40]!r} (RFC 9113, section 8.2.1)")
            if name in CONNECTION_FIELDS:
                found.append(f"the field {name.decode()} (RFC 9113, section 8.2.2)")
            if b"\0" in value or b"\r" in value or b"\n" in value:
                found.append(f"{CONTROLS} in the value of {name[:40]!r} (RFC 9113, section 8.2.1)")
    if len([None for name, _ in fields if name == b"grpc-status"]) > 1:
        found.append("two grpc-status (PROTOCOL-HTTP2, Responses)")
    if is_head and statuses != 1:
        found.append("a response without :status" if not statuses else "two :status (RFC 9113, section 8.3.2)")
    return tuple(found)
