"""Channels: a target, the connections to it, and calls."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, overload

import trio

from puregrpc.channel.bound_method import binding
from puregrpc.channel.call import ClientCall
from puregrpc.channel.connectivity import ConnectivityState
from puregrpc.channel.core import ChannelCore
from puregrpc.channel.details import (
    CallCredentials,
    CallDetails,
    Deserializer,
    MetadataLike,
    Serializer,
    metadata_of,
)
from puregrpc.channel.interceptors import Interceptor
from puregrpc.channel.methods import (
    StreamStreamMethod,
    StreamUnaryMethod,
    UnaryStreamMethod,
    UnaryUnaryMethod,
    open_call,
)
from puregrpc.channel.options import LoadBalancing, Method, channel_options, path_of
from puregrpc.channel.retry import RetryPolicy
from puregrpc.channel.snapshot import ChannelSnapshot, snapshot_of
from puregrpc.transport import ByteStream, Tap, TlsOptions
from puregrpc.wire import EngineName
from puregrpc.wire.limits import DEFAULT_MAX_MESSAGE_SIZE

if TYPE_CHECKING:
    from puregrpc.codec import Codec

__all__ = ["Channel", "open_channel"]


class Channel:
    """A way to a server, or to several that serve the same. `open_channel` makes one.

    It connects when the first call is made, keeps the connection, and makes a new one when it is lost.
    """

    def __init__(self, core: ChannelCore) -> None:
        self._core = core

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
    ) -> AbstractAsyncContextManager[ClientCall[bytes, bytes]]:
        """A call of any shape, messages as bytes; it is opened when entered, and cancelled if left before its end.

        ``method`` is ``/pkg.Service/Method`` or a MethodDescriptor; ``timeout`` is in seconds. Entering raises
        RpcError if there is no connection for it.
        """
        if wait_for_ready is None:
            wait_for_ready = self._core.options.wait_for_ready
        details = CallDetails(path_of(method), metadata_of(metadata), timeout, wait_for_ready, compression, credentials)
        return open_call(self._core, details)

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
        return UnaryUnaryMethod(self._core, *binding(method, request_serializer, response_deserializer, codec))

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
        return UnaryStreamMethod(self._core, *binding(method, request_serializer, response_deserializer, codec))

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
        return StreamUnaryMethod(self._core, *binding(method, request_serializer, response_deserializer, codec))

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
        return StreamStreamMethod(self._core, *binding(method, request_serializer, response_deserializer, codec))

    # -- the connection

    @property
    def target(self) -> str:
        """The target as it was given."""
        return self._core.target.text

    @property
    def state(self) -> ConnectivityState:
        """What the channel is doing about being connected."""
        return self._core.state

    async def connect(self, *, timeout: float | None = None) -> None:
        """Connect now, without a call. Raises ConnectError if the attempt fails, or is not over after ``timeout`` (s).

        A pause between attempts, if one is being waited for, is cut short.
        """
        await self._core.connect(math.inf if timeout is None else timeout)

    async def watch_state(self) -> AsyncIterator[ConnectivityState]:
        """The state as it is now, then each new one; a state that is over before it is looked at may be left out.

        Ends after SHUTDOWN.
        """
        core = self._core
        while True:
            state = core.state
            yield state
            if state is ConnectivityState.SHUTDOWN:
                return
            while core.state is state:
                await core.wait_changed()

    async def wait_for_state_change(self, last: ConnectivityState) -> ConnectivityState:
        """Wait until the state is another than ``last``; returns it."""
        while self._core.state is last:
            await self._core.wait_changed()
        return self._core.state

    def snapshot(self) -> ChannelSnapshot:
        """The channel, its connections, their calls and windows as they are now, as data."""
        balancer = self._core.balancer
        return ChannelSnapshot(
            self.target, self.state, tuple(snapshot_of(part) for part in (*balancer.subchannels, *balancer.leaving))
        )

    async def close(self) -> None:
        """End all calls (UNAVAILABLE) and connections. Idempotent; leaving the ``async with`` does it too."""
        await self._core.close()


@asynccontextmanager
async def open_channel(
    target: str,
    *,
    tls: TlsOptions | bool | None = None,
    authority: str | None = None,
    max_receive_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
    max_send_message_size: int = 2**31 - 1,
    compression: str | None = None,
    content_subtype: str = "",
    keepalive_time: float | None = None,
    keepalive_timeout: float = 20.0,
    keepalive_without_calls: bool = False,
    connect_timeout: float = 20.0,
    wait_for_ready: bool = False,
    load_balancing: LoadBalancing = "pick_first",
    health_service: str | None = None,
    interceptors: Sequence[Interceptor] = (),
    metadata: MetadataLike | None = None,
    credentials: CallCredentials | None = None,
    allow_plaintext_credentials: bool = False,
    secret_names: Sequence[str] = ("authorization", "cookie"),
    user_agent: str | None = None,
    engine: EngineName | None = None,
    proxy: str | None = None,
    proxy_headers: Mapping[str, str] | None = None,
    retry: RetryPolicy | None = None,
    tap: Tap | None = None,
    connector: Callable[[], Awaitable[ByteStream]] | None = None,
) -> AsyncIterator[Channel]:
    """Open a channel: ``async with open_channel("localhost:50051") as channel: ...``.

    ``target``: ``host:port``, ``dns:host:port``, ``ipv4:a:port,b:port``, ``ipv6:[a]:port``, ``unix:path``,
    ``unix-abstract:name`` or ``passthrough:host:port``; the port is 443 if none is given (gRPC's naming.md).
    ``tls``: None or False for plaintext, True for TLS with the system's roots, or `TlsOptions`.
    ``authority``: the :authority of requests, in place of the target's.
    Sizes are octets, times are seconds. ``compression``: the encoding of requests, such as ``"gzip"``.
    ``content_subtype``: what the messages are, where they are not protobuf: "json" makes ``application/grpc+json``.
    ``keepalive_time``: send a PING after so long without a sign of life (gRFC A8; TCP_USER_TIMEOUT goes with it, A18).
    ``connect_timeout``: for one attempt, the HTTP/2 handshake included. ``wait_for_ready``: the default of calls.
    ``metadata`` goes with every call. ``credentials`` are asked for metadata before each call, and refused on
    plaintext unless ``allow_plaintext_credentials``. ``secret_names``: metadata sent never indexed (RFC 7541, 7.1.3).
    ``user_agent`` is put in front of the library's own. ``tap`` hears every byte of every connection.
    ``load_balancing``: ``pick_first`` (one connection) or ``round_robin`` (one to each address, calls in turn).
    ``health_service``: with ``round_robin``, use a server only while it says that this service (empty: the server as a
    whole) is SERVING (gRFC A17); a server without a health service is used.
    ``proxy``: ``http://[user:password@]host:port``, asked with CONNECT, and ``proxy_headers`` with it (gRFC A1).
    ``connector`` makes a connection's byte stream in place of connecting to the target (not with ``round_robin``).
    ``retry``: make failed calls again (gRFC A6); calls that the server did not begin are retried in any case.

    Raises InvalidArgument for a target or an option that cannot be. Nothing is connected before the first call or
    `Channel.connect`. What the body raises leaves as itself, not in an ExceptionGroup.
    """
    parsed, options = channel_options(
        target,
        tls=tls,
        authority=authority,
        max_receive_message_size=max_receive_message_size,
        max_send_message_size=max_send_message_size,
        compression=compression,
        content_subtype=content_subtype,
        keepalive_time=keepalive_time,
        keepalive_timeout=keepalive_timeout,
        keepalive_without_calls=keepalive_without_calls,
        connect_timeout=connect_timeout,
        wait_for_ready=wait_for_ready,
        load_balancing=load_balancing,
        health_service=health_service,
        interceptors=interceptors,
        metadata=metadata,
        credentials=credentials,
        allow_plaintext_credentials=allow_plaintext_credentials,
        secret_names=secret_names,
        user_agent=user_agent,
        engine=engine,
        proxy=proxy,
        proxy_headers=proxy_headers,
        retry=retry,
        tap=tap,
    )
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        core: ChannelCore | None = None
        try:
            core = ChannelCore(parsed, options, nursery, connector)
            yield Channel(core)
        except BaseException as error:  # raised again below, where the nursery does not wrap it
            failure = error
        try:
            if core is not None:
                await core.close()
        except trio.Cancelled as error:
            failure = failure or error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
