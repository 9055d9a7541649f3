"""A worker process of a run: does its share of the scenarios, and tells its coordinator what it measured."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import deque
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import count
from multiprocessing.connection import Connection
from typing import Any

from puregrpc.errors import NotConnected
from puregrpc.load.activity import Share
from puregrpc.load.built_in import run_metrics
from puregrpc.load.course import Course, ScriptFailure, seldom_collected
from puregrpc.load.messages import (
    Begin,
    Cut,
    Done,
    Ended,
    Failed,
    FromCoordinator,
    FromWorker,
    Leave,
    Numbers,
    Ready,
    Samples,
    Stand,
    Stop,
    Take,
)
from puregrpc.load.options import Options, read_options
from puregrpc.load.problems import Abort, ExitStatus, LoadError, aborted_text
from puregrpc.load.script import Script, load_script
from puregrpc.metrics import Metrics, Sample

__all__ = ["work"]

logger = logging.getLogger("puregrpc.load")

TELL_EVERY = 0.5
"""Seconds between one message about how the worker stands and the next."""

MOST_AT_ONCE = 64
"""Shared iterations that a worker takes at once: more would be unfair to the others at the end."""

MOST_SAMPLES = 2_000
"""Samples that wait to be told."""


def work(
    connection: Connection, script: str, folder: str, options: dict[str, Any], index: int, workers: int, seed: str
) -> None:
    """The whole of a worker process."""
    for each in (signal.SIGINT, signal.SIGTERM):  # which all processes get; the coordinator says what is to be done
        signal.signal(each, signal.SIG_IGN)
    os.chdir(folder)
    link = Link(connection)
    metrics = run_metrics()
    try:
        found = load_script(script, metrics)
        read = read_options(found.options, options)
        if not read.no_thresholds:
            metrics.add_thresholds(read.thresholds)
        worker = Worker(found, read, metrics, WorkerShare(index, workers, link), seed, link)
    except LoadError as error:
        link.send(Ready(f"in a worker process: {error}", error.exit_status))
        return
    worker.run()


class Link:
    """The pipe to the coordinator. Anybody may send."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._lock = threading.Lock()

    def send(self, message: FromWorker) -> None:
        """Say something; if nobody is there any more, it is lost."""
        self._lock.acquire()
        try:
            with suppress(OSError):
                self.connection.send(message)
        finally:
            self._lock.release()


class WorkerShare(Share):
    """The share of a worker, which asks its coordinator for shared iterations."""

    hands_out = False

    def __init__(self, index: int, workers: int, link: Link) -> None:
        super().__init__(index, workers)
        self._link = link
        self.taken: dict[str, deque[int]] = {}
        self.is_exhausted: set[str] = set()
        self.is_asked: set[str] = set()

    def ask(self, scenario: str, users: int) -> None:
        """Have more of a scenario's iterations sent."""
        if scenario not in self.is_asked:
            self.is_asked.add(scenario)
            self._link.send(Take(scenario, min(max(users, 1), MOST_AT_ONCE)))

    def take_now(self, scenario: str) -> int | None:
        """The next iteration that has been sent."""
        try:
            return self.taken.setdefault(scenario, deque()).popleft()
        except IndexError:
            return None

    def came(self, message: Numbers) -> None:
        """Iterations were sent."""
        self.taken.setdefault(message.scenario, deque()).extend(message.numbers)
        self.is_asked.discard(message.scenario)
        if not message.numbers:
            self.is_exhausted.add(message.scenario)

    def left(self, scenario: str) -> int:
        """Iterations that were sent and not begun."""
        return len(self.taken.get(scenario, ()))


class Worker(Course):
    """A run as a worker has it."""

    share: WorkerShare

    def __init__(
        self, script: Script, options: Options, metrics: Metrics, share: WorkerShare, seed: str, link: Link
    ) -> None:
        super().__init__(script, options, metrics, share, seed)
        self._link = link
        self._begin: Begin | None = None
        self._is_left = False
        self._samples: list[tuple[str, float, dict[str, str], float]] = []

    def abort(self, reason: str) -> None:
        self._link.send(Ended(reason))
        self.cut()

    def fail(self, reason: str) -> None:
        self._link.send(Failed(reason))

    def signals(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def phases(self) -> None:
        ready = Ready()
        try:
            await self.call("init", self.options.setup_timeout)
        except ScriptFailure as failure:
            ready = Ready(str(failure), failure.exit_status)
        except Abort as error:
            ready = Ready(aborted_text(str(error)), ExitStatus.ABORTED)
        listener = threading.Thread(target=self._listen, name="puregrpc load coordinator", daemon=True)
        listener.start()
        with seldom_collected():
            self._link.send(ready)
            await self.change.wait_for(lambda: self._begin is not None or self._is_left)
            begin = self._begin
            if begin is not None and not self._is_left:
                if begin.tells_samples:
                    self.metrics.listen(self._sampled)
                self.metrics.begin()
                self.prepare(begin.data)
                await self.scenarios(begin.begins_at - time.monotonic() + self.kernel.now(), self._watch)
        await self.close()
        self._tell_samples()
        failures = {each.name: each.failures for each in self.activities if each.failures}
        self._link.send(Done(self.metrics.drain(), self.counts(), failures))

    def _listen(self) -> None:
        """Hear the coordinator until it is gone, in a thread of its own."""
        with suppress(NotConnected):
            while True:
                try:
                    message: FromCoordinator = self._link.connection.recv()
                except (EOFError, OSError):
                    self.kernel.call_soon(self._leave)
                    return
                except Exception as error:  # the script's own classes, whose code can raise anything
                    logger.error("what setup() returned cannot be read in another process: %r", error)
                    self.kernel.call_soon(self._leave)
                    return
                self.kernel.call_soon(self._heard, message)

    def _leave(self) -> None:
        self._is_left = True
        self.cut()
        self.change.tell()

    def _heard(self, message: FromCoordinator) -> None:
        if isinstance(message, Begin):
            self._begin = message
            self.change.tell()
        elif isinstance(message, Numbers):
            self.share.came(message)
            for activity in self.activities:
                activity.change.tell()
        elif isinstance(message, Stop):
            self.stop()
        elif isinstance(message, Cut):
            self.cut()
        elif isinstance(message, Leave):
            self._leave()
        else:
            for activity in self.activities:
                if activity.target is not None:
                    activity.target = message.count
                    activity.change.tell()

    async def _watch(self) -> None:
        began = self.kernel.now()
        for turn in count(1):
            if await self.change.wait_for(lambda: self.is_over, began + turn * TELL_EVERY):
                return
            self._tell_samples()
            self._link.send(Stand(self.metrics.drain(), self.counts()))

    def _sampled(self, sample: Sample) -> None:
        self._samples.append((sample.metric.name, sample.value, dict(sample.tags), sample.time))
        if len(self._samples) >= MOST_SAMPLES:
            self._tell_samples()

    def _tell_samples(self) -> None:
        samples, self._samples = self._samples, []
        if samples:
            self._link.send(Samples(samples))
