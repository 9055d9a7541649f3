"""How many cases a second the fuzzer sends: ``python -m conformance.fuzz.speed 'COMMAND {port}'``, a fast shop's.

For example the command that ``conformance/fuzz/shops/get go@v1.85.0`` prints, with ``{port} sound`` behind it.
"""

from __future__ import annotations

import random
import resource
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from puregrpc.fuzz.connection.connecting import LinkOptions
from puregrpc.fuzz.connection.storm import Storm
from puregrpc.fuzz.connection.target import Target
from puregrpc.fuzz.engine.fuzzer import Fuzzer
from puregrpc.fuzz.engine.options import Options
from puregrpc.schema import Registry, load_files

SECONDS = 10.0
SHARED, SINGLE = 40_000, 8_000


def processor_time() -> float:
    """What this process has taken, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measured(what: str, run: Callable[[], int]) -> None:
    """Print a line of the table."""
    wall, processor = time.monotonic(), processor_time()
    count = run()
    wall, processor = time.monotonic() - wall, processor_time() - processor
    print(f"| {what} | {count / wall:,.0f} | {processor / count * 1e6:.0f} |", flush=True)


def many(send: Callable[[], int], count: int) -> int:
    """Send until there were so many; how many there were."""
    done = 0
    while done < count:
        done += send()
    return done


def main(command: str) -> None:
    """Measure one server."""
    registry = Registry()
    load_files(registry, [Path(__file__).with_name("zoo")], "shop.proto")
    method = registry.method("/shop.v1.Shop/GetItem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Target(LinkOptions("127.0.0.1", port), command=command) as target:
        fuzzer = Fuzzer(target, registry, [method], Options(levels=("schema",), time=SECONDS, seed=1))
        print("| cases | each second | µs of processor time each |\n|---|---|---|")
        measured("generated, sent and checked", lambda: fuzzer.run().cases)
        storm = Storm(target.options, fuzzer.profiles[method.path], random.Random(1))
        measured("frames, on shared connections", lambda: many(lambda: storm.shared(1024)[1], SHARED))
        measured("frames, a connection each", lambda: many(lambda: len(storm.single(32)), SINGLE))


if __name__ == "__main__":
    main(sys.argv[1])
