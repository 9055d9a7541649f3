"""Import and a first call, as a process: ``start FORM ADDRESS``; the benchmark times it from outside.

``start commands`` times the command line, from outside too: the best of some runs, with the bytecode there already.

Forms: ``client`` (puregrpc's scripting client: it compiles a .proto file, and calls with dicts), ``blocking`` and
``trio`` (puregrpc's channels, with bytes); ``grpcio-messages`` (with google.protobuf's messages), ``grpcio`` and
``grpcio-aio`` (with bytes).
"""

from __future__ import annotations

import sys

PROTOS = "conformance/interop/protos"
SERVICE = "grpc.testing.TestService"
EMPTY = f"/{SERVICE}/EmptyCall"


def client(address: str) -> None:
    from puregrpc import Client

    with Client() as client:
        client.load([PROTOS], "grpc/testing/test.proto")
        client.connect(address, plaintext=True)
        assert client.invoke(f"{SERVICE}/EmptyCall", {}).message == {}


def blocking(address: str) -> None:
    from puregrpc.channel import BlockingChannel

    with BlockingChannel(address) as channel:
        channel.unary_unary(EMPTY)(b"")


def on_trio(address: str) -> None:
    import trio

    from puregrpc import open_channel

    async def main() -> None:
        async with open_channel(address) as channel:
            await channel.unary_unary(EMPTY)(b"")

    trio.run(main)


def grpcio_messages(address: str) -> None:
    import grpc
    from google.protobuf.empty_pb2 import Empty

    with grpc.insecure_channel(address) as channel:
        method = channel.unary_unary(EMPTY, Empty.SerializeToString, Empty.FromString)
        assert method(Empty()) == Empty()


def grpcio(address: str) -> None:
    import grpc

    with grpc.insecure_channel(address) as channel:
        channel.unary_unary(EMPTY)(b"")


def grpcio_aio(address: str) -> None:
    import asyncio

    import grpc.aio

    async def main() -> None:
        async with grpc.aio.insecure_channel(address) as channel:
            await channel.unary_unary(EMPTY)(b"")

    asyncio.run(main())


COMMANDS = {
    "--version": 80,
    "--help": 80,
    "call --help": 80,
    "list -p ADDRESS": 200,
    "describe -p ADDRESS hello.HelloService": None,
    "call -p ADDRESS hello.HelloService/SayHello -d {}": None,
}
"""Command -> the milliseconds that it may take on a machine that does nothing else."""


def commands(rounds: int = 10) -> None:
    """The times of commands beside that of an interpreter that does nothing, and of grpcurl where it is installed."""
    import subprocess  # here, so that what the forms cost is theirs
    import time
    from tempfile import TemporaryDirectory

    from benchmarks.measuring import ROOT, environment, started

    python, module = [sys.executable, "-c", "pass"], [sys.executable, "-m", "puregrpc"]
    grpcurl = ROOT / "conformance" / ".work" / "bin" / "grpcurl"
    with TemporaryDirectory() as bytecode, started([*module, "serve", "--port", "0"]) as server:
        variables = environment() | {"PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}

        def best(command: list[str]) -> float:
            def timed() -> float:
                begun = time.perf_counter()
                subprocess.run(command, env=variables, stdout=subprocess.DEVNULL, check=True)
                return (time.perf_counter() - begun) * 1e3

            return min(timed() for _ in range(rounds))

        print(f"{'python -c pass':<52}{best(python):8.0f} ms")
        for command, most in COMMANDS.items():
            arguments = command.replace("ADDRESS", server.address).split()
            bound = f"  (at most {most})" if most is not None else ""
            print(f"{'puregrpc ' + command:<52.51}{best([*module, *arguments]):8.0f} ms{bound}")
        if grpcurl.exists():
            print(f"{'grpcurl list':<52}{best([str(grpcurl), '-plaintext', server.address, 'list']):8.0f} ms")


FORMS = {
    "client": client, "blocking": blocking, "trio": on_trio,
    "grpcio-messages": grpcio_messages, "grpcio": grpcio, "grpcio-aio": grpcio_aio,
}  # fmt: skip

if __name__ == "__main__":
    if sys.argv[1:] == ["commands"]:
        commands()
    else:
        FORMS[sys.argv[1]](sys.argv[2])
        print("{}")
