"""The channel for blocking callers: the same calls on plain sockets, for any number of threads (and for gevent).

One connection to a backend serves all threads. There is no background thread but the one that reads, and connecting is
done by the thread that makes the first call; with round robin, by threads that live as long as it takes.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from inspect import iscoroutinefunction
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from puregrpc.channel.blocking_balancing import BlockingRoundRobin
from puregrpc.channel.blocking_call import BlockingCall, ClientSession
from puregrpc.channel.blocking_interceptors import BlockingInterceptor
from puregrpc.channel.blocking_methods import BlockingMethod
from puregrpc.channel.blocking_subchannel import BlockingSubchannel
from puregrpc.channel.blocking_tunnel import tunnel_blocking
from puregrpc.channel.bound_method import binding
from puregrpc.channel.connectivity import ConnectivityState
from puregrpc.channel.details import CallDetails, Deserializer, MetadataLike, Serializer, deadline_of, metadata_of
from puregrpc.channel.options import ChannelOptions, Method, channel_options, check_secure, path_of
from puregrpc.channel.retry import RetryThrottle
from puregrpc.errors import ConnectError, InvalidArgument
from puregrpc.transport.addresses import Address, TcpAddress, lookup_name
from puregrpc.transport.blocking import BlockingSession
from puregrpc.transport.blocking_connect import connect_blocking, start_tls_blocking
from puregrpc.transport.busy_poll import BUSY_POLL, LONGEST_BUSY_POLL
from puregrpc.transport.driving import SessionCounters
from puregrpc.wire import client_connection
from puregrpc.wire.connection import ClientConnection, Driver

if TYPE_CHECKING:
    from puregrpc.codec import Codec

__all__ = ["BlockingChannel"]


class BlockingChannel:
    """A way to a server for blocking callers. The options are those of `puregrpc.channel.open_channel`.

    Two of them are functions that block here too: ``interceptors`` are `BlockingInterceptor`s, and ``credentials`` is
    called for each call and returns its metadata. Use it as a context manager, or call `close`. It connects when the
    first call is made, and again when the connection was lost. Raises InvalidArgument for a target or an option that
    cannot be.

    ``busy_poll`` (seconds) is how long a call that is alone asks again and again for its answer before it sleeps.
    With a server near by that makes calls a third faster, for half as much processor time again; it is given up for
    a while whenever an answer takes longer. 0: never.
    """

    def __init__(self, target: str, *, busy_poll: float = BUSY_POLL, **options: Any) -> None:
        self._busy_poll = checked_busy_poll(busy_poll)
        self._target, self.options = channel_options(target, **options)
        check_blocking(self.options)
        tls = self.options.tls
        self._context = tls.client_context() if tls is not None else None
        self.throttle = RetryThrottle()
        self._backends: BlockingSubchannel | BlockingRoundRobin
        if self.options.load_balancing == "pick_first":
            self._backends = self._subchannel(self.target, self._resolve)
        else:
            self._backends = BlockingRoundRobin(self.target, self._resolve, self._subchannel_to)
        self.try_pick = self._backends.try_pick
        """The connection for the next call, if one is ready."""
        self.pick = self._backends.pick
        """The connection for a call, made now if there is none; see `BlockingSubchannel.pick`."""

    # -- calls

    def call(
        self,
        method: Method,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
    ) -> AbstractContextManager[BlockingCall[bytes, bytes]]:
        """A call of any shape, messages as bytes; opened when entered, cancelled if left before its end."""
        return self.stream(
            method, metadata=metadata, timeout=timeout, wait_for_ready=wait_for_ready, compression=compression
        )

    def unary_unary(
        self,
        method: Method,
        request_serializer: Serializer[Any] | None = None,
        response_deserializer: Deserializer[Any] | None = None,
        *,
        codec: Codec | None = None,
    ) -> BlockingMethod[Any, Any]:
        """A method with one request and one response; ``method(request)``. Arguments as for `Channel.unary_unary`."""
        return BlockingMethod(self, *binding(method, request_serializer, response_deserializer, codec))

    def stream(
        self,
        method: Method,
        request_serializer: Serializer[Any] | None = None,
        response_deserializer: Deserializer[Any] | None = None,
        *,
        requests: Iterable[Any] | None = None,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
    ) -> AbstractContextManager[BlockingCall[Any, Any]]:
        """A call of any streaming shape, as a context manager.

        With ``requests`` a thread of the call's own sends what they give, and the half-close after them.
        """

        def begin(details: CallDetails) -> AbstractContextManager[BlockingCall[Any, Any]]:
            return BlockingCall(
                self, details, serialize=request_serializer, deserialize=response_deserializer, requests=requests
            )

        proceed = begin
        for interceptor in reversed(self.interceptors):
            proceed = partial(interceptor.stream, proceed=proceed)
        return proceed(self.details(path_of(method), metadata, timeout, wait_for_ready, compression))

    @property
    def interceptors(self) -> tuple[BlockingInterceptor, ...]:
        """Those around each call, the outermost first."""
        return cast("tuple[BlockingInterceptor, ...]", self.options.interceptors)

    def details(
        self,
        path: str,
        metadata: MetadataLike | None,
        timeout: float | None,
        wait_for_ready: bool | None,
        compression: str | None,
    ) -> CallDetails:
        """The options of one call, completed by the channel's."""
        if wait_for_ready is None:
            wait_for_ready = self.options.wait_for_ready
        return CallDetails(path, metadata_of(metadata), timeout, wait_for_ready, compression)

    def prepare(self, details: CallDetails) -> CallDetails:
        """Work out the deadline, ask the credentials for their metadata, and make the request's head."""
        options = self.options
        deadline = deadline_of(details.timeout, time.monotonic())
        metadata = details.metadata
        for credentials in (options.credentials, details.credentials):
            if credentials is not None:
                check_secure(options)
                given = credentials(details)
                if isinstance(given, Awaitable):
                    raise InvalidArgument("the call credentials of a blocking channel are a function, not a coroutine")
                metadata = (*metadata, *metadata_of(given))
        request = options.request(details.path, metadata, details.compression)
        return replace(details, deadline=deadline, request=request)

    # -- the connections

    @property
    def target(self) -> str:
        """The target as it was given."""
        return self._target.text

    @property
    def state(self) -> ConnectivityState:
        """What the channel is doing about being connected."""
        return self._backends.state

    @property
    def counters(self) -> SessionCounters:
        """Octets that went over all its connections so far."""
        return self._backends.counters

    def connect(self, *, timeout: float | None = None) -> None:
        """Connect now, without a call, within ``timeout`` seconds. Raises ConnectError if that fails."""
        self._backends.connect(deadline_of(timeout, time.monotonic()))

    def close(self) -> None:
        """End all calls (UNAVAILABLE) and the connections. Idempotent."""
        self._backends.close()

    def _subchannel(self, name: str, resolve: Callable[[], Sequence[Address]]) -> BlockingSubchannel:
        def open_session(end: float) -> ClientSession:
            return self._open_session(resolve, end, lambda: not subchannel.is_closed)

        subchannel = BlockingSubchannel(name, open_session, self.options.connect_timeout)
        return subchannel

    def _subchannel_to(self, address: Address) -> BlockingSubchannel:
        return self._subchannel(str(address), lambda: [address])

    def _resolve(self) -> list[Address]:
        target = self._target
        return list(target.addresses) if target.addresses else look_up(target.host, target.port)

    def _open_session(
        self, resolve: Callable[[], Sequence[Address]], end: float, is_wanted: Callable[[], bool]
    ) -> ClientSession:
        proxy = self.options.proxy
        addresses = resolve() if proxy is None else look_up(proxy.host, proxy.port)
        sock: socket.socket = connect_blocking(addresses, max(end - time.monotonic(), 0.001), is_wanted=is_wanted)
        peer = _name_of_peer(sock, self.target)
        try:
            if proxy is not None:
                tunnel_blocking(sock, peer, self._target.endpoint, proxy, end)
        except BaseException:
            sock.close()
            raise
        tls = self.options.tls
        if tls is not None and self._context is not None:
            sock = start_tls_blocking(
                sock,
                self._context,
                tls.server_name or self._target.host,
                peer=peer,
                timeout=max(end - time.monotonic(), 0.001),
                require_alpn=tls.require_alpn,
            )
        session = BlockingSession(
            sock,
            self._make_connection,
            peer=peer,
            keeps_time=self.options.connection.keepalive_time is not None,
            tap=self.options.tap,
            busy_poll=self._busy_poll,
        )
        try:
            session.start(max(end - time.monotonic(), 0.001))
        except BaseException:
            session.close()
            raise
        return session

    def _make_connection(self, driver: Driver) -> ClientConnection:
        return client_connection(driver, self.options.connection, engine=self.options.engine)

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
    """Raise InvalidArgument for options that only a channel on trio can make use of."""
    for interceptor in options.interceptors:
        if not isinstance(interceptor, BlockingInterceptor):
            raise InvalidArgument(
                f"interceptors of a blocking channel are BlockingInterceptors: {interceptor!r} is none"
            )
    if options.health_service is not None:
        raise InvalidArgument("health_service: only a channel on trio watches the health of servers; use open_channel")
    if iscoroutinefunction(options.credentials):
        raise InvalidArgument("the call credentials of a blocking channel are a function, not a coroutine function")


def look_up(host: str, port: int) -> list[Address]:
    """The addresses of a host. Raises ConnectError with the resolver's words if there are none."""
    try:
        found = socket.getaddrinfo(lookup_name(host), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectError(f"no address was found for the host {host!r}: {error}") from error
    return list(dict.fromkeys(TcpAddress(str(entry[4][0]), int(entry[4][1])) for entry in found))


def _name_of_peer(sock: socket.socket, target: str) -> str:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return target
    host, port = sock.getpeername()[:2]
    return str(TcpAddress(host, port))
