"""Servers whose reflection describes what nobody should: the client has a clear error or a working schema, and goes on.

The descriptors go over a real connection to a `Client` with ``reflect=True``. Beside the hostile service the server has
an honest one, which must work whatever the other's description is.
"""

from __future__ import annotations

import contextlib
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.codec.schemas import files
from tests.codec.test_generated_code import large_file, nasty_file
from tests.schema.test_hostile_descriptors import BROKEN, change_something, plain_file
from tests.server.serving import run_beside
from tests.services.test_reflection import answering
from tests.worlds import LOOPS, run

from puregrpc import AsyncClient, Client, StatusInternal
from puregrpc.errors import ConnectError, EncodeError, Error, NotConnected, RemoteProtocolError, RpcError, SchemaError
from puregrpc.server import Context, Method, Server
from puregrpc.services import HelloService
from puregrpc.services.contracts import contract

FIELD = descriptor_pb2.FieldDescriptorProto
File = descriptor_pb2.FileDescriptorProto
Answers = Callable[[dict[str, Any]], dict[str, Any] | bytes | None]

HELLO = contract("hello.proto").to_proto()

UNUSABLE = r"\"/a\.S/Do\" not found in file descriptors: the peer's description of a\.S cannot be used: ."


def described(protos: Iterable[File]) -> dict[str, Any]:
    texts = [b64encode(proto.SerializeToString()).decode("ascii") for proto in protos]
    return {"fileDescriptorResponse": {"fileDescriptorProto": texts}}


def reflecting(
    services: Mapping[str, Iterable[File]], by_name: Callable[[str], File | None] = lambda _: None
) -> Answers:
    """Reflection that lists ``services`` and hello.HelloService, with the files it gives for each."""

    def answers(request: dict[str, Any]) -> dict[str, Any]:
        if "listServices" in request:
            return {"listServicesResponse": {"service": [{"name": name} for name in (*services, "hello.HelloService")]}}
        symbol = request.get("fileContainingSymbol")
        if symbol is not None:
            return described([HELLO] if symbol == "hello.HelloService" else services[symbol])
        file = by_name(request["fileByFilename"])
        if file is None:
            return {"errorResponse": {"errorCode": 5, "errorMessage": "no such file"}}
        return described([file])

    return answers


async def echo(request: bytes, context: Context) -> bytes:
    return request


def hostile_server(answers: Answers, *more: Method) -> Server:
    """Answers reflection so, says hello honestly, and gives back what /a.S/Do is called with."""
    server = answering(answers)
    HelloService().add_to(server)
    server.add_methods([Method("/a.S/Do", echo), *more])
    return server


def say_hello(client: Client) -> None:
    assert client.invoke("hello.HelloService/SayHello", {"greeting": "Bert"}).message == {"reply": "hello Bert"}


def with_client(server: Server, body: Callable[[Client, str], None]) -> None:
    def connect(address: str) -> None:
        client = Client()
        try:
            body(client, address)
        finally:
            client.close()

    run_beside(server, "asyncio", connect)


def with_service(file: File, message: str) -> File:
    """The file with the service a.S, which takes and gives a message of it."""
    file.package = "a"
    file.service.add(name="S").method.add(name="Do", input_type=message, output_type=message)
    return file


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_description_leaves_out_its_service_and_no_other(change: Callable[[File], object]) -> None:
    file = plain_file()
    change(file)

    def body(client: Client, address: str) -> None:
        began = time.monotonic()
        assert client.connect(address, plaintext=True, reflect=True)
        assert time.monotonic() - began < 20
        with pytest.raises(SchemaError, match=UNUSABLE):
            client.invoke("a.S/Do", {})
        say_hello(client)

    with_client(hostile_server(reflecting({"a.S": [file]})), body)


def test_names_that_are_code_are_only_names() -> None:
    file = nasty_file()
    keys = {field.json_name: 5 if field.number >= 100 else "x" for field in file.message_type[0].field}
    with_service(file, ".nasty.__init__")
    for field in file.message_type[0].field:
        field.ClearField("default_value")
    file.service[0].method[0].input_type = file.service[0].method[0].output_type = ".a.__init__"

    def body(client: Client, address: str) -> None:
        client.connect(address, plaintext=True, reflect=True)
        assert client.invoke("a.S/Do", keys).message == keys
        with pytest.raises(EncodeError, match="string expected"):
            client.invoke("a.S/Do", {"'''": 5})
        say_hello(client)

    with_client(hostile_server(reflecting({"a.S": [file]})), body)


def recursive_files() -> tuple[File, File]:
    """a.M contains itself and, in the other file, b.N, which contains itself as a list, a map and a group, and a.M."""
    one = with_service(File(name="one.proto", syntax="proto2", dependency=["two.proto"]), ".a.M")
    two = File(name="two.proto", package="a", syntax="proto2")
    for file, name in ((one, "M"), (two, "N")):
        message = file.message_type.add(name=name)
        message.field.add(name="self", number=1, type=FIELD.TYPE_MESSAGE, type_name=f".a.{name}", label=1)
        message.field.add(name="list", number=2, type=FIELD.TYPE_MESSAGE, type_name=f".a.{name}", label=3)
        message.field.add(name="value", number=3, type=FIELD.TYPE_INT32, label=1)
    one.message_type[0].field.add(name="n", number=4, type=FIELD.TYPE_MESSAGE, type_name=".a.N", label=1)
    two.message_type[0].field.add(name="group", number=4, type=FIELD.TYPE_GROUP, type_name=".a.N", label=1)
    entry = two.message_type[0].nested_type.add(name="MapEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=FIELD.TYPE_STRING, label=1)
    entry.field.add(name="value", number=2, type=FIELD.TYPE_MESSAGE, type_name=".a.N", label=1)
    two.message_type[0].field.add(name="map", number=5, type=11, type_name=".a.N.MapEntry", label=3)
    return one, two


def test_recursive_types() -> None:
    one, two = recursive_files()

    async def bottomless(request: bytes, context: Context) -> bytes:
        return b"\x0b" * 100_000 if request else nested(20_000)

    one.service[0].method.add(name="Bottomless", input_type=".a.M", output_type=".a.M")

    def body(client: Client, address: str) -> None:
        client.connect(address, plaintext=True, reflect=True)
        inner: dict[str, Any] = {"value": 1}
        for wrap in (lambda v: {"group": v}, lambda v: {"map": {"k": v}}, lambda v: {"list": [v]}) * 8:
            inner = wrap(inner)
        message = {"list": [{"self": {"n": inner}}]}
        shown = client.invoke("a.S/Do", message).message
        assert without_defaults(shown) == message
        deep: dict[str, Any] = {}
        for _ in range(5000):
            deep = {"self": deep}
        with pytest.raises(EncodeError, match="nested too deep"):
            client.invoke("a.S/Do", deep)
        own: dict[str, Any] = {}
        own["self"] = own
        with pytest.raises(EncodeError, match="nested too deep"):
            client.invoke("a.S/Do", own)
        for request in ({}, {"value": 1}):
            refused(client, "a.S/Bottomless", request)
        say_hello(client)

    answers = reflecting({"a.S": [one]}, {"two.proto": two}.get)
    with_client(hostile_server(answers, Method("/a.S/Bottomless", bottomless)), body)


def nested(levels: int) -> bytes:
    """Field 1 in field 1 in field 1 ..."""
    parts: list[bytes] = []
    size = 0
    for _ in range(levels):
        length, rest = b"", size
        while rest > 127:
            length += bytes([rest & 127 | 128])
            rest >>= 7
        parts.append(b"\x0a" + length + bytes([rest]))
        size += len(parts[-1])
    return b"".join(reversed(parts))


def without_defaults(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_defaults(v) for key, v in value.items() if v is not None and v not in ([], {}, 0)}
    return [without_defaults(v) for v in value] if isinstance(value, list) else value


def refused(client: Client, method: str, request: dict[str, Any]) -> None:
    """The answer cannot be decoded, and that is what the call says."""
    response = client.invoke(method, request)
    assert response.status == StatusInternal
    assert "nested too deep" in str(response.error)


@pytest.mark.parametrize("fields", [500, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_message_of_many_fields(fields: int) -> None:
    file = large_file(fields)
    file.package = "a"
    for field in file.message_type[0].field:
        if field.type_name:
            field.type_name = ".a.Large"
    with_service(file, ".a.Large")
    request = {"f1": "one", "f2": {"f8": "Ag=="}, f"f{fields - 1 - fields % 5}": "7"}

    def body(client: Client, address: str) -> None:
        began = time.process_time()
        client.connect(address, plaintext=True, reflect=True)
        response = client.invoke("a.S/Do", request)
        assert response.error is None
        shown = response.message
        assert {key: shown[key] for key in ("f1", "f3")} == {"f1": "one", "f3": ""}
        assert shown["f2"]["f8"] == "Ag=="
        say_hello(client)
        assert time.process_time() - began < 25

    with_client(hostile_server(reflecting({"a.S": [file]})), body)


def test_imports_without_end() -> None:
    """Every file imports the next: the time to connect ends it."""

    def next_file(name: str) -> File:
        return File(name=name, dependency=[f"{int(name.removesuffix('.proto')) + 1}.proto"])

    first = with_service(File(name="0.proto", dependency=["1.proto"]), ".a.M")
    first.message_type.add(name="M")
    services = {"a.S": [first]}

    def body(client: Client, address: str) -> None:
        began = time.monotonic()
        with pytest.raises(ConnectError, match="did not describe itself by server reflection in time"):
            client.connect(address, plaintext=True, reflect=True, timeout=500)
        assert time.monotonic() - began < 20
        with pytest.raises(NotConnected):
            client.invoke("hello.HelloService/SayHello", {})
        services.clear()
        client.connect(address, plaintext=True, reflect=True)
        say_hello(client)

    with_client(hostile_server(reflecting(services, next_file)), body)


def plain_service(name: str, **settings: Any) -> File:
    file = with_service(File(name=name, syntax="proto3", **settings), ".a.M")
    file.message_type.add(name="M").field.add(name="x", number=1, type=FIELD.TYPE_INT32, label=1)
    return file


def lacking() -> File:
    file = plain_service("lacking.proto", dependency=["lost.proto"])
    file.message_type[0].field.add(name="y", number=2, type=FIELD.TYPE_MESSAGE, type_name=".lost.T", label=1)
    return file


LEFT_OUT: dict[str, tuple[list[File], dict[str, File]]] = {
    "two files of one name": ([plain_service("one.proto"), File(name="one.proto", package="b")], {}),
    "one symbol in two files": ([plain_service("one.proto"), plain_service("two.proto")], {}),
    "another file": ([File(name="other.proto", package="other")], {}),
}


@pytest.mark.parametrize(("protos", "imports"), LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_files_that_do_not_go_together(protos: list[File], imports: dict[str, File]) -> None:
    def body(client: Client, address: str) -> None:
        client.connect(address, plaintext=True, reflect=True)
        with pytest.raises(SchemaError, match=UNUSABLE):
            client.invoke("a.S/Do", {})
        say_hello(client)

    with_client(hostile_server(reflecting({"a.S": protos}, imports.get)), body)


def test_a_circle_of_imports_costs_nothing_that_does_not_need_it() -> None:
    file = plain_service("one.proto", dependency=["two.proto"])
    imports = {"two.proto": File(name="two.proto", dependency=["one.proto"])}

    def body(client: Client, address: str) -> None:
        client.connect(address, plaintext=True, reflect=True)
        assert client.invoke("a.S/Do", {"x": 5}).message == {"x": 5}

    with_client(hostile_server(reflecting({"a.S": [file]}, imports.get)), body)


def test_a_type_that_is_never_described() -> None:
    def body(client: Client, address: str) -> None:
        client.connect(address, plaintext=True, reflect=True)
        assert client.invoke("a.S/Do", {"x": 5}).message == {"x": 5, "y": None}
        with pytest.raises(EncodeError, match=r"request\.y: the type lost\.T is not in the schema"):
            client.invoke("a.S/Do", {"y": {}})
        say_hello(client)

    with_client(hostile_server(reflecting({"a.S": [lacking()]})), body)


NO_REFLECTION: dict[str, dict[str, Any] | bytes | None] = {
    "nothing": None,
    "an empty answer": {},
    "not a message": b"\xff\xff\xff",
    "files in place of services": {"fileDescriptorResponse": {"fileDescriptorProto": ["AAAA"]}},
    "an endless list": {"listServicesResponse": {"service": [{"name": f"s{n}"} for n in range(20_000)]}},
    "more than is taken": b"\x0a\x80\x80\x80\x04" + bytes(8 << 20),
}


@pytest.mark.parametrize("answer", NO_REFLECTION.values(), ids=NO_REFLECTION.keys())
def test_an_answer_that_is_none_is_told_on_connecting(answer: dict[str, Any] | bytes | None) -> None:
    honest = reflecting({})
    answers: list[Answers] = [lambda _: answer]

    def body(client: Client, address: str) -> None:
        with pytest.raises((RemoteProtocolError, RpcError)) as caught:
            client.connect(address, plaintext=True, reflect=True)
        assert "reflect" in str(caught.value) or "services" in str(caught.value)
        answers[0] = honest
        client.connect(address, plaintext=True, reflect=True)
        say_hello(client)

    with_client(hostile_server(lambda request: answers[0](request)), body)


@pytest.mark.parametrize(
    "name", ["", "\n", "a'b", "../../x", ".", "a.S\0", "naïve", "x" * 100_000, "__class__.__init__"]
)
def test_names_of_services_that_are_none(name: str) -> None:
    def body(client: Client, address: str) -> None:
        client.connect(address, plaintext=True, reflect=True)
        with pytest.raises(Error):
            client.invoke(f"{name}/Do", {})
        say_hello(client)

    with_client(hostile_server(reflecting({name: [plain_file()]})), body)


def test_descriptors_with_anything_changed() -> None:
    """One server, one client for each random description: it loads or is left out, and the honest service works."""
    services: dict[str, list[File]] = {}

    def check(address: str) -> None:
        @given(files(well_known=False), st.data())
        @settings(max_examples=60)
        def reflected(file: File, data: st.DataObject) -> None:
            service = file.service.add(name="S")
            service.method.add(name="Do", input_type=".r.M0", output_type=".r.M0")
            for _ in range(data.draw(st.integers(0, 3))):
                change_something(data.draw, file)
            services["a.S"] = [file]
            client = Client()
            try:
                client.connect(address, plaintext=True, reflect=True)
                with contextlib.suppress(Error):
                    client.invoke("a.S/Do", {})
                say_hello(client)
            finally:
                client.close()

        reflected()

    run_beside(hostile_server(reflecting(services)), "asyncio", check)


@pytest.mark.parametrize("world", LOOPS)
@pytest.mark.parametrize("change", list(BROKEN.values())[::12], ids=list(BROKEN)[::12])
def test_the_async_client(world: str, change: Callable[[File], object]) -> None:
    file = plain_file()
    change(file)

    async def main() -> None:
        async with hostile_server(reflecting({"a.S": [file]})) as server, AsyncClient() as client:
            await client.connect(server.addresses[0], plaintext=True, reflect=True)
            with pytest.raises(SchemaError, match=UNUSABLE):
                await client.invoke("a.S/Do", {})
            response = await client.invoke("hello.HelloService/SayHello", {"greeting": "Bert"})
            assert response.message == {"reply": "hello Bert"}

    run(main, world)
