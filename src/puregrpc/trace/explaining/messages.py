"""One length-prefixed message of a call (PROTOCOL-HTTP2): its prefix, its octets inflated, its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from puregrpc.trace.explaining import rules
from puregrpc.trace.explaining.expansion import Inflation
from puregrpc.trace.explaining.octets import Octets
from puregrpc.trace.explaining.protobuf import explain_message
from puregrpc.trace.explaining.stream import PREFIX_SIZE, CallState, MessageOctets, Side, inflate, prefix_parts
from puregrpc.trace.records import Field, Message, Part, Span

if TYPE_CHECKING:
    from puregrpc.schema import Registry

__all__ = ["OctetStore", "looks_like_whole_messages", "read_message"]


class OctetStore(Protocol):
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
    parts, compressed, length = prefix_parts(octets, side.encoding)
    index = side.messages
    side.messages += 1
    body = octets.cut(PREFIX_SIZE, len(octets))
    inflation.saw(len(body))
    side.message_octets += len(body)
    descriptor = call.message_type(side.direction)
    problem = ""
    fields: tuple[Field, ...] = ()
    data: bytes | None = None
    content: Part | None = None
    name = descriptor.full_name if descriptor is not None else ""
    rule = rules.grpc("Length-Prefixed-Message")
    if not found.complete:
        problem = f"{cut}: {len(body)} of {length} octets are there" if len(octets) >= PREFIX_SIZE else cut
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
            fields, inner = explain_message(inflated, descriptor, registry, inflation.fields)
            content = inflated.part("Inflated message", 0, len(data), f"{len(data)} octets", rule, parts=inner)
    else:
        data = body.data
        fields, inner = explain_message(body, descriptor, registry)
        parts.extend(inner)
    label = f"Message {index}"
    says = f"{name or 'message'}, {length} octets"
    part = octets.part(label, 0, len(octets), says, rule, problem=problem, parts=parts)
    return Message(
        number, side.direction, call.stream_id, index, compressed, side.encoding, length, name, data, fields, part,
        content, problem,
    )  # fmt: skip


def looks_like_whole_messages(data: bytes) -> bool:
    """Whether octets look like whole length-prefixed messages: the sign that a message begins here."""
    position = 0
    while position + PREFIX_SIZE <= len(data):
        if data[position] > 1:
            return False
        position += PREFIX_SIZE + int.from_bytes(data[position + 1 : position + PREFIX_SIZE], "big")
    return position == len(data) and position > 0
