"""Interceptors around calls of every shape."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from puregrpc.channel import CallDetails, ClientCall, Interceptor, UnaryResult, open_channel
from puregrpc.channel.calls.interceptors import ProceedStream, ProceedUnary
from puregrpc.errors import RpcError
from puregrpc.wire.status import OK
from tests.channel.helpers import run

pytestmark = pytest.mark.worlds("trio", "asyncio", "uvloop")


class Recorder(Interceptor):
    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    async def unary(self, details: CallDetails, request: Any, proceed: ProceedUnary) -> UnaryResult[Any]:
        self.log.append(f"{self.name}>{details.path}")
        try:
            result = await proceed(replace(details, metadata=(*details.metadata, ("x-by", self.name))), request)
        except RpcError as error:
            self.log.append(f"{self.name}!{error.code}")
            raise
        self.log.append(f"{self.name}<{result.status.code}")
        return result

    @asynccontextmanager
    async def stream(self, details: CallDetails, proceed: ProceedStream) -> AsyncIterator[ClientCall[Any, Any]]:
        self.log.append(f"{self.name}>{details.path}")
        async with proceed(details) as call:
            yield call
        self.log.append(f"{self.name}<{call.status.code}")


class Answering(Interceptor):
    async def unary(self, details: CallDetails, request: Any, proceed: ProceedUnary) -> UnaryResult[Any]:
        return UnaryResult("from here", (), (), OK)


class Repeating(Interceptor):
    async def unary(self, details: CallDetails, request: Any, proceed: ProceedUnary) -> UnaryResult[Any]:
        await proceed(details, request)
        return await proceed(details, request + request)


def test_unary(server: str) -> None:
    async def test() -> None:
        log: list[str] = []
        async with open_channel(server, interceptors=[Recorder("a", log), Recorder("b", log)]) as channel:
            result = await channel.unary_unary("test.Service/MetadataBack").with_call(b"")
            assert [value for name, value in result.headers if name == "x-by"] == ["a", "b"]
            assert json.loads(result.message)["x-by"] == "b"
            with pytest.raises(RpcError):
                await channel.unary_unary("test.Service/Fail")(b"")
        path, fail = "/test.Service/MetadataBack", "/test.Service/Fail"
        assert log == [f"a>{path}", f"b>{path}", "b<0", "a<0", f"a>{fail}", f"b>{fail}", "b!NOT_FOUND", "a!NOT_FOUND"]

    run(test)


def test_streams(server: str) -> None:
    async def test() -> None:
        log: list[str] = []
        async with open_channel(server, interceptors=[Recorder("a", log), Recorder("b", log)]) as channel:
            async with channel.unary_stream("test.Service/Count")(b"2") as call:
                assert [message async for message in call] == [b"0", b"1"]
            assert await channel.stream_unary("test.Service/Collect")([b"x"]) == b"1 1"
            async with channel.stream_stream("test.Service/Chat")([b"x"]) as call:
                assert [message async for message in call] == [b"X"]
        assert [entry[0] + entry[1] for entry in log] == ["a>", "b>", "b<", "a<"] * 3

    run(test)


def test_an_interceptor_may_answer_by_itself_or_call_twice(server: str) -> None:
    async def test() -> None:
        async with open_channel(server, interceptors=[Answering()]) as channel:
            assert await channel.unary_unary("nothing.Like/That", bytes, bytes.decode)(b"") == "from here"
        async with open_channel(server, interceptors=[Repeating()]) as channel:
            assert await channel.unary_unary("test.Service/Echo")(b"ab") == b"abab"

    run(test)
