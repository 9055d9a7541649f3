"""As in a notebook: one channel at the top, and cells that come and go, here each with a loop of its own.

``python examples/notebook.py 127.0.0.1:50051``. In Jupyter, where a loop runs, write ``await`` in place of
``asyncio.run``.
"""

# %% One channel for all cells. It needs no loop yet.
import asyncio
import sys

from puregrpc import Channel, protos

hello = protos("definitions/hello.proto")
channel = Channel(sys.argv[1])
say_hello = channel.unary_unary(
    "hello.HelloService/SayHello", hello.HelloRequest.SerializeToString, hello.HelloResponse.FromString
)
lots_of_replies = channel.unary_stream(
    "hello.HelloService/LotsOfReplies", hello.HelloRequest.SerializeToString, hello.HelloResponse.FromString
)


# %% A call. The channel connects.
async def greet(name: str) -> str:
    return str((await say_hello(hello.HelloRequest(greeting=name))).reply)


print(asyncio.run(greet("Bert")))


# %% Several at a time. The loop is another one, so the channel connects again.
async def greet_all(*names: str) -> list[str]:
    return await asyncio.gather(*map(greet, names))


print(asyncio.run(greet_all("Ernie", "Kermit")))


# %% A stream, left before its end: that cancels the call.
async def first_reply(name: str) -> str:
    async for response in lots_of_replies(hello.HelloRequest(greeting=name)):
        return str(response.reply)
    return ""


print(asyncio.run(first_reply("Bert")))

# %% The end.
asyncio.run(channel.close())
