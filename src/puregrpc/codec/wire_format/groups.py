"""Messages in groups (encoding guide, "Groups"; feature message_encoding = DELIMITED).

A group says nothing about its length: its end is found by looking through all that is in it. If each level of nesting
did that anew, bytes at depth 100 would be read a hundred times. So what is found out about the groups in a group goes
along with its content.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

from puregrpc.codec.faults import Truncated
from puregrpc.codec.wire_format.tags_and_varints import SMALL_GROUP, group_end

__all__ = ["another_part", "decode_parts", "group"]

_Ends = dict[tuple[int, int], tuple[int, int]]


class _Content(bytes):
    """The content of a group, or of several that are parts of one message."""

    pieces: list[tuple[int, _Ends, int]]
    """Where each part begins; the ends of groups in the outermost group that it is from, by position and tag there;
    and how far positions there are from those here."""


def group(data: bytes, position: int, end: int, tag: int, depth: int) -> tuple[bytes, int]:
    """The content of the group that ``tag`` began, and the position after its end tag."""
    ends: _Ends = {}
    shift = 0
    if type(data) is _Content:
        _, ends, shift = data.pieces[bisect_right(data.pieces, position, key=_begin_of) - 1]
    known = ends.get((position + shift, tag))
    if known is None:
        before, after = group_end(data, position, end, tag, depth, ends, shift)
    else:
        before, after = known[0] - shift, known[1] - shift
        if after > end:
            raise Truncated
    content = data[position:before]
    if len(content) > SMALL_GROUP:
        content = _Content(content)
        content.pieces = [(0, ends, shift + position)]
    return content, after


def _begin_of(piece: tuple[int, _Ends, int]) -> int:
    return piece[0]


def another_part(before: bytes | list[bytes], content: bytes) -> list[bytes]:
    """What was seen of a message before, and another part."""
    if isinstance(before, list):
        before.append(content)
        return before
    return [before, content]


def decode_parts(decode: Callable[[bytes, int, int, int], Any], parts: list[bytes], depth: int) -> Any:
    """A message that came in several groups: they merge as if they were one."""
    whole = _Content(b"".join(parts))
    whole.pieces = []
    begin = 0
    for part in parts:
        if type(part) is _Content:
            whole.pieces += [(begin + at, ends, shift - begin) for at, ends, shift in part.pieces]
        else:
            whole.pieces.append((begin, {}, -begin))
        begin += len(part)
    return decode(whole, 0, len(whole), depth)
