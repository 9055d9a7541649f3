"""One call as it is followed through a recording: its headers, messages, ends, and what it came to."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from puregrpc.errors import RemoteProtocolError
from puregrpc.trace.explaining import rules
from puregrpc.trace.explaining.octets import Octets
from puregrpc.trace.explaining.protocols import Protocol
from puregrpc.trace.recording import Direction
from puregrpc.trace.records import CallSummary, Part, Span
from puregrpc.wire.compression import CODINGS, MessageTooLarge, needed_for
from puregrpc.wire.status import Status

if TYPE_CHECKING:
    from puregrpc.proto.descriptors import MessageDescriptor, MethodDescriptor
    from puregrpc.schema import Registry

__all__ = ["END_STREAM_FLAG", "TRAILERS_FLAG", "CallState", "MessageOctets", "Side", "inflate", "prefix_parts"]

PREFIX_SIZE = 5
PADDED_GROUPS = re.compile(rb"[^=]+={0,2}|=+")
"""Runs of base64, each up to its padding."""


def inflate(data: bytes, encoding: str, limit: int) -> tuple[bytes | None, str]:
    """A compressed message inflated, up to ``limit`` octets, or None and what is wrong."""
    if encoding in ("", "identity"):
        return None, "the compressed flag is set, but grpc-encoding names no compression (INTERNAL)"
    coding = CODINGS.get(encoding)
    if coding is None:
        return None, f"compressed with {encoding}, which is not inflated here{needed_for(encoding)}"
    try:
        return coding.decompress(data, limit), ""
    except MessageTooLarge:
        return None, f"it inflates to more than {limit} octets, too many to be told"
    except RemoteProtocolError as error:
        return None, str(error)


@dataclass(frozen=True, slots=True)
class MessageOctets:
    """The octets of one length-prefixed message as they were found; ``complete`` or as far as they go."""

    spans: tuple[Span, ...]
    complete: bool


@dataclass(slots=True)
class Side:
    """What one side of a call sent."""

    direction: Direction
    protocol: Protocol = Protocol.GRPC
    content_type: bytes = b""
    encoding: str = "identity"
    blocks: int = 0
    messages: int = 0
    message_octets: int = 0
    ended: bool = False
    has_initial_headers: bool = False
    desynchronised: bool = False
    """Octets of this side were lost: where the next message begins is not known."""
    window: int | None = None
    """How many octets of DATA it may still send on the stream, but for how far SETTINGS have moved all windows."""
    pieces: list[Span] = field(default_factory=list)
    held: int = 0
    prefix: bytes = b""
    base64: bytes = b""
    """Of gRPC-Web in base64: characters that wait for those that complete a group of four."""

    def add_bare(self, content: Octets) -> None:
        """Take a part of a body that is one message without a prefix."""
        self.pieces.extend(content.pieces)
        self.held += len(content)

    def whole_body(self) -> MessageOctets | None:
        """The body that is one message, at its end."""
        return self._take(complete=True) if self.held else None

    def unwrap_base64(self, data: bytes) -> bytes:
        """What characters of base64 stand for; groups may end with padding anywhere. Raises ValueError."""
        data = self.base64 + data
        size = len(data) - len(data) % 4
        self.base64 = data[size:]
        return b"".join(base64.b64decode(group, validate=True) for group in PADDED_GROUPS.findall(data[:size]))

    def add(self, content: Octets) -> list[MessageOctets]:
        """Take the content of a DATA frame; returns the messages that it completes."""
        complete: list[MessageOctets] = []
        position = 0
        total = len(content)
        while position < total:
            if len(self.prefix) < PREFIX_SIZE:
                taken = min(PREFIX_SIZE - len(self.prefix), total - position)
                self.prefix += content.data[position : position + taken]
            else:
                wanted = PREFIX_SIZE + int.from_bytes(self.prefix[1:], "big") - self.held
                taken = min(wanted, total - position)
            self.pieces.extend(content.spans(position, position + taken))
            self.held += taken
            position += taken
            if len(self.prefix) == PREFIX_SIZE and self.held == PREFIX_SIZE + int.from_bytes(self.prefix[1:], "big"):
                complete.append(self._take(complete=True))
        return complete

    def _take(self, *, complete: bool) -> MessageOctets:
        spans = tuple(self.pieces)
        self.pieces = []
        self.held = 0
        self.prefix = b""
        return MessageOctets(spans, complete)

    def leftover(self) -> MessageOctets | None:
        """The beginning of a message that never came to its end."""
        return self._take(complete=False) if self.held else None


@dataclass(slots=True)
class CallState:
    """A stream with both of its sides."""

    stream_id: int
    start: float
    client: Side = field(default_factory=lambda: Side(Direction.CLIENT))
    server: Side = field(default_factory=lambda: Side(Direction.SERVER))
    seen_from_start: bool = True
    path: str = ""
    authority: str = ""
    timeout: float | None = None
    method: MethodDescriptor | None = None
    registry: Registry | None = None
    """What the method is from."""
    http_status: int = 0
    status: Status | None = None
    outcome: str = ""
    end: float | None = None
    problems: list[str] = field(default_factory=list)

    def side(self, direction: Direction) -> Side:
        """What that side sent."""
        return self.client if direction is Direction.CLIENT else self.server

    def message_type(self, direction: Direction) -> MessageDescriptor | None:
        """The type of that side's messages, where the schema knows the method."""
        if self.method is None:
            return None
        return self.method.input_type if direction is Direction.CLIENT else self.method.output_type

    def finish(self, time: float, outcome: str) -> None:
        """The call came to its end; only the first one counts."""
        if self.end is None:
            self.end = time
            self.outcome = outcome

    def deadline_note(self, time: float) -> str:
        """How the time compares with the deadline, as far as the recording shows."""
        if self.timeout is None or not self.seen_from_start:
            return ""
        left = self.start + self.timeout - time
        return f", {_duration(left)} before the deadline" if left >= 0 else f", {_duration(-left)} after the deadline"

    def summary(self) -> CallSummary:
        """The call as a record."""
        return CallSummary(
            self.stream_id,
            self.path,
            self.authority,
            self.start,
            self.end,
            self.timeout,
            self.status.code if self.status is not None else None,
            self.status.message if self.status is not None else "",
            self.outcome or "not over when the recording ends",
            self.client.messages,
            self.server.messages,
            self.client.message_octets,
            self.server.message_octets,
            tuple(self.problems),
        )


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 10 else f"{seconds:.1f} s"


TRAILERS_FLAG, END_STREAM_FLAG = 0x80, 0x02
"""Of gRPC-Web and of Connect: the message is none of the application's."""


def prefix_parts(octets: Octets, side: Side) -> tuple[list[Part], int, int]:
    """The parts of a message's 5-octet prefix (or what there is of it), the flags and the length."""
    data = octets.data
    flags = data[0]
    flag_rule = rules.grpc("Compressed-Flag")
    known = 1
    says = f"compressed with {side.encoding}" if flags & 1 else "not compressed"
    if side.protocol.is_web:
        known, flag_rule = 1 | TRAILERS_FLAG, rules.grpc_web()
        says += ", trailers" if flags & TRAILERS_FLAG else ""
    elif side.protocol.is_connect:
        known, flag_rule = 1 | END_STREAM_FLAG, rules.connect()
        says += ", end of the stream" if flags & END_STREAM_FLAG else ""
    elif flags > 1:
        says = "compressed"
    problem = ""
    if flags & ~known:
        expected = "the flag is 0 or 1" if known == 1 else f"of the flags only 0x{known:02x} have a meaning"
        problem = f"{expected}, not {flags}" + (" (INTERNAL)" if known == 1 else "")
    parts = [octets.part("Compressed flag", 0, 1, f"{flags}: {says}", flag_rule, problem=problem)]
    length = int.from_bytes(data[1:PREFIX_SIZE], "big")
    end = min(PREFIX_SIZE, len(data))
    if end > 1:
        whole = end == PREFIX_SIZE
        parts.append(
            octets.part(
                "Message length",
                1,
                end,
                f"{length} octets" if whole else "cut",
                rules.grpc("Length-Prefixed-Message"),
                problem="" if whole else "the length is cut",
            )
        )
    return parts, flags, length if end == PREFIX_SIZE else 0
