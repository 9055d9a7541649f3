"""The blocking channel against a grpcio server: shapes, threads, deadlines, interrupts, lost connections."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, SimpleNamespace

import pytest
import trustme

from puregrpc.channel import BlockingChannel, ConnectivityState
from puregrpc.channel.calls.unary import UnaryCall
from puregrpc.errors import ConnectError, LocalProtocolError, NotConnected, RpcError
from puregrpc.kernel.process import THIS_PROCESS
from puregrpc.kernel.threads.kernel import Attached, ThreadKernel
from puregrpc.testing import FrameFactory, message
from puregrpc.testing.frames import parse_frame
from puregrpc.transport import TlsOptions
from puregrpc.wire.status import Status
from tests.channel.grpcio_server import grpcio_server
from tests.channel.test_security import server_credentials
from tests.interrupts import interrupted

pytestmark = pytest.mark.worlds("threads")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.enumerate()
    yield
    assert not [
        thread for thread in threading.enumerate() if thread.name.startswith("puregrpc") and thread not in before
    ]


@pytest.fixture
def channel(server: str) -> Iterator[BlockingChannel]:
    with BlockingChannel(server, max_receive_message_size=20 << 20) as channel:
        yield channel


def test_unary(channel: BlockingChannel) -> None:
    echo = channel.unary_unary("test.Service/Echo")
    states = [channel.state]
    assert echo(b"hello") == b"hello"
    assert [*states, channel.state] == [ConnectivityState.IDLE, ConnectivityState.READY]
    result = channel.unary_unary("test.Service/MetadataBack").with_call(b"", metadata={"x-a": "1"}, timeout=5)
    assert ("x-a", "1") in result.headers
    assert ("x-last", "2") in result.trailers
    assert channel.unary_unary("test.Service/Echo", str.encode, bytes.decode)("grüß") == "grüß"
    with pytest.raises(RpcError, match=r"NOT_FOUND: näht 100% da\n") as caught:
        channel.unary_unary("test.Service/Fail")(b"")
    assert caught.value.details_bin == b"\x08\x05details"
    assert echo(bytes(100_000), compression="gzip") == bytes(100_000)


def test_a_call_is_over_for_other_threads_when_all_is_known_of_its_end() -> None:
    class Watched(UnaryCall):
        def __setattr__(self, name: str, value: object) -> None:
            set_before.append(name)
            super().__setattr__(name, value)

    set_before: list[str] = []
    call = Watched(SimpleNamespace(over=lambda _call: None))  # type: ignore[arg-type]  # all that it needs
    set_before.clear()
    call.on_end(Status(0), (), unprocessed=False)
    assert set_before[-1] == "ended"
    assert {"status", "trailers", "unprocessed"} < set(set_before)


def test_large_messages_that_the_socket_does_not_take_at_once(channel: BlockingChannel) -> None:
    payload = bytes(range(256)) * 40_000
    assert channel.unary_unary("test.Service/Echo")(payload) == payload
    with channel.stream_stream("test.Service/Collect")() as call:
        for _ in range(100):
            call.send(payload[:500_000])
        call.half_close()
        assert call.single_response().message == b"100 50000000"


def test_streams(channel: BlockingChannel) -> None:
    with channel.call("test.Service/Count") as call:
        call.send(b"1000")
        call.half_close()
        assert [int(message) for message in call] == list(range(1000))
        assert call.status.code == 0
        assert call.receive() is None
    with channel.stream_stream("test.Service/Chat", str.encode, bytes.decode)() as chat:
        for word in ("ping", "pong"):
            chat.send(word)
            assert chat.receive() == word.upper()
        with pytest.raises(LocalProtocolError, match=r"before its end"):
            _ = chat.status
        assert ("content-type", "application/grpc") in chat.headers()
        chat.half_close()
        with pytest.raises(LocalProtocolError, match=r"after half_close"):
            chat.send("more")
        assert chat.receive() is None
        assert chat.trailers == ()
    with channel.stream_stream("test.Service/Chat")([b"a", b"b"]) as fed:
        assert list(fed) == [b"A", b"B"]
    with channel.stream_stream("test.Service/Chat")([b"a", b"fail", b"b"]) as fed:
        assert fed.receive() == b"A"
        with pytest.raises(RpcError, match=r"ABORTED"):
            fed.receive()
    with channel.call("test.Service/Count") as call:
        call.send(b"20 300000")
        call.half_close()
        assert [len(message) for message in call] == [300_000] * 20


def test_what_an_iterable_raises_comes_out_of_the_call(channel: BlockingChannel) -> None:
    def broken() -> Iterator[bytes]:
        yield b"a"
        raise KeyError("iterable")

    with pytest.raises((KeyError, RpcError)), channel.stream_stream("test.Service/Chat")(broken()) as call:
        for _ in call:
            pass
    assert channel.unary_unary("test.Service/Echo")(b"fine") == b"fine"


def test_deadlines_and_cancelling(channel: BlockingChannel) -> None:
    sleep = channel.unary_unary("test.Service/Sleep")
    began = time.monotonic()
    with pytest.raises(RpcError, match=r"DEADLINE_EXCEEDED"):
        sleep(b"5", timeout=0.1)
    assert 0.09 <= time.monotonic() - began < 4.5
    with pytest.raises(RpcError, match=r"DEADLINE_EXCEEDED"):
        sleep(b"0", timeout=0)
    with channel.stream_stream("test.Service/Chat")(timeout=0.1) as chat:
        chat.send(b"x")
        assert chat.receive() == b"X"
        with pytest.raises(RpcError, match=r"DEADLINE_EXCEEDED"):
            chat.receive()
    with channel.stream_stream("test.Service/Collect")(timeout=0.2) as stalled:
        with pytest.raises(RpcError, match=r"DEADLINE_EXCEEDED"):
            stalled.single_response()
    with channel.call("test.Service/Forever") as forever:
        forever.send(b"")
        forever.half_close()
        forever.receive()
    assert forever.status.code == 1
    with channel.call("test.Service/Chat") as cancelled:
        cancelled.cancel()
        with pytest.raises(RpcError, match=r"CANCELLED"):
            cancelled.receive()
        with pytest.raises(RpcError, match=r"CANCELLED"):
            cancelled.send(b"")
    assert sleep(b"0", timeout=5) == b"0"


def test_an_interrupt_cancels_the_call_and_leaves_the_channel_usable(channel: BlockingChannel) -> None:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        channel.connect()
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            channel.unary_unary("test.Service/Sleep")(b"5")
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt), channel.call("test.Service/Chat") as call:
            call.receive()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert channel.unary_unary("test.Service/Echo")(b"usable") == b"usable"
    session = channel._core.try_pick()
    assert session is not None
    assert session.connection.open_calls == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_interrupts_at_any_time_leave_the_channel_usable(channel: BlockingChannel) -> None:
    def use() -> None:
        echo(b"a", timeout=10)
        with channel.stream_stream("test.Service/Chat")(timeout=10) as chat:
            chat.send(b"x")
            chat.receive()

    def check() -> None:
        assert echo(b"usable", timeout=10, wait_for_ready=True) == b"usable"

    echo = channel.unary_unary("test.Service/Echo")
    echo(b"")
    assert interrupted(use, check, rounds=60, first=0.001, further=0.00007) > 40


def test_many_threads_share_a_connection(channel: BlockingChannel) -> None:
    failures: list[object] = []

    def work(number: int) -> None:
        echo = channel.unary_unary("test.Service/Echo")
        for n in range(50):
            message = b"%d %d" % (number, n) * (200 if n % 10 == 0 else 1)
            if echo(message, timeout=20) != message:
                failures.append((number, n))
        with channel.stream_stream("test.Service/Chat")([b"a"] * 20) as chat:
            if list(chat) != [b"A"] * 20:
                failures.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    session = channel._core.try_pick()
    assert session is not None
    assert session.connection.open_calls == 0


def test_tls(server: str) -> None:
    authority = trustme.CA()
    with grpcio_server("127.0.0.1:0", server_credentials(authority)) as address:
        target = f"localhost:{address.split(':')[1]}"
        options = TlsOptions(root_certificates=authority.cert_pem.bytes())
        with BlockingChannel(target, tls=options) as channel:
            payload = bytes(3_000_000)
            assert channel.unary_unary("test.Service/Echo")(payload) == payload
            with channel.stream_stream("test.Service/Chat")([b"a"] * 100) as chat:
                assert list(chat) == [b"A"] * 100
        with BlockingChannel(target, tls=True) as channel:
            with pytest.raises(ConnectError, match=r"certificate is not trusted"):
                channel.connect()
        with BlockingChannel(target) as channel, pytest.raises(ConnectError, match=target.split(":")[1]):
            channel.connect()
    with BlockingChannel(server, tls=True) as channel, pytest.raises(ConnectError, match=r"handshake"):
        channel.connect()


@contextmanager
def listening() -> Iterator[tuple[socket.socket, str]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener, f"127.0.0.1:{listener.getsockname()[1]}"


def test_servers_that_are_none() -> None:
    with listening() as (listener, address):
        with BlockingChannel(address, connect_timeout=0.2) as channel:
            with pytest.raises(ConnectError, match=r"sent no HTTP/2 SETTINGS frame within"):
                channel.connect()
            with pytest.raises(RpcError, match=r"UNAVAILABLE: .*no HTTP/2 SETTINGS"):
                channel.unary_unary("a/b")(b"")
        with BlockingChannel(address, tls=True, connect_timeout=0.2) as channel:
            with pytest.raises(ConnectError, match=r"handshake"):
                channel.connect()

        def refuse() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(100)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                sock.recv(1000)

        while True:  # those that were never accepted
            listener.settimeout(0.05)
            try:
                listener.accept()[0].close()
            except TimeoutError:
                break
        listener.settimeout(5)
        thread = threading.Thread(target=refuse)
        thread.start()
        with BlockingChannel(address) as channel:
            with pytest.raises(ConnectError, match=rf"{address}: the peer speaks HTTP/1.1"):
                channel.connect()
        thread.join()
    with BlockingChannel(address) as channel:
        with pytest.raises(RpcError, match=rf"UNAVAILABLE: could not connect to {address}: Connection refused"):
            channel.unary_unary("a/b")(b"")
        assert channel.state is ConnectivityState.TRANSIENT_FAILURE
        with pytest.raises(RpcError, match=r"UNAVAILABLE: could not connect"):
            channel.unary_unary("a/b")(b"")
        with pytest.raises(RpcError, match=r"DEADLINE_EXCEEDED: .*waiting for a connection .*refused"):
            channel.unary_unary("a/b")(b"", wait_for_ready=True, timeout=0.1)
    with BlockingChannel("nowhere.invalid:1") as channel:
        with pytest.raises(ConnectError, match=r"no address was found for the host"):
            channel.connect()


def test_a_lost_connection_is_made_anew_and_a_restarted_server_is_found() -> None:
    context = grpcio_server()
    address = context.__enter__()
    with BlockingChannel(f"ipv4:127.0.0.1:1,{address}") as channel:
        echo = channel.unary_unary("test.Service/Echo")
        assert echo(b"one") == b"one"
        session = channel._core.try_pick()
        assert session is not None
        with channel.call("test.Service/Chat") as call:
            session.abort("cut by the test")
            with pytest.raises(RpcError, match=r"UNAVAILABLE: .*cut by the test"):
                call.receive()
        assert echo(b"two") == b"two"
        context.__exit__(None, None, None)
        with pytest.raises(RpcError, match=r"UNAVAILABLE"):
            echo(b"three")
        with grpcio_server(address):
            channel.connect()
            assert echo(b"four") == b"four"
            assert echo(b"five", wait_for_ready=True, timeout=5) == b"five"


def test_wait_for_ready_waits() -> None:
    with listening() as (_, address):
        pass
    results: list[bytes] = []
    with BlockingChannel(address, wait_for_ready=True) as channel:
        thread = threading.Thread(
            target=lambda: results.append(channel.unary_unary("test.Service/Echo")(b"late", timeout=10))
        )
        thread.start()
        time.sleep(0.1)
        with grpcio_server(address):
            thread.join()
    assert results == [b"late"]


def test_a_closed_channel_and_options_that_cannot_be(server: str) -> None:
    channel = BlockingChannel(server)
    echo = channel.unary_unary("test.Service/Echo")
    echo(b"")
    channel.close()
    channel.close()
    assert channel.state is ConnectivityState.SHUTDOWN
    with pytest.raises(NotConnected, match=r"is closed"):
        echo(b"")
    with pytest.raises(NotConnected, match=r"is closed"):
        channel.connect()


def test_closing_ends_calls_of_other_threads(server: str) -> None:
    errors: list[RpcError] = []
    channel = BlockingChannel(server)
    channel.connect()

    def work() -> None:
        try:
            channel.unary_unary("test.Service/Sleep")(b"5")
        except RpcError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.1)
    channel.close()
    thread.join(5)
    assert [error.code for error in errors] == [14]


def test_closing_while_a_connection_is_being_made_logs_nothing(
    server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connected, closed = threading.Event(), threading.Event()
    attach, end = ThreadKernel.attach, ThreadKernel._end

    def attach_late(self: ThreadKernel, attached: Attached) -> None:
        connected.set()
        assert closed.wait(10)
        attach(self, attached)

    def end_and_tell(self: ThreadKernel) -> None:
        end(self)
        closed.set()

    monkeypatch.setattr(ThreadKernel, "attach", attach_late)
    monkeypatch.setattr(ThreadKernel, "_end", end_and_tell)
    monkeypatch.setattr("puregrpc.channel.core.CLOSE_TIMEOUT", 0.1)
    channel = BlockingChannel(server)
    errors: list[Exception] = []

    def call() -> None:
        try:
            channel.unary_unary("test.Service/Echo")(b"", timeout=10)
        except NotConnected as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    assert connected.wait(10)
    channel.close()
    thread.join(10)
    assert len(errors) == 1
    assert caplog.records == []


def test_a_child_process_is_told_that_the_channel_is_its_parents(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with BlockingChannel(server) as channel:
        echo = channel.unary_unary("test.Service/Echo")
        echo(b"")
        assert THIS_PROCESS.id == os.getpid()
        with monkeypatch.context() as child:  # forking with threads would warn
            child.setattr(THIS_PROCESS, "id", THIS_PROCESS.id + 1)
            with pytest.raises(NotConnected, match=r"open one after fork"):
                echo(b"")
        assert echo(b"untouched") == b"untouched"


def test_keepalive_pings_are_sent_by_the_reader(server: str) -> None:
    with BlockingChannel(server, keepalive_time=0.05, keepalive_without_calls=True) as channel:
        with pytest.raises(RpcError, match=r"(?i)too many pings"):  # grpcio's server takes one in five minutes
            channel.unary_unary("test.Service/Sleep")(b"2")


class PingingServer(threading.Thread):
    """Answers each call, and sends a PING in one piece with the answer; notes when what came from the client."""

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(daemon=True)
        self.listener = listener
        self.acknowledged: list[float] = []
        self.arrivals: list[list[str]] = []
        """The frames of each read, by name."""

    def run(self) -> None:
        factory = FrameFactory()
        peer, _ = self.listener.accept()
        with peer:
            peer.sendall(factory.settings())
            waiting = b""
            preface = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            while chunk := peer.recv(65536):
                waiting += chunk
                waiting, preface = (waiting[preface:], 0) if len(waiting) >= preface else (waiting, preface)
                names: list[str] = []
                self.arrivals.append(names)
                while not preface and (parsed := parse_frame(waiting)) is not None:
                    frame, size = parsed
                    waiting = waiting[size:]
                    names.append(type(frame).__name__)
                    if names[-1] == "PingFrame":
                        self.acknowledged.append(time.monotonic())
                    if "END_STREAM" in frame.flags:
                        number = frame.stream_id
                        answer = factory.response(number) + factory.data(number, message(b"reply"))
                        peer.sendall(answer + factory.trailers(number) + factory.ping(b"%08d" % number))


@pytest.fixture
def pinging() -> Iterator[tuple[PingingServer, str]]:
    with listening() as (listener, address):
        server = PingingServer(listener)
        server.start()
        yield server, address
        server.join(10)
        assert not server.is_alive()


def test_a_ping_that_comes_with_the_answer_is_acknowledged_with_the_next_call(
    pinging: tuple[PingingServer, str],
) -> None:
    server, address = pinging
    with BlockingChannel(address) as channel:
        method = channel.unary_unary("test.Service/Echo")
        for _ in range(300):
            assert method(b"", timeout=30) == b"reply"
        calls = [names for names in server.arrivals if "HeadersFrame" in names]
        assert len(calls) == 300
        assert sum("PingFrame" in names for names in calls) > 30  # all but those whose answer the reader read


def test_a_ping_that_comes_with_the_last_answer_is_acknowledged_soon(pinging: tuple[PingingServer, str]) -> None:
    server, address = pinging
    with BlockingChannel(address) as channel:
        method = channel.unary_unary("test.Service/Echo")
        for pause in (0.2, 0.0, 0.0):
            assert method(b"") == b"reply"
            time.sleep(pause)
        over = time.monotonic()
        while len(server.acknowledged) < 3:
            assert time.monotonic() < over + 20
            time.sleep(0.001)
        assert server.acknowledged[-1] - over < 5


@pytest.mark.slow
@pytest.mark.parametrize("traffic", [False, True])
def test_the_reader_sees_to_deadlines_that_are_far(channel: BlockingChannel, traffic: bool) -> None:
    took: list[float] = []

    def late(seconds: float) -> None:
        began = time.monotonic()
        with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
            channel.unary_unary("test.Service/Sleep")(b"30", timeout=seconds)
        took.append(time.monotonic() - began - seconds)

    def receive() -> None:
        with channel.call("test.Service/Forever") as call:
            call.send(b"")
            call.half_close()
            while len(took) < len(threads):
                call.receive()

    threads = [threading.Thread(target=late, args=(seconds,)) for seconds in (2.2, 2.2, 3.1, 0.4)]
    for thread in threads:
        thread.start()
    if traffic:
        receive()
    for thread in threads:
        thread.join(30)
    assert len(took) == len(threads)
    assert max(took) < 5
    assert channel.unary_unary("test.Service/Echo")(b"again") == b"again"


@pytest.mark.slow
def test_a_lone_caller_waits_longer_than_one_read_and_no_longer_than_its_deadline(channel: BlockingChannel) -> None:
    sleep = channel.unary_unary("test.Service/Sleep")
    sleep(b"0")
    time.sleep(0.1)  # the reader leaves reading to lone callers
    assert sleep(b"1.3", timeout=30) == b"1.3"
    began = time.monotonic()
    with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
        sleep(b"30", timeout=1.2)
    assert 1.1 < time.monotonic() - began < 10
