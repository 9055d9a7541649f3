"""The session of threads: who reads and who writes, and what becomes of calls when threads are interrupted."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from math import inf
from types import FrameType
from typing import Any

import pytest
import trustme

from puregrpc.errors import ConnectError, InvalidArgument, LocalProtocolError
from puregrpc.kernel.threads.trampoline import ThreadWaiter
from puregrpc.transport.thread_session import session as module
from puregrpc.transport.thread_session import writing as writing_module
from puregrpc.transport.thread_session.writing import Writing
from puregrpc.transport.tls import TlsOptions
from puregrpc.wire.connection import Request
from puregrpc.wire.status import StatusCode
from tests.transport.threads import (
    CHAT,
    ECHO,
    NEVER,
    SLEEP,
    Client,
    Handle,
    Server,
    Stream,
    Unary,
    calling,
    puregrpc_threads,
    serving,
)

SOON = 5.0
"""What should take no time takes less than so many seconds, however busy the machine is."""


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = puregrpc_threads()
    yield
    assert puregrpc_threads() == before


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(params=["fast", "h2"])
def client(server: Server, request: pytest.FixtureRequest) -> Iterator[Client]:
    with calling(server, engine=request.param) as client:
        yield client


@pytest.fixture
def alarm() -> Iterator[Callable[[float], object]]:
    """Raises KeyboardInterrupt in this thread after so many seconds."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    yield partial(signal.setitimer, signal.ITIMER_REAL)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def eventually(condition: Callable[[], object], seconds: float = SOON) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.002)
    return bool(condition())


def lead(client: Client) -> None:
    """Have the reader leave reading to callers: a call comes so soon behind another one."""
    reading = client.session.reading
    for _ in range(500):
        client.call()
        if reading.is_parked:
            return
    raise AssertionError("the reader never leaves reading to callers")


def begin(client: Client, request: Request = ECHO) -> Unary:
    """Begin a call for which nobody waits."""
    session = client.session
    call = Unary(session)
    call.waiter = ThreadWaiter()
    session.begin_exchange(call, request, None, b"hello", time.monotonic())
    return call


# -- calls


def test_calls_of_all_kinds(client: Client, server: Server) -> None:
    assert client.call(b"a").message == b"a"
    assert client.kernel.run(client.call_awaited(b"b")).message == b"b"
    assert client.kernel.start(client.call_awaited(b"c")).result(SOON).message == b"c"
    with Handle(client) as stream:
        for message in (b"d", b"e"):
            stream.send(message)
            assert client.kernel.run(stream.receive()) == message
        client.session.locked(client.session.connection.half_close, stream)
        client.session.push()
        assert client.kernel.run(stream.receive()) is None
        assert stream.status is not None
        assert stream.status.code == 0
    session = client.session
    assert session.bytes_sent == server.sessions[0].bytes_received
    assert not session.calls


@pytest.fixture
def burst(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """Calls are as of one burst, however long they take to begin. Gives what threads were called for, and do not do."""
    client.call()
    monkeypatch.setattr(module, "BURST", inf)
    called: list[Callable[[], object]] = []
    monkeypatch.setattr(client.kernel, "submit", lambda function, _name: called.append(function))
    return called


def test_a_burst_of_begun_calls_is_sent_together(
    client: Client, server: Server, burst: list[Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(server.calls)
    writing = client.session.writing
    sent: list[object] = []
    send = writing.send

    def note(pieces: Any) -> None:
        sent.append(pieces)
        send(pieces)

    monkeypatch.setattr(writing, "send", note)
    calls = [begin(client, NEVER) for _ in range(writing_module.FEW_CALLS)]
    assert len(sent) == len(calls)
    calls += [begin(client, NEVER) for _ in range(2 * writing_module.MOST_TOGETHER + 1)]
    assert len(burst) == 1
    assert len(sent) < len(calls) / 2
    assert eventually(lambda: len(server.calls) - before >= len(calls) - 1), "they wait for each other, not for long"
    burst.pop()()
    assert eventually(lambda: len(server.calls) - before == len(calls))
    for call in calls:
        client.session.reset(call)


def test_whoever_waits_sends_what_was_put_off(
    client: Client, server: Server, burst: list[Callable[[], object]]
) -> None:
    before = len(server.calls)
    never = [begin(client, NEVER) for _ in range(writing_module.FEW_CALLS)]
    calls = [begin(client) for _ in range(4)]
    assert len(burst) == 1
    client.session.read_for_begun(calls[-1], time.monotonic())
    assert eventually(lambda: all(call.ended for call in calls))
    never += [begin(client, NEVER) for _ in range(6)]
    assert client.call().message == b"hello"
    assert eventually(lambda: len(server.calls) - before == len(never) + len(calls) + 1)
    for call in never:
        client.session.reset(call)


def test_a_burst_is_sent_where_no_thread_can_be_started(
    client: Client, server: Server, burst: list[Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(client.kernel, "submit", fail)
    before = len(server.calls)
    calls = [begin(client, NEVER) for _ in range(6)]
    assert eventually(lambda: len(server.calls) - before == len(calls))
    for call in calls:
        client.session.reset(call)


def test_a_burst_goes_on_when_whoever_calls_a_thread_is_interrupted(
    client: Client, server: Server, burst: list[Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    calls = [begin(client, NEVER) for _ in range(writing_module.FEW_CALLS)]
    with monkeypatch.context() as patch:
        patch.setattr(client.kernel, "submit", interrupt)
        with pytest.raises(KeyboardInterrupt):
            begin(client, NEVER)
    calls += [begin(client, NEVER) for _ in range(2)]
    assert len(burst) == 1, "a thread is called anew"
    burst.pop()()
    assert eventually(lambda: {call.request.path for call in server.calls[-len(calls) :]} == {NEVER.path})
    for call in calls:
        client.session.reset(call)


@pytest.fixture
def many_come(client: Client, monkeypatch: pytest.MonkeyPatch) -> Writing:
    """Callers are about to go on, and what is left to them is for nobody else, however long that takes."""

    def not_by_the_reader(session: Any) -> None:
        if session is not client.session or threading.get_ident() != session.reading.thread:
            push(session)

    push = module.ThreadSession.push
    client.call()
    monkeypatch.setattr(module.ThreadSession, "push", not_by_the_reader)
    monkeypatch.setattr(writing_module, "LEFT_FOR", inf)
    monkeypatch.setattr(module, "LONGEST_LEFT", inf)
    writing = client.session.writing
    writing.coming = 100
    return writing


def calling_beside(client: Client, number: int, answers: list[bytes | None]) -> list[threading.Thread]:
    """Threads that call; their requests have been made, and are sent or not."""
    before = len(client.session.calls)
    threads = [threading.Thread(target=lambda: answers.append(client.call().message)) for _ in range(number)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: len(client.session.calls) == before + number)
    return threads


def test_callers_that_go_on_together_send_together(client: Client, server: Server, many_come: Writing) -> None:
    before, sent, answers = len(server.calls), client.session.bytes_sent, list[bytes | None]()
    threads = calling_beside(client, writing_module.MOST_TOGETHER - 1, answers)
    assert len(server.calls) == before
    assert client.session.bytes_sent == sent
    assert client.call().message == b"hello"
    for thread in threads:
        thread.join(SOON)
    assert answers == [b"hello"] * len(threads)


def test_the_last_caller_to_go_on_sends_what_others_left(client: Client, many_come: Writing) -> None:
    def work(calls: int) -> None:
        answers.extend([client.call().message for _ in range(calls)])

    many_come.coming = 0
    answers: list[bytes | None] = []
    threads = [threading.Thread(target=work, args=(calls,)) for calls in range(1, 61, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [b"hello"] * sum(range(1, 61, 3))


def test_what_is_left_to_callers_that_do_not_go_on_is_sent(
    client: Client, many_come: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_LEFT", 0.01)
    assert client.call().message == b"hello"
    assert many_come.coming == 0


def test_what_is_left_is_sent_when_a_caller_is_interrupted(
    client: Client, many_come: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object) -> bool:
        raise KeyboardInterrupt

    answers: list[bytes | None] = []
    (thread,) = calling_beside(client, 1, answers)
    time.sleep(0.05)  # until it sleeps
    monkeypatch.setattr(writing_module.Caller, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        client.call()
    thread.join(SOON)
    assert answers == [b"hello"]


def test_a_lone_caller_reads_and_otherwise_the_reader_does(client: Client) -> None:
    lead(client)
    assert client.call().ended_in == threading.get_ident()
    with Handle(client) as stream:
        stream.send(b"a")
        assert client.call().ended_in == client.session.reading.thread
        assert client.kernel.run(stream.receive()) == b"a"
    lead(client)
    assert client.kernel.run(client.call_awaited()).ended_in == threading.get_ident()
    assert client.kernel.start(client.call_awaited()).result(SOON).ended_in == client.session.reading.thread


def test_many_threads_share_a_connection(client: Client, server: Server) -> None:
    def work(number: int) -> None:
        for n in range(40):
            message = b"%d %d" % (number, n) * (3000 if n % 20 == 0 else 1)
            if client.call(message).message != message:
                failures.append((number, n))

    failures: list[tuple[int, int]] = []
    client.call()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert len(server.sessions) == 1
    assert not client.session.calls


def test_what_the_socket_does_not_take_is_left_to_another_thread(client: Client) -> None:
    def call() -> None:
        answers.append(client.call(large).message == large)

    large = os.urandom(3_000_000)
    answers: list[bool] = []
    client.call()
    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [True] * 4
    assert eventually(lambda: not [name for name in puregrpc_threads() if "writer" in name])
    assert eventually(lambda: not client.session.writing.sender)


def test_where_no_thread_can_be_started_the_caller_waits_itself(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_function: object, _name: str) -> None:
        raise RuntimeError("can't start new thread")

    client.call()
    monkeypatch.setattr(client.kernel, "submit", refuse)
    large = os.urandom(3_000_000)
    assert client.call(large).message == large
    monkeypatch.undo()
    other = Client(client._server)
    monkeypatch.setattr(other.kernel, "submit", refuse)
    with pytest.raises(ConnectError, match="can't start new thread"):
        other.call()
    monkeypatch.undo()
    other.kernel.run(other.kernel.close())


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_tls(version: str) -> None:
    import ssl

    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    options = TlsOptions(
        certificate_chain=certificate.cert_chain_pems[0].bytes(), private_key=certificate.private_key_pem.bytes()
    )
    context = TlsOptions(root_certificates=authority.cert_pem.bytes()).client_context()
    context.maximum_version = ssl.TLSVersion[version]
    with serving(options) as server, calling(server, context=context) as client:
        lead(client)
        assert client.call().ended_in == threading.get_ident()
        test_many_threads_share_a_connection(client, server)
        test_what_the_socket_does_not_take_is_left_to_another_thread(client)
        tls = client.session.stream.tls
        assert tls is not None
        assert tls.version == version.replace("_", ".")


# -- time


@pytest.mark.parametrize("way", ["alone", "beside a stream", "awaited", "parked", "stream"])
def test_deadlines_that_are_near(client: Client, server: Server, way: str) -> None:
    lead(client)
    began = time.monotonic()
    call: Unary | Stream
    if way == "stream":
        call = Stream(client.session, began + 0.2).open()
        assert client.kernel.run(call.receive()) is None
    elif way == "parked":
        call = client.kernel.start(client.call_awaited(b"", NEVER, 0.2)).result(SOON)
    elif way == "awaited":
        call = client.kernel.run(client.call_awaited(b"", NEVER, 0.2))
    elif way == "alone":
        call = client.call(b"", NEVER, 0.2)
    else:
        with Handle(client):
            call = client.call(b"", NEVER, 0.2)
    assert call.status is not None
    assert call.status.code == StatusCode.DEADLINE_EXCEEDED
    assert 0.2 <= time.monotonic() - began < SOON
    assert eventually(lambda: server.calls[-1].status is not None)


def test_a_deadline_that_is_far_is_for_the_reader(client: Client) -> None:
    with Handle(client):
        began = time.monotonic()
        call = client.call(b"", NEVER, 2.3)
    assert call.status is not None
    assert call.status.code == StatusCode.DEADLINE_EXCEEDED
    assert call.ended_in == client.session.reading.thread
    assert 2.3 <= time.monotonic() - began < 2.3 + SOON


def test_many_calls_without_a_thread_of_their_own(client: Client) -> None:
    client.call()
    before = len(puregrpc_threads())
    began = time.monotonic()
    answered = [client.kernel.start(client.call_awaited(b"0.3", SLEEP)) for _ in range(50)]
    late = [client.kernel.start(client.call_awaited(b"", NEVER, 0.3)) for _ in range(50)]
    assert len(puregrpc_threads()) <= before + 3  # the timers of both kernels, and one that sends for all
    assert all(future.result(SOON).message == b"0.3" for future in answered)
    assert all(future.result(SOON).message is None for future in late)
    assert time.monotonic() - began < SOON


def test_a_session_without_leading_keeps_the_time_of_keepalive(server: Server) -> None:
    with calling(server, keepalive=True) as client:
        for _ in range(50):
            client.call()
        assert client.call().ended_in == client.session.reading.thread


# -- one thread is in the middle of something, and a handler or a finalizer of its own makes calls


def nested_unary(client: Client) -> bytes | None:
    return client.call(b"nested").message


def nested_awaited(client: Client) -> bytes | None:
    return client.kernel.run(client.call_awaited(b"nested")).message


def nested_stream(client: Client) -> bytes | None:
    with Handle(client) as stream:
        stream.send(b"nested")
        return client.kernel.run(stream.receive())


NESTED = pytest.mark.parametrize("nested", [nested_unary, nested_awaited, nested_stream])


class Once:
    """Puts something in front of a function, once, in one thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, first: Callable[[], object]) -> None:
        self.outcome: object = None
        self._first = first
        self._original = getattr(owner, name)
        self._is_over = False
        self.thread = threading.get_ident()
        monkeypatch.setattr(owner, name, self)

    def __get__(self, instance: object, owner: object = None) -> Callable[..., object]:
        return partial(self, instance)

    def __call__(self, *arguments: Any, **keywords: Any) -> object:
        if not self._is_over and threading.get_ident() == self.thread:
            self._is_over = True
            try:
                self.outcome = self._first()
            except LocalProtocolError as error:
                self.outcome = str(error)
        return self._original(*arguments, **keywords)


@NESTED
def test_nested_while_it_waits_for_others_to_read(
    client: Client, nested: Callable[[Client], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Handle(client):
        once = Once(monkeypatch, ThreadWaiter, "sleep", lambda: nested(client))
        assert client.call(b"0.1", SLEEP).message == b"0.1"
    assert once.outcome == b"nested"


@NESTED
@pytest.mark.parametrize("name", ["wait_readable", "receive_nowait"])
def test_nested_while_it_leads(
    client: Client, nested: Callable[[Client], object], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(client)
    once = Once(monkeypatch, client.session._endpoint, name, lambda: nested(client))
    began = time.monotonic()
    assert client.call(b"outer").message == b"outer"
    assert time.monotonic() - began < SOON
    if name == "wait_readable":
        assert once.outcome == b"nested"
    else:
        assert "used the channel" in str(once.outcome)
    lead(client)
    assert client.call(b"after").message == b"after"


@NESTED
@pytest.mark.parametrize("alone", [True, False])
def test_nested_while_it_sends(
    client: Client, nested: Callable[[Client], object], alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(client)
    beside = None if alone else Stream(client.session).open()
    once = Once(monkeypatch, client.session._endpoint, "send", lambda: nested(client))
    assert client.call(b"outer").message == b"outer"
    assert "interrupted this thread while it sent something" in str(once.outcome)
    assert client.call(b"after").message == b"after"
    if beside is not None:
        beside.cancel()


@NESTED
def test_nested_while_it_holds_the_mutex(
    client: Client, nested: Callable[[Client], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(client)
    once = Once(monkeypatch, type(client.session.connection), "open_call", lambda: nested(client))
    assert client.call(b"outer").message == b"outer"
    assert "interrupted this thread while it used the channel" in str(once.outcome)
    assert client.call(b"after").message == b"after"


@NESTED
def test_a_finalizer_in_the_thread_that_reads(
    client: Client, nested: Callable[[Client], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Handle(client) as stream:
        once = Once(monkeypatch, client.session._endpoint, "receive", lambda: nested(client))
        once.thread = client.session.reading.thread
        stream.send(b"a")
        assert client.kernel.run(stream.receive()) == b"a"
        stream.send(b"b")
        assert client.kernel.run(stream.receive()) == b"b"
        assert "interrupted this thread while it read for others" in str(once.outcome)


@NESTED
def test_calls_in_the_thread_of_the_timers(client: Client, nested: Callable[[Client], object]) -> None:
    outcomes: list[object] = []
    client.call()
    for _ in range(3):
        client.kernel.wish(lambda: outcomes.append(nested(client)))
    assert eventually(lambda: len(outcomes) == 3)
    assert outcomes == [b"nested"] * 3


def test_a_stream_of_another_thread_is_used_by_who_leads(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream was opened when this thread led already."""
    lead(client)
    handles: list[Handle] = []

    def use() -> bytes | None:
        opening = threading.Thread(target=lambda: handles.append(Handle(client)))
        opening.start()
        opening.join()
        stream = handles[0].__enter__()
        stream.send(b"nested")
        return client.kernel.run(stream.receive())

    once = Once(monkeypatch, client.session._endpoint, "wait_readable", use)
    assert client.call(b"outer").message == b"outer"
    assert once.outcome == b"nested"
    handles[0].__exit__()


# -- what an interrupt leaves


def test_an_interrupted_call_is_reset_and_the_connection_serves_on(
    client: Client, server: Server, alarm: Callable[[float], object]
) -> None:
    session = client.session
    for beside in (False, True):
        handle = Stream(client.session).open() if beside else None
        if not beside:
            lead(client)
        for is_awaited in (False, True):
            alarm(0.05)
            with pytest.raises(KeyboardInterrupt):
                client.kernel.run(client.call_awaited(b"", NEVER)) if is_awaited else client.call(b"", NEVER)
            assert eventually(lambda: server.calls[-1].status is not None)
            assert client.call(b"after").message == b"after"
        if handle is not None:
            handle.cancel()
    assert client.session is session
    assert not session.connection.open_calls


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["open_call", "data_to_send"])
def test_a_connection_that_may_be_half_way_is_given_up(
    client: Client, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = client.session
    with Handle(client) as beside:
        with monkeypatch.context() as patches:
            Once(patches, type(session.connection), name, interrupt)
            with pytest.raises(KeyboardInterrupt):
                client.call()
        assert session.is_going_away
        assert session.end_reason == module.INTERRUPTED
        assert client.lost == [module.INTERRUPTED]
        assert client.kernel.run(beside.receive()) is None
        assert beside.status is not None
        assert beside.status.code == StatusCode.UNAVAILABLE
        with pytest.raises(LocalProtocolError):
            session.exchange_blocking(Unary(session), CHAT, None, b"", time.monotonic())
        assert client.kernel.run(session.wait_over(time.monotonic() + SOON))
    assert client.session is not session
    assert client.call(b"after").message == b"after"


def test_what_may_be_half_sent_is_given_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    session = client.session
    Once(monkeypatch, session._endpoint, "send", interrupt)
    with pytest.raises(KeyboardInterrupt):
        client.call()
    assert session.end_reason == module.INTERRUPTED
    assert client.call(b"after").message == b"after"


def test_an_error_in_the_thread_that_writes_ends_the_connection(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_timeout: float) -> bool:
        raise ZeroDivisionError("of all things")

    session = client.session
    monkeypatch.setattr(session._endpoint, "send", lambda _pieces: 0)
    monkeypatch.setattr(session._endpoint, "wait_writable", fail)
    call = client.call()
    assert call.status is not None
    assert call.status.code == StatusCode.UNAVAILABLE
    assert eventually(lambda: "of all things" in caplog.text)
    assert client.call(b"after").message == b"after"


def test_only_the_librarys_own_errors_leave_the_connection_whole(client: Client) -> None:
    def fail(error: BaseException) -> None:
        raise error

    session = client.session
    with pytest.raises(InvalidArgument):
        session.locked(fail, InvalidArgument("mine"))
    with pytest.raises(InvalidArgument):
        client.call(b"", Request("/test.Service/Echo", "localhost", (("bad name", "x"),)))
    assert not session.calls
    assert session.reading.leader is None
    assert client.call(b"fine").message == b"fine"
    assert client.session is session
    with pytest.raises(TimeoutError):
        session.locked(fail, TimeoutError())
    assert session.is_going_away
    assert client.call(b"fine").message == b"fine"


# -- calls that are dropped


def test_a_stream_that_is_dropped_is_cancelled(client: Client, server: Server) -> None:
    handle = Handle(client)
    handle.stream.open()
    assert eventually(lambda: server.calls)
    del handle
    gc.collect()
    assert eventually(lambda: server.calls[-1].status is not None)
    assert not client.session.calls


def test_a_started_call_that_is_cancelled_is_cancelled_at_the_server(client: Client, server: Server) -> None:
    future = client.kernel.start(client.call_awaited(b"", NEVER))
    assert eventually(lambda: server.calls)
    future.cancel()
    assert eventually(lambda: server.calls[-1].status is not None)
    assert eventually(lambda: not client.session.calls)


# -- the end


def test_closing_in_order_is_heard_and_takes_no_time(server: Server) -> None:
    began = time.monotonic()
    with calling(server) as client:
        handle = Stream(client.session).open()
        session = client.session
    assert time.monotonic() - began < 1 + SOON
    assert handle.status is not None
    assert handle.status.code == StatusCode.UNAVAILABLE
    assert session.is_over
    assert len(client.lost) == client.over == 1
    assert eventually(lambda: not server.sessions)


def test_aborting_wakes_all_that_wait(client: Client) -> None:
    def call(request: Request) -> None:
        calls.append(client.call(b"", request))

    calls: list[Unary] = []
    session = client.session
    threads = [threading.Thread(target=call, args=(NEVER,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: len(session.calls) == 5)
    session.abort("enough")
    session.abort("more than enough")
    for thread in threads:
        thread.join(SOON)
    assert [call.status and call.status.message for call in calls] == ["enough"] * 5
    assert client.kernel.run(session.wait_over(time.monotonic() + SOON))
    assert client.call().message == b"hello"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_of_fork_leaves_the_connection_to_its_parent(client: Client) -> None:
    with Handle(client) as stream:
        stream.send(b"a")
        assert client.kernel.run(stream.receive()) == b"a"
        session = client.session
        child = os.fork()
        if not child:
            signal.alarm(20)
            done = 1
            try:
                assert session.end_reason == "the connection belongs to the parent process"
                assert client.kernel.run(stream.receive()) is None
                assert stream.status is not None
                assert stream.status.code == StatusCode.UNAVAILABLE
                assert not client.lost
                client.kernel.run(client.kernel.close())
                done = 0
            finally:
                os._exit(done)
        assert os.waitpid(child, 0)[1] == 0
        stream.send(b"b")
        assert client.kernel.run(stream.receive()) == b"b"
    assert client.call(b"c").message == b"c"
    assert client.session is session
