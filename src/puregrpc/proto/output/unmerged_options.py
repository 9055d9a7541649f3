"""Options of runs with a cut-down descriptor.proto, as protoc leaves them.

An option that sets a part of a message becomes a message with that part alone. protoc merges such pieces, and leaves
out what is kept in sources only, by reading the file with the FileDescriptorProto that the run has. Where that message
is not there, or does not lead to an options message, the pieces stay as they are: unknown fields, in their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from puregrpc.proto.descriptors import FieldType, MessageDescriptor
from puregrpc.proto.locate.element_paths import Path
from puregrpc.proto.options.interpreter import Setting
from puregrpc.proto.options.option_bytes import serialize_field
from puregrpc.proto.options.usage_rules import UsageRules
from puregrpc.proto.wire_values import WIRE_TYPES, length_delimited, tag, varint

__all__ = ["as_protoc_knows_them", "leads_to", "serialize_pieces"]

GROUP = 3


def leads_to(file_type: MessageDescriptor, path: Sequence[int], options_type: MessageDescriptor) -> bool:
    """Whether the fields of ``path`` (numbers, with indexes between them) lead from one message to the other."""
    type_: MessageDescriptor | None = file_type
    for number in path[::2]:
        field = next((field for field in type_.fields if field.number == number), None) if type_ is not None else None
        type_ = None if field is None or field.is_delimited else field.message_type
    return type_ is options_type


def serialize_pieces(settings: Iterable[Setting]) -> bytes:
    """Each setting as a message of its own, one behind the other."""
    return b"".join(map(_piece, settings))


def _piece(setting: Setting) -> bytes:
    (*outer, field), value, _ = setting
    data = serialize_field(field, value)
    for each in reversed(outer):
        if each.is_delimited:
            data = tag(each.number, GROUP) + data + tag(each.number, GROUP + 1)
        else:
            data = length_delimited(each.number, data)
    return data


def as_protoc_knows_them(
    data: bytes, type_: MessageDescriptor, rules: UsageRules | None, stripped: list[Path], path: Path = ()
) -> bytes:
    """Options as protoc writes them once it has read them into the message that is built into it.

    The fields that this knows come merged, in the order of their numbers, and the others behind them. ``rules`` say
    which of them are left out; their paths are added to ``stripped``.
    """
    known = {field.number: field for field in type_.fields}
    found: dict[int, list[bytes]] = {}
    unknown = []
    for number, wire_type, value in _records(data):
        field = known.get(number)
        if field is None or wire_type != WIRE_TYPES.get(field.type):
            unknown.append(varint(number << 3 | wire_type) + value)
        elif field.is_repeated:
            found.setdefault(number, []).append(value)
        elif field.type == FieldType.MESSAGE and number in found:
            found[number] = [_joined(found[number][0], value)]
        else:
            found[number] = [value]
    parts = []
    for number in sorted(found):
        field = known[number]
        rule = rules.fields.get(field) if rules is not None else None
        if rule is not None and rule.is_stripped:
            stripped.append((*path, number))
            continue
        for index, value in enumerate(found[number]):
            if field.message_type is None:
                parts.append(varint(number << 3 | WIRE_TYPES[field.type]) + value)
                continue
            inner_path = (*path, number, index) if field.is_repeated else (*path, number)
            inner = as_protoc_knows_them(_content(value), field.message_type, rules, stripped, inner_path)
            parts.append(length_delimited(number, inner))
    return b"".join([*parts, *unknown])


def _joined(first: bytes, second: bytes) -> bytes:
    """Two messages, each with its length, as one: that is how messages merge."""
    content = _content(first) + _content(second)
    return varint(len(content)) + content


def _content(value: bytes) -> bytes:
    _, at = _varint(value, 0)
    return value[at:]


def _records(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(number, wire type, value with its length) of each field of a message that was written here."""
    at = 0
    while at < len(data):
        key, start = _varint(data, at)
        at = _end(data, key, start)
        yield key >> 3, key & 7, data[start:at]


def _end(data: bytes, key: int, at: int) -> int:
    """Where a field ends whose tag ends at ``at``."""
    wire_type = key & 7
    if wire_type == GROUP:
        inner, at = _varint(data, at)
        while inner & 7 != GROUP + 1:
            inner, at = _varint(data, _end(data, inner, at))
        return at
    if wire_type in (1, 5):
        return at + (8 if wire_type == 1 else 4)
    size, at = _varint(data, at)
    return at + size if wire_type == 2 else at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] > 127:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
    return value | data[at] << shift, at + 1
