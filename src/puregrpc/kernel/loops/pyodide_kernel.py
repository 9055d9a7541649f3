"""The kernel of Pyodide's event loop in Node.js: there are no threads and no sockets, but Node's own (``node:net``).

Connections are made; nothing is listened on. In a browser there is nothing that carries gRPC over HTTP/2.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from importlib import import_module
from math import inf
from typing import Any, ParamSpec, TypeVar

from puregrpc.errors import ConnectError
from puregrpc.kernel.base import Waiter, Waiters
from puregrpc.kernel.loops.asyncio_kernel import AsyncioKernel
from puregrpc.kernel.network.addresses import Address, TcpAddress, literal_addresses, no_address
from puregrpc.kernel.network.streams import ByteStream

__all__ = ["NodeStream", "PyodideKernel"]

P = ParamSpec("P")
T = TypeVar("T")

ERRORS: dict[str, type[OSError]] = {
    "ECONNREFUSED": ConnectionRefusedError,
    "ECONNRESET": ConnectionResetError,
    "EPIPE": BrokenPipeError,
    "ETIMEDOUT": TimeoutError,
    "ENOENT": FileNotFoundError,
    "EACCES": PermissionError,
}


OF_OCTETS = "return data => tell(new Uint8Array(data.buffer, data.byteOffset, data.length))"
"""Pyodide does not know Node's own class of octets, Buffer."""


class PyodideKernel(AsyncioKernel):
    """As `AsyncioKernel`, with Node's sockets. `in_thread` calls its function at once: it blocks the loop."""

    async def in_thread(self, function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        self._check_open()
        await self.checkpoint()
        return function(*arguments, **keywords)

    async def resolve(self, host: str, port: int, until: float, *, passive: bool = False) -> list[TcpAddress]:
        if passive:
            raise ConnectError("Pyodide cannot listen on addresses")
        found = literal_addresses(host, port, passive=passive)
        if found:
            return found
        answered = self.waiter()
        answer: list[Any] = []

        def callback(error: Any, addresses: Any = None) -> None:
            answer[:] = [error, addresses]
            answered.wake()

        proxy = _proxy(callback)
        try:
            _node("dns").lookup(host, _options(all=True), proxy)
            if not await answered.wait(until):
                raise no_address(host, None)
        finally:
            proxy.destroy()
        error, addresses = answer
        if error:
            raise no_address(host, OSError(str(error.message)))
        return [TcpAddress(str(each.address), port) for each in addresses]

    async def open_stream(self, address: Address, until: float) -> ByteStream:
        stream = NodeStream(self, address)
        try:
            await stream.connected(until)
        except BaseException:
            stream.close()
            raise
        return stream


class NodeStream(ByteStream):
    """A socket of Node's. What it has read is bounded by pausing it."""

    MOST_UNREAD = 1 << 18
    MOST_UNSENT = 1 << 18

    def __init__(self, kernel: PyodideKernel, address: Address) -> None:
        self.kernel = kernel
        self.local = ""
        self.peer = str(address)
        self._inbox: deque[bytes] = deque()
        self._unread = 0
        self._is_connected = self._has_ended = self._is_closed = False
        self._error: OSError | None = None
        self._changed = Waiters(kernel.waiter)
        """Woken with everything that happens; few wait."""
        place: dict[str, object] = {"path": address.sockaddr()}
        if isinstance(address, TcpAddress):
            place = {"host": address.host, "port": address.port}
        self._proxies: list[Any] = []
        self._socket = _node("net").createConnection(_options(**place, noDelay=True, allowHalfOpen=True))
        self._on("connect", self._connected)
        self._on("data", self._data, _js().Function.new("tell", OF_OCTETS))
        self._on("end", self._ended)
        self._on("drain", self._changed.wake_all)
        self._on("error", self._failed)
        self._on("close", self._ended)

    def _on(
        self, event: str, function: Callable[..., object], wrap: Callable[[Any], Any] = lambda proxy: proxy
    ) -> None:
        proxy = _proxy(function)
        self._proxies.append(proxy)
        self._socket.on(event, wrap(proxy))

    # -- what Node tells

    def _connected(self, *_: object) -> None:
        self._is_connected = True
        self.local = f"{self._socket.localAddress}:{self._socket.localPort}"
        self._changed.wake_all()

    def _data(self, data: Any) -> None:
        octets = data.to_bytes()
        self._inbox.append(octets)
        self._unread += len(octets)
        if self._unread >= self.MOST_UNREAD:
            self._socket.pause()
        self._changed.wake_all()

    def _ended(self, *_: object) -> None:
        self._has_ended = True
        self._changed.wake_all()

    def _failed(self, error: Any) -> None:
        code, message = str(getattr(error, "code", "")), str(error.message)
        self._error = ERRORS.get(code, OSError)(getattr(errno, code, 0), message)
        self._changed.wake_all()

    # -- what the session asks

    async def connected(self, until: float) -> None:
        """Wait until it is connected. Raises OSError if it is not by ``until``."""
        while not self._is_connected:
            if self._error is not None:
                raise self._error
            if self._has_ended or not await self._wait(until):
                raise TimeoutError("no answer in time")

    def receive_nowait(self, limit: int) -> bytes | None:  # noqa: ARG002 - Node has read it already
        if self._inbox:
            data = self._inbox.popleft()
            self._unread -= len(data)
            if self._unread < self.MOST_UNREAD and not self._is_closed:
                self._socket.resume()
            return data
        if self._error is not None:
            raise self._error
        return b"" if self._has_ended else None

    async def wait_readable(self, until: float = inf) -> bool:
        if self._inbox or self._has_ended or self._error is not None:
            await self.kernel.checkpoint()
            return True
        return await self._wait(until)

    def send_nowait(self, data: bytes | memoryview) -> int:
        if self._error is not None:
            raise self._error
        if self._is_closed or self._socket.destroyed:
            raise BrokenPipeError(errno.EPIPE, "the connection is closed")
        if self._socket.writableLength >= self.MOST_UNSENT:
            return 0
        self._socket.write(_octets(data))
        return len(data)

    async def wait_writable(self, until: float = inf) -> bool:
        if self._error is not None or self._is_closed or self._socket.writableLength < self.MOST_UNSENT:
            await self.kernel.checkpoint()
            return True
        return await self._wait(until)

    def send_eof(self) -> None:
        if not self._is_closed:
            self._socket.end()

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = self._has_ended = True
        self._socket.removeAllListeners()
        self._socket.on("error", _js().Function.new(""))  # Node ends the process for one that nobody hears
        self._socket.destroy()
        for proxy in self._proxies:
            proxy.destroy()
        self._changed.wake_all()

    async def _wait(self, until: float) -> bool:
        waiter: Waiter = self._changed.waiter()
        try:
            return await waiter.wait(until)
        finally:
            self._changed.forget(waiter)


def _js() -> Any:
    return import_module("js")


def _node(module: str) -> Any:
    """A module of Node's. Raises ConnectError elsewhere."""
    process = getattr(_js(), "process", None)
    found = process and process.getBuiltinModule and process.getBuiltinModule(f"node:{module}")
    if not found:
        raise ConnectError(f"connections need Node.js (20.16 or later) for its {module}: a browser has no sockets")
    return found


def _proxy(function: Callable[..., object]) -> Any:
    """A function for JavaScript to call, as long as it is not destroyed."""
    return import_module("pyodide.ffi").create_proxy(function)


def _options(**options: object) -> Any:
    return import_module("pyodide.ffi").to_js(options, dict_converter=_js().Object.fromEntries)


def _octets(data: bytes | memoryview) -> Any:
    """A copy of octets for JavaScript."""
    return import_module("pyodide.ffi").to_js(bytes(data))
