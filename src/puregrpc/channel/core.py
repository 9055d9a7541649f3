"""What a channel is inside, in every world: its backends, the choice of a connection for each call, how it closes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from math import inf
from random import shuffle
from typing import TYPE_CHECKING, TypeVar

from puregrpc.channel.backends.balancing import Balancer, PickFirst, RoundRobin
from puregrpc.channel.backends.channel_trace import TraceLog
from puregrpc.channel.backends.connectivity import ConnectivityState
from puregrpc.channel.backends.health import HealthCheck
from puregrpc.channel.backends.subchannel import Subchannel
from puregrpc.channel.backends.tunnel import tunnel
from puregrpc.channel.calls.outcome import CANCELLED_HERE, rpc_error
from puregrpc.channel.calls.retry import RetryThrottle
from puregrpc.channel.details import CallCredentials, CallDetails, deadline_of, metadata_of
from puregrpc.channel.options import ChannelOptions, Connector, check_secure
from puregrpc.channel.target import Target
from puregrpc.errors import ConnectError, NotConnected, RpcError
from puregrpc.kernel import Kernel, Waiter, Waiters
from puregrpc.kernel.network.addresses import Address
from puregrpc.kernel.network.connecting import CONNECTION_ATTEMPT_DELAY, dial, interleave_families, secure
from puregrpc.kernel.network.racing import race
from puregrpc.kernel.process import THIS_PROCESS
from puregrpc.transport import ClientSession, Session, SessionOptions, open_session
from puregrpc.wire import client_connection
from puregrpc.wire.connection import ClientConnection, Driver, Metadata
from puregrpc.wire.status import StatusCode

if TYPE_CHECKING:
    from puregrpc.kernel.network.streams import ByteStream

__all__ = ["ChannelCore"]

T = TypeVar("T")

LINGER = 0.5
"""How long a client waits for the server to close its side; nothing that it would lose is on its way then."""

CLOSE_TIMEOUT = 10.0
"""How long connections may take to close in order, the last output included, before they are cut."""

NO_CERTIFICATE = "(does it ask for a client certificate: certificate_chain in TlsOptions?)"
WRONG_CERTIFICATE = "(does it take the client certificate that certificate_chain in TlsOptions names?)"
"""What may be behind it when a server closes a new connection over TLS without a word."""

TOO_MANY_PINGS = "too_many_pings"
"""The debug data of a server that is pinged more often than it allows (gRFC A8)."""


class ChannelCore:
    """The connections of a channel in one world. Everything public is in `Channel` and `BlockingChannel`."""

    __slots__ = (
        "_changed", "_connection_config", "_health_check", "_process", "balancer", "is_closed", "kernel", "options",
        "target", "throttle", "trace", "try_pick",
    )  # fmt: skip

    def __init__(self, kernel: Kernel, target: Target, options: ChannelOptions) -> None:
        self.kernel = kernel
        self.target = target
        self.options = options
        self.is_closed = False
        self.throttle = RetryThrottle(options.retry_throttling)
        self.trace = TraceLog("Channel")
        self._process = THIS_PROCESS.id
        self._changed = Waiters(kernel.waiter)
        self._connection_config = options.connection
        self._health_check: HealthCheck | None = None
        if options.health_service is not None:
            self._health_check = HealthCheck(options.health_service, options.authority)
        self.balancer: Balancer
        if options.load_balancing == "pick_first":
            self.balancer = PickFirst(self._subchannel(target.text, self._open_any))
        else:
            self.balancer = RoundRobin(
                self, self._resolve_target, self._subchannel_to, resolve_timeout=options.connect_timeout
            )
        self.try_pick = self.balancer.try_pick
        """The connection for the next call, if one is ready."""

    # -- making connections

    def _subchannel(
        self, name: str, open_session: Callable[[Subchannel, float], Awaitable[ClientSession]]
    ) -> Subchannel:
        subchannel = Subchannel(
            self,
            name,
            open_session,
            connect_timeout=self.options.connect_timeout,
            health_check=self._health_check,
        )
        self.trace.add("Subchannel created", subchannel=subchannel)
        return subchannel

    def _subchannel_to(self, address: Address) -> Subchannel:
        async def open_session(subchannel: Subchannel, until: float) -> ClientSession:
            return await self._open_one(subchannel, address, until)

        return self._subchannel(str(address), open_session)

    async def _resolve_target(self, until: float) -> list[Address]:
        target, proxy = self.target, self.options.proxy
        if proxy is not None:
            return list(await self.kernel.resolve(proxy.host, proxy.port, until))
        if target.addresses:
            return list(target.addresses)
        return list(await self.kernel.resolve(target.host, target.port, until))

    async def _open_any(self, subchannel: Subchannel, until: float) -> ClientSession:
        """A connection to the first address whose server speaks HTTP/2 (gRFC A62)."""
        connector = self.options.connector
        if connector is not None:
            return await self._open_session(subchannel, await self._connected_by(connector, until), until)
        addresses = await self._resolve_target(until)
        if self.options.shuffle_addresses:
            shuffle(addresses)
        attempts = [partial(self._open_one, subchannel, address, until) for address in interleave_families(addresses)]
        return await race(self.kernel, attempts, delay=CONNECTION_ATTEMPT_DELAY, discard=discard)

    async def _connected_by(self, connector: Connector, until: float) -> ByteStream:
        async def make() -> ByteStream:
            return await self.kernel.call(connector)

        stream = await self.bounded(make, until)
        if stream is None:
            raise ConnectError(f"{self.target.text}: no connection was made in time")
        return stream

    async def _open_one(self, subchannel: Subchannel, address: Address, until: float) -> ClientSession:
        kernel, options = self.kernel, self.options
        stream = await dial(kernel, address, until)
        keepalive = options.connection.keepalive_time is not None
        if keepalive:
            stream.limit_unacknowledged_time(options.connection.keepalive_timeout)
        if options.proxy is not None:
            try:
                await tunnel(stream, self.target.endpoint, options.proxy, until)
            except BaseException:
                stream.close()
                raise
        if options.tls is None or options.tls_context is None:
            return await self._open_session(subchannel, stream, until)
        secured = await secure(
            kernel,
            stream,
            options.tls_context,
            until,
            server_name=options.tls.server_name or self.target.host,
            require_alpn=options.tls.require_alpn,
            sessions=options.tls.session_cache,
        )
        return await self._open_session(subchannel, secured, until)

    async def _open_session(self, subchannel: Subchannel, stream: ByteStream, until: float) -> ClientSession:
        kernel, options = self.kernel, self.options
        session: ClientSession = open_session(
            kernel,
            stream,
            self._make_connection,
            subchannel,
            SessionOptions(
                handshake_timeout=max(until - kernel.now(), 0.001),
                linger=LINGER,
                keepalive=options.connection.keepalive_time is not None,
                busy_poll=options.busy_poll,
                tap=options.tap,
            ),
        )
        kernel.locked(subchannel.sessions.add, session)
        try:
            await session.start()
            await session.wait_ready()
        except ConnectError as error:
            if options.tls is None or session.counters.bytes_received:
                raise
            # In TLS 1.3 a client is through with the handshake before its certificate is looked at, and there are
            # servers that send no alert.
            hint = WRONG_CERTIFICATE if options.tls.certificate_chain else NO_CERTIFICATE
            if "certificate" in str(error):  # an alert has said so
                raise
            raise ConnectError(f"{error} {hint}") from None
        except BaseException:
            session.abort("the channel was closed")
            raise
        if session.is_going_away:
            raise ConnectError(f"{session.peer}: {session.end_reason or 'the server is going away'}")
        return session

    def _make_connection(self, driver: Driver) -> ClientConnection:
        return client_connection(driver, self._connection_config, engine=self.options.engine)

    # -- what the backends tell, with the mutex held

    def subchannel_changed(self) -> None:
        """See `SubchannelOwner`."""
        self.balancer.changed()
        self.trace.state_is(self.state, self.balancer.last_error)
        if self.is_closed:
            self._changed.wake_all()
        else:
            self._changed.wake_in_turns(self.kernel)

    def sent_away(self, reason: str) -> None:
        """See `SubchannelOwner`: for too many PINGs, new connections send half as many (gRFC A8)."""
        config = self._connection_config
        if TOO_MANY_PINGS in reason and config.keepalive_time is not None:
            self._connection_config = replace(config, keepalive_time=2 * config.keepalive_time)

    # -- state

    @property
    def state(self) -> ConnectivityState:
        """What the channel is doing about being connected."""
        return ConnectivityState.SHUTDOWN if self.is_closed else self.balancer.state

    def state_change(self, last: ConnectivityState) -> Waiter | None:
        """What is woken when something changes; None if the state is another one than ``last``. With the mutex held."""
        return self._changed.waiter() if self.state is last else None

    async def wait_for_state_change(self, last: ConnectivityState) -> ConnectivityState:
        """Wait until the state is another than ``last``; returns it."""
        while (change := self.kernel.locked(self.state_change, last)) is not None:
            await self._wait(change, inf)
        return self.state

    async def connect(self, timeout: float) -> None:
        """Be READY within ``timeout`` seconds, or raise ConnectError."""
        kernel = self.kernel
        self.check_usable()
        until = kernel.now() + timeout
        failures = kernel.locked(self._hurry)
        while (change := kernel.locked(self._connection_change, failures)) is not None:
            if not await self._wait(change, until):
                raise ConnectError(f"no connection to {self.target.text} was made within {timeout:g} s")

    def _hurry(self) -> int:
        failures = self.balancer.failures
        self.balancer.hurry()
        return failures

    def _connection_change(self, failures: int) -> Waiter | None:
        balancer = self.balancer
        self._check_open()
        if balancer.state is ConnectivityState.READY:
            return None
        balancer.request_connection()
        if balancer.state is ConnectivityState.TRANSIENT_FAILURE and balancer.failures > failures:
            raise ConnectError(balancer.last_error)
        return self._changed.waiter()

    async def _wait(self, change: Waiter, until: float) -> bool:
        is_woken = False
        try:
            is_woken = await change.wait(until)
        finally:
            if not is_woken:
                self.kernel.locked(self._changed.forget, change)
        return is_woken

    @property
    def is_foreign(self) -> bool:
        """Whether this is a child of the process that the channel was opened in."""
        return self._process != THIS_PROCESS.id

    def check_usable(self) -> None:
        """Raise NotConnected in a child of the process that the channel was opened in."""
        if self._process != THIS_PROCESS.id:
            raise NotConnected(f"the channel to {self.target.text} belongs to the parent process: open one after fork")

    def _check_open(self) -> None:
        if self.is_closed:
            raise NotConnected(f"the channel to {self.target.text} is closed")

    async def close(self) -> None:
        """End all calls and connections, and wait until they are closed in order."""
        if self._process != THIS_PROCESS.id:
            return
        for session in self.kernel.locked(self._close):
            session.push()
        until = self.kernel.now() + CLOSE_TIMEOUT
        while (change := self.kernel.locked(self._session_change)) is not None:
            if not await self._wait(change, until):
                for session in self.balancer.sessions:
                    session.abort("the channel was closed")
                until = inf

    def desert(self) -> None:
        """The loop that it lived in is closed: let the sockets go, which is all that can be done without it."""
        self.is_closed = True
        for session in self.balancer.sessions:
            session.close_socket()

    def _close(self) -> list[ClientSession]:
        self.is_closed = True
        sessions = self.balancer.sessions
        for session in sessions:
            session.hold()
        self.balancer.close()
        self.subchannel_changed()
        return sessions

    def _session_change(self) -> Waiter | None:
        return self._changed.waiter() if self.balancer.has_sessions else None

    # -- calls

    async def pick(self, details: CallDetails, is_wanted: Callable[[], bool] = lambda: True) -> ClientSession:
        """A connection for a call: wait until there is one, as long as the call allows.

        ``is_wanted`` is asked after each change; `give_up_waiting` brings one about. Raises RpcError: UNAVAILABLE if
        no connection can be made, with a ConnectError as its cause, DEADLINE_EXCEEDED; NotConnected if the channel is
        closed or belongs to the process that this one was forked from.
        """
        session = self.try_pick()
        if session is not None and self._process == THIS_PROCESS.id:
            return session
        self.check_usable()
        until = inf if details.deadline is None else details.deadline
        while True:
            found = self.kernel.locked(self._pick_or_wait, details, is_wanted)
            if isinstance(found, Session):
                return found
            if isinstance(found, RpcError):
                await self.kernel.checkpoint()  # whoever tries again in a loop must let the connection be made
                try:
                    raise found
                finally:
                    del found  # no cycle through the traceback
            if not await self._wait(found, until):
                raise self._too_late()

    def _pick_or_wait(self, details: CallDetails, is_wanted: Callable[[], bool]) -> ClientSession | Waiter | RpcError:
        self._check_open()
        if not is_wanted():
            return rpc_error(CANCELLED_HERE)
        session = self.try_pick()
        if session is None:
            self.balancer.request_connection()
            session = self.try_pick()
        if session is not None:
            return session
        if not details.wait_for_ready and self.state is ConnectivityState.TRANSIENT_FAILURE:
            error = RpcError(StatusCode.UNAVAILABLE, self.balancer.last_error)
            error.__cause__ = ConnectError(self.balancer.last_error)  # a server may send the same code and text
            return error
        return self._changed.waiter()

    def _too_late(self) -> RpcError:
        problem = f"the deadline passed while waiting for a connection to {self.target.text}"
        if self.balancer.last_error:
            problem += f" (last error: {self.balancer.last_error})"
        return RpcError(StatusCode.DEADLINE_EXCEEDED, problem)

    def give_up_waiting(self) -> None:
        """Have those who wait for a connection ask whether they still need it. With the mutex held."""
        self._changed.wake_all()

    async def prepare(self, details: CallDetails) -> CallDetails:
        """Work out the deadline, ask the credentials for their metadata, and make the request's head."""
        options = self.options
        timeout, longest = details.timeout, options.methods.of(details.path).timeout
        if longest is not None and (timeout is None or timeout > longest):
            timeout = longest
        deadline = deadline_of(timeout, self.kernel.now())
        metadata = details.metadata
        for credentials in (options.credentials, details.credentials):
            if credentials is not None:
                metadata = (*metadata, *await self._ask(credentials, details, deadline))
        request = options.request(details.path, metadata, details.compression)
        return replace(details, deadline=deadline, request=request)

    async def _ask(self, credentials: CallCredentials, details: CallDetails, deadline: float | None) -> Metadata:
        check_secure(self.options)

        async def ask() -> Metadata:
            return metadata_of(await self.kernel.call(credentials, details))

        given = await self.bounded(ask, inf if deadline is None else deadline)
        if given is None:
            raise RpcError(
                StatusCode.DEADLINE_EXCEEDED,
                "the deadline passed while the call's credentials were waited for",
            )
        return given

    async def bounded(self, function: Callable[[], Awaitable[T]], until: float) -> T | None:
        """What a coroutine returns; None, and it is cancelled, if it has not by ``until``.

        On threads nothing can be cancelled in the middle of a function of the user's: there it is waited for.
        """
        kernel = self.kernel
        if until == inf or kernel.world == "threads":
            return await function()
        results: list[T] = []
        errors: list[BaseException] = []
        end = kernel.waiter()

        async def run() -> None:
            try:
                results.append(await function())
            except Exception as error:  # handed on below
                errors.append(error)
            finally:
                kernel.locked(end.wake)

        task = kernel.spawn(run)
        try:
            await end.wait(until)
        finally:
            task.cancel()
        if errors:
            raise errors.pop()  # kept in a frame, it would keep that frame
        return results[0] if results else None


def discard(session: ClientSession) -> None:
    """A connection was made that nobody needs: another one was quicker."""
    session.abort("another address was quicker")
