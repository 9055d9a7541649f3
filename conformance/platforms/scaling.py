"""How calls, messages and compilations scale with threads: with channels and codecs of their own, or shared ones."""

import sys
import threading
import time
from collections.abc import Callable

from puregrpc import BlockingServer, Client
from puregrpc.codec import Codec
from puregrpc.proto import compile as compile_protos
from puregrpc.schema import Registry
from puregrpc.services.demo import add_demo_services

SECONDS = 1.5
SAY_HELLO = "hello.HelloService/SayHello"
SOURCE = """syntax = "proto3"; package s;
message M { string a = 1; repeated int32 b = 2; M c = 3; map<string, double> d = 4; }"""
VALUE = {"a": "text", "b": list(range(20)), "c": {"a": "inner"}, "d": {"x": 1.5, "y": 2.5}}


def rate(threads: int, make: Callable[[], Callable[[], object]]) -> tuple[float, float]:
    """How often a second all threads together call what ``make`` gives each, and processor time (µs) for each call."""
    counts = [0] * threads
    start = threading.Barrier(threads + 1)

    def work(index: int) -> None:
        call = make()
        call()
        start.wait()
        until = time.perf_counter() + SECONDS
        count = 0
        while time.perf_counter() < until:
            call()
            count += 1
        counts[index] = count

    running = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for thread in running:
        thread.start()
    start.wait()
    began = time.process_time()
    for thread in running:
        thread.join()
    return sum(counts) / SECONDS, (time.process_time() - began) / sum(counts) * 1e6


def own_codec() -> Callable[[], object]:
    """Encodes and decodes a message, with a codec of its own."""
    registry = Registry()
    registry.add_file(compile_protos(["s.proto"], sources={"s.proto": SOURCE})[0])
    codec, descriptor = Codec(registry), registry.message("s.M")
    return lambda: codec.decode(descriptor, codec.encode(descriptor, VALUE))


def own_compiler() -> Callable[[], object]:
    """Compiles a small file."""
    return lambda: compile_protos(["s.proto"], sources={"s.proto": SOURCE})


def main() -> None:
    """Prints a line for each."""
    is_enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    print(f"Python {sys.version.split()[0]}, {'with' if is_enabled else 'without'} the GIL")
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

    kinds = (own_codec, own_compiler, own_channel, shared_channel)
    for kind in (each for each in kinds if each.__name__ in (sys.argv[1:] or each.__name__)):
        (alone, cost), (together, cost_together) = (rate(threads, kind) for threads in (1, 2))
        print(
            f"{kind.__name__:15} {alone:9.0f} {together:9.0f} a second on 1 and 2: ×{together / alone:.2f}; "
            f"{cost:.0f} and {cost_together:.0f} µs of processor time each"
        )
    for each in clients:
        each.close()
    server.stop(0).wait()


if __name__ == "__main__":
    main()
