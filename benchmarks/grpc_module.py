"""The package grpc of grpc-module beside grpcio: processor time of clients and servers, blocking and on asyncio.

Run as ``python -m benchmarks.grpc_module [ROW...]``; SHORT=1 makes fewer calls. The other end is grpcio's each time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[1]
OURS = os.pathsep.join(str(TOP / each) for each in ("grpc-module/src", "src"))

PROGRAM = r"""
import asyncio, os, sys, time
from concurrent import futures
import grpc

PAYLOAD = bytes(100)

def unary(request, context): return request
def many(request, context):
    for _ in range(100): yield request
def echo(requests, context):
    for request in requests: yield request
async def async_unary(request, context): return request
async def async_many(request, context):
    for _ in range(100): yield request
async def async_echo(requests, context):
    async for request in requests: yield request

def handlers(one, several, both):
    return grpc.method_handlers_generic_handler("a.B", {
        "One": grpc.unary_unary_rpc_method_handler(one),
        "Many": grpc.unary_stream_rpc_method_handler(several),
        "Echo": grpc.stream_stream_rpc_method_handler(both),
    })

def tell_figures():
    last = time.process_time()
    for _ in sys.stdin:
        now = time.process_time(); print((now - last) * 1e6, flush=True); last = now
    os._exit(0)

def serve():
    server = grpc.server(futures.ThreadPoolExecutor(10))
    server.add_generic_rpc_handlers((handlers(unary, many, echo),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    tell_figures()

async def serve_async():
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handlers(async_unary, async_many, async_echo),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await asyncio.to_thread(tell_figures)

def measure(work, count):
    work(max(count // 10, 100))
    print("go", flush=True); sys.stdin.readline()
    begun = time.process_time(); work(count)
    print((time.process_time() - begun) * 1e6 / count, flush=True)

def call(row, port, count):
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    one, several = channel.unary_unary("/a.B/One"), channel.unary_stream("/a.B/Many")
    both = channel.stream_stream("/a.B/Echo")
    def each(count):
        for _ in range(count): one(PAYLOAD)
    def future(count):
        for _ in range(count): one.future(PAYLOAD).result()
    def futures_of_50(count):
        for _ in range(count // 50):
            for found in [one.future(PAYLOAD) for _ in range(50)]: found.result()
    def threads(count):
        with futures.ThreadPoolExecutor(50) as pool: list(pool.map(lambda _: one(PAYLOAD), range(count)))
    def stream(count):
        for _ in range(count // 100):
            for _ in several(PAYLOAD): pass
    def bidi(count):
        for _ in range(count // 100):
            for _ in both(iter([PAYLOAD] * 100)): pass
    works = {"1": each, "50 threads": threads, "future": future, "50 futures": futures_of_50}
    measure({**works, "stream": stream, "bidi": bidi}[row], count)

async def call_async(row, port, count):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        one, several = channel.unary_unary("/a.B/One"), channel.unary_stream("/a.B/Many")
        both = channel.stream_stream("/a.B/Echo")
        async def each(count):
            for _ in range(count): await one(PAYLOAD)
        async def tasks(count):
            async def some():
                for _ in range(count // 50): await one(PAYLOAD)
            await asyncio.gather(*(some() for _ in range(50)))
        async def stream(count):
            for _ in range(count // 100):
                async for _ in several(PAYLOAD): pass
        async def bidi(count):
            for _ in range(count // 100):
                async for _ in both([PAYLOAD] * 100): pass
        work = {"1": each, "50 tasks": tasks, "stream": stream, "bidi": bidi}[row]
        await work(max(count // 10, 100))
        print("go", flush=True); sys.stdin.readline()
        begun = time.process_time(); await work(count)
        print((time.process_time() - begun) * 1e6 / count, flush=True)

kind, *rest = sys.argv[1:]
if kind == "serve": serve()
elif kind == "serve async": asyncio.run(serve_async())
elif kind == "call": call(rest[0], rest[1], int(rest[2]))
else: asyncio.run(call_async(rest[0], rest[1], int(rest[2])))
os._exit(0)
"""

ROWS: dict[str, tuple[str, int]] = {
    "1": ("", 3000),
    "50 threads": ("", 3000),
    "future": ("", 3000),
    "50 futures": ("", 3000),
    "stream": ("", 20000),
    "bidi": ("", 10000),
    "async 1": (" async", 3000),
    "async 50 tasks": (" async", 5000),
    "async stream": (" async", 20000),
    "async bidi": (" async", 10000),
}
"""Row -> the world of both ends, and how many calls or messages."""


def start(ours: bool, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": OURS} if ours else {**os.environ, "PYTHONPATH": ""}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def line(process: subprocess.Popen[str], ask: bool = False) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    if ask:
        process.stdin.write("\n")
        process.stdin.flush()
    return process.stdout.readline().strip()


def measured(row: str, our_client: bool, our_server: bool) -> tuple[float, float]:
    """Microseconds of processor time of client and server for each call or message."""
    world, count = ROWS[row]
    if os.environ.get("SHORT"):
        count //= 3
    server = start(our_server, f"serve{world}")
    port = line(server)
    client = start(our_client, f"call{world}", row.removeprefix("async "), port, str(count))
    try:
        assert line(client) == "go", f"{row}: the client has failed"
        line(server, ask=True)
        of_client = float(line(client, ask=True))
        return of_client, float(line(server, ask=True)) / count
    finally:
        client.kill()
        server.kill()
        client.wait()
        server.wait()


def main() -> None:
    print(
        "| µs of processor time | client | grpcio | ratio | server | grpcio | ratio |\n"
        "|---|---:|---:|---:|---:|---:|---:|"
    )
    for row in sys.argv[1:] or ROWS:
        runs = 1 if os.environ.get("SHORT") else 3
        both = [measured(row, False, False) for _ in range(runs)]
        client = min(measured(row, True, False)[0] for _ in range(runs))
        server = min(measured(row, False, True)[1] for _ in range(runs))
        grpcio_client, grpcio_server = (min(each[i] for each in both) for i in (0, 1))
        print(
            f"| {row} | {client:.1f} | {grpcio_client:.1f} | {client / grpcio_client:.2f} "
            f"| {server:.1f} | {grpcio_server:.1f} | {server / grpcio_server:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
