"""Each command against a server of this program: what it prints, and how it exits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from tests.cli.conftest import Ran
from tests.trace.conversations import Script
from tests.trace.snapshots import assert_snapshot
from tests.trace.test_explainer import whole_conversation

from puregrpc._version import __version__
from puregrpc.server import BlockingServer, Method, Shape
from puregrpc.trace import explain
from puregrpc.trace.reading import read_recordings
from puregrpc.trace.showing.json_lines import recording_lines

KEPT = Path(__file__).parent / "kept"
PROTO = """
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";

// Sells things.
service Shop {
  // Buys one thing.
  rpc Buy(Order) returns (Receipt) { option deprecated = true; }
  rpc Watch(stream Order) returns (stream Receipt);
}

// What is wanted.
message Order {
  // Its name.
  string item = 1 [json_name = "thing"];
  optional int32 count = 2;
  map<string, Part> parts = 3;
  oneof payment { string card = 4; bool cash = 5; }
  repeated Kind kinds = 6 [packed = false];
  google.protobuf.Timestamp at = 7;
  reserved 10 to 12, 20;
  reserved "old";
  message Part { int64 id = 1; Part inner = 2; }
  enum Kind { KIND_UNKNOWN = 0; KIND_BIG = 1 [deprecated = true]; }
}
message Receipt { uint64 number = 1; bytes proof = 2; }
"""
WRONG = """
syntax = "proto3";
package hello;
message M { M reply = 1; }
service HelloService { rpc SayHello(M) returns (M); }
"""
HELLO = "hello.HelloService/"
COMMANDS: dict[str, tuple[str, ...]] = {
    "list": ("list", "-p", "ADDRESS"),
    "list_service": ("list", "-p", "ADDRESS", "hello.HelloService"),
    "list_json": ("list", "-p", "ADDRESS", "--json"),
    "list_proto": ("list", "--proto", "SHOP"),
    "list_proto_service": ("list", "--proto", "SHOP", "shop.Shop"),
    "list_unknown": ("list", "-p", "ADDRESS", "hello.HeloService"),
    "describe": ("describe", "-p", "ADDRESS", "hello.HelloService"),
    "describe_all": ("describe", "--proto", "SHOP"),
    "describe_comments": ("describe", "--proto", "SHOP", "shop.Order"),
    "describe_template": ("describe", "--proto", "SHOP", "shop.Shop/Buy", "--template"),
    "describe_enum": ("describe", "--proto", "SHOP", "shop.Order.Kind"),
    "describe_field": ("describe", "--proto", "SHOP", "shop.Order.parts"),
    "describe_json": ("describe", "--proto", "SHOP", "shop.Receipt", "--json"),
    "describe_unknown": ("describe", "--proto", "SHOP", "shop.Nothing"),
    "call": ("call", "-p", "ADDRESS", HELLO + "SayHello", "-d", '{"greeting": "Bert"}'),
    "call_verbose": ("call", "-p", "ADDRESS", HELLO + "SayHello", "-d", '{"greeting": "Bert"}', "-v"),
    "call_json": ("call", "-p", "ADDRESS", HELLO + "LotsOfReplies", "-d", '{"greeting": "Bert"}', "--json"),
    "call_text": ("call", "-p", "ADDRESS", HELLO + "SayHello", "-o", "text"),
    "call_raw": ("call", "-p", "ADDRESS", HELLO + "SayHello", "-o", "raw", "-d", '{"greeting": "B"}'),
    "call_client_stream": ("call", "-p", "ADDRESS", "hello.HelloService.LotsOfGreetings", "-d", "{}{}"),
    "call_too_many": ("call", "-p", "ADDRESS", HELLO + "SayHello", "-d", "{}{}"),
    "call_wrong_field": ("call", "-p", "ADDRESS", HELLO + "SayHello", "-d", '{"greting": "x"}'),
    "call_wrong_field_in_stream": ("call", "-p", "ADDRESS", HELLO + "BidiHello", "-d", '{}{"greting": "x"}'),
    "call_no_json": ("call", "-p", "ADDRESS", HELLO + "SayHello", "-d", '{"greeting": }'),
    "call_no_method": ("call", "-p", "ADDRESS", HELLO + "SayHelo"),
    "call_dotted": ("call", "-p", "ADDRESS", "." + HELLO + "SayHello", "-d", '{"greeting": "Bert"}'),
    "call_no_package": ("call", "-p", "ADDRESS", "HelloService/SayHello"),
    "call_not_the_schema": ("call", "-p", "ADDRESS", HELLO + "SayHello", "--proto", "WRONG"),
    "call_no_certificate": ("call", "ADDRESS", HELLO + "SayHello", "--cert", "/no/such/file"),
    "call_wrong_size": ("call", "-p", "ADDRESS", HELLO + "SayHello", "--max-message-size", "-1"),
    "call_not_a_method": ("call", "-p", "ADDRESS", "SayHello"),
    "call_no_file": ("call", "-p", "ADDRESS", HELLO + "SayHello", "-d", "@/no/such/file"),
    "call_bad_metadata": ("call", "-p", "ADDRESS", HELLO + "SayHello", "-H", "no colon"),
    "call_tls_options_in_plaintext": ("call", "-p", "ADDRESS", HELLO + "SayHello", "--cacert", "x"),
    "call_compressed": ("call", "http://ADDRESS", HELLO + "SayHello", "--compression", "gzip", "-t", "5"),
    "health": ("health", "-p", "ADDRESS"),
    "health_service": ("health", "-p", "ADDRESS", "hello.HelloService"),
    "health_not_serving": ("health", "-p", "ADDRESS", "tired", "--json"),
    "health_unknown": ("health", "-p", "ADDRESS", "nobody"),
    "health_watch": ("health", "-p", "ADDRESS", "tired", "--watch", "-t", "0.3"),
    "help": ("--help",),
    "help_call": ("call", "--help"),
    "help_list": ("list", "--help"),
    "help_describe": ("describe", "--help"),
    "help_health": ("health", "--help"),
    "help_trace": ("trace", "--help"),
    "help_completion": ("completion", "--help"),
    "usage": ("call",),
    "usage_no_command": ("nothing",),
    "usage_trace": ("trace",),
    "usage_list": ("list",),
    "completion_bash": ("completion", "bash"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_it_prints(name: str, run: Callable[..., Ran], address: str, tmp_path: Path) -> None:
    shop = tmp_path / "shop.proto"
    shop.write_text(PROTO)
    wrong = tmp_path / "wrong.proto"
    wrong.write_text(WRONG)
    names = {"ADDRESS": address, "SHOP": str(shop), "WRONG": str(wrong)}
    arguments = [names.get(argument, argument.replace("ADDRESS", address)) for argument in COMMANDS[name]]
    ran = run(*arguments)
    assert_snapshot(KEPT / f"{name}.txt", ran.text(address=address, shop=str(shop)))


def test_json_lines_of_a_trace_and_nothing_else(run: Callable[..., Ran], address: str) -> None:
    ran = run("trace", "-p", address, HELLO + "SayHello", "-d", '{"greeting": "Bert"}', "--json")
    assert ran.status == 0
    assert all(json.loads(line) for line in ran.out.splitlines())


@pytest.mark.parametrize("shape", ["SayHello", "LotsOfReplies"])
@pytest.mark.parametrize("command", ["call", "trace"])
def test_a_reader_that_goes_away(command: str, shape: str, environment: dict[str, str], address: str) -> None:
    """``| head -1``: it ends at once and says nothing."""
    arguments = [sys.executable, "-m", "puregrpc", command, "-p", address, HELLO + shape, "-d", "{}"]
    read, write = os.pipe()
    os.close(read)
    try:
        ran = subprocess.run(arguments, stdout=write, stderr=subprocess.PIPE, env=environment, timeout=60, check=False)
    finally:
        os.close(write)
    assert (ran.returncode, ran.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("shell", "problem"),
    [(">&-", "standard output is closed"), (">/dev/full", "No space left on device"), (">&- 2>&-", None)],
)
def test_output_that_cannot_be_written(
    shell: str, problem: str | None, environment: dict[str, str], address: str
) -> None:
    command = f"{sys.executable} -m puregrpc call -p {address} {HELLO}LotsOfReplies -d {{}} {shell}"
    ran = subprocess.run(command, shell=True, stderr=subprocess.PIPE, env=environment, timeout=60, check=False)
    assert ran.returncode == 1
    assert ran.stderr.decode() == (f"puregrpc: {problem}\n" if problem else "")


def test_control_characters_of_a_peer(run: Callable[..., Ran], address: str) -> None:
    greeting = '{"greeting": "\\u001b[31m \\u007f \\u009b31m \u00e4"}'
    ran = run("call", "-p", address, HELLO + "SayHello", "-d", greeting)
    assert ran.out == '{\n  "reply": "hello \\u001b[31m \\u007f \\u009b31m \u00e4"\n}\n'


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_control_characters_in_a_trace(run: Callable[..., Ran], address: str, options: list[str]) -> None:
    greeting = '{"greeting": "\\u001b[31m \\u007f \\u009b31m \u00e4"}'
    ran = run("trace", *options, "-p", address, HELLO + "SayHello", "-d", greeting)
    assert ran.status == 0
    assert "\u00e4" in ran.out
    assert not {"\x1b", "\x7f", "\x9b"} & set(ran.out)


def test_a_locale_without_unicode(environment: dict[str, str], address: str) -> None:
    environment |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    greeting = '{"greeting": "B\u00e4rt \u263a \U0001f600"}'
    call: list[str | bytes] = ["-p", address, HELLO + "SayHello", "-d", greeting.encode()]
    program = [sys.executable, "-m", "puregrpc"]
    ran = subprocess.run([*program, "call", *call], capture_output=True, env=environment, timeout=60, check=True)
    assert json.loads(ran.stdout.decode("ascii")) == {"reply": "hello B\u00e4rt \u263a \U0001f600"}
    ran = subprocess.run([*program, "trace", *call], capture_output=True, env=environment, timeout=60, check=True)
    assert "SETTINGS ---" in ran.stdout.decode("ascii")


def test_requests_from_standard_input_and_files(run: Callable[..., Ran], address: str, tmp_path: Path) -> None:
    requests = '{"greeting": "a"}\n{"greeting":\n "b"}\n'
    method = HELLO + "BidiHello"
    expected = '{\n  "reply": "hello a"\n}\n{\n  "reply": "hello b"\n}\n'
    assert run("call", "-p", address, method, stdin=requests).out == expected
    assert run("call", "-p", address, method, "-d", "@-", stdin=requests).out == expected
    (tmp_path / "requests").write_text(requests)
    assert run("call", "-p", address, method, "-d", f"@{tmp_path / 'requests'}").out == expected
    assert run("call", "-p", address, HELLO + "SayHello", "-d", "@-", stdin='{"greeting": "a"}').status == 0
    broken = run("call", "-p", address, method, stdin='{"greeting": "a"}\n{]')
    assert broken.status == 1
    assert "standard input: line 2, column 2" in broken.err


def test_a_failing_call_and_its_details(run: Callable[..., Ran], address: str, tmp_path: Path) -> None:
    (tmp_path / "fail.proto").write_text(
        'syntax = "proto3"; package test; message M {} service Fail { rpc Fail(M) returns (M); }'
    )
    ran = run("call", "-p", address, "test.Fail/Fail", "--proto", str(tmp_path / "fail.proto"))
    assert_snapshot(KEPT / "call_failing.txt", ran.text(address=address))
    as_json = run("call", "-p", address, "test.Fail/Fail", "--proto", str(tmp_path / "fail.proto"), "--json")
    last = json.loads(as_json.out.splitlines()[-1])
    assert (last["status"], last["name"]) == (3, "INVALID_ARGUMENT")
    assert last["details"][0]["reason"] == "BAD"


def test_headers_are_shown_once(run: Callable[..., Ran], address: str, tmp_path: Path) -> None:
    (tmp_path / "fail.proto").write_text(
        'syntax = "proto3"; package test; message M {} service Fail { rpc Late(M) returns (stream M); }'
    )
    metadata = ("-H", "x-a: 1", "-H", "x-b-bin: AAE")
    ran = run("call", "-p", address, "test.Fail/Late", "--proto", str(tmp_path / "fail.proto"), "-v", *metadata)
    assert ran.err.startswith("> x-a: 1\n> x-b-bin: AAE=\n* test.Fail.Late")
    assert ran.status == 64 + 7
    assert ran.err.count("< x-late: yes") == 1
    assert "< x-late: yes\n" in ran.err


def test_no_server(run: Callable[..., Ran]) -> None:
    ran = run("call", "-p", "127.0.0.1:1", HELLO + "SayHello")
    assert ran.status == 1
    assert ran.err.count("\n") == 1
    assert "could not connect to 127.0.0.1:1" in ran.err
    debug = run("call", "-p", "127.0.0.1:1", HELLO + "SayHello", "--debug")
    assert "Traceback" in debug.err


def test_plaintext_is_named_when_tls_fails(run: Callable[..., Ran], address: str) -> None:
    ran = run("list", address)
    assert ran.status != 0
    assert "plaintext" in ran.err


def test_a_trace_of_a_call_in_every_form(run: Callable[..., Ran], address: str, tmp_path: Path) -> None:
    files = [f"--{form}={tmp_path / form}" for form in ("html", "pcapng", "jsonl")]
    ran = run("trace", "-p", address, HELLO + "SayHello", "-d", '{"greeting": "Bert"}', "-t", "9", *files)
    assert ran.status == 0
    assert '"reply": "hello Bert"' in ran.out
    assert "calls /hello.HelloService/SayHello, to be over within" in ran.out
    assert "hello.HelloRequest, 6 octets" in ran.out
    assert "greeting" in ran.out
    page = (tmp_path / "html").read_text()
    assert "hello Bert" in page
    (recording,) = read_recordings((tmp_path / "jsonl").read_bytes())
    (captured,) = read_recordings((tmp_path / "pcapng").read_bytes())
    for read in (recording, captured):
        explanation = explain(read)
        assert explanation.problems() == ()
        assert [call.path for call in explanation.calls] == ["/hello.HelloService/SayHello"]
    again = run("trace", "--read", str(tmp_path / "pcapng"))
    assert "ends the call with OK" in again.out
    lines = run("trace", "--read", str(tmp_path / "jsonl"), "--json").out.splitlines()
    assert [json.loads(line)["path"] for line in lines if line.startswith('{"call"')] == [
        "/hello.HelloService/SayHello"
    ]


def test_some_connections_and_calls_of_a_capture(run: Callable[..., Ran], tmp_path: Path) -> None:
    first, second = whole_conversation(), Script().unary().recording()
    lines = [*recording_lines(replace(first, server="b:80")), *recording_lines(replace(second, server="c:90"))]
    (tmp_path / "both").write_text("\n".join(lines))
    read = ("trace", "--detail", "frames", "--read", str(tmp_path / "both"))
    everything = run(*read).out.splitlines()
    assert everything[0].startswith("   1  client → b:80  ")
    assert everything[1].startswith("   2  client → c:90  ")
    only = run(*read, "--connection", "2").out
    assert "b:80" not in only
    assert run(*read, "--port", "90").out == only
    call = run(*read, "--port", "80", "--stream", "3", "--method", "SayHello").out
    assert "stream 3" in call
    assert "stream 1 " not in call
    nothing = run(*read, "--method", "Nope")
    assert (nothing.status, nothing.out.count("│")) == (1, 0)
    assert "no call is of this stream and method; there are streams 1, 3; methods" in nothing.err
    assert run("trace", "--port", "1", "--listen", "127.0.0.1:0", "--to", "x:1").status == 2


def test_a_capture_that_cannot_be_read(run: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\xff\xfe")
    ran = run("trace", "--read", str(tmp_path / "f"))
    assert ran.status == 1
    assert ran.err.count("\n") == 1
    assert "neither pcapng nor pcap nor text" in ran.err


def test_without_the_extra_it_says_what_is_missing(run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "click" or "puregrpc.cli" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "click", None)
    ran = run("list", "localhost:1")
    assert ran.status == 2
    assert ran.err.startswith("puregrpc: this needs the package click: pip install 'puregrpc[cli]'")
    assert run("--version").out == f"puregrpc, version {__version__}\n"
    asked = run("--help")
    assert (asked.status, asked.out) == (0, "")
    assert asked.err.startswith("puregrpc: all other commands need the package click")
    assert "puregrpc serve, puregrpc compile" in asked.err
    assert run().status == 2


def test_comments_of_a_descriptor_set(run: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "shop.proto").write_text(PROTO)
    protoset = str(tmp_path / "shop.binpb")
    made = run(
        "compile", "-I", str(tmp_path), "--include_imports", "--include_source_info", "-o", protoset, "shop.proto"
    )
    assert made.status == 0, made.err
    for symbol in ("shop.Order", "shop.Shop"):
        from_set = run("describe", "--protoset", protoset, symbol)
        assert from_set.out == run("describe", "--proto", str(tmp_path / "shop.proto"), symbol).out
        assert "// " in from_set.out


CUSTOM_HEAD = """
syntax = "proto3";
package shop;
import "google/api/annotations.proto";
import "google/api/field_behavior.proto";
import "google/protobuf/descriptor.proto";
"""
CUSTOM = (
    CUSTOM_HEAD
    + """
extend google.protobuf.MethodOptions { Audit audit = 50001; repeated string tags = 50002; }
extend google.protobuf.EnumValueOptions { bytes mark = 50003; }
message Audit { string who = 1; repeated Level levels = 2; }
enum Level { LEVEL_UNKNOWN = 0 [(mark) = "\\001\\""]; LEVEL_HIGH = 1; }
service Shelf {
  rpc Get(Audit) returns (Book) {
    option (google.api.http) = { get: "/v1/{who=*}" additional_bindings { post: "/x" body: "*" } };
    option (audit) = { who: "me" levels: [LEVEL_HIGH, LEVEL_UNKNOWN] };
    option (tags) = "a";
    option (tags) = "b";
  }
}
message Book {
  string name = 1 [(google.api.field_behavior) = REQUIRED, (google.api.field_behavior) = IMMUTABLE];
}
"""
)
SOURCES = {
    "plain": (
        PROTO,
        'syntax = "proto3";\npackage shop;\nimport "google/protobuf/timestamp.proto";\n',
        ("shop.Shop", "shop.Order", "shop.Receipt"),
    ),
    "custom options": (
        CUSTOM,
        CUSTOM_HEAD,
        ("shop.audit", "shop.tags", "shop.mark", "shop.Audit", "shop.Level", "shop.Shelf", "shop.Book"),
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_what_describe_writes_compiles_to_the_same(name: str, run: Callable[..., Ran], tmp_path: Path) -> None:
    source, text, symbols = SOURCES[name]
    (tmp_path / "shop.proto").write_text(source)
    for symbol in symbols:
        text += run("describe", "--proto", str(tmp_path / "shop.proto"), symbol).out.split("\n", 1)[1]
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "shop.proto").write_text(text)
    sets = []
    for folder in (tmp_path, tmp_path / "again"):
        assert run("compile", "-I", str(folder), "-o", str(tmp_path / "set"), "shop.proto").err == ""
        sets.append((tmp_path / "set").read_bytes())
    assert sets[0] == sets[1]


ESCAPES = "\x1b]0;x\x07\x1b[2J\u009b31m\r"


@pytest.fixture
def hostile_address() -> Iterator[str]:
    """A server whose schema and messages are full of what terminals obey."""
    file = FileDescriptorProto(name="a.proto", package="a", syntax="proto2")
    field = file.message_type.add(name="M").field.add(name="text", number=1, type=9, label=1)
    field.default_value = field.json_name = ESCAPES
    file.service.add(name="S").method.add(name="Do", input_type=".a.M", output_type=".a.M")
    file.source_code_info.location.add(path=[6, 0], span=[0, 0, 1], leading_comments=f" says {ESCAPES}\n")
    name = f"a.S{ESCAPES}".encode()
    services = len(name).to_bytes(1, "big") + name
    services = b"\x0a" + (len(services) + 1).to_bytes(1, "big") + b"\x0a" + services + b"\x0a\x05\x0a\x03a.S"

    def told(request: bytes) -> bytes:
        number, octets = (b"\x32", services) if request[:1] == b"\x3a" else (b"\x22", file.SerializeToString())
        octets = octets if number == b"\x32" else b"\x0a" + bytes((len(octets) & 127 | 128, len(octets) >> 7)) + octets
        return number + bytes((len(octets) & 127 | 128, len(octets) >> 7)) + octets

    def reflect(requests: Iterator[bytes], _context: Any) -> Iterator[bytes]:
        return map(told, requests)

    def answer(_request: bytes, _context: Any) -> bytes:
        return b"\x0a" + bytes((len(ESCAPES.encode()),)) + ESCAPES.encode()

    server = BlockingServer("127.0.0.1:0")
    reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    server.add_methods([Method(reflection, reflect, Shape.BIDI), Method("/a.S/Do", answer)])
    with server:
        yield server.addresses[0]


@pytest.mark.parametrize(
    "arguments",
    [
        "list",
        "describe",
        "describe a.M",
        "describe --json",
        "call a.S/Do",
        "call -v a.S/Do",
        "call --format text a.S/Do",
    ],
)
def test_what_terminals_obey_is_escaped(run: Callable[..., Ran], hostile_address: str, arguments: str) -> None:
    command, *options = arguments.split()
    symbols = [options.pop()] if options and "." in options[-1] else []
    ran = run(command, "-p", *options, hostile_address, *symbols)
    assert ran.status == 0
    assert "]0;x" in ran.out
    assert not set(ESCAPES) & {"\x1b", "\x07", "\u009b", "\r"} & set(ran.out + ran.err)


def test_what_terminals_obey_is_escaped_in_diagnostics(tmp_path: Path) -> None:
    (tmp_path / "a.proto").write_text('syntax = "proto3"; import "b\\033[2J.proto"; message A { reserved "\\033q"; }')
    command = [sys.executable, "-m", "puregrpc", "compile", "-I.", "a.proto"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert ran.returncode == 1
    assert b"b\\u001b[2J.proto: File not found." in ran.stderr
    assert b"\x1b" not in ran.stderr
