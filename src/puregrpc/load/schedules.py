"""When things are to happen: how many users a ramp wants, and when the iterations of an arrival rate are due. No clock.

Times are seconds from the begin of the scenario.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import sqrt
from typing import NamedTuple

__all__ = ["Stage", "arrivals", "constant_arrivals", "share_of", "total_duration", "user_steps"]


class Stage(NamedTuple):
    """A target, and how long it takes to get there from the one before, along a straight line."""

    duration: float
    target: float


def total_duration(stages: Iterable[Stage]) -> float:
    """How long the stages take together."""
    return sum(stage.duration for stage in stages)


def user_steps(start: int, stages: Sequence[Stage]) -> Iterator[tuple[float, int]]:
    """Each change of the number of users: when, and to how many. The first is the number at the begin.

    On the way up a user begins when the line reaches its number, and on the way down ends when the line has left it.
    """
    yield 0.0, start
    began, current = 0.0, start
    for duration, wanted in stages:
        target = int(wanted)
        if duration <= 0:
            if target != current:
                yield began, target
        else:
            pace = duration / abs(target - current) if target != current else 0.0
            if target > current:
                for number in range(current + 1, target + 1):
                    yield began + (number - current) * pace, number
            else:
                for number in range(current - 1, target - 1, -1):
                    yield began + (current - number) * pace, number
        began += duration
        current = target


def constant_arrivals(rate: float, duration: float) -> Iterator[float]:
    """When each iteration of a constant ``rate`` a second is due, before ``duration``; the first at once."""
    if rate <= 0:
        return
    number = 0
    while (due := number / rate) < duration:
        yield due
        number += 1


def arrivals(start: float, stages: Sequence[Stage]) -> Iterator[float]:
    """When each iteration is due if the rate a second goes from ``start`` along the stages.

    Iteration N is due when the rate, summed up over time, reaches N.
    """
    began, rate, done = 0.0, start, 0.0
    number = 1
    for duration, target in stages:
        if duration > 0:
            whole = done + (rate + target) / 2 * duration
            slope = (target - rate) / duration
            while number <= whole + 1e-9:
                yield began + min(time_of(number - done, rate, slope), duration)
                number += 1
            done = whole
        began += duration
        rate = target


def time_of(amount: float, rate: float, slope: float) -> float:
    """When a rate that begins with ``rate`` and grows by ``slope`` a second has summed up to ``amount``."""
    if amount <= 0:
        return 0.0
    root = sqrt(max(rate * rate + 2 * slope * amount, 0.0))
    # Of the two ways to write the solution of a quadratic equation, the one that subtracts nothing from its like.
    return 2 * amount / (rate + root) if rate + root > 0 else 0.0


def share_of(total: int, index: int, workers: int) -> int:
    """How many of ``total`` things worker ``index`` (from 0) of ``workers`` has; the first ones have one more."""
    return total // workers + (index < total % workers)
