"""A server stream on asyncio, read by iteration. ``python examples/async_server_stream.py 127.0.0.1:50051``."""

import asyncio
import sys

from puregrpc import AsyncClient


async def main() -> None:
    async with AsyncClient() as client:
        client.load(["definitions"], "hello.proto")
        await client.connect(sys.argv[1], plaintext=True)
        stream = client.stream("hello.HelloService/LotsOfReplies")
        await stream.write({"greeting": "Bert"})
        async for message in stream:
            print(message["reply"])


asyncio.run(main())
