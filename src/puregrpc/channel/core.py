"""What a channel is inside: options, backends, and the choice of a connection for each call."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import replace

import trio

from puregrpc.channel.balancing import Balancer, PickFirst, RoundRobin
from puregrpc.channel.connectivity import ConnectivityState
from puregrpc.channel.details import CallCredentials, CallDetails, deadline_of, metadata_of
from puregrpc.channel.health import HealthCheck
from puregrpc.channel.options import ChannelOptions, check_secure
from puregrpc.channel.retry import RetryThrottle
from puregrpc.channel.subchannel import ChannelSession, Subchannel
from puregrpc.channel.target import Target
from puregrpc.channel.tunnel import tunnel
from puregrpc.errors import ConnectError, NotConnected, RpcError
from puregrpc.transport import (
    Address,
    ByteStream,
    SocketStream,
    connect,
    resolve_host,
    start_tls_client,
)
from puregrpc.wire import client_connection
from puregrpc.wire.connection import ClientConnection, Driver, Metadata
from puregrpc.wire.status import StatusCode

__all__ = ["ChannelCore"]


class ChannelCore:
    """The connections of a channel. Everything public is in `Channel`."""

    def __init__(
        self,
        target: Target,
        options: ChannelOptions,
        nursery: trio.Nursery,
        connector: Callable[[], Awaitable[ByteStream]] | None = None,
    ) -> None:
        self.target = target
        self.options = options
        self.is_closed = False
        self.is_plain = not (options.interceptors or options.credentials or options.retry)
        """Nothing has to be added to a call: the shortest way can be taken."""
        self._nursery = nursery
        self._changed = trio.lowlevel.ParkingLot()
        self._context = options.tls.client_context() if options.tls is not None else None
        self._health_check: HealthCheck | None = None
        if options.health_service is not None:
            self._health_check = HealthCheck(options.health_service, options.authority)
        self.throttle = RetryThrottle()
        self.balancer: Balancer
        if options.load_balancing == "pick_first":
            self.balancer = PickFirst(self._subchannel(connector or self._open_any, target.text))
        else:
            self.balancer = RoundRobin(nursery, target.resolve, self._subchannel_to, self._notify)
        self.try_pick = self.balancer.try_pick
        """The connection for the next call, if one is ready."""

    def _subchannel(self, open_stream: Callable[[], Awaitable[ByteStream]], name: str) -> Subchannel:
        return Subchannel(
            self._nursery,
            open_stream,
            self._make_connection,
            connect_timeout=self.options.connect_timeout,
            name=name,
            on_change=self._notify,
            secret_names=self.options.secret_names,
            keepalive=self.options.connection.keepalive_time is not None,
            health_check=self._health_check,
            tap=self.options.tap,
        )

    # -- connections

    def _make_connection(self, driver: Driver) -> ClientConnection:
        return client_connection(driver, self.options.connection, engine=self.options.engine)

    def _subchannel_to(self, address: Address) -> Subchannel:
        async def open_stream() -> ByteStream:
            return await self._secure(await connect([address]))

        return self._subchannel(open_stream, str(address))

    async def _open_any(self) -> ByteStream:
        proxy = self.options.proxy
        if proxy is None:
            return await self._secure(await connect(await self.target.resolve()))
        stream = await connect(list(await resolve_host(proxy.host, proxy.port)))
        try:
            await tunnel(stream, self.target.endpoint, proxy)
        except BaseException:
            stream.close()
            raise
        return await self._secure(stream)

    async def _secure(self, stream: SocketStream) -> ByteStream:
        if self.options.connection.keepalive_time is not None:
            stream.limit_unacknowledged_time(self.options.connection.keepalive_timeout)
        tls = self.options.tls
        if tls is None or self._context is None:
            return stream
        name = tls.server_name or self.target.host
        return await start_tls_client(stream, self._context, name, require_alpn=tls.require_alpn)

    def _notify(self) -> None:
        self.balancer.changed()
        self._changed.unpark_all()

    # -- state

    @property
    def state(self) -> ConnectivityState:
        if self.is_closed:
            return ConnectivityState.SHUTDOWN
        return self.balancer.state

    async def wait_changed(self) -> None:
        await self._changed.park()

    async def connect(self, timeout: float) -> None:
        """Be READY within ``timeout`` seconds, or raise ConnectError."""
        balancer = self.balancer
        failures = balancer.failures
        balancer.hurry()
        with trio.move_on_after(timeout):
            while balancer.state is not ConnectivityState.READY:
                if self.is_closed:
                    raise NotConnected(f"the channel to {self.target.text} is closed")
                balancer.request_connection()
                if balancer.state is ConnectivityState.TRANSIENT_FAILURE and balancer.failures > failures:
                    raise ConnectError(balancer.last_error)
                await self._changed.park()
            return
        raise ConnectError(f"no connection to {self.target.text} was made within {timeout:g} s")

    async def close(self) -> None:
        """End all calls and connections, and wait until they are closed in order."""
        self.is_closed = True
        self.balancer.close()
        self._notify()
        while self.balancer.has_sessions:
            await self._changed.park()

    # -- calls

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
                self.balancer.request_connection()
                session = self.try_pick()
                if session is not None:
                    return session
                if not details.wait_for_ready and self.state is ConnectivityState.TRANSIENT_FAILURE:
                    # Whoever tries again in a loop must not keep the loop from making the connection.
                    await trio.lowlevel.checkpoint()
                    raise RpcError(StatusCode.UNAVAILABLE, self.balancer.last_error, code_name="UNAVAILABLE")
                await self._changed.park()
        problem = f"the deadline passed while waiting for a connection to {self.target.text}"
        if self.balancer.last_error:
            problem += f" (last error: {self.balancer.last_error})"
        raise RpcError(StatusCode.DEADLINE_EXCEEDED, problem, code_name="DEADLINE_EXCEEDED")

    async def prepare(self, details: CallDetails) -> CallDetails:
        """Work out the deadline, ask the credentials for their metadata, and make the request's head."""
        options = self.options
        deadline = deadline_of(details.timeout, trio.current_time())
        metadata = details.metadata
        for credentials in (options.credentials, details.credentials):
            if credentials is not None:
                metadata = (*metadata, *await self._ask(credentials, details, deadline))
        request = options.request(details.path, metadata, details.compression)
        return replace(details, deadline=deadline, request=request)

    async def _ask(self, credentials: CallCredentials, details: CallDetails, deadline: float | None) -> Metadata:
        check_secure(self.options)
        with trio.move_on_at(math.inf if deadline is None else deadline):
            return metadata_of(await credentials(details))
        raise RpcError(
            StatusCode.DEADLINE_EXCEEDED,
            "the deadline passed while the call's credentials were waited for",
            code_name="DEADLINE_EXCEEDED",
        )
