"""Servicers written for grpcio and grpc.aio, as they are."""

from __future__ import annotations

import threading
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tests.server.serving import LOOPS, ON_LOOPS, ON_WORLDS, channel_to, make_server, sleep

from puregrpc.errors import InvalidArgument
from puregrpc.server import BlockingServer, Server

HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
SERVING = health_pb2.HealthCheckResponse(status=1)


def request(name: str) -> Any:
    return health_pb2.HealthCheckRequest(service=name)


def failure(call: Any) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


@ON_WORLDS
def test_the_health_servicer_of_grpcio(world: str) -> None:
    servicer = health.HealthServicer()
    servicer.set("pkg.Bad", health_pb2.HealthCheckResponse.NOT_SERVING)
    server = make_server(world)
    server.add_service(HEALTH, servicer)
    with channel_to(server, world) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        assert stub.Check(request("")).status == 1
        assert stub.Check(request("pkg.Bad")).status == 2
        assert failure(lambda: stub.Check(request("pkg.None"))).code() is grpc.StatusCode.NOT_FOUND
        watch = stub.Watch(request("pkg.Bad"))
        assert next(watch).status == 2
        servicer.set("pkg.Bad", health_pb2.HealthCheckResponse.SERVING)
        assert next(watch).status == 1
        watch.cancel()
        if hasattr(stub, "List"):  # the servicer has it not
            error = failure(lambda: stub.List(health_pb2.HealthListRequest()))
            assert (error.code(), error.details()) == (grpc.StatusCode.UNIMPLEMENTED, "Method not implemented!")


class Servicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # it has no types
    """Does what there is to do with a context."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}
        self.ended = threading.Event()

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        what = request.service
        if what == "look":
            self.seen = {
                "metadata": {pair.key: pair.value for pair in context.invocation_metadata()},
                "peer": context.peer(),
                "active": context.is_active(),
                "time": context.time_remaining(),
                "auth": context.auth_context(),
                "identities": (context.peer_identities(), context.peer_identity_key()),
            }
            assert context.add_callback(self.ended.set)
            context.set_compression(grpc.Compression.Gzip)
            context.disable_next_message_compression()
            context.send_initial_metadata((("x-first", "1"),))
            context.set_trailing_metadata((("x-last", "z"),))
            assert context.trailing_metadata() == (("x-last", "z"),)
        elif what == "abort":
            context.abort(grpc.StatusCode.ABORTED, "aborted")
        elif what == "status":
            context.abort_with_status(OwnStatus())
        elif what == "set":
            context.set_code(grpc.StatusCode.DATA_LOSS)
            context.set_details("set")
            assert (context.code(), context.details()) == (15, "set")
        elif what == "set and raise":
            context.set_code(grpc.StatusCode.DATA_LOSS)
            context.set_details("set")
            raise ValueError
        elif what == "raise":
            raise ValueError
        elif what == "cancel":
            context.cancel()
        elif what == "ok":
            context.abort(grpc.StatusCode.OK, "not an end")
        return SERVING

    def Watch(self, request: Any, context: Any) -> Any:  # noqa: N802
        yield SERVING
        if request.service == "abort":
            context.abort(grpc.StatusCode.ABORTED, "aborted")
        context.set_code(grpc.StatusCode.DATA_LOSS)
        context.set_details("set")


class OwnStatus(grpc.Status):  # type: ignore[misc]  # it has no types
    code = grpc.StatusCode.OUT_OF_RANGE
    details = "status"
    trailing_metadata = (("x-status", "1"),)


class AsyncServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # it has no types
    """The same for grpc.aio."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}
        self.ended = threading.Event()

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        what = request.service
        await sleep(0)
        if what == "look":
            self.seen = {
                "metadata": {pair.key: pair.value for pair in context.invocation_metadata()},
                "peer": context.peer(),
                "active": not (context.cancelled() or context.done()),
                "time": context.time_remaining(),
                "auth": context.auth_context(),
                "identities": (context.peer_identities(), context.peer_identity_key()),
            }
            context.add_done_callback(lambda _: self.ended.set())
            context.set_compression(grpc.Compression.Gzip)
            context.disable_next_message_compression()
            await context.send_initial_metadata((("x-first", "1"),))
            context.set_trailing_metadata((("x-last", "z"),))
        elif what == "abort":
            await context.abort(grpc.StatusCode.ABORTED, "aborted")
        elif what == "status":
            await context.abort_with_status(OwnStatus())
        elif what == "set":
            context.set_code(grpc.StatusCode.DATA_LOSS)
            context.set_details("set")
        elif what == "set and raise":
            context.set_code(grpc.StatusCode.DATA_LOSS)
            context.set_details("set")
            raise ValueError
        elif what == "raise":
            raise ValueError
        elif what == "cancel":
            context.cancel()
            await sleep(30)
        elif what == "ok":
            await context.abort(grpc.StatusCode.OK, "not an end")
        elif what == "read":
            await context.read()
        elif what == "write":
            await context.write(SERVING)
        return SERVING

    async def Watch(self, request: Any, context: Any) -> Any:  # noqa: N802
        yield SERVING
        if request.service == "abort":
            await context.abort(grpc.StatusCode.ABORTED, "aborted")
        context.set_code(grpc.StatusCode.DATA_LOSS)
        context.set_details("set")


KINDS = [*[(world, kind) for world in LOOPS for kind in (Servicer, AsyncServicer)], ("threads", Servicer)]


@pytest.mark.parametrize(("world", "kind"), KINDS)
def test_the_context(world: str, kind: Any) -> None:
    servicer = kind()
    server = make_server(world)
    server.add_service(HEALTH, servicer)
    with channel_to(server, world) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        response, call = stub.Check.with_call(request("look"), metadata=(("x-a", "1"),), timeout=60)
        assert response == SERVING
        assert ("x-first", "1") in [tuple(pair) for pair in call.initial_metadata()]
        assert [tuple(pair) for pair in call.trailing_metadata()] == [("x-last", "z")]
        assert servicer.seen["metadata"]["x-a"] == "1"
        assert servicer.seen["peer"].startswith("ipv4:127.0.0.1:")
        assert servicer.seen["active"]
        assert 0 < servicer.seen["time"] <= 61  # gRPC's C core rounds what is left up, to a tenth of a second
        plaintext = {"transport_security_type": [b"insecure"], "security_level": [b"TSI_SECURITY_NONE"]}
        assert (servicer.seen["auth"], servicer.seen["identities"]) == (plaintext, (None, None))
        assert servicer.ended.wait(15)
        for what, code, details in [
            ("abort", grpc.StatusCode.ABORTED, "aborted"),
            ("status", grpc.StatusCode.OUT_OF_RANGE, "status"),
            ("set", grpc.StatusCode.DATA_LOSS, "set"),
            ("set and raise", grpc.StatusCode.DATA_LOSS, "set"),
            ("raise", grpc.StatusCode.UNKNOWN, "the handler raised ValueError"),
            ("ok", grpc.StatusCode.UNKNOWN, "not an end"),
        ]:
            error = failure(lambda what=what: stub.Check(request(what), timeout=60))
            assert (error.code(), error.details()) == (code, details)
        assert failure(lambda: stub.Check(request("cancel"), timeout=60)).code() is grpc.StatusCode.CANCELLED
        for what, code, details in [
            ("abort", grpc.StatusCode.ABORTED, "aborted"),
            ("set", grpc.StatusCode.DATA_LOSS, "set"),
        ]:
            watch = stub.Watch(request(what), timeout=60)
            assert next(watch) == SERVING
            error = failure(lambda watch=watch: next(watch))
            assert (error.code(), error.details()) == (code, details)
        if kind is AsyncServicer:
            for what in ("read", "write"):
                assert "LocalProtocolError" in failure(lambda what=what: stub.Check(request(what))).details()


@ON_LOOPS
def test_responses_that_are_written(world: str) -> None:
    class Writes(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # it has no types
        async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802
            await context.write(SERVING)

    with pytest.raises(InvalidArgument, match=r"Writes\.Watch: its responses are a stream: yield each of them"):
        make_server(world).add_service(HEALTH, Writes())


def test_an_async_servicer_on_a_blocking_server() -> None:
    with pytest.raises(InvalidArgument, match=r"/grpc\.health\.v1\.Health/Check: the handler is async"):
        BlockingServer().add_service(HEALTH, AsyncServicer())


def test_what_is_no_servicer_gets_this_projects_context() -> None:
    seen: list[Any] = []

    class Handlers:
        def check(self, request: Any, context: Any) -> Any:
            seen.append(context.peer)
            return SERVING

    server = Server("127.0.0.1:0")
    server.add_service(HEALTH, Handlers(), partial=True)
    with channel_to(server, "asyncio") as channel:
        health_pb2_grpc.HealthStub(channel).Check(request(""))
    assert seen[0].startswith("ipv4:")
