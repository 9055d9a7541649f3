"""What goes into a call and what comes of it: requests, formats, metadata, exit statuses, the schema written out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from tests.cli.conftest import Ran, serve_in_thread

from puregrpc.__main__ import main
from puregrpc.cli.proto_source import file_source
from puregrpc.cli.schema_files import write_schema
from puregrpc.errors import SchemaError
from puregrpc.proto import compile as compile_proto
from puregrpc.schema import Registry, load_protoset
from puregrpc.server import Context, Interceptor, Server
from puregrpc.services.hello import HelloService
from puregrpc.services.reflection import ReflectionService

HELLO = "hello.HelloService/"
BERT = '{"greeting": "Bert"}'


@contextlib.contextmanager
def standard_input(text: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path | None = None) -> Iterator[None]:
    """Standard input from a pipe, or from a file."""
    if tmp_path is None:
        read, write = os.pipe()
        os.write(write, text)
        os.close(write)
        stream = os.fdopen(read, "r")
    else:
        (tmp_path / "input").write_bytes(text)
        stream = (tmp_path / "input").open()
    with stream:
        monkeypatch.setattr("sys.stdin", stream)
        yield


@pytest.mark.parametrize("from_file", [False, True])
@pytest.mark.parametrize("data", [(), ("-d", "@"), ("-d", "@-")])
def test_a_unary_request_that_is_piped(
    data: tuple[str, ...],
    from_file: bool,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with standard_input(BERT.encode(), monkeypatch, tmp_path if from_file else None):
        assert main(["call", "-p", address, HELLO + "SayHello", *data]) == 0
    assert capsys.readouterr().out == '{\n  "reply": "hello Bert"\n}\n'


def test_no_request_is_an_empty_one(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (os.devnull, None):
        with contextlib.nullcontext() if name is None else Path(name).open() as stream:
            monkeypatch.setattr("sys.stdin", stream)
            assert main(["call", "-p", address, HELLO + "SayHello"]) == 0
    with standard_input(b"", monkeypatch):
        assert main(["call", "-p", address, HELLO + "SayHello"]) == 0
    assert capsys.readouterr().out == '{\n  "reply": "hello noname"\n}\n' * 3


def test_two_requests_for_a_method_that_takes_one(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with standard_input(b"{}{}", monkeypatch):
        assert main(["call", "-p", address, HELLO + "SayHello"]) == 1
    assert "takes one request, and there are 2" in capsys.readouterr().err


def test_text_format(run: Callable[..., Ran], address: str) -> None:
    greeting = ("--format", "text", "-d", 'greeting: "Bert"')
    assert run("call", "-p", address, HELLO + "SayHello", *greeting).out == 'reply: "hello Bert"\n'
    as_json = run("call", "-p", address, HELLO + "SayHello", *greeting, "-o", "json")
    assert as_json.out == '{\n  "reply": "hello Bert"\n}\n'
    many = ("--format", "text", "-d", "@")
    ran = run("call", "-p", address, HELLO + "BidiHello", *many, stdin='greeting: "a"\n\x1egreeting: "b"\n')
    assert ran.out == 'reply: "hello a"\n\x1ereply: "hello b"\n'
    traced = run("trace", "-p", address, HELLO + "SayHello", *greeting)
    assert traced.out.startswith('reply: "hello Bert"\n')


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("greting: 1", 'has no field named "greting"'),
        ("greeting: 1", "1:11"),
        ("greeting: 'x", "1:11"),
    ],
)
def test_text_that_is_wrong(data: str, problem: str, run: Callable[..., Ran], address: str) -> None:
    ran = run("call", "-p", address, HELLO + "SayHello", "--format", "text", "-d", data)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("puregrpc: request: ")
    assert ran.err.count("\n") == 1
    assert problem in ran.err


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("call", "-plaintext", "x:1", "a.B/C"), "--plaintext"),
        (("call", "-import-path", ".", "-proto", "x", "x:1", "a.B/C"), "--import-path"),
        (("call", "-p", "-data", "{}", "x:1", "a.B/C"), "--data"),
        (("call", "-p", "-timeout=5", "x:1", "a.B/C"), "--timeout"),
        (("call", "-header", "a: b", "x:1", "a.B/C"), "--header"),
        (("call", "-max-msg-sz", "5", "x:1", "a.B/C"), "--max-message-size"),
        (("list", "-protoset", "x"), "--protoset"),
        (("describe", "-msg-template", "x:1"), "--template"),
        (("health", "-watch", "x:1"), "--watch"),
        (("trace", "-html", "x", "x:1", "a.B/C"), "--html"),
    ],
)
def test_a_long_option_with_one_dash(arguments: tuple[str, ...], meant: str, run: Callable[..., Ran]) -> None:
    ran = run(*arguments)
    assert ran.status == 2
    assert meant in ran.err


def test_values_that_look_like_options(run: Callable[..., Ran], address: str) -> None:
    ran = run("call", "-p", address, HELLO + "SayHello", "--user-agent", "-data", "-d", BERT)
    assert ran.status == 0


def test_exit_statuses(run: Callable[..., Ran], address: str) -> None:
    """1 for what goes wrong before the call; 64 plus the status of the call."""
    nobody = ("-p", "127.0.0.1:1")
    for arguments in (("call", *nobody, "a.B/C", "-d", "{}"), ("list", *nobody), ("health", *nobody)):
        ran = run(*arguments)
        assert (ran.status, ran.err.count("\n")) == (1, 1)
        assert ran.err.startswith("puregrpc: could not connect to 127.0.0.1:1")
    assert run("trace", *nobody, "a.B/C", "-d", "{}").status == 1
    assert run("health", "-p", address, "nobody").status == 64 + 5


class Secrets(Interceptor):
    """Wants one secret for reflection and another for calls, and tells neither to the other."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def look(self, context: Context) -> None:
        metadata = dict(context.metadata)
        is_reflection = "Reflection" in context.method
        self.seen.append(("reflection" if is_reflection else "call", metadata))
        if is_reflection and metadata.get("for-reflection") != "r":
            context.abort(16, "who are you?")

    async def one_response(self, request: Any, context: Context, proceed: Any) -> Any:
        self.look(context)
        return await proceed(request, context)

    async def many_responses(self, request: Any, context: Context, proceed: Any) -> Any:
        self.look(context)
        async for response in proceed(request, context):
            yield response


def test_metadata_of_reflection_alone(run: Callable[..., Ran]) -> None:
    secrets = Secrets()

    def make() -> Server:
        server = Server("127.0.0.1:0", interceptors=[secrets])
        HelloService().add_to(server)
        ReflectionService().add_to(server)
        return server

    with contextlib.contextmanager(serve_in_thread)(make) as address:
        call = ("call", "-p", address, HELLO + "SayHello", "-d", BERT)
        refused = run(*call)
        assert refused.status == 1, "the call was not made"
        assert "UNAUTHENTICATED (16): who are you?" in refused.err
        secrets.seen.clear()
        headers = ("-H", "both: b", "--rpc-header", "for-call: c", "--reflect-header", "for-reflection: r")
        assert run(*call, *headers).status == 0
        assert {kind: {name for name in metadata if name != "user-agent"} for kind, metadata in secrets.seen} == {
            "reflection": {"both", "for-reflection"},
            "call": {"both", "for-call"},
        }
        assert "hello.HelloService\n" in run("list", "-p", address, *headers[4:]).out
        wrong = run(*call, "--reflect-header", "x-bin: ???")
        assert "--reflect-header 'x-bin: ???'" in wrong.err


def test_the_schema_written_out(run: Callable[..., Ran], address: str, tmp_path: Path) -> None:
    out = ("--protoset-out", str(tmp_path / "set"), "--proto-out-dir", str(tmp_path / "sources"))
    for arguments in (
        ("list", "-p", address),
        ("list", "-p", address, "hello.HelloService"),
        ("describe", "-p", address, "hello.HelloRequest"),
        ("call", "-p", address, HELLO + "SayHello", "-d", BERT),
    ):
        ran = run(*arguments, *out)
        assert ran.status == 0, ran.err
        registry = Registry()
        names = [file.name for file in load_protoset(registry, tmp_path / "set")]
        assert "hello.proto" in names
        for name in names:
            assert (tmp_path / "sources" / name).exists()
        assert registry.message("hello.HelloRequest").fields[0].name == "greeting"
    again = run("call", "-p", address, HELLO + "SayHello", "-d", BERT, "--proto", str(tmp_path / "sources/hello.proto"))
    assert again.out == '{\n  "reply": "hello Bert"\n}\n'


SOURCES = {
    "names.proto": """
syntax = "proto3";
package a.b.a;
import "other.proto";
message Outer { message a { int32 x = 1; } Outer.a inner = 1; .a.b.Other other = 2; .a.b.a.Outer.Kind kind = 3;
  enum Kind { KIND_NONE = 0; } }
service b { rpc Do(Outer) returns (.a.b.Other); }
""",
    "other.proto": """
syntax = "proto3"; package a.b; option java_package = "x.y"; message Other { optional int32 n = 1; }
""",
    "old.proto": """
syntax = "proto2";
import public "other.proto";
message M { required int32 a = 1 [default = -5]; repeated group G = 2 { optional bytes b = 1 [default = "\\001\\"x"]; }
  extensions 100 to max; reserved 50, 60 to 70; reserved "old"; oneof pick { string s = 3; M m = 4; } }
extend M { repeated M more = 100; optional group Added = 101 { optional double d = 1 [default = inf]; } }
""",
    "new.proto": """
edition = "2023";
package n;
option features.field_presence = IMPLICIT;
message M { int32 a = 1 [features.field_presence = EXPLICIT]; M m = 2 [features.message_encoding = DELIMITED];
  repeated int32 r = 3 [features.repeated_field_encoding = EXPANDED]; map<string, M> map = 4; reserved gone; }
enum E { option features.enum_type = CLOSED; ONE = 1; }
""",
    "newest.proto": """
edition = "2024";
package v;
import "other.proto";
export message Shown { local message Hidden {} Hidden h = 1; }
local enum Mine { MINE_NONE = 0; }
""",
}


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_written_compiles_to_the_same(name: str) -> None:
    (file,) = compile_proto([name], sources=SOURCES)
    written = file_source(file)
    (again,) = compile_proto([name], sources=SOURCES | {name: written})
    assert again.to_proto() == file.to_proto(), written


def test_a_file_that_would_be_written_elsewhere(tmp_path: Path) -> None:
    for name in ("../x.proto", "/x.proto", "a/../../x.proto", "a//b.proto"):
        registry = Registry()
        (file,) = registry.add_file_descriptor_protos([descriptor_pb2.FileDescriptorProto(name=name)])
        with pytest.raises(SchemaError, match="is not written"):
            list(write_schema([file], protoset=None, folder=str(tmp_path / "out")))
    assert list(tmp_path.iterdir()) == []
