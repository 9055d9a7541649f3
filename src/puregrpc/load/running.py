"""A whole run: the script is read, set up, its scenarios carried out and watched, torn down, and the result told."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count
from typing import Any

from puregrpc.client.calls.measure import Meter
from puregrpc.client.per_user import Connections, UserAsyncClient
from puregrpc.errors import InvalidArgument
from puregrpc.kernel import Kernel, ThreadKernel
from puregrpc.kernel.ownership import open_kernel
from puregrpc.load.activity import Activity, Share
from puregrpc.load.executors import carry_out
from puregrpc.load.options import Options, read_options
from puregrpc.load.problems import Abort, ExitStatus, LoadError
from puregrpc.load.reading import seconds
from puregrpc.load.report import summary_data
from puregrpc.load.script import Script, arguments_for, failure_text, is_async, load_script
from puregrpc.load.waiting import Change, within
from puregrpc.metrics import Metrics, active
from puregrpc.metrics.current import Surroundings, surrounded_by
from puregrpc.metrics.registry import Sample
from puregrpc.metrics.summary import summary

__all__ = ["Observer", "Result", "Status", "run"]

logger = logging.getLogger("puregrpc.load")

THRESHOLDS_EVERY = 2.0
"""Seconds between one look at the thresholds and the next, as in k6."""

LAG_WARNING = 10.0
"""Milliseconds: a generator that is later than this with one of a hundred iterations says so."""

CLOSE_TIMEOUT = 2.0
"""Seconds that connections may take to close at the end."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """How a run stands, once a second."""

    seconds: float
    """How long it goes on."""
    vus: int
    max_vus: int
    completed: int
    interrupted: int
    dropped: int
    scenarios: tuple[tuple[str, float, str], ...]
    """Name, progress from 0 to 1, and what the scenario does."""
    metrics: Metrics = field(repr=False)


class Observer:
    """Is told how a run goes. All methods do nothing here."""

    def begins(self, options: Options, script: str) -> None:
        """The script has been read; the run begins."""

    def goes_on(self, status: Status) -> None:
        """A second has passed."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run came to."""

    exit_status: int
    """As ``puregrpc run`` has it: 0, 99 if a threshold was crossed, 105 after Ctrl-C, 107 if the script raised, 108 if
    it called `abort`."""
    metrics: Metrics = field(repr=False)
    problem: str
    """Why the exit status is not 0."""
    completed: int
    """Iterations that ended."""
    interrupted: int
    """Iterations that were interrupted."""
    dropped: int
    """Iterations that were due and not done."""
    summary: str = field(repr=False)
    """The end-of-run summary as text."""
    data: dict[str, Any] = field(repr=False)
    """The same as data, as ``handle_summary`` gets it."""
    written: dict[str, str | bytes] = field(repr=False)
    """What ``handle_summary`` gave: name of a file, ``stdout`` or ``stderr`` -> what goes there. Empty: it has none."""


def run(
    script: object,
    options: Mapping[str, Any] | None = None,
    *,
    env: Mapping[str, str] | None = None,
    outputs: tuple[Callable[[Sample], None], ...] = (),
    observer: Observer | None = None,
) -> Result:
    """Run a load test to its end, and return what it came to.

    ``script`` is the path of a Python file, a module, a dict of names, or a function that each iteration calls.
    ``options`` go before those that the script exports; they are k6's, in its spelling or in Python's. ``env`` are
    variables of the environment. Each of the ``outputs`` gets every sample. In the main thread SIGINT and SIGTERM end
    the run gracefully, and at once when they come again.

    Raises LoadError if the run cannot begin, with the exit status that ``puregrpc run`` would have.
    """
    os.environ.update(env or {})
    metrics = Metrics()
    Meter(metrics)  # thresholds may be on what no client has measured yet
    for name, kind, contains in BUILT_IN:
        metrics.metric(name, kind, contains)  # type: ignore[arg-type]
    found = load_script(script, metrics)
    read = read_options(found.options, options)
    try:
        metrics.add_thresholds({} if read.no_thresholds else read.thresholds)
        metrics.judge()
    except InvalidArgument as error:
        raise LoadError(str(error)) from None
    for output in outputs:
        metrics.listen(output)
    return Run(found, read, metrics, observer or Observer()).result()


BUILT_IN = (
    ("checks", "rate", "default"),
    ("group_duration", "trend", "time"),
    ("iterations", "counter", "default"),
    ("iteration_duration", "trend", "time"),
    ("iteration_errors", "counter", "default"),
    ("dropped_iterations", "counter", "default"),
    ("generator_lag", "trend", "time"),
    ("vus", "gauge", "default"),
    ("vus_max", "gauge", "default"),
)
"""What every run measures, beside the calls."""


class Run:
    """A run in this process."""

    def __init__(self, script: Script, options: Options, metrics: Metrics, observer: Observer) -> None:
        self._script = script
        self._options = options
        self._observer = observer
        self.metrics = metrics
        self.seed = str(options.seed if options.seed is not None else secrets.token_hex(8))
        self._share = Share()
        self._numbers = count(1)
        self._pools: dict[tuple[int, bool], Connections] = {}
        self._own: list[Connections] = []
        self._activities: list[Activity] = []
        self._kernel: Kernel
        self._change: Change
        self._is_over = False
        self._stops = 0
        self._exit_status = ExitStatus.OK
        self._problem = ""
        self._functions = {
            scenario.name: script.executed(scenario.exec, scenario.name) for scenario in options.scenarios
        }
        self._is_on_loop = any(map(is_async, self._functions.values()))
        if self._is_on_loop and not all(map(is_async, self._functions.values())):
            plain = [name for name, function in self._functions.items() if not is_async(function)]
            raise LoadError(f"the functions of scenarios are all async or all plain; plain are those of {plain}")

    # -- what scenarios and scripts ask

    def active_users(self) -> int:
        """How many users are active."""
        return sum(activity.active for activity in self._activities)

    def iterations(self) -> tuple[int, int]:
        """How many iterations have ended, and how many were interrupted."""
        activities = self._activities
        return sum(each.completed for each in activities), sum(each.interrupted for each in activities)

    def seconds(self) -> float:
        """How long it goes on."""
        return self.metrics.seconds

    def user_number(self) -> int:
        """The number of the next user, which no other has in the run."""
        return self._share.number(next(self._numbers) - 1) + 1

    def connections_of(self, number: int, kernel: Kernel) -> Connections:
        """The connections of a user: its own, or those that it shares with others."""
        on_loop = kernel if kernel.world != "threads" else None
        shared = self._options.connections
        if not shared:
            made = Connections(on_loop)
            self._own.append(made)
            return made
        key = (number % shared, on_loop is None)
        found = self._pools.get(key)
        if found is None:
            found = self._pools[key] = Connections(on_loop, is_shared=True)
            self._own.append(found)
        return found

    def abort(self, reason: str) -> None:
        """The script ends the run."""
        self._end(ExitStatus.ABORTED, f"the script aborted the run{f': {reason}' if reason else ''}")
        self._cut()

    def _end(self, status: int, problem: str) -> None:
        if self._exit_status == ExitStatus.OK:
            self._exit_status, self._problem = status, problem

    def _stop(self) -> None:
        for activity in self._activities:
            activity.stop()

    def _cut(self) -> None:
        for activity in self._activities:
            activity.cut()

    def _signalled(self) -> None:
        self._stops += 1
        if self._stops == 1:
            logger.warning("stopping: iterations that go on may end; the same signal again interrupts them")
            self._end(ExitStatus.INTERRUPTED, "the run was stopped by a signal")
            self._stop()
        else:
            self._cut()

    # -- its course

    def result(self) -> Result:
        """Run it."""
        with active(self.metrics):
            if not self._is_on_loop:
                kernel = ThreadKernel()
                try:
                    kernel.run(self._conduct(kernel))
                finally:
                    if not any(each.is_stuck for each in self._activities):
                        kernel.run(kernel.close())
            elif self._options.loop == "trio" or (not self._options.loop and self._script.prefers_trio):
                import_module("trio").run(self._on_loop)
            else:
                import_module("asyncio").run(self._on_loop())
        return self._told()

    async def _on_loop(self) -> None:
        async with open_kernel("a load run") as kernel:
            await self._conduct(kernel)

    async def _conduct(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._change = Change(kernel)
        for client in self._script.clients:
            if isinstance(client, UserAsyncClient) and kernel.world != "threads":
                client.live_in(kernel)
        if threading.current_thread() is threading.main_thread():
            with kernel.on_signals([signal.SIGINT, signal.SIGTERM], self._signalled):
                await self._phases()
        else:
            await self._phases()

    async def _phases(self) -> None:
        script, options, kernel = self._script, self._options, self._kernel
        self._observer.begins(options, script.name)
        try:
            await self._call("init", options.setup_timeout)
            self.metrics.begin()
            Meter(self.metrics).traffic(0, 0)
            data = None
            if not options.no_setup:
                data = await self._call("setup", options.setup_timeout)
            if self._stops:
                return
            self._prepare(data)
            watch = kernel.spawn(self._watch)
            try:
                await self._scenarios()
            finally:
                self._is_over = True
                self._change.tell()
                await watch.join()
            self._settle()
            if not options.no_teardown:
                await self._call("teardown", options.teardown_timeout, data)
        except ScriptFailure as failure:
            self._end(ExitStatus.SCRIPT, str(failure))
        except Abort as error:
            self.abort(str(error))
        finally:
            self.metrics.end()
            await self._close()

    async def _call(self, name: str, timeout: float, *values: Any) -> Any:
        """Call a function of the script's, if it has it. Raises ScriptFailure."""
        function = self._script.function(name)
        if function is None:
            return None
        given: list[Any] = []
        arguments = arguments_for(function, *values)

        async def call() -> None:
            with surrounded_by(Surroundings({}, f"::{name}")):
                if not is_async(function):
                    given.append(function(*arguments))
                elif self._is_on_loop:
                    given.append(await function(*arguments))
                else:
                    given.append(import_module("asyncio").run(function(*arguments)))

        try:
            if not await within(self._kernel, timeout, call):
                raise ScriptFailure(f"{name}() took more than {timeout:g} s, and was interrupted")
        except Exception as error:
            if isinstance(error, ScriptFailure):
                raise
            raise ScriptFailure(f"{name}(): {failure_text(error, self._script.path)}") from error
        return given[0] if given else None

    def _prepare(self, data: Any) -> None:
        for scenario in self._options.scenarios:
            function = self._functions[scenario.name]
            self._activities.append(
                Activity(
                    scenario,
                    function,
                    self,
                    self._kernel,
                    self._share,
                    is_async=is_async(function),
                    arguments=arguments_for(function, data),
                    tags=self._options.tags,
                    shortest=self._options.min_iteration_duration,
                )
            )

    async def _scenarios(self) -> None:
        kernel = self._kernel
        left = set(self._activities)
        begins_at = kernel.now()

        async def one(activity: Activity) -> None:
            try:
                await carry_out(activity, begins_at)
            finally:
                left.discard(activity)
                self._change.tell()

        tasks = [kernel.spawn(one, activity) for activity in self._activities]
        try:
            await self._change.wait_for(lambda: not left)
        finally:
            for task in tasks:
                task.cancel()

    # -- watching

    async def _watch(self) -> None:
        """Once a second: the number of users; the thresholds; whoever looks on."""
        kernel = self._kernel
        began = kernel.now()
        judged = began
        for second in count(1):
            if await self._change.wait_for(lambda: self._is_over, began + second):
                return
            most = self._most_users()
            if most:
                self.metrics.add("vus", "gauge", self.active_users())
                self.metrics.add("vus_max", "gauge", most)
            if kernel.now() - judged >= THRESHOLDS_EVERY - 0.1:
                judged = kernel.now()
                self._judge()
            self._observer.goes_on(self._status())

    def _most_users(self) -> int:
        return sum(
            max(len(each.users), each.scenario.max_users)
            for each in self._activities
            if each.active or not (each.is_over or each.is_stopping)
        )

    def _judge(self) -> None:
        """End the run if a threshold says so."""
        if not any(one.abort_on_fail for each in self.metrics.thresholds.values() for one in each):
            return
        passed = self.metrics.seconds
        for result in self.metrics.judge(only_taken=True):
            threshold = result.threshold
            if result.ok or not threshold.abort_on_fail:
                continue
            delay = threshold.delay_abort_eval
            if delay is None or seconds(delay, "delayAbortEval") < passed:
                self._end(ExitStatus.THRESHOLDS, f"threshold '{threshold.source}' on {result.metric} was crossed")
                self._cut()

    def _status(self) -> Status:
        completed, interrupted = self.iterations()
        return Status(
            seconds=self.metrics.seconds,
            vus=self.active_users(),
            max_vus=self._most_users(),
            completed=completed,
            interrupted=interrupted,
            dropped=sum(each.dropped for each in self._activities),
            scenarios=tuple((each.name, each.progress(), each.scenario.text) for each in self._activities),
            metrics=self.metrics,
        )

    # -- its end

    def _settle(self) -> None:
        """Say what there is to say of the iterations."""
        for activity in self._activities:
            for kind, times in activity.failures.items():
                if times > 1:
                    logger.error("scenario %s: %d iterations failed with %s", activity.name, times, kind)
        lag = self.metrics.value("generator_lag", "p(99)")
        if lag > LAG_WARNING:
            logger.warning(
                "the load generator was late itself: by %.1f ms at p(99). It has too little processor time for this "
                "rate: take --workers, or a machine more", lag,
            )  # fmt: skip

    async def _close(self) -> None:
        """Close the connections of all users, at the same time."""
        kernel, left = self._kernel, set(self._own)

        async def one(connections: Connections) -> None:
            try:
                await connections.close()
            finally:
                left.discard(connections)
                self._change.tell()

        if kernel.world == "threads":
            for each in self._own:
                await each.close()
            for client in self._script.clients:
                if not isinstance(client, UserAsyncClient):
                    client.close()
            return
        for each in self._own:
            kernel.spawn(one, each)
        await self._change.wait_for(lambda: not left, kernel.now() + CLOSE_TIMEOUT)
        for client in self._script.clients:
            if isinstance(client, UserAsyncClient):
                await client.close()
            else:
                client.close()

    def _told(self) -> Result:
        options, metrics = self._options, self.metrics
        crossed = sorted({result.metric for result in metrics.judge() if not result.ok})
        if crossed:
            named = ", ".join(crossed)
            self._end(ExitStatus.THRESHOLDS, f"thresholds on metrics '{named}' have been crossed")
        completed, interrupted = self.iterations()
        data = summary_data(metrics, options.summary_trend_stats, options.summary_time_unit)
        return Result(
            exit_status=self._exit_status,
            metrics=metrics,
            problem=self._problem,
            completed=completed,
            interrupted=interrupted,
            dropped=sum(each.dropped for each in self._activities),
            summary=summary(metrics, trend_stats=options.summary_trend_stats, time_unit=options.summary_time_unit),
            data=data,
            written=self._handle_summary(data),
        )

    def _handle_summary(self, data: dict[str, Any]) -> dict[str, str | bytes]:
        function = self._script.function("handle_summary")
        if function is None:
            return {}
        try:
            given = function(*arguments_for(function, data))
            if isinstance(given, Coroutine):
                given = import_module("asyncio").run(given)
        except Exception as error:
            logger.error("handle_summary(): %s", failure_text(error, self._script.path))
            return {}
        if not isinstance(given, Mapping):
            logger.error("handle_summary(): a dict is expected, not %s", type(given).__name__)
            return {}
        return {str(name): each if isinstance(each, bytes) else str(each) for name, each in given.items()}


class ScriptFailure(Exception):  # noqa: N818 - it is told, and nothing of ours failed
    """``init``, ``setup`` or ``teardown`` raised."""
