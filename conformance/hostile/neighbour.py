"""A client that behaves well beside the hostile one: ``… conformance.hostile.neighbour PORT PID [TIMEOUT] [tls]``.

It calls again and again until its input ends, and prints how much processor time the victim took during the longest of
its calls, and how many failed. What passes on a busy machine says little; what the victim works meanwhile does not lie.
"""

from __future__ import annotations

import json
import sys
import threading
import time

from conformance.hostile.servers import QUICK_PATH
from puregrpc.channel import BlockingChannel
from puregrpc.errors import RpcError
from puregrpc.transport import TlsOptions

TIMEOUT = 10.0
PAUSE = 0.01


def processor_time(pid: int) -> float:
    """What a process has used of its processors, in seconds."""
    return time.clock_gettime((~pid << 3) | 2)  # how Linux numbers the clocks of processes


def main() -> None:
    port, pid = int(sys.argv[1]), int(sys.argv[2])
    timeout = float(sys.argv[3]) if len(sys.argv) > 3 else TIMEOUT
    is_over = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        is_over.set()

    threading.Thread(target=wait, daemon=True).start()
    waits: list[float] = []
    failed = 0
    tls = TlsOptions(verify=False) if "tls" in sys.argv else None
    with BlockingChannel(f"127.0.0.1:{port}", tls=tls) as channel:
        call = channel.unary_unary(QUICK_PATH)
        began = processor_time(pid)
        call(b"", timeout=timeout)
        waits.append(processor_time(pid) - began)
        print("ready", flush=True)
        while not is_over.wait(PAUSE):
            began = processor_time(pid)
            try:
                call(b"", timeout=timeout)
            except RpcError as error:
                failed += 1
                print(error, file=sys.stderr, flush=True)
            waits.append(processor_time(pid) - began)
    print(json.dumps({"waits": sorted(waits)[-3:], "calls": len(waits), "failed": failed}))


if __name__ == "__main__":
    main()
