"""Libraries that look into grpcio or patch it, unmodified: fixtures of tests, and agents that watch programs.

As `other_dependants`, in its environment, and in a process of their own.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from checking import Checks

check = Checks()


@check
def pytest_grpc() -> None:
    """Its fixtures: a server of the tests' own, and a fake one, which knows what credentials are inside."""
    test = """
import grpc, pytest

class Greeter:
    def greet(self, request, context):
        return b"for " + str(dict(context.invocation_metadata()).get("authorization")).encode()

def add(servicer, server):
    handler = grpc.unary_unary_rpc_method_handler(servicer.greet)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", {"Greet": handler}),))

class Stub:
    def __init__(self, channel):
        self.greet = channel.unary_unary("/a.B/Greet")

grpc_add_to_server = pytest.fixture(scope="module")(lambda: add)
grpc_servicer = pytest.fixture(scope="module")(lambda: Greeter())
grpc_stub_cls = pytest.fixture(scope="module")(lambda: Stub)

def test_a_stub(grpc_stub):
    assert grpc_stub.greet(b"x") == b"for None"

def test_credentials(grpc_create_channel):
    call = grpc.access_token_call_credentials("t")
    with grpc_create_channel(grpc.composite_channel_credentials(grpc.local_channel_credentials(), call)) as channel:
        assert channel.unary_unary("/a.B/Greet")(b"x") == b"for Bearer t"
"""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_it.py").write_text(test)
        for options in ([], ["--grpc-fake-server"]):
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, folder]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert "2 passed" in ended.stdout, ended.stdout + ended.stderr


@check
def ddtrace() -> None:
    """It patches channels and servers, blocking and on asyncio: each call has two spans that belong together."""
    os.environ["DD_TRACE_ENABLED"] = "true"
    os.environ["DD_INSTRUMENTATION_TELEMETRY_ENABLED"] = "false"
    from ddtrace import patch
    from ddtrace.contrib.internal.grpc.patch import unpatch
    from ddtrace.trace import TraceFilter, tracer

    spans: list[Any] = []

    class Keeping(TraceFilter):  # type: ignore[misc]
        def process_trace(self, trace: Any) -> None:
            spans.extend(trace)

    tracer.configure(trace_processors=[Keeping()])
    patch(grpc=True)
    try:
        tell_of_calls()
    finally:
        unpatch()
    tracer.flush()
    found = {(each.get_tag("span.kind"), each.resource) for each in spans}
    for method in ("One", "Many", "Fails"):
        assert {("client", f"/a.B/{method}"), ("server", f"/a.B/{method}")} <= found, found
    failed = [each for each in spans if each.resource == "/a.B/Fails"]
    assert len(failed) == 2, failed
    assert all(each.error for each in failed), failed
    ids = {each.span_id for each in spans if each.get_tag("span.kind") == "client"}
    assert all(each.parent_id in ids for each in spans if each.get_tag("span.kind") == "server"), spans


@check
def elastic_apm() -> None:
    """It adds interceptors to channels and servers: transactions belong to the spans of their callers."""
    import elasticapm

    kept: list[Any] = []

    class Client(elasticapm.Client):  # type: ignore[misc]
        def queue(self, event_type: str, data: Any, flush: bool = False) -> None:
            kept.append((event_type, data))

    client = Client(service_name="check", central_config=False, metrics_interval="0s", cloud_provider="none")
    elasticapm.instrument()
    try:
        client.begin_transaction("outer")
        tell_of_calls(of_elastic=True)
        client.end_transaction("outer", "success")
    finally:
        elasticapm.uninstrument()
    transactions = [data for kind, data in kept if kind == "transaction"]
    spans = [data for kind, data in kept if kind == "span"]
    names = [each["name"] for each in transactions]
    assert "/a.B/One" in names, names
    assert "/a.B/Fails" in names, names
    assert {each["name"] for each in spans} >= {"/a.B/One"}, spans
    ids = {each["id"] for each in spans}
    own = [each for each in transactions if each["name"] == "/a.B/One"]
    assert any(each.get("parent_id") in ids for each in own), (own, ids)
    client.close()


def tell_of_calls(*, of_elastic: bool = False) -> None:
    """Calls of servers that are made after an agent has patched grpc."""

    def one(request: bytes, context: Any) -> bytes:
        return request

    def fails(request: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not so")
        raise AssertionError("abort came back")

    def many(request: bytes, context: Any) -> Iterator[bytes]:
        yield from [request] * 3

    async def async_one(request: bytes, context: Any) -> bytes:
        return request

    def generic(unary: Any) -> Any:
        handlers = {
            "One": grpc.unary_unary_rpc_method_handler(unary),
            "Many": grpc.unary_stream_rpc_method_handler(many),
            "Fails": grpc.unary_unary_rpc_method_handler(fails),
        }
        return (grpc.method_handlers_generic_handler("a.B", handlers),)

    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers(generic(one))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert channel.unary_unary("/a.B/One")(b"x", timeout=20) == b"x"
        assert channel.unary_unary("/a.B/One").future(b"x").result(20) == b"x"
        response, call = channel.unary_unary("/a.B/One").with_call(b"x")
        assert (response, call.code()) == (b"x", grpc.StatusCode.OK)
        assert list(channel.unary_stream("/a.B/Many")(b"x")) == [b"x"] * 3
        try:
            channel.unary_unary("/a.B/Fails")(b"x")
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.FAILED_PRECONDITION, error
        else:
            raise AssertionError("it did not fail")
    server.stop(None).wait(20)

    async def main() -> None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers(generic(async_one))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert await channel.unary_unary("/a.B/One")(b"x") == b"x"
            if not of_elastic:  # whose interceptor would await an abort of a plain handler
                assert [each async for each in channel.unary_stream("/a.B/Many")(b"x")] == [b"x"] * 3
        await server.stop(None)

    asyncio.run(main())


if __name__ == "__main__":
    sys.exit(check.run())
