"""What the supervisor and its workers say to each other, over a pipe for each worker.

A worker begins with `Targets`, and gets `Sockets`, followed by the sockets themselves. It says `Ready` once it serves,
and then answers each `Ask` with `Figures`. `Stop` may come at any time; the last word of a worker is `Ended` or
`Failed`.
"""

from __future__ import annotations

import pickle
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import reduction
from multiprocessing.connection import Connection

from puregrpc.errors import Error
from puregrpc.server.snapshot import ServerSnapshot

__all__ = [
    "Ask",
    "Ended",
    "Failed",
    "Figures",
    "FromSupervisor",
    "FromWorker",
    "Ready",
    "Sockets",
    "Stop",
    "Targets",
    "failed",
    "receive_socket",
    "send_socket",
]


@dataclass(frozen=True)
class Targets:
    """Where the worker's server is to listen."""

    targets: Sequence[str]


@dataclass(frozen=True)
class Sockets:
    """How many sockets follow, for each target."""

    numbers: Sequence[int]


@dataclass(frozen=True)
class Ready:
    """The worker serves."""


@dataclass(frozen=True)
class Ask:
    """How does the server stand?"""


@dataclass(frozen=True)
class Figures:
    """The server as it stands."""

    snapshot: ServerSnapshot


@dataclass(frozen=True)
class Stop:
    """Stop the server (`Server.stop`)."""

    grace: float | None


@dataclass(frozen=True)
class Ended:
    """The server has stopped; so it stood at its end."""

    snapshot: ServerSnapshot


@dataclass(frozen=True)
class Failed:
    """The worker could not begin: an error of the library, or the text of another one."""

    error: Error | None
    text: str


FromWorker = Targets | Ready | Figures | Ended | Failed
FromSupervisor = Sockets | Ask | Stop


def failed(error: BaseException, text: str) -> Failed:
    """What a worker that cannot begin says."""
    if isinstance(error, Error):
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return Failed(None, text)
        return Failed(error, text)
    return Failed(None, text)


def send_socket(connection: Connection, sock: socket.socket, pid: int) -> None:
    """Give a process a socket that this one goes on having."""
    share = getattr(sock, "share", None)
    if share is not None:  # Windows
        connection.send_bytes(share(pid))
    else:
        reduction.send_handle(connection, sock.fileno(), pid)


def receive_socket(connection: Connection) -> socket.socket:
    """Take what `send_socket` gave."""
    from_share = getattr(socket, "fromshare", None)
    if from_share is not None:
        sock: socket.socket = from_share(connection.recv_bytes())
        return sock
    return socket.socket(fileno=reduction.recv_handle(connection))
