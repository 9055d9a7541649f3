"""What goes over HTTP/2 and is not gRPC is told as what it is: gRPC-Web, Connect, plain HTTP."""

from __future__ import annotations

import base64
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.trace.conversations import REQUEST, RESPONSE, Script, assert_every_octet_is_explained, message, recut

from puregrpc.proto import compile as compile_sources
from puregrpc.schema import Registry
from puregrpc.trace import Direction, Explanation, Message, explain
from puregrpc.trace.showing.json_lines import explanation_lines
from puregrpc.trace.showing.ladder import Detail, Ladder, plain
from puregrpc.trace.showing.page import html_page

CLIENT, SERVER = Direction
HTML = b"<!DOCTYPE html><html><body>hello</body></html>"
WEB_TRAILERS = b"grpc-status: 5\r\ngrpc-message: no such bob\r\n"


@pytest.fixture(scope="module")
def registry() -> Registry:
    made = Registry()
    source = """
    syntax = "proto3"; package hello;
    message Greeting { string greeting = 1; }
    service HelloService {
      rpc SayHello(Greeting) returns (Greeting);
      rpc Chat(stream Greeting) returns (stream Greeting);
    }
    """
    for file in compile_sources(["hello.proto"], sources={"hello.proto": source}):
        made.add_file(file)
    return made


def request(content_type: str, *more: tuple[str, str], path: str = "/hello.HelloService/SayHello") -> Script:
    fields = [*REQUEST[:2], (":path", path), REQUEST[3], ("content-type", content_type), *more]
    return Script().headers(CLIENT, fields)


def answered(script: Script, content_type: str, *more: tuple[str, str], status: str = "200") -> Script:
    return script.headers(SERVER, [(":status", status), ("content-type", content_type), *more])


def told(script: Script, registry: Registry | None = None) -> Explanation:
    explanation = explain(script.recording(), registry=registry)
    assert_every_octet_is_explained(explanation)
    again = explain(recut(script.recording(), 3), registry=registry)
    assert [part.label for part in again.parts()] == [part.label for part in explanation.parts()]
    for detail in Detail:
        plain(Ladder(detail).lines(explanation))
    html_page(explanation)
    list(explanation_lines(explanation))
    return explanation


def messages(explanation: Explanation) -> list[Message]:
    return [message for entry in explanation.entries for message in entry.messages]


def events(explanation: Explanation) -> list[str]:
    return [event for entry in explanation.entries for event in entry.events]


def test_plain_http_is_told_as_http() -> None:
    fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html?a"),
        (":authority", "a"),
        ("accept", "*/*"),
    ]
    script = Script().headers(CLIENT, fields, "END_STREAM")
    answered(script, "text/html").data(SERVER, HTML).data(SERVER, b"", "END_STREAM")
    explanation = told(script)
    assert explanation.problems() == ()
    assert messages(explanation) == []
    assert "asks for /index.html?a with GET: plain HTTP, not gRPC" in events(explanation)
    assert f"{len(HTML)} octets of the response's body" in events(explanation)
    (call,) = explanation.calls
    assert (call.outcome, call.status) == ("HTTP 200, text/html", None)


def test_a_page_that_answers_grpc_is_no_message() -> None:
    script = answered(
        Script().headers(CLIENT, REQUEST).data(CLIENT, message(b""), "END_STREAM"), "text/html", status="502"
    )
    explanation = told(script.data(SERVER, HTML, "END_STREAM"))
    assert [m.length for m in messages(explanation)] == [0]
    assert any("the response does not come from gRPC" in problem for problem in explanation.problems())
    assert explanation.calls[0].outcome == "HTTP 502, text/html"


def test_grpc_web_with_its_trailers(registry: Registry) -> None:
    script = request("application/grpc-web+proto", ("x-grpc-web", "1")).data(
        CLIENT, message(b"\x0a\x03bob"), "END_STREAM"
    )
    answered(script, "application/grpc-web+proto").data(
        SERVER, message(b"\x0a\x02hi") + message(WEB_TRAILERS, 0x80), "END_STREAM"
    )
    explanation = told(script, registry)
    assert explanation.problems() == ()
    assert [(m.kind, m.type_name) for m in messages(explanation)] == [
        ("message", "hello.Greeting"),
        ("message", "hello.Greeting"),
        ("trailers", ""),
    ]
    assert [part.label for part in messages(explanation)[2].part.parts[2:]] == ["grpc-status", "grpc-message"]
    (call,) = explanation.calls
    assert (call.status, call.status_message, call.received_messages) == (5, "no such bob", 1)
    assert "calls /hello.HelloService/SayHello by gRPC-Web" in events(explanation)


def test_grpc_web_in_base64(registry: Registry) -> None:
    """Pieces are encoded one by one, so that padding stands between them, and frames cut them anywhere."""
    asks = base64.b64encode(message(b"\x0a\x03bob"))
    script = request("application/grpc-web-text").data(CLIENT, asks, "END_STREAM")
    answers = base64.b64encode(message(b"\x0a\x02hi")) + base64.b64encode(message(WEB_TRAILERS, 0x80))
    answered(script, "application/grpc-web-text+proto")
    for place in range(0, len(answers), 5):
        script.data(SERVER, answers[place : place + 5])
    explanation = told(script.data(SERVER, b"", "END_STREAM"), registry)
    assert explanation.problems() == ()
    assert [m.data for m in messages(explanation)] == [b"\x0a\x03bob", b"\x0a\x02hi", WEB_TRAILERS]
    assert explanation.calls[0].status == 5


def test_grpc_web_without_trailers_and_what_is_not_base64() -> None:
    script = answered(request("application/grpc-web"), "application/grpc-web").data(SERVER, message(b""), "END_STREAM")
    assert any("ends without its trailers" in problem for problem in told(script).problems())
    script = answered(request("application/grpc-web-text"), "application/grpc-web-text").data(
        SERVER, b"!!!!", "END_STREAM"
    )
    assert any("not base64" in problem for problem in told(script).problems())
    script = answered(request("application/grpc-web"), "application/grpc-web").data(SERVER, message(b"", 0x40))
    assert any("of the flags only 0x81 have a meaning, not 64" in problem for problem in told(script).problems())


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_unary_connect(registry: Registry, coding: str) -> None:
    body = b"\x0a\x03bob"
    more = (("connect-protocol-version", "1"), ("connect-timeout-ms", "250"))
    packed = gzip.compress(body) if coding == "gzip" else body
    script = request("application/proto", *more, ("content-encoding", coding)).data(CLIENT, packed[:3])
    script.data(CLIENT, packed[3:], "END_STREAM")
    explanation = told(answered(script, "application/proto").data(SERVER, body, "END_STREAM"), registry)
    assert explanation.problems() == ()
    assert [(m.kind, m.type_name, m.data) for m in messages(explanation)] == [("message", "hello.Greeting", body)] * 2
    (call,) = explanation.calls
    assert (call.status, call.timeout, call.sent_messages) == (0, 0.25, 1)


def test_unary_connect_that_fails() -> None:
    script = request("application/json", ("connect-protocol-version", "1")).data(CLIENT, b"{}", "END_STREAM")
    answered(script, "application/json", status="404").data(
        SERVER, b'{"code":"not_found","message":"no bob"}', "END_STREAM"
    )
    explanation = told(script)
    assert explanation.problems() == ()
    (call,) = explanation.calls
    assert (call.status, call.status_message) == (5, "no bob")


def test_connect_as_a_stream(registry: Registry) -> None:
    path = "/hello.HelloService/Chat"
    script = request("application/connect+proto", path=path).data(CLIENT, message(b"\x0a\x01a") * 2, "END_STREAM")
    end = b'{"error":{"code":"canceled","message":"enough"},"metadata":{}}'
    answered(script, "application/connect+proto").data(SERVER, message(b"\x0a\x01b") + message(end, 2), "END_STREAM")
    explanation = told(script, registry)
    assert explanation.problems() == ()
    assert [m.kind for m in messages(explanation)] == ["message"] * 3 + ["end of stream"]
    (call,) = explanation.calls
    assert (call.status, call.status_message, call.sent_messages, call.received_messages) == (1, "enough", 2, 1)


def test_messages_in_json_are_told_as_text() -> None:
    script = request("application/grpc+json", ("te", "trailers")).data(
        CLIENT, message(b'{"greeting": "bob"}'), "END_STREAM"
    )
    (found,) = messages(told(script))
    assert [(part.label, part.value) for part in found.part.parts[2:]] == [("JSON", '{"greeting": "bob"}')]


TYPES = [
    "application/grpc", "application/grpc+json", "application/grpc-web", "application/grpc-web-text", "text/html", "",
    "application/connect+json", "application/connect+proto", "application/proto", "application/json",
]  # fmt: skip


@given(
    st.sampled_from(TYPES),
    st.sampled_from(TYPES),
    st.lists(
        st.tuples(st.sampled_from(Direction), st.binary(max_size=20) | st.just(message(b"a", 0x80)), st.booleans()),
        max_size=6,
    ),
    st.booleans(),
)
def test_any_octets_in_any_protocol_are_explained(
    asked: str, answer: str, data: list[tuple[Direction, bytes, bool]], is_connect: bool
) -> None:
    more = [("connect-protocol-version", "1")] if is_connect else []
    script = Script().headers(CLIENT, [*REQUEST[:4], *([("content-type", asked)] if asked else []), *more])
    script.headers(SERVER, [RESPONSE[0], *([("content-type", answer)] if answer else [])])
    for direction, octets, ends in data:
        script.data(direction, octets, *(["END_STREAM"] if ends else []))
    explanation = explain(script.recording())
    assert_every_octet_is_explained(explanation)
    list(explanation_lines(explanation))
