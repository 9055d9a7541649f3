"""The four shapes of a call, two connections back to back."""

from __future__ import annotations

import pytest
from tests.wire.peers import Pair

from puregrpc.wire import EngineName
from puregrpc.wire.connection import Request
from puregrpc.wire.status import OK, Status, StatusCode


def test_unary(engine: EngineName) -> None:
    pair = Pair(engine)
    request = Request("/hello.HelloService/SayHello", "example.org", (("x-name", "v"), ("x-bin", b"\x00\xff")))
    call = pair.open(request, message=b"question", end=True, deadline=pair.now + 5)
    pair.exchange()
    assert pair.client_driver.ready
    assert pair.server_driver.ready
    [served] = pair.server_calls
    assert served.request.path == "/hello.HelloService/SayHello"
    assert served.request.authority == "example.org"
    assert served.request.metadata == (("x-name", "v"), ("x-bin", b"\x00\xff"))
    assert served.request.timeout == 5
    assert served.messages == [b"question"]
    assert served.half_closed
    pair.server.send_response(served, b"answer", (("x-head", "1"),), (("x-tail", "2"),))
    pair.exchange()
    assert call.headers is not None
    assert ("x-head", "1") in call.headers
    assert call.messages == [b"answer"]
    assert call.status == OK
    assert call.trailers == (("x-tail", "2"),)
    assert not served.ended
    assert pair.client.open_calls == pair.server.open_calls == 0


def test_server_streaming(engine: EngineName) -> None:
    pair = Pair(engine)
    call = pair.open(message=b"", end=True)
    pair.exchange()
    [served] = pair.server_calls
    pair.server.send_headers(served)
    for number in range(10):
        pair.server.send_message(served, b"%d" % number)
    pair.exchange()
    assert call.messages == [b"%d" % number for number in range(10)]
    pair.server.send_message(served, b"last")
    pair.server.send_trailers(served, Status(StatusCode.ABORTED, "naïve 100 %", b"\x08\x0a"))
    pair.exchange()
    assert call.messages[-1] == b"last"
    assert call.status == Status(StatusCode.ABORTED, "naïve 100 %", b"\x08\x0a")


def test_client_streaming(engine: EngineName) -> None:
    pair = Pair(engine)
    call = pair.open()
    for number in range(10):
        pair.client.send_message(call, b"%d" % number)
    pair.exchange()
    [served] = pair.server_calls
    assert served.messages == [b"%d" % number for number in range(10)]
    assert not served.half_closed
    pair.client.half_close(call)
    pair.client.half_close(call)
    pair.exchange()
    assert served.half_closed
    pair.server.send_response(served, b"sum")
    pair.exchange()
    assert call.messages == [b"sum"]
    assert call.status == OK


def test_bidirectional(engine: EngineName) -> None:
    pair = Pair(engine)
    call = pair.open()
    pair.exchange()
    [served] = pair.server_calls
    pair.server.send_headers(served)
    for number in range(5):
        pair.client.send_message(call, b"ping %d" % number, end=number == 4)
        pair.exchange()
        assert served.messages[-1] == b"ping %d" % number
        pair.server.send_message(served, b"pong %d" % number)
        pair.exchange()
        assert call.messages[-1] == b"pong %d" % number
    pair.server.send_trailers(served, OK)
    pair.exchange()
    assert call.status == OK


def test_a_large_message_both_ways(engine: EngineName) -> None:
    pair = Pair(engine)
    large = bytes(range(256)) * 16_000
    call = pair.unary(large, large)
    assert call.messages == [large]
    assert pair.server_calls[0].messages == [large]
    assert call.status == OK


def test_deadline(engine: EngineName) -> None:
    pair = Pair(engine)
    call = pair.open(deadline=pair.now + 1)
    pair.exchange()
    assert pair.client.next_time() == pair.now + 1
    pair.now += 1
    pair.client.advance(pair.now)
    assert call.status.code == StatusCode.DEADLINE_EXCEEDED
    pair.exchange()
    assert pair.server_calls[0].status.code == StatusCode.DEADLINE_EXCEEDED, "which it knows of itself"


def test_cancel(engine: EngineName) -> None:
    pair = Pair(engine)
    call = pair.open()
    pair.exchange()
    pair.client.reset(call)
    pair.client.reset(call)
    pair.exchange()
    assert call.events == []
    assert pair.server_calls[0].status.code == StatusCode.CANCELLED
    assert pair.unary().status == OK


def test_byte_by_byte(engine: EngineName) -> None:
    pair = Pair(engine)
    call = pair.open(message=b"question", end=True)
    pair.exchange(piece=1)
    [served] = pair.server_calls
    assert served.messages == [b"question"]
    pair.server.send_response(served, b"answer")
    pair.exchange(piece=1)
    assert call.messages == [b"answer"]
    assert call.status == OK


def test_graceful_end_of_a_server(engine: EngineName) -> None:
    pair = Pair(engine)
    call = pair.open(message=b"question", end=True)
    pair.exchange()
    pair.server.go_away(debug_data=b"drain")
    pair.exchange()
    assert pair.client_driver.going_away
    assert not pair.client_driver.closed
    pair.server.send_response(pair.server_calls[0], b"answer")
    pair.exchange()
    assert call.status == OK
    assert pair.server_driver.closed
    assert pair.client_driver.closed


def test_what_is_no_bytes_is_refused_before_anything_is_made_of_it(engine: EngineName) -> None:
    pair = Pair(engine)
    pair.exchange()
    for message in ("text", 5, [1]):
        with pytest.raises(TypeError, match="a message is bytes, not"):
            pair.open(message=message, end=True)
    assert pair.client.open_calls == 0
    call = pair.open(message=b"question", end=True)
    pair.exchange()
    [served] = pair.server_calls
    pair.server.send_response(served, b"answer")
    pair.exchange()
    assert (call.messages, call.status) == ([b"answer"], OK)
