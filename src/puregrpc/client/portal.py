"""The blocking client's backend on trio: one loop in a background thread, to which calls are handed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import trio

from puregrpc.channel import ClientCall
from puregrpc.client.backend import (
    PATIENCE_SECONDS,
    Backend,
    BackendStream,
    CallRequest,
    Inbox,
    Outcome,
    Patience,
    StreamEnd,
    Traffic,
)
from puregrpc.client.failures import not_connected, status_of
from puregrpc.client.link import Link, open_link
from puregrpc.client.loop_thread import LoopThread
from puregrpc.client.params import ConnectParams
from puregrpc.client.status import CANCELED_HERE, as_k6_says
from puregrpc.errors import Error, InvalidArgument, LocalProtocolError, NotConnected, RpcError
from puregrpc.schema import Registry
from puregrpc.wire.status import Status, StatusCode

__all__ = ["Portal"]

OUTBOX_OCTETS = 1 << 20
"""How much of what a stream sends may wait for flow control before `send` waits too."""


class Portal(Backend):
    """See the module."""

    def __init__(self) -> None:
        self._loop = LoopThread("puregrpc client")
        self._link: Link | None = None
        self._closing: trio.Event | None = None
        self._closed: threading.Event | None = None
        self._streams: set[PortalStream] = set()
        self._before = Traffic()

    # -- the connection

    def start(self) -> None:
        self._loop.start()

    def connect(self, address: str, params: ConnectParams, registry: Registry) -> None:
        self.disconnect(CANCELED_HERE)
        self._loop.start()
        self._loop.call(partial(self._connect, address, params, registry))

    async def _connect(self, address: str, params: ConnectParams, registry: Registry) -> None:
        result: list[Error | Link] = []
        settled, closing, closed = trio.Event(), trio.Event(), threading.Event()
        scope = trio.CancelScope()

        async def hold() -> None:
            try:
                with scope:
                    async with open_link(address, params, registry) as link:
                        result.append(link)
                        settled.set()
                        await closing.wait()
                        self._remember(link)
            except Error as error:
                if settled.is_set():
                    raise
                result.append(error)
            finally:
                closed.set()
                settled.set()

        self._loop.nursery.start_soon(hold)
        try:
            await settled.wait()
        except trio.Cancelled:
            scope.cancel()
            raise
        (first,) = result or [not_connected()]
        if isinstance(first, Error):
            raise first
        self._link, self._closing, self._closed = first, closing, closed

    def _remember(self, link: Link) -> None:
        traffic = link.traffic()
        self._before = Traffic(self._before.sent + traffic.sent, self._before.received + traffic.received)

    def traffic(self) -> Traffic:
        link = self._link
        if link is None or self._loop.is_current:
            return self._before
        try:
            now = self._loop.call(partial(_async, link.traffic))
        except NotConnected:
            return self._before
        return Traffic(self._before.sent + now.sent, self._before.received + now.received)

    def disconnect(self, status: Status) -> None:
        closing, closed, self._link, self._closing = self._closing, self._closed, None, None
        if closing is None or closed is None:
            return
        for stream in list(self._streams):
            stream.cancel(status)
        try:
            self._loop.post(closing.set)
        except NotConnected:
            return
        if not self._loop.is_current:
            closed.wait(10.0)

    def close(self) -> None:
        self.disconnect(CANCELED_HERE)
        self._loop.stop()

    # -- calls

    def _connected(self) -> Link:
        if self._link is None:
            raise not_connected()
        return self._link

    def unary(self, request: CallRequest) -> Outcome:
        return self._loop.call(partial(self._connected().unary, request))

    def start_unary(self, request: CallRequest) -> Future[Outcome]:
        return self._loop.submit(partial(self._connected().unary, request))

    def open_stream(self, request: CallRequest, inbox: Inbox) -> BackendStream:
        link = self._connected()
        stream = PortalStream(self._loop, link, request, inbox, self._streams.discard)
        self._streams.add(stream)
        self._loop.post(stream.begin)
        return stream


async def _async(function: Callable[[], Traffic]) -> Traffic:
    return function()


class PortalStream(BackendStream):
    """A stream: one task that receives and one that sends, in the portal's loop."""

    def __init__(
        self,
        loop: LoopThread,
        link: Link,
        request: CallRequest,
        inbox: Inbox,
        forget: Callable[[PortalStream], None],
    ) -> None:
        self._loop = loop
        self._link = link
        self._request = request
        self._inbox = inbox
        self._forget = forget
        self._scope: trio.CancelScope | None = None
        self._cancelled: Status | None = None
        self._room = trio.Event()
        self._wake = trio.Event()
        self._is_woken = False
        self._outbox: deque[tuple[bytes, Callable[[], None]]] = deque()
        self._octets = 0
        self._half_closed = False
        self._over = False
        self._condition = threading.Condition()

    # -- on the user's threads

    def send(self, message: bytes, on_sent: Callable[[], None], patience: Patience | None = None) -> None:
        with self._condition:
            while not self._over and self._octets >= OUTBOX_OCTETS and (not patience or patience.lasts(self._octets)):
                self._condition.wait(PATIENCE_SECONDS if patience else None)
            if self._over or self._half_closed:
                return
            self._outbox.append((message, on_sent))
            self._octets += len(message)
        self._wake_sender()

    def half_close(self) -> None:
        with self._condition:
            self._half_closed = True
        self._wake_sender()

    def cancel(self, status: Status) -> None:
        with self._condition:
            if self._over:
                return
            self._cancelled = self._cancelled or status
        self._post(self._cancel)

    def _wake_sender(self) -> None:
        with self._condition:
            if self._is_woken:
                return
            self._is_woken = True
        self._post(lambda: self._wake.set())

    def _post(self, function: Callable[[], object]) -> None:
        try:
            self._loop.post(function)
        except NotConnected:
            self._finish(StreamEnd(Status(StatusCode.UNAVAILABLE, "the client was closed")))

    # -- on the loop's thread

    def begin(self) -> None:
        self._loop.nursery.start_soon(self._run)

    def _cancel(self) -> None:
        if self._scope is not None:
            self._scope.cancel()

    async def _run(self) -> None:
        end = StreamEnd(Status(StatusCode.UNAVAILABLE, "the client was closed"))
        try:
            with trio.CancelScope() as self._scope:
                if self._cancelled is not None:
                    self._scope.cancel()
                end = await self._exchange()
            if self._scope.cancelled_caught:
                end = StreamEnd(self._cancelled or CANCELED_HERE)
        finally:
            self._finish(end)

    async def _exchange(self) -> StreamEnd:
        request = self._request
        headers: tuple[tuple[str, str | bytes], ...] = ()
        try:
            opening = self._link.channel.call(request.path, metadata=request.metadata, timeout=request.timeout)
            async with opening as call:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._send_all, call)
                    end = await self._receive_all(call)
                    nursery.cancel_scope.cancel()
                return end
        except RpcError as error:
            return StreamEnd(status_of(error), headers, error.trailers)
        except NotConnected:
            return StreamEnd(self._cancelled or CANCELED_HERE)
        except InvalidArgument as error:
            return StreamEnd(Status(StatusCode.INTERNAL, str(error)))

    async def _receive_all(self, call: ClientCall[bytes, bytes]) -> StreamEnd:
        put = partial(self._inbox.put, on_room=self._has_room)
        try:
            while (message := await call.receive()) is not None:
                if not put(message):
                    await self._room.wait()
                    self._room = trio.Event()
            return StreamEnd(call.status, await call.headers(), call.trailers)
        except RpcError as error:
            return StreamEnd(status_of(error), error.headers, error.trailers)

    def _has_room(self) -> None:
        self._post(lambda: self._room.set())

    async def _send_all(self, call: ClientCall[bytes, bytes]) -> None:
        try:
            while True:
                with self._condition:
                    item = self._outbox.popleft() if self._outbox else None
                    ended = item is None and self._half_closed
                    if item is None:
                        self._is_woken = False
                        self._wake = trio.Event()
                if ended:
                    await call.half_close()
                    return
                if item is None:
                    await self._wake.wait()
                    continue
                message, on_sent = item
                await call.send(message)
                on_sent()
                with self._condition:
                    self._octets -= len(message)
                    self._condition.notify_all()
        except (RpcError, LocalProtocolError):
            return  # the receiving side says how the call ended

    def _finish(self, end: StreamEnd) -> None:
        with self._condition:
            self._over = True
            self._outbox.clear()
            self._condition.notify_all()
        self._forget(self)
        status = end.status
        said = as_k6_says(status.code, status.message, status.details)
        self._inbox.end(StreamEnd(said, end.headers, end.trailers))
