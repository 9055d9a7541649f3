"""How the time of a run is divided among its phases, and what is done again and again in them."""

from __future__ import annotations

import pytest
from tests.fuzz.zoo import SHOP

from puregrpc.fuzz import LinkOptions, Target
from puregrpc.fuzz.cases.case import case_from_json, case_to_json
from puregrpc.fuzz.cases.headers import request_fields
from puregrpc.fuzz.checks.words import Profile
from puregrpc.fuzz.engine import measuring as engine
from puregrpc.fuzz.engine.fuzzer import Fuzzer
from puregrpc.fuzz.engine.options import Options
from puregrpc.fuzz.measures.growth import cancelling
from puregrpc.schema import Registry, load_files

SHARES = (0.06, 0.07, 0.09, 0.23, 0.55, 0.83, 0.95, 1.0)


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(engine, "time", clock)
    return clock


def made() -> Fuzzer:
    registry = Registry()
    load_files(registry, [str(SHOP.parent)], SHOP.name)
    methods = [method for service in registry.services for method in service.methods]
    fuzzer = Fuzzer(Target(LinkOptions("127.0.0.1", 1)), registry, methods, Options(time=60.0))
    fuzzer._begun, fuzzer._until = 1000.0, 1060.0
    return fuzzer


def test_a_phase_has_its_share(clock: Clock) -> None:
    fuzzer = made()
    for share in SHARES[3:]:
        until = fuzzer._until_share(share)
        assert until == pytest.approx(1000 + 60 * share)
        clock.now = until


def test_what_a_phase_took_too_long_is_taken_from_all_that_follow(clock: Clock) -> None:
    fuzzer = made()
    assert fuzzer._until_share(0.1) == pytest.approx(1006)
    clock.now = 1033.0
    lengths = []
    for share in (0.4, 0.7, 1.0):
        until = fuzzer._until_share(share)
        lengths.append(until - clock.now)
        clock.now = until
    assert lengths == pytest.approx([9, 9, 9])


def test_what_a_phase_leaves_over_is_for_all_that_follow(clock: Clock) -> None:
    fuzzer = made()
    fuzzer._until_share(0.5)
    assert fuzzer._until_share(0.75) == pytest.approx(1030)


def test_phases_that_come_late_have_some_time_but_none_after_the_end(clock: Clock) -> None:
    fuzzer = made()
    clock.now = 1055.0
    assert fuzzer._until_share(0.01) == pytest.approx(1055 + 60 * engine.LEAST_SHARE)
    clock.now = 1059.5
    assert fuzzer._until_share(0.5) == 1060.0
    assert fuzzer._until_share(1.0) == 1060.0
    assert fuzzer._until_share(1.0) == 1060.0


def test_calls_that_are_cancelled_are_a_case_that_can_be_kept() -> None:
    fuzzer = made()
    profile: Profile = next(iter(fuzzer.profiles.values()))
    profile.fields = request_fields(profile.path, "localhost", scheme="http", timeout="2S", more=())
    profile.octets = b"\x0a\x01a"
    case = cancelling(profile)
    assert case.calls == sum(step.kind == "reset" for step in case.steps) == 240
    assert case_from_json(case_to_json(case)).steps == case.steps
