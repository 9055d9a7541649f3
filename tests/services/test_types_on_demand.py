"""Types in a google.protobuf.Any are asked for by reflection when they come, and shown in the same way everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.server.serving import make_server, run_beside
from tests.services.boxes import DETAILS, SECRET, STRUCT, UNKNOWN, WRAPPED, add_boxes
from tests.worlds import LOOPS, run

from puregrpc import AsyncClient, Client, Server, Stream
from puregrpc.channel import open_channel
from puregrpc.codec import Codec, read_status
from puregrpc.errors import EncodeError, RpcError
from puregrpc.schema import Registry
from puregrpc.schema.missing_types import MAX_TYPES, MissingTypes
from puregrpc.services import ReflectionClient, TypesOnDemand, open_reflection
from puregrpc.wire.status import StatusCode

CONTENTS: list[dict[str, Any]] = [SECRET, WRAPPED, STRUCT]


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The symbols that servers were asked for."""
    names: list[str] = []
    ask = ReflectionClient.file_containing_symbol

    async def noting(self: ReflectionClient, symbol: str) -> list[bytes]:
        names.append(symbol)
        return await ask(self, symbol)

    monkeypatch.setattr(ReflectionClient, "file_containing_symbol", noting)
    yield names
    hidden = [name for name in names if name.startswith(("hidden.", "nobody."))]
    assert len(hidden) == len(set(hidden)), "each type is asked for once"


def with_client(body: Any) -> None:
    server = make_server("asyncio")
    add_boxes(server)

    def connect(address: str) -> None:
        with Client() as client:
            client.connect(address, plaintext=True, reflect=True)
            body(client)

    run_beside(server, "asyncio", connect)


def test_requests_and_responses(asked: list[str]) -> None:
    def body(client: Client) -> None:
        for content in CONTENTS * 2:
            assert client.invoke("box.Boxes/Echo", {"content": content}).message == {"content": content}
        assert client.invoke("box.Boxes/Echo", {"content": UNKNOWN}).message == {"content": UNKNOWN}
        for _ in range(2):
            with pytest.raises(EncodeError, match=r"unable to resolve .*nobody\.Knows"):
                client.invoke("box.Boxes/Echo", {"content": {"@type": "x/nobody.Knows", "a": 1}})
        assert {"hidden.Secret", "nobody.Knows"} <= set(asked)

    with_client(body)


def test_responses_of_types_that_only_come() -> None:
    """The type is in what the server sends alone; several calls at once miss it."""

    def body(client: Client) -> None:
        codec = Codec(known_box())
        raw = codec.decode(known_box().message("box.Box"), boxed(WRAPPED))
        assert set(raw["content"]) == {"@type", "@value"}
        pending = [client.async_invoke("box.Boxes/Echo", raw) for _ in range(5)]
        assert [call.result(10).message for call in pending] == [{"content": WRAPPED}] * 5

    with_client(body)


def known_box() -> Registry:
    """What the service's own file has."""
    from tests.services.boxes import SOURCES

    from puregrpc.proto import compile as compile_proto

    registry = Registry()
    for file in compile_proto(["box.proto"], sources=SOURCES):
        registry.add_file(file)
    return registry


def boxed(content: dict[str, Any]) -> bytes:
    from tests.services.boxes import known

    return Codec(known()).encode(known().message("box.Box"), {"content": content})


def test_error_details() -> None:
    def body(client: Client) -> None:
        error = client.invoke("box.Boxes/Fail", {}).error
        assert error is not None
        assert error.details == DETAILS
        with client.stream("box.Boxes/Repeat") as stream:
            stream.write({"content": WRAPPED})
            stream.end()
            assert list(stream) == [{"content": WRAPPED}]
        seen: list[Any] = []
        stream = Stream(client, "box.Boxes/Repeat")
        stream.on("data", seen.append)
        stream.write({"content": STRUCT})
        stream.end()
        assert stream.wait(10_000)
        assert seen == [{"content": STRUCT}]

    with_client(body)


def test_details_of_a_stream() -> None:
    def body(client: Client) -> None:
        stream = client.stream("box.Boxes/Fail")
        stream.write({})
        with pytest.raises(RpcError) as caught:
            list(stream)
        assert str(caught.value.code) == "FailedPrecondition"
        assert caught.value.code == StatusCode.FAILED_PRECONDITION
        assert caught.value.details == {"code": 9, "message": "no box", "details": DETAILS}
        assert stream.error is not None
        assert stream.error.details == DETAILS

    with_client(body)


@pytest.mark.parametrize("world", LOOPS)
def test_async_clients(world: str) -> None:
    async def main() -> None:
        server = Server("127.0.0.1:0")
        add_boxes(server)
        async with server, AsyncClient() as client:
            await client.connect(server.addresses[0], plaintext=True, reflect=True)
            error = (await client.invoke("box.Boxes/Fail", {})).error
            assert error is not None
            assert error.details == DETAILS
            for content in CONTENTS:
                assert (await client.invoke("box.Boxes/Echo", {"content": content})).message == {"content": content}
            assert (await client.async_invoke("box.Boxes/Echo", {"content": WRAPPED})).message == {"content": WRAPPED}
            async with client.stream("box.Boxes/Repeat") as stream:
                await stream.write({"content": WRAPPED})
                await stream.end()
                assert [message async for message in stream] == [{"content": WRAPPED}]

    run(main, world)


@pytest.mark.parametrize("world", LOOPS)
def test_a_status_that_a_channel_raises(world: str) -> None:
    """Without a schema, the types of google.rpc and google.protobuf are known."""

    async def main() -> None:
        server = Server("127.0.0.1:0")
        add_boxes(server)
        async with server, open_channel(server.addresses[0]) as channel:
            with pytest.raises(RpcError) as caught:
                await channel.unary_unary("box.Boxes/Fail")(b"")
            error = caught.value
            assert (str(error.code), f"{error.code}", error.code) == ("FAILED_PRECONDITION", "FAILED_PRECONDITION", 9)
            assert error.trailers == ()
            assert error.details_bin
            details = error.details
            assert details is not None
            assert (details["code"], details["message"]) == (9, "no box")
            assert [set(details["details"][n]) for n in (0, 1)] == [{"@type", "@value"}] * 2
            assert details["details"][2:4] == DETAILS[2:4]
            assert read_status(error.details_bin, Codec(known_box()))["details"][2:4] == DETAILS[2:4]

    run(main, world)


def test_a_server_without_reflection_or_an_answer() -> None:
    async def main() -> None:
        server = Server("127.0.0.1:0")
        async with server, open_channel(server.addresses[0]) as channel:
            registry = known_box()
            types = TypesOnDemand(channel, registry)
            codec = Codec(registry)
            shown: list[Any] = []
            data = boxed(WRAPPED)
            for _ in range(2):
                await types.learn(lambda: shown.append(codec.decode(registry.message("box.Box"), data)))
            assert len(shown) == 3  # once more after the question that had no answer
            assert set(shown[-1]["content"]) == {"@type", "@value"}

    asyncio.run(main())


def test_what_is_noted_is_bounded() -> None:
    missing = MissingTypes()
    for number in range(2 * MAX_TYPES):
        missing.note(f"a.T{number}")
    for name in ("", "a b", "x" * 100_000, "a..b", "7"):
        missing.note(name)
    assert len(missing.names) == MAX_TYPES
    for name in missing.names:
        missing.answered(name)
        missing.note(name)
    missing.note("one.More")
    assert missing.names == []


def test_statuses_that_are_none() -> None:
    for data in (b"\xff\xff", b"\x1a\x7f", b"\x08"):
        status = read_status(data)
        [detail] = status["details"]
        assert detail["@error"].startswith("grpc-status-details-bin is not a google.rpc.Status: ")
    status = read_status(b"\x08\x05\x12\x02no\x1a\x12\x0a\x0c/hidden.Wrap\x12\x02\x0a\x05")
    assert status == {"code": 5, "message": "no", "details": [{"@type": "/hidden.Wrap", "@value": "CgU="}]}
    broken = b"\x1a\x2b\x0a\x25type.googleapis.com/google.rpc.Help12\x12\x02\x0a\x05"
    assert read_status(broken)["details"] == [{"@type": "type.googleapis.com/google.rpc.Help12", "@value": "CgU="}]
    broken = b"\x1a\x29\x0a\x23type.googleapis.com/google.rpc.Help\x12\x02\x0a\x05"
    [detail] = read_status(broken)["details"]
    assert detail == {
        "@type": "type.googleapis.com/google.rpc.Help",
        "@error": "truncated: a value goes on past the end of its message",
        "@value": "CgU=",
    }


@pytest.mark.parametrize("world", LOOPS)
def test_loading_a_symbol_twice(world: str) -> None:
    async def main() -> None:
        server = Server("127.0.0.1:0")
        add_boxes(server)
        async with server, open_channel(server.addresses[0]) as channel, open_reflection(channel) as reflection:
            registry = Registry()
            await reflection.load(registry, ["hidden.Wrap"])
            await reflection.load(registry, ["hidden.Secret"])
            assert {"hidden.proto", "deeper.proto"} <= registry.files.keys()

    run(main, world)
