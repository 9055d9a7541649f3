"""Import and a first call, as a process: ``start puregrpc|grpcio ADDRESS``; the benchmark times it from outside."""

from __future__ import annotations

import sys

EMPTY = "/grpc.testing.TestService/EmptyCall"


def puregrpc_first_call(address: str) -> None:
    import trio

    import puregrpc

    async def main() -> None:
        async with puregrpc.open_channel(address) as channel:
            await channel.unary_unary(EMPTY)(b"")

    trio.run(main)


def grpcio_first_call(address: str) -> None:
    import grpc

    with grpc.insecure_channel(address) as channel:
        channel.unary_unary(EMPTY)(b"")


if __name__ == "__main__":
    {"puregrpc": puregrpc_first_call, "grpcio": grpcio_first_call}[sys.argv[1]](sys.argv[2])
    print("{}")
