"""Some connections of a capture, some calls of a connection."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.trace.conversations import Script
from tests.trace.test_explainer import whole_conversation

from puregrpc.errors import InvalidArgument
from puregrpc.trace import Frame, Recording, explain
from puregrpc.trace.showing.ladder import Ladder, plain
from puregrpc.trace.showing.page import html_page
from puregrpc.trace.showing.selection import Selection, describe_recording

FIRST = replace(whole_conversation(), client="127.0.0.1:5000", server="[::1]:443")
SECOND = replace(Script().unary().recording(), client="127.0.0.1:5001", server="unix")


@pytest.mark.parametrize(
    ("selection", "numbers"),
    [
        (Selection(), [1, 2]),
        (Selection(connections=(2,)), [2]),
        (Selection(ports=(443, 5001)), [1, 2]),
        (Selection(connections=(1, 2), ports=(5001,)), [2]),
    ],
)
def test_connections_are_chosen(selection: Selection, numbers: list[int]) -> None:
    assert [number for number, _ in selection.of_recordings([FIRST, SECOND])] == numbers


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(InvalidArgument, match="there is no connection 3: the capture has 2"):
        Selection(connections=(3,)).of_recordings([FIRST, SECOND])
    with pytest.raises(InvalidArgument, match=r"no connection has this port; there are 443, 5000, 5001"):
        Selection(ports=(80,)).of_recordings([FIRST, SECOND])
    with pytest.raises(InvalidArgument, match=r"there are streams 1, 3; methods /hello\.HelloService/SayHello"):
        Selection(streams=(9,)).refuse_nothing([explain(FIRST)])


@pytest.mark.parametrize(
    ("selection", "streams"),
    [
        (Selection(), {0, 1, 3}),
        (Selection(streams=(3,)), {3}),
        (Selection(methods=("SayHello",)), {1, 3}),
        (Selection(methods=("hello.HelloService",), streams=(1,)), {1}),
        (Selection(methods=("/hello.HelloService/SayHello",)), {1, 3}),
        (Selection(methods=("Hello",)), set()),
    ],
)
def test_calls_are_chosen(selection: Selection, streams: set[int]) -> None:
    selected = selection.of(explain(FIRST))
    assert {entry.stream_id for entry in selected.entries if isinstance(entry, Frame)} == streams
    assert {call.stream_id for call in selected.calls} == streams - {0}
    plain(Ladder().lines(selected))
    html_page(selected)


def test_a_connection_in_one_line() -> None:
    assert describe_recording(1, SECOND).startswith("   1  127.0.0.1:5001 → unix  ")
    assert describe_recording(1, SECOND).endswith("s  HTTP/2")
    assert (
        describe_recording(2, Recording())
        == "   2  client → server  0 + 0 octets in 0.000 s  no HTTP/2 at its beginning"
    )
