"""Health checking: grpcio's stub against the service, and puregrpc's functions against it and grpcio's."""

from __future__ import annotations

from concurrent import futures
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health as grpcio_health
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.server.serving import ON_WORLDS, WORLDS, channel_to, make_server, serving
from tests.worlds import LOOPS, block_until, run

from puregrpc.channel import open_channel
from puregrpc.errors import RpcError
from puregrpc.server import Context, Interceptor, ServerConfig
from puregrpc.services import HealthService, ServingStatus, health


@ON_WORLDS
def test_with_grpcios_stub(world: str) -> None:
    server = make_server(world)
    service = HealthService()
    service.set_status("pkg.Good", ServingStatus.SERVING)
    service.set_status("pkg.Bad", ServingStatus.NOT_SERVING)
    service.add_to(server)
    with channel_to(server, world) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        def status(name: str) -> int:
            return int(stub.Check(health_pb2.HealthCheckRequest(service=name)).status)

        assert status("") == 1
        assert status("pkg.Good") == 1
        assert status("pkg.Bad") == 2
        with pytest.raises(grpc.RpcError) as caught:
            status("pkg.None")
        error: Any = caught.value
        assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "unknown service")
        if hasattr(stub, "List"):
            listed = stub.List(health_pb2.HealthListRequest()).statuses
            assert {name: entry.status for name, entry in listed.items()} == {"": 1, "pkg.Good": 1, "pkg.Bad": 2}


@ON_WORLDS
def test_watch_tells_each_change_and_the_end(world: str) -> None:
    server = make_server(world)
    service = HealthService()
    service.add_to(server)
    with channel_to(server, world) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="pkg.New"))

        def told() -> str:
            return ServingStatus(next(watch).status).name

        assert told() == "SERVICE_UNKNOWN"
        service.set_status("pkg.Other", ServingStatus.SERVING)
        service.set_status("pkg.New", ServingStatus.SERVING)
        assert told() == "SERVING"
        service.set_status("pkg.New", ServingStatus.SERVING)
        service.set_status("pkg.New", ServingStatus.NOT_SERVING)
        assert told() == "NOT_SERVING"
        service.set_status("pkg.New", ServingStatus.UNKNOWN)
        assert told() == "UNKNOWN"
        service.shut_down()
        service.set_status("pkg.New", ServingStatus.SERVING)
        assert told() == "NOT_SERVING"
        with pytest.raises(grpc.RpcError) as caught:
            next(watch)
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.UNAVAILABLE


@ON_WORLDS
def test_a_watch_does_not_hold_up_the_end_of_a_server(world: str) -> None:
    server = make_server(world)
    HealthService().add_to(server)
    with serving(server, world) as running, grpc.insecure_channel(running.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == 1
        stopped = running.stop_soon()
        assert next(watch).status == 2
        with pytest.raises(grpc.RpcError):
            next(watch)
        assert stopped.wait(15)


@ON_WORLDS
def test_watches_that_are_left_are_forgotten(world: str) -> None:
    """Many at once, more than there are threads for handlers; others are served meanwhile."""
    server = make_server(world, config=ServerConfig(handler_threads=2))
    service = HealthService()
    service.add_to(server)
    with channel_to(server, world) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(20)]
        assert [next(watch).status for watch in watches] == [1] * 20
        service.set_status("", ServingStatus.NOT_SERVING)
        assert [next(watch).status for watch in watches] == [2] * 20
        assert stub.Check(health_pb2.HealthCheckRequest()).status == 2
        for watch in watches:
            watch.cancel()
        block_until(lambda: not service._watches)


@ON_WORLDS
def test_a_long_name_that_nothing_is_known_of_is_not_watched(world: str) -> None:
    server = make_server(world)
    service = HealthService()
    service.add_to(server)
    known, unknown = "k" * 5000, "u" * 5000
    service.set_status(known, ServingStatus.NOT_SERVING)
    with channel_to(server, world) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        assert next(stub.Watch(health_pb2.HealthCheckRequest(service=known))).status == 2
        assert next(stub.Watch(health_pb2.HealthCheckRequest(service="u" * 1000))).status == 3
        with pytest.raises(grpc.RpcError) as caught:
            next(stub.Watch(health_pb2.HealthCheckRequest(service=unknown)))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service=unknown))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_one_service_on_several_servers() -> None:
    service = HealthService()
    servers = [make_server(world) for world in WORLDS]
    for server in servers:
        service.add_to(server)
    with ExitStack() as stack:
        watches = []
        for server, world in zip(servers, WORLDS, strict=True):
            channel = stack.enter_context(channel_to(server, world))
            watches.append(health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()))
        assert [next(watch).status for watch in watches] == [1] * len(servers)
        service.set_status("", ServingStatus.NOT_SERVING)
        assert [next(watch).status for watch in watches] == [2] * len(servers)


@ON_WORLDS
def test_interceptors_go_around_health_too(world: str) -> None:
    class NoToken(Interceptor):
        def many_responses(self, request: Any, context: Context, proceed: Any) -> Any:
            context.abort(16, "who are you?")

    server = make_server(world, interceptors=[NoToken()])
    HealthService().add_to(server)
    with channel_to(server, world) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        with pytest.raises(grpc.RpcError) as caught:
            next(watch)
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("world", LOOPS)
def test_functions_with_grpcios_service(world: str) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    servicer = grpcio_health.HealthServicer()
    servicer.set("pkg.Bad", health_pb2.HealthCheckResponse.NOT_SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    async def main() -> None:
        async with open_channel(f"127.0.0.1:{port}") as channel:
            assert await health.check(channel) is ServingStatus.SERVING
            assert await health.check(channel, "pkg.Bad") is ServingStatus.NOT_SERVING
            with pytest.raises(RpcError, match="NOT_FOUND"):
                await health.check(channel, "pkg.None")
            statuses = health.watch(channel, "pkg.Bad")
            async for status in statuses:
                assert status is ServingStatus.NOT_SERVING
                break
            await statuses.aclose()

    try:
        run(main, world)
    finally:
        server.stop(0).wait()
