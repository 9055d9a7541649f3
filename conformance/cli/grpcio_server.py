"""grpc.testing.TestService, health and reflection on grpcio. Prints the address; SIGTERM stops it."""

from __future__ import annotations

import signal
import threading
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from conformance.interop.grpcio_server import handlers
from conformance.interop.messages import pool


def main() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(20))
    server.add_generic_rpc_handlers((handlers(),))
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    names = ("grpc.testing.TestService", reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server, pool=pool())
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    print(f"listening on 127.0.0.1:{port}", flush=True)
    stopping.wait()
    server.stop(1).wait()


if __name__ == "__main__":
    main()
