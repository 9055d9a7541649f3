"""Scenarios: what a client does with a server that misbehaves as it is told, and what comes of it, in any world.

A plan is a list of steps, each a name and numbers, so that it can be drawn, printed and handed to another process.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from puregrpc.channel import RetryPolicy
from puregrpc.errors import Error, RpcError
from puregrpc.wire.connection import Request, ServerCall
from puregrpc.wire.status import OK, Status
from tests.channel.wire_server import EchoCall, SilentCall, WireSession, wire_server
from tests.worlds import beside, open_channel, until

__all__ = ["STEPS", "Plan", "play"]

Plan = list[tuple[str, int]]

TIMEOUT = 10.0
SHORT = 0.05


class Scripted(ServerCall):
    """Does what its path says."""

    def __init__(self, session: WireSession, request: Request) -> None:
        super().__init__()
        self.session = session
        self.deed, _, number = request.path.rpartition("/")[2].partition("-")
        self.number = int(number or 0)
        self.messages: list[bytes] = []

    def on_message(self, message: bytes) -> None:
        self.messages.append(message)
        wire = self.session.connection
        if self.deed == "Chat":
            if len(self.messages) == 1:
                wire.send_headers(self)
            wire.send_message(self, message.upper())
        elif self.deed == "Early":
            wire.send_trailers(self, Status(self.number % 17 or 5, "early"))
        elif self.deed == "Cut":
            self.session.abort()

    def on_half_close(self) -> None:
        wire = self.session.connection
        if self.deed == "Fail":
            wire.send_trailers(self, Status(self.number % 17 or 5, f"as asked: {self.number}"), (("why", "asked"),))
        elif self.deed == "Many":
            wire.send_headers(self, (("x-first", "1"),))
            for number in range(self.number):
                wire.send_message(self, b"%d" % number)
            wire.send_trailers(self, OK, (("x-last", "1"),))
        elif self.deed == "Half":
            wire.send_headers(self)
            for number in range(self.number):
                wire.send_message(self, b"%d" % number)
            wire.send_trailers(self, Status(10, "half way"))
        elif self.deed == "Chat":
            wire.send_trailers(self, OK)
        elif self.deed == "GoAway":
            wire.send_response(self, b"and goodbye")
            wire.go_away()


class Server:
    """Refuses the first ``refusals`` calls and fails the next ``failures``, then does what paths say."""

    def __init__(self) -> None:
        self.refusals = 0
        self.failures = 0

    def __call__(self, session: WireSession, request: Request) -> ServerCall | None:
        if request.path == "/s.S/Settle":
            return EchoCall(session)
        if self.refusals:
            self.refusals -= 1
            return None
        deed = request.path.rpartition("/")[2].partition("-")[0]
        if self.failures:
            self.failures -= 1
            return Scripted(session, Request("/s.S/Early-14"))
        if deed == "Echo":
            return EchoCall(session)
        return SilentCall() if deed == "Silent" else Scripted(session, request)


async def unary(channel: Any, deed: str, number: int = 0, **options: Any) -> list[object]:
    result = await channel.unary_unary(f"s.S/{deed}-{number}").with_call(b"hello", **{"timeout": TIMEOUT, **options})
    return [result.message, custom(result.headers), custom(result.trailers), result.status.code]


async def stream(channel: Any, deed: str, number: int, most: int = 1000) -> list[object]:
    """Receive up to ``most`` messages and leave. Whether the status came before that is chance."""
    received: list[object] = []
    async with channel.unary_stream(f"s.S/{deed}-{number}")(b"hello", timeout=TIMEOUT) as call:
        while len(received) < most and (message := await call.receive()) is not None:
            received.append(message)
        if len(received) < most:
            received += [custom(await call.headers()), custom(call.trailers)]
    return [*received, call.status.code if len(received) < most else call.is_over]


async def chat(channel: Any, number: int, *, half_close: bool) -> list[object]:
    received: list[object] = []
    async with channel.stream_stream("s.S/Chat")(timeout=TIMEOUT) as call:
        for n in range(number):
            await call.send(b"m%d" % n)
            received.append(await call.receive())
        if half_close:
            await call.half_close()
            received.append(await call.receive())
    return [*received, call.status.code]


async def fed(channel: Any, number: int) -> list[object]:
    requests = [b"m%d" % n for n in range(number)]
    return [message async for message in channel.stream_stream("s.S/Chat")(requests, timeout=TIMEOUT)]


async def cancelled(channel: Any, number: int) -> list[object]:
    async with channel.stream_stream("s.S/Chat")(timeout=TIMEOUT) as call:
        for n in range(number):
            await call.send(b"m%d" % n)
        call.cancel()
        try:
            await call.receive()
        except RpcError as error:
            return [error.code, str(error)]
    return ["no error"]


async def at_once(channel: Any, number: int) -> list[object]:
    """Several calls of several shapes beside each other."""
    results: dict[int, object] = {}

    async def one(index: int) -> None:
        results[index] = await (unary(channel, "Echo") if index % 2 else stream(channel, "Many", index))

    await beside(*(lambda index=index: one(index) for index in range(number)))
    return [results[index] for index in sorted(results)]


def custom(metadata: Any) -> list[object]:
    return [(name, value) for name, value in metadata if name in ("x-first", "x-last", "why")]


STEPS: dict[str, Callable[[Any, int], Any]] = {
    "echo": lambda channel, number: unary(channel, "Echo"),
    "fail": lambda channel, number: unary(channel, "Fail", number),
    "early": lambda channel, number: unary(channel, "Early", number),
    "cut": lambda channel, number: unary(channel, "Cut"),
    "many to one": lambda channel, number: unary(channel, "Many", number % 3),
    "deadline": lambda channel, number: unary(channel, "Silent", timeout=SHORT),
    "no time": lambda channel, number: unary(channel, "Echo", timeout=0),
    "goodbye": lambda channel, number: unary(channel, "GoAway"),
    "many": lambda channel, number: stream(channel, "Many", number),
    "leave": lambda channel, number: stream(channel, "Many", number + 2, most=1),
    "half": lambda channel, number: stream(channel, "Half", number),
    "cut stream": lambda channel, number: stream(channel, "Cut", number),
    "chat": lambda channel, number: chat(channel, number, half_close=True),
    "chat and leave": lambda channel, number: chat(channel, number, half_close=False),
    "fed": fed,
    "cancelled": cancelled,
    "at once": at_once,
}
"""Besides these, ``refuse`` and ``unavailable`` have the server refuse or fail so many of the calls that follow."""


async def play(plan: Plan) -> list[object]:
    """What comes of each step."""
    server, outcomes = Server(), []
    policy = RetryPolicy(max_attempts=3, initial_backoff=0.001, max_backoff=0.002)
    async with wire_server(server) as running, open_channel(running.address, retry=policy) as channel:
        for name, number in plan:
            if name in ("refuse", "unavailable"):
                # Behind this the server has heard of every call before, those too that were left at once.
                with suppress(RpcError):
                    await channel.unary_unary("s.S/Settle")(b"", timeout=TIMEOUT)
                if name == "refuse":
                    server.refusals = number
                else:
                    server.failures = number
                continue
            try:
                outcome: object = await STEPS[name](channel, number)
            except RpcError as error:
                # What a call waited for at its end, and what ended a connection, are matters of chance.
                text = "" if error.code in (4, 14) else error.message
                outcome = [error.code, text, custom(error.headers), custom(error.trailers)]
            except Error as error:
                outcome = type(error).__name__
            outcomes.append(outcome)
        sessions = [session for part in channel.snapshot().subchannels for session in part.sessions]
        await until(lambda: not any(calls_of(channel)))
        outcomes.append(len([session for session in sessions if not session.is_going_away]) <= 1)
    return outcomes


def calls_of(channel: Any) -> list[object]:
    """The calls that the channel's connections still have."""
    subchannels = channel.snapshot().subchannels
    return [call for part in subchannels for session in part.sessions for call in session.connection.calls]
