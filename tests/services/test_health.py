"""Health checking: grpcio's stub against the service, and puregrpc's functions against it and grpcio's."""

from __future__ import annotations

import threading
from concurrent import futures
from contextlib import aclosing
from typing import Any

import grpc
import pytest
import trio
from grpc_health.v1 import health as grpcio_health
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.server.serving import run_beside
from tests.worlds import LOOPS, run

from puregrpc.channel import open_channel
from puregrpc.errors import RpcError
from puregrpc.server import BlockingServer, Server, ServerConfig
from puregrpc.services import HealthService, ServingStatus, health


def test_with_grpcios_stub() -> None:
    server = Server("127.0.0.1:0")
    service = HealthService()
    service.set_status("pkg.Good", ServingStatus.SERVING)
    service.set_status("pkg.Bad", ServingStatus.NOT_SERVING)
    service.add_to(server)

    def client(address: str) -> None:
        with grpc.insecure_channel(address) as channel:
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

    run_beside(server, "trio", client)


def test_watch_tells_each_change_and_the_end() -> None:
    async def main() -> None:
        with trio.fail_after(10):
            server = Server("127.0.0.1:0")
            service = HealthService()
            service.add_to(server)
            async with server, open_channel(server.addresses[0]) as channel:
                seen = []
                with pytest.raises(RpcError) as caught:
                    async for status in health.watch(channel, "pkg.New"):
                        seen.append(status.name)
                        if status is ServingStatus.SERVICE_UNKNOWN:
                            service.set_status("pkg.Other", ServingStatus.SERVING)
                            service.set_status("pkg.New", ServingStatus.SERVING)
                        elif status is ServingStatus.SERVING:
                            service.set_status("pkg.New", ServingStatus.SERVING)
                            service.set_status("pkg.New", ServingStatus.NOT_SERVING)
                        elif service.status("pkg.New") is ServingStatus.NOT_SERVING:
                            service.set_status("pkg.New", ServingStatus.UNKNOWN)
                            await trio.sleep(0.01)
                            service.shut_down()
                            service.set_status("pkg.New", ServingStatus.SERVING)
                assert seen == ["SERVICE_UNKNOWN", "SERVING", "NOT_SERVING", "UNKNOWN", "NOT_SERVING"]
                assert caught.value.code == 14

    trio.run(main)


@pytest.mark.parametrize("world", LOOPS)
def test_a_status_is_set_from_another_thread(world: str) -> None:
    async def main() -> None:
        server = Server("127.0.0.1:0")
        service = HealthService()
        service.add_to(server)
        async with server, open_channel(server.addresses[0]) as channel:
            setter = threading.Thread(target=service.set_status, args=("", ServingStatus.NOT_SERVING))
            seen = []
            async with aclosing(health.watch(channel)) as statuses:
                async for status in statuses:
                    seen.append(status)
                    if len(seen) == 2:
                        break
                    setter.start()
            setter.join()
            assert seen == [ServingStatus.SERVING, ServingStatus.NOT_SERVING]

    run(main, world)


def test_a_watch_that_is_left_leaves_no_thread_in_a_blocking_server() -> None:
    server = BlockingServer("127.0.0.1:0", config=ServerConfig(handler_threads=1))
    HealthService().add_to(server)
    (address,) = server.start()
    try:
        with grpc.insecure_channel(address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            for _ in range(3):
                watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=20)
                assert next(iter(watch)).status == 1
                watch.cancel()
            assert stub.Check(health_pb2.HealthCheckRequest(), timeout=20).status == 1
    finally:
        server.stop(0).wait(10)


def test_watched_on_a_blocking_server() -> None:
    server = BlockingServer("127.0.0.1:0")
    service = HealthService()
    service.add_to(server)
    (address,) = server.start()
    try:
        with grpc.insecure_channel(address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            assert stub.Check(health_pb2.HealthCheckRequest()).status == 1
            seen = []
            with pytest.raises(grpc.RpcError, match="the server is stopping"):
                for answer in stub.Watch(health_pb2.HealthCheckRequest(), timeout=20):
                    seen.append(answer.status)
                    if len(seen) == 1:
                        service.set_status("", ServingStatus.UNKNOWN)
                    elif len(seen) == 2:
                        stopped = server.stop(5)
            assert seen == [1, 0, 2]
            stopped.wait(10)
    finally:
        server.stop(0).wait(10)


def test_a_watch_does_not_hold_up_the_end_of_a_server() -> None:
    async def main() -> None:
        with trio.fail_after(5):
            server = Server("127.0.0.1:0")
            HealthService().add_to(server)
            seen: list[ServingStatus] = []
            first = trio.Event()

            async def watch() -> None:
                async with open_channel(address) as channel:
                    with pytest.raises(RpcError, match="UNAVAILABLE"):
                        async for status in health.watch(channel):
                            first.set()
                            seen.append(status)

            async with trio.open_nursery() as nursery, server:
                (address,) = server.addresses
                nursery.start_soon(watch)
                await first.wait()
                with trio.fail_after(10):
                    await server.stop()
            assert seen == [ServingStatus.SERVING, ServingStatus.NOT_SERVING]

    trio.run(main)


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
