"""How calls, messages and compilations scale with threads: with channels and codecs of their own, or shared ones.

A server beside the clients takes a processor too: what the library makes of two threads shows where there is nothing on
the other side, or a peer that answers each call at once and does nothing of gRPC's. The second ratio is what two
processors would do together beside one, by the processor time of a call, if no thread waited for another; how often one
waits stands behind it. That holds on a busy machine, too. On one processor, where no thread runs beside another, shows
what the interpreter itself takes for the same work.
"""

import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from puregrpc import BlockingChannel, BlockingServer, Client
from puregrpc.codec import Codec
from puregrpc.kernel import ThreadKernel
from puregrpc.kernel.network.streams import SocketStream
from puregrpc.kernel.threads.sleeping import WaitLock, wait_lock
from puregrpc.proto import compile as compile_protos
from puregrpc.schema import Registry
from puregrpc.services.demo import add_demo_services

SECONDS = 1.5
SAY_HELLO = "hello.HelloService/SayHello"
SOURCE = """syntax = "proto3"; package s;
message M { string a = 1; repeated int32 b = 2; M c = 3; map<string, double> d = 4; }"""
VALUE = {"a": "text", "b": list(range(20)), "c": {"a": "inner"}, "d": {"x": 1.5, "y": 2.5}}


def rate(threads: int, make: Callable[[], Callable[[], object]]) -> tuple[float, float, float]:
    """How often a second all threads together call what ``make`` gives each, and for each call: processor time (µs) and
    how often its thread waits."""
    counts, waits = [0] * threads, [0] * threads
    start = threading.Barrier(threads + 1)

    def work(index: int) -> None:
        call = make()
        call()
        start.wait()
        until = time.perf_counter() + SECONDS
        count, waits[index] = 0, -resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        while time.perf_counter() < until:
            call()
            count += 1
        counts[index] = count
        waits[index] += resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw

    running = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for thread in running:
        thread.start()
    start.wait()
    began = time.process_time()
    for thread in running:
        thread.join()
    cost = (time.process_time() - began) / sum(counts) * 1e6
    return sum(counts) / SECONDS, cost, sum(waits) / sum(counts)


def own_codec() -> Callable[[], object]:
    """Encodes and decodes a message, with a codec of its own."""
    registry = Registry()
    registry.add_file(compile_protos(["s.proto"], sources={"s.proto": SOURCE})[0])
    codec, descriptor = Codec(registry), registry.message("s.M")
    return lambda: codec.decode(descriptor, codec.encode(descriptor, VALUE))


def own_compiler() -> Callable[[], object]:
    """Compiles a small file."""
    return lambda: compile_protos(["s.proto"], sources={"s.proto": SOURCE})


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = b"\x88\x0f\x10\x10application/grpc"
TRAILERS = b"\x00\x0bgrpc-status\x010"


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


class ScriptedSocket(socket.socket):
    """On which every call is answered, before the request has left, with an empty message."""

    theirs: socket.socket

    def send(self, data: Any, flags: int = 0) -> int:
        data = bytes(data)
        at = len(PREFACE) if data.startswith(PREFACE) else 0
        while at < len(data):
            length, kind, flags = int.from_bytes(data[at : at + 3], "big"), data[at + 3], data[at + 4]
            stream = int.from_bytes(data[at + 5 : at + 9], "big")
            if kind == 0 and flags & 1:
                self.theirs.sendall(_frame(8, 0, 0, length.to_bytes(4, "big")))  # WINDOW_UPDATE
                answer = _frame(1, 4, stream, HEAD) + _frame(0, 0, stream, bytes(5)) + _frame(1, 5, stream, TRAILERS)
                self.theirs.sendall(answer)
            elif kind in (4, 6) and not flags & 1:  # SETTINGS, PING
                self.theirs.sendall(_frame(kind, 1, 0, data[at + 9 : at + 9 + length] if kind == 6 else b""))
            at += 9 + length
        return len(data)

    def sendmsg(self, pieces: Any, *_: Any) -> int:
        return self.send(b"".join(pieces))


def scripted_stream() -> SocketStream:
    """A connection to a peer that does nothing."""
    ours, theirs = socket.socketpair()
    theirs.sendall(_frame(4, 0, 0, b""))  # SETTINGS
    made = ScriptedSocket(fileno=ours.detach())
    made.theirs = theirs
    return SocketStream(ThreadKernel(), made)


def own_channel_scripted() -> Callable[[], object]:
    """A unary call with bytes, on a channel of its own to a peer that does nothing."""
    channel = BlockingChannel("memory", connector=scripted_stream)  # type: ignore[arg-type]  # a plain function here
    method = channel.unary_unary("/s.S/Get")
    return lambda: method(b"0123456789abcdef")


def hand_over(make: Callable[[], WaitLock]) -> float:
    """Processor time (µs) until a thread that waits at such a lock goes on, and the one that let it go waits itself."""
    turns = 3000
    locks: list[WaitLock] = []
    is_made = threading.Event()

    def held() -> WaitLock:
        lock = make()
        lock.acquire()
        return lock

    def answer() -> None:
        mine = held()
        locks.append(mine)
        is_made.set()
        for _ in range(turns):
            mine.acquire()
            here.release()

    here = held()
    thread = threading.Thread(target=answer)
    thread.start()
    is_made.wait()
    began = time.process_time()
    for _ in range(turns):
        locks[0].release()
        here.acquire()
    thread.join()
    return (time.process_time() - began) / (2 * turns) * 1e6


def main() -> None:
    """Prints a line for each."""
    is_enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    print(f"Python {sys.version.split()[0]}, {'with' if is_enabled else 'without'} the GIL")
    for name, lock in (("the interpreter's lock", threading.Lock), ("the lock that is used", wait_lock)):
        print(f"hand-over at {name}: {min(hand_over(lock) for _ in range(3)):.1f} µs of processor time")
    server = BlockingServer("127.0.0.1:0")
    add_demo_services(server)
    address = server.start()[0]
    clients: list[Client] = []

    def client() -> Client:
        made = Client()
        made.connect(address, plaintext=True, reflect=True)
        clients.append(made)
        return made

    def own_channel() -> Callable[[], object]:
        mine = client()
        return lambda: mine.invoke(SAY_HELLO, {"greeting": "Bert"})

    shared = client()

    def shared_channel() -> Callable[[], object]:
        return lambda: shared.invoke(SAY_HELLO, {"greeting": "Bert"})

    kinds = (own_codec, own_compiler, own_channel_scripted, own_channel, shared_channel)
    for kind in (each for each in kinds if each.__name__ in (sys.argv[1:] or each.__name__)):
        (alone, cost, _), (together, cost_together, waits) = (rate(threads, kind) for threads in (1, 2))
        print(
            f"{kind.__name__:21} {alone:7.0f} {together:7.0f} a second on 1 and 2 threads: ×{together / alone:.2f}; "
            f"{cost:.0f} and {cost_together:.0f} µs of processor time each: ×{2 * cost / cost_together:.2f}, "
            f"{waits:.3f} waits"
        )
    tasks = Path("/proc/self/task")
    if hasattr(os, "sched_setaffinity") and tasks.is_dir():
        for task in tasks.iterdir():
            os.sched_setaffinity(int(task.name), {min(os.sched_getaffinity(0))})
        costs = [f"{rate(threads, shared_channel)[1]:.0f} µs on {threads}" for threads in (1, 2, 4)]
        print(f"shared_channel, all on one processor: {', '.join(costs)} threads")
    for each in clients:
        each.close()
    server.stop(0).wait()


if __name__ == "__main__":
    main()
