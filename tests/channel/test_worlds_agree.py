"""One world is held against the others: the same scenarios come to the same outcomes on trio, asyncio, threads, gevent.

There is no difference that is accepted. What ended a connection is not compared: it is a matter of chance.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.channel.scenarios import STEPS, Plan, play
from tests.worlds import WORLDS, run

pytestmark = pytest.mark.worlds("trio")

EVERYTHING: Plan = [(name, 3) for name in STEPS]
REFUSED: Plan = [
    ("refuse", 1),
    ("echo", 0),
    ("refuse", 1),
    ("chat", 2),
    ("refuse", 1),
    ("fed", 2),
    ("refuse", 2),
    ("echo", 0),
]
UNAVAILABLE: Plan = [
    *(step for name in ("echo", "many", "chat", "fed", "half") for step in (("unavailable", 2), (name, 2))),
    ("unavailable", 3),
    ("echo", 0),
]
LOST: Plan = [
    ("cut", 0),
    ("echo", 0),
    ("cut stream", 0),
    ("chat", 1),
    ("goodbye", 0),
    ("echo", 0),
    ("goodbye", 0),
    ("many", 4),
]

plans = st.lists(
    st.tuples(st.sampled_from([*STEPS, "refuse", "unavailable"]), st.integers(min_value=0, max_value=6)), max_size=8
)


@settings(max_examples=15)
@example(EVERYTHING)
@example(REFUSED)
@example(UNAVAILABLE)
@example(LOST)
@given(plans)
def check(plan: Plan) -> None:
    outcomes = {world: run(partial(play, plan), world) for world in WORLDS}
    for world, outcome in outcomes.items():
        assert outcome == outcomes["trio"], f"{world} differs from trio in {plan}"


def test_the_worlds_agree(engine: str) -> None:
    check()


def test_gevents_threads_agree(engine: str) -> None:
    if find_spec("gevent") is None:
        pytest.skip("gevent is not installed")
    if engine != "fast":
        return  # a process of its own has the default engine
    plans = [EVERYTHING, REFUSED, UNAVAILABLE, LOST]
    done = subprocess.run(
        [sys.executable, "-m", "tests.channel.gevent_scenarios"],
        input=json.dumps(plans),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    for plan, line in zip(plans, done.stdout.splitlines(), strict=True):
        assert line == repr(run(partial(play, plan), "trio"))
