"""async_bidi_stream.py on trio, with a nursery. ``python examples/trio_bidi_stream.py 127.0.0.1:50051``."""

import sys

import trio

from puregrpc import AsyncClient, AsyncStream


async def greet(stream: AsyncStream) -> None:
    for name in ("Bert", "Ernie", "Kermit"):
        await stream.write({"greeting": name})
    await stream.end()


async def main() -> None:
    async with AsyncClient() as client:
        client.load(["definitions"], "hello.proto")
        await client.connect(sys.argv[1], plaintext=True)
        stream = client.stream("hello.HelloService/BidiHello")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(greet, stream)
            async for message in stream:
                print(message["reply"])


trio.run(main)
