"""puregrpc's blocking Client: ``client_blocking unary|rich ADDRESS THREADS SECONDS``; one Client, one connection."""

from __future__ import annotations

import sys
import threading
import time

from conformance.interop.messages import PROTOS

from benchmarks.work import DEADLINE_SECONDS, UNARY, Clock, report, rich_metadata
from puregrpc import Client


def main() -> None:
    work, address, threads, seconds = sys.argv[1:]
    client = Client()
    client.load([str(PROTOS)], "grpc/testing/test.proto")
    client.connect(address, plaintext=True)
    request = {"responseSize": 16, "payload": {"body": "MDEyMzQ1Njc4OWFiY2RlZg=="}}
    clock = Clock()

    def loop(until: float) -> None:
        now = time.perf_counter()
        while now < until:
            if work == "rich":
                metadata = dict(rich_metadata())
                response = client.invoke(UNARY, request, timeout=DEADLINE_SECONDS * 1000, metadata=metadata)
            else:
                response = client.invoke(UNARY, request)
            assert response.status == 0, response
            then = now
            now = time.perf_counter()
            clock.latencies.append(now - then)

    loop(time.perf_counter() + min(1.0, float(seconds) / 3))
    clock.start()
    until = time.perf_counter() + float(seconds)
    workers = [threading.Thread(target=loop, args=(until,)) for _ in range(int(threads))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    clock.stop()
    report(clock.figures(len(clock.latencies)))
    client.close()


if __name__ == "__main__":
    main()
