"""The jobs of loops: what one sees is its own, whatever it shares its task with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from math import inf
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kernel.worlds import EACH_LOOP, UVLOOP, run

from puregrpc.kernel import Kernel
from puregrpc.kernel.jobs import Jobs, open_jobs

EACH_ASYNCIO = pytest.mark.parametrize("world", ["asyncio", UVLOOP])

who: ContextVar[str] = ContextVar("who", default="nobody")


def current_task(kernel: Kernel) -> object:
    return trio.lowlevel.current_task() if kernel.world == "trio" else asyncio.current_task()


class Steps:
    """A job that waits so many times, and notes whether its task and its context stay its own."""

    def __init__(self, kernel: Kernel, name: str, waits: int, running: dict[object, str]) -> None:
        self.kernel = kernel
        self.name = name
        self.waits = waits
        self.running = running
        self.task: Any = None
        self.is_running = False
        self.is_over = False
        self.kind = name

    async def run(self) -> None:
        self.is_running = True
        mine = current_task(self.kernel)
        assert who.get() == "nobody"
        token = who.set(self.name)
        for _ in range(self.waits):
            assert self.running.setdefault(mine, self.name) == self.name, "two jobs have one task"
            await self.kernel.checkpoint()
            assert current_task(self.kernel) is mine
            assert who.get() == self.name
        self.running.pop(mine, None)
        who.reset(token)
        self.is_over = True


async def until_over(kernel: Kernel, jobs: Sequence[Steps]) -> None:
    while not all(job.is_over for job in jobs):
        await kernel.checkpoint()


@EACH_LOOP
@settings(max_examples=25, deadline=None)
@given(bursts=st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=4), kinds=st.integers(1, 3))
def test_each_job_has_its_context_and_while_it_waits_its_task(world: str, bursts: list[list[int]], kinds: int) -> None:
    async def test(kernel: Kernel) -> None:
        jobs = open_jobs(kernel)
        running: dict[object, str] = {}
        all_of_them: list[Steps] = []
        for burst in bursts:
            for waits in burst:
                job = Steps(kernel, f"job {len(all_of_them)}", waits, running)
                job.kind = f"kind {len(all_of_them) % kinds}"
                all_of_them.append(job)
                jobs.submit(job, job.kind)
                assert not job.is_running, "a job begins in the next turn"
            await kernel.checkpoint()
        await until_over(kernel, all_of_them)
        await jobs.close()
        assert who.get() == "nobody"

    run(world, test)


class Doing(Steps):
    """A job that does something first."""

    def __init__(self, kernel: Kernel, name: str, do: Any, waits: int = 0) -> None:
        super().__init__(kernel, name, waits, {})
        self.do = do

    async def run(self) -> None:
        self.is_running = True
        await self.do()
        await super().run()


async def nothing() -> None: ...


@EACH_ASYNCIO
@pytest.mark.parametrize("waits", [0, 2])
def test_a_job_that_cancels_its_task_cancels_no_other(world: str, waits: int) -> None:
    async def cancel_itself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    async def test(kernel: Kernel) -> None:
        jobs = open_jobs(kernel)
        others = [Steps(kernel, f"job {i}", i, {}) for i in range(4)]
        cancelled = Doing(kernel, "cancelled", cancel_itself, waits)
        for job in (others[0], cancelled, *others[1:]):
            jobs.submit(job, job.kind)
        await until_over(kernel, others)
        assert cancelled.is_over is (waits == 0)
        await jobs.close()

    run(world, test)


@EACH_ASYNCIO
def test_a_task_that_is_cancelled_behind_a_job_or_before_the_next_begins_the_next_all_the_same(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        jobs = open_jobs(kernel)
        tasks: list[asyncio.Task[Any]] = []

        async def remember() -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.append(task)

        for _ in range(3):
            job = Doing(kernel, "first", remember)
            jobs.submit(job, job.kind)
            await until_over(kernel, [job])
            tasks[-1].cancel()
            following = [Doing(kernel, f"job {i}", nothing, i) for i in range(3)]
            for each in following:
                jobs.submit(each, each.kind)
            await until_over(kernel, following)
        await jobs.close()

    run(world, test)


@EACH_LOOP
def test_an_interrupted_job_ends_where_it_waits_and_closing_waits_for_it(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        jobs = open_jobs(kernel)
        ended: list[str] = []

        async def wait() -> None:
            try:
                await kernel.waiter().wait(inf)
            finally:
                ended.append("interrupted")

        waiting, other = Doing(kernel, "waiting", wait), Steps(kernel, "other", 3, {})
        jobs.submit(waiting, waiting.kind)
        jobs.submit(other, other.kind)
        while not (waiting.is_running and other.is_running):
            await kernel.checkpoint()
        jobs.interrupt(waiting)
        await until_over(kernel, [other])
        late = Steps(kernel, "late", 0, {})
        jobs.submit(late, late.kind)
        await jobs.close()
        assert ended == ["interrupted"]
        assert late.is_over or kernel.world == "trio"

    run(world, test)


@EACH_ASYNCIO
def test_a_job_may_submit_others_and_close_from_within(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        jobs = open_jobs(kernel)
        second = Steps(kernel, "second", 1, {})

        async def submit() -> None:
            jobs.submit(second, second.kind)
            assert not second.is_running

        first = Doing(kernel, "first", submit, 1)
        jobs.submit(first, first.kind)
        await until_over(kernel, [first, second])
        last = Doing(kernel, "last", jobs.close)
        jobs.submit(last, last.kind)
        await until_over(kernel, [last])
        await jobs.close()
        assert [task for task in asyncio.all_tasks() if "AsyncioJobs" in repr(task)] == []

    run(world, test)


@EACH_ASYNCIO
def test_jobs_of_a_kind_that_waits_all_begin_in_the_next_turn(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        jobs = open_jobs(kernel)
        for _ in range(3):
            several = [Steps(kernel, f"job {i}", 1, {}) for i in range(100)]
            for each in several:
                jobs.submit(each, "waits")
            for _ in range(3):
                await kernel.checkpoint()
            assert all(each.is_running for each in several)
            await until_over(kernel, several)
        several = [Steps(kernel, f"job {i}", 0, {}) for i in range(100)]
        for each in several:
            jobs.submit(each, "waits")
        await until_over(kernel, several)
        await jobs.close()

    run(world, test)


def test_a_loop_that_ends_without_closing_says_nothing(recwarn: pytest.WarningsRecorder) -> None:
    kept: list[Jobs] = []

    async def test(kernel: Kernel) -> None:
        kept.append(open_jobs(kernel))
        job = Steps(kernel, "job", 0, {})
        kept[0].submit(job, job.kind)
        await until_over(kernel, [job])

    run("asyncio", test)
    kept.clear()
    assert not [str(each.message) for each in recwarn]


async def in_a_callback(kernel: Kernel, jobs: Jobs, several: Sequence[Steps]) -> None:
    """Submit jobs as a turn of a connection does, and come back behind it."""
    done = kernel.waiter()

    def turn() -> None:
        jobs.hold()
        for job in several:
            jobs.submit(job, job.kind)
            assert not job.is_running
        jobs.begin()
        done.wake()

    kernel.call_soon(turn)
    await done.wait(inf)


async def with_an_idle_starter(kernel: Kernel) -> Jobs:
    jobs = open_jobs(kernel)
    first = Steps(kernel, "before", 0, {})
    jobs.submit(first, first.kind)
    await until_over(kernel, [first])
    await kernel.checkpoint()
    return jobs


@EACH_LOOP
@settings(max_examples=25, deadline=None)
@given(bursts=st.lists(st.lists(st.integers(0, 3), max_size=3), max_size=6), kinds=st.integers(1, 3))
def test_jobs_that_begin_behind_a_turn_have_their_context_and_task(
    world: str, bursts: list[list[int]], kinds: int
) -> None:
    async def test(kernel: Kernel) -> None:
        jobs = open_jobs(kernel)
        running: dict[object, str] = {}
        all_of_them: list[Steps] = []
        for burst in bursts:
            several = [Steps(kernel, f"job {len(all_of_them) + i}", waits, running) for i, waits in enumerate(burst)]
            for number, job in enumerate(several):
                job.kind = f"kind {number % kinds}"
            all_of_them += several
            await in_a_callback(kernel, jobs, several)
        await until_over(kernel, all_of_them)
        await jobs.close()
        assert who.get() == "nobody"

    run(world, test)


@EACH_ASYNCIO
def test_a_lone_job_begins_behind_its_turn(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        jobs = await with_an_idle_starter(kernel)
        tasks: list[Any] = []

        async def remember() -> None:
            tasks.append(asyncio.current_task())

        for number, waits in enumerate((0, 1, 0)):
            job = Doing(kernel, f"alone {number}", remember, waits)
            alone = asyncio.get_running_loop().create_future()

            def turn(job: Doing = job, alone: Any = alone) -> None:
                jobs.hold()
                jobs.submit(job, job.kind)
                jobs.begin()
                alone.set_result(job.is_running)

            asyncio.get_running_loop().call_soon(turn)
            assert await alone
            await until_over(kernel, [job])
            await kernel.checkpoint()
        assert tasks[0] is not asyncio.current_task()
        in_a_task = Steps(kernel, "in a task", 0, {})
        jobs.hold()
        jobs.submit(in_a_task, in_a_task.kind)
        jobs.begin()
        assert not in_a_task.is_running
        await until_over(kernel, [in_a_task])
        await jobs.close()

    run(world, test)


@EACH_ASYNCIO
@pytest.mark.parametrize("turns", [0, 1, 2])
@pytest.mark.parametrize("goes_on", [False, True])
def test_a_job_that_began_behind_its_turn_is_interrupted_where_it_waits(world: str, turns: int, goes_on: bool) -> None:
    async def test(kernel: Kernel) -> None:
        jobs = await with_an_idle_starter(kernel)
        ended: list[str] = []

        async def wait() -> None:
            try:
                await kernel.waiter().wait(inf)
            except asyncio.CancelledError:
                ended.append("interrupted")
                if not goes_on:
                    raise

        waiting = Doing(kernel, "waiting", wait)
        await in_a_callback(kernel, jobs, [waiting])
        for _ in range(turns):
            await kernel.checkpoint()
        assert waiting.is_running
        jobs.interrupt(waiting)
        others = [Steps(kernel, f"other {i}", i, {}) for i in range(3)]
        for other in others:
            jobs.submit(other, other.kind)
        await until_over(kernel, others)
        await jobs.close()
        assert ended == ["interrupted"]
        assert waiting.is_over is goes_on

    run(world, test)


@EACH_ASYNCIO
@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("waits", [0, 2])
def test_a_cancellation_in_the_first_step_behind_a_turn_is_no_other_job_s(world: str, raises: bool, waits: int) -> None:
    async def cancel_itself() -> None:
        if raises:
            raise asyncio.CancelledError
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    async def test(kernel: Kernel) -> None:
        jobs = await with_an_idle_starter(kernel)
        cancelled = Doing(kernel, "cancelled", cancel_itself, waits)
        await in_a_callback(kernel, jobs, [cancelled])
        for number in range(4):
            other = Steps(kernel, f"job {number}", number, {})
            await in_a_callback(kernel, jobs, [other])
            await until_over(kernel, [other])
        assert cancelled.is_over is (waits == 0 and not raises)
        await jobs.close()

    run(world, test)
