"""The explanation of a recording: a tree of frozen records in which every octet has a place.

A `Part` says what some octets are. Frames, header blocks, header fields, messages and protobuf fields hold what was
understood as values, and each has the `Part` that says the same of its octets. The leaves of all parts together cover
each octet of the recording exactly once (`Explanation.leaves`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from puregrpc.trace.recording import Direction, Recording

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Buffer",
    "CallSummary",
    "Explanation",
    "Field",
    "Frame",
    "HeaderBlock",
    "HeaderField",
    "Message",
    "Part",
    "Representation",
    "Rule",
    "Span",
    "Stretch",
    "TableEntry",
    "TableState",
    "Windows",
    "outermost_parts",
    "problems_of",
]


class Span(NamedTuple):
    """Octets ``start`` to ``end`` (not included) of a buffer of the explanation."""

    buffer: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule that something serves: a document, its section, and what that says in one sentence."""

    document: str
    section: str
    says: str
    url: str

    def __str__(self) -> str:
        return f"{self.document}, {self.section}"


@dataclass(frozen=True, slots=True)
class Part:
    """What some octets are and what they say."""

    label: str
    value: str = ""
    spans: tuple[Span, ...] = ()
    rule: Rule | None = None
    note: str = ""
    problem: str = ""
    """What is wrong with these octets; empty if nothing is."""
    parts: tuple[Part, ...] = ()
    explained_by: str = ""
    """Names the record that breaks these octets down (a header block, a message); such a part is not a leaf."""

    def walk(self) -> Iterator[Part]:
        """This part and all parts in it, outer ones first."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            yield part
            waiting.extend(reversed(part.parts))

    def leaves(self) -> Iterator[Part]:
        """The parts in it that are not divided further."""
        return (part for part in self.walk() if not part.parts and not part.explained_by)

    @property
    def size(self) -> int:
        """How many octets it has."""
        return sum(span.end - span.start for span in self.spans)


@dataclass(frozen=True, slots=True)
class Buffer:
    """Octets that spans point into: a direction of the connection, or what was unpacked from it."""

    number: int
    name: str
    data: bytes


class Representation(Enum):
    """How HPACK wrote a header field (RFC 7541, section 6)."""

    INDEXED = "indexed"
    INCREMENTAL = "literal with incremental indexing"
    WITHOUT = "literal without indexing"
    NEVER = "literal never indexed"
    SIZE_UPDATE = "dynamic table size update"
    BROKEN = "broken"
    UNTOLD = "not told one by one"
    """Any number of representations, where a header list is larger than any that is of use."""


class TableEntry(NamedTuple):
    """A header field in the dynamic table."""

    name: bytes
    value: bytes

    @property
    def size(self) -> int:
        """What it counts for in the table (RFC 7541, section 4.1)."""
        return len(self.name) + len(self.value) + 32


@dataclass(frozen=True, slots=True)
class TableState:
    """The dynamic table at one point: entries ``first`` to ``end`` of all that were ever added in this direction.

    ``size`` and ``limit`` are octets as RFC 7541 counts them, ``lost`` is True while entries from before the
    recording may be in it.
    """

    first: int
    end: int
    size: int
    limit: int
    lost: bool = False


@dataclass(frozen=True, slots=True)
class HeaderField:
    """One representation of a header block: a header field, or a change of the table's size.

    ``name`` and ``value`` are None where the lost part of the table hides them.
    """

    representation: Representation
    name: bytes | None
    value: bytes | None
    index: int
    """The index it was written with: of the whole field (INDEXED), of its name, or 0 for a literal name."""
    name_huffman: bool | None
    value_huffman: bool | None
    octets: int
    """How many octets it took on the wire."""
    table: TableState
    """The dynamic table after it."""
    part: Part
    meaning: str = ""
    """What the value says, where that is not its text: a deadline in milliseconds, a status by name."""
    problem: str = ""
    details: tuple[Field, ...] = ()
    """The fields of the message inside a ``-bin`` value that is known to hold one (grpc-status-details-bin)."""


@dataclass(frozen=True, slots=True)
class HeaderBlock:
    """A whole header block: what HEADERS and its CONTINUATIONs carry (RFC 9113, section 4.3)."""

    number: int
    direction: Direction
    stream_id: int
    role: str
    """``request``, ``response``, ``trailers``, ``trailers-only`` or ``push promise``."""
    fields: tuple[HeaderField, ...]
    part: Part
    problems: tuple[str, ...] = ()

    def value(self, name: bytes) -> bytes | None:
        """The value of the first field of that name."""
        for header in self.fields:
            if header.name == name:
                return header.value
        return None


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a protobuf message as it stands in the octets."""

    number: int
    wire_type: int
    name: str
    """Its name in the schema; empty if there is no schema or the schema does not have it."""
    type_name: str
    """Its type in the schema, or a guess such as ``text?``."""
    value: object
    """The value as int, float, bool, str or bytes; None for a message, a group or what could not be read."""
    part: Part
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One length-prefixed message (PROTOCOL-HTTP2), whole or as far as it was seen."""

    number: int
    direction: Direction
    stream_id: int
    index: int
    """Its place among the messages of its call and direction, from 0."""
    compressed: bool
    encoding: str
    length: int
    """The length that its prefix says."""
    type_name: str
    """The message type, where the schema knows the method."""
    data: bytes | None
    """The serialized message, inflated; None if it is not whole or could not be inflated."""
    fields: tuple[Field, ...]
    part: Part
    content: Part | None = None
    """The breakdown of the inflated octets, where the message was compressed."""
    problem: str = ""
    kind: str = "message"
    """Or ``trailers`` (gRPC-Web), or ``end of stream`` (Connect), which are none of the application's."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Flow control after a frame: how many octets of DATA each side may still send (RFC 9113, section 5.2).

    None where the beginning was not recorded, or where the frame belongs to no stream.
    """

    client_connection: int | None
    client_stream: int | None
    server_connection: int | None
    server_stream: int | None


@dataclass(frozen=True, slots=True)
class Frame:
    """One HTTP/2 frame (RFC 9113, section 4.1)."""

    number: int
    time: float
    """When its last octet was seen, in seconds."""
    direction: Direction
    type: int
    type_name: str
    flags: int
    flag_names: tuple[str, ...]
    stream_id: int
    length: int
    missing: int
    """How many octets of its payload were not recorded."""
    part: Part
    windows: Windows
    header_block: HeaderBlock | None = None
    """The header block that ends in this frame."""
    messages: tuple[Message, ...] = ()
    """The messages that end in this frame."""
    events: tuple[str, ...] = ()
    """What the frame does to its call or to the connection."""
    problems: tuple[str, ...] = ()
    """What is wrong with the frame as a whole; what is wrong with one of its parts stands there."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Octets that are no frame: the connection preface, octets lost or not understood, what the end left unfinished."""

    number: int
    time: float
    direction: Direction
    part: Part
    header_block: HeaderBlock | None = None
    messages: tuple[Message, ...] = ()
    events: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def outermost_parts(entry: Frame | Stretch) -> Iterator[Part]:
    """The parts of an entry that are in no other: its own, and those of what ends in it."""
    yield entry.part
    if entry.header_block is not None:
        yield entry.header_block.part
        for header in entry.header_block.fields:
            yield from (detail.part for detail in header.details)
    for message in entry.messages:
        yield message.part
        if message.content is not None:
            yield message.content


def problems_of(entry: Frame | Stretch) -> list[str]:
    """All that is wrong with an entry and its parts."""
    found = list(entry.problems)
    if entry.header_block is not None:
        found += entry.header_block.problems
    parts = (part for outer in outermost_parts(entry) for part in outer.walk())
    return found + [f"{part.label}: {part.problem}" for part in parts if part.problem]


@dataclass(frozen=True, slots=True)
class CallSummary:
    """One call as the recording shows it. Times are seconds; None is what was not seen."""

    stream_id: int
    path: str
    authority: str
    start: float
    end: float | None
    timeout: float | None
    status: int | None
    status_message: str
    outcome: str
    """How it ended, in words."""
    sent_messages: int
    received_messages: int
    sent_octets: int
    received_octets: int
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """A recording with all its octets explained, in the order they were seen."""

    recording: Recording
    entries: tuple[Frame | Stretch, ...]
    calls: tuple[CallSummary, ...]
    buffers: tuple[Buffer, ...]
    """0: what the client sent; 1: what the server sent; then what was inflated or decoded from them."""
    tables: dict[Direction, tuple[TableEntry, ...]] = field(default_factory=dict)
    """All entries that were ever added to the dynamic table of a direction; a `TableState` is a window on them."""

    def octets(self, spans: tuple[Span, ...]) -> bytes:
        """The octets that spans point to."""
        return b"".join(self.buffers[span.buffer].data[span.start : span.end] for span in spans)

    def table(self, direction: Direction, state: TableState) -> tuple[TableEntry, ...]:
        """The dynamic table of a direction at one point, newest entry (index 62) first."""
        return self.tables[direction][state.first : state.end][::-1]

    def parts(self) -> Iterator[Part]:
        """All outermost parts: of frames, stretches, header blocks, messages and inflated contents."""
        for entry in self.entries:
            yield from outermost_parts(entry)

    def leaves(self) -> Iterator[Part]:
        """The parts that are not divided further: together they cover each octet of each buffer once."""
        for part in self.parts():
            yield from part.leaves()

    def problems(self) -> tuple[str, ...]:
        """All that is wrong, each with the number of the frame it was seen in, in order."""
        found = [f"#{entry.number}: {problem}" for entry in self.entries for problem in problems_of(entry)]
        found.extend(f"stream {call.stream_id}: {problem}" for call in self.calls for problem in call.problems)
        return tuple(found)
