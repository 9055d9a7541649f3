"""The worker processes of a run, as their coordinator sees them."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, Protocol

from puregrpc.errors import InvalidArgument, NotConnected
from puregrpc.load.activity import Activity
from puregrpc.load.course import ScriptFailure
from puregrpc.load.messages import (
    Begin,
    Counts,
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
    Stop,
    Take,
    Users,
)
from puregrpc.load.problems import ExitStatus
from puregrpc.load.worker import work
from puregrpc.metrics.registry import Drained, Sample

if TYPE_CHECKING:
    from puregrpc.kernel import Kernel
    from puregrpc.load.waiting import Change
    from puregrpc.metrics import Metrics

__all__ = ["Coordinator", "Peers"]

START_TIMEOUT = 60.0
"""Seconds that workers have to read the script, beside what ``init`` may take."""

DONE_TIMEOUT = 10.0
"""Seconds that workers may be longer than the coordinator, beside the grace of their iterations."""

HURRIED_TIMEOUT = 3.0
"""Seconds that they may be longer when everything is to end at once."""

END_TIMEOUT = 2.0
"""Seconds that a worker has to end after its last word."""


class Coordinator(Protocol):
    """The run that the workers belong to."""

    seed: str
    metrics: Metrics
    kernel: Kernel
    change: Change
    activities: list[Activity]

    @property
    def is_hurried(self) -> bool: ...
    def abort(self, reason: str) -> None: ...
    def fail(self, reason: str) -> None: ...
    def lost(self, problem: str) -> None: ...


class Peer:
    """A worker process. ``index`` is from 1: the coordinator is 0."""

    def __init__(self, index: int, process: BaseProcess, connection: Connection) -> None:
        self.index = index
        self.process = process
        self.connection = connection
        self.listener: threading.Thread
        self.ready: Ready | None = None
        self.is_done = False
        self.is_lost = False
        self.counts = Counts()
        self.failures: dict[str, dict[str, int]] = {}

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"worker {self.index + 1} (process {self.process.pid})"

    def send(self, message: FromCoordinator) -> None:
        """Say something, if it is there."""
        with suppress(OSError, ValueError):
            self.connection.send(message)


class Peers:
    """All workers but the coordinator."""

    def __init__(self, workers: int, script: str, options: dict[str, Any]) -> None:
        self.workers = workers
        self._script = script
        self._options = options
        self._peers: list[Peer] = []
        self._run: Coordinator

    def start(self, run: Coordinator) -> None:
        """Start the processes."""
        self._run = run
        context = multiprocessing.get_context("spawn")
        for index in range(1, self.workers):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=work,
                args=(theirs, self._script, os.fspath(os.getcwd()), self._options, index, self.workers, run.seed),  # noqa: PTH109
                name=f"puregrpc load worker {index + 1}",
            )
            process.start()
            theirs.close()
            peer = Peer(index, process, ours)
            self._peers.append(peer)
            peer.listener = threading.Thread(target=self._listen, args=(peer,), name=peer.name, daemon=True)
            peer.listener.start()

    def _listen(self, peer: Peer) -> None:
        """Hear a worker until it is gone, in a thread of its own."""
        call_soon: Callable[..., None] = self._run.kernel.call_soon
        with suppress(NotConnected):  # the run is over
            while True:
                try:
                    message: FromWorker = peer.connection.recv()
                except (EOFError, OSError):
                    call_soon(self._gone, peer)
                    return
                call_soon(self._heard, peer, message)

    def _heard(self, peer: Peer, message: FromWorker) -> None:
        run = self._run
        if isinstance(message, Take):
            activity = next((each for each in run.activities if each.name == message.scenario), None)
            numbers = [] if activity is None else list(islice(iter(activity.take_now, None), message.count))
            peer.send(Numbers(message.scenario, numbers))
        elif isinstance(message, Samples):
            for name, value, tags, moment in message.samples:
                run.metrics.tell(Sample(run.metrics[name], value, tags, moment))
        elif isinstance(message, Ended):
            run.abort(message.reason)
        elif isinstance(message, Failed):
            run.fail(message.reason)
        elif isinstance(message, Ready):
            peer.ready = message
            run.change.tell()
        else:
            self._absorb(peer, message.drained)
            peer.counts = message.counts
            if isinstance(message, Done):
                peer.is_done = True
                peer.failures = message.failures
                run.change.tell()

    def _absorb(self, peer: Peer, drained: list[Drained]) -> None:
        run = self._run
        try:
            for name, kind, contains, *_ in drained:
                run.metrics.metric(name, kind, contains)
        except InvalidArgument as error:  # the script makes other metrics there
            if not peer.is_lost:
                peer.is_lost = True
                run.lost(f"{peer.name}: {error}")
            return
        run.metrics.absorb(drained)

    def _gone(self, peer: Peer) -> None:
        if peer.is_done or peer.is_lost:
            return
        peer.is_lost = True
        if peer.ready is not None and peer.ready.problem:
            return
        peer.process.join(END_TIMEOUT)
        self._run.lost(f"{peer.name} ended with exit code {peer.process.exitcode} before its work was done")
        self._run.change.tell()

    async def ready(self) -> None:
        """Wait until all have called ``init``. Raises ScriptFailure for what went wrong."""
        run = self._run
        until = run.kernel.now() + START_TIMEOUT

        def are_ready() -> bool:
            return all(each.ready or each.is_lost for each in self._peers)

        if not await run.change.wait_for(lambda: are_ready() or run.is_hurried, until):
            raise ScriptFailure(f"workers are not ready after {START_TIMEOUT:g} s")
        for each in self._peers:
            if each.ready and each.ready.problem:
                raise ScriptFailure(each.ready.problem, each.ready.exit_status)
        if not are_ready():
            raise ScriptFailure("init() was interrupted", ExitStatus.INTERRUPTED)

    def objection(self, data: Any) -> str:
        """Why the workers cannot be given what ``setup`` returned."""
        try:
            pickle.dumps(data)
        except Exception as error:  # the script's own classes, whose code can raise anything
            return f"setup() returned what cannot be handed to other processes (--workers): {error}"
        return ""

    def begin(self, delay: float, data: Any) -> None:
        """Have all begin in some time."""
        begins_at = time.monotonic() + delay
        for peer in self._peers:
            peer.send(Begin(begins_at, data, bool(self._run.metrics.listeners)))

    async def done(self) -> None:
        """Wait until all have done their part."""
        run = self._run
        longest = max((each.scenario.graceful_stop for each in run.activities), default=0.0)
        until = run.kernel.now() + longest + DONE_TIMEOUT

        def are_done() -> bool:
            return all(each.is_done or each.is_lost for each in self._peers)

        if await run.change.wait_for(lambda: are_done() or run.is_hurried, until) and not are_done():
            await run.change.wait_for(are_done, min(until, run.kernel.now() + HURRIED_TIMEOUT))
        for peer in self._peers:
            if not (peer.is_done or peer.is_lost):
                peer.is_lost = True
                run.lost(f"{peer.name} has not ended its work in time")

    def stop(self) -> None:
        """Have none begin iterations any more."""
        self._tell(Stop())

    def cut(self) -> None:
        """Have iterations interrupted."""
        self._tell(Cut())

    def users(self, count: int) -> None:
        """Have so many users, in all workers together."""
        self._tell(Users(count))

    def _tell(self, message: FromCoordinator) -> None:
        for peer in self._peers:
            peer.send(message)

    def counts(self) -> list[Counts]:
        """How the users of each stand."""
        return [peer.counts for peer in self._peers]

    def failures(self) -> list[tuple[str, dict[str, int]]]:
        """What iterations raised: scenario, and how often it was what."""
        return [(name, kinds) for peer in self._peers for name, kinds in peer.failures.items()]

    def close(self) -> None:
        """End the processes that are left."""
        self._tell(Leave())
        until = time.monotonic() + END_TIMEOUT
        for peer in self._peers:
            peer.process.join(max(until - time.monotonic(), 0))
            if peer.process.is_alive():
                peer.process.kill()
                peer.process.join()
        for peer in self._peers:
            peer.listener.join(END_TIMEOUT)  # who reads a pipe that is closed meanwhile may read another
            peer.connection.close()
