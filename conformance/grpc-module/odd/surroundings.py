"""What is around calls: messages made at run time, forks, environments, many threads."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from running import Telling, server

PROTO = """
syntax = "proto3";
package odd;
message Request { string name = 1; }
message Reply { string text = 1; repeated int32 numbers = 2; }
service Greeter { rpc Greet (Request) returns (Reply); rpc Count (Request) returns (stream Reply); }
"""


def script(tell: Telling, what: str, text: str) -> None:
    """Run a program of its own; tell what it prints and how it ends."""
    command = [sys.executable, "-c", textwrap.dedent(text)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
    tell(what, finished.returncode, finished.stdout.splitlines())


def use_messages_made_at_run_time(tell: Telling) -> None:
    folder = tempfile.mkdtemp()
    (Path(folder) / "odd_greeter.proto").write_text(PROTO)
    sys.path.insert(0, folder)
    protos, services = grpc.protos_and_services("odd_greeter.proto")
    tell(sorted(name for name in vars(services) if "Greeter" in name))
    tell(protos.Request(name="x"), sorted(protos.DESCRIPTOR.message_types_by_name))
    tell(grpc.protos("odd_greeter.proto") is protos, grpc.services("odd_greeter.proto") is services)

    class Greeter(services.GreeterServicer):  # type: ignore[name-defined,misc]
        def Greet(self, request: Any, context: Any) -> Any:  # noqa: N802
            return protos.Reply(text=f"Hello, {request.name}", numbers=[1, 2])

    made = grpc.server(futures.ThreadPoolExecutor(2))
    services.add_GreeterServicer_to_server(Greeter(), made)
    port = made.add_insecure_port("127.0.0.1:0")
    made.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = services.GreeterStub(channel)
        tell(str(stub.Greet(protos.Request(name="odd"))).split())
        tell.raising("not implemented", lambda: list(stub.Count(protos.Request())))
        tell.raising("no message", stub.Greet, "text")
        request = protos.Request(name="static")
        reply = services.Greeter.Greet(request, f"127.0.0.1:{port}", insecure=True, timeout=5)
        tell(reply.text)
    made.stop(0).wait()
    tell.raising("a file that is not there", grpc.protos, "odd_nothing.proto")


def use_fork(tell: Telling) -> None:
    made, port = server({"Call": grpc.unary_unary_rpc_method_handler(lambda request, context: request)})
    script(
        tell,
        "a channel made after the fork",
        f"""
        import grpc, os
        if os.fork() == 0:
            channel = grpc.insecure_channel("127.0.0.1:{port}")
            print(channel.unary_unary("/a.B/Call")(b"child", timeout=5), flush=True)
            os._exit(0)
        os.wait()
        channel = grpc.insecure_channel("127.0.0.1:{port}")
        print(channel.unary_unary("/a.B/Call")(b"parent", timeout=5), flush=True)
        """,
    )
    made.stop(0).wait()


def use_ends_of_programs(tell: Telling) -> None:
    made, port = server({"Call": grpc.unary_unary_rpc_method_handler(lambda request, context: request)})
    script(
        tell,
        "a channel that nobody closes",
        f"""
        import grpc
        channel = grpc.insecure_channel("127.0.0.1:{port}")
        print(channel.unary_unary("/a.B/Call")(b"x", timeout=5))
        """,
    )
    script(
        tell,
        "a server that nobody stops",
        """
        import grpc
        from concurrent import futures
        server = grpc.server(futures.ThreadPoolExecutor(1))
        server.add_insecure_port("127.0.0.1:0")
        server.start()
        print("started")
        """,
    )
    script(
        tell,
        "channels of asyncio that nobody closes",
        f"""
        import asyncio, grpc
        async def main():
            channel = grpc.aio.insecure_channel("127.0.0.1:{port}")
            print(await channel.unary_unary("/a.B/Call")(b"x", timeout=5))
        asyncio.run(main())
        """,
    )
    script(
        tell,
        "an error that nobody takes",
        """
        import grpc
        grpc.insecure_channel("127.0.0.1:1").unary_unary("/a.B/Call")(b"", timeout=5)
        """,
    )
    made.stop(0).wait()


def use_many_threads(tell: Telling) -> None:
    made, port = server({"Call": grpc.unary_unary_rpc_method_handler(lambda request, context: request)})
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/a.B/Call")
        with futures.ThreadPoolExecutor(20) as pool:
            results = list(pool.map(lambda i: call(b"%d" % i, timeout=10), range(200)))
        tell(results == [b"%d" % i for i in range(200)])
        begun = [call.future(b"%d" % i, timeout=10) for i in range(200)]
        tell([future.result() for future in begun] == results)
        left = threading.Semaphore(0)
        for i in range(50):
            call.future(b"%d" % i, timeout=10).add_done_callback(lambda found: left.release())
        tell(all(left.acquire(timeout=5) for _ in range(50)))
    made.stop(0).wait()


def use_kinds_of_addresses(tell: Telling) -> None:
    path = tempfile.mktemp()
    made = grpc.server(futures.ThreadPoolExecutor(2))

    def look(request: bytes, context: Any) -> bytes:
        return context.peer().partition(":")[0].encode()

    handlers = {"Call": grpc.unary_unary_rpc_method_handler(look)}
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    tell("a path", made.add_insecure_port(f"unix:{path}"))
    tell("an abstract one", made.add_insecure_port(f"unix-abstract:odd-{os.getpid()}"))
    port = made.add_insecure_port("[::1]:0")
    made.start()
    for target in (f"unix:{path}", f"unix://{path}", f"unix-abstract:odd-{os.getpid()}", f"[::1]:{port}",
                   f"ipv6:[::1]:{port}", f"ipv6:%5B::1%5D:{port}", f"dns:///[::1]:{port}"):  # fmt: skip
        with grpc.insecure_channel(target) as channel:
            kind = target.partition("1")[0].partition("/")[0].partition("odd")[0]
            tell.raising(kind, channel.unary_unary("/a.B/Call"), b"", timeout=5)
    made.stop(0).wait()


NAMES = (
    "aio", "experimental", "experimental.aio", "_channel", "_interceptor", "_server", "_utilities", "_common",
    "_cython.cygrpc", "_auth", "_compression", "_plugin_wrapping", "_typing", "aio._call", "aio._channel",
    "aio._interceptor", "aio._metadata", "aio._server", "aio._typing", "aio._utils", "framework", "_grpcio_metadata",
    "_runtime_protos",
)  # fmt: skip


def use_modules(tell: Telling) -> None:
    for name in NAMES:
        tell.raising(name, lambda n=name: importlib.import_module(f"grpc.{n}").__name__)
