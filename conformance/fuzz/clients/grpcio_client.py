"""One unary call of raw bytes on grpcio: ``python -m conformance.fuzz.clients.grpcio_client ADDRESS``."""

import sys

import grpc

with grpc.insecure_channel(sys.argv[1]) as channel:
    try:
        channel.unary_unary("/echo.Echo/Call")(b"abc", timeout=5)
    except grpc.RpcError as error:
        raise SystemExit(f"{error.code()}") from None
