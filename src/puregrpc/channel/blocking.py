"""The channel for blocking callers: the same calls on plain sockets, for any number of threads (and for gevent).

One connection serves all threads. There is no background thread but the one that reads, and connecting is done by the
thread that makes the first call. It has one backend at a time (the first address that answers); several addresses in
turns, proxies, interceptors and call credentials are `open_channel`'s.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from puregrpc.channel.backoff import Backoff
from puregrpc.channel.blocking_call import BlockingCall, BlockingUnaryCall, ClientSession
from puregrpc.channel.connectivity import ConnectivityState
from puregrpc.channel.details import CallDetails, Deserializer, MetadataLike, Serializer, deadline_of, metadata_of
from puregrpc.channel.options import Method, channel_options, path_of
from puregrpc.channel.outcome import UnaryResult
from puregrpc.errors import ConnectError, Error, InvalidArgument, LocalProtocolError, NotConnected, RpcError
from puregrpc.transport import Address, SessionCounters, TcpAddress
from puregrpc.transport.blocking import BlockingSession
from puregrpc.transport.blocking_connect import connect_blocking, start_tls_blocking
from puregrpc.transport.process import THIS_PROCESS
from puregrpc.wire import client_connection
from puregrpc.wire.connection import ClientConnection, Driver, Request
from puregrpc.wire.status import StatusCode

if TYPE_CHECKING:
    from puregrpc.codec import Codec

__all__ = ["BlockingChannel", "BlockingMethod"]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class BlockingChannel:
    """A way to a server for blocking callers. The options are those of `puregrpc.channel.open_channel`.

    Use it as a context manager, or call `close`. It connects when the first call is made, and again when the connection
    was lost. Raises InvalidArgument for a target or an option that cannot be.
    """

    def __init__(self, target: str, **options: Any) -> None:
        self._target, self.options = channel_options(target, **options)
        for name in ("interceptors", "credentials", "proxy", "retry"):
            if getattr(self.options, name):
                raise InvalidArgument(f"{name}: a blocking channel has none; use open_channel")
        if self.options.load_balancing != "pick_first":
            raise InvalidArgument("a blocking channel has one connection: load_balancing must be 'pick_first'")
        tls = self.options.tls
        self._context = tls.client_context() if tls is not None else None
        self._session: ClientSession | None = None
        self._old_sessions: list[ClientSession] = []
        self._connecting = threading.Lock()
        self._is_connecting = False
        self._is_closed = False
        self._process = THIS_PROCESS.id
        self._backoff = Backoff()
        self._failure: ConnectError | None = None
        self._counted = SessionCounters(0, 0)
        self._next_attempt = 0.0

    # -- calls

    def call(
        self,
        method: Method,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
    ) -> BlockingCall[bytes, bytes]:
        """A call of any shape, messages as bytes; opened when entered, cancelled if left before its end."""
        return BlockingCall(self, self.details(path_of(method), metadata, timeout, wait_for_ready, compression))

    def unary_unary(
        self,
        method: Method,
        request_serializer: Serializer[Any] | None = None,
        response_deserializer: Deserializer[Any] | None = None,
        *,
        codec: Codec | None = None,
    ) -> BlockingMethod[Any, Any]:
        """A method with one request and one response; ``method(request)``. Arguments as for `Channel.unary_unary`."""
        if codec is not None:
            if isinstance(method, str):
                raise InvalidArgument(f"a codec needs a MethodDescriptor to know the types of {method!r}")
            request_serializer = request_serializer or codec.encoder(method.input_type)
            response_deserializer = response_deserializer or codec.decoder(method.output_type)
        return BlockingMethod(self, path_of(method), request_serializer, response_deserializer)

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
    ) -> BlockingCall[Any, Any]:
        """A call of any streaming shape, as a context manager.

        With ``requests`` a thread of the call's own sends what they give, and the half-close after them.
        """
        return BlockingCall(
            self,
            self.details(path_of(method), metadata, timeout, wait_for_ready, compression),
            serialize=request_serializer,
            deserialize=response_deserializer,
            requests=requests,
        )

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
        """Work out the deadline and make the request's head."""
        options = self.options
        details.deadline = deadline_of(details.timeout, time.monotonic())
        details.request = Request(
            details.path,
            options.authority,
            (*options.metadata, *details.metadata),
            encoding=options.compression if details.compression is None else details.compression,
            content_subtype=options.content_subtype,
        )
        return details

    # -- the connection

    @property
    def target(self) -> str:
        """The target as it was given."""
        return self._target.text

    @property
    def state(self) -> ConnectivityState:
        """What the channel is doing about being connected."""
        if self._is_closed:
            return ConnectivityState.SHUTDOWN
        session = self._session
        if session is not None and not session.is_going_away:
            return ConnectivityState.READY
        if self._is_connecting:
            return ConnectivityState.CONNECTING
        return ConnectivityState.IDLE if self._failure is None else ConnectivityState.TRANSIENT_FAILURE

    def connect(self, *, timeout: float | None = None) -> None:
        """Connect now, without a call, within ``timeout`` seconds. Raises ConnectError if that fails."""
        deadline = deadline_of(timeout, time.monotonic())
        with self._connecting:
            self._next_attempt = 0.0
            if self.state is not ConnectivityState.READY:
                self._connect(deadline)

    def ready_session(self) -> ClientSession | None:
        """The connection, if it is there and new calls may be opened on it."""
        session = self._session
        if session is None or session.is_going_away or self._process != THIS_PROCESS.id:
            return None
        return session

    def session(self, deadline: float | None, *, wait_for_ready: bool) -> ClientSession:
        """The connection for a call, made now if there is none.

        Raises RpcError: UNAVAILABLE if it cannot be made, DEADLINE_EXCEEDED; NotConnected if the channel is closed, or
        belongs to the process that this one was forked from.
        """
        while True:
            session = self.ready_session()
            if session is not None:
                return session
            if self._process != THIS_PROCESS.id:
                raise NotConnected(f"the channel to {self.target} belongs to the parent process: open one after fork")
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            if not self._connecting.acquire(timeout=-1 if left is None else left):
                raise self._deadline_passed()
            try:
                session = self.ready_session()
                if session is not None:
                    return session
                if self._is_closed:
                    raise NotConnected(f"the channel to {self.target} is closed")
                if time.monotonic() >= self._next_attempt:
                    return self._connect(deadline)
                if not wait_for_ready and self._failure is not None:
                    raise self._failure
                pause = self._next_attempt - time.monotonic()
            except ConnectError as error:
                if deadline is not None and time.monotonic() >= deadline:
                    raise self._deadline_passed() from None
                if not wait_for_ready:
                    raise RpcError(StatusCode.UNAVAILABLE, str(error), code_name="UNAVAILABLE") from None
                pause = self._next_attempt - time.monotonic()
            finally:
                self._connecting.release()
            if deadline is not None:
                pause = min(pause, deadline - time.monotonic())
                if pause <= 0:
                    raise self._deadline_passed()
            time.sleep(max(pause, 0.0))

    def _deadline_passed(self) -> RpcError:
        problem = f"the deadline passed while waiting for a connection to {self.target}"
        if self._failure is not None:
            problem += f" (last error: {self._failure})"
        return RpcError(StatusCode.DEADLINE_EXCEEDED, problem, code_name="DEADLINE_EXCEEDED")

    def _connect(self, deadline: float | None) -> ClientSession:
        """Make a connection; with ``_connecting`` held."""
        if self._is_closed:
            raise NotConnected(f"the channel to {self.target} is closed")
        began = time.monotonic()
        end = began + self.options.connect_timeout
        if deadline is not None:
            end = min(end, deadline)
        self._is_connecting = True
        try:
            session = self._attempt(end)
        except ConnectError as error:
            self._failure = error
            self._next_attempt = began + self._backoff.next_pause()
            raise
        finally:
            self._is_connecting = False
        self._backoff.reset()
        self._failure = None
        if self._session is not None:
            self._old_sessions.append(self._session)
        self._session = session
        self._close_old_sessions()
        return session

    def _attempt(self, end: float) -> ClientSession:
        sock: socket.socket = connect_blocking(self._resolve(), max(end - time.monotonic(), 0.001))
        peer = _name_of_peer(sock, self.target)
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
        )
        try:
            session.start(max(end - time.monotonic(), 0.001))
        except BaseException:
            session.close()
            raise
        return session

    def _make_connection(self, driver: Driver) -> ClientConnection:
        return client_connection(driver, self.options.connection, engine=self.options.engine)

    def _resolve(self) -> list[Address]:
        target = self._target
        if target.addresses:
            return list(target.addresses)
        try:
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise ConnectError(f"no address was found for the host {target.host!r}: {error}") from error
        return list(dict.fromkeys(TcpAddress(str(entry[4][0]), int(entry[4][1])) for entry in found))

    def _close_old_sessions(self, *, all_of_them: bool = False) -> None:
        """Let go of connections that are over; those that still serve calls stay until then."""
        over = [session for session in self._old_sessions if all_of_them or session.end_reason is not None]
        self._old_sessions = [session for session in self._old_sessions if session not in over]
        for session in over:
            session.close()
            self._counted = added(self._counted, session.counters)

    @property
    def counters(self) -> SessionCounters:
        """Octets that went over all its connections so far."""
        counted = self._counted
        for session in (self._session, *self._old_sessions):
            if session is not None:
                counted = added(counted, session.counters)
        return counted

    def close(self) -> None:
        """End all calls (UNAVAILABLE) and the connection. Idempotent."""
        if self._process != THIS_PROCESS.id:
            return
        self._is_closed = True
        with self._connecting:
            if self._session is not None:
                self._old_sessions.append(self._session)
                self._session = None
            self._close_old_sessions(all_of_them=True)

    def __enter__(self) -> BlockingChannel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def added(first: SessionCounters, second: SessionCounters) -> SessionCounters:
    return SessionCounters(first.bytes_sent + second.bytes_sent, first.bytes_received + second.bytes_received)


def _name_of_peer(sock: socket.socket, target: str) -> str:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return target
    host, port = sock.getpeername()[:2]
    return str(TcpAddress(host, port))


class BlockingMethod(Generic[RequestT, ResponseT]):
    """A method that takes one request and gives one response, bound to a blocking channel."""

    def __init__(
        self,
        channel: BlockingChannel,
        path: str,
        serialize: Serializer[RequestT] | None,
        deserialize: Deserializer[ResponseT] | None,
    ) -> None:
        self.path = path
        self._channel = channel
        self._serialize = serialize
        self._deserialize = deserialize
        options = channel.options
        self._request = Request(
            path,
            options.authority,
            options.metadata,
            encoding=options.compression,
            content_subtype=options.content_subtype,
        )

    def __call__(
        self,
        request: RequestT,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
    ) -> ResponseT:
        """Make the call and return its response.

        ``timeout`` is in seconds. Raises RpcError for a status other than OK, InvalidArgument for metadata or a
        message that cannot be sent, NotConnected if the channel is closed. Ctrl-C cancels the call.
        """
        call = self.exchange(
            request, metadata=metadata, timeout=timeout, wait_for_ready=wait_for_ready, compression=compression
        )
        message = call.result()
        return cast("ResponseT", message) if self._deserialize is None else self._deserialize(message)

    def with_call(
        self,
        request: RequestT,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
    ) -> UnaryResult[ResponseT]:
        """As calling it, but return headers, trailers and status with the response."""
        call = self.exchange(
            request, metadata=metadata, timeout=timeout, wait_for_ready=wait_for_ready, compression=compression
        )
        message = call.result()
        response = cast("ResponseT", message) if self._deserialize is None else self._deserialize(message)
        return UnaryResult(response, call.headers, call.trailers, call.status)

    def exchange(
        self,
        request: RequestT,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
    ) -> BlockingUnaryCall:
        """As calling it, but return the call when it is over, whatever its status; the response is still bytes.

        Raises RpcError where there is no connection for it.
        """
        data = cast("bytes", request) if self._serialize is None else self._serialize(request)
        head = self._request
        if metadata or compression is not None:
            encoding = head.encoding if compression is None else compression
            head = Request(
                self.path,
                head.authority,
                (*head.metadata, *metadata_of(metadata)),
                encoding=encoding,
                content_subtype=head.content_subtype,
            )
        channel = self._channel
        deadline = None if timeout is None else deadline_of(timeout, time.monotonic())
        secrets = channel.options.secret_names
        is_second_attempt = False
        while True:
            session = channel.ready_session()
            if session is None:
                wait = channel.options.wait_for_ready if wait_for_ready is None else wait_for_ready
                session = channel.session(deadline, wait_for_ready=wait)
            call = BlockingUnaryCall(session)
            leads = is_open = False
            output = b""
            try:
                with session.mutex:
                    leads = session.lead()
                    session.calls.add(call)
                    session.connection.open_call(
                        call,
                        head,
                        deadline=deadline,
                        message=data,
                        end=True,
                        now=time.monotonic(),
                        secret_names=secrets,
                    )
                    output = session.take_output()
                    is_open = True
                session.send_output(output)
                if leads:
                    call.read(deadline)
                else:
                    call.wait(deadline)
            except Error as error:
                session.calls.discard(call)
                if isinstance(error, LocalProtocolError) and session.is_going_away:  # since it was chosen
                    continue
                raise
            except BaseException:
                if is_open:
                    session.abandon(output)
                    session.reset(call)
                else:
                    session.interrupted()
                raise
            finally:
                if leads:
                    session.stop_leading()
            if not call.unprocessed or is_second_attempt:
                return call
            is_second_attempt = True
