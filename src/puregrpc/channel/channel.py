"""Channels on trio and asyncio: a target, the connections to it, and calls."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from puregrpc.channel.backends.connectivity import ConnectivityState
from puregrpc.channel.calls.bound_method import binding
from puregrpc.channel.calls.methods import (
    OpeningCall,
    StreamStreamMethod,
    StreamUnaryMethod,
    UnaryStreamMethod,
    UnaryUnaryMethod,
)
from puregrpc.channel.core import ChannelCore
from puregrpc.channel.details import (
    CallCredentials,
    Deserializer,
    MetadataLike,
    Serializer,
)
from puregrpc.channel.options import ChannelKeywords, ChannelOptions, Method, channel_options, path_of
from puregrpc.channel.target import Target
from puregrpc.errors import LocalProtocolError, NotConnected
from puregrpc.kernel.numbers import next_number
from puregrpc.kernel.ownership import LoopOwner, open_kernel

if TYPE_CHECKING:
    import trio
    from typing_extensions import Unpack

    from puregrpc.channel.snapshot import ChannelSnapshot
    from puregrpc.codec import Codec

__all__ = ["Channel", "open_channel"]


class Channel:
    """A way to a server, or to several that serve the same, on asyncio or trio.

    ``target``: ``host:port``, ``dns:host:port``, ``ipv4:a:port,b:port``, ``ipv6:[a]:port``, ``unix:path``,
    ``unix-abstract:name`` or ``passthrough:host:port``; the port is 443 if none is given (gRPC's naming.md).
    ``options`` are those of `ChannelKeywords`. Raises InvalidArgument for a target or an option that cannot be.

    It connects when the first call is made or by `connect`, keeps the connection, and makes a new one when it is lost.

    On asyncio it may be made anywhere, at import time too. It belongs to the loop of its first call, and to another
    one once that is closed; used in a second loop that runs beside the first, it raises LocalProtocolError. `close` it,
    or use it as an async context manager.

    On trio it is used inside ``async with``, or given the ``nursery`` that its connections are to live in.
    """

    def __init__(self, target: str, *, nursery: trio.Nursery | None = None, **options: Unpack[ChannelKeywords]) -> None:
        self._begin(*channel_options(target, **options), nursery)

    def _begin(self, target: Target, options: ChannelOptions, nursery: trio.Nursery | None) -> None:
        self._target, self.options = target, options
        self._nursery = nursery
        self.number = next_number()
        """Nothing else of this process has it: neither a channel or a server nor a connection."""
        self._owner = LoopOwner(f"the channel to {target.text}")
        self._core: ChannelCore | None = None
        self.settled: ChannelCore | None = None
        """The core, once it cannot be another one any more; to be looked at before `bound` is called."""
        self._lifetime: AbstractAsyncContextManager[Any] | None = None
        self._is_closed = False

    # -- the world it lives in

    @classmethod
    def over(cls, core: ChannelCore) -> Channel:
        """A channel that uses what there is, on any kernel: for coroutines that whoever has the kernel runs.

        In which loop they run is that one's matter too.
        """
        channel = cls.__new__(cls)
        channel._settle(core)  # noqa: SLF001 - of this class
        return channel

    def _settle(self, core: ChannelCore) -> None:
        self._begin(core.target, core.options, None)
        self._owner.take(core.kernel)
        self._core = self.settled = core

    def bound(self) -> ChannelCore:
        """The core in the loop that runs. Raises LocalProtocolError if that is not the channel's, or has no owner."""
        core = self._core
        if core is None or not self._owner.is_current():
            return self._bind()
        return core

    def _bind(self) -> ChannelCore:
        if self._is_closed and self._core is None:
            raise NotConnected(f"the channel to {self.target} is closed")
        core = self._core
        kernel = self._owner.claim(self._nursery)
        if core is not None and core.kernel is not kernel:
            core.desert()  # its loop is closed
        self._core = core = ChannelCore(kernel, self._target, self.options)
        if not self._owner.moves:
            self.settled = core
        return core

    async def __aenter__(self) -> Channel:
        if self._lifetime is not None:
            raise LocalProtocolError("a channel can be entered only once")
        self._lifetime = open_kernel(f"the channel to {self.target}")
        self._owner.take(await self._lifetime.__aenter__())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        lifetime = self._lifetime
        if lifetime is None:
            return None
        try:
            await self.close()
        except BaseException as failure:
            if not await lifetime.__aexit__(type(failure), failure, failure.__traceback__):
                raise
            return None
        return await lifetime.__aexit__(kind, error, trace)

    async def close(self) -> None:
        """End all calls (UNAVAILABLE) and connections. Idempotent; leaving the ``async with`` does it too."""
        self._is_closed = True
        core = self._core
        if core is None:
            return
        if self._owner.is_deserted:
            core.desert()
            return
        self._owner.claim()
        await core.close()
        if self._lifetime is None and self._nursery is None:
            await core.kernel.close()

    # -- calls

    def call(
        self,
        method: Method,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
        credentials: CallCredentials | None = None,
    ) -> OpeningCall[bytes, bytes]:
        """A call of any shape, messages as bytes; it is opened when entered, and cancelled if left before its end.

        ``method`` is ``/pkg.Service/Method`` or a MethodDescriptor; ``timeout`` is in seconds. Entering raises
        RpcError if there is no connection for it.
        """
        details = self.options.details(path_of(method), metadata, timeout, wait_for_ready, compression, credentials)
        return OpeningCall(self, details)

    @overload
    def unary_unary(self, method: Method, *, codec: None = None) -> UnaryUnaryMethod[bytes, bytes]: ...
    @overload
    def unary_unary(
        self,
        method: Method,
        request_serializer: Serializer[Any] | None = None,
        response_deserializer: Deserializer[Any] | None = None,
        *,
        codec: Codec | None = None,
    ) -> UnaryUnaryMethod[Any, Any]: ...
    def unary_unary(
        self,
        method: Method,
        request_serializer: Serializer[Any] | None = None,
        response_deserializer: Deserializer[Any] | None = None,
        *,
        codec: Codec | None = None,
    ) -> UnaryUnaryMethod[Any, Any]:
        """A method with one request and one response. Make it once, call it often.

        ``method`` is ``/pkg.Service/Method`` or a MethodDescriptor. Messages are bytes unless there are a serializer
        and a deserializer; with a MethodDescriptor and a ``codec`` requests are dicts or messages, responses dicts.
        """
        return UnaryUnaryMethod(self, *binding(method, request_serializer, response_deserializer, codec))

    @overload
    def unary_stream(self, method: Method, *, codec: None = None) -> UnaryStreamMethod[bytes, bytes]: ...
    @overload
    def unary_stream(
        self,
        method: Method,
        request_serializer: Serializer[Any] | None = None,
        response_deserializer: Deserializer[Any] | None = None,
        *,
        codec: Codec | None = None,
    ) -> UnaryStreamMethod[Any, Any]: ...
    def unary_stream(
        self,
        method: Method,
        request_serializer: Serializer[Any] | None = None,
        response_deserializer: Deserializer[Any] | None = None,
        *,
        codec: Codec | None = None,
    ) -> UnaryStreamMethod[Any, Any]:
        """A method with one request and a stream of responses; arguments as for `unary_unary`."""
        return UnaryStreamMethod(self, *binding(method, request_serializer, response_deserializer, codec))

    @overload
    def stream_unary(self, method: Method, *, codec: None = None) -> StreamUnaryMethod[bytes, bytes]: ...
    @overload
    def stream_unary(
        self,
        method: Method,
        request_serializer: Serializer[Any] | None = None,
        response_deserializer: Deserializer[Any] | None = None,
        *,
        codec: Codec | None = None,
    ) -> StreamUnaryMethod[Any, Any]: ...
    def stream_unary(
        self,
        method: Method,
        request_serializer: Serializer[Any] | None = None,
        response_deserializer: Deserializer[Any] | None = None,
        *,
        codec: Codec | None = None,
    ) -> StreamUnaryMethod[Any, Any]:
        """A method with a stream of requests and one response; arguments as for `unary_unary`."""
        return StreamUnaryMethod(self, *binding(method, request_serializer, response_deserializer, codec))

    @overload
    def stream_stream(self, method: Method, *, codec: None = None) -> StreamStreamMethod[bytes, bytes]: ...
    @overload
    def stream_stream(
        self,
        method: Method,
        request_serializer: Serializer[Any] | None = None,
        response_deserializer: Deserializer[Any] | None = None,
        *,
        codec: Codec | None = None,
    ) -> StreamStreamMethod[Any, Any]: ...
    def stream_stream(
        self,
        method: Method,
        request_serializer: Serializer[Any] | None = None,
        response_deserializer: Deserializer[Any] | None = None,
        *,
        codec: Codec | None = None,
    ) -> StreamStreamMethod[Any, Any]:
        """A method with streams both ways; arguments as for `unary_unary`."""
        return StreamStreamMethod(self, *binding(method, request_serializer, response_deserializer, codec))

    # -- the connection

    @property
    def target(self) -> str:
        """The target as it was given."""
        return self._target.text

    @property
    def state(self) -> ConnectivityState:
        """What the channel is doing about being connected."""
        if self._core is None:
            return ConnectivityState.SHUTDOWN if self._is_closed else ConnectivityState.IDLE
        return self._core.state

    async def connect(self, *, timeout: float | None = None) -> None:
        """Connect now, without a call. Raises ConnectError if the attempt fails, or is not over after ``timeout`` (s).

        A pause between attempts, if one is being waited for, is cut short.
        """
        await self.bound().connect(math.inf if timeout is None else timeout)

    async def watch_state(self) -> AsyncIterator[ConnectivityState]:
        """The state as it is now, then each new one; a state that is over before it is looked at may be left out.

        Ends after SHUTDOWN.
        """
        state = self.state
        yield state
        while state is not ConnectivityState.SHUTDOWN:
            state = await self.wait_for_state_change(state)
            yield state

    async def wait_for_state_change(self, last: ConnectivityState) -> ConnectivityState:
        """Wait until the state is another than ``last``; returns it."""
        if self.state is not last:
            return self.state
        return await self.bound().wait_for_state_change(last)

    def snapshot(self) -> ChannelSnapshot:
        """The channel, its connections, their calls and windows as they are now, as data."""
        from puregrpc.channel.snapshot import snapshot_of  # most channels are not asked

        return snapshot_of(self.number, self.target, self._core, self.state)


def open_channel(target: str, **options: Unpack[ChannelKeywords]) -> Channel:
    """A channel to be used as ``async with open_channel("localhost:50051") as channel: ...``; see `Channel`.

    Nothing is connected before the first call or `Channel.connect`. What the body raises leaves as itself, not in an
    ExceptionGroup.
    """
    return Channel(target, **options)
