"""What a channel is inside: options, backends, and the choice of a connection for each call."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import trio

from puregrpc._version import __version__
from puregrpc.channel.connectivity import ConnectivityState, aggregate
from puregrpc.channel.details import CallCredentials, CallDetails, metadata_of
from puregrpc.channel.subchannel import ChannelSession, Subchannel
from puregrpc.channel.target import Target
from puregrpc.errors import InvalidArgument, NotConnected, RpcError
from puregrpc.transport import ByteStream, SocketStream, Tap, TlsOptions, connect, start_tls_client
from puregrpc.wire import EngineName, client_connection
from puregrpc.wire.connection import ClientConnection, ConnectionConfig, Driver, Metadata, Request
from puregrpc.wire.status import StatusCode

if TYPE_CHECKING:
    from puregrpc.channel.interceptors import Interceptor

__all__ = ["ChannelCore", "ChannelOptions", "LoadBalancing"]

LoadBalancing = Literal["pick_first", "round_robin"]

USER_AGENT = f"grpc-python-puregrpc/{__version__}"
"""PROTOCOL-HTTP2, "User Agents": grpc-LANGUAGE-VARIANT/VERSION."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOptions:
    """The options of `puregrpc.channel.open_channel`, checked."""

    tls: TlsOptions | None
    authority: str
    connection: ConnectionConfig
    connect_timeout: float
    wait_for_ready: bool
    compression: str
    metadata: Metadata
    interceptors: tuple[Interceptor, ...]
    credentials: CallCredentials | None
    allow_plaintext_credentials: bool
    secret_names: tuple[str, ...]
    engine: EngineName
    load_balancing: LoadBalancing
    tap: Tap | None


class ChannelCore:
    """The connections of a channel. Everything public is in `Channel`."""

    def __init__(self, target: Target, options: ChannelOptions, nursery: trio.Nursery) -> None:
        self.target = target
        self.options = options
        self.is_closed = False
        self.is_plain = not (options.metadata or options.interceptors or options.credentials)
        """Nothing has to be added to a call: the shortest way can be taken."""
        self._nursery = nursery
        self._changed = trio.lowlevel.ParkingLot()
        self._context = options.tls.client_context() if options.tls is not None else None
        self.subchannels: list[Subchannel] = [self._subchannel(self._open_any, target.text)]
        self._first = self.subchannels[0]

    def _subchannel(self, open_stream: Callable[[], Awaitable[ByteStream]], name: str) -> Subchannel:
        return Subchannel(
            self._nursery,
            open_stream,
            self._make_connection,
            connect_timeout=self.options.connect_timeout,
            name=name,
            on_change=self._notify,
            secret_names=self.options.secret_names,
            tap=self.options.tap,
        )

    # -- connections

    def _make_connection(self, driver: Driver) -> ClientConnection:
        return client_connection(driver, self.options.connection, engine=self.options.engine)

    async def _open_any(self) -> ByteStream:
        return await self._secure(await connect(await self.target.resolve()))

    async def _secure(self, stream: SocketStream) -> ByteStream:
        tls = self.options.tls
        if tls is None or self._context is None:
            return stream
        name = tls.server_name or self.target.host
        return await start_tls_client(stream, self._context, name, require_alpn=tls.require_alpn)

    def _notify(self) -> None:
        self._changed.unpark_all()

    # -- state

    @property
    def state(self) -> ConnectivityState:
        if self.is_closed:
            return ConnectivityState.SHUTDOWN
        return aggregate(subchannel.state for subchannel in self.subchannels)

    async def wait_changed(self) -> None:
        await self._changed.park()

    def request_connection(self) -> None:
        for subchannel in self.subchannels:
            subchannel.request_connection()

    def hurry(self) -> None:
        for subchannel in self.subchannels:
            subchannel.hurry()

    @property
    def last_error(self) -> str:
        return next((subchannel.error for subchannel in self.subchannels if subchannel.error), "")

    async def close(self) -> None:
        """End all calls and connections, and wait until they are closed in order."""
        self.is_closed = True
        for subchannel in self.subchannels:
            subchannel.close()
        self._notify()
        while any(subchannel.sessions for subchannel in self.subchannels):
            await self._changed.park()

    # -- calls

    def try_pick(self) -> ChannelSession | None:
        """The connection for the next call, if one is ready."""
        return self._first.session

    async def pick(self, details: CallDetails) -> ChannelSession:
        """A connection for a call: wait until there is one, as long as the call allows.

        Raises RpcError: UNAVAILABLE if none can be made, DEADLINE_EXCEEDED; NotConnected if the channel is closed.
        """
        session = self.try_pick()
        if session is not None:
            return session
        with trio.move_on_at(math.inf if details.deadline is None else details.deadline):
            while True:
                if self.is_closed:
                    raise NotConnected(f"the channel to {self.target.text} is closed")
                self.request_connection()
                session = self.try_pick()
                if session is not None:
                    return session
                if not details.wait_for_ready and self.state is ConnectivityState.TRANSIENT_FAILURE:
                    raise RpcError(StatusCode.UNAVAILABLE, self.last_error, code_name="UNAVAILABLE")
                await self._changed.park()
        problem = f"the deadline passed while waiting for a connection to {self.target.text}"
        if self.last_error:
            problem += f" (last error: {self.last_error})"
        raise RpcError(StatusCode.DEADLINE_EXCEEDED, problem, code_name="DEADLINE_EXCEEDED")

    async def prepare(self, details: CallDetails) -> CallDetails:
        """Work out the deadline, ask the credentials for their metadata, and make the request's head."""
        options = self.options
        deadline = deadline_of(details.timeout)
        metadata = (*options.metadata, *details.metadata)
        for credentials in (options.credentials, details.credentials):
            if credentials is not None:
                metadata = (*metadata, *await self._ask(credentials, details, deadline))
        request = Request(
            details.path,
            options.authority,
            metadata,
            encoding=options.compression if details.compression is None else details.compression,
        )
        return replace(details, deadline=deadline, request=request)

    async def _ask(self, credentials: CallCredentials, details: CallDetails, deadline: float | None) -> Metadata:
        if self.options.tls is None and not self.options.allow_plaintext_credentials:
            raise InvalidArgument(
                "call credentials would be sent in plaintext: use TLS, or allow_plaintext_credentials=True"
            )
        with trio.move_on_at(math.inf if deadline is None else deadline):
            return metadata_of(await credentials(details))
        raise RpcError(
            StatusCode.DEADLINE_EXCEEDED,
            "the deadline passed while the call's credentials were waited for",
            code_name="DEADLINE_EXCEEDED",
        )


def deadline_of(timeout: float | None) -> float | None:
    """The point on trio's clock that is ``timeout`` seconds from now."""
    if timeout is None or timeout == math.inf:
        return None
    if timeout != timeout:
        raise InvalidArgument("timeout is not a number")
    return trio.current_time() + timeout
