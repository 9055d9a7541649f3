"""``puregrpc serve`` for services of .proto files: examples, scripts, and what it says of mistakes."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.cli.conftest import Ran

from puregrpc.channel import Channel, open_channel
from puregrpc.cli.compile import main as compile_main
from puregrpc.cli.serve import main, make_server, parser
from puregrpc.codec import Codec
from puregrpc.errors import RpcError
from puregrpc.schema import Registry
from puregrpc.server import Server
from puregrpc.services import ServingStatus, open_reflection
from puregrpc.services.health import check

PROTO = """
syntax = "proto3";
package shop.v1;
import "kinds/kind.proto";
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

service Shop {
  rpc GetItem(GetItemRequest) returns (Item);
  rpc ListItems(GetItemRequest) returns (stream Item);
  rpc AddItems(stream GetItemRequest) returns (Summary);
  rpc Chat(stream GetItemRequest) returns (stream Summary);
  rpc Ping(google.protobuf.Empty) returns (google.protobuf.Empty);
  rpc Upper(google.protobuf.StringValue) returns (google.protobuf.StringValue);
}
service Stock { rpc Count(google.protobuf.Empty) returns (Summary); }
service Nothing {}

message GetItemRequest {
  string name = 1;
  int64 price = 2;
  string count = 3;
  map<string, int32> sizes = 4;
  string card = 5;
  Kind kind = 6;
}
message Summary { string name = 1; int32 count = 2; }
message Item {
  string name = 1;
  int64 price = 2;
  bool is_new = 3;
  bytes picture = 4;
  Kind kind = 5;
  repeated double ratings = 6;
  map<string, int32> sizes = 7;
  map<int32, Part> parts = 8;
  oneof payment { bool cash = 9; string card = 10; }
  optional string nickname = 11;
  google.protobuf.Timestamp at = 12;
  google.protobuf.Duration takes = 13;
  google.protobuf.FieldMask mask = 14;
  google.protobuf.Struct data = 15;
  google.protobuf.Value value = 16;
  google.protobuf.ListValue list = 17;
  google.protobuf.Any any = 18;
  google.protobuf.StringValue note = 19;
  google.protobuf.UInt64Value large = 20;
  google.protobuf.BytesValue blob = 21;
  google.protobuf.NullValue nothing = 22;
  Item again = 23;
  repeated Item others = 24;
}
message Part { string label = 1; Item of = 2; fixed32 number = 3; }
"""
KIND = 'syntax = "proto3"; package shop.v1; enum Kind { KIND_UNKNOWN = 0; KIND_BIG = 2; KIND_SMALL = 1; }'
OLD_HEALTH = """
syntax = "proto3";
package grpc.health.v1;
message HealthCheckRequest { string service = 1; }
message HealthCheckResponse {
  enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; SERVICE_UNKNOWN = 3; }
  ServingStatus status = 1;
}
service Health {
  rpc Check(HealthCheckRequest) returns (HealthCheckResponse);
  rpc Watch(HealthCheckRequest) returns (stream HealthCheckResponse);
}
"""
EXAMPLE: dict[str, Any] = {
    "name": "name",
    "price": "1",
    "isNew": True,
    "picture": "cGljdHVyZQ==",
    "kind": "KIND_BIG",
    "ratings": [1],
    "sizes": {"key": 1},
    "parts": {"1": {"label": "label", "of": None, "number": 1}},
    "cash": True,
    "nickname": "nickname",
    "at": "2001-02-03T04:05:06Z",
    "takes": "1s",
    "mask": "path",
    "data": {"data": 1},
    "value": "value",
    "list": ["list"],
    "any": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "any"},
    "note": "note",
    "large": "1",
    "blob": "YmxvYg==",
    "nothing": None,
    "again": None,
    "others": [],
}
SCRIPT = """
import time
from os.path import join as list_items  # what is imported is not meant
import beside

calls = []

def _helper(request):
    return beside.WORD + request["name"]

def get_item(request, context):
    time.sleep(0.01)
    calls.append(context.method)
    if request["name"] == "raise":
        raise ValueError("broken")
    if request["name"] == "exit":
        raise SystemExit(3)
    if request["name"] == "wrong":
        return {"nam": "x"}
    if request["name"] == "abort":
        context.abort(5, message="there is none")
    context.send_initial_metadata({"x-early": "1"})
    context.set_trailing_metadata([("x-calls", str(len(calls)))])
    return {"name": _helper(request), "price": 7}

class Shop:
    def __init__(self):
        self.seen = 0

    async def AddItems(self, requests, context):
        async for request in requests:
            self.seen += 1
        return {"count": self.seen}

    def chat(self, requests, context):
        for request in requests:
            yield {"name": request["name"] * 2}
        yield {"name": "end"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "protos" / "kinds").mkdir(parents=True)
    (tmp_path / "protos" / "shop.proto").write_text(PROTO)
    (tmp_path / "protos" / "kinds" / "kind.proto").write_text(KIND)
    (tmp_path / "beside.py").write_text("WORD = 'the '")
    return tmp_path


def server_for(*arguments: str) -> Server:
    return make_server(parser().parse_args(["--port", "0", *arguments]))


class Caller:
    """Calls methods of the server by what its reflection says."""

    def __init__(self, channel: Channel, registry: Registry) -> None:
        self.channel = channel
        self.registry = registry
        self.codec = Codec(registry)

    async def all(self, name: str, *requests: Any) -> list[Any]:
        method = self.registry.method(name if "/" in name else f"shop.v1.Shop/{name}")
        async with self.channel.stream_stream(method, codec=self.codec)(requests) as call:
            return [response async for response in call]

    async def one(self, name: str, *requests: Any) -> Any:
        (response,) = await self.all(name, *requests)
        return response


def called(server: Server, body: Callable[[Caller], Awaitable[None]]) -> None:
    """Serve, and make calls."""

    async def run() -> None:
        with trio.fail_after(20):
            async with server, open_channel(server.addresses[0]) as channel:
                registry = Registry()
                async with open_reflection(channel) as reflection:
                    await reflection.load(registry)
                await body(Caller(channel, registry))

    trio.run(run)


def shop(folder: Path, script: str | None = None) -> Server:
    arguments = ["--proto", str(folder / "protos" / "shop.proto")]
    if script is not None:
        (folder / "answers.py").write_text(script)
        arguments += ["--script", str(folder / "answers.py")]
    return server_for(*arguments)


def test_examples_in_all_shapes(folder: Path) -> None:
    async def body(caller: Caller) -> None:
        assert await caller.one("GetItem", {}) == EXAMPLE
        assert await caller.all("ListItems", {}) == [EXAMPLE] * 3
        assert await caller.one("AddItems") == {"name": "name", "count": 1}
        assert await caller.one("AddItems", {"name": "a"}, {"name": "b"}) == {"name": "b", "count": 1}
        assert await caller.all("Chat", {"name": "a"}, {}) == [
            {"name": "a", "count": 1},
            {"name": "name", "count": 1},
        ]
        assert await caller.one("Ping", {}) == {}
        assert await caller.one("Upper", "text") == "text"
        assert await caller.one("shop.v1.Stock/Count", {}) == {"name": "name", "count": 1}

    called(shop(folder), body)


def test_what_the_request_has_as_well_is_echoed(folder: Path) -> None:
    async def body(caller: Caller) -> None:
        request = {"name": "ball", "price": 12, "sizes": {"a": 5}, "card": "visa", "kind": "KIND_SMALL", "count": "x"}
        answer = await caller.one("GetItem", request)
        echoed = {**EXAMPLE, **request, "price": "12"}
        del echoed["cash"], echoed["count"]
        assert answer == echoed
        assert await caller.one("AddItems", {"count": "of another type"}) == {"name": "name", "count": 1}

    called(shop(folder), body)


def test_health_and_reflection(folder: Path) -> None:
    async def body(caller: Caller) -> None:
        services = {service.full_name for service in caller.registry.services}
        assert {"shop.v1.Shop", "shop.v1.Stock", "grpc.health.v1.Health"} <= services
        assert "hello.HelloService" not in services
        assert await check(caller.channel, "shop.v1.Shop") is ServingStatus.SERVING

    called(shop(folder), body)


@pytest.mark.parametrize("name", ["shop.proto", "PROTOS/shop.proto"])
def test_import_paths(folder: Path, name: str) -> None:
    protos = str(folder / "protos")
    called(server_for("--proto", name.replace("PROTOS", protos), "-I", protos), ping)


async def ping(caller: Caller) -> None:
    assert await caller.one("Ping", {}) == {}


def test_a_descriptor_set(folder: Path) -> None:
    protos = str(folder / "protos")
    protoset = str(folder / "shop.binpb")
    assert compile_main(["-I", protos, "-o", protoset, "--include_imports", str(folder / "protos" / "shop.proto")]) == 0

    async def body(caller: Caller) -> None:
        assert await caller.one("GetItem", {}) == EXAMPLE

    called(server_for("--protoset", protoset), body)


@pytest.mark.parametrize("name", ["grpc/health/v1/health.proto", "grpc_health/v1/health.proto"])
def test_a_descriptor_set_that_brings_health_along(folder: Path, name: str) -> None:
    (folder / "protos" / Path(name)).parent.mkdir(parents=True)
    (folder / "protos" / Path(name)).write_text(OLD_HEALTH)
    mine = f'syntax = "proto3"; import "{name}"; service Mine {{ rpc A(grpc.health.v1.HealthCheckRequest) returns '
    (folder / "protos" / "mine.proto").write_text(mine + "(grpc.health.v1.HealthCheckResponse); }")
    arguments = ["-I", str(folder / "protos")]
    for file in (name, "mine.proto"):
        arguments += ["--proto", file]

    async def body(caller: Caller) -> None:
        assert await check(caller.channel, "Mine") is ServingStatus.SERVING
        assert await caller.one("Mine/A", {}) == {"status": "SERVING"}
        with pytest.raises(RpcError, match="NOT_FOUND"):
            await check(caller.channel, "grpc.health.v1.Health")

    called(server_for(*arguments), body)


def test_a_script_answers(folder: Path) -> None:
    async def body(caller: Caller) -> None:
        answer = await caller.one("GetItem", {"name": "ball"})
        assert (answer["name"], answer["price"], answer["note"]) == ("the ball", "7", None)
        assert await caller.one("AddItems", {}, {}) == {"name": "", "count": 2}
        assert [each["name"] for each in await caller.all("Chat", {"name": "a"}, {"name": "b"})] == ["aa", "bb", "end"]
        assert await caller.all("ListItems", {}) == [EXAMPLE] * 3
        assert await caller.one("shop.v1.Stock/Count", {}) == {"name": "name", "count": 1}

    called(shop(folder, SCRIPT), body)


@pytest.mark.parametrize(
    "script",
    [
        "def list_items(request, context):\n  yield {'name': 'a'}\n  yield {'name': 'b'}",
        "def list_items(request, context):\n  return [{'name': 'a'}, {'name': 'b'}]",
        "async def list_items(request, context):\n  return [{'name': 'a'}, {'name': 'b'}]",
        "async def ListItems(request, context):\n  yield {'name': 'a'}\n  yield {'name': 'b'}",
        "list_items = lambda request, context: iter([{'name': 'a'}, {'name': 'b'}])",
        "class Shop:\n  @staticmethod\n  def list_items(request, context):\n    yield from [{'name': n} for n in 'ab']",
    ],
)
def test_forms_of_streams(folder: Path, script: str) -> None:
    async def body(caller: Caller) -> None:
        assert [each["name"] for each in await caller.all("ListItems", {})] == ["a", "b"]

    called(shop(folder, script), body)


@pytest.mark.parametrize(
    "script",
    [
        "def add_items(requests, context):\n  return {'count': len(list(requests))}",
        "async def add_items(requests, context):\n  return {'count': len([each async for each in requests])}",
    ],
)
def test_forms_of_client_streams(folder: Path, script: str) -> None:
    async def body(caller: Caller) -> None:
        assert (await caller.one("AddItems", {}, {}, {}))["count"] == 3

    called(shop(folder, script), body)


def test_a_script_that_raises_does_not_end_the_server(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body(caller: Caller) -> None:
        for name, code, message in [
            ("raise", 2, "ValueError"),
            ("exit", 2, "ScriptExitError"),
            ("wrong", 13, "nam"),
            ("abort", 5, "there is none"),
        ]:
            with pytest.raises(RpcError) as caught:
                await caller.one("GetItem", {"name": name})
            assert (caught.value.code, message in caught.value.message) == (code, True)
        assert (await caller.one("GetItem", {"name": "ball"}))["name"] == "the ball"

    with caplog.at_level(logging.ERROR):
        called(shop(folder, SCRIPT), body)
    assert "ValueError: broken" in caplog.text


def test_responses_that_are_no_stream(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body(caller: Caller) -> None:
        with pytest.raises(RpcError) as caught:
            await caller.all("ListItems", {})
        assert caught.value.code == 2

    called(shop(folder, "def list_items(request, context):\n  return {'name': 'a'}"), body)
    assert "yield them or return a list, not dict" in caplog.text


def test_a_call_that_is_left_ends_its_thread(folder: Path) -> None:
    script = """
import threading

ended = threading.Event()

def chat(requests, context):
    try:
        for request in requests:
            yield {"name": request["name"]}
    finally:
        ended.set()

def count(request, context):
    return {"count": int(ended.wait(10))}
"""

    async def body(caller: Caller) -> None:
        method = caller.registry.method("shop.v1.Shop/Chat")
        async with caller.channel.stream_stream(method, codec=caller.codec)() as call:
            await call.send({"name": "a"})
            assert await call.receive() == {"name": "a", "count": 0}
            call.cancel()
        assert await caller.one("shop.v1.Stock/Count", {}) == {"name": "", "count": 1}

    called(shop(folder, script), body)


def test_the_script_of_the_examples() -> None:
    examples = Path(__file__).parents[2] / "examples"
    berlin = {"latitude": 525200000, "longitude": 134050000}

    async def body(caller: Caller) -> None:
        assert await caller.one("main.FeatureExplorer/GetFeature", berlin) == {"name": "Berlin", "location": berlin}
        with pytest.raises(RpcError, match="NOT_FOUND: there is nothing"):
            await caller.one("main.FeatureExplorer/GetFeature", {})
        found = await caller.all("main.FeatureExplorer/ListFeatures", {})
        assert [feature["name"] for feature in found] == ["Berlin", "Paris"]
        summary = await caller.one("main.RouteGuide/RecordRoute", berlin, {})
        assert (summary["pointCount"], summary["featureCount"]) == (2, 1)
        assert await caller.all("main.RouteGuide/RouteChat", {"location": berlin}) == [
            {"location": berlin, "message": "message"}
        ]

    proto = examples / "definitions" / "route_guide.proto"
    called(server_for("--proto", str(proto), "--script", str(examples / "answers.py")), body)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("x = 1\ndef get_item(:\n", "answers.py:2: "),
        ("x = 1\n\nprint(undefined)", "answers.py:3: NameError: name 'undefined' is not defined"),
        ("import sys\nsys.exit(4)", "answers.py:2: SystemExit: 4"),
        ("import no_such_module", "answers.py:1: ModuleNotFoundError: No module named 'no_such_module'"),
        ("\ndef get_itm(request, context): ...", "answers.py:2: get_itm fits no method of shop.v1.Shop, shop.v1.Stock"),
        ("def get_itm(request, context): ...", "did you mean get_item?"),
        ("def zzz(request, context): ...", "there are add_items, chat, count, get_item"),
        ("class Shop:\n  def count(self, request, context): ...", "answers.py:2: count fits no method of shop.v1.Shop"),
        ("class Shopp:\n  def ping(self, request, context): ...", "Shopp is named as no service; did you mean Shop?"),
        ("class Shop:\n  def __init__(self, x): ...", "class Shop of the script: TypeError: "),
        ("def get_item(request): ...", "answers.py:1: get_item: it is called with two arguments, (request, context)"),
        ("def get_item(request, context): yield", "has one response: return it, in place of yield"),
    ],
)
def test_what_it_says_of_a_script(folder: Path, run: Callable[..., Ran], script: str, problem: str) -> None:
    (folder / "answers.py").write_text(script)
    ran = run("serve", "--proto", str(folder / "protos" / "shop.proto"), "--script", str(folder / "answers.py"))
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("puregrpc serve: ")
    assert problem in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--proto", "FOLDER/none.proto"], "none.proto"),
        (
            ["--proto", "FOLDER/bad.proto", "-I", "FOLDER/protos"],
            "not below an import path (FOLDER/protos): add -I FOLDER",
        ),
        (["--protoset", "FOLDER/none.binpb"], "none.binpb"),
        (["--proto", "FOLDER/protos/kinds/kind.proto"], "kind.proto: no service is declared there"),
        (["--proto", "FOLDER/bad.proto"], "bad.proto:1:"),
        (["--proto", "FOLDER/protos/shop.proto", "--script", "FOLDER/none.py"], "none.py: there is no such file"),
        (["--proto", "FOLDER/protos/shop.proto", "--script", "FOLDER/bad.proto"], "a script is a Python file"),
    ],
)
def test_what_it_says_of_files(folder: Path, run: Callable[..., Ran], arguments: list[str], problem: str) -> None:
    (folder / "bad.proto").write_text("syntax = nothing;")
    ran = run("serve", *(argument.replace("FOLDER", str(folder)) for argument in arguments))
    assert (ran.status, ran.out) == (1, "")
    assert problem.replace("FOLDER", str(folder)) in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--tls-client-ca", "ca.pem"], "--tls-client-ca needs --tls-cert and --tls-key"),
        (["--tls-cert", "a.pem"], "--tls-cert and --tls-key go together"),
        (["--grace", "-1"], "--grace: -1 is not a number of seconds"),
        (["--grace", "nan"], "--grace: nan is not a number of seconds"),
    ],
)
def test_options_that_cannot_be_meant(arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert problem in capsys.readouterr().err


def test_a_script_needs_services(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--script", "x.py"])
    assert "--script needs the services: --proto FILE or --protoset FILE" in capsys.readouterr().err


def test_the_command_with_the_core_alone(folder: Path) -> None:
    (folder / "answers.py").write_text(SCRIPT)
    # click is the command line's extra.
    code = "import sys; sys.modules.update(click=None); from puregrpc.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "serve", "--port", "0", "--grace", "5"]
    command += ["--proto", str(folder / "protos" / "shop.proto"), "--script", str(folder / "answers.py")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}

    async def call(address: str) -> None:
        with trio.fail_after(20):
            async with open_channel(address) as channel:
                method = channel.unary_unary("/shop.v1.Shop/GetItem")
                assert b"the ball" in await method(b"\x0a\x04ball")
                with pytest.raises(RpcError):
                    await method(b"\x0a\x05raise")

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            trio.run(call, process.stdout.readline().removeprefix("listening on ").strip())
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
            assert "ValueError: broken" in process.stderr.read()
        finally:
            process.kill()
