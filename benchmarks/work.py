"""What is measured: the calls of grpc.testing.TestService, their messages, and how a worker reports its figures."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance.interop.messages import message_class

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

UNARY = "/grpc.testing.TestService/UnaryCall"
OUTPUT = "/grpc.testing.TestService/StreamingOutputCall"
INPUT = "/grpc.testing.TestService/StreamingInputCall"

SimpleRequest = message_class("SimpleRequest")
SimpleResponse = message_class("SimpleResponse")
OutputRequest = message_class("StreamingOutputCallRequest")
OutputResponse = message_class("StreamingOutputCallResponse")
InputRequest = message_class("StreamingInputCallRequest")
InputResponse = message_class("StreamingInputCallResponse")

UNARY_DICT = {"responseSize": 16, "payload": {"body": "MDEyMzQ1Njc4OWFiY2RlZg=="}}
"""What `unary_request` gives, as a dict."""

TOKEN = "Bearer " + "t" * 120
DEADLINE_SECONDS = 20.0


def unary_request() -> Any:
    """A request whose reply carries 16 octets."""
    return SimpleRequest(response_size=16, payload={"body": b"0123456789abcdef"})


def output_request(size: int, count: int) -> Any:
    """Ask for ``count`` messages of ``size`` octets of body."""
    parameters = message_class("ResponseParameters")(size=size)
    return OutputRequest(response_parameters=[parameters] * count)


def rich_metadata() -> tuple[tuple[str, str], ...]:
    """A bearer token, and an id of 32 octets that no other call has."""
    return (("authorization", TOKEN), ("x-request-id", uuid.uuid4().hex))


@dataclass
class Clock:
    """Wall and processor time of a stretch of work, and the time of each call in it."""

    latencies: list[float] = field(default_factory=list)
    wall: float = 0.0
    cpu: float = 0.0

    def start(self) -> None:
        self.latencies.clear()
        self.wall = time.perf_counter()
        self.cpu = time.process_time()

    def stop(self) -> None:
        self.wall = time.perf_counter() - self.wall
        self.cpu = time.process_time() - self.cpu

    def figures(self, count: int, octets: int = 0) -> dict[str, float]:
        """Per second and per unit of ``count``; times in microseconds, latencies in milliseconds."""
        found = {"per_second": count / self.wall, "cpu_us": self.cpu / count * 1e6}
        if octets:
            found["mb_per_second"] = octets / self.wall / 1e6
        if self.latencies:
            ordered = sorted(self.latencies)
            found["p50_ms"] = ordered[len(ordered) // 2] * 1e3
            found["p99_ms"] = ordered[int(len(ordered) * 0.99)] * 1e3
        return found


def report(figures: dict[str, float]) -> None:
    """A worker's last line."""
    print(json.dumps(figures), flush=True)


async def timed_loop(call: Callable[[], Awaitable[object]], clock: Clock, until: float) -> None:
    """Call again and again until the time has come."""
    now = time.perf_counter()
    latencies = clock.latencies
    while now < until:
        await call()
        then = now
        now = time.perf_counter()
        latencies.append(now - then)
