"""One length-prefixed message of a call (PROTOCOL-HTTP2): its prefix, its octets inflated, its fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Protocol as Interface

from puregrpc.trace.explaining import rules
from puregrpc.trace.explaining.expansion import Expansion, Inflation
from puregrpc.trace.explaining.octets import Octets
from puregrpc.trace.explaining.protobuf import explain_message
from puregrpc.trace.explaining.protocols import Protocol, is_json
from puregrpc.trace.explaining.stream import (
    END_STREAM_FLAG,
    PREFIX_SIZE,
    TRAILERS_FLAG,
    CallState,
    MessageOctets,
    Side,
    inflate,
    prefix_parts,
)
from puregrpc.trace.records import Field, Message, Part, Span
from puregrpc.trace.text import printable

if TYPE_CHECKING:
    from puregrpc.proto.descriptors import MessageDescriptor
    from puregrpc.schema import Registry

__all__ = ["OctetStore", "looks_like_whole_messages", "read_message"]


class OctetStore(Interface):
    """Where the octets of a recording are kept, and those that were unpacked from them."""

    def join(self, spans: tuple[Span, ...]) -> Octets:
        """The octets of spans, put together."""

    def unpack(self, name: str, data: bytes) -> Octets:
        """Octets that were inflated or decoded, as a buffer of their own."""


def read_message(
    store: OctetStore,
    registry: Registry | None,
    call: CallState,
    side: Side,
    found: MessageOctets,
    number: int,
    inflation: Inflation,
    cut: str = "",
) -> Message:
    """Explain a message and count it for its side; ``cut`` says why it is not whole, if it is not."""
    octets = store.join(found.spans)
    parts: list[Part] = []
    is_bare = side.protocol is Protocol.CONNECT_UNARY
    if is_bare:
        flags, length = int(side.encoding != "identity"), len(octets)
        body = octets
    else:
        parts, flags, length = prefix_parts(octets, side)
        body = octets.cut(PREFIX_SIZE, len(octets))
    kind = _kind(side.protocol, flags)
    index = side.messages
    side.messages += kind == "message"
    inflation.saw(len(body))
    side.message_octets += len(body)
    descriptor = call.message_type(side.direction) if kind == "message" else None
    problem = ""
    fields: tuple[Field, ...] = ()
    data: bytes | None = None
    content: Part | None = None
    name = descriptor.full_name if descriptor is not None else ""
    rule = rules.grpc("Length-Prefixed-Message")
    compressed = bool(flags & 1) or (flags > 1 and kind == "message")
    reader = _BodyReader(kind, descriptor, registry, is_text=is_json(side.content_type))
    if not found.complete:
        problem = f"{cut}: {len(body)} of {length} octets are there" if is_bare or len(octets) >= PREFIX_SIZE else cut
        if len(body):
            parts.append(body.part("Part of the message", 0, len(body), f"{len(body)} octets", rule))
    elif compressed:
        data, problem = inflate(body.data, side.encoding, inflation.octets.left)
        if len(body):
            says = f"{len(body)} octets" + (f" inflate to {len(data)}" if data is not None else "")
            compressed_rule = rules.grpc("Message-Encoding")
            parts.append(body.part(f"{side.encoding} data", 0, len(body), says, compressed_rule))
        if data is not None:
            inflation.octets.made += len(data)
            inflated = store.unpack(f"message {number} inflated", data)
            fields, inner = reader.read(inflated, inflation.fields)
            content = inflated.part("Inflated message", 0, len(data), f"{len(data)} octets", rule, parts=inner)
    else:
        data = body.data
        fields, inner = reader.read(body, None)
        parts.extend(inner)
    label = f"Message {index}" if kind == "message" else kind.capitalize()
    says = f"{name or kind}, {length} octets"
    part = octets.part(label, 0, len(octets), says, rule, problem=problem, parts=parts)
    return Message(
        number, side.direction, call.stream_id, index, compressed, side.encoding, length, name, data, fields, part,
        content, problem, kind,
    )  # fmt: skip


def _kind(protocol: Protocol, flags: int) -> str:
    if protocol.is_web and flags & TRAILERS_FLAG:
        return "trailers"
    return "end of stream" if protocol is Protocol.CONNECT_STREAM and flags & END_STREAM_FLAG else "message"


@dataclass(frozen=True, slots=True)
class _BodyReader:
    """Reads what a message holds."""

    kind: str
    descriptor: MessageDescriptor | None
    registry: Registry | None
    is_text: bool

    def read(self, octets: Octets, expansion: Expansion | None) -> tuple[tuple[Field, ...], tuple[Part, ...]]:
        """Its fields, and the parts that cover its octets."""
        if self.kind == "trailers":
            return (), _trailers(octets)
        if self.kind == "end of stream" or self.is_text:
            rule = rules.connect() if self.kind == "end of stream" else None
            text = octets.part("JSON", 0, len(octets), printable(octets.data), rule)
            return (), (text,) if len(octets) else ()
        return explain_message(octets, self.descriptor, self.registry, expansion)


def _trailers(octets: Octets) -> tuple[Part, ...]:
    """A part for each line."""
    parts = []
    position = 0
    for line in octets.data.splitlines(keepends=True):
        name, colon, value = line.partition(b":")
        problem = "" if colon else "not a name, a colon and a value"
        label = printable(name.strip(), 40) or "Line"
        end = position + len(line)
        parts.append(octets.part(label, position, end, printable(value.strip()), rules.grpc_web(), problem=problem))
        position = end
    return tuple(parts)


def looks_like_whole_messages(data: bytes) -> bool:
    """Whether octets look like whole length-prefixed messages: the sign that a message begins here."""
    position = 0
    while position + PREFIX_SIZE <= len(data):
        if data[position] > 1:
            return False
        position += PREFIX_SIZE + int.from_bytes(data[position + 1 : position + PREFIX_SIZE], "big")
    return position == len(data) and position > 0
