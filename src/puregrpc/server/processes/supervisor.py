"""The supervisor: starts the worker processes of a server, gives them its sockets, and starts again those that die."""

from __future__ import annotations

import logging
import multiprocessing
import pickle
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from functools import partial
from math import inf
from multiprocessing import connection as pipes
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from puregrpc.errors import Error, InvalidArgument, UserError
from puregrpc.kernel.base import World
from puregrpc.kernel.network.listening import Listener, listen
from puregrpc.kernel.threads.kernel import ThreadKernel
from puregrpc.kernel.threads.waking import Condition
from puregrpc.server.processes.messages import (
    Ask,
    Ended,
    Failed,
    FromSupervisor,
    FromWorker,
    Ready,
    Sockets,
    Stop,
    Targets,
    send_socket,
)
from puregrpc.server.processes.snapshot import WorkerSnapshot, WorkersSnapshot
from puregrpc.server.processes.worker import Factory, work
from puregrpc.server.snapshot import ServerSnapshot

__all__ = ["WorkerProcesses"]

logger = logging.getLogger("puregrpc.server")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0
"""How long to wait before a worker that died is started again: twice as long each time that it dies soon."""

LONG_LIFE = 60.0
"""A worker that lived for so long did not die soon."""

FIGURES_TIMEOUT = 5.0
"""How long workers may take to say how they stand."""

EXIT_TIMEOUT = 10.0
"""How long a worker may take to end, after the grace of its calls, before it is killed."""


class WorkerProcesses:
    """Several processes with a server each, which share its listening sockets.

    ``factory`` makes the server, in each of the processes: a function at the top of a module, or the name of one,
    ``"module:function"``. Raises InvalidArgument if it can be neither, or ``workers`` is less than 1.

    `start`, `run` and `close` are for one thread; `stop`, `snapshot`, `addresses` and `pids` are for any.
    """

    def __init__(self, factory: Factory, *, workers: int, world: World, grace: float | None) -> None:
        if workers < 1:
            raise InvalidArgument(f"workers: {workers} is less than 1")
        if world not in ("asyncio", "trio", "threads"):
            raise InvalidArgument(f"world: there are 'asyncio', 'trio' and 'threads', not {world!r}")
        _check(factory)
        self._factory = factory
        self._world = world
        self._grace = grace
        self._processes = multiprocessing.get_context("spawn")
        self._workers = [_Worker(number) for number in range(1, workers + 1)]
        self._kernel = ThreadKernel()
        self._listeners: list[list[Listener]] | None = None
        """For each target; made when the first worker has said where it wants to listen."""
        self._targets: Sequence[str] = ()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._is_starting = True
        self._stops: list[float | None] = []
        """The graces that were asked for."""
        self._stops_told = 0
        self._kill_at = inf
        self._figures = Condition()
        """Guards what the workers have said of their calls; notified when one has."""
        self._calls_started = 0
        """Of workers that are no more; and so below."""
        self._calls_ended: dict[int, int] = {}

    # -- from any thread

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the workers listen, with real ports."""
        return tuple(str(listener.address) for listeners in self._listeners or () for listener in listeners)

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that serve."""
        return tuple(worker.pid for worker in self._workers if worker.is_ready and worker.pid is not None)

    @property
    def wakeup_fd(self) -> int:
        """What is written to it wakes `run`."""
        return self._wake_writer.fileno()

    def stop(self, grace: float | None = None) -> None:
        """Have all workers stop as `Server.stop` does. Returns at once; from signal handlers too."""
        self._stops.append(grace)
        self._wake()

    def snapshot(self) -> WorkersSnapshot:
        """The workers and their servers, as they say that they stand.

        They are asked only while another thread is in `run`, and have some seconds for it.
        """
        with self._figures.lock:
            asked = [worker for worker in self._workers if worker.is_ready]
            for worker in asked:
                worker.question = Question.WANTED
        self._wake()
        self._figures.wait_for(lambda: all(worker.question is None for worker in asked), FIGURES_TIMEOUT)
        with self._figures.lock:
            started, ended, connections = self._calls_started, dict(self._calls_ended), 0
            for worker in self._workers:
                if worker.snapshot is not None:
                    connections += len(worker.snapshot.connections)
                    started += worker.snapshot.calls_started
                    _add(ended, worker.snapshot.calls_ended)
            return WorkersSnapshot(
                addresses=self.addresses,
                is_stopping=bool(self._stops),
                workers=tuple(WorkerSnapshot(worker.pid, worker.restarts, worker.snapshot) for worker in self._workers),
                connections=connections,
                calls_started=started,
                calls_ended=ended,
            )

    def _wake(self) -> None:
        with suppress(OSError):  # it is full, or closed
            self._wake_writer.send(b"x")

    # -- its life

    def start(self) -> None:
        """Start the workers, and return when all of them serve. Raises what keeps one from it; none runs then."""
        try:
            for worker in self._workers:
                self._begin(worker)
            while not all(worker.is_ready for worker in self._workers):
                self._turn()
                if self._stops:
                    break
        except BaseException:
            self.close()
            raise
        self._is_starting = False

    def run(self) -> None:
        """Watch the workers until `stop` has been called and all have ended."""
        while not (self._stops_told and all(worker.process is None for worker in self._workers)):
            self._turn()

    def close(self) -> None:
        """Kill the workers that are left, and let go of everything. Idempotent."""
        for worker in self._workers:
            if worker.process is not None:
                worker.process.kill()
                self._bury(worker)
        self._close_listeners()
        self._kernel.run(self._kernel.close())
        self._wake_reader.close()
        self._wake_writer.close()

    def _close_listeners(self) -> None:
        for listeners in self._listeners or ():
            for listener in listeners:
                listener.close()

    def _turn(self) -> None:
        """Do what there is to do; wait for something to happen if there is nothing."""
        now = time.monotonic()
        if len(self._stops) > self._stops_told:
            self._tell_stop(now)
        if now >= self._kill_at:
            self._kill_at = inf
            self._kill_late()
        next_time = self._kill_at
        things: dict[Any, Callable[[], None]] = {self._wake_reader: self._woken}
        for worker in self._workers:
            if worker.process is None and not self._stops:
                if worker.start_at <= now:
                    self._begin(worker)
                else:
                    next_time = min(next_time, worker.start_at)
            if worker.process is not None:
                self._ask(worker)
                things[worker.process.sentinel] = partial(self._died, worker)
                if worker.connection is not None:
                    things[worker.connection] = partial(self._hear, worker)
        for thing in pipes.wait(list(things), None if next_time == inf else max(0.0, next_time - now)):
            things[thing]()

    def _woken(self) -> None:
        with suppress(BlockingIOError):
            self._wake_reader.recv(4096)

    # -- workers

    def _begin(self, worker: _Worker) -> None:
        ours, theirs = self._processes.Pipe()
        worker.process = self._processes.Process(
            target=work,
            args=(theirs, self._factory, self._world, self._grace),
            name=f"puregrpc worker {worker.number}",
        )
        worker.connection = ours
        worker.started_at = time.monotonic()
        worker.is_ready = False
        worker.failure = None
        try:
            worker.process.start()
        except BaseException:
            worker.process = worker.connection = None
            ours.close()
            raise
        finally:
            theirs.close()
        worker.pid = worker.process.pid

    def _send(self, worker: _Worker, message: FromSupervisor) -> None:
        if worker.connection is not None:
            with suppress(OSError):  # it is no more, which its sentinel tells
                worker.connection.send(message)

    def _hear(self, worker: _Worker) -> None:
        if worker.connection is None:
            return  # it has just died
        try:
            message: FromWorker = worker.connection.recv()
        except (EOFError, OSError):
            self._hang_up(worker)
            return
        if isinstance(message, Targets):
            self._give_sockets(worker, message.targets)
        elif isinstance(message, Ready):
            worker.is_ready = True
        elif isinstance(message, Failed):
            worker.failure = message
        else:
            with self._figures.lock:
                worker.snapshot = message.snapshot
                worker.question = None
                self._figures.notify_all()
            if isinstance(message, Ended):
                self._hang_up(worker)  # so it knows that its last word was heard

    def _hang_up(self, worker: _Worker) -> None:
        if worker.connection is not None:
            worker.connection.close()
            worker.connection = None

    def _give_sockets(self, worker: _Worker, targets: Sequence[str]) -> None:
        if self._stops:
            return  # it has been told
        if self._listeners is None:
            self._targets = targets
            self._listeners = []
            for target in targets:
                self._listeners.append(self._kernel.run(listen(self._kernel, target)))
        if targets != self._targets:
            worker.failure = Failed(None, f"it wants to listen on {targets}, and the first worker on {self._targets}")
            if worker.process is not None:
                worker.process.kill()
            return
        self._send(worker, Sockets([len(shared) for shared in self._listeners]))
        with suppress(OSError):
            for shared in self._listeners:
                for listener in shared:
                    if worker.connection is not None and worker.pid is not None:
                        send_socket(worker.connection, listener.socket, worker.pid)

    def _ask(self, worker: _Worker) -> None:
        with self._figures.lock:
            if worker.question is Question.WANTED and worker.is_ready:
                worker.question = Question.ASKED
                self._send(worker, Ask())

    def _died(self, worker: _Worker) -> None:
        while worker.connection is not None and worker.connection.poll():
            self._hear(worker)  # its last words
        was_ready = worker.is_ready
        code = self._bury(worker)
        if self._is_starting and not was_ready and not self._stops:
            raise _reason(worker, code)
        if self._stops:
            return
        lived = time.monotonic() - worker.started_at
        worker.deaths = 0 if lived >= LONG_LIFE else worker.deaths + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (worker.deaths - 1)) if worker.deaths else 0.0
        worker.start_at = time.monotonic() + pause
        worker.restarts += 1
        text = "" if worker.failure is None else f": {worker.failure.text}"
        logger.error(
            "worker %d (pid %s) ended with exit code %s after %.1f s, and is started again in %.1f s%s",
            worker.number, worker.pid, code, lived, pause, text,
        )  # fmt: skip

    def _bury(self, worker: _Worker) -> int | None:
        """The worker's process has ended, or is about to. Gives its exit code."""
        code = None
        if worker.process is not None:
            worker.process.join()
            code = worker.process.exitcode
            worker.process.close()
            worker.process = None
        self._hang_up(worker)
        with self._figures.lock:
            worker.is_ready = False
            worker.question = None
            if worker.snapshot is not None:
                self._calls_started += worker.snapshot.calls_started
                _add(self._calls_ended, worker.snapshot.calls_ended)
                worker.snapshot = None
            self._figures.notify_all()
        return code

    def _tell_stop(self, now: float) -> None:
        self._stops_told = len(self._stops)
        grace = self._stops[self._stops_told - 1]
        self._close_listeners()
        self._kill_at = inf if grace is None else now + grace + EXIT_TIMEOUT
        for worker in self._workers:
            if worker.process is not None:
                self._send(worker, Stop(grace))

    def _kill_late(self) -> None:
        for worker in self._workers:
            if worker.process is not None:
                logger.error("worker %d (pid %s) did not stop in time, and is killed", worker.number, worker.pid)
                worker.process.kill()


class Question(Enum):
    """How far it is to be found out how a worker's server stands."""

    WANTED = "wanted"
    ASKED = "asked"


class _Worker:
    """A worker as its supervisor has it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: BaseProcess | None = None
        self.pid: int | None = None
        """Of the process, or of the last one that there was."""
        self.connection: Connection | None = None
        self.is_ready = False
        """It has said that it serves."""
        self.failure: Failed | None = None
        self.question: Question | None = None
        self.snapshot: ServerSnapshot | None = None
        self.started_at = 0.0
        self.start_at = 0.0
        self.deaths = 0
        """How often it died soon, one time after the other."""
        self.restarts = 0


def _check(factory: Factory) -> None:
    if isinstance(factory, str):
        module, _, name = factory.partition(":")
        if not (module and name):
            raise InvalidArgument(f"factory {factory!r}: must look like 'module:function'")
        return
    try:
        pickle.dumps(factory)
    except Exception:
        name = getattr(factory, "__qualname__", repr(factory))
        raise InvalidArgument(
            f"factory: the workers cannot import {name}: give a function at the top of a module, or 'module:function'"
        ) from None


def _reason(worker: _Worker, code: int | None) -> Error:
    """Why a worker could not begin."""
    failure = worker.failure
    if failure is None:
        return UserError(f"worker {worker.number} ended with exit code {code} before it served")
    return failure.error or UserError(f"worker {worker.number} could not begin: {failure.text}")


def _add(totals: dict[int, int], more: Mapping[int, int]) -> None:
    for code, number in more.items():
        totals[code] = totals.get(code, 0) + number
