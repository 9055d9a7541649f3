"""What is known of methods without a schema: the standard services, and what the recording itself tells."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.trace.conversations import REQUEST, RESPONSE, TRAILERS, Script, message
from tests.trace.test_explainer import HELLO

from puregrpc.proto import compile as compile_proto
from puregrpc.schema import Registry
from puregrpc.services.contracts import codec, contract
from puregrpc.trace import Direction, Explanation, explain
from puregrpc.trace.explaining.methods import KnownMethods

REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


def serialized(name: str, source: str) -> bytes:
    (file,) = compile_proto([name], sources={name: source})
    return file.to_proto().SerializeToString()


def call(script: Script, path: str, request: bytes, response: bytes, stream: int) -> Script:
    headers = [(name, path if name == ":path" else value) for name, value in REQUEST]
    script.headers(Direction.CLIENT, headers, stream=stream)
    script.data(Direction.CLIENT, message(request), "END_STREAM", stream=stream)
    script.headers(Direction.SERVER, RESPONSE, stream=stream)
    script.data(Direction.SERVER, message(response), stream=stream)
    return script.headers(Direction.SERVER, TRAILERS, "END_STREAM", stream=stream)


def answer(*files: bytes) -> bytes:
    reflection = "grpc/reflection/v1/reflection.proto"
    types = {found.name: found for found in contract(reflection).messages}
    return codec(reflection).encode(
        types["ServerReflectionResponse"], {"fileDescriptorResponse": {"fileDescriptorProto": list(files)}}
    )


def types_of(explanation: Explanation) -> list[str]:
    return [found.type_name for entry in explanation.entries for found in entry.messages]


def test_health_and_reflection_need_no_schema() -> None:
    script = call(Script(), "/grpc.health.v1.Health/Check", b"\x0a\x03all", b"\x08\x01", 1)
    call(script, REFLECTION, b"\x3a\x00", answer(), 3)
    explanation = explain(script.recording())
    assert types_of(explanation) == [
        "grpc.health.v1.HealthCheckRequest",
        "grpc.health.v1.HealthCheckResponse",
        "grpc.reflection.v1.ServerReflectionRequest",
        "grpc.reflection.v1.ServerReflectionResponse",
    ]
    (status,) = [f for entry in explanation.entries for m in entry.messages[:1] for f in m.fields if f.name == "status"]
    assert "SERVING" in status.part.value


def test_what_reflection_answered_explains_the_calls_beside_it_before_and_after() -> None:
    script = call(Script(), "/hello.HelloService/SayHello", b"\x0a\x03bob", b"\x0a\x03hey", 1)
    call(script, REFLECTION, b"\x22\x12hello.HelloService", answer(serialized("hello.proto", HELLO)), 3)
    call(script, "/hello.HelloService/SayHello", b"\x0a\x03bob", b"\x0a\x03hey", 5)
    types = types_of(explain(script.recording()))
    assert types[:2] == types[4:] == ["hello.HelloRequest", "hello.HelloResponse"]


def test_files_come_in_any_order_and_one_that_is_no_good_costs_only_itself() -> None:
    outer = 'syntax = "proto3"; package o; import "i.proto"; service S { rpc Go(i.In) returns (i.In); }'
    inner = 'syntax = "proto3"; package i; message In { string text = 1; }'
    sources = {"o.proto": outer, "i.proto": inner}
    compiled = compile_proto(["o.proto", "i.proto"], sources=sources)
    files = [file.to_proto().SerializeToString() for file in compiled]
    for told in (files, files[::-1], [b"\x0a\x01x\x22\x02\x0a\x00", *files[::-1]]):
        script = call(Script(), REFLECTION, b"\x3a\x00", answer(*told), 1)
        call(script, "/o.S/Go", b"\x0a\x03bob", b"", 3)
        assert types_of(explain(script.recording()))[2:] == ["i.In", "i.In"]


def test_only_a_schema_that_was_given_can_lack_a_method() -> None:
    script = call(Script(), "/a.B/C", b"", b"", 1)

    def said(registry: Registry | None) -> bool:
        events = [event for entry in explain(script.recording(), registry=registry).entries for event in entry.events]
        return any("not in the schema" in event for event in events)

    assert not said(None)
    assert not said(Registry())
    hello = Registry()
    for file in compile_proto(["hello.proto"], sources={"hello.proto": HELLO}):
        hello.add_file(file)
    assert said(hello)


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_answers_of_any_octets_do_no_harm(answers: list[bytes]) -> None:
    methods = KnownMethods(None)
    for each in answers:
        methods.learn(REFLECTION, each)
        methods.learn(REFLECTION, answer(each))
    assert not methods.has("/a.B/C")
