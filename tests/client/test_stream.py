"""Streams: events in order, errors, every way to end, both buffers, iteration, metrics."""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from typing import Any

import pytest

from puregrpc import Client, Stream
from puregrpc.client.network import inbox
from puregrpc.client.network.inbox import INBOX_MESSAGES
from puregrpc.errors import EncodeError, InvalidArgument, LocalProtocolError, NotConnected, RpcError, SchemaError
from tests.client.lab import PART_SIZE, PARTS, lab_server
from tests.client.samples import samples, tags
from tests.worlds import block_until

COUNT, COLLECT, CONVERSE = "lab.Bench/Count", "lab.Bench/Collect", "lab.Bench/Converse"


class Events:
    """Records the events of a stream."""

    def __init__(self, stream: Stream, *events: str) -> None:
        self.stream = stream
        self.seen: list[Any] = []
        for event in events or ("data", "error", "end"):
            stream.on(event, partial(self.take, event))

    def take(self, event: str, value: Any, meta: Any) -> None:
        assert isinstance(meta.ts, int)
        assert abs(meta.ts - time.time()) < 5
        self.seen.append("end" if event == "end" else (event, value))

    def all(self) -> list[Any]:
        assert self.stream.wait("10s")
        return self.seen

    def in_short(self) -> list[Any]:
        short: dict[str, Any] = {"data": lambda v: v["index"], "error": lambda v: (int(v.code), v.message)}
        return [e if e == "end" else (e[0], short[e[0]](e[1])) for e in self.all()]


def write_all(stream: Stream, messages: list[Any], *_: Any) -> None:
    for message in messages:
        stream.write(message)


def test_a_server_stream(client: Client) -> None:
    stream = Stream(client, COUNT)
    events = Events(stream, "data", "status", "error", "end")
    assert stream.on("data", lambda: None) is None  # type: ignore[func-returns-value]  # as in k6
    assert stream.write({"text": "x", "count": 3}) is None  # type: ignore[func-returns-value]  # as in k6
    seen = events.all()
    assert [value["big"] for kind, value in seen[:3]] == ["9007199254740993", "9007199254740994", "9007199254740995"]
    assert seen[3:] == [("status", {"code": 0, "message": ""}), "end"]
    assert stream.is_over
    assert stream.error is None
    assert stream.headers["content-type"] == ["application/grpc"]


def test_a_client_stream(client: Client) -> None:
    stream = Stream(client, f"/{COLLECT}", {"metadata": {"X-A": "b", "a-bin": b"\x02\xc8"}})
    events = Events(stream)
    for text in ("a", "bb", "ccc"):
        stream.write({"text": text})
    assert stream.end() is None  # type: ignore[func-returns-value]  # as in k6
    (kind, message), end = events.all()
    assert (kind, message["received"], message["index"], message["text"], end) == ("data", 3, 6, "ccc", "end")
    metadata = [(p["key"], p["value"] or p["raw"]) for p in message["metadata"]]
    assert ("x-a", "b") in metadata
    assert ("a-bin", "Asg=") in metadata


def test_a_stream_that_is_driven_by_its_handler(client: Client) -> None:
    stream = Stream(client, "required.Greeter/Chat")
    seen: list[str] = []

    def data(message: dict[str, str]) -> None:
        seen.append(message["text"])
        if len(seen) < 3:
            stream.write({"name": f"g{len(seen)}"})
        else:
            stream.end()

    stream.on("data", data)
    stream.on("error", lambda error: seen.append(error.message))
    stream.on("end", lambda: seen.append("end"))
    stream.write({"name": "g0"})
    assert stream.wait(10_000)
    assert seen == ["hello g0", "hello g1", "hello g2", "end"]
    assert samples(client, "grpc_req_duration", "method", "status") == {("Chat", "0"): 1}


def test_an_error_after_messages(client: Client) -> None:
    def run(order: dict[str, Any]) -> list[Any]:
        stream = Stream(client, COUNT)
        events = Events(stream)
        stream.write(order)
        return events.in_short()

    assert run({"count": 2, "failure": {"code": 5, "message": "café %"}}) == [
        ("data", 0),
        ("data", 1),
        ("error", (5, "café %")),
        "end",
    ]
    assert run({"failure": {"code": 9}}) == [("error", (9, "FailedPrecondition")), "end"]
    for code in (1, 2, 4, 8, 13, 14, 16):
        assert run({"count": 1, "failure": {"code": code, "message": f"m{code}"}}) == [
            ("data", 0),
            ("error", (code, f"m{code}")),
            "end",
        ]
    expected = {(str(code),): 1 for code in (5, 9, 1, 2, 4, 8, 13, 14, 16)}
    assert samples(client, "grpc_req_duration", "status") == expected


def test_the_details_of_an_error(client: Client) -> None:
    stream = Stream(client, COUNT)
    events = Events(stream)
    stream.write({"failure": {"code": 3, "message": "d", "details": "both", "trailers": [{"key": "x", "value": "y"}]}})
    (kind, error), end = events.all()
    assert (kind, end) == ("error", "end")
    assert [detail["@type"].rpartition("/")[2] for detail in error.details] == ["google.rpc.ErrorInfo", "lab.Reason"]
    assert str(error) == "code: 3, message: d"
    assert stream.trailers["x"] == ["y"]
    assert stream.error == error


@pytest.mark.parametrize(("timeout", "method"), [("150ms", "CountAndHang"), (150, "CountAndHang")])
def test_the_timeout_of_a_stream(client: Client, lab: str, hanging: str, timeout: float | str, method: str) -> None:
    client.connect(hanging, plaintext=True)
    began = time.monotonic()
    stream = Stream(client, f"lab.Bench/{method}", {"timeout": timeout})
    events = Events(stream)
    stream.write({"count": 1})
    assert events.in_short() == [("data", 0), ("error", (4, "context deadline exceeded")), "end"]
    assert time.monotonic() - began < 10
    client.connect(lab, plaintext=True)
    enough = Stream(client, COUNT, timeout="5s")
    events = Events(enough)
    enough.write({"count": 2})
    assert events.in_short() == [("data", 0), ("data", 1), "end"]


def test_writing_after_the_end(client: Client) -> None:
    stream = Stream(client, COLLECT)
    seen: list[Any] = []

    def end() -> None:
        seen.append("end")
        stream.write({"text": "late"})
        stream.end()
        stream.on("end", lambda: seen.append("late handler"))

    stream.on("data", lambda message: seen.append((message["received"], message["text"])))
    stream.on("error", seen.append)
    stream.on("end", end)
    stream.write({"text": "a"})
    stream.end()
    stream.write({"text": "b"})
    stream.write(None)
    stream.write({"nope": 1})
    stream.end()
    assert stream.wait(10_000)
    assert seen == [(1, "a"), "end"]
    assert samples(client, "grpc_streams_msgs_sent", "method") == {("Collect",): 1}


def test_writing_what_does_not_fit(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        stream = Stream(client, COLLECT)
        events = Events(stream)
        stream.write(None)
        stream.write({"text": "after"})
        stream.end()
        assert events.in_short() == [("data", 5), "end"]
    assert [record.getMessage() for record in caplog.records] == ["can't send empty message"]
    for value, said in [({"nope": 1}, "nope"), ({"count": "x"}, "request.count"), ("str", "request"), (5, "request")]:
        stream = Stream(client, COLLECT)
        events = Events(stream)
        stream.write({"text": "a"})
        stream.write(value)
        stream.write({"text": "b"})
        (kind, error), end = events.all()
        assert (kind, error.code, end) == ("error", 2, "end")
        assert error.message.startswith("can't serialise request object to protocol buffer: request")
        assert said in error.message
    plain = Stream(client, COLLECT)
    with pytest.raises(EncodeError, match="nope"):
        plain.write({"nope": 1})
    plain.write({"text": "good"})
    plain.end()
    assert [message["text"] for message in plain] == ["good"]
    join = Stream(client, "lab.Bench/JoinText")
    join.write("Hey")
    join.write("John")
    join.end()
    assert list(join) == ["Hey John"]


def test_a_message_that_is_too_large_to_send(loaded: Client, lab: str) -> None:
    loaded.connect(lab, plaintext=True, max_send_size=10)
    stream = Stream(loaded, COLLECT)
    events = Events(stream)
    stream.write({"text": "x" * 20})
    assert events.in_short() == [("error", (8, "trying to send message larger than max (22 vs. 10)")), "end"]


def test_closing_the_client_in_a_handler(client: Client) -> None:
    stream = Stream(client, CONVERSE)
    seen: list[Any] = []

    def data(message: dict[str, Any]) -> None:
        seen.append(("data", message["index"]))
        client.close()
        stream.write({"text": "x"})

    def end() -> None:
        seen.append("end")
        try:
            Stream(client, CONVERSE)
        except NotConnected as error:
            seen.append(str(error))

    stream.on("data", data)
    stream.on("error", lambda error: seen.append(("error", int(error.code), error.message)))
    stream.on("end", end)
    stream.write({"text": "a"})
    assert stream.wait(10_000)
    assert seen == [
        ("data", 0),
        ("error", 1, "canceled by client"),
        "end",
        "invalid GRPC Stream's client: no gRPC connection, you must call connect first",
    ]
    assert samples(client, "grpc_req_duration", "status") == {("1",): 1}


def test_closing_the_client_from_outside(client: Client, lab: str) -> None:
    stream = Stream(client, CONVERSE)
    events = Events(stream)
    stream.write({"text": "a"})
    client.close()
    assert events.in_short()[-2:] == [("error", (1, "canceled by client")), "end"]
    client.connect(lab, plaintext=True)
    assert client.invoke("lab.Bench/Echo", {}).status == 0


def test_cancelling(client: Client) -> None:
    stream = Stream(client, "lab.Bench/CountAndHang")
    events = Events(stream)
    stream.write({"count": 1})
    while not events.seen:
        time.sleep(0.01)
    stream.cancel()
    stream.cancel()
    assert events.in_short() == [("data", 0), ("error", (1, "canceled by client")), "end"]
    with Stream(client, "lab.Bench/CountAndHang") as left:
        left.write({"count": 1})
        for message in left:
            assert message["index"] == 0
            break


def test_arguments_of_the_constructor(client: Client) -> None:
    for arguments, kind, said in [
        ((None,), InvalidArgument, "invalid GRPC Stream's client: empty gRPC client"),
        (({},), InvalidArgument, "invalid GRPC Stream's client: not a gRPC client"),
        ((5,), InvalidArgument, "invalid GRPC Stream's client: not a gRPC client"),
        ((Client, CONVERSE), InvalidArgument, "invalid GRPC Stream's client: not a gRPC client"),
        (
            (Client(), CONVERSE),
            NotConnected,
            "invalid GRPC Stream's client: no gRPC connection, you must call connect first",
        ),
        ((client,), InvalidArgument, "invalid GRPC Stream's method: method to invoke cannot be empty"),
        ((client, ""), InvalidArgument, "invalid GRPC Stream's method: method to invoke cannot be empty"),
        ((client, 5), InvalidArgument, "invalid GRPC Stream's method: "),
        ((client, "foo/bar"), SchemaError, 'invalid GRPC Stream\'s method: method "/foo/bar" not found in file desc'),
        ((client, "Bidi"), SchemaError, 'invalid GRPC Stream\'s method: method "/Bidi" not found in file descriptors'),
        ((client, CONVERSE, {"void": 1}), InvalidArgument, 'invalid GRPC Stream\'s parameters: unknown param: "void"'),
        (
            (client, CONVERSE, {"metadata": {"a": 1}}),
            InvalidArgument,
            'invalid GRPC Stream\'s parameters: invalid metadata param: "a" value must be a string',
        ),
        (
            (client, CONVERSE, {"timeout": "please"}),
            InvalidArgument,
            'invalid GRPC Stream\'s parameters: invalid timeout value: time: invalid duration "please"',
        ),
        (
            (client, CONVERSE, {"metadata": {"a b": "x"}}),
            RpcError,
            'failed to create a new stream: rpc error: code = Internal desc = header key "a b" contains illegal',
        ),
        (
            (client, CONVERSE, {"timeout": "1ns"}),
            RpcError,
            "failed to create a new stream: rpc error: code = DeadlineExceeded desc = context deadline exceeded",
        ),
        (
            (client, CONVERSE, {"timeout": -1}),
            RpcError,
            "failed to create a new stream: rpc error: code = DeadlineExceeded desc = context deadline exceeded",
        ),
    ]:
        with pytest.raises(kind) as caught:
            Stream(*arguments)  # type: ignore[arg-type]  # what this test is about
        assert str(caught.value).startswith(said)
    assert not client.metrics["grpc_streams"].series


def test_a_server_that_goes_away(client: Client) -> None:
    with lab_server() as address:
        client.connect(address, plaintext=True)
        handled, iterated = Stream(client, CONVERSE), Stream(client, CONVERSE)
        events = Events(handled)
        handled.write({})
        iterated.write({})
        messages = iter(iterated)
        assert next(messages)["index"] == 0
        block_until(lambda: events.seen)
    with pytest.raises(RpcError) as caught:
        next(messages)
    assert caught.value.code == 14
    data, (kind, (code, text)), end = events.in_short()
    assert (data, kind, code, end) == (("data", 0), "error", 14, "end")
    assert text


def test_what_cannot_be_registered(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    stream = Stream(client, CONVERSE)
    with caplog.at_level(logging.WARNING):
        for event in ("foo", "Data", "close", "message", ""):
            stream.on(event, lambda: 1)
    assert [record.getMessage() for record in caplog.records] == [
        f"can't register {event} event handler: unknown GRPC stream's event type: {event}"
        for event in ("foo", "Data", "close", "message", "")
    ]
    handlers: tuple[Any, ...] = (None, 5, "x", {}, [])
    for handler in handlers:
        with pytest.raises(InvalidArgument, match='handler for "data" event isn\'t a callable function'):
            stream.on("data", handler)
    with pytest.raises(InvalidArgument, match='handler for "" event isn\'t a callable function'):
        stream.on()
    with pytest.raises(InvalidArgument, match="takes 3 arguments"):
        stream.on("data", lambda a, b, c: None)
    stream.end()
    assert list(stream) == []


def test_a_handler_that_raises_ends_its_stream(client: Client) -> None:
    stream = Stream(client, COUNT)
    seen: list[Any] = []

    def data(message: dict[str, Any]) -> None:
        seen.append(message["index"])
        if message["index"] == 1:
            raise ValueError("boom")

    stream.on("data", data)
    stream.on("error", lambda error: seen.append((int(error.code), error.message)))
    stream.on("end", lambda: seen.append("end"))
    stream.write({"count": 4, "interval_ms": 30})
    with pytest.raises(ValueError, match="boom"):
        stream.wait(10_000)
    assert seen == [0, 1, (2, "ValueError: boom"), "end"]
    stream.end()
    client.close()


def test_a_handlers_exception_is_raised_once_by_the_next_call_or_by_close(client: Client, lab: str) -> None:
    for provoke in (Stream.end, lambda stream: stream.write({}), lambda stream: client.close()):
        client.connect(lab, plaintext=True)
        stream = Stream(client, CONVERSE)
        raised = threading.Event()

        def data(raised: threading.Event = raised) -> None:
            raised.set()
            raise KeyError("handler")

        stream.on("data", data)
        stream.write({})
        assert raised.wait(5)
        time.sleep(0.05)
        with pytest.raises(KeyError, match="handler"):
            provoke(stream)
        client.close()


def test_handlers_run_one_at_a_time_on_one_thread_and_may_call(client: Client) -> None:
    threads, running, overlaps = set(), [0], [0]
    streams = [Stream(client, COUNT) for _ in range(4)]

    def data(message: dict[str, Any]) -> None:
        running[0] += 1
        overlaps[0] = max(overlaps[0], running[0])
        threads.add(threading.current_thread())
        assert client.invoke("lab.Bench/Echo", {"anInt32": message["index"]}).status == 0
        running[0] -= 1

    for stream in streams:
        stream.on("data", data)
        stream.write({"count": 5})
    for stream in streams:
        assert stream.wait("20s")
    assert overlaps == [1]
    assert len(threads) == 1
    assert threading.main_thread() not in threads


def test_handlers_may_be_registered_after_writing(client: Client) -> None:
    stream = Stream(client, COUNT)
    stream.write({"count": 2})
    assert Events(stream).in_short() == [("data", 0), ("data", 1), "end"]


def test_iteration(client: Client) -> None:
    stream = client.stream(CONVERSE)
    stream.write({"text": "a", "count": 2})
    stream.write({"text": "b"})
    stream.end()
    assert [(m["text"], m["index"]) for m in stream] == [("a", 0), ("a", 1), ("b", 0)]
    assert list(stream) == []
    failing = client.stream(COUNT)
    failing.write({"count": 1, "failure": {"code": 5, "message": "gone", "trailers": [{"key": "x", "value": "y"}]}})
    received = []
    with pytest.raises(RpcError, match="rpc error: code = NotFound desc = gone") as caught:
        for message in failing:
            received.append(message["index"])  # noqa: PERF401 - the exception comes after it
    assert received == [0]
    assert (caught.value.code, dict(caught.value.trailers)["x"]) == (5, "y")


def test_iteration_and_handlers_exclude_each_other(client: Client) -> None:
    handled = Stream(client, CONVERSE)
    handled.on("data", lambda: None)
    with pytest.raises(LocalProtocolError, match="either iterated over or has handlers"):
        iter(handled)
    iterated = Stream(client, CONVERSE)
    iter(iterated)
    with pytest.raises(LocalProtocolError, match="either iterated over or has handlers"):
        iterated.on("data", lambda: None)
    untouched = Stream(client, CONVERSE)
    with pytest.raises(LocalProtocolError, match="iterate"):
        untouched.wait(10)


def test_a_slow_reader_holds_the_server_back(client: Client) -> None:
    stream = Stream(client, COUNT)
    stream.write({"count": 3000, "size": 20_000})
    time.sleep(1.0)
    waiting = stream._inbox
    assert len(waiting._items) <= INBOX_MESSAGES
    assert waiting.ended is None
    assert samples(client, "grpc_streams_msgs_received", "method")[("Count",)] <= INBOX_MESSAGES
    stream.cancel()
    with pytest.raises(RpcError, match="canceled by client"):
        list(stream)


def test_a_slow_server_holds_the_writer_back(client: Client) -> None:
    stream = Stream(client, CONVERSE)  # it answers every message, and its answers are not taken
    written = [0]

    def write() -> None:
        for _ in range(50_000):
            stream.write({"text": "x" * 20_000, "size": 20_000})
            written[0] += 1

    thread = threading.Thread(target=write)
    thread.start()
    time.sleep(1.5)
    assert thread.is_alive()
    before = written[0]
    time.sleep(0.3)
    assert written[0] == before < 20_000
    stream.cancel()
    thread.join(10)
    assert not thread.is_alive()


def test_a_handler_that_writes_to_a_server_that_does_not_read_yet(client: Client) -> None:
    """The server reads once all it sends is taken: a handler that waited for it would wait for itself."""
    stream = Stream(client, "lab.Bench/CountThenCollect")
    received: list[int] = []

    def data(message: dict[str, Any]) -> None:
        if message["index"] < 0:
            received.append(message["received"])
            return
        stream.write({"text": "x" * PART_SIZE})
        if message["index"] == PARTS - 1:
            stream.end()

    stream.on("data", data)
    assert stream.wait(20_000)
    assert received == [PARTS]
    assert stream.error is None


def test_a_handlers_patience_with_a_server_that_never_reads(
    loaded: Client, hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "BACKLOG_OCTETS", 200_000)
    monkeypatch.setattr(inbox, "STALL_SECONDS", 0.2)
    monkeypatch.setattr(loaded._state, "holds_a_server_back", lambda: True)
    loaded.connect(hanging, plaintext=True)
    stream = Stream(loaded, "lab.Bench/CountThenCollect")
    events = Events(stream, "error", "end")
    stream.on("data", partial(write_all, stream, [{"text": "x" * PART_SIZE}] * 30))
    stream.write({})
    (kind, error), end = events.all()
    assert (kind, error.code, end) == ("error", 8, "end")
    assert "the server takes nothing" in error.message


def test_two_threads_that_write_and_wait(client: Client) -> None:
    stream = Stream(client, CONVERSE)
    orders = [{"text": "x" * 200_000}] * 20
    threads = [threading.Thread(target=write_all, args=(stream, orders)) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)  # they wait for the server, which waits for the reader
    taken = 0
    for _ in stream:
        taken += 1
        if taken == 60:
            stream.end()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert taken == 60


def test_a_second_message_for_a_method_that_takes_one(client: Client) -> None:
    stream = Stream(client, COUNT)
    events = Events(stream, "error", "end")
    stream.write({"count": 1, "interval_ms": 300})
    stream.write({"count": 2})
    assert events.in_short() == [("error", (13, "SendMsg called after CloseSend")), "end"]
    ended = Stream(client, COUNT)
    events = Events(ended)
    ended.write({"count": 1})
    ended.end()
    ended.write({"count": 2})  # after the end nothing happens
    assert events.in_short() == [("data", 0), "end"]
    with client.stream(COUNT) as iterated:
        iterated.write({"count": 1})
        with pytest.raises(LocalProtocolError, match=f"/{COUNT} takes one message, and that was written already"):
            iterated.write({"count": 2})
        assert [part["index"] for part in iterated] == [0]


def test_the_samples_of_a_stream_whose_message_is_none_of_its_type(client: Client) -> None:
    stream = Stream(client, "lab.Bench/Garbage")
    release = threading.Event()
    stream.on("status", lambda: release.wait(5))
    events = Events(stream, "data", "error", "end")
    stream.write({})
    release.set()
    (kind, error), end = events.all()
    assert (kind, error.code, end) == ("error", 13, "end")
    assert samples(client, "grpc_req_duration", "method", "status") == {("Garbage", "13"): 1}
    assert samples(client, "grpc_streams_msgs_received", "method") == {}


def test_a_handler_cannot_wait_for_handlers(client: Client) -> None:
    stream, other = Stream(client, COUNT), Stream(client, COUNT)
    said: list[str] = []

    def data() -> None:
        for one in (stream, other):
            with pytest.raises(LocalProtocolError, match="a handler cannot wait for a stream's handlers") as caught:
                one.wait()
            said.append(str(caught.value))

    other.on("end", lambda: None)
    stream.on("data", data)
    stream.write({"count": 1})
    assert stream.wait(10_000)
    assert len(said) == 2


def test_messages_that_are_discarded(client: Client) -> None:
    stream = Stream(client, COUNT, discard_response_message=True)
    events = Events(stream)
    stream.write({"count": 2})
    assert events.all() == [("data", {}), ("data", {}), "end"]


def test_the_samples_of_streams(client: Client, lab: str) -> None:
    def run(method: str, requests: list[Any], params: dict[str, Any]) -> None:
        stream = Stream(client, method, params)
        stream.on("error", lambda: None)
        stream.on("end", lambda: None)
        for request in requests:
            stream.write(request)
        stream.end()
        assert stream.wait("10s")

    run(CONVERSE, [{"count": 2}, {"count": 3}], {"tags": {"tag1": "value1"}})
    run(COUNT, [{"count": 4}], {"tags": {"name": "renamed"}, "discardResponseMessage": True})
    run(COUNT, [{"count": 1, "failure": {"code": 5}}], {"tags": {"name": "failed"}})
    run("lab.Bench/CountAndHang", [{"count": 1}], {"timeout": "100ms", "tags": {"name": "timed out"}})
    run(COLLECT, [{}, {}], {})
    names = [("/lab.Bench/Converse",), ("renamed",), ("failed",), ("timed out",), ("/lab.Bench/Collect",)]
    assert samples(client, "grpc_streams", "name") == dict.fromkeys(names, 1)
    assert list(samples(client, "grpc_streams_msgs_sent", "name").values()) == [2, 1, 1, 1, 2]
    assert samples(client, "grpc_streams_msgs_received", "name", "status") == {
        ("/lab.Bench/Converse", ""): 5,
        ("renamed", ""): 4,
        ("failed", ""): 1,
        ("timed out", ""): 1,
        ("/lab.Bench/Collect", "0"): 1,
    }
    assert samples(client, "grpc_req_duration", "name", "status") == {
        ("/lab.Bench/Converse", "0"): 1,
        ("renamed", "0"): 1,
        ("failed", "5"): 1,
        ("timed out", "4"): 1,
        ("/lab.Bench/Collect", "0"): 1,
    }
    assert tags(client, "grpc_streams")[0] == {
        "group": "",
        "scenario": "default",
        "url": f"{lab}/{CONVERSE}",
        "service": "lab.Bench",
        "method": "Converse",
        "name": "/lab.Bench/Converse",
        "tag1": "value1",
    }
    assert client.metrics.value("grpc_streams_first_message", "count") == 5
    assert client.metrics.value("grpc_streams_msg_interval", "count") == 7
