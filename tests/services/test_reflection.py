"""Reflection: grpcio's client against the service, the client against grpcio's service, and peers that answer badly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from concurrent import futures
from functools import partial
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection as grpcio_reflection
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tests.server.serving import WORLDS, make_server, run_beside
from tests.worlds import LOOPS, move_on_after, run, sleep

from puregrpc.channel import open_channel
from puregrpc.errors import RemoteProtocolError, RpcError, SchemaError
from puregrpc.proto import compile as compile_proto
from puregrpc.schema import Registry
from puregrpc.server import Method, Server, Shape
from puregrpc.services import HealthService, HelloService, ReflectionClient, ReflectionService, open_reflection
from puregrpc.services.contracts import codec, contract, service

SOURCES = {
    "top.proto": """
        syntax = "proto2"; package top; import "middle.proto"; import public "google/protobuf/any.proto";
        message Top { optional middle.Middle middle = 1; extensions 100 to 200; enum Kind { ONE = 1; }
                      oneof choice { int32 a = 2; } }
        extend Top { optional int32 extra = 100; }
        message Scope { extend Top { optional string more = 101; } }
        service Service { rpc Do (Top) returns (middle.Middle); }
    """,
    "middle.proto": 'syntax = "proto3"; package middle; import "bottom.proto"; message Middle { bottom.Bottom b = 1; }',
    "bottom.proto": 'syntax = "proto3"; package bottom; message Bottom { string name = 1; }',
}


def reflecting_server(world: str = "trio", **options: Any) -> Any:
    server = make_server(world)
    HelloService().add_to(server)
    HealthService().add_to(server)
    (top,) = compile_proto(["top.proto"], sources=SOURCES)
    server.add_service(top.services[0], {"Do": lambda request, context: request}, messages="bytes")
    ReflectionService().add_to(server, **options)
    return server


def run_with_client(make_server: Callable[[], Server], body: Callable[[ReflectionClient], Any]) -> None:
    async def main() -> None:
        server = make_server()
        async with server, open_channel(server.addresses[0]) as channel, open_reflection(channel) as client:
            await body(client)

    for world in LOOPS:
        run(main, world)


def test_with_grpcios_client() -> None:
    def client(address: str) -> None:
        with grpc.insecure_channel(address) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            assert set(database.get_services()) == {
                "hello.HelloService",
                "grpc.health.v1.Health",
                "top.Service",
                "grpc.reflection.v1.ServerReflection",
                "grpc.reflection.v1alpha.ServerReflection",
            }
            pool = DescriptorPool(database)
            assert pool.FindServiceByName("hello.HelloService").methods_by_name["SayHello"].full_name
            assert pool.FindMessageTypeByName("top.Top").fields_by_name["middle"].full_name == "top.Top.middle"
            assert list(database.FindAllExtensionNumbers("top.Top")) == [100, 101]

    for world in WORLDS:
        run_beside(reflecting_server(world), world, client)


@pytest.mark.parametrize("versions", [["v1", "v1alpha"], ["v1"], ["v1alpha"]])
def test_both_halves(versions: list[str]) -> None:
    async def body(client: ReflectionClient) -> None:
        assert "top.Service" in await client.list_services()
        assert client.version == versions[0]
        registry = Registry()
        assert await client.load(registry, ["top.Service"]) == ["top.Service"]
        assert registry.method("top.Service/Do").output_type.full_name == "middle.Middle"
        assert set(SOURCES) <= set(registry.files)
        everything = Registry()
        assert set(await client.load(everything)) == set(await client.list_services())
        for symbol in ("top.Top", "top.Top.middle", "top.Top.ONE", "top.Top.Kind", "top.Top.choice", "top.Service.Do"):
            assert names(await client.file_containing_symbol(symbol)) == ["top.proto"]
        assert names(await client.file_containing_symbol("top.Scope.more")) == ["top.proto"]
        assert await client.extension_numbers("top.Top") == [100, 101]
        assert await client.extension_numbers("bottom.Bottom") == []
        assert names(await client.file_containing_extension("top.Top", 100)) == ["top.proto"]
        for unknown in (
            client.file_by_filename("no.proto"),
            client.file_containing_symbol("no.Such"),
            client.file_containing_extension("top.Top", 199),
            client.extension_numbers("no.Such"),
        ):
            with pytest.raises(SchemaError, match="NOT_FOUND"):
                await unknown
        # The stream is still good after errors, and what was sent before is sent again when it is asked for.
        assert names(await client.file_by_filename("bottom.proto")) == ["bottom.proto"]

    run_with_client(partial(reflecting_server, versions=versions), body)


def names(files: list[bytes]) -> list[str]:
    return [descriptor_pb2.FileDescriptorProto.FromString(data).name for data in files]


def test_imports_come_along_once() -> None:
    async def body(client: ReflectionClient) -> None:
        first = names(await client.file_containing_symbol("top.Service"))
        assert first[0] == "top.proto"
        assert set(first) == {"top.proto", "middle.proto", "bottom.proto", "google/protobuf/any.proto"}
        assert names(await client.file_by_filename("middle.proto")) == ["middle.proto"]

    run_with_client(reflecting_server, body)


def test_client_with_grpcios_service() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    grpcio_reflection.enable_server_reflection(["grpc.health.v1.Health"], server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    async def main() -> None:
        async with open_channel(f"127.0.0.1:{port}") as channel, open_reflection(channel) as client:
            registry = Registry()
            assert await client.load(registry) == ["grpc.health.v1.Health"]
            assert client.version == "v1alpha"
            found = registry.service("grpc.health.v1.Health")
            methods = [method.name for method in found.methods]
            assert methods == list(health_pb2.DESCRIPTOR.services_by_name["Health"].methods_by_name)

    try:
        for world in LOOPS:
            run(main, world)
    finally:
        server.stop(0).wait()


REFLECTION = "grpc/reflection/v1/reflection.proto"


def answering(answers: Callable[[dict[str, Any]], dict[str, Any] | bytes | None]) -> Server:
    """A server whose reflection gives what ``answers`` says; None ends the stream."""
    messages = codec(REFLECTION)
    response = contract(REFLECTION).messages[2]
    assert response.name == "ServerReflectionResponse"

    async def info(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            answer = answers(messages.decode(contract(REFLECTION).messages[0], request))
            if answer is None:
                return
            yield answer if isinstance(answer, bytes) else messages.encode(response, answer)

    server = Server("127.0.0.1:0")
    path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    server.add_method(Method(path, info, Shape.BIDI))
    return server


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({}, RemoteProtocolError),
        ({"listServicesResponse": {"service": [{"name": f"s{n}"} for n in range(10_001)]}}, RemoteProtocolError),
        ({"fileDescriptorResponse": {"fileDescriptorProto": []}}, RemoteProtocolError),
        ({"errorResponse": {"errorCode": 99, "errorMessage": "no"}}, SchemaError),
        (None, RemoteProtocolError),
    ],
)
def test_bad_answers(answer: dict[str, Any] | None, error: type[Exception]) -> None:
    async def body(client: ReflectionClient) -> None:
        for _ in range(2):
            with pytest.raises(error):
                await client.list_services()

    run_with_client(lambda: answering(lambda _: answer), body)


def test_bytes_that_are_no_answer() -> None:
    async def body(client: ReflectionClient) -> None:
        with pytest.raises(RemoteProtocolError):
            await client.list_services()

    run_with_client(lambda: answering(lambda _: b"\xff\xff\xff"), body)


@pytest.mark.parametrize("garbage", ["AAAA", "/////w==", ""])
def test_files_that_are_no_descriptors(garbage: str) -> None:
    async def body(client: ReflectionClient) -> None:
        with pytest.raises(SchemaError):
            await client.load(Registry(), ["pkg.Service"])

    answer = {"fileDescriptorResponse": {"fileDescriptorProto": [garbage]}}
    run_with_client(lambda: answering(lambda _: answer), body)


def test_a_server_that_ends_the_stream_after_each_answer() -> None:
    asked: list[Any] = []

    def answers(request: dict[str, Any]) -> dict[str, Any] | None:
        asked.append(request)
        return {"listServicesResponse": {"service": [{"name": "a.B"}]}} if len(asked) % 2 else None

    async def body(client: ReflectionClient) -> None:
        asked.clear()
        for _ in range(3):
            assert await client.list_services() == ["a.B"]

    run_with_client(lambda: answering(answers), body)


def test_a_question_that_is_given_up_leaves_no_answer_for_the_next() -> None:
    async def info(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        messages, types = codec(REFLECTION), contract(REFLECTION).messages
        async for request in requests:
            question = messages.decode(types[0], request)
            if "fileByFilename" in question:
                await sleep(0.2)
                yield messages.encode(types[2], {"errorResponse": {"errorCode": 5, "errorMessage": "too late"}})
            else:
                yield messages.encode(types[2], {"listServicesResponse": {"service": [{"name": "a.B"}]}})

    def make_server() -> Server:
        server = Server("127.0.0.1:0")
        server.add_method(Method("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", info, Shape.BIDI))
        return server

    async def body(client: ReflectionClient) -> None:
        assert await move_on_after(0.1, partial(client.file_by_filename, "a.proto"))
        assert await client.list_services() == ["a.B"]

    run_with_client(make_server, body)


def test_no_reflection() -> None:
    async def body(client: ReflectionClient) -> None:
        for _ in range(2):
            with pytest.raises(RpcError, match="UNIMPLEMENTED"):
                await client.list_services()

    def make_server() -> Server:
        server = Server("127.0.0.1:0")
        HelloService().add_to(server)
        return server

    run_with_client(make_server, body)


def test_the_contracts_are_those_of_their_services() -> None:
    assert service(REFLECTION, "grpc.reflection.v1.ServerReflection").methods[0].is_client_stream
