"""The course of a run in one process: what the script has is called, scenarios are carried out, connections closed."""

from __future__ import annotations

import gc
import logging
import secrets
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from importlib import import_module
from itertools import count
from typing import Any

from puregrpc.client.calls.measure import Meter
from puregrpc.client.per_user import Connections, UserAsyncClient
from puregrpc.kernel import Kernel, ThreadKernel
from puregrpc.kernel.current import running_world
from puregrpc.kernel.ownership import open_kernel
from puregrpc.kernel.threads.trampoline import Interrupted, run_blocking
from puregrpc.load.activity import Activity, Share, User
from puregrpc.load.context import current_test
from puregrpc.load.executors import CUT_GRACE, carry_out
from puregrpc.load.messages import Counts
from puregrpc.load.options import Options
from puregrpc.load.problems import ExitStatus, LoadError
from puregrpc.load.script import Script, arguments_for, failure_text, is_async
from puregrpc.load.standstill import telling_of_standstill
from puregrpc.load.waiting import Change, within
from puregrpc.metrics import Metrics, active
from puregrpc.metrics.current import Surroundings, surrounded_by

__all__ = ["SCRIPT_CALLERS", "Course", "ScriptFailure"]

logger = logging.getLogger("puregrpc.load")

CLOSE_TIMEOUT = 2.0
"""Seconds that connections may take to close at the end."""

CLOSED_AT_ONCE = 50
"""So many connections are closed at the same time: a task for each would take a fifth of what a connection takes."""

SELDOM = (50_000, 20, 50)
"""Thresholds of the garbage collector: a thousand users who wait hold some ten thousand objects, which it would look
through again and again; that is a fifth of a call's processor time."""


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Have garbage in circles collected seldom, and what there is already never looked through.

    To be entered before the time is known at which scenarios begin: to collect what there is may take a second.
    """
    if not hasattr(gc, "freeze"):  # PyPy
        yield
        return
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    if before[0]:  # 0: somebody has turned it off
        gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class ScriptFailure(Exception):  # noqa: N818 - it is told, and nothing of ours failed
    """``init``, ``setup`` or ``teardown`` raised, or took too long."""

    def __init__(self, problem: str, exit_status: int = ExitStatus.SCRIPT) -> None:
        super().__init__(problem)
        self.exit_status = exit_status


class Course(ABC):
    """A run in this process. `phases` is what it does, once there is a kernel."""

    def __init__(self, script: Script, options: Options, metrics: Metrics, share: Share, seed: str = "") -> None:
        self.script = script
        self.options = options
        self.metrics = metrics
        self.share = share
        self.seed = seed or str(options.seed if options.seed is not None else secrets.token_hex(8))
        self.activities: list[Activity] = []
        self.kernel: Kernel
        self.change: Change
        self._stops = 0
        """How many signals have come."""
        self._calls = 0
        """Calls of `init`, `setup` and `teardown` that have not ended."""
        self._numbers = count()
        self._pools: dict[tuple[int, bool], Connections] = {}
        self._connections: list[Connections] = []
        self._functions = {
            scenario.name: script.executed(scenario.exec, scenario.name) for scenario in options.scenarios
        }
        self._is_on_loop = any(map(is_async, self._functions.values()))
        """The run is. Scenarios with plain functions have threads beside it then."""

    # -- what scenarios and scripts ask

    def active_users(self) -> int:
        """How many users are active."""
        return sum(activity.active for activity in self.activities)

    def iterations(self) -> tuple[int, int]:
        """How many iterations have ended, and how many were interrupted."""
        activities = self.activities
        return sum(each.completed for each in activities), sum(each.interrupted for each in activities)

    def counts(self) -> Counts:
        """How the users stand."""
        completed, interrupted = self.iterations()
        dropped = sum(each.dropped for each in self.activities)
        return Counts(self.active_users(), completed, interrupted, dropped)

    def seconds(self) -> float:
        """How long it goes on."""
        return self.metrics.seconds

    def user_number(self) -> int:
        """The number of the next user, which no other has in the run."""
        return self.share.number(next(self._numbers)) + 1

    def connections_of(self, number: int, kernel: Kernel | None) -> Connections:
        """The connections of a user, whose ``kernel`` is that of a loop or None: its own, or shared with others."""
        on_loop = kernel
        shared = self.options.connections
        if not shared:
            made = Connections(on_loop)
            self._connections.append(made)
            return made
        key = (number // self.share.workers % shared, on_loop is None)
        found = self._pools.get(key)
        if found is None:
            found = self._pools[key] = Connections(on_loop, is_shared=True)
            self._connections.append(found)
        return found

    @abstractmethod
    def abort(self, reason: str) -> None:
        """The script ends the run."""

    @abstractmethod
    def fail(self, reason: str) -> None:
        """The script has the run count as failed."""

    def stop(self) -> None:
        """Begin no iteration any more."""
        for activity in self.activities:
            activity.stop()

    def cut(self) -> None:
        """Interrupt the iterations that go on."""
        for activity in self.activities:
            activity.cut()

    # -- its world

    @abstractmethod
    async def phases(self) -> None:
        """What it does."""

    def signals(self) -> AbstractContextManager[None]:
        """What hears signals, in the main thread."""
        return nullcontext()

    def run(self) -> None:
        """Run it, in the world that the script is for."""
        with active(self.metrics):
            if not self._is_on_loop:
                kernel = ThreadKernel()
                try:
                    kernel.run(self._in(kernel))
                finally:
                    if self._calls or any(each.is_stuck for each in self.activities):
                        kernel.end_with_interpreter()  # without waiting for the threads of scripts
                    else:
                        kernel.run(kernel.close())
            elif (world := running_world()) != "threads":
                how = "trio.to_thread.run_sync" if world == "trio" else "asyncio.to_thread"
                raise LoadError(
                    f"a run with async functions has a loop of its own: inside of one, await {how}(run, ...)"
                )
            elif self.options.loop == "trio" or (not self.options.loop and self.script.prefers_trio):
                import_module("trio").run(self._on_loop)
            elif self.options.loop == "uvloop":
                import_module("uvloop").run(self._on_loop())
            else:
                import_module("puregrpc.kernel.loops.reading_loop").run_reading(self._on_loop)

    async def _on_loop(self) -> None:
        async with open_kernel("a load run") as kernel:
            await self._in(kernel)

    async def _in(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.change = Change(kernel)
        for client in self.script.clients:
            if isinstance(client, UserAsyncClient) and kernel.world != "threads":
                client.live_in(kernel)
        is_main = threading.current_thread() is threading.main_thread()
        with self.signals() if is_main else nullcontext():
            await self.phases()

    # -- parts of it

    async def call(self, name: str, timeout: float, *values: Any) -> Any:
        """Call a function of the script's, if it has it. Raises ScriptFailure."""
        function = self.script.function(name)
        if function is None:
            return None
        given: list[Any] = []
        arguments = arguments_for(function, *values)
        stops = max(self._stops, 1)
        try:
            if not await within(
                self.kernel,
                timeout,
                partial(self.called, function, arguments, name, given),
                change=self.change,
                gives_up=lambda: self._stops > stops,
            ):
                await self.change.wait_for(lambda: not self._calls, self.kernel.now() + CUT_GRACE)
                if self._stops > stops:
                    raise ScriptFailure(f"{name}() was interrupted", ExitStatus.INTERRUPTED)
                status = ExitStatus.TEARDOWN_TIMEOUT if name == "teardown" else ExitStatus.SETUP_TIMEOUT
                raise ScriptFailure(f"{name}() took more than {timeout:g} s, and was interrupted", status)
        except Interrupted:
            raise ScriptFailure(f"{name}() was interrupted", ExitStatus.INTERRUPTED) from None
        except (Exception, SystemExit) as error:
            if isinstance(error, ScriptFailure):
                raise
            raise ScriptFailure(f"{name}(): {failure_text(error, self.script.path)}") from error
        finally:
            if name != "init":
                Meter(self.metrics).traffic(0, 0, {"group": f"::{name}"})
        return given[0] if given else None

    async def called(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], name: str, given: list[Any]
    ) -> None:
        """Call a function of the script's, for what it returns."""
        current_test.set(self)
        self._calls += 1
        try:
            with surrounded_by(Surroundings({}, f"::{name}")):
                if not is_async(function):
                    given.append(function(*arguments))
                elif self._is_on_loop:
                    given.append(await function(*arguments))
                else:
                    given.append(import_module("asyncio").run(function(*arguments)))
        except SystemExit as error:  # sys.exit() too is no reason to end without a summary
            raise ScriptFailure(f"{name}(): {failure_text(error, self.script.path)}") from error
        finally:
            self._calls -= 1
            self.change.tell()

    def prepare(self, data: Any) -> None:
        """Make the scenarios ready, with what ``setup`` gave."""
        for scenario in self.options.scenarios:
            function = self._functions[scenario.name]
            self.activities.append(
                Activity(
                    scenario,
                    function,
                    self,
                    self.kernel,
                    self.share,
                    is_async=is_async(function),
                    arguments=arguments_for(function, data),
                    tags=self.options.tags,
                    shortest=self.options.min_iteration_duration,
                )
            )

    async def scenarios(self, begins_at: float, watch: Callable[[], Any]) -> None:
        """Carry out the scenarios, from a time of the kernel's on; ``watch`` is a coroutine that goes on meanwhile."""
        left = set(self.activities)

        async def one(activity: Activity) -> None:
            try:
                await carry_out(activity, begins_at)
            finally:
                left.discard(activity)
                self.change.tell()

        with self._watched():
            await self._carried_out(one, left, watch)

    def _watched(self) -> AbstractContextManager[None]:
        """What tells of scripts that hold up the loop."""
        if self.kernel.world == "threads":
            return nullcontext()
        path = "" if self.script.path is None else str(self.script.path.absolute())
        return telling_of_standstill(self.kernel, SCRIPT_CALLERS, path)

    async def _carried_out(self, one: Callable[[Activity], Any], left: set[Activity], watch: Callable[[], Any]) -> None:
        kernel = self.kernel
        tasks = [kernel.spawn(one, activity) for activity in self.activities]
        watching = kernel.spawn(watch)
        try:
            await self.change.wait_for(lambda: not left)
        finally:
            for task in tasks:
                task.cancel()
            self.change.tell()
            await watching.join()

    @property
    def is_over(self) -> bool:
        """Whether all scenarios have ended."""
        return bool(self.activities) and all(activity.is_over for activity in self.activities)

    async def close(self) -> None:
        """Close the connections of all users, `CLOSED_AT_ONCE` at the same time."""
        kernel, left = self.kernel, len(self._connections)
        waiting = iter(self._connections)

        async def some() -> None:
            nonlocal left
            for connections in waiting:
                try:
                    if connections.kernel is None:
                        await kernel.in_thread(run_blocking, connections.close())
                    else:
                        await connections.close()
                finally:
                    left -= 1
                    self.change.tell()

        for activity in self.activities:
            await activity.close()
        if kernel.world == "threads":
            for each in self._connections:
                await each.close()
        else:
            for _ in range(min(CLOSED_AT_ONCE, left)):
                kernel.spawn(some)
            await self.change.wait_for(lambda: not left, kernel.now() + CLOSE_TIMEOUT)
        for client in self.script.clients:
            try:
                if not isinstance(client, UserAsyncClient):
                    client.close()
                elif kernel.world != "threads":
                    await client.close()
            except Exception:
                logger.exception("a handler of a stream raised")


SCRIPT_CALLERS = (User.iterate.__code__, Course.called.__code__)
"""What calls the functions of scripts, on a loop in the loop's own thread."""
