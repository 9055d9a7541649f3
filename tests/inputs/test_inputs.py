"""Hostile input costs what its size is worth, and raises what is documented."""

from __future__ import annotations

import time

import pytest

from tests.inputs import INPUTS
from tests.proto.test_growth import ALLOWED, GROWTH, counting

SMALL = 2_000


@pytest.mark.parametrize("name", INPUTS)
def test_cost_grows_as_the_input_does(name: str) -> None:
    counts = []
    for size in (SMALL, SMALL * GROWTH):
        work = INPUTS[name](size)
        work()
        with counting() as count:
            work()
        counts.append(count[0])
    assert counts[1] <= ALLOWED * counts[0] + 2_000


@pytest.mark.parametrize("name", INPUTS)
def test_nothing_takes_long(name: str) -> None:
    """What is quadratic inside C does not show in steps."""
    work = INPUTS[name](60_000)
    begin = time.process_time()
    work()
    assert time.process_time() - begin < 4
