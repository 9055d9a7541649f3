"""The sessions of loops: whose turn it is, unary calls, and what cancels them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise
from math import inf
from typing import Any

import pytest
import trio

from puregrpc.errors import LocalProtocolError
from puregrpc.fuzz.frames.probe import END_HEADERS, GRPC_REQUEST, HEADERS, OPENING, PING, block, frame, indexed
from puregrpc.kernel import Kernel
from puregrpc.kernel.network.streams import ByteStream, memory_stream_pair
from puregrpc.transport.amounts import FIRST_READ_SIZE
from puregrpc.transport.order import FIRST_TURN, UNKNOWN_TURN
from puregrpc.transport.rounds import SHORT_TURN, Rounds
from puregrpc.transport.session import ClientSession, Session, SessionOptions, UnaryExchange, open_session
from puregrpc.wire import EngineName, client_connection, server_connection
from puregrpc.wire.connection import Call, ConnectionConfig, Metadata, Request, ServerCall, ServerConnection
from puregrpc.wire.limits import TURN_SLICE
from puregrpc.wire.status import OK, Status, StatusCode
from tests.kernel.test_streams import make_pair
from tests.kernel.worlds import ASYNCIO_LOOPS, EACH_LOOP, receive_all, receive_exactly, run, send_all
from tests.transport.fakes import Owner, echo_session

EACH_ENGINE = pytest.mark.parametrize("engine", ["fast", "h2"])
KINDS = pytest.mark.parametrize("kind", ["memory", "socket", "TLS 1.3 over socket"])

# -- turns


class Torrent(ByteStream):
    """Brings more than anyone can read, and then its end."""

    local = peer = "torrent"

    def __init__(self, kernel: Kernel, octets: int) -> None:
        self.kernel = kernel
        self.left = octets
        self.read = 0

    def receive_nowait(self, limit: int) -> bytes | None:
        size = min(limit, self.left)
        self.left -= size
        self.read += size
        return bytes(size)

    async def wait_readable(self, until: float = inf) -> bool:
        await self.kernel.checkpoint()
        return True

    def send_nowait(self, data: bytes | memoryview) -> int:
        return len(data)

    async def wait_writable(self, until: float = inf) -> bool:
        return True

    def send_eof(self) -> None:
        return

    def close(self) -> None:
        self.left = 0


@EACH_LOOP
def test_others_have_their_turns_while_a_lot_is_read(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        stream = Torrent(kernel, 20 << 20)
        session = echo_session(kernel, stream, echo=False, linger=0.0)
        seen = [0]
        await session.start()
        while not session.is_over:
            await kernel.checkpoint()
            seen.append(stream.read)
        assert seen[-1] == 20 << 20
        assert max(later - earlier for earlier, later in pairwise(seen)) <= 3 << 20  # two turns, by the order of tasks

    run(world, test)


@EACH_LOOP
def test_a_large_output_does_not_keep_the_reader_from_its_turn(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = memory_stream_pair(kernel, capacity=1 << 30)
        session = echo_session(kernel, ours)
        await session.start()
        for _ in range(6):
            await kernel.checkpoint()
        session.connection.put(bytes(10_000_000))
        theirs.send_nowait(b"heard in between")
        for _ in range(10):
            await kernel.checkpoint()
        assert bytes(session.connection.inbox) == b"heard in between"
        theirs.close()
        await session.wait_over()

    run(world, test)


class Writes:
    """A tap that counts writes."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def sent(self, data: bytes, time: float) -> None:
        self.writes.append(data)

    def received(self, data: bytes, time: float) -> None:
        return


@EACH_LOOP
@KINDS
def test_output_of_one_turn_is_one_write(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind)
        tap = Writes()
        session = echo_session(kernel, ours, tap=tap)
        await session.start()
        await kernel.sleep(kernel.now() + 0.05)
        for _ in range(5):
            session.connection.put(b"ab")
            session.push()  # without `hold` it is for the end of the turn
        assert tap.writes == []
        await kernel.sleep(kernel.now() + 0.05)
        assert tap.writes == [b"ababababab"]
        session.hold()
        session.connection.put(b"now")
        assert tap.writes[1:] == []
        session.push()
        assert tap.writes[1:] == [b"now"]
        theirs.close()
        await session.wait_over()

    run(world, test)


@EACH_LOOP
def test_what_is_sent_from_a_callback_goes_with_the_turn(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = memory_stream_pair(kernel)
        tap = Writes()
        session = echo_session(kernel, ours, tap=tap, echo=False)
        connection = session.connection
        receive = connection.receive

        def answer(data: bytes, now: float) -> None:
            receive(data, now)
            session.hold()
            connection.put(b"one")
            session.push()
            assert tap.writes == []  # the connection is in the middle of something
            connection.put(b"two")

        connection.receive = answer  # type: ignore[method-assign]
        await session.start()
        await send_all(theirs, b"hello")
        assert await receive_exactly(theirs, 6) == b"onetwo"
        assert tap.writes == [b"onetwo"]
        connection.receive = receive  # type: ignore[method-assign]
        theirs.close()
        await session.wait_over()

    run(world, test)


class NotedRounds(Rounds):
    """What turns were said to cost, and where sessions wait when the round is over."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.noted: list[tuple[float, float]] = []
        self.costs: list[float] = []

    def spend(self, seconds: float, begun: float = 0.0) -> float:
        self.noted.append((seconds, begun))
        return super().spend(seconds, begun)

    def wait(self, go_on: Callable[[], object], cost: float, *, is_next: bool = False) -> None:
        self.costs.append(cost)
        super().wait(go_on, cost, is_next=is_next)


def server_in_rounds(
    kernel: Kernel, stream: ByteStream, rounds: Rounds, handshake_timeout: float = 20.0
) -> Session[ServerConnection]:
    return open_session(
        kernel,
        stream,
        partial(server_connection, config=ConnectionConfig()),
        Owner(lambda _session, _request: ServerCall()),
        SessionOptions(rounds=rounds, handshake_timeout=handshake_timeout),
    )


@EACH_LOOP
@pytest.mark.parametrize("ends", ["in time", "before"])
def test_times_that_come_when_a_round_is_over_are_told_in_the_next(world: str, ends: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, "socket")
        rounds = NotedRounds(kernel)
        session = server_in_rounds(kernel, ours, rounds)
        await session.start()
        head = block((*GRPC_REQUEST, (b"grpc-timeout", b"100m")))
        await send_all(theirs, OPENING + frame(HEADERS, END_HEADERS, 1, head))
        until = kernel.now() + 30
        while not session.connection.open_calls and kernel.now() < until:
            await kernel.sleep(kernel.now() + 0.005)
        noted = len(rounds.noted)
        rounds.is_over = True
        while not rounds.costs and kernel.now() < until:
            assert session.connection.open_calls == 1
            rounds.is_over = True
            await kernel.checkpoint()
        if ends == "before":
            session.abort("enough")
        while session.connection.open_calls and kernel.now() < until:
            await kernel.sleep(kernel.now() + 0.005)
        assert not session.connection.open_calls
        assert (len(rounds.noted) > noted) == (ends == "in time")
        session.abort("enough")
        assert await session.wait_over(until)
        theirs.close()

    run(world, test)


@EACH_LOOP
@pytest.mark.parametrize("calls", [1, 20])
def test_calls_that_begin_in_few_octets_count_in_the_round(world: str, calls: int) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, "socket")
        rounds = NotedRounds(kernel)
        session = server_in_rounds(kernel, ours, rounds)
        await session.start()
        first, following = indexed(GRPC_REQUEST)
        requests = b"".join(
            frame(HEADERS, END_HEADERS, number, first if number == 1 else following)
            for number in range(1, 2 * calls + 1, 2)
        )
        await send_all(theirs, OPENING + requests)
        until = kernel.now() + 30
        while session.connection.open_calls < calls and kernel.now() < until:
            await kernel.sleep(kernel.now() + 0.01)
        assert len(OPENING + requests) <= TURN_SLICE
        assert rounds.noted == ([(calls * SHORT_TURN, calls)] if calls > 1 else [])
        session.abort("enough")
        await session.wait_over()
        theirs.close()

    run(world, test)


@EACH_LOOP
@pytest.mark.parametrize("size", [100, FIRST_READ_SIZE])
def test_who_comes_with_much_waits_behind_who_comes_with_little(world: str, size: int) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, "socket")
        rounds = NotedRounds(kernel)
        session = server_in_rounds(kernel, ours, rounds)
        await session.start()
        pings = (OPENING + frame(PING, 0, 0, bytes(8)) * 100)[:size]
        await send_all(theirs, pings)
        rounds.is_over = True
        until = kernel.now() + 30
        while not rounds.costs and kernel.now() < until:
            await kernel.sleep(kernel.now() + 0.01)
        assert rounds.costs[0] == (UNKNOWN_TURN if size == FIRST_READ_SIZE else FIRST_TURN)
        session.abort("enough")
        await session.wait_over()
        theirs.close()

    run(world, test)


# -- input and output that take their time

SLOW_KINDS = pytest.mark.parametrize("kind", ["memory", "socket", "TLS 1.3 over memory", "TLS 1.3 over socket"])


@EACH_LOOP
@SLOW_KINDS
def test_others_have_their_turns_while_a_lot_is_acted_on(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind, 1 << 20)
        session = echo_session(kernel, ours, echo=False)
        connection = session.connection
        connection.turn = 1000
        await session.start()
        payload = bytes(range(250)) * 2000
        sending = kernel.spawn(send_all, theirs, payload)
        seen, kept, until = [0], 0, kernel.now() + 30
        while len(connection.inbox) < len(payload) and kernel.now() < until:
            await kernel.checkpoint()
            seen.append(len(connection.inbox))
            kept = max(kept, len(connection.kept))
        assert bytes(connection.inbox) == payload
        assert connection.turns > 300
        assert max(later - earlier for earlier, later in pairwise(seen)) <= 4000
        assert kept <= 300_000  # what a read brings
        await sending.join()
        theirs.close()
        await session.wait_over()
        assert session.end_reason == "end of stream"

    run(world, test)


@EACH_LOOP
@SLOW_KINDS
def test_nothing_is_read_while_the_peer_takes_no_output(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind, 10_000)
        session = echo_session(kernel, ours)
        connection = session.connection
        connection.turn, connection.most_output = 3000, 20_000
        await session.start()
        payload = bytes(range(250)) * 20_000
        sending = kernel.spawn(send_all, theirs, payload)
        before = -1
        while before != len(connection.inbox):
            before = len(connection.inbox)
            await kernel.sleep(kernel.now() + 0.1)
        turns = connection.turns
        assert len(connection.output) <= 23_000
        await kernel.sleep(kernel.now() + 0.1)
        assert connection.turns == turns
        assert await receive_exactly(theirs, len(payload)) == payload
        await sending.join()
        theirs.close()
        assert await session.wait_over(kernel.now() + 20)

    run(world, test)


@EACH_LOOP
@SLOW_KINDS
@pytest.mark.parametrize("how", ["in order", "at once"])
def test_what_came_before_the_end_acts_before_it(world: str, kind: str, how: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind, 1 << 20)
        session = echo_session(kernel, ours, echo=False)
        connection = session.connection
        connection.turn = 1000
        await session.start()
        payload = bytes(range(250)) * 2000
        await send_all(theirs, payload)
        if how == "in order":
            theirs.send_eof()
        else:
            theirs.close()
        assert await session.wait_over(kernel.now() + 30)
        assert bytes(connection.inbox) == payload
        assert session.end_reason == "end of stream"
        theirs.close()

    run(world, test)


@EACH_LOOP
def test_what_came_before_the_connection_broke_acts_in_turns(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, "socket")
        session = echo_session(kernel, ours, echo=False, linger=5.0)
        connection = session.connection
        connection.turn = 1000
        await session.start()
        connection.put(bytes(5_000_000))  # which is not read: closing resets the connection
        await kernel.checkpoint()
        payload = bytes(range(250)) * 400
        await send_all(theirs, payload)
        theirs.close()
        seen, until = [0], kernel.now() + 30
        while not session.is_over and kernel.now() < until:
            await kernel.checkpoint()
            seen.append(len(connection.inbox))
        assert bytes(connection.inbox) == payload
        assert max(later - earlier for earlier, later in pairwise(seen)) <= 4000

    run(world, test)


@EACH_LOOP
@SLOW_KINDS
def test_a_session_that_is_behind_is_closed_in_order(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind, 1 << 20)
        session = echo_session(kernel, ours, echo=False, linger=30)
        connection = session.connection
        connection.turn = 1
        await session.start()
        await send_all(theirs, bytes(500_000))
        while not connection.has_input:
            await kernel.checkpoint()
        connection.put(b"the last words")
        connection.go_away()
        session.push()
        assert await receive_all(theirs) == b"the last words"
        theirs.close()
        assert await session.wait_over(kernel.now() + 10)
        assert session.end_reason == "went away"

    run(world, test)


# -- unary calls


class UnaryCall(UnaryExchange):
    """A client's call."""

    __slots__ = ("message", "session", "status", "unprocessed")

    def __init__(self) -> None:
        Call.__init__(self)
        self.waiter = None
        self.ended = False
        self.message: bytes | None = None
        self.status: Status | None = None

    def on_message(self, message: bytes) -> None:
        self.message = message

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:
        self.ended = True
        self.status = status
        if self.waiter is not None:
            self.waiter.wake()


class Answering(ServerCall):
    """A server's call: it gives back what it got, at once, or never if the request says so."""

    __slots__ = ("ended", "message", "session")

    def __init__(self, session: Session[ServerConnection]) -> None:
        super().__init__()
        self.session = session
        self.message = b""
        self.ended: Status | None = None

    def on_message(self, message: bytes) -> None:
        self.message = message

    def on_half_close(self) -> None:
        if self.message != b"never":
            self.session.connection.send_response(self, self.message)

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:
        self.ended = status


class Pair:
    """A client's session and a server's on one kernel, with what makes calls."""

    def __init__(self, kernel: Kernel, client: ClientSession, server: Session[ServerConnection]) -> None:
        self.kernel = kernel
        self.client = client
        self.server = server
        self.client_owner = Owner()
        self.server_calls: list[Answering] = []

    async def call(self, message: bytes = b"hello", *, timeout: float | None = None) -> UnaryCall:
        now = self.kernel.now()
        deadline = None if timeout is None else now + timeout
        return await self.client.exchange(UnaryCall(), Request("/s/m", "localhost"), deadline, message, now)

    async def close(self) -> None:
        """Check that no call is left behind and that the connection still serves; close it in order."""
        until = self.kernel.now() + 20
        while self.server.connection.open_calls and self.kernel.now() < until:
            await self.kernel.sleep(self.kernel.now() + 0.005)
        assert self.client.connection.open_calls == 0
        assert self.server.connection.open_calls == 0
        assert (await self.call(b"still there")).message == b"still there"
        self.client.connection.go_away(immediately=True)
        self.client.push()
        assert await self.client.wait_over(until)
        assert await self.server.wait_over(until)
        assert self.client.end_reason is not None


async def open_pair(kernel: Kernel, kind: str, engine: EngineName, **options: Any) -> Pair:
    ours, theirs = await make_pair(kernel, kind)
    calls: list[Answering] = []

    def answer(session: Session[Any], request: Request) -> ServerCall:
        calls.append(Answering(session))
        return calls[-1]

    client = open_session(
        kernel,
        ours,
        lambda driver: client_connection(driver, ConnectionConfig(**options), engine=engine),
        Owner(),
        SessionOptions(keepalive="keepalive_time" in options),
    )
    server_config = ConnectionConfig(min_ping_interval=0.01)
    server = open_session(
        kernel,
        theirs,
        lambda driver: server_connection(driver, server_config, engine=engine),
        Owner(answer),
        SessionOptions(),
    )
    await client.start()
    await server.start()
    await client.wait_ready()
    await server.wait_ready()
    pair = Pair(kernel, client, server)
    pair.server_calls = calls
    return pair


@EACH_LOOP
@KINDS
@EACH_ENGINE
def test_unary_calls(world: str, kind: str, engine: EngineName) -> None:
    async def test(kernel: Kernel) -> None:
        pair = await open_pair(kernel, kind, engine)
        for size in (0, 1, 5, 70_000, 2_000_000):
            call = await pair.call(bytes(size))
            assert call.status == OK
            assert call.message == bytes(size)
        answers: list[bytes] = []

        async def work(number: int) -> None:
            for _ in range(10):
                call = await pair.call(b"%d" % number * 100, timeout=30)
                answers.append(call.message or b"")

        tasks = [kernel.spawn(work, number) for number in range(20)]
        for task in tasks:
            await task.join()
        assert sorted(answers) == sorted(b"%d" % number * 100 for number in range(20) for _ in range(10))
        await pair.close()
        assert not pair.client.connection.open_calls

    run(world, test)


@EACH_LOOP
@EACH_ENGINE
def test_the_session_keeps_the_deadline_of_a_call(world: str, engine: EngineName) -> None:
    async def test(kernel: Kernel) -> None:
        pair = await open_pair(kernel, "memory", engine)
        long, short = kernel.spawn(wait_for, pair, 0.3), kernel.spawn(wait_for, pair, 0.1)
        await short.join()
        await long.join()
        await pair.close()

    async def wait_for(pair: Pair, timeout: float) -> None:
        began = pair.kernel.now()
        call = await pair.call(b"never", timeout=timeout)
        assert call.status is not None
        assert call.status.code == StatusCode.DEADLINE_EXCEEDED
        assert began + timeout <= pair.kernel.now() + 0.002 < began + 10

    run(world, test)


@EACH_LOOP
@EACH_ENGINE
@pytest.mark.parametrize("answers", [True, False])
def test_keepalive_while_a_call_waits(world: str, engine: EngineName, answers: bool) -> None:
    async def test(kernel: Kernel) -> None:
        pair = await open_pair(kernel, "memory", engine, keepalive_time=0.1, keepalive_timeout=0.1)
        if not answers:
            deaf = "data_received" if kernel.world == "asyncio" else "_receive"
            setattr(pair.server, deaf, lambda data: None)
        call = await pair.call(b"never", timeout=1.0)
        assert call.status is not None
        if answers:
            assert call.status.code == StatusCode.DEADLINE_EXCEEDED
            await pair.close()
        else:
            assert call.status.code == StatusCode.UNAVAILABLE
            assert "keepalive" in call.status.message
            pair.server.abort("enough")
            await pair.client.wait_over()

    run(world, test)


@EACH_LOOP
@EACH_ENGINE
def test_no_call_is_opened_on_a_connection_that_is_over(world: str, engine: EngineName) -> None:
    async def test(kernel: Kernel) -> None:
        pair = await open_pair(kernel, "memory", engine)
        pair.client.abort("over")
        with pytest.raises(LocalProtocolError):
            await pair.call()
        await pair.client.wait_over()
        await pair.server.wait_over()

    run(world, test)


@EACH_LOOP
@EACH_ENGINE
def test_calls_end_with_the_connection(world: str, engine: EngineName) -> None:
    async def test(kernel: Kernel) -> None:
        pair = await open_pair(kernel, "socket", engine)
        ended: list[Status | None] = []

        async def call() -> None:
            ended.append((await pair.call(b"never")).status)

        tasks = [kernel.spawn(call) for _ in range(3)]
        await kernel.sleep(kernel.now() + 0.05)
        pair.server.abort("the server broke down")
        for task in tasks:
            await task.join()
        assert [status.code for status in ended if status is not None] == [StatusCode.UNAVAILABLE] * 3
        assert await pair.client.wait_over()
        assert all(call.ended is not None for call in pair.server_calls)

    run(world, test)


# -- cancellation


@EACH_LOOP
@KINDS
@EACH_ENGINE
def test_a_task_that_is_cancelled_leaves_no_call_behind(world: str, kind: str, engine: EngineName) -> None:
    async def test(kernel: Kernel) -> None:
        pair = await open_pair(kernel, kind, engine)
        tasks = [kernel.spawn(forever, pair) for _ in range(3)]
        until = kernel.now() + 5
        while pair.server.connection.open_calls < 3 and kernel.now() < until:
            await kernel.sleep(kernel.now() + 0.01)
        assert pair.server.connection.open_calls == 3
        for task in tasks:
            task.cancel()
        for task in tasks:
            await task.join()
        await pair.close()
        assert [call.ended is not None and call.ended.code for call in pair.server_calls[:3]] == [
            StatusCode.CANCELLED
        ] * 3

    async def forever(pair: Pair) -> None:
        await pair.call(b"never")

    run(world, test)


@EACH_LOOP
@EACH_ENGINE
def test_a_call_that_is_cancelled_at_any_turn(world: str, engine: EngineName) -> None:
    """Before its request was sent, after its answer has come, and in every turn between."""

    async def test(kernel: Kernel) -> None:
        pair = await open_pair(kernel, "memory", engine)
        answered = interrupted = 0

        async def call() -> None:
            nonlocal answered, interrupted
            try:
                assert (await pair.call()).message == b"hello"
                answered += 1
            except BaseException:
                interrupted += 1
                raise

        for turns in range(16):
            for others in (0, 2):
                beside = [kernel.spawn(call) for _ in range(others)]
                task = kernel.spawn(call)
                for _ in range(turns):
                    await kernel.checkpoint()
                task.cancel()
                for each in (task, *beside):
                    await each.join()
        assert answered > 32
        assert interrupted > 3
        await pair.close()

    run(world, test)


def on_asyncio(world: str, test: Callable[[Pair], Awaitable[None]], engine: EngineName = "fast") -> None:
    async def main(kernel: Kernel) -> None:
        pair = await open_pair(kernel, "socket", engine)
        await test(pair)
        await pair.close()

    run(world, main)


EACH_ASYNCIO = pytest.mark.parametrize("world", ASYNCIO_LOOPS)


@EACH_ASYNCIO
@EACH_ENGINE
def test_wait_for(world: str, engine: EngineName) -> None:
    async def test(pair: Pair) -> None:
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(pair.call(b"never"), 0.02)
            assert (await asyncio.wait_for(pair.call(), 20)).message == b"hello"

    on_asyncio(world, test, engine)


timeout: Any = getattr(asyncio, "timeout", None)
task_group: Any = getattr(asyncio, "TaskGroup", None)


@EACH_ASYNCIO
@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio has timeout from Python 3.11 on")
def test_timeout(world: str) -> None:
    async def test(pair: Pair) -> None:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with timeout(0.02):
                    await pair.call(b"never")
            async with timeout(20):
                assert (await pair.call()).message == b"hello"

    on_asyncio(world, test)


@EACH_ASYNCIO
@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio has TaskGroup from Python 3.11 on")
def test_a_task_group_that_fails(world: str) -> None:
    async def test(pair: Pair) -> None:
        async def fail() -> None:
            await asyncio.sleep(0.02)
            raise ValueError("as planned")

        with pytest.raises(BaseException) as caught:  # noqa: PT011
            async with task_group() as group:
                for _ in range(3):
                    group.create_task(pair.call(b"never"))
                group.create_task(fail())
        assert [type(error) for error in getattr(caught.value, "exceptions", ())] == [ValueError]

    on_asyncio(world, test)


@EACH_ASYNCIO
def test_gather_and_task_cancel(world: str) -> None:
    async def test(pair: Pair) -> None:
        tasks = [asyncio.ensure_future(pair.call(b"never")) for _ in range(3)]
        await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 3

    on_asyncio(world, test)


@EACH_ENGINE
def test_scopes_of_trio(engine: EngineName) -> None:
    async def test(kernel: Kernel) -> None:
        pair = await open_pair(kernel, "socket", engine)
        for _ in range(3):
            with pytest.raises(trio.TooSlowError):
                with trio.fail_after(0.02):
                    await pair.call(b"never")
            with trio.move_on_after(0) as scope:
                await pair.call(b"never")
            assert scope.cancelled_caught
            with trio.CancelScope(shield=True, deadline=kernel.now() + 20):
                assert (await pair.call()).message == b"hello"
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(partial(pair.call, b"never"))
            await trio.sleep(0.02)
            nursery.cancel_scope.cancel()
        await pair.close()

    run("trio", test)
