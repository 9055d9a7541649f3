"""A bidirectional stream on asyncio: one task writes, another reads.

``python examples/async_bidi_stream.py 127.0.0.1:50051``.
"""

import asyncio
import sys

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
        writing = asyncio.create_task(greet(stream))
        async for message in stream:
            print(message["reply"])
        await writing


asyncio.run(main())
