"""``puregrpc serve``: the demo server, or any service of .proto files with examples or a script for its answers."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from puregrpc._version import __version__
from puregrpc.cli.schema_files import load_schema_files
from puregrpc.cli.script import load_script, script_handlers
from puregrpc.cli.script_handlers import MAX_THREADS
from puregrpc.errors import ConnectError, InvalidArgument, SchemaError
from puregrpc.kernel.threads.waking import Event
from puregrpc.proto.descriptors import ServiceDescriptor
from puregrpc.server import Server, ServerConfig, stop_on_signal
from puregrpc.services import ExampleService, add_demo_services, add_health_and_reflection
from puregrpc.transport import TlsOptions

__all__ = ["main"]

OWN_SERVICES = (
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
)
"""Services that the server has anyway, and that descriptor sets may have among the others."""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(
        prog="puregrpc serve",
        description="Serve the demo services (hello.HelloService and others), or with --proto or --protoset every "
        "service of those files, with health and reflection. Methods answer as the script says, or with an example of "
        "their response: text is the name of its field, numbers are 1, and what the request has in fields of the same "
        "name and type is echoed.",
        epilog="A script is a Python file with functions named as the methods (say_hello or SayHello), bare or in a "
        "class named as the service: def say_hello(request, context) returns a dict with the JSON names of fields. "
        "Those of streams take an iterator of requests, and yield their responses. Async functions run under trio, "
        "others in a thread. context has the metadata, and abort(code, message). "
        "SIGTERM and Ctrl-C drain it: no new calls, and those there are may finish; a second one ends them.",
    )
    made.add_argument("--version", action="version", version=f"puregrpc {__version__}")
    made.add_argument(
        "--proto",
        action="append",
        default=[],
        metavar="FILE",
        help="serve the services of this .proto file; may be repeated",
    )
    made.add_argument(
        "-I",
        "--import-path",
        action="append",
        default=[],
        metavar="FOLDER",
        help="where --proto and its imports are (default: the folder of the file); may be repeated",
    )
    made.add_argument(
        "--protoset",
        action="append",
        default=[],
        metavar="FILE",
        help="serve the services of this descriptor set; may be repeated",
    )
    made.add_argument("--script", metavar="FILE.py", help="functions that answer the methods; others have examples")
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    made.add_argument("--port", type=int, default=50051, help="port; 0 takes a free one (default: %(default)s)")
    made.add_argument("--unix", metavar="PATH", help="listen on a unix socket in place of host and port")
    made.add_argument("--tls-cert", metavar="FILE", help="certificate chain (PEM): serve TLS")
    made.add_argument("--tls-key", metavar="FILE", help="its private key (PEM)")
    made.add_argument("--tls-client-ca", metavar="FILE", help="ask clients for a certificate that one of these signed")
    made.add_argument("--grace", type=float, default=30.0, help="seconds that calls may take to finish when drained")
    made.add_argument(
        "--max-header-list-size",
        type=int,
        default=ServerConfig().max_header_list_size,
        metavar="BYTES",
        help="the most metadata that a request may have (default: %(default)s)",
    )
    made.add_argument("--engine", choices=("h2", "fast"), default=ServerConfig().engine, help="HTTP/2 engine")
    made.add_argument(
        "--misbehave",
        metavar="CASE",
        help="answer every call as no server should, for tests of clients: one case, several with commas between them, "
        "all (each connection the next), or list",
    )
    made.add_argument("--verbose", action="store_true", help="log connections that fail and handlers that raise")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    arguments = parser().parse_args(argv)
    if bool(arguments.tls_cert) != bool(arguments.tls_key):
        parser().error("--tls-cert and --tls-key go together")
    if arguments.tls_client_ca and not arguments.tls_cert:
        parser().error("--tls-client-ca needs --tls-cert and --tls-key: without them the server speaks no TLS")
    if not arguments.grace >= 0:
        parser().error(f"--grace: {arguments.grace:g} is not a number of seconds")
    if arguments.misbehave:
        return misbehave(arguments)
    given = arguments.proto or arguments.protoset
    if not given and (arguments.script or arguments.import_path):
        option = "--script" if arguments.script else "--import-path"
        parser().error(f"{option} needs the services: --proto FILE or --protoset FILE")
    # A script's own mistakes are what its author wants to see.
    quiet = logging.ERROR if arguments.script else logging.CRITICAL
    logging.basicConfig(level=logging.INFO if arguments.verbose else quiet)
    try:
        run_on_a_loop(partial(serve, make_server(arguments), arguments.grace))
    except (ConnectError, InvalidArgument, SchemaError) as error:
        print(f"puregrpc serve: {error}", file=sys.stderr)
        return 1
    return 0


def misbehave(arguments: argparse.Namespace) -> int:
    """List the misbehaviours, or serve some of them until SIGTERM or SIGINT."""
    from puregrpc.fuzz.misbehaving.misbehaviours import MISBEHAVIOURS
    from puregrpc.fuzz.misbehaving.server import MisbehavingServer

    if arguments.misbehave == "list":
        for name, case in MISBEHAVIOURS.items():
            print(f"{name:45} {case.about} (the call {CALL_IS[case.right]})")
        return 0
    chosen = list(MISBEHAVIOURS) if arguments.misbehave == "all" else arguments.misbehave.split(",")
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with MisbehavingServer(chosen, host=arguments.host, port=arguments.port) as server:
            print(f"listening on {server.address}", flush=True)
            while not stop.wait(0.5):
                pass
    except (InvalidArgument, OSError) as error:
        print(f"puregrpc serve: {error}", file=sys.stderr)
        return 1
    return 0


CALL_IS = {"ok": "succeeds", "error": "fails", "any": "succeeds or fails"}
"""What a sound client makes of a misbehaviour."""


def make_server(arguments: argparse.Namespace) -> Server:
    """The server that the arguments describe. Raises InvalidArgument or SchemaError."""
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
    config = ServerConfig(
        engine=arguments.engine,
        handler_threads=MAX_THREADS,
        max_header_list_size=arguments.max_header_list_size,
    )
    server = Server(target, tls=tls, config=config)
    if not arguments.proto and not arguments.protoset:
        add_demo_services(server)
        return server
    services = load_services(server, arguments)
    handlers = script_handlers(load_script(arguments.script), services) if arguments.script else {}
    for service in services:
        ExampleService(service, handlers.get(service.full_name)).add_to(server)
    add_health_and_reflection(server)
    return server


def load_services(server: Server, arguments: argparse.Namespace) -> list[ServiceDescriptor]:
    """The services of the files that were named, each once."""
    files = load_schema_files(
        server.registry, proto=arguments.proto, import_path=arguments.import_path, protoset=arguments.protoset
    )
    found = {service.full_name: service for file in files for service in file.services}
    services = [service for name, service in found.items() if name not in OWN_SERVICES]
    if not services:
        named = ", ".join([*arguments.proto, *arguments.protoset])
        raise SchemaError(f"{named}: no service is declared there; name the file that declares it")
    return services


def run_on_a_loop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine on trio, or on asyncio where trio cannot be imported, as in a Python without ssl."""
    try:
        import trio
    except ImportError:
        import asyncio

        asyncio.run(main())
    else:
        trio.run(main)


async def serve(server: Server, grace: float) -> None:
    """Run the server until a signal has drained it."""
    async with server:
        await stop_on_signal(server, (signal.SIGTERM, signal.SIGINT), grace=grace, task_status=_Started(server))


class _Started:
    """Says where the server listens, once a signal would stop it."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def started(self, _value: object = None) -> None:
        for address in self._server.addresses:
            print(f"listening on {address}", flush=True)
