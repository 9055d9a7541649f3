"""The channel on asyncio, and its methods of the four shapes."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from grpc import _channelz
from grpc._aio_errors import UsageError
from grpc._channel_options import channel_keywords, checked_options, encoding_of, opened
from grpc._codes import ChannelConnectivity
from grpc._common import decode
from grpc._credentials import CallCredentials, ChannelCredentials, asker, connecting_of
from grpc._metadata import outgoing
from grpc.aio import _base_channel
from grpc.aio._call import StreamStreamCall, StreamUnaryCall, UnaryStreamCall, UnaryUnaryCall, encoded
from grpc.aio._interceptor import (
    InterceptedStreamStreamCall,
    InterceptedStreamUnaryCall,
    InterceptedUnaryStreamCall,
    InterceptedUnaryUnaryCall,
    sorted_interceptors,
)
from grpc.aio._metadata import Metadata
from puregrpc import Channel as PureChannel
from puregrpc import errors
from puregrpc.channel import ConnectivityState

__all__ = ["Channel"]


class _Path:
    """A method's path as it was given: grpcio takes any."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path


class _MultiCallable:
    """What the shapes have in common."""

    _intercepted: type[Any]

    def __init__(
        self,
        channel: Channel,
        path: str,
        make: Callable[[Any], Any],
        serialize: Callable[[Any], bytes] | None,
        deserialize: Callable[[bytes], Any] | None,
        interceptors: Sequence[Any],
    ) -> None:
        self._channel = channel
        self._method = path.encode()
        self._make = make
        self._bound = make(_Path(path))
        self._request_serializer = serialize
        self._response_deserializer = deserialize
        self._interceptors = interceptors

    def _call(
        self, request: Any, timeout: Any, metadata: Any, credentials: Any, wait_for_ready: Any, compression: Any
    ) -> Any:
        """Begin a call, through the interceptors."""
        channel = self._channel
        loop = channel.loop_of_calls()
        if not self._interceptors:
            call = self._begin(self._bound, loop, request, timeout, metadata, credentials, wait_for_ready, compression)
        else:
            given = Metadata.from_tuple(metadata)
            call = self._intercepted(
                loop, list(self._interceptors), self._method, request, timeout, given, credentials,
                wait_for_ready, compression, self._begin_again,
            )  # fmt: skip
        if type(call) is not UnaryUnaryCall:  # which is kept in `unary_calls`
            channel.keep(call)
        call._keeper = channel  # which lives as long as the call
        return call

    def _begin_again(self, details: Any, request: Any, compression: Any) -> Any:
        """Begin the call that the interceptors have made of one."""
        path = details.method
        bound = self._bound if path == self._method else self._make(_Path(_text(path)))
        options = details.timeout, details.metadata, details.credentials, details.wait_for_ready, compression
        return self._begin(bound, self._channel.loop_of_calls(), request, *options)

    def _begin(
        self,
        bound: Any,
        loop: asyncio.AbstractEventLoop,
        request: Any,
        timeout: Any,
        metadata: Any,
        credentials: Any,
        wait_for_ready: Any,
        compression: Any,
    ) -> Any:
        options: dict[str, Any] = {"metadata": outgoing(metadata), "timeout": timeout}
        if wait_for_ready is not None:
            options["wait_for_ready"] = wait_for_ready
        if compression is not None:
            options["compression"] = encoding_of(compression)
        if credentials is not None:
            options["credentials"] = self._channel.asker_of(credentials)
        return self._made(bound, loop, request, timeout, options)

    def _made(self, bound: Any, loop: asyncio.AbstractEventLoop, request: Any, timeout: Any, options: Any) -> Any:
        raise NotImplementedError

    def _encoded(self, request: Any) -> bytes:
        return encoded(request, self._request_serializer)


class UnaryUnaryMultiCallable(_MultiCallable, _base_channel.UnaryUnaryMultiCallable[Any, Any]):
    """One request and one response."""

    _intercepted = InterceptedUnaryUnaryCall

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        return self._call(request, timeout, metadata, credentials, wait_for_ready, compression)

    def _made(self, bound: Any, loop: asyncio.AbstractEventLoop, request: Any, timeout: Any, options: Any) -> Any:
        start = partial(bound.start_exchange, self._encoded(request), **options)
        return UnaryUnaryCall(loop, timeout, start, self._channel.unary_calls, self._response_deserializer)


class UnaryStreamMultiCallable(_MultiCallable, _base_channel.UnaryStreamMultiCallable[Any, Any]):
    """One request and many responses."""

    _intercepted = InterceptedUnaryStreamCall

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        return self._call(request, timeout, metadata, credentials, wait_for_ready, compression)

    def _made(self, bound: Any, loop: asyncio.AbstractEventLoop, request: Any, timeout: Any, options: Any) -> Any:
        opening = partial(bound, self._encoded(request), **options)
        return UnaryStreamCall(loop, timeout, opening, self._request_serializer, self._response_deserializer)


class StreamUnaryMultiCallable(_MultiCallable, _base_channel.StreamUnaryMultiCallable[Any, Any]):
    """Many requests and one response."""

    _intercepted = InterceptedStreamUnaryCall

    def __call__(
        self,
        request_iterator: Any = None,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        return self._call(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)

    def _made(self, bound: Any, loop: asyncio.AbstractEventLoop, request: Any, timeout: Any, options: Any) -> Any:
        opening = partial(bound.open, **options)
        return StreamUnaryCall(request, loop, timeout, opening, self._request_serializer, self._response_deserializer)


class StreamStreamMultiCallable(_MultiCallable, _base_channel.StreamStreamMultiCallable[Any, Any]):
    """Many requests and many responses."""

    _intercepted = InterceptedStreamStreamCall

    def __call__(
        self,
        request_iterator: Any = None,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        return self._call(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)

    def _made(self, bound: Any, loop: asyncio.AbstractEventLoop, request: Any, timeout: Any, options: Any) -> Any:
        opening = partial(bound, **options)
        return StreamStreamCall(request, loop, timeout, opening, self._request_serializer, self._response_deserializer)


class Channel(_base_channel.Channel):
    """A channel over one of puregrpc's."""

    def __init__(
        self,
        target: str,
        options: Any,
        credentials: ChannelCredentials | None,
        compression: Any,
        interceptors: Sequence[Any] | None,
    ) -> None:
        target = decode(target)
        kinds = sorted_interceptors(interceptors)
        self._unary_unary_interceptors, self._unary_stream_interceptors = kinds[:2]
        self._stream_unary_interceptors, self._stream_stream_interceptors = kinds[2:]
        self._is_insecure = credentials is None
        connecting = connecting_of(credentials)
        checked = checked_options(options)
        keywords = channel_keywords(checked, connecting, compression, on_asyncio=True)
        self._host = str(keywords.get("authority") or target.rpartition("/")[2])
        if connecting is not None and connecting.plugins:
            keywords["credentials"] = asker(connecting.plugins, self._host)
        self._channel = opened(PureChannel, target, keywords)
        if _channelz.is_wanted(checked):
            _channelz.watch_channel(self._channel)
        self._calls: weakref.WeakSet[Any] = weakref.WeakSet()
        self.unary_calls: set[UnaryUnaryCall] = set()
        """Those with one request and one response that are not over."""
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop of its newest call."""

    def __del__(self) -> None:
        channel, loop = getattr(self, "_channel", None), getattr(self, "_loop", None)
        if channel is None or loop is None or self._is_closed or loop.is_closed() or sys.is_finalizing():
            return
        with contextlib.suppress(RuntimeError):  # the loop is being closed
            loop.call_soon_threadsafe(_close, channel)

    # -- for its calls

    def loop_of_calls(self) -> asyncio.AbstractEventLoop:
        """The loop that runs. Raises UsageError if the channel is closed."""
        if self._is_closed:
            raise UsageError("Channel is closed.")
        try:
            self._loop = loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = loop = asyncio.get_event_loop_policy().get_event_loop()
        return loop

    def asker_of(self, credentials: CallCredentials) -> Any:
        """The credentials of a call, for puregrpc. Raises UsageError on a channel without credentials."""
        if self._is_insecure:
            raise UsageError("Call credentials are only valid on secure channels")
        return asker(credentials._credentials, self._host)

    def keep(self, call: Any) -> None:
        """The call ends with the channel."""
        self._calls.add(call)

    # -- grpc.aio.Channel

    async def __aenter__(self) -> Channel:
        return self

    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        await self._close(None)

    async def close(self, grace: float | None = None) -> None:
        await self._close(grace)

    async def _close(self, grace: float | None) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        _channelz.forget_channel(self._channel)
        calls = [call for call in (*self._calls, *self.unary_calls) if not call.done()]
        if grace and calls:
            waiting = [asyncio.ensure_future(_over(call)) for call in calls]
            await asyncio.wait(waiting, timeout=grace)
            for each in waiting:
                each.cancel()
        for call in calls:
            if not call.done():
                call.cancel()
        await self._channel.close()

    def get_state(self, try_to_connect: bool = False) -> ChannelConnectivity:
        if self._is_closed:
            return ChannelConnectivity.SHUTDOWN
        state = self._channel.state
        if try_to_connect and state is ConnectivityState.IDLE:
            self._connecting = asyncio.ensure_future(self._connect())
        return ChannelConnectivity[state.name]

    async def _connect(self) -> bool:
        try:
            await self._channel.connect()
        except errors.Error:
            return False
        return True

    async def wait_for_state_change(self, last_observed_state: ChannelConnectivity) -> None:
        if self._is_closed:
            raise UsageError("Channel is closed.")
        await self._channel.wait_for_state_change(ConnectivityState[last_observed_state.name])

    async def channel_ready(self) -> None:
        while not await self._connect():
            if self._is_closed:
                raise UsageError("Channel is closed.")
            await asyncio.sleep(PAUSE)

    def unary_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        functions = self._channel.unary_unary, request_serializer, response_deserializer
        return UnaryUnaryMultiCallable(self, _text(method), *functions, self._unary_unary_interceptors)

    def unary_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        functions = self._channel.unary_stream, request_serializer, response_deserializer
        return UnaryStreamMultiCallable(self, _text(method), *functions, self._unary_stream_interceptors)

    def stream_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        functions = self._channel.stream_unary, request_serializer, response_deserializer
        return StreamUnaryMultiCallable(self, _text(method), *functions, self._stream_unary_interceptors)

    def stream_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        functions = self._channel.stream_stream, request_serializer, response_deserializer
        return StreamStreamMultiCallable(self, _text(method), *functions, self._stream_stream_interceptors)


PAUSE = 1.0
"""How long, in seconds, until a channel that somebody wants connected is tried again (connection-backoff.md)."""


def _text(method: Any) -> str:
    return method.decode() if isinstance(method, bytes) else method


_closing: set[asyncio.Task[None]] = set()
"""Tasks that close channels which were dropped: a loop holds its tasks weakly."""


def _close(channel: PureChannel) -> None:
    task = asyncio.ensure_future(channel.close())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def _over(call: Any) -> None:
    over = asyncio.get_running_loop().create_future()

    def end(_: Any) -> None:
        if not over.done():
            over.set_result(None)

    call.add_done_callback(end)
    await over
