"""What a blocking channel can be given: interceptors, call credentials, a proxy, several backends, a retry policy."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pytest

from puregrpc.channel import (
    BlockingCall,
    BlockingChannel,
    BlockingInterceptor,
    CallDetails,
    ConnectivityState,
    Interceptor,
    RetryPolicy,
    UnaryResult,
)
from puregrpc.channel.blocking.interceptors import ProceedBlockingStream, ProceedBlockingUnary
from puregrpc.errors import ConnectError, InvalidArgument, NotConnected, RpcError
from puregrpc.kernel.network.addresses import TcpAddress
from puregrpc.kernel.threads.kernel import ThreadKernel
from puregrpc.wire.connection import Request, ServerCall
from puregrpc.wire.status import Status, StatusCode
from tests.channel.grpcio_server import grpcio_server
from tests.channel.wire_server import EchoCall, WireSession, wire_server
from tests.worlds import block_until

ECHO = "test.Service/Echo"

pytestmark = pytest.mark.worlds("threads")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield

    def are_gone() -> bool:
        return not [thread for thread in threading.enumerate() if thread.name.startswith("puregrpc")]

    block_until(are_gone, 5)


def in_a_thread(
    on_call: Callable[[WireSession, Request], ServerCall | None], work: Callable[[str], None]
) -> list[Request]:
    """Run blocking ``work`` with the address of a server; returns the requests that the server got."""
    with wire_server(on_call) as server:
        work(server.address)
    return server.requests


# -- interceptors and credentials


class Logging(BlockingInterceptor):
    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    def unary(self, details: CallDetails, request: Any, proceed: ProceedBlockingUnary) -> UnaryResult[Any]:
        self.log.append(f"{self.name} {details.path}")
        details.metadata = (*details.metadata, ("x-a", self.name))
        result = proceed(details, request)
        self.log.append(f"{self.name} {result.status.code}")
        return result

    def stream(
        self, details: CallDetails, proceed: ProceedBlockingStream
    ) -> AbstractContextManager[BlockingCall[Any, Any]]:
        return self.around(details, proceed)

    @contextmanager
    def around(self, details: CallDetails, proceed: ProceedBlockingStream) -> Iterator[BlockingCall[Any, Any]]:
        self.log.append(f"{self.name} opens")
        with proceed(details) as call:
            yield call
        self.log.append(f"{self.name} closes")


def test_interceptors_are_around_each_call(server: str) -> None:
    log: list[str] = []
    interceptors = [Logging("outer", log), BlockingInterceptor(), Logging("inner", log)]
    with BlockingChannel(server, interceptors=interceptors) as channel:
        assert channel.unary_unary(ECHO, str.encode, bytes.decode)("hello") == "hello"
        assert log == ["outer /test.Service/Echo", "inner /test.Service/Echo", "inner 0", "outer 0"]
        result = channel.unary_unary("test.Service/MetadataBack").with_call(b"", timeout=5)
        assert [value for name, value in result.headers if name == "x-a"] == ["outer", "inner"]
        log.clear()
        with channel.stream_stream("test.Service/Chat")([b"a"]) as call:
            assert list(call) == [b"A"]
        assert log == ["outer opens", "inner opens", "inner closes", "outer closes"]


def test_an_interceptor_may_call_twice_or_answer_by_itself(server: str) -> None:
    class Again(BlockingInterceptor):
        def unary(self, details: CallDetails, request: Any, proceed: ProceedBlockingUnary) -> UnaryResult[Any]:
            try:
                return proceed(details, request)
            except RpcError:
                return UnaryResult(b"instead", (), (), Status(0))

    with BlockingChannel(server, interceptors=[Again()]) as channel:
        assert channel.unary_unary("test.Service/Fail")(b"") == b"instead"
    with pytest.raises(InvalidArgument, match=r"BlockingInterceptors: <.*Interceptor object.* is none"):
        BlockingChannel(server, interceptors=[Interceptor()])


def test_call_credentials(server: str) -> None:
    asked: list[str] = []

    def credentials(details: CallDetails) -> dict[str, str]:
        asked.append(details.path)
        return {"x-a": "token"}

    with BlockingChannel(server, credentials=credentials, allow_plaintext_credentials=True) as channel:
        result = channel.unary_unary("test.Service/MetadataBack").with_call(b"", metadata={"x-a": "mine"})
        assert [value for name, value in result.headers if name == "x-a"] == ["mine", "token"]
        assert channel.unary_unary(ECHO)(b"plain") == b"plain"
        with channel.stream_stream("test.Service/Chat")([b"a"]) as call:
            assert list(call) == [b"A"]
    assert asked == ["/test.Service/MetadataBack", "/test.Service/Echo", "/test.Service/Chat"]
    with BlockingChannel(server, credentials=credentials) as channel:
        with pytest.raises(InvalidArgument, match=r"in plaintext"):
            channel.unary_unary(ECHO)(b"")

    async def slow(details: CallDetails) -> dict[str, str]:
        return {"x-a": details.path}

    with pytest.raises(InvalidArgument, match=r"not a coroutine function"):
        BlockingChannel(server, credentials=slow)


# -- a proxy


class ConnectProxy:
    """An HTTP proxy that grants every tunnel, or says ``refusal``."""

    def __init__(self, refusal: bytes = b"") -> None:
        self.heads: list[bytes] = []
        self._refusal = refusal
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets = [self._listener]
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            self.heads.append(head)
            if self._refusal:
                client.sendall(self._refusal)
                continue
            host, _, port = head.split()[1].decode().rpartition(":")
            upstream = socket.create_connection((host, int(port)))
            self._sockets.append(upstream)
            greeting = upstream.recv(4096)  # the server speaks first: its SETTINGS come right behind the answer
            client.sendall(b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n" + greeting)
            for source, sink in ((client, upstream), (upstream, client)):
                thread = threading.Thread(target=self._relay, args=(source, sink))
                self._threads.append(thread)
                thread.start()

    @staticmethod
    def _relay(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def __enter__(self) -> ConnectProxy:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets:
            with ExitStack() as stack:
                stack.callback(sock.close)
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
        for thread in self._threads:
            thread.join(10)


def test_a_proxy(server: str) -> None:
    with (
        ConnectProxy() as proxy,
        BlockingChannel(server, proxy=f"http://me:secret@{proxy.address}", proxy_headers={"X-Team": "a"}) as channel,
    ):
        assert channel.unary_unary(ECHO)(b"through") == b"through"
    (head,) = proxy.heads
    assert head.startswith(f"CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n".encode())
    assert b"\r\nX-Team: a\r\n" in head
    assert b"\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n" in head


def test_a_proxy_that_refuses_or_does_not_answer(server: str) -> None:
    with (
        ConnectProxy(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as proxy,
        BlockingChannel(server, proxy=proxy.address) as channel,
    ):
        with pytest.raises(ConnectError, match=rf"refused CONNECT {server}: 407 Proxy Auth"):
            channel.connect()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with BlockingChannel(server, proxy=address, connect_timeout=0.2) as channel:
            with pytest.raises(ConnectError, match=r"^the proxy \S+ did not answer in time$"):
                channel.connect()


# -- several backends


def test_round_robin_gives_each_backend_its_turn() -> None:
    with grpcio_server() as first, grpcio_server() as second:
        target = f"ipv4:{first},{second}"
        with BlockingChannel(target, load_balancing="round_robin", authority="all") as channel:
            peers: list[str] = []
            assert channel.state is ConnectivityState.IDLE
            channel.connect(timeout=10)
            deadline = time.monotonic() + 10
            while len(set(peers)) < 2 and time.monotonic() < deadline:
                with channel.call("test.Service/Chat") as call:
                    peers.append(call.peer)
            peers.clear()
            for _ in range(10):
                with channel.call("test.Service/Chat") as call:
                    peers.append(call.peer)
            assert sorted(peers) == sorted([first, second] * 5)
            assert peers[0] != peers[1]
            assert channel.counters.bytes_sent > 0
        with pytest.raises(NotConnected, match=r"is closed"):
            channel.unary_unary(ECHO)(b"")
        with pytest.raises(NotConnected, match=r"is closed"):
            channel.connect()


def test_round_robin_goes_on_with_the_backends_there_are() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nobody = f"127.0.0.1:{probe.getsockname()[1]}"
    with grpcio_server() as first, ExitStack() as stack:
        second = stack.enter_context(grpcio_server())
        with BlockingChannel(f"ipv4:{nobody},{first},{second}", load_balancing="round_robin") as channel:
            echo = channel.unary_unary(ECHO)
            for _ in range(10):
                assert echo(b"on", timeout=10) == b"on"
            stack.close()
            codes = [code_of(lambda: echo(b"on", timeout=10)) for _ in range(20)]
            assert codes.count(0) >= 18
            assert set(codes) <= {0, StatusCode.UNAVAILABLE}  # those under way when the server stopped


def code_of(call: Callable[[], object]) -> int:
    try:
        call()
    except RpcError as error:
        return error.code
    return 0


def test_round_robin_without_any_backend() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nobody = f"127.0.0.1:{probe.getsockname()[1]}"
    with BlockingChannel(f"ipv4:{nobody}", load_balancing="round_robin") as channel:
        echo = channel.unary_unary(ECHO)
        with pytest.raises(RpcError, match=r"UNAVAILABLE: could not connect to 127.0.0.1"):
            echo(b"")
        assert channel.state is ConnectivityState.TRANSIENT_FAILURE
        with pytest.raises(RpcError, match=r"DEADLINE_EXCEEDED: .*last error: could not connect"):
            echo(b"", timeout=0.1, wait_for_ready=True)
        with pytest.raises(ConnectError, match=r"could not connect"):
            channel.connect(timeout=5)
    with BlockingChannel("name.invalid:1", load_balancing="round_robin") as channel:
        with pytest.raises(RpcError, match=r"UNAVAILABLE: no address was found"):
            channel.unary_unary(ECHO)(b"", timeout=10)


def test_round_robin_follows_the_names_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puregrpc.channel.backends.balancing.MIN_RESOLUTION_INTERVAL", 0.0)
    with grpcio_server() as first, ExitStack() as stack:
        second = stack.enter_context(grpcio_server())
        found = [first]

        async def resolve(self: ThreadKernel, host: str, port: int, until: float) -> list[TcpAddress]:
            return [TcpAddress(*split(address)) for address in found]

        monkeypatch.setattr(ThreadKernel, "resolve", resolve)
        with BlockingChannel("name.invalid:1", load_balancing="round_robin") as channel:
            echo = channel.unary_unary(ECHO)
            assert echo(b"first") == b"first"
            found[:] = [second]
            backends: Any = channel._core.balancer
            session = backends.try_pick()
            session.abort("cut by the test")  # a loss has the name looked up again
            deadline = time.monotonic() + 10
            while session_peer(channel) != second and time.monotonic() < deadline:
                time.sleep(0.01)
            assert session_peer(channel) == second
            assert echo(b"second") == b"second"


def split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def session_peer(channel: BlockingChannel) -> str:
    with channel.call("test.Service/Chat", wait_for_ready=True, timeout=10) as call:
        return call.peer


# -- retries


class Failing(ServerCall):
    def __init__(self, session: WireSession, status: Status, trailers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__()
        self.session = session
        self.status = status
        self.trailers = trailers

    def on_message(self, message: bytes) -> None:
        self.session.connection.send_trailers(self, self.status, self.trailers)


def test_a_retry_policy() -> None:
    failures = [Status(StatusCode.UNAVAILABLE, "once"), Status(StatusCode.UNAVAILABLE, "twice")]

    def on_call(session: WireSession, request: Request) -> ServerCall | None:
        return Failing(session, failures.pop(0)) if failures else EchoCall(session)

    def work(address: str) -> None:
        policy = RetryPolicy(max_attempts=3, initial_backoff=0.01)
        with BlockingChannel(address, retry=policy) as channel:
            echo = channel.unary_unary(ECHO)
            assert echo(b"third time") == b"third time"
            failures.extend([Status(StatusCode.UNAVAILABLE, "again")] * 3)
            with pytest.raises(RpcError, match=r"UNAVAILABLE: again"):
                echo(b"")
            failures.append(Status(StatusCode.NOT_FOUND, "not covered"))
            with pytest.raises(RpcError, match=r"NOT_FOUND"):
                echo(b"")
            assert echo.exchange(b"bytes").message == b"bytes"

    requests = in_a_thread(on_call, work)
    attempts = [dict(request.metadata).get("grpc-previous-rpc-attempts") for request in requests]
    assert attempts == [None, "1", "2", None, "1", "2", None, None]


def test_a_call_that_was_not_begun_is_made_once_more_without_a_policy() -> None:
    refusals = [1]

    def on_call(session: WireSession, request: Request) -> ServerCall | None:
        if refusals:
            refusals.pop()
            return None
        return EchoCall(session)

    def work(address: str) -> None:
        with BlockingChannel(address) as channel:
            echo = channel.unary_unary(ECHO)
            assert echo(b"once") == b"once"
            refusals.extend([1, 1])
            with pytest.raises(RpcError, match=r"UNAVAILABLE: .*REFUSED_STREAM"):
                echo(b"twice")

    assert len(in_a_thread(on_call, work)) == 4


def test_a_retry_does_not_outlive_the_deadline() -> None:
    def on_call(session: WireSession, request: Request) -> ServerCall | None:
        return Failing(session, Status(StatusCode.UNAVAILABLE, "no"), (("grpc-retry-pushback-ms", "60000"),))

    def work(address: str) -> None:
        with BlockingChannel(address, retry=RetryPolicy()) as channel:
            with pytest.raises(RpcError, match=r"UNAVAILABLE: no"):
                channel.unary_unary(ECHO)(b"", timeout=5)

    assert len(in_a_thread(on_call, work)) == 1


class Gathering(ServerCall):
    """Fails with the first of ``statuses`` after ``after`` messages, or answers with all that it was sent."""

    def __init__(self, session: WireSession, statuses: list[Status], after: int) -> None:
        super().__init__()
        self.session = session
        self.status = statuses.pop(0) if statuses else None
        self.after = after
        self.received: list[bytes] = []

    def on_message(self, message: bytes) -> None:
        self.received.append(message)
        if self.status is not None and len(self.received) == self.after:
            self.session.connection.send_trailers(self, self.status)

    def on_half_close(self) -> None:
        if self.status is None:
            self.session.connection.send_response(self, b"".join(self.received))


UNAVAILABLE = Status(StatusCode.UNAVAILABLE, "busy")


def test_a_retry_policy_covers_streams() -> None:
    statuses: list[Status] = []

    def on_call(session: WireSession, request: Request) -> ServerCall | None:
        return Gathering(session, statuses, 2)

    def work(address: str) -> None:
        policy = RetryPolicy(max_attempts=3, initial_backoff=0.01, max_backoff=0.02)
        with BlockingChannel(address, retry=policy) as channel:
            statuses[:] = [UNAVAILABLE] * 2
            with channel.call(ECHO) as call:
                for part in (b"a", b"b", b"c"):
                    call.send(part)
                    time.sleep(0.05)  # the failure is here before the last one is sent
                call.half_close()
                assert call.single_response().message == b"abc"
            statuses[:] = [UNAVAILABLE]
            with channel.stream_stream(ECHO)([b"a", b"b", b"c"]) as fed:
                assert list(fed) == [b"abc"]
            statuses[:] = [UNAVAILABLE] * 3
            with channel.stream_stream(ECHO)([b"a", b"b", b"c"]) as fed:
                with pytest.raises(RpcError, match=r"UNAVAILABLE: busy"):
                    fed.receive()
            statuses[:] = [UNAVAILABLE]
            with channel.call(ECHO) as call:
                call.send(bytes(200 << 10))
                call.send(bytes(100 << 10))  # more than is kept to be sent again
                with pytest.raises(RpcError, match=r"UNAVAILABLE: busy"):
                    call.headers()

    requests = in_a_thread(on_call, work)
    attempts = [dict(request.metadata).get("grpc-previous-rpc-attempts") for request in requests]
    assert attempts == [None, "1", "2", None, "1", None, "1", "2", None]


def test_a_stream_that_was_not_begun_is_opened_once_more() -> None:
    refusals = [1]

    def on_call(session: WireSession, request: Request) -> ServerCall | None:
        if refusals:
            refusals.pop()
            return None
        return Gathering(session, [], 0)

    def work(address: str) -> None:
        with BlockingChannel(address) as channel:
            with channel.stream_stream(ECHO)([b"a", b"b"]) as call:
                assert list(call) == [b"ab"]
            refusals.extend([1, 1])
            with channel.stream_stream(ECHO)([b"a", b"b"]) as call:
                with pytest.raises(RpcError, match=r"UNAVAILABLE: .*REFUSED_STREAM"):
                    call.receive()

    assert len(in_a_thread(on_call, work)) == 4


def test_a_stream_can_be_cancelled_between_two_attempts() -> None:
    def on_call(session: WireSession, request: Request) -> ServerCall | None:
        return Gathering(session, [UNAVAILABLE], 1)

    def work(address: str) -> None:
        policy = RetryPolicy(initial_backoff=60.0, max_backoff=60.0)
        with BlockingChannel(address, retry=policy) as channel:
            with channel.call(ECHO) as call:
                cancelling = threading.Timer(0.3, call.cancel)
                cancelling.start()
                with pytest.raises(RpcError, match=r"CANCELLED"):
                    call.send(b"a")  # waits as well if the first attempt has ended already
                    call.receive()
                cancelling.join()
            assert call.is_over

    assert len(in_a_thread(on_call, work)) == 1


def test_an_attempt_without_a_connection_ends_the_stream() -> None:
    def on_call(session: WireSession, request: Request) -> ServerCall | None:
        return Gathering(session, [UNAVAILABLE], 1)

    def work(address: str) -> None:
        channel = BlockingChannel(address, retry=RetryPolicy(initial_backoff=1.0, max_backoff=1.0))
        with channel.call(ECHO) as call:
            closing = threading.Timer(0.3, channel.close)
            closing.start()
            with pytest.raises((RpcError, NotConnected)):
                call.send(b"a")  # waits as well if the first attempt has ended already
                call.receive()
            assert call.is_over
            closing.join()

    assert len(in_a_thread(on_call, work)) == 1
