"""The channel for blocking callers: on plain sockets, for any number of threads, and for gevent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from inspect import iscoroutinefunction
from types import TracebackType
from typing import TYPE_CHECKING, Any

from puregrpc.channel.backends.connectivity import ConnectivityState
from puregrpc.channel.blocking.call import OpeningBlockingCall
from puregrpc.channel.blocking.interceptors import BlockingInterceptor
from puregrpc.channel.blocking.methods import (
    BlockingStreamStreamMethod,
    BlockingStreamUnaryMethod,
    BlockingUnaryStreamMethod,
    BlockingUnaryUnaryMethod,
)
from puregrpc.channel.calls.bound_method import binding
from puregrpc.channel.core import ChannelCore
from puregrpc.channel.details import CallCredentials, Deserializer, MetadataLike, Serializer
from puregrpc.channel.options import ChannelKeywords, ChannelOptions, Method, channel_options, path_of
from puregrpc.errors import InvalidArgument
from puregrpc.kernel.numbers import next_number
from puregrpc.kernel.threads.kernel import ThreadKernel
from puregrpc.transport import SessionCounters
from puregrpc.transport.busy_poll import BUSY_POLL, LONGEST_BUSY_POLL

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from puregrpc.channel.snapshot import ChannelSnapshot
    from puregrpc.codec import Codec

__all__ = ["BlockingChannel"]


class BlockingChannel:
    """A way to a server for blocking callers. ``target`` and ``options`` are those of `Channel`.

    One connection to a backend serves all threads. Interceptors are `BlockingInterceptor` objects, and ``credentials``
    and ``connector`` are functions that block. Use it as a context manager, or call `close`. It connects when the first
    call is made, and again when the connection was lost. Raises InvalidArgument for a target or an option that cannot
    be.

    ``busy_poll`` (seconds) is how long a call that is alone asks again and again for its answer before it sleeps.
    With a server near by that makes calls a third faster, for half as much processor time again; it is given up for
    a while whenever an answer takes longer. 0: never.
    """

    def __init__(self, target: str, *, busy_poll: float = BUSY_POLL, **options: Unpack[ChannelKeywords]) -> None:
        parsed, checked = channel_options(target, busy_poll=checked_busy_poll(busy_poll), **options)
        check_blocking(checked)
        self.number = next_number()
        """Nothing else of this process has it: neither a channel or a server nor a connection."""
        self._kernel = ThreadKernel()
        self._core = ChannelCore(self._kernel, parsed, checked)

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
    ) -> OpeningBlockingCall[bytes, bytes]:
        """A call of any shape, messages as bytes; opened when entered, cancelled if left before its end."""
        details = self._core.options.details(
            path_of(method), metadata, timeout, wait_for_ready, compression, credentials
        )
        return OpeningBlockingCall(self._core, self._kernel, details)

    def unary_unary(
        self,
        method: Method,
        request_serializer: Serializer[Any] | None = None,
        response_deserializer: Deserializer[Any] | None = None,
        *,
        codec: Codec | None = None,
    ) -> BlockingUnaryUnaryMethod[Any, Any]:
        """A method with one request and one response; ``method(request)``. Arguments as for `Channel.unary_unary`."""
        bound = binding(method, request_serializer, response_deserializer, codec)
        return BlockingUnaryUnaryMethod(self._core, self._kernel, *bound)

    def unary_stream(
        self,
        method: Method,
        request_serializer: Serializer[Any] | None = None,
        response_deserializer: Deserializer[Any] | None = None,
        *,
        codec: Codec | None = None,
    ) -> BlockingUnaryStreamMethod[Any, Any]:
        """A method with one request and a stream of responses; arguments as for `Channel.unary_unary`."""
        bound = binding(method, request_serializer, response_deserializer, codec)
        return BlockingUnaryStreamMethod(self._core, self._kernel, *bound)

    def stream_unary(
        self,
        method: Method,
        request_serializer: Serializer[Any] | None = None,
        response_deserializer: Deserializer[Any] | None = None,
        *,
        codec: Codec | None = None,
    ) -> BlockingStreamUnaryMethod[Any, Any]:
        """A method with a stream of requests and one response; arguments as for `Channel.unary_unary`."""
        bound = binding(method, request_serializer, response_deserializer, codec)
        return BlockingStreamUnaryMethod(self._core, self._kernel, *bound)

    def stream_stream(
        self,
        method: Method,
        request_serializer: Serializer[Any] | None = None,
        response_deserializer: Deserializer[Any] | None = None,
        *,
        codec: Codec | None = None,
    ) -> BlockingStreamStreamMethod[Any, Any]:
        """A method with streams both ways; arguments as for `Channel.unary_unary`."""
        bound = binding(method, request_serializer, response_deserializer, codec)
        return BlockingStreamStreamMethod(self._core, self._kernel, *bound)

    # -- the connection

    @property
    def target(self) -> str:
        """The target as it was given."""
        return self._core.target.text

    @property
    def state(self) -> ConnectivityState:
        """What the channel is doing about being connected."""
        return self._core.state

    @property
    def counters(self) -> SessionCounters:
        """Bytes that went over all its connections so far."""
        return self._kernel.locked(lambda: self._core.balancer.counters)

    def connect(self, *, timeout: float | None = None) -> None:
        """Connect now, without a call, within ``timeout`` seconds. Raises ConnectError if that fails."""
        self._kernel.run(self._core.connect(math.inf if timeout is None else timeout))

    def watch_state(self) -> Iterator[ConnectivityState]:
        """The state as it is now, then each new one; ends after SHUTDOWN. As `Channel.watch_state`."""
        state = self.state
        yield state
        while state is not ConnectivityState.SHUTDOWN:
            state = self.wait_for_state_change(state)
            yield state

    def wait_for_state_change(self, last: ConnectivityState) -> ConnectivityState:
        """Wait until the state is another than ``last``; returns it."""
        return self._kernel.run(self._core.wait_for_state_change(last))

    def snapshot(self) -> ChannelSnapshot:
        """The channel, its connections, their calls and windows as they are now, as data."""
        from puregrpc.channel.snapshot import snapshot_of  # most channels are not asked

        return snapshot_of(self.number, self.target, self._core, self.state)

    def close(self) -> None:
        """End all calls (UNAVAILABLE) and the connections. Idempotent."""
        self._kernel.run(self._core.close())
        if not self._core.is_foreign:
            self._kernel.run(self._kernel.close())

    def __enter__(self) -> BlockingChannel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def checked_busy_poll(seconds: float) -> float:
    """``seconds``, if that is a time to poll busily. Raises InvalidArgument if it is not."""
    if not 0 <= seconds <= LONGEST_BUSY_POLL:
        raise InvalidArgument(f"busy_poll is 0 to {LONGEST_BUSY_POLL:g} seconds, not {seconds!r}")
    return seconds


def check_blocking(options: ChannelOptions) -> None:
    """Raise InvalidArgument for options that only an event loop can make use of."""
    for interceptor in options.interceptors:
        if not isinstance(interceptor, BlockingInterceptor):
            raise InvalidArgument(
                f"interceptors of a blocking channel are BlockingInterceptors: {interceptor!r} is none"
            )
    if iscoroutinefunction(options.credentials):
        raise InvalidArgument("the call credentials of a blocking channel are a function, not a coroutine function")
