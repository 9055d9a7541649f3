"""Runs from their begin to their end, in all worlds, against a server in this process."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from puregrpc.client.params.definitions import script_folder
from puregrpc.load import LoadError, Observer, Result, Status, run
from puregrpc.load.options import Options
from tests.load.conftest import Write

ASYNC = """
from puregrpc import AsyncClient, StatusOK, check
client = AsyncClient()
client.load([], "hello.proto")

async def init():
    await client.connect(TARGET, plaintext=True)

async def default():
    response = await client.invoke("hello.HelloService/SayHello", {"greeting": "Bert"})
    check(response, {"status is OK": lambda response: response.status == StatusOK})
"""
TRIO = f"import trio\n{ASYNC}"
THREADS = """
from puregrpc import Client, StatusOK, check
client = Client()
client.load([], "hello.proto")

def init():
    client.connect(TARGET, plaintext=True)

def default():
    response = client.invoke("hello.HelloService/SayHello", {"greeting": "Bert"})
    check(response, {"status is OK": lambda response: response.status == StatusOK})
"""
WORLDS = {"asyncio": ASYNC, "trio": TRIO, "threads": THREADS}


def count(result: Result, selector: str) -> float:
    return result.metrics.value(selector, "count")


@pytest.mark.parametrize("world", WORLDS)
def test_shared_iterations(write: Write, world: str) -> None:
    result = run(write(WORLDS[world]), {"vus": 3, "iterations": 20})
    assert (result.exit_status, result.problem) == (0, "")
    assert (result.completed, result.interrupted, result.dropped) == (20, 0, 0)
    assert count(result, "iterations") == count(result, "iteration_duration") == 20
    assert count(result, "grpc_req_duration{scenario:default,status:0,method:SayHello}") == 20
    assert result.metrics.value("checks{check:status is OK}", "passes") == 20
    assert count(result, "data_sent") > 20 * 10
    assert "✓ status is OK" in result.summary
    assert "iterations..............: 20 " in result.summary


@pytest.mark.parametrize("world", WORLDS)
def test_constant_vus(write: Write, world: str) -> None:
    began = time.monotonic()
    result = run(write(WORLDS[world]), {"vus": 4, "duration": "500ms"})
    assert 0.5 <= time.monotonic() - began < 20
    assert result.completed >= 1
    assert result.completed == count(result, "iterations")


OWN = """
import puregrpc
from puregrpc.load import scenario, vu
client = puregrpc.KIND()
client.load([], "hello.proto")
seen = []

DEF default():
    first = vu.iteration == 0
    if first:
        AWAIT client.connect(TARGET, plaintext=True)
    response = AWAIT client.invoke("hello.HelloService/SayHello", {"greeting": "Bert"})
    assert response.message["reply"], response
    seen.append((vu.id, vu.iteration, scenario.iteration, vu.random.random()))

DEF teardown():
    assert len({user for user, *_ in seen}) == 3, seen
    assert sorted(number for *_, number, _ in seen) == list(range(12)), seen
"""


def own(world: str) -> str:
    """A script whose users connect for themselves."""
    is_plain = world == "threads"
    kind, define, wait = ("Client", "def", "") if is_plain else ("AsyncClient", "async def", "await ")
    text = OWN.replace("KIND", kind).replace("DEF", define).replace("AWAIT ", wait)
    return f"import trio\n{text}" if world == "trio" else text


PER_USER = {"scenarios": {"s": {"executor": "per-vu-iterations", "vus": 3, "iterations": 4}}}


@pytest.mark.parametrize("world", WORLDS)
def test_each_user_has_a_connection_of_its_own(write: Write, world: str) -> None:
    result = run(write(own(world)), PER_USER)
    assert (result.exit_status, result.problem) == (0, "")
    assert count(result, "grpc_connect_duration") == 3
    assert count(result, "grpc_req_duration{status:0,scenario:s}") == 12
    assert count(result, "iteration_errors") == 0


@pytest.mark.parametrize("world", WORLDS)
def test_users_share_as_many_connections_as_are_wanted(write: Write, world: str) -> None:
    result = run(write(own(world)), {**PER_USER, "connections": 2})
    assert (result.exit_status, result.problem) == (0, "")
    assert count(result, "grpc_connect_duration") == 2
    assert count(result, "grpc_req_duration{status:0}") == 12


def test_a_client_without_a_connection_says_so_in_each_iteration(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    script = write(own("threads").replace("if first", "if 0"))
    result = run(script, {"iterations": 5, "no_teardown": True})
    assert (result.exit_status, result.completed) == (0, 5)
    assert count(result, "iteration_errors{error:NotConnected}") == 5
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(told) == 2, told
    assert "an iteration failed: no gRPC connection, you must call connect first" in told[0]
    assert "5 iterations failed with NotConnected" in told[1]


@pytest.mark.parametrize("world", WORLDS)
def test_the_course_of_a_run(write: Write, world: str) -> None:
    is_plain = world == "threads"
    define = "def" if is_plain else "async def"
    script = write(f"""
{"import trio" if world == "trio" else ""}
from puregrpc import Counter, group
from puregrpc.load import scenario
order = []
options = {{
    "scenarios": {{
        "one": {{"executor": "shared-iterations", "iterations": 2, "exec": "first", "tags": {{"team": "a"}}}},
        "two": {{"executor": "shared-iterations", "iterations": 3, "exec": "second", "env": {{"WHO": "Bert"}}}},
    }},
    "tags": {{"build": 7}},
}}
added = Counter("added")
{define} init():
    order.append("init")
{define} setup():
    order.append("setup")
    added.add(1)
    return {{"token": "t"}}
{define} first(data):
    assert data == {{"token": "t"}}
    with group("inner"):
        added.add(1, {{"own": True}})
{define} second(data):
    assert scenario.name == "two" and scenario.env("WHO") == "Bert"
    added.add(1)
{define} teardown(data):
    assert data == {{"token": "t"}}
    order.append("teardown")
    assert order == ["init", "setup", "teardown"], order
""")
    result = run(script)
    assert (result.exit_status, result.problem, result.completed) == (0, "", 5)
    assert count(result, "added{group:::setup}") == 1
    assert count(result, "added{scenario:one,group:::inner,own:true,team:a,build:7}") == 2
    assert count(result, "added{scenario:two,group:,build:7}") == 3
    assert count(result, "group_duration{group:::inner,scenario:one}") == 2
    assert count(result, "iteration_errors") == 0


@pytest.mark.parametrize("world", ["asyncio", "threads"])
def test_iterations_that_do_not_end_are_interrupted(write: Write, world: str) -> None:
    sleep = "import time\ndef default():\n    import puregrpc; puregrpc.sleep(60)"
    script = write(sleep if world == "threads" else "import asyncio\nasync def default():\n    await asyncio.sleep(60)")
    scenario = {"executor": "constant-vus", "vus": 2, "duration": "300ms", "gracefulStop": "200ms"}
    began = time.monotonic()
    result = run(script, {"scenarios": {"s": scenario}})
    assert time.monotonic() - began < 20
    assert (result.completed, result.interrupted, result.exit_status) == (0, 2, 0)


def test_a_ramp_has_as_many_users_as_it_says(write: Write) -> None:
    script = write("import asyncio\nasync def default():\n    await asyncio.sleep(0.01)")
    stages = [{"duration": "300ms", "target": 10}, {"duration": "300ms", "target": 0}]
    result = run(script, {"scenarios": {"s": {"executor": "ramping-vus", "startVUs": 0, "stages": stages}}})
    assert result.exit_status == 0
    assert 20 < result.completed <= 10 * 60


@pytest.mark.parametrize("world", ["asyncio", "trio", "threads"])
def test_an_arrival_rate_begins_each_iteration_that_is_due(write: Write, world: str) -> None:
    scenario = {
        "executor": "constant-arrival-rate", "rate": 100, "duration": "500ms", "preAllocatedVUs": 2, "maxVUs": 50,
    }  # fmt: skip
    result = run(write(WORLDS[world]), {"scenarios": {"s": scenario}})
    assert (result.completed, result.dropped) == (50, 0)
    assert count(result, "generator_lag") == 50


def test_iterations_that_find_no_user_are_dropped(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    scenario = {
        "executor": "constant-arrival-rate", "rate": 20, "duration": "500ms", "preAllocatedVUs": 1,
        "maxLateness": "0s", "gracefulStop": "2s",
    }  # fmt: skip
    result = run(
        write("import asyncio\nasync def default():\n    await asyncio.sleep(0.7)"), {"scenarios": {"s": scenario}}
    )
    assert (result.completed, result.dropped) == (1, 9)
    assert count(result, "dropped_iterations{scenario:s}") == 9
    told = [record.getMessage() for record in caplog.records if "are busy" in record.getMessage()]
    busy = "all 1 users are busy, and there may be no more (maxVUs): iterations that are due are dropped"
    assert told == [f"scenario s: {busy}"]


def test_what_iterations_raise_is_told_with_the_line_of_the_script(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    path = write("import json\ndef default():\n    json.loads('{')")
    run(path, {"iterations": 3})
    assert f"3 iterations failed with JSONDecodeError at {path}:4" in caplog.messages[-1]


def test_a_changing_rate(write: Write) -> None:
    stages = [{"duration": "500ms", "target": 100}, {"duration": "200ms", "target": 100}]
    scenario = {"executor": "ramping-arrival-rate", "startRate": 0, "preAllocatedVUs": 9, "stages": stages}
    result = run(write("async def default():\n    pass"), {"scenarios": {"s": scenario}})
    assert (result.completed, result.dropped) == (45, 0)


ABORTING = """
from puregrpc.load import abort, scenario
import asyncio
async def default():
    if scenario.iteration == 3:
        abort("enough")
    await asyncio.sleep(30)
"""


def test_a_script_that_aborts(write: Write) -> None:
    result = run(write(ABORTING), {"vus": 4, "duration": "30s"})
    assert result.exit_status == 108
    assert result.problem == "the script aborted the run: enough"
    assert (result.completed, result.interrupted) == (1, 3)


def test_a_threshold_that_is_crossed(write: Write) -> None:
    thresholds = {"iteration_duration": ["p(95)<0.000001"], "iterations": "count>=3"}
    result = run(write("async def default(): pass"), {"iterations": 3, "thresholds": thresholds})
    assert result.exit_status == 99
    assert result.problem == "thresholds on metrics 'iteration_duration' have been crossed"
    assert "✗ 'p(95)<0.000001' p(95)=" in result.summary
    assert "✓ 'count>=3' count=3" in result.summary


@pytest.mark.slow
@pytest.mark.parametrize(("delay", "most"), [(None, 4), ("3s", 6.5)])
def test_a_threshold_that_ends_the_run(write: Write, delay: str | None, most: float) -> None:
    threshold = {"threshold": "max<1", "abortOnFail": True, "delayAbortEval": delay}
    script = write("import asyncio\nasync def default():\n    await asyncio.sleep(0.01)")
    began = time.monotonic()
    result = run(script, {"duration": "60s", "thresholds": {"iteration_duration": [threshold]}})
    assert 2 <= time.monotonic() - began < most + 10
    assert result.exit_status == 99


@pytest.mark.parametrize(
    ("script", "status", "said"),
    [
        ("def default(:", 107, "script.py:2: invalid syntax"),
        ("1 / 0", 107, "script.py:2: ZeroDivisionError: division by zero"),
        ("x = 1", 255, "there is no function 'default'"),
        ("def defualt(): pass", 255, "there is no function 'default'; there is 'defualt'"),
        ("options = {'vus': 'x', 'duration': 1}\ndef default(): pass", 104, "options.vus: a whole number"),
        ("options = {'thresholds': {'nothing': ['p(95)<1']}}\ndef default(): pass", 104, "no such metric"),
        ("options = {'thresholds': {'checks': ['p(95)<1']}}\ndef default(): pass", 104, "a rate has rate, not p(95)"),
        ("options = {'duration': '1s', 'x': 1}\ndef default(): pass", 104, "there is no option 'x'"),
        ("from puregrpc.load import abort\nabort('no')", 108, "aborted: no"),
    ],
)
def test_a_script_that_cannot_be_run(write: Write, script: str, status: int, said: str) -> None:
    with pytest.raises(LoadError) as caught:
        run(write(script))
    assert said in str(caught.value)
    assert caught.value.exit_status == status


@pytest.mark.parametrize("name", ["init", "setup", "teardown"])
def test_a_script_that_raises_outside_of_iterations(write: Write, name: str) -> None:
    result = run(write(f"def {name}():\n    raise ValueError('no')\ndef default(): pass"))
    assert result.exit_status == 107
    assert result.problem.startswith(f"{name}(): ")
    assert result.problem.endswith("script.py:3: ValueError: no")
    assert result.completed == (1 if name == "teardown" else 0)


def test_setup_has_a_bound(write: Write) -> None:
    script = write("import asyncio\nasync def setup(): await asyncio.sleep(60)\nasync def default(): pass")
    result = run(script, {"setupTimeout": "100ms"})
    assert (result.exit_status, result.problem) == (100, "setup() took more than 0.1 s, and was interrupted")


def test_handle_summary_gets_what_k6s_gets(write: Write) -> None:
    script = write(f"{ASYNC}\ndef handle_summary(data):\n    return {{'stdout': 'done', 'data.bin': b'x'}}")
    result = run(script, {"iterations": 3})
    assert result.written == {"stdout": "done", "data.bin": b"x"}
    data = result.data
    assert data["root_group"]["checks"][0] == {
        "name": "status is OK",
        "path": "::status is OK",
        "id": "d83a99fb6db0de09e9f0d32dd8d2e9d5",
        "passes": 3,
        "fails": 0,
    }
    assert data["root_group"]["id"] == "d41d8cd98f00b204e9800998ecf8427e"
    assert data["metrics"]["iterations"]["values"]["count"] == 3
    assert data["options"]["summaryTrendStats"] == ["avg", "min", "med", "max", "p(90)", "p(95)"]


def test_functions_dicts_and_modules_can_be_run() -> None:
    calls: list[Any] = []
    assert run(lambda: calls.append(1), {"iterations": 2}).completed == 2
    assert run({"default": lambda data: calls.append(data), "setup": lambda: 5}).completed == 1
    assert calls == [1, 1, 5]


@pytest.mark.slow
def test_whoever_looks_on_is_told(write: Write) -> None:
    told: list[Any] = []

    class Watching(Observer):
        def begins(self, options: Options, script: str) -> None:
            told.append(script)

        def goes_on(self, status: Status) -> None:
            told.append((status.vus, status.max_vus, status.completed > 0, status.scenarios[0][0]))

    script = write("import asyncio\nasync def default():\n    await asyncio.sleep(0.01)")
    result = run(script, {"vus": 3, "duration": "1500ms"}, observer=Watching())
    assert told == [script, (3, 3, True, "default")]
    assert result.metrics.value("vus", "value") == result.metrics.value("vus_max", "value") == 3


def test_the_program_that_ran_a_script_finds_its_own_files_again(write: Write) -> None:
    before = script_folder()
    assert run(write("async def default():\n    pass"), {"iterations": 1}).exit_status == 0
    assert script_folder() == before
