"""Scripts that hold up the loop or do not end: they are told of, and signals get out of them."""

from __future__ import annotations

import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

import pytest

from puregrpc.kernel.threads.trampoline import Interrupted
from puregrpc.load import run, standstill, test
from puregrpc.load.running import Run
from puregrpc.load.standstill import Watcher, breaking_out, place_of

LOOPS = ("asyncio", "trio")


def outer(function: Any) -> Any:
    """Calls what a script is."""
    return function()


class DeafKernel:
    """A kernel whose loop is held up."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def call_soon(self, function: Any, *_: Any) -> None:
        self.asked.append(function)


def test_the_place_is_the_innermost_line_of_the_script() -> None:
    def script() -> tuple[str, FrameType] | None:
        return place_of(sys._getframe(), (outer.__code__,), __file__)

    place, _ = outer(script)
    assert place.startswith(f"{__file__}:")
    assert place.endswith(" in script")


def test_a_place_in_another_file_is_what_was_called() -> None:
    assert " in <lambda>" in outer(lambda: place_of(sys._getframe(), (outer.__code__,), "/nothing.py"))[0]
    assert place_of(sys._getframe(), (outer.__code__,), __file__) is None


def test_a_loop_that_does_not_answer_is_told_of_once() -> None:
    begun, over = threading.Event(), threading.Event()

    def held_up() -> None:
        begun.set()
        over.wait(30)

    thread = threading.Thread(target=outer, args=(held_up,))
    thread.start()
    try:
        assert begun.wait(30)
        kernel = DeafKernel()
        watcher = Watcher(kernel, (outer.__code__,), __file__, thread.ident or 0)  # type: ignore[arg-type]
        told = [watcher.look() for _ in range(8)]
        assert [each is not None for each in told] == [False] * 3 + [True] + [False] * 4
        assert str(told[3]).endswith("in held_up")
        assert len(kernel.asked) == 1
        kernel.asked[0]()
        assert [watcher.look() for _ in range(8)] == [None] * 8  # it has been told
    finally:
        over.set()
        thread.join(30)


def test_a_signal_that_comes_again_gets_out_of_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standstill, "SIGNALS_APART", 0)
    ended: list[str] = []
    seen: list[int] = []

    def script() -> None:
        for number in range(3):
            seen.append(number)
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with breaking_out([signal.SIGINT], (outer.__code__,), lambda: 0, lambda: ended.append("end")):
            with pytest.raises(Interrupted):
                outer(script)
            signal.raise_signal(signal.SIGINT)  # which is not in a script
        with breaking_out([signal.SIGINT], (outer.__code__,), lambda: 9, lambda: ended.append("end")):
            outer(script)  # the loop hears it
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended == ["end"]
    assert seen == [0, 1, 0, 1, 2]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("phase", ["default", "setup"])
def test_two_signals_end_a_run_whose_loop_is_held_up(loop: str, phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standstill, "SIGNALS_APART", 0)
    after: list[str] = []

    async def holds_up() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        after.append("not reached")

    async def nothing() -> None:
        pass

    script = {"default": nothing, "handle_summary": lambda data: {"stdout": str(len(data["metrics"]) > 0)}}
    result = run({**script, phase: holds_up}, {"vus": 3, "duration": "30s", "loop": loop})
    assert (result.exit_status, after) == (105, [])
    assert result.interrupted == (1 if phase == "default" else 0)
    assert result.written == {"stdout": "True"}


def test_two_signals_end_a_setup_in_a_thread_that_nothing_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(threading.enumerate())
    heard: list[int] = []
    over = threading.Event()
    original = Run._signalled

    def signalled(self: Run) -> None:
        original(self)
        heard.append(1)

    monkeypatch.setattr(Run, "_signalled", signalled)

    def setup() -> None:
        for count in (1, 2):
            signal.raise_signal(signal.SIGINT)
            until = time.monotonic() + 30
            while len(heard) < count and time.monotonic() < until:
                time.sleep(0.01)
        over.wait(300)
        ended.append("setup")

    ended: list[str] = []
    try:
        result = run({"default": lambda: None, "setup": setup}, {"iterations": 1})
        assert (result.exit_status, result.completed, ended) == (105, 0, [])
    finally:
        over.set()
    until = time.monotonic() + 60
    while (left := set(threading.enumerate()) - before) and time.monotonic() < until:
        time.sleep(0.01)
    assert not left


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("phase", ["setup", "default", "teardown"])
def test_a_script_has_its_run_count_as_failed(loop: str, phase: str) -> None:
    async def fails() -> None:
        test.fail("too cold")

    async def nothing() -> None:
        pass

    result = run({"default": nothing, phase: fails}, {"iterations": 2, "loop": loop})
    assert (result.exit_status, result.completed) == (110, 2)
    assert "too cold" in result.problem


@pytest.mark.parametrize("phase", ["setup", "teardown", "init"])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_script_that_exits_does_not_take_the_summary_with_it(phase: str, *, is_async: bool) -> None:
    def leaves(*_: object) -> None:
        sys.exit("out")

    async def default() -> None:
        pass

    result = run({"default": default if is_async else (lambda: None), phase: leaves}, {"iterations": 1})
    assert result.exit_status == 107
    assert "SystemExit: out" in result.problem
    assert "TOTAL RESULTS" in result.summary


def test_a_loop_that_is_late_with_many_calls_is_not_held_up() -> None:
    turns = threading.Semaphore(0)
    looked = threading.Semaphore(0)

    def short() -> None:
        looked.release()
        turns.acquire()

    def many() -> None:
        for _ in range(8):
            outer(short)

    thread = threading.Thread(target=many)
    thread.start()
    watcher = Watcher(DeafKernel(), (outer.__code__,), __file__, thread.ident or 0)  # type: ignore[arg-type]
    for _ in range(8):
        assert looked.acquire(timeout=30)
        assert watcher.look() is None
        turns.release()
    thread.join(30)
