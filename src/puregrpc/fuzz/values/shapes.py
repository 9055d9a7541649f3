"""The shape of a message: which fields are set in it."""

from __future__ import annotations

from collections.abc import Iterator

from puregrpc.codec.faults import FAULTS
from puregrpc.codec.wire_format.tags_and_varints import read_fields
from puregrpc.fuzz.values.choices import Path
from puregrpc.fuzz.values.field_values import Dictionary, Scalar
from puregrpc.proto.descriptors import FieldDescriptor, FieldType, MessageDescriptor

__all__ = ["Shape", "covers", "learn", "shape_of"]

Shape = frozenset[Path]
MOST_DEPTH = 8
MOST_FIELDS = 500
INTEGERS = {
    FieldType.INT32, FieldType.INT64, FieldType.UINT32, FieldType.UINT64, FieldType.SINT32, FieldType.SINT64,
    FieldType.ENUM,
}  # fmt: skip


def shape_of(descriptor: MessageDescriptor, octets: bytes) -> Shape:
    """The paths of the fields that are set, of the innermost ones; what cannot be parsed counts as far as it can."""
    found: set[Path] = set()
    _walk(descriptor, octets, 0, len(octets), (), found)
    return frozenset(found)


def covers(smaller: Shape, shape: Shape) -> bool:
    """Whether every field of one shape is set in the other as well, or a field inside it is."""
    return all(any(other[: len(path)] == path for other in shape) for path in smaller)


def _walk(descriptor: MessageDescriptor, octets: bytes, start: int, end: int, path: Path, found: set[Path]) -> None:
    fields = {field.number: field for field in descriptor.fields}
    try:
        for tag, at, stop in read_fields(octets, start, end, 100):
            if len(found) > MOST_FIELDS:
                return
            own = (*path, tag >> 3)
            field = fields.get(tag >> 3)
            if field is not None and field.message_type is not None and tag & 7 == 2 and len(path) < MOST_DEPTH:
                before = len(found)
                _walk(field.message_type, octets, at, stop, own, found)
                if len(found) > before:
                    continue
            found.add(own)
    except (*FAULTS, RecursionError):
        return


def _scalars(
    descriptor: MessageDescriptor, octets: bytes, start: int, end: int, depth: int
) -> Iterator[tuple[FieldDescriptor, Scalar]]:
    fields = {field.number: field for field in descriptor.fields}
    for tag, at, stop in read_fields(octets, start, end, 100):
        field = fields.get(tag >> 3)
        if field is None:
            continue
        if field.message_type is not None:
            if tag & 7 == 2 and depth < 4:
                yield from _scalars(field.message_type, octets, at, stop, depth + 1)
        elif field.type is FieldType.STRING and tag & 7 == 2:
            yield field, octets[at:stop].decode("utf-8", "replace")
        elif field.type is FieldType.BYTES and tag & 7 == 2:
            yield field, octets[at:stop]
        elif field.type in INTEGERS and tag & 7 == 0 and field.type not in (FieldType.SINT32, FieldType.SINT64):
            yield field, at - (1 << 64) if at >> 63 and field.type not in (FieldType.UINT64, FieldType.UINT32) else at


def learn(dictionary: Dictionary, descriptor: MessageDescriptor, octets: bytes) -> None:
    """Keep the values of a message for requests to come."""
    if len(octets) > 4096:
        return
    try:
        for count, (field, value) in enumerate(_scalars(descriptor, octets, 0, len(octets), 0)):
            if count > 50:
                return
            dictionary.add(field.name, value)
    except (*FAULTS, RecursionError):
        return
