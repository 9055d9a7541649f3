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
from puregrpc.codec.wire_format.content import Content, Ends, budget_of
from puregrpc.codec.wire_format.tags_and_varints import SMALL_GROUP, group_end

__all__ = ["another_part", "decode_parts", "group"]


def group(data: bytes, position: int, end: int, tag: int, depth: int) -> tuple[bytes, int]:
    """The content of the group that ``tag`` began, and the position after its end tag."""
    ends: Ends = {}
    shift = 0
    budget = None
    if type(data) is Content:
        budget = data.budget
        if data.pieces is not None:
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
        content = Content(content)
        content.pieces = [(0, ends, shift + position)]
        content.budget = budget
    return content, after


def _begin_of(piece: tuple[int, Ends, int]) -> int:
    return piece[0]


def another_part(before: bytes | list[bytes], content: bytes) -> list[bytes]:
    """What was seen of a message before, and another part."""
    if isinstance(before, list):
        before.append(content)
        return before
    return [before, content]


def decode_parts(decode: Callable[[bytes, int, int, int], Any], parts: list[bytes], data: bytes, depth: int) -> Any:
    """A message that came in several groups of ``data``: they merge as if they were one."""
    whole = Content(b"".join(parts))
    whole.budget = budget_of(data)
    whole.pieces = pieces = []
    of_small: Ends = {}  # by position in the whole
    begin = 0
    for part in parts:
        if type(part) is Content and part.pieces is not None:
            pieces += [(begin + at, ends, shift - begin) for at, ends, shift in part.pieces]
        elif not pieces or pieces[-1][1] is not of_small:
            pieces.append((begin, of_small, 0))
        begin += len(part)
    return decode(whole, 0, len(whole), depth)
