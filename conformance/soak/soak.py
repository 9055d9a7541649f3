"""Calls of all shapes with random cancellations, deadlines, cut connections and server restarts; then an account.

Usage: python -m conformance.soak.soak [--seconds N] [--engine h2|fast] [--world trio|asyncio] [--seed N] [--callers N]

A client calls a server through a proxy that now and then cuts its connections; the server is stopped and started
again behind it. What each call may come to is known: its answer, or a status that fits what was done to it. At the end
no task, stream, thread or file descriptor may be left over, and memory may not have grown after the first third.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc

from puregrpc.channel import Channel, RetryPolicy, open_channel
from puregrpc.errors import RpcError
from puregrpc.server import Method, Server, ServerConfig, Shape
from puregrpc.wire.status import StatusCode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CALL_BOUND = 30.0
"""No call may take longer (seconds): whatever happens to it, it ends."""

RETRY = RetryPolicy(max_attempts=3, initial_backoff=0.02, max_backoff=0.1)
"""Of the channel that every other caller uses."""

EXPECTED = {
    StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, StatusCode.CANCELLED, StatusCode.INTERNAL,
    StatusCode.RESOURCE_EXHAUSTED,
}  # fmt: skip


async def echo(request: bytes, context: Any) -> bytes:
    await anyio.sleep(random.choice((0, 0, 0, 0.001, 0.05)))
    return request


async def repeat(request: bytes, context: Any) -> AsyncIterator[bytes]:
    for _ in range(int(request[:3])):
        yield request


async def count(requests: AsyncIterator[bytes], context: Any) -> bytes:
    total = 0
    async for request in requests:
        total += len(request)
    return str(total).encode()


async def mirror(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


METHODS = (
    Method("/soak.Soak/Echo", echo, Shape.UNARY),
    Method("/soak.Soak/Repeat", repeat, Shape.SERVER_STREAM),
    Method("/soak.Soak/Count", count, Shape.CLIENT_STREAM),
    Method("/soak.Soak/Mirror", mirror, Shape.BIDI),
)


class Proxy:
    """Carries connections to the server of the day, and cuts them when told."""

    def __init__(self) -> None:
        self.port = 0
        self.target: tuple[str, int] | None = None
        self.open: set[anyio.CancelScope] = set()

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        self.port = listener.extra(anyio.abc.SocketAttribute.local_port)
        task_status.started()
        async with listener:
            await listener.serve(self.carry)

    async def carry(self, near: anyio.abc.SocketStream) -> None:
        async with near:
            if self.target is None:
                return
            with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError), anyio.CancelScope() as scope:
                far = await anyio.connect_tcp(*self.target)
                self.open.add(scope)
                try:
                    async with far, anyio.create_task_group() as pumps:
                        pumps.start_soon(self.pump, near, far, pumps)
                        pumps.start_soon(self.pump, far, near, pumps)
                finally:
                    self.open.discard(scope)

    async def pump(
        self, source: anyio.abc.SocketStream, sink: anyio.abc.SocketStream, pumps: anyio.abc.TaskGroup
    ) -> None:
        with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for data in source:
                await sink.send(data)
        pumps.cancel_scope.cancel()

    def cut(self, chance: random.Random) -> None:
        if self.open:
            chance.choice(list(self.open)).cancel()


class Soak:
    """One run of it."""

    def __init__(self, seconds: float, seed: int, callers: int, engine: Any) -> None:
        self.chance = random.Random(seed)
        self.seconds = seconds
        self.callers = callers
        self.engine = engine
        self.proxy = Proxy()
        self.outcomes: Counter[str] = Counter()
        self.faults: list[str] = []
        self.restarts = 0
        self.cuts = 0
        self.resident: list[int] = []

    def payload(self) -> bytes:
        size = self.chance.choice((0, 10, 10, 100, 1000, 1000, 70_000, 300_000))
        return b"%03d" % self.chance.randrange(8) + bytes(size)

    async def one_call(self, channel: Channel) -> None:
        chance = self.chance
        shape = chance.choice(("Echo", "Echo", "Echo", "Repeat", "Count", "Mirror"))
        fate = chance.choice(("run", "run", "run", "run", "cancel", "deadline"))
        timeout = chance.uniform(0.0005, 0.05) if fate == "deadline" else CALL_BOUND
        body = self.payload()
        patient = chance.random() < 0.9
        with anyio.CancelScope() as scope:
            if fate == "cancel":
                scope.deadline = anyio.current_time() + chance.uniform(0, 0.02)
            try:
                if shape == "Echo":
                    reply = await channel.unary_unary("/soak.Soak/Echo")(body, timeout=timeout, wait_for_ready=patient)
                    self.expect(reply == body, "Echo gave another message back")
                else:
                    await self.streaming(channel, shape, body, timeout, patient)
                self.outcomes["OK"] += 1
            except RpcError as error:
                self.outcomes[str(StatusCode(error.code).name)] += 1
                self.expect(error.code in EXPECTED, f"{shape}: {error}")
                self.expect(fate == "deadline" or error.code != StatusCode.DEADLINE_EXCEEDED, f"{shape} hung: {error}")
        if scope.cancelled_caught:
            self.outcomes["cancelled here"] += 1

    async def streaming(self, channel: Channel, shape: str, body: bytes, timeout: float, patient: bool) -> None:
        times = int(body[:3])
        async with channel.call(f"/soak.Soak/{shape}", timeout=timeout, wait_for_ready=patient) as call:
            if shape == "Repeat":
                await call.send(body)
                await call.half_close()
                received = [message async for message in call]
                self.expect(received == [body] * times, f"Repeat gave {len(received)} messages in place of {times}")
            elif shape == "Count":
                for _ in range(times):
                    await call.send(body)
                await call.half_close()
                result = await call.single_response()
                self.expect(int(result.message) == times * len(body), "Count lost octets")
            else:
                for _ in range(times):
                    await call.send(body)
                    self.expect(await call.receive() == body, "Mirror gave another message back")
                    if self.chance.random() < 0.05:
                        return  # leave in the middle: the call is cancelled
                await call.half_close()
                self.expect(await call.receive() is None, "Mirror sent more than it got")

    def expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.faults.append(what)

    async def caller(self, channel: Channel, until: float) -> None:
        while anyio.current_time() < until and len(self.faults) < 20:
            with anyio.move_on_after(CALL_BOUND + 5) as scope:
                await self.one_call(channel)
            self.expect(not scope.cancelled_caught, "a call did not end in its time")

    async def trouble(self, until: float) -> None:
        while anyio.current_time() < until:
            await anyio.sleep(self.chance.uniform(0.05, 0.4))
            self.proxy.cut(self.chance)
            self.cuts += 1

    async def servers(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        while True:
            server = Server(
                "127.0.0.1:0", config=ServerConfig(engine=self.engine, stop_grace=0.2, min_ping_interval=0.5)
            )
            server.add_methods(METHODS)
            async with server:
                host, _, port = server.addresses[0].rpartition(":")
                self.proxy.target = (host, int(port))
                task_status.started()
                task_status = anyio.TASK_STATUS_IGNORED
                await anyio.sleep(self.chance.uniform(1, 4))
                self.proxy.target = None
                await server.stop(self.chance.choice((0, 0.2)))
                self.restarts += 1

    async def sample_memory(self, until: float) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        while anyio.current_time() < until:
            await anyio.sleep(self.seconds / 30)
            gc.collect()
            self.resident.append(resident_pages() * page)

    async def run(self) -> None:
        baseline = len(anyio.get_running_tasks())
        async with anyio.create_task_group() as nursery:
            await nursery.start(self.proxy.serve)
            await nursery.start(self.servers)
            address = f"127.0.0.1:{self.proxy.port}"
            async with (
                open_channel(address, engine=self.engine) as plain,
                open_channel(address, engine=self.engine, retry=RETRY, keepalive_time=1.0) as retrying,
            ):
                until = anyio.current_time() + self.seconds
                async with anyio.create_task_group() as callers:
                    for number in range(self.callers):
                        callers.start_soon(self.caller, retrying if number % 2 else plain, until)
                    callers.start_soon(self.trouble, until)
                    callers.start_soon(self.sample_memory, until)
                left = sum(connection_calls(plain)) + sum(connection_calls(retrying))
                self.expect(left == 0, f"{left} calls are still open on the channels' connections")
            nursery.cancel_scope.cancel()
        await anyio.sleep(0.01)
        tasks = len(anyio.get_running_tasks())
        self.expect(tasks == baseline, f"{tasks - baseline} tasks are left over")


def resident_pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


def connection_calls(channel: Channel) -> list[int]:
    """How many calls each connection of the channel says it has."""
    return [
        len(session.connection.calls) + session.connection.queued_calls
        for subchannel in channel.snapshot().subchannels
        for session in subchannel.sessions
    ]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--engine", default="fast")
    parser.add_argument("--world", default="trio")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--callers", type=int, default=20)
    arguments = parser.parse_args()
    soak = Soak(arguments.seconds, arguments.seed, arguments.callers, arguments.engine)
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count of names
    started = time.monotonic()
    anyio.run(soak.run, backend=arguments.world)
    gc.collect()
    left = len(os.listdir("/proc/self/fd")) - descriptors  # noqa: PTH208
    soak.expect(left <= 0, f"{left} file descriptors are left over")
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    soak.expect(not others, f"threads are left over: {others}")
    resident = soak.resident
    if len(resident) >= 9:
        first, last = max(resident[: len(resident) // 3]), min(resident[-len(resident) // 3 :])
        soak.expect(last <= first * 1.25 + (8 << 20), f"memory grew from {first >> 20} to {last >> 20} MiB")
    total = sum(soak.outcomes.values())
    print(
        f"soak on {arguments.world}, engine {arguments.engine}, seed {arguments.seed}: {total} calls in "
        f"{time.monotonic() - started:.0f} s, "
        f"{soak.cuts} cuts, {soak.restarts} restarts, {max(resident, default=0) >> 20} MiB at the most"
    )
    print("  " + ", ".join(f"{name} {number}" for name, number in soak.outcomes.most_common()))
    for fault in soak.faults:
        print("  FAULT:", fault)
    print(f"{total} passed, {len(soak.faults)} failed")
    return 1 if soak.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
