"""One unary call of raw bytes: ``python -m conformance.fuzz.clients.puregrpc_client ADDRESS``."""

import sys

from puregrpc import BlockingChannel, RpcError

with BlockingChannel(sys.argv[1]) as channel:
    try:
        channel.unary_unary("/echo.Echo/Call")(b"abc", timeout=5)
    except RpcError as error:
        raise SystemExit(f"{error}") from None
