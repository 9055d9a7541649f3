"""The misbehaving server: one that serves cases of `misbehaviours`, for tests of clients."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from puregrpc._locks import Lock
from puregrpc.errors import InvalidArgument
from puregrpc.fuzz.frames.probe import (
    ACK,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    SETTINGS,
    SETTINGS_ACK,
    frame,
    window,
)
from puregrpc.fuzz.misbehaving.misbehaviours import MISBEHAVIOURS, ORDINARY, Misbehaviour
from puregrpc.kernel.threads.waking import Event
from puregrpc.wire.fast.hpack_decoder import HeaderDecoder, HeaderDecodingError, HeaderListTooLargeError

__all__ = ["MisbehavingServer"]

END_OF_REQUEST = 0.3
"""Seconds after its HEADERS in which a request may end; a stream that goes on is answered then."""
JOIN_TIMEOUT = 5.0
MOST_HEADERS = 1 << 20
PRIORITY = 0x20
"""The flag of HEADERS."""


class MisbehavingServer:
    """A gRPC server that answers every call as one case says, in threads of its own.

    ``case`` is one of `MisbehavingServer.cases`, or several: each connection takes the next. As a context manager it
    listens on ``address`` until the block ends::

        with MisbehavingServer("reset-refused-stream") as server:
            channel = grpc.insecure_channel(server.address)

    Raises InvalidArgument for a case that there is not, and OSError if it cannot listen.
    """

    cases = tuple(MISBEHAVIOURS)
    """The names of the cases."""

    def __init__(self, case: str | Sequence[str] = "ordinary", *, host: str = "127.0.0.1", port: int = 0) -> None:
        names = [case] if isinstance(case, str) else list(case)
        unknown = next((name for name in names if name not in MISBEHAVIOURS), None)
        if unknown is not None or not names:
            raise InvalidArgument(f"there is no misbehaviour {unknown!r}: it is one of {', '.join(MISBEHAVIOURS)}")
        self._cases = [MISBEHAVIOURS[name] for name in names]
        self._host = host
        self._port = port
        self._listener: socket.socket | None = None
        self._lock = Lock()
        self._threads: list[threading.Thread] = []
        self._sockets: set[socket.socket] = set()
        self._closing = Event()
        self.connections = 0
        """How many connections have come."""
        self.requests = 0
        """How many requests have come."""
        self.paths: list[str] = []
        """The methods that were called, each once."""

    @property
    def address(self) -> str:
        """Where it listens: ``host:port``."""
        if self._listener is None:
            raise RuntimeError("the server does not listen yet")
        host, port = self._listener.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def __enter__(self) -> MisbehavingServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Listen. Raises OSError if that cannot be."""
        self._listener = socket.create_server((self._host, self._port), backlog=128)
        self._start(self._accept)

    def use(self, case: Misbehaviour) -> None:
        """Serve another case from now on, and count anew."""
        with self._lock:
            self._cases = [case]
            self.connections = self.requests = 0
            self.paths = []

    def close(self) -> None:
        """End it: connections are closed, threads joined."""
        self._closing.set()
        if self._listener is not None:
            self._listener.close()
            # Closing it does not wake who accepts; a connection does.
        self.drop()
        for thread in list(self._threads):
            thread.join(JOIN_TIMEOUT)

    def drop(self) -> None:
        """Close the connections that there are."""
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            _shut(each)

    def _start(self, function: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True, name="puregrpc-misbehaving")
        with self._lock:
            self._threads = [each for each in self._threads if each.is_alive()]
            self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        listener = self._listener
        assert listener is not None
        listener.settimeout(0.1)
        while not self._closing.is_set():
            try:
                accepted, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            with self._lock:
                case = self._cases[self.connections % len(self._cases)]
                self.connections += 1
                self._sockets.add(accepted)
            self._start(self._serve, accepted, case)

    def _serve(self, accepted: socket.socket, case: Misbehaviour) -> None:
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(accepted, self._closing)
            if case.at == "connect":
                connection.stream = 1
                case.act(connection)
                connection.drain(0.2)
                return
            connection.send(frame(SETTINGS, 0, 0))
            while True:
                connection.next_request()
                with self._lock:
                    self.requests += 1
                    if connection.path and connection.path not in self.paths:
                        self.paths.append(connection.path)
                case.act(connection)
                if case is not ORDINARY and case.name.startswith("close"):
                    return
        except (OSError, ValueError):
            return
        finally:
            with self._lock:
                self._sockets.discard(accepted)
            _shut(accepted)
            accepted.close()


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


class _Connection:
    """What the cases are given; it reads what comes, answers SETTINGS and PING, and finds the requests."""

    def __init__(self, sock: socket.socket, closing: Event) -> None:
        self._sock = sock
        self._closing = closing
        self._data = b""
        self._has_preface = False
        self._requests: list[int] = []
        self._paths: dict[int, str] = {}
        self._ended: set[int] = set()
        self._decoder: HeaderDecoder | None = HeaderDecoder(MOST_HEADERS)
        self._block: list[bytes] = []
        self.stream = 0
        self.path = ""

    def send(self, octets: bytes) -> None:
        self._sock.settimeout(5.0)
        self._sock.sendall(octets)

    def wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._closing.is_set():
            self._read(min(until - time.monotonic(), 0.2))

    def drain(self, seconds: float) -> None:
        """Take what comes for a while, so that a close does not become a reset."""
        try:
            self.wait(seconds)
        except OSError:
            return

    def next_request(self) -> None:
        """Wait for the next request, and for its end if that comes soon. Raises OSError when the client has gone."""
        while not self._requests:
            if self._closing.is_set():
                raise ConnectionError
            self._read(0.2)
        self.stream = self._requests.pop(0)
        self.path = self._paths.pop(self.stream, "")
        until = time.monotonic() + END_OF_REQUEST
        while self.stream not in self._ended and time.monotonic() < until:
            self._read(0.05)

    def _read(self, timeout: float) -> None:
        self._sock.settimeout(max(timeout, 0.001))
        try:
            data = self._sock.recv(65536)
        except TimeoutError:
            return
        if not data:
            raise ConnectionError("the client has gone")
        self._data += data
        if not self._has_preface:
            if len(self._data) < len(PREFACE):
                return
            if not self._data.startswith(PREFACE):
                raise ConnectionError("no HTTP/2")
            self._data = self._data[len(PREFACE) :]
            self._has_preface = True
        received = 0
        while len(self._data) >= 9:
            length = int.from_bytes(self._data[:3], "big")
            if len(self._data) < 9 + length:
                break
            kind, flags = self._data[3], self._data[4]
            stream = int.from_bytes(self._data[5:9], "big") & 0x7FFFFFFF
            payload = self._data[9 : 9 + length]
            self._data = self._data[9 + length :]
            if kind == SETTINGS and not flags & ACK:
                self.send(SETTINGS_ACK)
            elif kind == PING and not flags & ACK:
                self.send(frame(PING, ACK, 0, payload))
            elif kind in (HEADERS, CONTINUATION):
                self._on_block(kind, flags, stream, payload)
            if kind == 0:
                received += length
            if kind in (0, HEADERS) and flags & END_STREAM:
                self._ended.add(stream)
        if received:
            self.send(window(0, received))

    def _on_block(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """A piece of a header block: the request that it begins, and its method."""
        if kind == HEADERS:
            if stream not in self._requests:
                self._requests.append(stream)
            padding = payload[0] if flags & PADDED and payload else 0
            payload = payload[(1 if flags & PADDED else 0) + (5 if flags & PRIORITY else 0) : len(payload) - padding]
            self._block = []
        self._block.append(payload)
        if not flags & END_HEADERS or self._decoder is None:
            return
        try:
            run, fields = self._decoder.decode(b"".join(self._block))
        except (HeaderDecodingError, HeaderListTooLargeError):
            self._decoder = None
            return
        path = dict((*run.fields, *fields)).get(b":path", b"")
        self._paths[stream] = path.decode("latin-1")
