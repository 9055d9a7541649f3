"""How the users of a scenario are kept busy: one coroutine for each of k6's executors, in any world."""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from itertools import count
from math import inf
from time import perf_counter
from typing import Any

from puregrpc.kernel import Task, Waiter
from puregrpc.load.activity import Activity, User
from puregrpc.load.scenarios import (
    ArrivalRate,
    ConstantArrivalRate,
    ConstantVus,
    ExternallyControlled,
    PerVuIterations,
    RampingArrivalRate,
    RampingVus,
    Scenario,
    SharedIterations,
)
from puregrpc.load.schedules import arrivals, constant_arrivals, share_of, user_steps

__all__ = ["CUT_GRACE", "carry_out"]

logger = logging.getLogger("puregrpc.load")

CUT_GRACE = 1.0
"""Seconds that iterations have to end which were interrupted. A thread may be where nothing interrupts it."""


async def carry_out(activity: Activity, begins_at: float) -> None:
    """Run a scenario from its start to its end."""
    kernel, scenario = activity.kernel, activity.scenario
    start = begins_at + scenario.start_time
    if await activity.change.wait_for(lambda: activity.is_stopping, start):
        activity.is_over = True
        return
    activity.begins_at = start
    activity.ends_at = start + scenario.duration
    crew = Crew(activity)
    try:
        await EXECUTE[type(scenario)](activity, crew)
        if not activity.is_stopping:
            activity.stop()
        await crew.end(kernel.now() + scenario.graceful_stop)
    finally:
        crew.cancel()
        activity.tell_traffic()
        activity.is_over = True


class Crew:
    """The tasks of a scenario's users."""

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self._tasks: dict[User, Task | None] = {}
        """Of those that have not ended."""

    def begin(self, user: User, work: Callable[[User], Awaitable[None]]) -> None:
        """Have a user work."""

        async def run() -> None:
            user.settle_in()
            try:
                await work(user)
            finally:
                self._leave(user)

        self._spawn(user, run)

    def keep_busy(self, user: User, next_number: Callable[[], int | None]) -> None:
        """Have a user do one iteration after the other, each with its number, until there is none."""

        async def run() -> None:  # as `begin`, with a coroutine less between the loop and each call
            user.settle_in()
            try:
                while (number := next_number()) is not None:
                    await user.iterate(number)
            finally:
                self._leave(user)

        self._spawn(user, run)

    def _spawn(self, user: User, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        kernel = self._activity.kernel
        kernel.locked(self._begins, user)
        kernel.locked(self._has_begun, user, kernel.spawn(run))

    def _leave(self, user: User) -> None:
        self._activity.kernel.locked(self._ended, user)
        self._activity.change.tell()

    def _begins(self, user: User) -> None:
        self._tasks[user] = None
        self._activity.active += 1

    def _has_begun(self, user: User, task: Task) -> None:
        if user in self._tasks:  # on threads it may have ended
            self._tasks[user] = task

    def _ended(self, user: User) -> None:
        self._tasks.pop(user, None)
        self._activity.active -= 1

    def interrupt(self, user: User) -> None:
        """Interrupt a user where it is."""
        task = self._tasks.get(user)
        if task is not None:
            task.cancel()

    def is_at_work(self, user: User) -> bool:
        """Whether a user has not ended."""
        return user in self._tasks

    @property
    def is_idle(self) -> bool:
        """Whether all have ended."""
        return not self._tasks

    async def end(self, until: float) -> None:
        """Wait until all have ended; interrupt those that have not by ``until``, or when the run is cut short."""
        activity = self._activity
        await activity.change.wait_for(lambda: self.is_idle or activity.is_cut, until)
        if self.is_idle:
            return
        activity.cut()
        self.cancel()
        await activity.change.wait_for(lambda: self.is_idle, activity.kernel.now() + CUT_GRACE)
        activity.give_up(len(self._tasks))  # in threads that nothing interrupts

    def cancel(self) -> None:
        """Interrupt all."""
        for task in list(self._tasks.values()):
            if task is not None:
                task.cancel()


async def wait_for_end(activity: Activity, crew: Crew) -> None:
    """Wait until the scenario's time is over, or it is stopped, or all users have ended."""
    await activity.change.wait_for(lambda: activity.is_stopping or crew.is_idle, activity.ends_at)


async def shared_iterations(activity: Activity, crew: Crew) -> None:
    """See `SharedIterations`."""
    scenario = activity.scenario
    assert isinstance(scenario, SharedIterations)
    take, take_now = activity.take, activity.take_now if activity.share.hands_out else None

    async def work(user: User) -> None:
        while activity.may_begin:
            number = await take() if take_now is None else take_now()
            if number is None:
                return
            await user.iterate(number)

    for _ in range(share_of(scenario.vus, activity.share.index, activity.share.workers)):
        crew.begin(activity.new_user(), work)
    await wait_for_end(activity, crew)
    if not activity.is_stopping:
        activity.drop_rest()


async def per_vu_iterations(activity: Activity, crew: Crew) -> None:
    """See `PerVuIterations`."""
    scenario, share = activity.scenario, activity.share
    assert isinstance(scenario, PerVuIterations)
    numbers = count()
    vus = share_of(scenario.vus, share.index, share.workers)

    async def work(user: User) -> None:
        for _ in range(scenario.iterations):
            if not activity.may_begin:
                return
            await user.iterate(share.number(next(numbers)))

    for _ in range(vus):
        crew.begin(activity.new_user(), work)
    await wait_for_end(activity, crew)
    left = vus * scenario.iterations - next(numbers)
    if left > 0 and not activity.is_stopping:
        activity.drop(left)


async def constant_vus(activity: Activity, crew: Crew) -> None:
    """See `ConstantVus`."""
    scenario, share = activity.scenario, activity.share
    assert isinstance(scenario, ConstantVus)
    numbers = count()

    def next_number() -> int | None:
        return share.number(next(numbers)) if activity.may_begin else None

    for _ in range(share_of(scenario.vus, share.index, share.workers)):
        crew.keep_busy(activity.new_user(), next_number)
    await wait_for_end(activity, crew)


class Pool:
    """Users whose number goes up and down: the first ones are kept the longest."""

    def __init__(self, activity: Activity, crew: Crew) -> None:
        self._activity = activity
        self._crew = crew
        self._numbers = count()
        self._wanted: list[bool] = []
        self._leaving: list[tuple[float, int, int]] = []
        """When users are interrupted that are not wanted any more: time, which one, for the how-manieth time."""
        self._left: list[int] = []
        self.size = 0

    def resize(self, size: int, grace: float) -> None:
        """Have so many users; those that are too many have ``grace`` seconds to end their iteration."""
        activity = self._activity
        while self.size < size:
            place = self.size
            self.size += 1
            if place == len(self._wanted):
                self._wanted.append(True)
                self._left.append(0)
                activity.new_user()
            self._wanted[place] = True
            user = activity.users[place]
            if not self._crew.is_at_work(user):
                self._crew.keep_busy(user, partial(self._next_number, place))
        while self.size > size:
            self.size -= 1
            self._wanted[self.size] = False
            self._left[self.size] += 1
            heapq.heappush(self._leaving, (activity.kernel.now() + grace, self.size, self._left[self.size]))

    def _next_number(self, place: int) -> int | None:
        activity = self._activity
        return activity.share.number(next(self._numbers)) if self._wanted[place] and activity.may_begin else None

    def next_interruption(self) -> float:
        """When a user is to be interrupted next; those whose time it is are."""
        now = self._activity.kernel.now()
        while self._leaving and self._leaving[0][0] <= now:
            _, place, times = heapq.heappop(self._leaving)
            if not self._wanted[place] and self._left[place] == times:
                self._crew.interrupt(self._activity.users[place])
        return self._leaving[0][0] if self._leaving else inf


async def ramping_vus(activity: Activity, crew: Crew) -> None:
    """See `RampingVus`."""
    scenario, share, kernel = activity.scenario, activity.share, activity.kernel
    assert isinstance(scenario, RampingVus)
    pool = Pool(activity, crew)
    for offset, wanted in user_steps(scenario.start_vus, scenario.stages):
        due = activity.begins_at + offset
        while (now := kernel.now()) < due:
            until = min(due, pool.next_interruption())
            if until > now and await activity.change.wait_for(lambda: activity.is_stopping, until):
                return
        if activity.is_stopping:
            return
        pool.resize(share_of(wanted, share.index, share.workers), scenario.graceful_ramp_down)
    while kernel.now() < activity.ends_at and not activity.is_stopping:
        until = min(activity.ends_at, pool.next_interruption())
        await activity.change.wait_for(lambda: activity.is_stopping, until)


async def externally_controlled(activity: Activity, crew: Crew) -> None:
    """See `ExternallyControlled`."""
    scenario, share, kernel = activity.scenario, activity.share, activity.kernel
    assert isinstance(scenario, ExternallyControlled)
    pool = Pool(activity, crew)
    activity.target = scenario.vus
    while kernel.now() < activity.ends_at and not activity.is_stopping:
        wanted = share_of(activity.target, share.index, share.workers)
        pool.resize(wanted, scenario.graceful_stop)
        until = min(activity.ends_at, pool.next_interruption())
        await activity.change.wait_for(
            lambda: activity.is_stopping or share_of(activity.target or 0, share.index, share.workers) != pool.size,
            until,
        )


class Arrivals:
    """Users who wait for an iteration that is due."""

    def __init__(self, activity: Activity, crew: Crew, scenario: ArrivalRate) -> None:
        self._activity = activity
        self._crew = crew
        self._scenario = scenario
        share = activity.share
        self._most = share_of(scenario.max_vus, share.index, share.workers)
        self._idle: deque[Waiter] = deque()
        self._due: deque[tuple[int, float]] = deque()
        """Iterations that wait for a user: number and when they were due (`perf_counter`)."""
        self._called = 0
        """Users who were woken for one of them, or begin for it, and have not come yet."""
        metrics = activity.test.metrics
        self._lag = metrics.metric("generator_lag", "trend", "time").with_tags(
            {**metrics.tags, **activity.surroundings.tags}
        )
        for _ in range(share_of(scenario.pre_allocated_vus, share.index, share.workers)):
            self._crew.begin(self._activity.new_user(), self._work)

    async def _work_at_once(self, user: User) -> None:
        """Of a user who begins since an iteration is due."""
        self._activity.kernel.locked(self._came)
        await self._work(user)

    async def _work(self, user: User) -> None:
        activity, kernel = self._activity, self._activity.kernel
        while True:
            found = kernel.locked(self._take)
            if found is None:
                return
            if isinstance(found, tuple):
                number, due = found
                if perf_counter() - due > self._scenario.max_lateness and self._scenario.max_lateness:
                    kernel.locked(activity.drop)
                else:
                    await user.iterate(number, due)
                continue
            await found.wait()
            kernel.locked(self._came)

    def _came(self) -> None:
        self._called = max(self._called - 1, 0)

    def _take(self) -> tuple[int, float] | Waiter | None:
        if self._activity.is_cut:
            return None
        if self._due:
            return self._due.popleft()
        if self._activity.is_stopping:
            return None
        waiter = self._activity.kernel.waiter()
        self._idle.append(waiter)
        return waiter

    def offer(self, number: int, due: float) -> None:
        """An iteration is due. With the mutex held."""
        self._lag.note(max(perf_counter() - due, 0.0) * 1000)
        if self._idle:
            self._due.append((number, due))
            self._called += 1
            self._idle.popleft().wake()
            return
        if len(self._activity.users) < self._most:
            self._due.append((number, due))
            self._called += 1
            self._grow = True
        else:
            self._is_short = True
            if self._scenario.max_lateness:
                self._due.append((number, due))
            else:
                self._activity.drop()

    _grow = False
    _is_short = False
    _is_told = False

    def grow(self) -> None:
        """Have one user more, if the last offer found none, or tell that there may be no more. Without the mutex."""
        if self._is_short and not self._is_told:
            self._is_told = True
            what = "wait for one" if self._scenario.max_lateness else "are dropped"
            logger.warning(
                "scenario %s: all %d users are busy, and there may be no more (maxVUs): iterations that are due %s",
                self._scenario.name, self._most, what,
            )  # fmt: skip
        if self._grow:
            self._grow = False
            self._crew.begin(self._activity.new_user(), self._work_at_once)

    def close(self) -> None:
        """Nothing is due any more: what still waits is dropped, but for what a free user was called for.

        With the mutex held.
        """
        while len(self._due) > self._called:
            self._due.pop()
            self._activity.drop()
        self._called = 0
        while self._idle:
            self._idle.popleft().wake()


async def arrival_rate(activity: Activity, crew: Crew) -> None:
    """See `ConstantArrivalRate` and `RampingArrivalRate`."""
    scenario, share, kernel = activity.scenario, activity.share, activity.kernel
    assert isinstance(scenario, ArrivalRate)
    waiting = Arrivals(activity, crew, scenario)
    schedule = enumerate(schedule_of(scenario))
    shift = perf_counter() - kernel.now()
    try:
        for number, offset in schedule:
            if number % scenario.max_vus % share.workers != share.index:
                continue  # each worker has as many of them as it has users
            due = activity.begins_at + offset
            if due > kernel.now() and await activity.change.wait_for(lambda: activity.is_stopping, due):
                return
            if activity.is_stopping:
                return
            kernel.locked(waiting.offer, number, due + shift)
            waiting.grow()
        await activity.change.wait_for(lambda: activity.is_stopping, activity.ends_at)
    finally:
        activity.is_stopping = True
        kernel.locked(waiting.close)


def schedule_of(scenario: ArrivalRate) -> Iterator[float]:
    """When iterations are due."""
    if isinstance(scenario, ConstantArrivalRate):
        return constant_arrivals(scenario.rate, scenario.lasts)
    assert isinstance(scenario, RampingArrivalRate)
    return arrivals(scenario.start_rate, scenario.stages)


EXECUTE: dict[type[Scenario], Callable[[Activity, Crew], Awaitable[None]]] = {
    SharedIterations: shared_iterations,
    PerVuIterations: per_vu_iterations,
    ConstantVus: constant_vus,
    RampingVus: ramping_vus,
    ExternallyControlled: externally_controlled,
    ConstantArrivalRate: arrival_rate,
    RampingArrivalRate: arrival_rate,
}
