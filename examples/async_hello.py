"""A call, on asyncio. ``python examples/async_hello.py 127.0.0.1:50051``."""

import asyncio
import json
import sys

from puregrpc import AsyncClient, StatusOK, check


async def main() -> None:
    async with AsyncClient() as client:
        client.load(["definitions"], "hello.proto")
        await client.connect(sys.argv[1], plaintext=True)
        response = await client.invoke("hello.HelloService/SayHello", {"greeting": "Bert"})
        check(response, {"status is OK": lambda r: r and r.status == StatusOK})
        print(json.dumps(response.message))
    print(client.metrics.summary())


asyncio.run(main())
