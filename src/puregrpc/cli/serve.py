"""``puregrpc serve``: the demo server."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence

import trio

from puregrpc.errors import ConnectError, InvalidArgument
from puregrpc.server import Server, ServerConfig, stop_on_signal
from puregrpc.services.demo import add_demo_services
from puregrpc.transport import TlsOptions

__all__ = ["main"]


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(
        prog="puregrpc serve",
        description="Serve the demo services (hello.HelloService and others), with health and reflection.",
        epilog="SIGTERM and Ctrl-C drain it: no new calls, and those there are may finish; a second one ends them.",
    )
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    made.add_argument("--port", type=int, default=50051, help="port; 0 takes a free one (default: %(default)s)")
    made.add_argument("--unix", metavar="PATH", help="listen on a unix socket in place of host and port")
    made.add_argument("--tls-cert", metavar="FILE", help="certificate chain (PEM): serve TLS")
    made.add_argument("--tls-key", metavar="FILE", help="its private key (PEM)")
    made.add_argument("--tls-client-ca", metavar="FILE", help="ask clients for a certificate that one of these signed")
    made.add_argument("--grace", type=float, default=30.0, help="seconds that calls may take to finish when drained")
    made.add_argument("--engine", choices=("h2", "fast"), default=ServerConfig().engine, help="HTTP/2 engine")
    made.add_argument("--verbose", action="store_true", help="log connections that fail and handlers that raise")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    arguments = parser().parse_args(argv)
    if bool(arguments.tls_cert) != bool(arguments.tls_key):
        parser().error("--tls-cert and --tls-key go together")
    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.CRITICAL)
    tls = None
    if arguments.tls_cert:
        tls = TlsOptions(
            certificate_chain=arguments.tls_cert,
            private_key=arguments.tls_key,
            root_certificates=arguments.tls_client_ca,
            require_client_certificate=arguments.tls_client_ca is not None,
        )
    host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
    target = f"unix:{arguments.unix}" if arguments.unix else f"{host}:{arguments.port}"
    try:
        server = Server(target, tls=tls, config=ServerConfig(engine=arguments.engine))
        add_demo_services(server)
        trio.run(serve, server, arguments.grace)
    except (ConnectError, InvalidArgument) as error:
        print(f"puregrpc serve: {error}", file=sys.stderr)
        return 1
    return 0


async def serve(server: Server, grace: float) -> None:
    """Run the server until a signal has drained it."""
    async with server, trio.open_nursery() as nursery:
        await nursery.start(
            lambda *, task_status: stop_on_signal(
                server, (signal.SIGTERM, signal.SIGINT), grace=grace, task_status=task_status
            )
        )
        for address in server.addresses:
            print(f"listening on {address}", flush=True)
