"""A scenario while it runs in this process: its users and how they do an iteration, its counts, its end."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Collection
from contextlib import suppress
from itertools import count
from math import inf
from time import perf_counter
from typing import Any, Protocol

from puregrpc.client.check import how_to_sleep
from puregrpc.client.per_user import Connections, current_connections
from puregrpc.client.streams.base import StreamBase, begun_streams
from puregrpc.errors import NotConnected
from puregrpc.kernel import Kernel, ThreadKernel
from puregrpc.kernel.threads.trampoline import Interrupted
from puregrpc.kernel.threads.waking import Condition
from puregrpc.load.context import Place, current_place
from puregrpc.load.copies import own_copy
from puregrpc.load.problems import Abort
from puregrpc.load.scenarios import Scenario
from puregrpc.load.waiting import Change
from puregrpc.metrics import Metrics, Series
from puregrpc.metrics.current import Surroundings, current_group, surround

__all__ = ["Activity", "Share", "Test", "User"]

logger = logging.getLogger("puregrpc.load")

AT_ONCE = 5e-5
"""Seconds: an iteration that took no longer has waited for nothing, and others must have their turn after it."""

CLOSE_TIMEOUT = 1.0
"""Seconds that threads have to end what was interrupted."""

CUT_EVERY = 0.1
"""Seconds after which a thread that waits for a stream looks whether it has to end."""

LONGEST_TURN = 0.05
"""Seconds after which others have theirs in any case."""


class Test(Protocol):
    """The run, as its scenarios see it."""

    seed: str
    metrics: Metrics

    def active_users(self) -> int: ...
    def iterations(self) -> tuple[int, int]: ...
    def seconds(self) -> float: ...
    def abort(self, reason: str) -> None: ...
    def fail(self, reason: str) -> None: ...
    def connections_of(self, number: int, kernel: Kernel | None) -> Connections: ...
    def user_number(self) -> int: ...


class Share:
    """Which worker this is, of how many; and who hands out what they share."""

    def __init__(self, index: int = 0, workers: int = 1) -> None:
        self.index = index
        self.workers = workers

    hands_out = True
    """It knows which shared iterations are taken; others ask it."""

    def number(self, count: int) -> int:
        """The number, in the whole run, of what is the ``count``-th here (from 0)."""
        return count * self.workers + self.index

    def ask(self, scenario: str, users: int) -> None:
        """Have more of a scenario's iterations sent."""

    def take_now(self, scenario: str) -> int | None:  # noqa: ARG002 - of those who ask
        """The next iteration that has been sent."""
        return None

    is_exhausted: Collection[str] = ()
    """Scenarios of which all iterations are taken."""

    def left(self, scenario: str) -> int:  # noqa: ARG002 - of those who ask
        """Iterations that were sent and not begun."""
        return 0


class Activity:
    """A scenario that runs. Its users do `function`, one iteration after the other."""

    def __init__(
        self,
        scenario: Scenario,
        function: Callable[..., Any],
        test: Test,
        kernel: Kernel,
        share: Share,
        *,
        is_async: bool,
        arguments: tuple[Any, ...],
        tags: dict[str, str],
        shortest: float,
    ) -> None:
        self.scenario = scenario
        self.function = function
        self.is_async = is_async
        self._file = getattr(getattr(function, "__code__", None), "co_filename", "")
        """Where the script's own lines are."""
        self._arguments = arguments
        self._is_shared = all(own_copy(each) is each for each in arguments)
        """The users get nothing that they could change."""
        self.test = test
        self.kernel = kernel
        self.share = share
        self.shortest = shortest
        self.tags = {**tags, "scenario": scenario.name, **scenario.tags}
        self.surroundings = Surroundings(self.tags)
        self.durations = self._durations_with(self.surroundings)
        self._tagged: dict[tuple[tuple[str, str], ...], tuple[Surroundings, Series]] = {}
        self.threads = None if is_async or kernel.world == "threads" else ThreadKernel()
        """Where iterations run that would hold up the loop."""
        self._in_threads = 0
        self.change = Change(kernel)
        self.begins_at = inf
        self.ends_at = inf
        self.is_stopping = False
        """No iteration is begun any more."""
        self.is_cut = False
        """What goes on is interrupted."""
        self.is_over = False
        self.dropped = 0
        self._taken = count()
        self._stuck = 0
        self._sleeping = Condition()
        self.active = 0
        """Users that are active."""
        self.users: list[User] = []
        self.latest: User | None = None
        """Who began an iteration last: while it is the same one, the others may not have had their turns."""
        self.target: int | None = None
        """How many users somebody wants who controls it from outside."""
        self.failures: dict[str, int] = {}
        """What iterations raised, and how often."""

    # -- what scripts ask

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.scenario.name

    @property
    def executor(self) -> str:
        """The executor's."""
        return self.scenario.executor

    @property
    def completed(self) -> int:
        """How many iterations have ended."""
        return sum(user.completed for user in self.users)

    @property
    def interrupted(self) -> int:
        """How many iterations were interrupted."""
        return sum(user.interrupted for user in self.users) + self._stuck

    def env(self, name: str) -> str | None:
        """A variable of the scenario, or of the process."""
        return self.scenario.env.get(name, os.environ.get(name))

    def progress(self) -> float:
        """How far it is, from 0 to 1."""
        if self.is_over:
            return 1.0
        if self.begins_at == inf:
            return 0.0
        scenario = self.scenario
        iterations = getattr(scenario, "iterations", None)
        if iterations is not None:
            whole = iterations * (scenario.max_users if scenario.executor == "per-vu-iterations" else 1)
            return float(min(self.completed * self.share.workers / whole, 1.0))
        passed = self.kernel.now() - self.begins_at
        return min(max(passed / scenario.duration, 0.0), 1.0) if scenario.duration != inf else 0.0

    def surroundings_of(self, tags: dict[str, str]) -> tuple[Surroundings, Series]:
        """Those of all users that have the same tags, and where the durations of their iterations go."""
        key = tuple(sorted(tags.items()))
        found = self._tagged.get(key)
        if found is None:
            surroundings = Surroundings({**self.tags, **tags})
            found = surroundings, self._durations_with(surroundings)
            if len(self._tagged) < 10_000:
                self._tagged[key] = found
        return found

    def _durations_with(self, surroundings: Surroundings) -> Series:
        metrics = self.test.metrics
        own = {**metrics.tags, **surroundings.tags}
        durations = metrics.metric("iteration_duration", "trend", "time").with_tags(own)
        durations.followed_by(metrics.metric("iterations", "counter").with_tags(own), 1.0)
        return durations

    def tell_traffic(self) -> None:
        """What was sent and received is told even if that is nothing, once an iteration was begun."""
        if self.latest is not None:
            metrics = self.test.metrics
            for name in ("data_sent", "data_received"):
                metrics.metric(name, "counter", "data").with_tags({**metrics.tags, **self.surroundings.tags}).note(0)

    # -- what executors use

    def new_user(self) -> User:
        """One more user."""
        number = self.test.user_number()
        kernel = self.kernel if self.is_async else None
        user = User(number, self, self.test.connections_of(number, kernel))
        self.users.append(user)
        return user

    def own_arguments(self) -> tuple[Any, ...]:
        """What the function is given when it is called by one user."""
        return self._arguments if self._is_shared else tuple(own_copy(each) for each in self._arguments)

    @property
    def may_begin(self) -> bool:
        """Whether an iteration may be begun."""
        return not self.is_stopping and self.kernel.now() < self.ends_at

    async def take(self) -> int | None:
        """The number of the next one of the iterations that users share; None if all are taken."""
        share, name = self.share, self.name
        while (number := share.take_now(name)) is None:
            if name in share.is_exhausted or self.is_stopping:
                return None
            share.ask(name, self.active)
            await self.change.wait_for(lambda: share.left(name) or name in share.is_exhausted or self.is_stopping)
        return number

    def take_now(self) -> int | None:
        """The same in the process that hands them out, which need not wait."""
        number = next(self._taken)
        return number if number < getattr(self.scenario, "iterations", 0) else None

    def drop_rest(self) -> None:
        """The iterations that nobody has taken are not done."""
        left = self.share.left(self.name)
        if self.share.hands_out:
            left = getattr(self.scenario, "iterations", 0) - next(self._taken)
        if left > 0:
            self.drop(left)

    @property
    def is_stuck(self) -> bool:
        """Whether iterations go on that nothing interrupts."""
        return bool(self._stuck)

    def give_up(self, count: int) -> None:
        """So many iterations go on that nothing interrupts."""
        self._stuck += count

    def drop(self, count: int = 1) -> None:
        """So many iterations were due and are not done."""
        self.dropped += count
        metric = self.test.metrics.metric("dropped_iterations", "counter")
        metric.with_tags(self.tags).note(count)

    async def pause(self, seconds: float) -> None:
        """Wait, unless the end comes."""
        await self.change.wait_for(lambda: self.is_cut or self.is_stopping, self.kernel.now() + seconds)

    async def in_thread(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Call a plain function in a thread while the loop goes on."""
        kernel, threads = self.kernel, self.threads
        assert threads is not None
        ended = kernel.waiter()
        raised: list[BaseException] = []

        async def work() -> None:
            try:
                function(*arguments)
            except BaseException as error:
                raised.append(error)
            finally:
                with suppress(NotConnected):
                    kernel.call_soon(over)

        def over() -> None:
            self._in_threads -= 1
            ended.wake()

        self._in_threads += 1
        task = threads.spawn(work)
        try:
            await ended.wait()
        except BaseException:
            task.cancel()
            raise
        if raised and not isinstance(raised[0], Interrupted):
            raise raised[0]

    async def close(self) -> None:
        """End its threads, if they can be ended."""
        if self.threads is not None:
            await self.change.wait_for(lambda: not self._in_threads, self.kernel.now() + CLOSE_TIMEOUT)
            if not self._in_threads:
                await self.kernel.in_thread(self.threads.run, self.threads.close())

    # -- what iterations come to

    def failed(self, error: BaseException) -> None:
        """An iteration raised something: it is counted, and told the first time."""
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename == self._file] or frames
        where = f"{own[-1].filename}:{own[-1].lineno}" if own else ""
        kind = f"{type(error).__name__} at {where}"
        seen = self.failures.get(kind, 0)
        self.failures[kind] = seen + 1
        if not seen:
            text = "".join(traceback.format_exception(type(error), error, error.__traceback__)[-12:])
            logger.error("scenario %s: an iteration failed: %s\n%s", self.name, error, text.rstrip())
        tags = {**self.test.metrics.tags, **self.surroundings.tags, "error": type(error).__name__}
        self.test.metrics.metric("iteration_errors", "counter").with_tags(tags).note(1)

    def aborted(self, error: Abort) -> None:
        """An iteration ends the run."""
        self.test.abort(str(error))

    # -- its end

    def stop(self) -> None:
        """Begin no iteration any more."""
        self.is_stopping = True
        self.change.tell()

    def cut(self) -> None:
        """Interrupt what goes on."""
        self.is_stopping = self.is_cut = True
        self.change.tell()
        if not self.is_async:
            with self._sleeping.lock:
                self._sleeping.notify_all()
            for user in self.users:
                user.connections.interrupt()

    def sleep(self, seconds: float) -> None:
        """What `puregrpc.sleep` does in iterations on threads."""
        if self._sleeping.wait_for(lambda: self.is_cut, seconds):
            raise Interrupted


class User:
    """A virtual user of a scenario."""

    __slots__ = (
        "_arguments", "_durations", "_function", "_is_settled", "_streams", "_turn", "activity", "completed",
        "connections", "interrupted", "place", "surroundings",
    )  # fmt: skip

    def __init__(self, number: int, activity: Activity, connections: Connections) -> None:
        self.activity = activity
        self.connections = connections
        self.place = Place(number, activity, activity.test, f"{activity.test.seed}/{number}", self._set_tags)
        self.surroundings = Surroundings(activity.tags, key=activity.surroundings)
        self._function: Callable[..., Any] = activity.function
        self._arguments: tuple[Any, ...] = ()
        self._durations = activity.durations
        self._streams: list[StreamBase] = []
        """Those that it has opened."""
        self._is_settled = False
        self._turn = 0.0
        self.completed = 0
        self.interrupted = 0

    def _set_tags(self, tags: dict[str, str]) -> None:
        activity, behind = self.activity, self.surroundings.behind
        key, self._durations = activity.surroundings_of(tags)
        self.surroundings = Surroundings({**activity.tags, **tags}, key=key)
        self.surroundings.behind = behind
        surround(self.surroundings.in_group(current_group()))

    def settle_in(self) -> None:
        """Let the code of this task be the user's."""
        current_place.set(self.place)
        current_connections.set(self.connections)
        begun_streams.set(self._streams)
        surround(self.surroundings)
        if not self.activity.is_async:
            how_to_sleep.set(self.activity.sleep)
        self._turn = perf_counter()
        if not self._is_settled:
            self._is_settled = True
            self._arguments = self.activity.own_arguments()

    def _call(self) -> None:
        """Do an iteration in a thread, up to the ends of its streams."""
        self._function(*self._arguments)
        if self._streams:
            for stream in self._handled_streams():
                while not stream.wait(CUT_EVERY * 1000):
                    if self.activity.is_cut:
                        raise Interrupted

    def _handled_streams(self) -> list[Any]:
        """Those that end by themselves, and whose handlers belong to the iteration, as in k6."""
        due: list[StreamBase] = []
        kept: list[StreamBase] = []
        for stream in self._streams:
            if stream.is_half_closed:
                due.append(stream)
            elif not stream.is_over:
                kept.append(stream)
        self._streams[:] = kept
        return [stream for stream in due if stream.is_handled]

    async def iterate(self, number: int, planned: float | None = None) -> None:
        """Do an iteration: ``number`` is its own in the scenario, ``planned`` when it was due (`perf_counter`)."""
        activity, place = self.activity, self.place
        place.iteration += 1
        place.iteration_in_test = number
        has_aborted = False
        activity.latest = self
        began = perf_counter()
        if planned is not None:
            place.planned = planned
            self.surroundings.behind = max(began - planned, 0.0)
        try:
            if activity.is_async:
                await self._function(*self._arguments)
                if self._streams:
                    for stream in self._handled_streams():
                        await stream.wait()
            elif activity.threads is None:
                self._call()
            else:
                surround(self.surroundings)  # they are others once `vu.tag` was called, in a thread
                await activity.in_thread(self._call, ())
        except Interrupted:
            self.interrupted += 1
            if not activity.is_async:
                raise
            await activity.kernel.checkpoint()  # it was held up, and has much to hear
            return
        except (Exception, SystemExit) as error:  # sys.exit() too is no reason to end a run
            activity.failed(error)
        except Abort as error:
            has_aborted = True
            activity.aborted(error)
        except BaseException as error:
            if activity.kernel.interrupts(error):
                self.interrupted += 1
                raise
            activity.failed(error)
        if activity.is_cut and not has_aborted:
            self.interrupted += 1
            return
        ended = perf_counter()
        self._durations.note((ended - began) * 1000)
        self.completed += 1
        shortest = activity.shortest
        if shortest and ended - began < shortest:
            await activity.pause(shortest - (ended - began))
            self._turn = perf_counter()
        elif ended - began < AT_ONCE or (ended - self._turn > LONGEST_TURN and activity.latest is self):
            self._turn = ended
            await activity.kernel.checkpoint()
