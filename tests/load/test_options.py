"""Options: what makes which scenario, in k6's words, and what is wrong with those that cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from puregrpc.load.options import read_options
from puregrpc.load.problems import LoadError
from puregrpc.load.scenarios import RampingVus


@pytest.mark.parametrize(
    ("script", "command", "text"),
    [
        ({}, {}, "1 iterations for each of 1 VUs (maxDuration: 10m0s, gracefulStop: 30s)"),
        ({"vus": 10, "duration": "30s"}, {}, "10 looping VUs for 30s (gracefulStop: 30s)"),
        ({"scenarios": {}}, {}, "1 iterations for each of 1 VUs (maxDuration: 10m0s, gracefulStop: 30s)"),
        ({"vus": 10, "duration": 1500}, {}, "10 looping VUs for 1.5s (gracefulStop: 30s)"),
        (
            {"vus": 2, "iterations": 10},
            {},
            "10 iterations shared among 2 VUs (maxDuration: 10m0s, gracefulStop: 30s)",
        ),
        (
            {"vus": 2, "iterations": 10, "duration": "1m"},
            {},
            "10 iterations shared among 2 VUs (maxDuration: 1m0s, gracefulStop: 30s)",
        ),
        (
            {"stages": [{"duration": "1m", "target": 20}, {"duration": "30s", "target": 0}]},
            {},
            "Up to 20 looping VUs for 1m30s over 2 stages (gracefulRampDown: 30s, gracefulStop: 30s)",
        ),
        (
            {"vus": 0, "stages": [{"duration": "1m", "target": 20}], "thresholds": {"checks": None}},
            {},
            "Up to 20 looping VUs for 1m0s over 1 stages (gracefulRampDown: 30s, gracefulStop: 30s)",
        ),
        ({"vus": 10, "duration": "30s"}, {"vus": 3}, "3 looping VUs for 30s (gracefulStop: 30s)"),
        (
            {"scenarios": {"a": {"executor": "constant-vus", "duration": "1s"}}},
            {"vus": 3, "iterations": 4},
            "4 iterations shared among 3 VUs (maxDuration: 10m0s, gracefulStop: 30s)",
        ),
        (
            {},
            {"rate": "120/m", "duration": "10s", "vus": 5},
            "2.00 iterations/s for 10s (maxVUs: 5, gracefulStop: 30s)",
        ),
        (
            {
                "scenarios": {
                    "a": {
                        "executor": "ramping-arrival-rate", "startRate": 5, "timeUnit": "1s", "preAllocatedVUs": 2,
                        "maxVUs": 9, "stages": [{"duration": "10s", "target": 50}], "exec": "other",
                        "startTime": "3s", "gracefulStop": "0s",
                    }
                }
            },
            {},
            "Up to 50.00 iterations/s for 10s over 1 stages (maxVUs: 2-9, startTime: 3s, exec: other)",
        ),
    ],
)  # fmt: skip
def test_what_is_run(script: dict[str, Any], command: dict[str, Any], text: str) -> None:
    options = read_options(script, command)
    assert [scenario.text for scenario in options.scenarios] == [text]


def test_names_are_k6s_or_pythons() -> None:
    scenario = {"executor": "ramping-vus", "start_vus": 3, "graceful_ramp_down": "1s", "stages": [
        {"duration": "1s", "target": 1}]}  # fmt: skip
    options = read_options({"scenarios": {"s": scenario}, "summary_trend_stats": ["p(99)"], "setupTimeout": "5s"})
    (found,) = options.scenarios
    assert isinstance(found, RampingVus)
    assert (found.start_vus, found.graceful_ramp_down) == (3, 1.0)
    assert options.summary_trend_stats == ("p(99)",)
    assert options.setup_timeout == 5.0


def one(**fields: Any) -> dict[str, Any]:
    return {"scenarios": {"s": fields}}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"durration": "1s"}, "there is no option 'durration' (is 'duration' meant?)"),
        ({"duration": "1 year"}, 'options.duration: time: unknown unit " year" in duration "1 year"'),
        ({"vus": "many", "duration": "1s"}, "options.vus: a whole number is expected, not 'many'"),
        ({"vus": 0, "duration": "1s"}, "options.vus: it is at least 1, and this is 0"),
        ({"setupTimeout": 0, "iterations": 1}, "options.setupTimeout: it is more than 0, and this is 0"),
        ({"thresholds": {"checks": [{"threshold": "rate>1", "abortOnFail": "no"}]}}, "abortOnFail: True or False is"),
        ({"rate": 5}, "rate needs a duration"),
        ({"stages": [], "duration": "1s"}, "stages cannot be combined with duration, iterations or rate"),
        ({"stages": [{"target": 1}]}, "a stage has a duration and a target"),
        (one(executor="constant-users"), "scenarios.s: there is no executor 'constant-users'; there are shared-"),
        (one(), "scenarios.s: it has no executor"),
        (one(executor="constant-vus"), "scenarios.s: duration is needed, and more than 0"),
        (one(executor="constant-vus", duration="1s", rate=3), "scenarios.s: there is no option 'rate'"),
        (one(executor="shared-iterations", vus=3, iterations=2), "iterations (2) is less than that of users (3)"),
        (one(executor="constant-arrival-rate", rate=3, duration="1s"), "preAllocatedVUs is needed"),
        (
            one(executor="constant-arrival-rate", rate=3, duration="1s", preAllocatedVUs=3, maxVUs=2),
            "maxVUs (2) is less than preAllocatedVUs (3)",
        ),
        ({"scenarios": {"a b": {"executor": "constant-vus"}}}, "the name of a scenario is made of letters"),
        ({"scenarios": {"s": {}}, "vus": 1, "duration": "1s"}, "they cannot be combined"),
        ({"thresholds": {"checks": "rate>>1"}}, "options.thresholds['checks']: 'rate>>1' is not a threshold"),
        ({"summaryTrendStats": ["p(101)"]}, "a trend has avg, min, med, max, count and p(N), not 'p(101)'"),
        ({"loop": "twisted"}, "there are asyncio, uvloop, trio, not 'twisted'"),
        ([], "options: a dict is expected, not list"),
    ],
)
def test_what_cannot_be(options: Any, said: str) -> None:
    with pytest.raises(LoadError) as caught:
        read_options(options)
    assert said in str(caught.value)
    assert caught.value.exit_status == 104


def test_whole_numbers_may_be_text_as_the_environment_has_them() -> None:
    (scenario,) = read_options({"vus": "3", "iterations": "12"}).scenarios
    assert scenario.text == "12 iterations shared among 3 VUs (maxDuration: 10m0s, gracefulStop: 30s)"
    for wrong in ("", "x", "1.5", "-1", "9" * 20):
        with pytest.raises(LoadError):
            read_options({"vus": wrong, "iterations": 12})
