"""What runs do in odd cases, as k6 does."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import pytest

from puregrpc.load import LoadError, run
from puregrpc.load.course import Course
from tests.load.conftest import Write

PLAIN_STREAM = """
from puregrpc import Client, check, sleep
from puregrpc.load import vu
client = Client()
client.load([], "hello.proto")

def default():
    client.connect(TARGET, plaintext=True)
    stream = client.stream("hello.HelloService/LotsOfReplies")
    def seen(message): {handler}
    stream.on("data", seen)
    stream.on("end", lambda: sleep(0.05) or check(1, {{"ended": True}}))
    stream.write({{"greeting": "Bert"}})
    stream.end()
"""
ASYNC_STREAM = (
    PLAIN_STREAM.replace("Client", "AsyncClient")
    .replace("def default", "async def default")
    .replace("    client.connect", "    await client.connect")
    .replace("    stream.write", "    await stream.write")
    .replace("    stream.end()", "    await stream.end()")
)
STREAMS = {"threads": PLAIN_STREAM, "asyncio": ASYNC_STREAM, "trio": f"import trio\n{ASYNC_STREAM}"}


@pytest.mark.parametrize("world", STREAMS)
def test_an_iteration_lasts_until_the_handlers_of_its_streams_have_run(write: Write, world: str) -> None:
    result = run(write(STREAMS[world].format(handler="check(message, {'came': True})")), {"iterations": 2})
    assert result.exit_status == 0
    assert result.metrics.value("checks{check:ended}", "passes") == 2
    assert result.metrics.value("checks{check:came}", "passes") == 20
    assert result.metrics.value("iteration_duration", "min") >= 50


@pytest.mark.parametrize("world", STREAMS)
def test_what_a_handler_raises_fails_the_iteration(write: Write, world: str) -> None:
    result = run(write(STREAMS[world].format(handler="raise ValueError('so')")), {"iterations": 2})
    assert (result.exit_status, result.completed) == (0, 2)
    assert result.metrics.value("iteration_errors{error:ValueError}", "count") == 2


def test_a_stream_that_goes_on_may_outlive_iterations(write: Write) -> None:
    script = write(
        PLAIN_STREAM.format(handler="pass")
        .replace("    stream.write({{", "    stream.write({")
        .replace(
            '    stream.write({"greeting": "Bert"})\n    stream.end()\n', "    check(1, {'not waited for': True})\n"
        )
    )
    result = run(script, {"iterations": 2, "duration": "20s"})
    assert (result.exit_status, result.completed, result.interrupted) == (0, 2, 0)


def test_handlers_that_nobody_waited_for_are_told_at_the_end(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    script = write(
        """
from puregrpc import Client, sleep
client = Client()
client.load([], "hello.proto")
def raises(message): raise ValueError("so")
def init():
    client.connect(TARGET, plaintext=True)
    stream = client.stream("hello.HelloService/LotsOfReplies")
    stream.on("data", raises)
    stream.write({"greeting": "Bert"})
    sleep(0.2)
def default(): pass
"""
    )
    assert run(script, {"iterations": 1}).exit_status == 0
    assert "a handler of a stream raised" in caplog.text


@pytest.mark.parametrize("text", ["import sys\ndef", "import sys\nasync def", "import sys, trio\nasync def"])
def test_sys_exit_ends_an_iteration_and_no_run(write: Write, text: str) -> None:
    result = run(write(f"{text} default(): sys.exit(3)"), {"vus": 2, "iterations": 5})
    assert (result.exit_status, result.completed, result.dropped) == (0, 5, 0)
    assert result.metrics.value("iteration_errors{error:SystemExit}", "count") == 5


def test_names_of_checks_have_no_separator_of_groups(write: Write) -> None:
    script = write("from puregrpc import check\ndef default(): check(1, {'a::b': True})")
    result = run(script, {"iterations": 2})
    assert (result.exit_status, result.completed) == (0, 2)
    assert result.metrics.value("iteration_errors", "count") == 2
    assert "checks" not in result.data["metrics"]


def test_checks_of_one_name_are_one_in_the_compact_summary(write: Write) -> None:
    script = write(
        "from puregrpc import check, group\n"
        "def default():\n"
        "    for name in ('one', 'two'):\n"
        "        with group(name): check(1, {'same': name == 'one'})"
    )
    result = run(script, {"iterations": 3})
    assert result.summary.count("same") == 1
    assert "50% — ✓ 3 / ✗ 3" in result.summary


def test_a_group_without_checks_is_in_the_tree(write: Write) -> None:
    result = run(write("from puregrpc import group\ndef default():\n    with group('a'), group('b'): pass"))
    [outer] = result.data["root_group"]["groups"]
    assert (outer["path"], [each["path"] for each in outer["groups"]]) == ("::a", ["::a::b"])


@pytest.mark.parametrize(("given", "written"), [("{}", {}), ("None", None), ("{'stdout': 'x'}", {"stdout": "x"})])
def test_what_handle_summary_gives(write: Write, given: str, written: Any) -> None:
    script = write(
        f"def default(): pass\ndef handle_summary(data):\n    assert data['setup_data'] is None\n    return {given}"
    )
    assert run(script).written == written
    assert run(script, {"no_summary": True}).written is None


def test_teardown_has_a_bound(write: Write) -> None:
    script = write("import asyncio\nasync def default(): pass\nasync def teardown(): await asyncio.sleep(60)")
    result = run(script, {"teardownTimeout": "100ms"})
    assert (result.exit_status, result.problem) == (101, "teardown() took more than 0.1 s, and was interrupted")


def test_a_users_tags_are_on_its_iterations(write: Write) -> None:
    script = write("from puregrpc.load import vu\ndef default(): vu.tag(odd=vu.iteration % 2)")
    result = run(script, {"iterations": 5})
    assert result.metrics.value("iterations{odd:0}", "count") == 3
    assert result.metrics.value("iteration_duration{odd:1}", "count") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process there")
@pytest.mark.parametrize("define", ["def", "async def"])
def test_a_signal_behind_the_run_costs_no_summary(write: Write, monkeypatch: pytest.MonkeyPatch, define: str) -> None:
    ran = Course.run

    def run_and_be_interrupted(self: Course) -> None:
        ran(self)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Course, "run", run_and_be_interrupted)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    result = run(write(f"{define} default(): pass"), {"iterations": 3})
    assert (result.exit_status, result.completed) == (0, 3)
    assert "iterations" in result.summary
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process there")
@pytest.mark.parametrize(
    ("kind", "phase", "torn_down"), [("def", "init", False), ("def", "setup", True), ("async def", "setup", True)]
)
def test_ctrl_c_before_the_scenarios(write: Write, kind: str, phase: str, *, torn_down: bool) -> None:
    script = write(
        "import os, signal, time\n"
        "from puregrpc import check\n"
        f"def stop():\n    os.kill(os.getpid(), signal.SIGINT); time.sleep(0.05)\n{phase} = stop\n"
        f"{kind} default(): pass\n"
        "def teardown(): check(1, {'torn down': True})"
    )
    result = run(script)
    assert (result.exit_status, result.completed) == (105, 0)
    assert ("checks" in result.data["metrics"]) is torn_down


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process there")
def test_ctrl_c_in_handle_summary_leaves_the_summary(write: Write) -> None:
    script = write(
        "import os, signal, time\n"
        "def default(): pass\n"
        "def handle_summary(data):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(30)"
    )
    result = run(script)
    assert (result.exit_status, result.problem) == (105, "handle_summary() was interrupted")
    assert result.written is None
    assert "iterations" in result.summary


def test_tags_of_a_user_are_set_and_taken_away_as_those_of_a_dict(write: Write) -> None:
    script = write("""
from puregrpc import check
from puregrpc.load import vu
def default():
    vu.tags["mine"] = vu.iteration
    check(1, {f"{dict(vu.tags)} {len(vu.tags)}": True})
    del vu.tags["mine"]
    check(1, {"without": "mine" not in vu.tags and repr(vu.tags) == "{}"})
""")
    result = run(script, {"iterations": 2})
    assert result.metrics.value("checks{mine:0,check:{'mine': '0'} 1}", "passes") == 1
    assert result.metrics.value("checks{check:without}", "passes") == 2


def test_users_alone_are_one_that_makes_one_iteration(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    result = run(write("options = {'vus': 3, 'stages': []}\ndef default(): pass"))
    assert result.completed == 1
    assert "vus means something beside iterations, duration, stages, rate" in caplog.text


def test_an_abort_when_all_is_over_is_told(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    script = write("""
from puregrpc.load import abort
def default(): pass
def handle_summary(data): abort("late")
""")
    result = run(script)
    assert (result.exit_status, result.written) == (0, None)
    assert "handle_summary(): " in caplog.text


@pytest.mark.parametrize("word", ["def", "async def"])
def test_tags_that_are_set_in_a_group_stay_and_so_does_the_group(write: Write, word: str) -> None:
    script = write(f"""
from puregrpc import check, group
from puregrpc.load import vu
{word} default():
    with group("a"):
        with group("b"):
            vu.tag(mine="x")
            check(1, {{"inner": True}})
        check(1, {{"outer": True}})
    check(1, {{"behind": True}})
""")
    value = run(script).metrics.value
    assert value("checks{check:inner,group:::a::b,mine:x}", "passes") == 1
    assert value("checks{check:outer,group:::a,mine:x}", "passes") == 1
    assert value("checks{check:behind,mine:x}", "passes") == 1
    assert value("group_duration{group:::a::b,mine:x}", "count") == 1


@pytest.mark.parametrize("word", ["def", "async def"])
def test_a_function_that_would_do_nothing_is_no_iteration(write: Write, word: str) -> None:
    with pytest.raises(LoadError, match=r"default\(\) has a yield in it: to call it would do nothing"):
        run(write(f"{word} default(): yield 1"))


def test_what_is_passed_over_is_told_as_it_was_given(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    assert run(write("options = {'noVUConnectionReuse': True}\ndef default(): pass")).completed == 1
    assert "'noVUConnectionReuse' has no meaning here" in caplog.text
