"""A web service that calls a gRPC service in its handlers: one channel for all of them, made when this is imported.

``GREETER=127.0.0.1:50051 uvicorn --app-dir examples fastapi_service:app``, then ``curl localhost:8000/hello/Bert``.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse

from puregrpc import Channel, RpcError, protos

hello = protos("definitions/hello.proto")
channel = Channel(os.environ.get("GREETER", "127.0.0.1:50051"))  # it connects with its first call
say_hello = channel.unary_unary(
    "hello.HelloService/SayHello", hello.HelloRequest.SerializeToString, hello.HelloResponse.FromString
)
lots_of_replies = channel.unary_stream(
    "hello.HelloService/LotsOfReplies", hello.HelloRequest.SerializeToString, hello.HelloResponse.FromString
)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await channel.close()


app = FastAPI(lifespan=lifespan)


@app.get("/hello/{name}")
async def greet(name: str) -> dict[str, str]:
    """A request that goes away cancels its call."""
    try:
        response = await say_hello(hello.HelloRequest(greeting=name), timeout=5)
    except RpcError as error:
        raise HTTPException(502, str(error)) from error
    return {"reply": response.reply}


@app.get("/replies/{name}")
async def replies(name: str) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        async for response in lots_of_replies(hello.HelloRequest(greeting=name)):
            yield f"{response.reply}\n"

    return StreamingResponse(lines(), media_type="text/plain")
