"""More options and ends at their edges: what is empty, null, of another type or without a unit; ramps from nothing."""

from __future__ import annotations

from conformance.load.untried_cases import flags, options, scenario, threshold

__all__ = ["FURTHER_CASES"]

FURTHER_CASES = [
    options("a ramp from no users", '{"vus": 0, "stages": [{"duration": "1s", "target": 2}]}', compares_counts=False),
    options("no users for a time", '{"vus": 0, "duration": "1s"}'),
    options("no users for iterations", '{"vus": 0, "iterations": 1}'),
    flags("flag: iterations and stages", "--iterations", "1", "--stage", "1s:1", text="{}"),
    flags("flag: a duration below zero", "--duration", "-1s", text="{}"),
    options("no time for setup", '{"iterations": 1, "setupTimeout": "0s"}'),
    options("a duration with a space", '{"duration": "1s 500ms"}'),
    options("a duration in capitals", '{"duration": "1S"}'),
    options("a duration with an exponent", '{"duration": "1e3ms"}'),
    options("a duration with a sign", '{"duration": "+1s"}', compares_counts=False),
    options("milliseconds as text", '{"duration": "1000"}', compares_counts=False),
    options("iterations that are true", '{"iterations": true}'),
    options("options that are a list", "[]"),
    options("options that are a number", "5"),
    options("scenarios that are nothing", '{"scenarios": null, "iterations": 1}'),
    options("no setup, in words", '{"noSetup": "x", "iterations": 1}'),
    options("a column twice", '{"iterations": 1, "summaryTrendStats": ["avg", "avg"]}'),
    options("a time unit that is a number", '{"iterations": 1, "summaryTimeUnit": 5}'),
    options("an empty tag", '{"iterations": 1, "tags": {"a": ""}}'),
    scenario("environment that is a list", '{"executor": "shared-iterations", "env": []}'),
    scenario("a start at once", '{"executor": "shared-iterations", "startTime": 0}'),
    scenario("an executor in capitals", '{"executor": "Shared-Iterations"}'),
    scenario("exec of setup", '{"executor": "shared-iterations", "exec": "setup"}'),
    scenario("exec of options", '{"executor": "shared-iterations", "exec": "options"}'),
    scenario("no graceful stop, as a number", '{"executor": "shared-iterations", "gracefulStop": 0}'),
    scenario("nothing where something may be", '{"executor": "shared-iterations", "gracefulStop": null, "vus": null}'),
    scenario(
        "an unknown key of a stage", '{"executor": "ramping-vus", "stages": [{"duration": "1s", "target": 1, "x": 5}]}'
    ),
    scenario("a target in parts", '{"executor": "ramping-vus", "stages": [{"duration": "1s", "target": 1.5}]}'),
    scenario("a stage that is nothing", '{"executor": "ramping-vus", "stages": [null]}'),
    scenario(
        "users of arrivals below zero",
        '{"executor": "constant-arrival-rate", "rate": 1, "duration": "1s", "preAllocatedVUs": -1}',
    ),
    scenario("vus for arrivals", '{"executor": "constant-arrival-rate", "rate": 1, "duration": "1s", "vus": 1}'),
    scenario(
        "arrivals by text",
        '{"executor": "constant-arrival-rate", "rate": "2", "duration": "1s", "preAllocatedVUs": 1}',
        compares_counts=False,
    ),
    threshold("that is nothing", '{"tt": null}'),
    threshold("in a list that holds nothing", '{"tt": [null]}'),
    threshold("in a list of a list", '{"tt": [["avg<5"]]}'),
    threshold("that aborts in words", '{"tt": [{"threshold": "avg<10", "abortOnFail": "yes"}]}'),
    threshold("on a tag twice", '{"mm{k:v,k:w}": ["max>=0"]}'),
    threshold("with quotes and spaces", '{"mm{ k: \\"v\\" }": ["max>0"]}'),
    threshold("with a brace too many", '{"mm{": ["max>0"]}'),
    threshold("with an end alone", '{"mm}": ["max>0"]}'),
    threshold("without a name", '{"": ["max>0"]}'),
    threshold(
        "that would abort, with and without a delay",
        '{"tt": ["avg<10", {"threshold": "max<11", "abortOnFail": true}, {"threshold": "max<12", "delayAbortEval": "1s"}, {"threshold": "max<13", "abortOnFail": true, "delayAbortEval": "1m30s"}]}',
    ),
]
