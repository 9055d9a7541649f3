"""What everything above the HTTP/2 seam costs: unary calls on a connection that answers in memory, without HTTP/2.

Usage: ``python -m benchmarks.null_connection [CALLS]``. It prints the processor time of a call, in microseconds,
with 50 calls at a time and with one. The target is 15 µs at 50.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from math import inf
from typing import ClassVar

import trio

import puregrpc.channel.core
from benchmarks.work import UNARY, SimpleRequest, SimpleResponse, unary_request
from puregrpc.channel import open_channel
from puregrpc.kernel.network.streams import ByteStream
from puregrpc.wire.connection import Call, ClientConnection, ConnectionConfig, Driver, Metadata, Request
from puregrpc.wire.snapshot import ConnectionSnapshot
from puregrpc.wire.status import OK

ROUNDS = 5
ANSWER = SimpleResponse(payload={"body": b"0123456789abcdef"}).SerializeToString()
HEADERS: Metadata = (("content-type", "application/grpc"),)


class NullConnection(ClientConnection):
    """Answers all calls whose output was taken in one turn of the loop in the next, as a reader would."""

    instances: ClassVar[list[NullConnection]] = []

    def __init__(self, driver: Driver, config: ConnectionConfig | None = None, *, engine: str = "null") -> None:
        self.driver = driver
        self.now = 0.0
        self.waiting: list[Call] = []
        self.sent: list[Call] = []
        self.responder: trio.lowlevel.Task | None = None
        self.opened = 0
        self.closed = False

    def start(self, now: float) -> None:
        self.driver.on_ready()
        self.instances.append(self)

    async def respond(self) -> None:
        """The task that stands for the reader."""
        while True:
            if not self.sent:
                self.responder = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.SUCCEEDED)
            answered, self.sent = self.sent, []
            for call in answered:
                self.opened -= 1
                call.on_headers(HEADERS)
                call.on_message(ANSWER)
                call.on_end(OK, (), unprocessed=False)

    def open_call(
        self,
        call: Call,
        request: Request,
        *,
        deadline: float | None = None,
        message: bytes | None = None,
        end: bool = False,
        now: float = 0.0,
    ) -> None:
        self.opened += 1
        self.waiting.append(call)
        if len(self.waiting) == 1:
            self.driver.on_output()

    def data_to_send(self, limit: int = 1 << 18) -> bytes:
        self.sent += self.waiting
        self.waiting.clear()
        if self.sent and self.responder is not None:
            trio.lowlevel.reschedule(self.responder)
            self.responder = None
        return b""

    @property
    def open_calls(self) -> int:
        return self.opened

    @property
    def is_closed(self) -> bool:
        return self.closed

    def _close(self, reason: str) -> None:
        if not self.closed:
            self.closed = True
            self.driver.on_closed(reason)

    def receive(self, data: bytes, now: float) -> None:
        if not data:
            self._close("closed")

    def lost(self, reason: str) -> None:
        self._close(reason)

    def go_away(self, *, error_code: int = 0, debug_data: bytes = b"", immediately: bool = False) -> None:
        self._close("went away")

    def next_time(self) -> float | None:
        return None

    def advance(self, now: float) -> None:
        return

    def ping(self) -> None:
        return

    def snapshot(self) -> ConnectionSnapshot:
        return ConnectionSnapshot("open", 0, 0, 0)

    def send_message(self, call: Call, message: bytes, *, end: bool = False, compress: bool = True) -> None:
        return

    def half_close(self, call: Call) -> None:
        return

    def send_buffered(self, call: Call) -> int:
        return 0

    def consume(self, call: Call, octets: int) -> None:
        return

    def reset(self, call: Call, error_code: int = 8, *, now: float = 0.0) -> None:
        return


async def cpu_per_call(call: Callable[[], Awaitable[object]], calls: int, at_a_time: int) -> float:
    """Microseconds of processor time for one call."""

    async def work(count: int) -> None:
        for _ in range(count):
            await call()

    await work(100)
    began = time.process_time()
    async with trio.open_nursery() as nursery:
        for _ in range(at_a_time):
            nursery.start_soon(work, calls // at_a_time)
    return (time.process_time() - began) / calls * 1e6


class Idle(ByteStream):
    """The stream of a null connection: nothing comes, and nothing is said."""

    local = peer = "nobody"

    def receive_nowait(self, limit: int) -> bytes | None:
        return None

    async def wait_readable(self, until: float = inf) -> bool:
        await trio.sleep_forever()

    def send_nowait(self, data: bytes | memoryview) -> int:
        return len(data)

    async def wait_writable(self, until: float = inf) -> bool:
        await trio.sleep_forever()

    def send_eof(self) -> None:
        return

    def close(self) -> None:
        return


async def connect() -> ByteStream:
    return Idle()


async def measure(calls: int) -> dict[str, tuple[float, float]]:
    """Medians of several rounds: name of the work -> µs with 50 calls at a time, and with one."""
    results: dict[str, tuple[float, float]] = {}
    async with trio.open_nursery() as nursery:
        async with open_channel("null:1", connector=connect) as channel:
            await channel.connect()
            nursery.start_soon(NullConnection.instances[-1].respond)
            plain = channel.unary_unary(UNARY)
            messages = channel.unary_unary(UNARY, SimpleRequest.SerializeToString, SimpleResponse.FromString)
            request, data = unary_request(), unary_request().SerializeToString()
            work: dict[str, Callable[[], Awaitable[object]]] = {
                "channel, bytes": lambda: plain(data),
                "channel, bytes, timeout and metadata": lambda: plain(data, timeout=20, metadata=(("x-id", "1"),)),
                "channel, protobuf messages": lambda: messages(request),
            }
            for name, call in work.items():
                many = [await cpu_per_call(call, calls, 50) for _ in range(ROUNDS)]
                single = [await cpu_per_call(call, calls // 4, 1) for _ in range(ROUNDS)]
                results[name] = (statistics.median(many), statistics.median(single))
        nursery.cancel_scope.cancel()
    return results


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    setattr(puregrpc.channel.core, "client_connection", NullConnection)  # noqa: B010 - in place of the engines
    results = trio.run(measure, calls)
    print(f"{'µs of processor time per unary call':42}{'50 at a time':>14}{'1 at a time':>14}")
    for name, (many, single) in results.items():
        print(f"{name:42}{many:14.1f}{single:14.1f}")


if __name__ == "__main__":
    main()
