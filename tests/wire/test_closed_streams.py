"""What is remembered of streams that are over."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.wire.closed_streams import ClosedStreams, ResetStreams
from puregrpc.wire.limits import REMEMBERED_RESETS

STEPS = st.lists(st.one_of(st.integers(-90, 5), st.integers(-3000, 3000)), max_size=60)


def ids(steps: list[int]) -> list[int]:
    """Odd ids that mostly grow."""
    found, highest = [], 1
    for step in steps:
        found.append(max(1, highest + 2 * step))
        highest = max(highest, found[-1])
    return found


@given(STEPS)
def test_notes_are_kept_of_the_last_streams(steps: list[int]) -> None:
    streams, told = ClosedStreams(64), {}
    highest = -1
    for what, stream_id in enumerate(ids(steps), 1):
        streams.note(stream_id, what)
        if stream_id > highest - 128:
            told[stream_id] = what
        highest = max(highest, stream_id)
    for stream_id in range(max(1, highest - 200), highest + 5, 2):
        assert streams.get(stream_id) == (told.get(stream_id, 0) if stream_id > highest - 128 else 0)


@given(STEPS)
def test_no_reset_is_forgotten_for_good(steps: list[int]) -> None:
    streams, reset = ResetStreams(), set()
    for stream_id in ids(steps):
        streams.add(stream_id)
        reset.add(stream_id)
    assert all(streams.may_have(stream_id) for stream_id in reset)
    for stream_id in range((streams.forgotten + 1) | 1, max(reset, default=1) + 4, 2):
        assert (stream_id in streams) == (stream_id in reset)


def test_even_streams_are_not_taken_for_their_neighbours() -> None:
    closed, reset = ClosedStreams(64), ResetStreams()
    for stream_id in (1, 3, 2 * REMEMBERED_RESETS + 3):
        closed.note(stream_id, 1)
        reset.add(stream_id)
        assert closed.get(stream_id)
        assert stream_id in reset
        for even in (stream_id - 1, stream_id + 1):
            assert not closed.get(even)
            assert even not in reset
            assert not reset.may_have(even)


@pytest.mark.skipif(sys.implementation.name == "pypy", reason="PyPy does not tell what an object takes")
def test_they_take_little() -> None:
    streams = ResetStreams()
    for stream_id in (*range(1, 20_001, 2), 2**31 - 1):
        streams.add(stream_id)
    assert streams.forgotten == 19_999
    assert sys.getsizeof(streams._bits) < REMEMBERED_RESETS


def test_streams_that_are_skipped_take_no_steps() -> None:
    """A peer may skip thousands with each call."""
    streams, lines, before = ClosedStreams(4096), 0, sys.gettrace()

    def trace(_frame: FrameType, event: str, _argument: object) -> Callable[..., Any]:
        nonlocal lines
        lines += event == "line"
        return trace

    sys.settrace(trace)
    try:
        for number in range(50):
            streams.note(2 * 4000 * number + 1, 1)
            streams.note(2 * 100_000 * number + 1_000_001, 1)
    finally:
        sys.settrace(before)
    assert lines < 50 * 2 * 30
