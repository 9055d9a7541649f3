"""What one client's calls hold leaves something to others: threads for plain handlers, memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from puregrpc.channel import BlockingChannel
from puregrpc.errors import RpcError
from puregrpc.kernel.threads.kernel import ThreadKernel
from puregrpc.server import BlockingServer, Method, ServerConfig
from puregrpc.server.calls.endings import MOST_IN_TURN, Endings
from puregrpc.server.connections import LONGEST_RELIEF, Connections
from puregrpc.server.routing import Router
from puregrpc.transport.event_log import EventLog
from puregrpc.wire.limits import THREAD_MEMORY
from puregrpc.wire.memory import MemoryBudget

QUICK = "/test.Service/Quick"
STUCK = "/test.Service/Stuck"


def quick(request: bytes, _context: Any) -> bytes:
    return request


def stuck(request: bytes, context: Any) -> bytes:
    ended = threading.Event()
    context.add_callback(ended.set)
    ended.wait()
    return request


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def server() -> Iterator[BlockingServer]:
    server = BlockingServer("127.0.0.1:0", config=ServerConfig(handler_threads=2))
    server.add_methods([Method(QUICK, quick), Method(STUCK, stuck)])
    with server:
        yield server


def test_a_client_is_served_whatever_threads_another_holds(server: BlockingServer) -> None:
    address = server.addresses[0]
    with BlockingChannel(address) as greedy, BlockingChannel(address) as modest:
        calls = [greedy.unary_unary(STUCK).start(b"") for _ in range(6)]
        until(lambda: server.snapshot().calls_started == 6)
        for number in range(3):
            assert modest.unary_unary(QUICK)(bytes([number]), timeout=10) == bytes([number])
        with pytest.raises(RpcError):  # the greedy one waits for itself
            greedy.unary_unary(QUICK)(b"", timeout=0.1)
        for call in calls:
            call.cancel()
        assert greedy.unary_unary(QUICK)(b"last", timeout=10) == b"last"


def test_a_thread_beyond_the_others_counts() -> None:
    budget = MemoryBudget()
    config = ServerConfig(handler_threads=2, memory_budget=budget)
    counted = BlockingServer("127.0.0.1:0", config=config)
    counted.add_methods([Method(STUCK, stuck)])
    with counted, BlockingChannel(counted.addresses[0]) as first, BlockingChannel(counted.addresses[0]) as second:
        calls = [first.unary_unary(STUCK).start(b"") for _ in range(2)]
        until(lambda: counted.snapshot().calls_started == 2)
        assert budget.held == 0
        calls.append(second.unary_unary(STUCK).start(b""))
        until(lambda: budget.held >= THREAD_MEMORY)
        for call in calls:
            call.cancel()
        until(lambda: budget.held == 0)


def test_threads_that_calls_have_for_themselves_count() -> None:
    budget = MemoryBudget()
    counted = BlockingServer("127.0.0.1:0", config=ServerConfig(memory_budget=budget))
    counted.add_methods([Method(STUCK, stuck, own_thread=True)])
    with counted, BlockingChannel(counted.addresses[0]) as channel:
        calls = [channel.unary_unary(STUCK).start(b"") for _ in range(3)]
        until(lambda: budget.held >= 3 * THREAD_MEMORY)
        for call in calls:
            call.cancel()
        until(lambda: budget.held == 0)


def test_connections_that_cost_more_leave_less_to_what_is_held() -> None:
    class Holder:
        def relieve(self) -> None:
            budget.update(self, 0, 0)

    budget = MemoryBudget(held=90_000, guaranteed=1000, connection=1000)
    one, other = Holder(), Holder()
    budget.update(one, 50_000, 0)
    budget.serve(30)
    budget.update(other, 9_000, 0)
    assert budget.held == 59_000
    budget.update(other, 11_000, 0)
    assert budget.held == 11_000
    budget.serve(1000)  # a third is left
    budget.update(other, 29_000, 0)
    assert budget.held == 29_000


class LateKernel:
    """Calls nothing by itself."""

    world = "trio"

    def __init__(self) -> None:
        self.soon: list[Callable[[], object]] = []

    def call_soon(self, function: Callable[[], object]) -> None:
        self.soon.append(function)


def test_calls_that_are_over_count_until_their_handlers_have_heard_of_it() -> None:
    class Nobody:
        def relieve(self) -> None:
            raise AssertionError("it is not asked")

    kernel, greedy = LateKernel(), Nobody()
    budget = MemoryBudget(held=100_000, guaranteed=1000, call=10_000)
    endings = Endings(kernel, budget)  # type: ignore[arg-type]
    budget.update(greedy, 30_000, 0)
    assert not budget.is_greedy(greedy)
    for _ in range(MOST_IN_TURN + 9):
        endings.add(lambda: None)
    assert budget.lingering == 9
    assert budget.is_greedy(greedy)
    while kernel.soon:
        kernel.soon.pop(0)()
    assert budget.lingering == 0
    assert not budget.is_greedy(greedy)


def test_calls_that_no_handler_sees_are_answered_by_their_reader() -> None:
    """On threads: one thread that answers for all connections would fall behind, with all that those calls hold."""
    server = BlockingServer("127.0.0.1:0")
    server.add_methods([Method(QUICK, quick)])
    with server, BlockingChannel(server.addresses[0]) as channel:
        futures = [channel.unary_unary("/test.Service/Nothing").start(b"") for _ in range(50)]
        for future in futures:
            with pytest.raises(RpcError, match="UNIMPLEMENTED"):
                future.result(timeout=10)
        assert channel.unary_unary(QUICK)(b"x", timeout=10) == b"x"


def test_what_readers_leave_for_later_is_done_in_slices() -> None:
    """No thread keeps others waiting for all of it: the rest is done behind the turns of other connections."""
    done: list[int] = []

    def work() -> None:
        end = time.thread_time() + LONGEST_RELIEF / 4
        while time.thread_time() < end:
            pass
        done.append(threading.get_ident())

    kernel = ThreadKernel()
    connections = Connections(kernel, Router((), is_blocking=True, max_elements=0), ServerConfig(), EventLog("Server"))
    try:
        for _ in range(40):
            connections.soon(work)
        connections.relieve_those_due()
        assert 1 <= done.count(threading.get_ident()) <= 4
        until(lambda: len(done) == 40)
    finally:
        kernel.run(connections.close())
        kernel.run(kernel.close())
