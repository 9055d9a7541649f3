"""Calls from Pyodide to a server: call.py HOST:PORT. Runs inside of Pyodide, whose loop runs already."""

import sys
import time

from puregrpc import AsyncClient, Server, open_channel
from puregrpc.errors import ConnectError


async def main() -> None:
    """Every shape of call, much data, what nobody answers, and how long a call takes."""
    async with AsyncClient() as client:
        await client.connect(sys.argv[1], plaintext=True, reflect=True)
        response = await client.invoke("hello.HelloService/SayHello", {"greeting": "Bert"})
        assert response.message == {"reply": "hello Bert"}, response
        stream = client.stream("hello.HelloService/BidiHello")
        for name in ("Ada", "Eva"):
            await stream.write({"greeting": name})
        await stream.end()
        assert [message["reply"] async for message in stream] == ["hello Ada", "hello Eva"]
        large = "x" * 1_000_000
        response = await client.invoke("hello.HelloService/SayHello", {"greeting": large}, timeout=60_000)
        assert response.message["reply"] == f"hello {large}"
        began = time.perf_counter()
        for _ in range(300):
            await client.invoke("hello.HelloService/SayHello", {"greeting": "Bert"})
        print(f"{300 / (time.perf_counter() - began):.0f} calls/s, one after the other")
    async with AsyncClient() as client:
        try:
            await client.connect("127.0.0.1:1", plaintext=True, timeout=5_000)
        except ConnectError as error:
            assert "127.0.0.1:1" in str(error), error
        else:
            raise AssertionError("nobody listens there")
    async with open_channel(sys.argv[1]) as channel:  # field 1 of the request and of the reply is text
        assert await channel.unary_unary("/hello.HelloService/SayHello")(b"\n\x04Bert") == b"\n\nhello Bert"
    try:
        await Server("127.0.0.1:0").start()
    except ConnectError as error:
        assert "Pyodide cannot listen" in str(error), error
    else:
        raise AssertionError("nothing can listen here")


await main()  # type: ignore[top-level-await]  # noqa: F704
