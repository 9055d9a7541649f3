"""The loop that reads its sockets itself: who goes on when, and what is left when something raises."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from puregrpc.kernel.loops.reading_loop import READABLE, WRITABLE, ReadingLoop, can_read, run_reading

Pairs = list[tuple[socket.socket, socket.socket]]

pytestmark = pytest.mark.skipif(not can_read(), reason="there is no epoll, or no Runner")


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    made = [socket.socketpair() for _ in range(3)]
    yield made
    for pair in made:
        for each in pair:
            each.close()


def reading(loop: asyncio.AbstractEventLoop) -> ReadingLoop:
    assert isinstance(loop, ReadingLoop)
    return loop


def test_each_socket_is_read_answered_and_sent_before_the_next(
    pairs: Pairs,
) -> None:
    async def main() -> None:
        loop = reading(asyncio.get_running_loop())
        order: list[str] = []
        waiting = [loop.create_future() for _ in pairs]

        def reader(number: int, _: int) -> None:
            order.append(f"read {number}")
            pairs[number][0].recv(10)
            loop.behind(lambda: order.append(f"sent {number}"))
            waiting[number].set_result(None)

        async def user(number: int) -> None:
            await waiting[number]
            order.append(f"woken {number}")

        tasks = [asyncio.ensure_future(user(number)) for number in range(3)]
        for number, (ours, _) in enumerate(pairs):
            loop.read(ours.fileno(), READABLE, partial(reader, number))
        await asyncio.sleep(0)
        for _, theirs in pairs:
            theirs.send(b"x")
        await asyncio.gather(*tasks)
        for ours, _ in pairs:
            loop.read_no_more(ours.fileno())
            loop.read_no_more(ours.fileno())
        assert sorted(order[::3]) == ["read 0", "read 1", "read 2"]
        for at in range(0, 9, 3):
            whose = order[at][-1]
            assert order[at : at + 3] == [f"read {whose}", f"woken {whose}", f"sent {whose}"]

    run_reading(main)


def test_what_is_woken_goes_on_though_somebody_before_it_raised(
    pairs: Pairs,
) -> None:
    async def main() -> None:
        loop = reading(asyncio.get_running_loop())
        told: list[object] = []
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
        (ours, theirs), first, second, sent = pairs[0], loop.create_future(), loop.create_future(), asyncio.Event()

        def fail(_: object) -> None:
            raise ValueError("of the callback")

        def reader(_: int) -> None:
            ours.recv(10)
            loop.behind(sent.set)
            first.set_result(None)
            second.set_result(None)

        first.add_done_callback(fail)
        loop.read(ours.fileno(), READABLE, reader)
        theirs.send(b"x")
        await second
        await sent.wait()
        loop.read_no_more(ours.fileno())
        assert [str(each) for each in told] == ["of the callback"]

    run_reading(main)


def test_an_interrupt_ends_the_loop_and_the_others_are_still_cancelled(
    pairs: Pairs,
) -> None:
    ended: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    async def main() -> None:
        loop = reading(asyncio.get_running_loop())
        (ours, theirs), woken = pairs[0], [loop.create_future(), loop.create_future()]

        async def first() -> None:
            await woken[0]
            raise KeyboardInterrupt

        async def second() -> None:
            try:
                await woken[1]
                await asyncio.sleep(60)
            finally:
                ended.append("second")

        tasks.extend([asyncio.ensure_future(first()), asyncio.ensure_future(second())])
        await asyncio.sleep(0)

        def reader(_: int) -> None:
            ours.recv(10)
            for each in woken:
                each.set_result(None)

        loop.read(ours.fileno(), READABLE, reader)
        theirs.send(b"x")
        await asyncio.wait(tasks)

    with pytest.raises(KeyboardInterrupt):
        run_reading(main)
    assert ended == ["second"]
    assert isinstance(tasks[0].exception(), KeyboardInterrupt)


def test_events_of_a_socket_can_be_changed(pairs: Pairs) -> None:
    async def main() -> None:
        loop = reading(asyncio.get_running_loop())
        ours, _ = pairs[0]
        heard = asyncio.Queue[int]()

        def reader(event: int) -> None:
            loop.read(ours.fileno(), READABLE, reader)
            heard.put_nowait(event)

        loop.read(ours.fileno(), READABLE | WRITABLE, reader)
        assert await heard.get() == WRITABLE
        await asyncio.sleep(0.01)
        assert heard.empty()
        loop.read_no_more(ours.fileno())

    run_reading(main)


def test_it_does_what_a_loop_of_asyncio_does(pairs: Pairs) -> None:
    async def main() -> list[object]:
        loop = reading(asyncio.get_running_loop())
        ours, theirs = pairs[0]
        for each in (ours, theirs):
            each.setblocking(False)
        await loop.sock_sendall(theirs, b"hello")
        came: list[object] = [await loop.sock_recv(ours, 5)]
        reader, writer = await asyncio.open_connection(sock=ours)
        theirs.send(b"line\n")
        came.append(await reader.readline())
        writer.write(b"x" * 1_000_000)
        taken = 0
        while taken < 1_000_000:
            taken += len(await loop.sock_recv(theirs, 1 << 16))
        writer.close()
        await writer.wait_closed()
        came.append(await asyncio.to_thread(loop.runs_here))
        came.append(loop.runs_here())
        woken = asyncio.Event()
        threading.Timer(0.01, loop.call_soon_threadsafe, [woken.set]).start()
        await asyncio.wait_for(woken.wait(), 20)
        return came

    assert run_reading(main) == [b"hello", b"line\n", False, True]
