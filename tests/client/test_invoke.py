"""invoke: the response, errors of calls and of scripts, request forms, metadata, limits, timeouts, futures."""

from __future__ import annotations

import copy
import json
import pickle
import threading
import time
from concurrent.futures import Future, wait
from typing import Any

import pytest

from puregrpc import AsyncClient, Client, Response, StatusNotFound, StatusOK, check
from puregrpc.client.results.constants import StatusName
from puregrpc.errors import EncodeError, InvalidArgument, NotConnected, SchemaError
from tests.client.samples import samples, tags

ECHO = "lab.Bench/Echo"
FAIL = "lab.Bench/Fail"

HEADERS = {"content-type": ["application/grpc"]}


def without_encodings(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: values for name, values in metadata.items() if name != "grpc-accept-encoding"}


# -- the response


def test_the_response(client: Client) -> None:
    response = client.invoke("required.Greeter/Greet", {"name": "Bert"})
    assert list(response) == ["message", "error", "headers", "trailers", "status"]
    assert response.message == {"text": "hello Bert"}
    assert response.error is None
    assert without_encodings(response.headers) == HEADERS
    assert response.trailers == {}
    assert response.status == StatusOK == 0
    assert (str(response.status), f"{response.status}", json.dumps(response.status)) == ("OK", "OK", "0")
    assert json.loads(json.dumps(response))["message"] == {"text": "hello Bert"}
    with pytest.raises(AttributeError, match="Response has message, error, headers, trailers, status, but no 'nope'"):
        response.nope  # noqa: B018 - what this test is about
    with pytest.raises(AttributeError):
        response.foo = 5
    response.message["text"] = "x"
    response.status = StatusNotFound
    assert (response["message"], response["status"]) == ({"text": "x"}, 5)
    for copied in (copy.deepcopy(response), pickle.loads(pickle.dumps(response))):
        assert (copied, copied.status, copied.metrics) == (response, 5, None)
    assert "hello" in repr(client.invoke("required.Greeter/Greet", {}))


def test_names_of_methods(client: Client) -> None:
    assert client.invoke("/required.Greeter/Greet", {}).message == {"text": "hello noname"}
    assert client.invoke("NoPackage/Do", {"a": "x"}).message == {"a": "x"}
    assert client.invoke("lab.Bench/Meta", {}).message == {}


def test_every_status(client: Client) -> None:
    for code in range(1, 17):
        response = client.invoke(FAIL, {"code": code})
        assert response.status == code
        assert dict(response.error or {}) == {"code": code, "message": str(StatusName(code)), "details": []}
        assert response.message["aString"] == ""
    assert client.invoke(FAIL, {"code": 0, "message": "ignored"}).error is None
    assert samples(client, "grpc_req_duration", "status") == {(str(code),): 1 for code in range(17)}
    assert samples(client, "grpc_req_failed", "status")[("0",)] == 0
    assert client.metrics.value("grpc_req_failed", "rate") == pytest.approx(16 / 17)


def test_a_failed_call(client: Client) -> None:
    order = {
        "code": 5,
        "message": "nothing",
        "headers": [{"key": "x-h", "value": "1"}],
        "trailers": [{"key": "x-t", "value": "2"}, {"key": "x-t", "value": "3"}],
    }
    response = client.invoke(FAIL, order)
    assert without_encodings(response.headers) == {**HEADERS, "x-h": ["1"]}
    assert response.trailers == {"x-t": ["2", "3"]}
    assert (response.status, response.status == StatusNotFound, response.status > 4) == (5, True, True)
    assert response.error is not None
    assert (response.error.code, str(response.error)) == (StatusNotFound, "code: 5, message: nothing")
    only_trailers = client.invoke(FAIL, {**order, "headers": []})
    assert only_trailers.headers == {}
    assert only_trailers.trailers["x-t"] == ["2", "3"]


@pytest.mark.parametrize(
    "text", [" ", "a b", "café 你好 😀", "100% %41 %zz", "line1\nline2\r\ttab", '"q" \\ b', "end ", " start", "x" * 300]
)
def test_messages_of_errors(client: Client, text: str) -> None:
    error = client.invoke(FAIL, {"code": 3, "message": text}).error
    assert error is not None
    assert error.message == text


def test_details_of_errors(client: Client) -> None:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "OFF",
        "domain": "example.com",
        "metadata": {"service": "lab"},
    }
    reason = {"@type": "type.googleapis.com/lab.Reason", "why": "because", "when": "1234567890123456789"}
    unknown = {"@type": "type.googleapis.com/nobody.Knows", "@value": "CAE="}
    for asked, expected in [("none", []), ("info", [info]), ("both", [info, reason]), ("unknown", [unknown])]:
        response = client.invoke(FAIL, {"code": 3, "message": "bad ü", "details": asked})
        assert dict(response.error or {}) == {"code": 3, "message": "bad ü", "details": expected}
        assert ("grpc-status-details-bin" in response.trailers) == bool(expected)
    discarded = client.invoke(FAIL, {"code": 3, "details": "info"}, {"discardResponseMessage": True})
    assert discarded.message is None
    assert discarded.error is not None
    assert discarded.error.details == [info]


def test_replies_that_cannot_be_read(client: Client) -> None:
    garbage = client.invoke("lab.Bench/Garbage", {})
    assert garbage.error is not None
    assert garbage.status == 13
    assert garbage.error.message.startswith("grpc: failed to unmarshal the received message: proto: ")
    assert garbage.message["aString"] == ""
    text = client.invoke("lab.Bench/BadText", {})
    assert text.error is not None
    assert "note" in text.error.message
    assert "invalid UTF-8" in text.error.message
    assert client.invoke("lab.Bench/UnknownFields", {}).message == {"ms": 7, "note": ""}
    assert client.invoke("lab.Bench/NotThere", {}).error == {
        "code": 12,
        "message": "Method not found!",
        "details": [],
    }


def test_a_unary_call_of_a_streaming_method(client: Client) -> None:
    assert client.invoke("lab.Bench/Collect", {"text": "x"}).message["received"] == 1
    assert client.invoke("lab.Bench/Converse", {"text": "x"}).status == 0
    assert client.invoke("lab.Bench/Count", {"count": 1}).message["big"] == "9007199254740993"
    two, none = client.invoke("lab.Bench/Count", {"count": 2}), client.invoke("lab.Bench/Count", {"count": 0})
    assert two.error is not None
    assert (two.status, two.error.message) == (
        13,
        "cardinality violation: expected <EOF> for non server-streaming RPCs, but received another message",
    )
    assert none.error is not None
    assert (none.status, none.error.message) == (
        13,
        "cardinality violation: received no response message from non-server-streaming RPC",
    )


def test_discarding_the_message(client: Client) -> None:
    discard = {"discardResponseMessage": True}
    ok = client.invoke(ECHO, {"aString": "x"}, discard)
    assert (ok.message, ok.error, ok.status) == (None, None, 0)
    assert without_encodings(ok.headers) == HEADERS
    failed = client.invoke(FAIL, {"code": 7, "trailers": [{"key": "x", "value": "y"}]}, discard)
    assert (failed.message, failed.status, failed.trailers["x"]) == (None, 7, ["y"])
    assert client.invoke("lab.Bench/BadText", {}, discard_response_message=True).status == 0


# -- what a script does wrong


def test_calls_that_cannot_be_made(client: Client, loaded: Client) -> None:
    wrong: list[tuple[tuple[Any, ...], type[Exception], str]] = [
        ((), InvalidArgument, "method to invoke cannot be empty"),
        (("",), InvalidArgument, "method to invoke cannot be empty"),
        (("foo/bar", {}), SchemaError, 'method "/foo/bar" not found in file descriptors'),
        (("Echo", {}), SchemaError, 'method "/Echo" not found in file descriptors'),
        ((ECHO,), InvalidArgument, "request cannot be nil"),
        ((ECHO, None), InvalidArgument, "request cannot be nil"),
        ((ECHO, {}, {"void": 1}), InvalidArgument, 'client.invoke() parameters: unknown param: "void"'),
        ((ECHO, {"nope": 1}), EncodeError, "nope"),
        ((ECHO, {"anInner": {"child": {"value": "x"}}}), EncodeError, "request.anInner.child.value"),
        ((ECHO, {"inners": [{}, {"value": 1.5}]}), EncodeError, "request.inners[1].value"),
    ]
    for arguments, kind, said in wrong:
        with pytest.raises(kind) as caught:
            client.invoke(*arguments)
        assert said in str(caught.value)
    cyclic: dict[str, Any] = {}
    cyclic["anInner"] = {"child": cyclic}
    cyclic["anInner"]["child"] = cyclic["anInner"]
    with pytest.raises(EncodeError):
        client.invoke(ECHO, cyclic)
    assert not client.metrics["grpc_req_duration"].series
    assert client.invoke(ECHO, {}).status == 0
    with pytest.raises(NotConnected, match="no gRPC connection, you must call connect first"):
        Client().invoke(ECHO, {})


def test_forms_of_requests(client: Client) -> None:
    def sent(request: Any) -> str:
        return str(client.invoke("lab.Bench/Inspect", request).message["hex"])

    assert sent({}) == ""
    assert sent({"an_int32": 1}) == sent({"anInt32": 1}) == "1801"
    assert sent({"an_int32": None, "a_string": "a"}) == "420161"
    assert sent({"some_bytes": b"\x01\x02"}) == sent({"some_bytes": "AQI="}) == "4a020102"
    assert sent({"int32s": (1, 2)}) == sent({"int32s": [1, 2]})
    assert sent(client.invoke(ECHO, {"an_int32": 5}).message) == "1805"
    assert sent(client.stub("lab.Bench").message("lab.Everything")(an_int32=7)) == "1807"
    assert sent({"a_string": "\U0001f600\0"}) == "4205f09f988000"
    wrong: tuple[Any, ...] = (
        [],
        [{}],
        "",
        "str",
        '{"an_int32":1}',
        5,
        True,
        lambda: 1,
        {"int32s": [1, None]},
        {"a_string": "\ud800"},
    )
    for bad in wrong:
        with pytest.raises(EncodeError, match="request"):
            client.invoke("lab.Bench/Inspect", bad)
    with pytest.raises(EncodeError):
        client.invoke("lab.Bench/Inspect", {"an_int32": 1, "anInt32": 2})


# -- metadata


def seen(client: Client, metadata: Any) -> list[tuple[str, str]]:
    response = client.invoke("lab.Bench/Inspect", {}, {"metadata": metadata})
    assert response.error is None
    pairs = response.message["metadata"]
    assert response.message["millisecondsLeft"] > 1000
    return [(p["key"], p["value"] or p["raw"]) for p in pairs if p["key"] != "user-agent"]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"a": "b"}, [("a", "b")]),
        ({"X-Load-Tester": "k6"}, [("x-load-tester", "k6")]),
        ({"X-A": "1", "x-a": "2"}, [("x-a", "1"), ("x-a", "2")]),
        ({"a": ""}, [("a", "")]),
        ({"a": "b, c"}, [("a", "b, c")]),
        ({"a-bin": b"\x02\xc8"}, [("a-bin", "Asg=")]),
        ({"a-bin": bytearray(b"\x02\xc8")}, [("a-bin", "Asg=")]),
        ({"a-bin": b""}, [("a-bin", "")]),
        ({"A-bin": b"\x01"}, [("a-bin", "AQ==")]),
        ({"a-BIN": "text"}, [("a-bin", "dGV4dA==")]),
        (None, []),
        ({}, []),
        ({":path": "/x", ":authority": "x", "content-type": "x", "te": "x", "user-agent": "x"}, []),
        ({"grpc-timeout": "1S"}, []),
        ({"grpc-foo": "x"}, [("grpc-foo", "x")]),
        ({"a.b_c-d": "x"}, [("a.b_c-d", "x")]),
        ({"a": "x" * 5000}, [("a", "x" * 5000)]),
    ],
)
def test_metadata_that_is_sent(client: Client, metadata: Any, expected: list[tuple[str, str]]) -> None:
    assert seen(client, metadata) == expected


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"a": "café"}, 'header key "a" contains value with non-printable ASCII characters'),
        ({"a": "b\nc"}, 'header key "a" contains value with non-printable ASCII characters'),
        ({"a": "b\x01c"}, 'header key "a" contains value with non-printable ASCII characters'),
        ({"": "x"}, "there is an empty key in the header"),
        ({"a b": "x"}, 'header key "a b" contains illegal characters not in [0-9a-z-_.]'),
        ({"café": "x"}, 'header key "café" contains illegal characters not in [0-9a-z-_.]'),
    ],
)
def test_metadata_that_cannot_be_sent(client: Client, metadata: Any, said: str) -> None:
    response = client.invoke(ECHO, {}, {"metadata": metadata})
    assert (response.status, dict(response.error or {})) == (13, {"code": 13, "message": said, "details": []})
    assert not client.metrics["grpc_req_duration"].series


def test_metadata_that_comes_back(client: Client) -> None:
    order = {
        "headers": [
            {"key": "x-one", "value": "1"},
            {"key": "x-rep", "value": "a"},
            {"key": "x-rep", "value": "b, c"},
            {"key": "x-raw-bin", "raw": "AsgA"},
            {"key": "x-empty", "value": ""},
        ],
        "trailers": [{"key": "t-rep", "value": "a"}, {"key": "t-rep", "value": "b"}, {"key": "t-bin", "raw": "/wD+"}],
    }
    response = client.invoke("lab.Bench/Meta", order)
    assert without_encodings(response.headers) == {
        **HEADERS,
        "x-one": ["1"],
        "x-rep": ["a", "b, c"],
        "x-raw-bin": [b"\x02\xc8\x00"],
        "x-empty": [""],
    }
    assert response.trailers == {"t-rep": ["a", "b"], "t-bin": [b"\xff\x00\xfe"]}
    assert "X-One" not in response.headers


# -- limits and time


def test_sizes(loaded: Client, lab: str) -> None:
    megabyte = 1 << 20

    def call(params: dict[str, Any], request: dict[str, Any], **more: Any) -> Response:
        loaded.connect(lab, {"plaintext": True, **params})
        return loaded.invoke("lab.Bench/Big", request, more)

    def refused(response: Response) -> str:
        assert response.status == 8
        assert response.error is not None
        return response.error.message

    larger = "grpc: received message larger than max"
    assert refused(call({}, {"size": 5 * megabyte})) == f"{larger} (5242885 vs. 4194304)"
    assert refused(call({}, {"size": 4 * megabyte})) == f"{larger} (4194309 vs. 4194304)"
    assert len(call({}, {"size": 4 * megabyte - 5}).message["padding"]) == 5592400
    assert len(call({"maxReceiveSize": 6 * megabyte}, {"size": 5 * megabyte}).message["padding"]) == 6990508
    assert len(call({"maxReceiveSize": 100}, {"size": 98}).message["padding"]) == 132
    assert refused(call({"maxReceiveSize": 0}, {"size": 5 * megabyte})) == f"{larger} (5242885 vs. 4194304)"
    assert call({}, {"padding": bytes(3 * megabyte)}).message["size"] == 3 * megabyte
    assert refused(call({"maxSendSize": 100}, {"padding": bytes(101)})) == (
        "trying to send message larger than max (103 vs. 100)"
    )
    assert call({"maxSendSize": 100}, {"padding": bytes(50)}).message["size"] == 50
    assert call({"maxReceiveSize": 1}, {}).status == 0
    assert refused(call({"maxReceiveSize": 1}, {"size": 10}, discard_response_message=True)) == f"{larger} (12 vs. 1)"
    assert samples(loaded, "grpc_req_duration", "status") == {("0",): 6, ("8",): 5}


@pytest.mark.parametrize("timeout", ["100ms", 100, "100", "1ns", -5])
def test_timeouts(client: Client, lab: str, hanging: str, timeout: float | str) -> None:
    client.connect(hanging, plaintext=True)
    began = time.monotonic()
    response = client.invoke("lab.Bench/Hang", {}, {"timeout": timeout})
    assert time.monotonic() - began < 10
    assert dict(response) == {
        "message": {"ms": 0, "note": ""},
        "error": {"code": 4, "message": "context deadline exceeded", "details": []},
        "headers": {},
        "trailers": {},
        "status": 4,
    }
    assert samples(client, "grpc_req_duration", "status") == {("4",): 1}
    client.connect(lab, plaintext=True)
    assert client.invoke("lab.Bench/Sleep", {"ms": 20}, {"timeout": "10s"}).message["ms"] == 20


def test_a_timeout_after_the_headers(client: Client, hanging: str) -> None:
    client.connect(hanging, plaintext=True)
    response = client.invoke("lab.Bench/HangAfterHeaders", {}, timeout="100ms", discard_response_message=True)
    assert (response.message, response.status, response.headers["x-early"]) == (None, 4, ["1"])


@pytest.mark.parametrize("timeout", ["1h42m", 400.5, 2000, "2000", "1d", 0, "0", "0s", 1e9])
def test_timeouts_that_are_enough(client: Client, timeout: float | str) -> None:
    assert client.invoke(ECHO, {}, {"timeout": timeout}).status == 0


def test_a_server_that_goes_away(loaded: Client, lab: str) -> None:
    from tests.client.lab import lab_server

    with lab_server() as address:
        loaded.connect(address, plaintext=True)
        assert loaded.invoke(ECHO, {}).status == 0
    response = loaded.invoke(ECHO, {}, timeout="10s")
    assert response.status == 14
    assert response.error is not None
    assert response.error.message
    loaded.connect(lab, plaintext=True)
    assert loaded.invoke(ECHO, {}).status == 0


# -- several at once


def test_async_invoke(client: Client) -> None:
    future = client.asyncInvoke(ECHO, {"aString": "async"})
    assert isinstance(future, Future)
    assert future.result(10).message["aString"] == "async"
    assert client.async_invoke(FAIL, {"code": 5}).result(10).status == 5
    assert client.async_invoke("lab.Bench/Hang", {}, timeout="50ms").result(10).status == 4
    assert client.async_invoke(ECHO, {}, discard_response_message=True).result(10).message is None
    assert client.async_invoke(ECHO, {}, metadata={"a b": "c"}).result(10).status == 13
    wrong: list[tuple[tuple[Any, ...], type[Exception], str]] = [
        (("foo/bar", {}), SchemaError, "not found in file descriptors"),
        ((), InvalidArgument, "method to invoke cannot be empty"),
        ((ECHO, {}, {"void": True}), InvalidArgument, 'unknown param: "void"'),
        ((ECHO,), InvalidArgument, "request cannot be nil"),
        ((ECHO, {"nope": 1}), EncodeError, "nope"),
    ]
    for arguments, kind, said in wrong:
        error = client.async_invoke(*arguments).exception(10)
        assert isinstance(error, kind)
        assert said in str(error)
    began = time.monotonic()
    futures = [client.async_invoke("lab.Bench/Sleep", {"ms": 1000 - number}) for number in range(5)]
    assert [future.result(10).message["ms"] for future in futures] == [1000, 999, 998, 997, 996]
    assert time.monotonic() - began < 4
    order: list[int] = []
    futures = [client.async_invoke("lab.Bench/Sleep", {"ms": ms}) for ms in (300, 20, 150)]
    for future in futures:
        future.add_done_callback(lambda done: order.append(done.result().message["ms"]))
    wait(futures, 10)
    assert order == [20, 150, 300]


def test_a_cancelled_future_cancels_the_call(client: Client) -> None:
    future = client.async_invoke("lab.Bench/Hang", {})
    assert future.cancel()
    assert client.invoke(ECHO, {}).status == 0


def test_calls_from_many_threads(client: Client) -> None:
    wrong: list[object] = []

    def work(number: int) -> None:
        for index in range(10):
            text = f"{number}/{index}"
            if client.invoke(ECHO, {"aString": text}).message["aString"] != text:
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong
    assert samples(client, "grpc_req_duration", "status") == {("0",): 80}


def test_closing_while_a_call_is_under_way(loaded: Client, lab: str) -> None:
    loaded.connect(lab, plaintext=True)
    results: list[Any] = []

    def call() -> None:
        try:
            results.append(loaded.invoke("lab.Bench/Hang", {}, timeout="20s"))
        except NotConnected as error:
            results.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    time.sleep(0.1)
    loaded.close()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(results[0], NotConnected) or results[0].status == 1


def test_closing_with_begun_calls(client: Client) -> None:
    begun = client.async_invoke("lab.Bench/Hang", {})
    time.sleep(0.05)
    client.close()
    assert begun.result(5).error == {
        "code": 1,
        "message": "grpc: the client connection is closing",
        "details": [],
    }


def test_clients_are_not_copied(client: Client) -> None:
    for owned in (client, client.stream("lab.Bench/Converse"), AsyncClient()):
        for copied in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled or copied: "):
                copied(owned)


# -- typed use, checks and metrics


def test_a_stub_gives_message_objects(client: Client) -> None:
    bench = client.stub("lab.Bench")
    everything = bench.message("lab.Everything")
    response = bench.Echo(everything(a_string="typed", an_int64=5))
    assert (response.message.a_string, response.message.an_int64, response.status) == ("typed", 5, 0)
    assert bench.echo(a_string="fields").message.a_string == "fields"
    assert bench.echo({"aString": "dict"}, {"tags": {"a": "b"}}).message.a_string == "dict"
    assert bench.fail(code=5).message == everything()
    assert [part.index for part in bench.count(count=3)] == [0, 1, 2]
    stream = bench.converse()
    stream.write(bench.message("lab.Order")(text="x"))
    stream.end()
    assert [part.text for part in stream] == ["x"]
    assert "Echo" in repr(bench)
    with pytest.raises(AttributeError, match=r"lab\.Bench has the methods Echo"):
        bench.nope()
    with pytest.raises(SchemaError):
        client.stub("lab.Nope")


def test_type_stubs(loaded: Client) -> None:
    text = loaded.type_stubs("lab.Bench")
    compile(text, "bench.pyi", "exec")
    for line in (
        "class Everything(Message):",
        "    texts: MutableMapping[str, str]",
        "    inners: RepeatedCompositeFieldContainer[Inner]",
        "    an_int64: int",
        "class EverythingResponse(Response):",
        "    message: Everything",
        "class Bench(Protocol):",
    ):
        assert line in text.splitlines()
    assert "    def count(self, request: Order | Mapping[str, Any] | None = ..." in text
    assert "**fields: Any) -> PartStream: ..." in text
    assert "class NoPackage(Protocol):" in loaded.type_stubs()
    with pytest.raises(SchemaError):
        loaded.type_stubs("lab.Nope")


def test_tags_of_calls(client: Client, lab: str) -> None:
    from puregrpc import group

    client.invoke(ECHO, {}, {"tags": {"a": "x", "n": 5, "b": True}})
    client.invoke(ECHO, {}, {"tags": {"name": "my name"}})
    client.invoke(ECHO, {}, {"tags": {"url": "u", "service": "s", "method": "m", "status": "st", "group": "gr"}})
    with group("one"), group("two"):
        client.invoke(ECHO, {})
    system = {
        "group": "",
        "scenario": "default",
        "url": f"{lab}/lab.Bench/Echo",
        "service": "lab.Bench",
        "method": "Echo",
        "name": "/lab.Bench/Echo",
        "status": "0",
    }
    assert tags(client, "grpc_req_duration") == [
        {**system, "a": "x", "n": "5", "b": "true"},
        {**system, "name": "my name"},
        {**system, "group": "gr"},
        {**system, "group": "::one::two"},
    ]


def test_checks_of_responses_are_in_the_clients_metrics(client: Client) -> None:
    from puregrpc import group

    ok = client.invoke("required.Greeter/Greet", {"name": "x"})
    failed = client.invoke(FAIL, {"code": 5})
    assert check(ok, {"status is OK": lambda r: r and r.status == StatusOK, "reply": lambda r: r.message["text"]})
    assert not check(failed, {"status is OK": lambda r: r.status == StatusOK, "not found": True}, {"mytag": "v"})
    group("g", lambda: check(failed, {"in group": lambda r: bool(r.error)}))
    assert not check(failed, {"text": "x", "zero": 0})
    with pytest.raises(KeyError):
        check(ok, {"throws": lambda r: r.message["nope"]["nope"]})
    assert samples(client, "checks", "check", "group", "mytag") == {
        ("status is OK", "", ""): 1,
        ("reply", "", ""): 1,
        ("status is OK", "", "v"): 0,
        ("not found", "", "v"): 1,
        ("in group", "::g", ""): 1,
        ("text", "", ""): 1,
        ("zero", "", ""): 0,
        ("throws", "", ""): 0,
    }


def test_which_failures_are_measured(client: Client) -> None:
    calls: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
        ("error", FAIL, {"code": 5}, {}),
        ("server deadline", FAIL, {"code": 4}, {}),
        ("garbage", "lab.Bench/Garbage", {}, {}),
        ("too large", "lab.Bench/Big", {"size": 5_000_000}, {}),
        ("bad metadata", ECHO, {}, {"metadata": {"a b": "c"}}),
        ("unknown any", "lab.Bench/UnknownAny", {}, {}),
        ("timeout", "lab.Bench/Hang", {}, {"timeout": "50ms"}),
        ("expired", "lab.Bench/Hang", {}, {"timeout": "1ns"}),
    ]
    for name, url, request, params in calls:
        client.invoke(url, request, {**params, "tags": {"name": name}})
    assert samples(client, "grpc_req_duration", "name", "status") == {
        ("error", "5"): 1,
        ("server deadline", "4"): 1,
        ("garbage", "13"): 1,
        ("too large", "8"): 1,
        ("unknown any", "0"): 1,
        ("timeout", "4"): 1,
        ("expired", "4"): 1,
    }


def test_traffic_and_the_time_to_connect(client: Client) -> None:
    client.invoke(ECHO, {"aString": "x" * 1000})
    sent = client.metrics.value("data_sent", "count")
    assert sent > 1000
    assert client.metrics.value("data_received", "count") > 1000
    assert client.metrics.value("grpc_connect_duration", "count") == 1
    client.invoke(ECHO, {"aString": "x" * 1000})
    client.close()
    assert client.metrics.value("data_sent", "count") > sent + 1000
    assert "data_sent" in client.metrics.summary()
