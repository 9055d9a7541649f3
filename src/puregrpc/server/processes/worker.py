"""What runs in a worker process: the server that a factory makes, on sockets that all workers share."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection

from puregrpc.errors import InvalidArgument, NotConnected
from puregrpc.kernel.base import World
from puregrpc.kernel.signals import handling_signals
from puregrpc.server.base import ServerBase
from puregrpc.server.blocking import BlockingServer
from puregrpc.server.processes.messages import (
    Ended,
    Figures,
    FromSupervisor,
    Ready,
    Sockets,
    Stop,
    Targets,
    failed,
    receive_socket,
)
from puregrpc.server.server import Server
from puregrpc.server.snapshot import ServerSnapshot

__all__ = ["Factory", "work"]

Factory = Callable[[], ServerBase] | str


def work(connection: Connection, factory: Factory, world: World, grace: float | None) -> None:
    """Serve until told to stop. What keeps it from beginning is said to the supervisor."""
    # Ctrl-C is sent to all processes of a terminal; it is the supervisor who acts on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        server = _make(factory, world)
        connection.send(Targets([target.address for target in server._targets]))  # noqa: SLF001 - of the same room
        answer: FromSupervisor = connection.recv()
        if not isinstance(answer, Sockets):
            return  # it was stopped meanwhile
        for index, number in enumerate(answer.numbers):
            sockets = tuple(receive_socket(connection) for _ in range(number))
            server._targets[index] = server._targets[index]._replace(sockets=sockets)  # noqa: SLF001
    except EOFError:
        return  # the supervisor is no more
    except BaseException as error:
        connection.send(failed(error, traceback.format_exc()))
        sys.exit(1)
    worker = _Worker(server, connection, grace)
    try:
        worker.run(world)
    except SystemExit:
        raise
    except BaseException as error:
        with suppress(OSError):
            connection.send(failed(error, traceback.format_exc()))
        raise
    worker.end()


def _make(factory: Factory, world: World) -> ServerBase:
    if isinstance(factory, str):
        module, _, name = factory.partition(":")
        found: object = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        server = found() if callable(found) else found
    else:
        server = factory()
    if not isinstance(server, Server | BlockingServer):
        raise InvalidArgument(f"the factory must return a Server or BlockingServer, not {type(server).__name__}")
    if isinstance(server, BlockingServer) != (world == "threads"):
        right = "world='threads' is for BlockingServer, 'asyncio' and 'trio' are for Server"
        raise InvalidArgument(f"the factory returned a {type(server).__name__}, and world is {world!r}: {right}")
    return server


class _Worker:
    """A server that runs, and the thread that hears the supervisor."""

    def __init__(self, server: ServerBase, connection: Connection, grace: float | None) -> None:
        self._server = server
        self._connection = connection
        self._grace = grace
        self._listener = threading.Thread(target=self._listen, name="puregrpc worker's control", daemon=True)

    def run(self, world: World) -> None:
        """Serve until the server has stopped."""
        with handling_signals([signal.SIGTERM], lambda: self._stop(self._grace)):
            if isinstance(self._server, BlockingServer):
                self._server.start()
                self._begin()
                self._server.wait_for_termination()
            elif world == "trio":
                import_module("trio").run(self._serve)
            else:
                import_module("asyncio").run(self._serve())

    async def _serve(self) -> None:
        server = self._server
        assert isinstance(server, Server)  # `_make` saw to it
        async with server:
            self._begin()
            await server.wait_for_termination()

    def _begin(self) -> None:
        self._connection.send(Ready())
        self._listener.start()

    def end(self) -> None:
        """Say the last word, and wait until the supervisor has heard it."""
        with suppress(OSError):  # it is no more
            self._connection.send(Ended(self._server.snapshot()))
        self._listener.join()

    def _listen(self) -> None:
        """Do what the supervisor says, until it has nothing more to say."""
        while True:
            try:
                message: FromSupervisor = self._connection.recv()
            except (EOFError, OSError):
                self._stop(self._grace)
                return
            if isinstance(message, Stop):
                self._stop(message.grace)
            else:
                with suppress(OSError):
                    self._connection.send(Figures(self._snapshot()))

    def _snapshot(self) -> ServerSnapshot:
        server = self._server
        if isinstance(server, Server):
            with suppress(NotConnected):  # it has stopped
                return server._running().threads.perform(server.snapshot)  # noqa: SLF001 - of the same room
        return server.snapshot()

    def _stop(self, grace: float | None) -> None:
        server = self._server
        if not server.addresses:
            sys.exit(0)  # by a signal, before it serves
        if isinstance(server, BlockingServer):
            server.stop(grace)
        elif isinstance(server, Server):
            kernel = server.kernel
            with suppress(NotConnected):  # it has stopped
                kernel.call_soon(kernel.spawn, server.stop, grace)
