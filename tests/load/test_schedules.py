"""When users and iterations are due, held against the lines that they are to follow."""

from __future__ import annotations

from itertools import islice, pairwise
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.load.schedules import Stage, arrivals, constant_arrivals, share_of, total_duration, user_steps

STAGES = st.lists(st.builds(Stage, st.sampled_from([0.0, 0.5, 1.0, 3.0, 10.0]), st.integers(0, 40)), max_size=6)


def line(start: float, stages: list[Stage], time: float) -> tuple[float, bool]:
    """The value of the line at a time, and whether it goes up there."""
    began, value = 0.0, start
    for duration, target in stages:
        if time < began + duration:
            return value + (target - value) * (time - began) / duration, target >= value
        began += duration
        value = target
    return value, True


@given(st.integers(0, 40), STAGES)
def test_users_follow_the_line(start: int, stages: list[Stage]) -> None:
    steps = list(user_steps(start, stages))
    assert steps[0] == (0.0, start)
    assert steps[-1][1] == (stages[-1].target if stages else start)
    assert [time for time, _ in steps] == sorted(time for time, _ in steps)
    for (time, users), (later, _) in pairwise(steps):
        if later - time > 1e-6:
            wanted, goes_up = line(start, stages, (time + later) / 2)
            assert users == (floor(wanted + 1e-9) if goes_up else ceil(wanted - 1e-9))


@given(st.integers(1, 10_000), st.floats(0.01, 10))
def test_a_constant_rate_begins_each_at_its_time(rate: int, duration: float) -> None:
    times = list(islice(constant_arrivals(rate, duration), 5_000))
    assert times[0] == 0
    assert all(time < duration for time in times)
    assert times == pytest.approx([number / rate for number in range(len(times))])
    if len(times) < 5_000:
        assert len(times) == ceil(rate * duration) or len(times) == pytest.approx(rate * duration, abs=1)


def summed_up(start: float, stages: list[Stage], time: float) -> float:
    """The area under the line up to a time."""
    began, rate, area = 0.0, start, 0.0
    for duration, target in stages:
        passed = min(max(time - began, 0.0), duration)
        if duration:
            area += rate * passed + (target - rate) * passed**2 / (2 * duration)
        began += duration
        rate = target
    return area


@given(st.integers(0, 40), STAGES)
def test_a_changing_rate_begins_each_when_the_sum_reaches_its_number(start: int, stages: list[Stage]) -> None:
    times = list(arrivals(start, stages))
    assert times == sorted(times)
    assert len(times) == floor(summed_up(start, stages, total_duration(stages)) + 1e-6)
    for number, time in enumerate(times, 1):
        assert summed_up(start, stages, time) == pytest.approx(number, abs=1e-4)


@given(st.integers(0, 10_000), st.integers(1, 64))
def test_the_shares_of_workers_make_the_whole(total: int, workers: int) -> None:
    shares = [share_of(total, index, workers) for index in range(workers)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1
