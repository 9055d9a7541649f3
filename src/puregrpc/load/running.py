"""A whole run: the script is read, set up, its scenarios carried out and watched, torn down, and the result told."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count
from typing import TYPE_CHECKING, Any

from puregrpc.client.calls.measure import Meter
from puregrpc.client.params.definitions import another_script
from puregrpc.errors import InvalidArgument
from puregrpc.load.activity import Share
from puregrpc.load.built_in import run_metrics
from puregrpc.load.course import SCRIPT_CALLERS, Course, ScriptFailure, seldom_collected
from puregrpc.load.messages import Counts
from puregrpc.load.options import Options, read_options
from puregrpc.load.outputs.exporter import Exporter
from puregrpc.load.outputs.listening import Listening
from puregrpc.load.page import page, page_data
from puregrpc.load.problems import Abort, ExitStatus, LoadError, aborted_text
from puregrpc.load.reading import duration_text, seconds
from puregrpc.load.report import summary_data
from puregrpc.load.script import Script, arguments_for, failure_text, load_script
from puregrpc.load.standstill import breaking_out
from puregrpc.load.timeline import Timeline
from puregrpc.metrics import Metrics
from puregrpc.metrics.registry import Sample

if TYPE_CHECKING:
    from puregrpc.load.peers import Peers

__all__ = ["Observer", "Result", "Status", "run"]

logger = logging.getLogger("puregrpc.load")

THRESHOLDS_EVERY = 2.0
"""Seconds between one look at the thresholds and the next, as in k6."""

LAG_WARNING = 10.0
"""Milliseconds: a generator that is later than this with one of a hundred iterations says so."""

SIGNALS = [signal.SIGINT, signal.SIGTERM]

BEGIN_DELAY = 0.1
"""Seconds from the word to begin until scenarios begin, where workers have to hear it first."""


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

    def serves(self, address: str) -> None:
        """The page of the run is to be seen at an address."""

    def goes_on(self, status: Status) -> None:
        """A second has passed."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run came to."""

    exit_status: int
    """As ``puregrpc run`` has it: 0, 99 if a threshold was crossed, 105 after Ctrl-C, 107 if the script raised, 108 if
    it called `abort`, 110 if it called ``test.fail``."""
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
    page: str = field(repr=False)
    """The report as an HTML page, with plots over time."""
    written: dict[str, str | bytes] | None = field(repr=False)
    """What ``handle_summary`` gave: name of a file, ``stdout`` or ``stderr`` -> what goes there. None: there is no such
    function, or it failed, and the summary is told as it is."""


def run(
    script: object,
    options: Mapping[str, Any] | None = None,
    *,
    env: Mapping[str, str] | None = None,
    workers: int = 1,
    outputs: tuple[Callable[[Sample], None] | Exporter, ...] = (),
    observer: Observer | None = None,
    web: int | None = None,
) -> Result:
    """Run a load test to its end, and return what it came to.

    ``script`` is the path of a Python file, a module, a dict of names, or a function that each iteration calls.
    ``options`` go before those that the script exports; they are k6's, in its spelling or in Python's. ``env`` are
    variables of the environment. ``workers`` is how many processes share the work: this one, which sees to the others,
    and as many more as that takes; the script is a file then. Each of the ``outputs`` gets every sample until it
    raises, which is logged, or is an `Exporter`, which sends now and then what was measured. ``web`` is a port of
    127.0.0.1 (0: any that is free) where the report is to be seen while the run goes on, and where users that are
    controlled from outside are set. In the main thread SIGINT and SIGTERM end the run gracefully, and at once when they
    come again.

    Raises LoadError if the run cannot begin, with the exit status that ``puregrpc run`` would have.
    """
    os.environ.update(env or {})
    metrics = run_metrics()
    if workers < 1:
        raise LoadError(f"workers: it is at least 1, and this is {workers}")
    with another_script():
        found = load_script(script, metrics)
        if workers > 1 and found.path is None:
            raise LoadError("several workers need the path of a script: each of them reads it")
        read = read_options(found.options, options)
        try:
            metrics.add_thresholds({} if read.no_thresholds else read.thresholds)
            metrics.judge()
        except InvalidArgument as error:
            raise LoadError(str(error)) from None
        peers = None
        if workers > 1:
            from puregrpc.load.peers import Peers  # most runs do without

            peers = Peers(workers, str(script), dict(options or {}))
        made = Run(found, read, metrics, observer or Observer(), peers)
        with ExitStack() as stack:
            for output in outputs:
                if isinstance(output, Exporter):
                    stack.enter_context(output.exporting(metrics))
                else:
                    metrics.listen(Listening(output))
            if web is not None:
                from puregrpc.load.web import serving  # most runs do without

                made.observer.serves(stack.enter_context(serving(made, web, found.name)))
            return made.result()


STOPPED = "the run was stopped by a signal"


class Run(Course):
    """A run as its coordinator has it: the first of its workers, which sees to the others."""

    def __init__(
        self, script: Script, options: Options, metrics: Metrics, observer: Observer, peers: Peers | None
    ) -> None:
        super().__init__(script, options, metrics, Share(workers=1 if peers is None else peers.workers))
        self.observer = observer
        self.timeline = Timeline(metrics)
        self._peers = peers
        self._setup_data: Any = None
        self._exit_status = ExitStatus.OK
        self._problem = ""
        self._is_paused = False
        self._wanted: int | None = None
        """How many users somebody wants where they are controlled from outside, and how many there may be."""
        self._most: int | None = None

    def _end(self, status: int, problem: str) -> None:
        if self._exit_status == ExitStatus.OK:
            self._exit_status, self._problem = status, problem

    def abort(self, reason: str) -> None:
        self._end(ExitStatus.ABORTED, aborted_text(reason))
        self.cut()

    def fail(self, reason: str) -> None:
        self._end(ExitStatus.FAILED, f"the script says that the run failed{f': {reason}' if reason else ''}")

    def lost(self, problem: str) -> None:
        """A worker is no more."""
        logger.error("%s", problem)
        self._end(ExitStatus.WORKER, problem)
        self.change.tell()

    @property
    def is_hurried(self) -> bool:
        """Whether everything is to end at once."""
        return self._stops > 1

    def stop(self) -> None:
        super().stop()
        if self._peers is not None:
            self._peers.stop()

    def cut(self) -> None:
        super().cut()
        if self._peers is not None:
            self._peers.cut()

    @contextmanager
    def signals(self) -> Iterator[None]:
        try:
            with self.kernel.on_signals(SIGNALS, self._signalled):
                if self.kernel.world == "threads":
                    yield
                else:
                    with breaking_out(SIGNALS, SCRIPT_CALLERS, lambda: self._stops, self._break_out):
                        yield
        finally:
            for each in SIGNALS:  # it ends as it is: who is impatient still gets the summary
                signal.signal(each, lambda *_: None)

    def _break_out(self) -> None:
        """A script keeps the loop from hearing signals, and is interrupted: others are not to do so after it."""
        self._end(ExitStatus.INTERRUPTED, STOPPED)
        for activity in self.activities:
            activity.is_stopping = activity.is_cut = True

    def _signalled(self) -> None:
        self._stops += 1
        if self._stops == 1:
            logger.warning("stopping: iterations that go on may end; the same signal again interrupts them")
            self._end(ExitStatus.INTERRUPTED, STOPPED)
            self.stop()
        else:
            self.cut()
        self.change.tell()

    # -- what other threads ask of it

    def view(self) -> dict[str, Any]:
        """See `Controlled`."""
        return self._page_data(f"running for {duration_text(round(self.metrics.seconds))}", "")

    def _page_data(self, state: str, summary: str) -> dict[str, Any]:
        return page_data(
            self.metrics,
            self.timeline,
            script=self.script.name,
            scenarios=[f"{each.name}: {each.text}" for each in self.options.scenarios],
            state=state,
            summary=summary,
            is_over=bool(summary),
            controls=not summary and any(each.target is not None for each in self.activities),
            is_paused=self._is_paused,
        )

    def standing(self) -> dict[str, Any]:
        """See `Controlled`."""
        return {
            "status": 7 if self.is_over else 4,
            "paused": self._is_paused,
            "vus": self._all_counts().vus,
            "vus-max": self._most_users(),
            "stopped": bool(self.activities) and all(each.is_stopping for each in self.activities),
            "running": bool(self.activities) and not self.is_over,
            "tainted": False,
        }

    def control(self, *, users: int | None = None, most: int | None = None, is_paused: bool | None = None) -> None:
        """See `Controlled`."""
        controlled = [each for each in self.activities if each.target is not None and not each.is_over]
        if not controlled:
            raise InvalidArgument("no scenario is externally-controlled, whose users could be set")
        if most is None:
            most = self._most or min(each.scenario.max_users for each in controlled)
        wanted = self._wanted if users is None else users
        if wanted is None:
            wanted = max(each.target or 0 for each in controlled)
        if wanted > most:
            raise InvalidArgument(f"vus: there are {most} at the most (vus-max), and this is {wanted}")
        self._most, self._wanted = most, wanted
        if is_paused is not None:
            self._is_paused = is_paused
        self.kernel.call_soon(self._set_users, 0 if self._is_paused else wanted)

    def _set_users(self, count: int) -> None:
        for activity in self.activities:
            if activity.target is not None:
                activity.target = count
                activity.change.tell()
        if self._peers is not None:
            self._peers.users(count)

    def request_stop(self) -> None:
        """See `Controlled`."""
        self.kernel.call_soon(self.stop)

    # -- its course

    def result(self) -> Result:
        """Run it."""
        before = {each: signal.getsignal(each) for each in SIGNALS}
        try:
            self.run()
        finally:
            if self._peers is not None:
                self._peers.close()
            if threading.current_thread() is threading.main_thread():
                for each, handler in before.items():
                    signal.signal(each, signal.SIG_DFL if handler is None else handler)
        return self._told()

    async def phases(self) -> None:
        options, kernel, peers = self.options, self.kernel, self._peers
        self.observer.begins(options, self.script.name)
        if peers is not None:
            peers.start(self)
        try:
            await self.call("init", options.setup_timeout)
            if peers is not None:
                await peers.ready()
            self.metrics.begin()
            if self._stops:
                return
            data = None
            if not options.no_setup:
                data = self._setup_data = await self.call("setup", options.setup_timeout)
            problem = "" if peers is None else peers.objection(data)
            if problem:
                self._end(ExitStatus.SCRIPT, problem)
            elif not self._stops:  # else teardown clears away what setup has made
                self.prepare(data)
                with seldom_collected():
                    begins_at = kernel.now() + (0.0 if peers is None else BEGIN_DELAY)
                    if peers is not None:
                        peers.begin(begins_at - kernel.now(), data)
                    await self.scenarios(begins_at, self._watch)
                if peers is not None:
                    await peers.done()
                self.timeline.finish(self.metrics.seconds)
                self._settle()
            if not options.no_teardown:
                await self.call("teardown", options.teardown_timeout, data)
        except ScriptFailure as failure:
            if not self.activities:
                Meter(self.metrics).traffic(0, 0)
            self._end(failure.exit_status, str(failure))
        except Abort as error:
            self.abort(str(error))
        finally:
            self.metrics.end()
            await self.close()

    # -- watching

    async def _watch(self) -> None:
        """Once a second: the number of users; the thresholds; whoever looks on."""
        kernel = self.kernel
        began = judged = kernel.now()
        for second in count(1):
            if await self.change.wait_for(lambda: self.is_over, began + second):
                return
            most, users = self._most_users(), self._all_counts().vus
            self.timeline.tick(self.metrics.seconds, users)
            if most:
                self.metrics.add("vus", "gauge", users)
                self.metrics.add("vus_max", "gauge", most)
            if kernel.now() - judged >= THRESHOLDS_EVERY - 0.1:
                judged = kernel.now()
                self._judge()
            self.observer.goes_on(self._status())

    def _all_counts(self) -> Counts:
        """How the users of all workers stand."""
        every = [self.counts(), *([] if self._peers is None else self._peers.counts())]
        return Counts(
            sum(each.vus for each in every),
            sum(each.completed for each in every),
            sum(each.interrupted for each in every),
            sum(each.dropped for each in every),
        )

    def _most_users(self) -> int:
        return sum(
            max(len(each.users), each.scenario.max_users if each.target is None or self._most is None else self._most)
            for each in self.activities
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
                self.cut()

    def _status(self) -> Status:
        counts = self._all_counts()
        return Status(
            seconds=self.metrics.seconds,
            vus=counts.vus,
            max_vus=self._most_users(),
            completed=counts.completed,
            interrupted=counts.interrupted,
            dropped=counts.dropped,
            scenarios=tuple((each.name, each.progress(), each.scenario.text) for each in self.activities),
            metrics=self.metrics,
        )

    # -- its end

    def _settle(self) -> None:
        """Say what there is to say of the iterations."""
        failures = [(each.name, each.failures) for each in self.activities]
        if self._peers is not None:
            failures += self._peers.failures()
        found: dict[tuple[str, str], int] = {}
        for name, kinds in failures:
            for kind, times in kinds.items():
                found[name, kind] = found.get((name, kind), 0) + times
        for (name, kind), times in found.items():
            if times > 1:
                logger.error("scenario %s: %d iterations failed with %s", name, times, kind)
        lag = self.metrics.value("generator_lag", "p(99)")
        if lag > LAG_WARNING:
            logger.warning(
                "the load generator was late itself: by %.1f ms at p(99). It has too little processor time for this "
                "rate: take --workers, or a machine more", lag,
            )  # fmt: skip

    def _told(self) -> Result:
        options, metrics, counts = self.options, self.metrics, self._all_counts()
        crossed = sorted({result.metric for result in metrics.judge() if not result.ok})
        if crossed:
            named = ", ".join(crossed)
            self._end(ExitStatus.THRESHOLDS, f"thresholds on metrics '{named}' have been crossed")
        data = summary_data(metrics, options.summary_trend_stats, options.summary_time_unit, self._setup_data)
        text = metrics.summary(
            trend_stats=options.summary_trend_stats, time_unit=options.summary_time_unit, mode=options.summary_mode
        )
        written = None if options.no_summary else self._handle_summary(data)
        state = f"{self._problem or 'it went well'}, after {duration_text(round(metrics.seconds, 1))}"
        return Result(
            exit_status=self._exit_status,
            metrics=metrics,
            problem=self._problem,
            completed=counts.completed,
            interrupted=counts.interrupted,
            dropped=counts.dropped,
            summary=text,
            page=page(self._page_data(state, text), self.script.name),
            data=data,
            written=written,
        )

    def _handle_summary(self, data: dict[str, Any]) -> dict[str, str | bytes] | None:
        function = self.script.function("handle_summary")
        if function is None:
            return None
        try:
            given = function(*arguments_for(function, data))
            if isinstance(given, Coroutine):
                given = import_module("asyncio").run(given)
        except KeyboardInterrupt:
            self._end(ExitStatus.INTERRUPTED, "handle_summary() was interrupted")
            return None
        except (Exception, SystemExit, Abort) as error:
            logger.error("handle_summary(): %s", failure_text(error, self.script.path))
            return None
        if given is None:
            return None
        if not isinstance(given, Mapping):
            logger.error("handle_summary(): a dict is expected, not %s", type(given).__name__)
            return None
        return {str(name): each if isinstance(each, bytes) else str(each) for name, each in given.items()}
