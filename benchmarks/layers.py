"""What a unary call costs, function by function, with the kernel and the server left out.

Usage: ``python -m benchmarks.layers [--calls N] [--output FILE]``.

After a handshake over a real socket, the connection's socket is exchanged for one that gives an answer as soon as a
call is sent, in the form of grpc-go's: WINDOW_UPDATE, PING, headers, message, trailers. The time of a call is measured
without a profiler; a profiler then says how it divides among the functions (built-in ones count for their callers).
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import socket
import threading
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hpack
import trio
from conformance.interop.messages import PROTOS

from benchmarks.measuring import ROOT, versions
from benchmarks.work import UNARY, UNARY_DICT, SimpleRequest, SimpleResponse, unary_request
from puregrpc import Client, open_channel
from puregrpc.kernel.network.streams import ByteStream
from puregrpc.wire.fast.octets import ACK, END_HEADERS, END_STREAM, HEAD_SIZE, frame, unpack_head
from puregrpc.wire.frames import PREFACE, FrameType
from puregrpc.wire.framing import prefix

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 7
WARM_UP = 200
LEAST = 0.1

MESSAGE = SimpleResponse(payload={"body": b"0123456789abcdef"}).SerializeToString()
HEAD = ((":status", "200"), ("content-type", "application/grpc"))
TRAILERS = (("grpc-status", "0"), ("grpc-message", ""))


class Played:
    """A server that answers every call in the same way."""

    def __init__(self) -> None:
        self._encoder = hpack.Encoder()
        self._answered = 0
        self._blocks = (b"", b"")

    def answers(self, octets: bytes) -> bytes:
        """What comes back for frames that a client sent."""
        answers, at = b"", len(PREFACE) if octets.startswith(PREFACE) else 0
        while at < len(octets):
            high, low, kind, flags, stream_id = unpack_head(octets, at)
            if kind == FrameType.SETTINGS and not flags & ACK:
                answers += frame(FrameType.SETTINGS, 0, 0) + frame(FrameType.SETTINGS, ACK, 0)
            elif kind == FrameType.DATA and flags & END_STREAM:
                answers += self._answer(stream_id)
            at += HEAD_SIZE + (high << 16) + low
        return answers

    def _answer(self, stream_id: int) -> bytes:
        if self._answered < 2:  # from the second time on, all fields are in the client's table
            self._blocks = self._encoder.encode(HEAD), self._encoder.encode(TRAILERS)
            self._answered += 1
        head, trailers = self._blocks
        return (
            frame(FrameType.WINDOW_UPDATE, 0, 0, (40).to_bytes(4, "big"))
            + frame(FrameType.PING, 0, 0, b"\2\4\x10\x10\x09\x0e\7\7")
            + frame(FrameType.HEADERS, END_HEADERS, stream_id, head)
            + frame(FrameType.DATA, 0, stream_id, prefix(len(MESSAGE)) + MESSAGE)
            + frame(FrameType.HEADERS, END_HEADERS | END_STREAM, stream_id, trailers)
        )


class PlayedSocket:
    """Stands in for a connected socket: what is received is the answer to what was sent last."""

    def __init__(self, sock: socket.socket, server: Played) -> None:
        self._socket = sock
        self._server = server
        self._incoming = b""

    def send(self, data: bytes, flags: int = 0) -> int:
        self._incoming += self._server.answers(bytes(data))
        return len(data)

    def recv(self, limit: int, flags: int = 0) -> bytes:
        incoming = self._incoming
        if not flags & socket.MSG_PEEK:
            self._incoming = b""
        return incoming[:limit] if flags & socket.MSG_PEEK else incoming

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class PlayedStream(ByteStream):
    """The same as a byte stream, for a session on trio."""

    local = "here"
    peer = "the played server"

    def __init__(self) -> None:
        self._server = Played()
        self._incoming = b""
        self._reader: trio.lowlevel.Task | None = None

    def send_nowait(self, data: bytes | memoryview) -> int:
        self._incoming += self._server.answers(bytes(data))
        if self._incoming and self._reader is not None:
            trio.lowlevel.reschedule(self._reader)
            self._reader = None
        return len(data)

    def receive_nowait(self, limit: int) -> bytes | None:
        incoming, self._incoming = self._incoming, b""
        return incoming or None

    async def wait_readable(self, until: float = inf) -> bool:
        if self._incoming:
            await trio.lowlevel.checkpoint()
            return True
        self._reader = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._forget_reader)
        return True

    async def wait_writable(self, until: float = inf) -> bool:
        await trio.lowlevel.checkpoint()
        return True

    def _forget_reader(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def send_eof(self) -> None:
        return

    def close(self) -> None:
        return


@contextmanager
def listening(server: Played) -> Iterator[str]:
    """The server on a real socket, for one connection; gives its address."""

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            while octets := sock.recv(1 << 16):
                sock.sendall(server.answers(octets))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


class Costs:
    """The time of a call, and how it divides among functions; without the share of the played server."""

    def __init__(self, microseconds: float, profile: cProfile.Profile) -> None:
        self.functions: dict[str, float] = {}
        self.parts: dict[str, float] = {}
        stats: dict[tuple[str, int, str], tuple[int, int, float, float, Any]] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
        ours = {key: value[2] for key, value in stats.items() if not key[0].startswith(str(ROOT / "benchmarks"))}
        whole = sum(value[2] for value in stats.values())
        for (path, _, name), seconds in ours.items():
            share = seconds / whole * microseconds
            part, module = place(path)
            self.parts[part] = self.parts.get(part, 0) + share
            function = f"{module}: {name}"
            self.functions[function] = self.functions.get(function, 0) + share
        self.microseconds = sum(self.parts.values())


def place(path: str) -> tuple[str, str]:
    """The room (or library) and the module that a file is."""
    parts = Path(path).with_suffix("").parts
    for library in ("puregrpc", "trio"):
        if library in parts:
            rest = parts[len(parts) - parts[::-1].index(library) :]
            room = ".".join(rest[:2]) if rest[0] == "wire" and len(rest) > 2 else rest[0]
            return (library if library != "puregrpc" else room), ".".join(rest if library == "puregrpc" else parts[-1:])
    if path.startswith("<generated"):
        return "codec", "generated codec"
    return "Python and other libraries", parts[-1] if parts else path


def blocking_client(form: str, calls: int) -> Costs:
    """A lone call of the blocking Client."""
    server = Played()
    with listening(server) as address, Client() as client:
        client.load([str(PROTOS)], "grpc/testing/test.proto")
        client.connect(address, plaintext=True, busy_poll=0)
        stub = client.stub("grpc.testing.TestService")
        message = stub.message("grpc.testing.SimpleRequest").FromString(unary_request().SerializeToString())

        def many(count: int) -> None:
            for _ in range(count):
                response = stub.UnaryCall(message) if form == "messages" else client.invoke(UNARY, UNARY_DICT)
                assert response.status == 0

        many(WARM_UP)
        connection: Any = client._state.connection
        session = connection._core.try_pick()
        endpoint, reading = session._endpoint, session.reading
        sock, attention = endpoint.socket, reading.attention
        reading.attention = Never()
        time.sleep(0.2)  # the reader has parked, and stays so
        reading.is_parked = True
        endpoint.socket = PlayedSocket(sock, server)
        try:
            many(WARM_UP)
            times = []
            for _ in range(ROUNDS):
                begun = time.perf_counter()
                many(calls)
                times.append(time.perf_counter() - begun)
            profile = cProfile.Profile(builtins=False)
            profile.runcall(many, calls)
        finally:
            endpoint.socket, reading.attention = sock, attention
            reading.attention.set()
            Never.over.set()
    return Costs(min(times) / calls * 1e6, profile)


class Never:
    """A signal that is never given while calls are measured."""

    over = threading.Event()

    def __init__(self) -> None:
        Never.over.clear()

    def wait(self, timeout: float | None = None) -> None:
        self.over.wait()

    def set(self) -> None:
        return

    def clear(self) -> None:
        return


def trio_channel(calls: int) -> Costs:
    """A call of the trio channel, one at a time, with messages of google.protobuf."""
    times: list[float] = []
    profile = cProfile.Profile(builtins=False)

    async def connect() -> ByteStream:
        return PlayedStream()

    async def main() -> None:
        async with open_channel("played:1", connector=connect) as channel:
            method = channel.unary_unary(UNARY, SimpleRequest.SerializeToString, SimpleResponse.FromString)
            request = unary_request()

            async def many(count: int) -> None:
                for _ in range(count):
                    await method(request)

            await many(2 * WARM_UP)
            for _ in range(ROUNDS):
                begun = time.perf_counter()
                await many(calls)
                times.append(time.perf_counter() - begun)
            profile.enable()
            await many(calls)
            profile.disable()

    trio.run(main)
    return Costs(min(times) / calls * 1e6, profile)


def render(rows: dict[str, Costs]) -> str:
    """Two tables: what each part costs, and each function."""
    lines = ["", "| µs a call | " + " | ".join(rows) + " |", "|---" * (len(rows) + 1) + "|"]
    lines.append("| **all** | " + " | ".join(f"**{costs.microseconds:.1f}**" for costs in rows.values()) + " |")
    lines += table([costs.parts for costs in rows.values()], 0.05)
    for name, costs in rows.items():
        lines += ["", f"**{name}**", "", "| function | µs |", "|---|---|"]
        lines += table([costs.functions], LEAST)
    return "\n".join(lines).strip() + "\n"


def table(columns: list[dict[str, float]], least: float) -> list[str]:
    """Lines of a table, what costs most first."""
    total = {name: sum(column.get(name, 0) for column in columns) for column in columns for name in column}
    names = sorted(total, key=lambda name: -total[name])
    return [
        f"| {name} | " + " | ".join(f"{column[name]:.2f}" if name in column else "" for column in columns) + " |"
        for name in names
        if total[name] >= least
    ]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=5000, help="a round")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    rows = {
        "blocking Client, messages": blocking_client("messages", arguments.calls),
        "blocking Client, dicts": blocking_client("dicts", arguments.calls),
        "trio channel, messages": trio_channel(arguments.calls),
    }
    text = (
        f"{datetime.now(timezone.utc):%Y-%m-%d}; {versions()}.\nOne call at a time, the kernel and the server left "
        "out: a socket that gives grpc-go's answer at once. The fastest round without a profiler; a profiler says how "
        f"it divides. Functions of less than {LEAST:g} µs are left out.\n\n{render(rows)}"
    )
    print(text)
    if arguments.output:
        arguments.output.write_text(f"# What a call costs, function by function\n\n{text}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
