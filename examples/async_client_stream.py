"""A client stream on asyncio, with handlers. ``python examples/async_client_stream.py 127.0.0.1:50051``."""

import asyncio
import sys

from puregrpc import AsyncClient, AsyncStream


async def main() -> None:
    async with AsyncClient() as client:
        client.load(["definitions"], "hello.proto")
        await client.connect(sys.argv[1], plaintext=True)
        stream = AsyncStream(client, "hello.HelloService/LotsOfGreetings")
        stream.on("data", lambda message: print(message["reply"]))
        for name in ("Bert", "Ernie", "Kermit"):
            await stream.write({"greeting": name})
        await stream.end()
        await stream.wait()


asyncio.run(main())
