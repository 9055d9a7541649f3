"""Scenarios with async functions and with plain ones in one run; what ``setup`` gives to each user."""

from __future__ import annotations

import time

import pytest

from puregrpc.load import Result, run
from puregrpc.load.copies import own_copy
from tests.load.conftest import Write

MIXED = """
from puregrpc import AsyncClient, Client, StatusOK, check, sleep
from puregrpc.load import vu
client, plain_client = AsyncClient(), Client()
for each in (client, plain_client):
    each.load([], "hello.proto")
options = {"scenarios": {
    "async": {"executor": "per-vu-iterations", "vus": 2, "iterations": 5},
    "plain": {"executor": "shared-iterations", "vus": 3, "iterations": 9, "exec": "plain"},
    "rate": {"executor": "constant-arrival-rate", "rate": 20, "duration": "500ms", "preAllocatedVUs": 10,
             "exec": "plain", "tags": {"kind": "rate"}},
}}

async def init():
    await client.connect(TARGET, plaintext=True)

async def default():
    response = await client.invoke("hello.HelloService/SayHello", {"greeting": "Bert"})
    check(response, {"status is OK": lambda response: response.status == StatusOK})

def plain(data):
    if vu.iteration == 0:
        plain_client.connect(TARGET, plaintext=True)
        vu.tag(who=vu.id)
    sleep(0.02)
    response = plain_client.invoke("hello.HelloService/SayHello", {"greeting": data["name"]})
    check(response, {"status is OK": lambda response: response.status == StatusOK})

def setup():
    return {"name": "Bert"}
"""


def count(result: Result, selector: str) -> float:
    return result.metrics.value(selector, "count")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_async_and_plain_scenarios_in_one_run(write: Write, loop: str) -> None:
    pytest.importorskip(loop)
    result = run(write(MIXED), {"loop": loop})
    assert (result.exit_status, result.problem) == (0, "")
    assert count(result, "iterations{scenario:async}") == 10
    assert count(result, "iterations{scenario:plain}") == 9
    assert count(result, "iterations{kind:rate}") == 10
    assert result.metrics.value("checks", "passes") == 29
    assert count(result, "grpc_req_duration{scenario:plain,status:0}") == 9
    assert sum(count(result, f"grpc_req_duration{{scenario:plain,who:{who}}}") for who in range(1, 16)) == 9
    assert count(result, "grpc_req_planned_duration{scenario:rate}") == 10


def test_plain_iterations_beside_async_ones_are_interrupted_and_may_raise_and_abort(write: Write) -> None:
    options = {
        "scenarios": {
            "async": {"executor": "per-vu-iterations"},
            "sleepers": {
                "executor": "constant-vus",
                "vus": 2,
                "duration": "300ms",
                "gracefulStop": "0s",
                "exec": "long",
            },
            "raisers": {"executor": "per-vu-iterations", "iterations": 2, "exec": "bad"},
        }
    }
    script = """
from puregrpc import sleep
async def default(): pass
def long(): sleep(30)
def bad(): raise ValueError("no")
"""
    began = time.monotonic()
    result = run(write(script), options)
    assert time.monotonic() - began < 15
    assert (result.exit_status, result.interrupted, result.completed) == (0, 2, 3)
    assert count(result, "iteration_errors{error:ValueError}") == 2
    aborting = f"{script}\nfrom puregrpc.load import abort\ndef end(): abort('enough')"
    scenarios = {**options["scenarios"], "ends": {"executor": "per-vu-iterations", "exec": "end", "startTime": "100ms"}}
    result = run(write(aborting), {"scenarios": scenarios})
    assert result.exit_status == 108
    assert "enough" in result.problem


@pytest.mark.parametrize("start", ["async def", "def"])
def test_users_do_not_see_what_others_make_of_setups_data(write: Write, start: str) -> None:
    script = f"""
from puregrpc import check
SHARED = tuple(range(1000))
def setup():
    return {{"n": 1, "list": [1, (2, [3])], "shared": SHARED}}
{start} default(data):
    data["n"] += 1
    data["list"][1][1].append(4)
    check(data, {{"own": lambda d: d["n"] <= 3 and len(d["list"][1][1]) <= 3}})
    check(data, {{"shared": lambda d: d["shared"] is SHARED}})
def teardown(data):
    check(data, {{"untouched": lambda d: d["n"] == 1 and d["list"][1][1] == [3]}})
"""
    result = run(write(script), {"scenarios": {"s": {"executor": "per-vu-iterations", "vus": 3, "iterations": 2}}})
    assert result.exit_status == 0
    assert result.metrics.value("checks", "fails") == 0
    assert result.data["setup_data"]["n"] == 1


def test_what_cannot_be_changed_is_not_copied() -> None:
    for value in (None, "text", 7, b"bytes", ("a", (1, 2.5)), frozenset({1}), object(), range(3)):
        assert own_copy(value) is value
    circle: list[object] = []
    circle.append(circle)
    assert own_copy(circle) is circle


def test_an_iteration_that_is_due_at_the_very_end_is_begun(write: Write) -> None:
    stages = [
        {"duration": "300ms", "target": 30},
        {"duration": "0s", "target": 20},
        {"duration": "500ms", "target": 20},
    ]
    scenario = {"executor": "ramping-arrival-rate", "startRate": 10, "preAllocatedVUs": 3, "stages": stages}
    result = run(write("def default(): pass"), {"scenarios": {"s": scenario}})
    assert (result.completed, result.dropped) == (16, 0)
