"""SourceCodeInfo, serialized."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.proto.locate.source_info import Location, Path, SourceInfo
from puregrpc.proto.wire_values import length_delimited, tag, varint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from puregrpc.proto.parse.lexer import ExactTokens

__all__ = ["serialize_source_info"]


def serialize_source_info(info: SourceInfo, interpreted: Mapping[Path, Path], stripped: set[Path]) -> bytes:
    """SourceCodeInfo, serialized.

    ``interpreted`` maps the path of each option as it was written to that of what it sets. Locations at or below a
    path in ``stripped`` are left out.
    """
    parts = []
    tokens = info.tokens
    for location in info.locations:
        path = location.path
        path = interpreted.get(path, path)
        if stripped and any(path[:length] in stripped for length in range(1, len(path) + 1)):
            continue
        parts.append(length_delimited(1, _location(location, path, tokens)))
    return b"".join(parts)


PATH_TAG = tag(1, 2)
SPAN_TAG = tag(2, 2)


def _location(location: Location, path: Path, tokens: ExactTokens) -> bytes:
    line, column = tokens.start(location.start)
    if location.end >= 0:
        end_line = tokens.start(location.end)[0]
        end_column = tokens.position(tokens.ends[location.end])[1]
    else:
        end_line = end_column = 0
    span = [line, column, end_line, end_column] if end_line != line else [line, column, end_column]
    body = _packed(PATH_TAG, path) + _packed(SPAN_TAG, span)
    if location.leading:
        body += length_delimited(3, location.leading.encode("latin-1"))
    if location.trailing:
        body += length_delimited(4, location.trailing.encode("latin-1"))
    for comment in location.detached:
        body += length_delimited(6, comment.encode("latin-1"))
    return body


def _packed(number_tag: bytes, values: Sequence[int]) -> bytes:
    """A packed field of varints, nearly always of one byte each."""
    if not values:
        return b""
    packed = bytes(values) if max(values) < 128 else b"".join(map(varint, values))
    return number_tag + varint(len(packed)) + packed
