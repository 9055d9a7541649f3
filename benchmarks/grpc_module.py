"""The package grpc of grpc-module beside grpcio: processor time of clients and servers, blocking and on asyncio.

Run as ``python -m benchmarks.grpc_module [ROW...]``; SHORT=1 makes fewer calls, ROUNDS=N repeats each (3). The other
end is grpcio's each time. This and grpcio take turns, and medians are compared. Beside it: what ``import grpc`` takes,
and the memory that an idle channel holds.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[1]
OURS = os.pathsep.join(str(TOP / each) for each in ("grpc-module/src", "src"))

PROGRAM = r"""
import asyncio, collections, os, sys, time
from concurrent import futures
import grpc

PAYLOAD = bytes(100)
METADATA = (("x-request-id", "0123456789abcdef"), ("authorization", "Bearer 0123456789abcdef0123456789abcdef"))

def unary(request, context): return request
def many(request, context):
    for _ in range(100): yield request
def echo(requests, context):
    for request in requests: yield request
def last(requests, context):
    for request in requests: pass
    return request
async def async_unary(request, context): return request
async def async_many(request, context):
    for _ in range(100): yield request
async def async_echo(requests, context):
    async for request in requests: yield request
async def async_last(requests, context):
    async for request in requests: pass
    return request

def handlers(one, several, both, joined):
    return grpc.method_handlers_generic_handler("a.B", {
        "One": grpc.unary_unary_rpc_method_handler(one),
        "Many": grpc.unary_stream_rpc_method_handler(several),
        "Echo": grpc.stream_stream_rpc_method_handler(both),
        "Last": grpc.stream_unary_rpc_method_handler(joined),
    })

def tell_figures():
    last = time.process_time()
    for _ in sys.stdin:
        now = time.process_time(); print((now - last) * 1e6, flush=True); last = now
    os._exit(0)

def serve():
    server = grpc.server(futures.ThreadPoolExecutor(10))
    server.add_generic_rpc_handlers((handlers(unary, many, echo, last),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    tell_figures()

async def serve_async():
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handlers(async_unary, async_many, async_echo, async_last),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await asyncio.to_thread(tell_figures)

def measure(work, count):
    work(max(count // 10, 1000))
    print("go", flush=True); sys.stdin.readline()
    begun = time.process_time(); work(count)
    print((time.process_time() - begun) * 1e6 / count, flush=True)

class Details(
    collections.namedtuple("Details", "method timeout metadata credentials wait_for_ready compression"),
    grpc.ClientCallDetails,
): pass

def add_trace(details):
    metadata = [*(details.metadata or ()), ("traceparent", "00-0123456789abcdef0123456789abcdef-01234567-01")]
    compression = getattr(details, "compression", None)
    return Details(
        details.method, details.timeout, metadata, details.credentials, details.wait_for_ready, compression
    )

# As OpenTelemetry's: they add a header, and hear of the end.
class Tracing(grpc.UnaryUnaryClientInterceptor):
    def intercept_unary_unary(self, continuation, details, request):
        begun = time.monotonic()
        outcome = continuation(add_trace(details), request)
        outcome.add_done_callback(lambda found: (found.code(), time.monotonic() - begun))
        return outcome

def call(row, port, count):
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    one, several = channel.unary_unary("/a.B/One"), channel.unary_stream("/a.B/Many")
    both, joined = channel.stream_stream("/a.B/Echo"), channel.stream_unary("/a.B/Last")
    traced = grpc.intercept_channel(channel, Tracing()).unary_unary("/a.B/One")
    def each(count):
        for _ in range(count): one(PAYLOAD)
    def metadata(count):
        for _ in range(count): one.with_call(PAYLOAD, metadata=METADATA, timeout=30)
    def interceptor(count):
        for _ in range(count): traced(PAYLOAD)
    def future(count):
        for _ in range(count): one.future(PAYLOAD).result()
    def futures_of(number):
        def work(count):
            for _ in range(count // number):
                for found in [one.future(PAYLOAD) for _ in range(number)]: found.result()
        return work
    def callbacks(count):
        for _ in range(count // 50):
            left = futures.Future(); ends = []
            def over(found):
                ends.append(found.result())
                if len(ends) == 50: left.set_result(None)
            for _ in range(50): one.future(PAYLOAD, timeout=30).add_done_callback(over)
            left.result()
    def threads(count):
        with futures.ThreadPoolExecutor(50) as pool: list(pool.map(lambda _: one(PAYLOAD), range(count)))
    def stream(count):
        for _ in range(count // 100):
            for _ in several(PAYLOAD): pass
    def requests(count):
        for _ in range(count // 100): joined(iter([PAYLOAD] * 100))
    def bidi(count):
        for _ in range(count // 100):
            for _ in both(iter([PAYLOAD] * 100)): pass
    works = {
        "1": each, "50 threads": threads, "metadata, deadline": metadata, "interceptor": interceptor, "future": future,
        "50 futures": futures_of(50), "1000 futures": futures_of(1000), "50 callbacks": callbacks, "stream": stream,
        "requests": requests, "bidi": bidi,
    }
    measure(works[row], count)

class AsyncTracing(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation, details, request):
        begun = time.monotonic()
        outcome = await continuation(add_trace(details), request)
        outcome.add_done_callback(lambda found: time.monotonic() - begun)
        return outcome

async def call_async(row, port, count):
    interceptors = [AsyncTracing()] if row == "interceptor" else None
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=interceptors) as channel:
        one, several = channel.unary_unary("/a.B/One"), channel.unary_stream("/a.B/Many")
        both, joined = channel.stream_stream("/a.B/Echo"), channel.stream_unary("/a.B/Last")
        async def each(count):
            for _ in range(count): await one(PAYLOAD)
        async def metadata(count):
            for _ in range(count):
                made = one(PAYLOAD, metadata=METADATA, timeout=30)
                await made; await made.code()
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
        async def read(count):
            for _ in range(count // 100):
                made = several(PAYLOAD)
                while await made.read() is not grpc.aio.EOF: pass
        async def write(count):
            for _ in range(count // 100):
                made = both()
                for _ in range(100):
                    await made.write(PAYLOAD); await made.read()
                await made.done_writing(); await made.code()
        async def requests(count):
            for _ in range(count // 100): await joined([PAYLOAD] * 100)
        work = {
            "1": each, "50 tasks": tasks, "metadata, deadline": metadata, "interceptor": each, "stream": stream,
            "read": read, "write and read": write, "requests": requests, "bidi": bidi,
        }[row]
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
    "metadata, deadline": ("", 3000),
    "interceptor": ("", 3000),
    "future": ("", 3000),
    "50 futures": ("", 3000),
    "1000 futures": ("", 6000),
    "50 callbacks": ("", 3000),
    "stream": ("", 20000),
    "requests": ("", 10000),
    "bidi": ("", 10000),
    "async 1": (" async", 3000),
    "async 50 tasks": (" async", 5000),
    "async metadata, deadline": (" async", 3000),
    "async interceptor": (" async", 3000),
    "async stream": (" async", 20000),
    "async read": (" async", 20000),
    "async write and read": (" async", 5000),
    "async requests": (" async", 10000),
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


IMPORT = "import time; begun = time.process_time(); import grpc; print((time.process_time() - begun) * 1e3)"

MEMORY = r"""
import gc, os, sys, grpc
def resident(): return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
def connected():
    channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}", options=[("grpc.use_local_subchannel_pool", 1)])
    channel.unary_unary("/a.B/One")(b"")
    return channel
channels = [connected() for _ in range(10)]; gc.collect(); before = resident()
channels += [connected() for _ in range(100)]; gc.collect()
print((resident() - before) / 100 / 1024, flush=True); os._exit(0)
"""


def told(ours: bool, program: str, *arguments: str) -> float:
    """The figure that a program prints."""
    environment = {**os.environ, "PYTHONPATH": OURS if ours else ""}
    command = [sys.executable, "-c", program, *arguments]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    rounds = int(os.environ.get("ROUNDS", "1" if os.environ.get("SHORT") else "3"))
    rows = [each for each in sys.argv[1:] or ROWS if each in ROWS]
    if rows:
        print(
            "| µs of processor time | client | grpcio | ratio | server | grpcio | ratio |\n"
            "|---|---:|---:|---:|---:|---:|---:|"
        )
    for row in rows:
        found = []
        for _ in range(rounds):
            theirs = measured(row, False, False)
            found.append((measured(row, True, False)[0], theirs[0], measured(row, False, True)[1], theirs[1]))
        medians = [statistics.median(column) for column in zip(*found, strict=True)]
        client, grpcio_client, server, grpcio_server = medians
        print(
            f"| {row} | {client:.1f} | {grpcio_client:.1f} | {client / grpcio_client:.2f} "
            f"| {server:.1f} | {grpcio_server:.1f} | {server / grpcio_server:.2f} |",
            flush=True,
        )
    if not sys.argv[1:]:
        print("\n| beside it | this | grpcio | ratio |\n|---|---:|---:|---:|")
        tell("`import grpc`, ms of processor time", IMPORT, rounds * 3)
        server_process = start(False, "serve")
        try:
            tell("memory of a client for each idle channel, KiB", MEMORY, rounds, line(server_process))
        finally:
            server_process.kill()
            server_process.wait()


def tell(name: str, program: str, rounds: int, *arguments: str) -> None:
    """A row of two figures."""
    pairs = [(told(True, program, *arguments), told(False, program, *arguments)) for _ in range(rounds)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"| {name} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} |", flush=True)


if __name__ == "__main__":
    main()
