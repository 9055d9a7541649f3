"""Import and a first call, as a process: ``start FORM ADDRESS``; the benchmark times it from outside.

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


FORMS = {
    "client": client, "blocking": blocking, "trio": on_trio,
    "grpcio-messages": grpcio_messages, "grpcio": grpcio, "grpcio-aio": grpcio_aio,
}  # fmt: skip

if __name__ == "__main__":
    FORMS[sys.argv[1]](sys.argv[2])
    print("{}")
