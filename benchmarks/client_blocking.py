"""puregrpc's blocking Client: ``client_blocking FORM ADDRESS THREADS SECONDS``; one Client, one connection.

Forms: ``messages`` calls a stub with a google.protobuf object, as one calls grpcio; ``dicts`` calls ``invoke`` with a
dict, which is made bytes and back by generated Python.
"""

from __future__ import annotations

import sys
import threading
import time

from conformance.interop.messages import PROTOS

from benchmarks.work import UNARY, UNARY_DICT, Clock, report, unary_request
from puregrpc import Client


def main() -> None:
    form, address, threads, seconds = sys.argv[1:]
    client = Client()
    client.load([str(PROTOS)], "grpc/testing/test.proto")
    client.connect(address, plaintext=True)
    stub = client.stub("grpc.testing.TestService")
    message = stub.message("grpc.testing.SimpleRequest").FromString(unary_request().SerializeToString())
    clock = Clock()

    def loop(until: float) -> None:
        now = time.perf_counter()
        while now < until:
            if form == "messages":
                response = stub.UnaryCall(message)
            else:
                response = client.invoke(UNARY, UNARY_DICT)
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
