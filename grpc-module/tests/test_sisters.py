"""The sister packages of grpcio run as they are: health checking, reflection, status."""

from __future__ import annotations

import asyncio
from concurrent import futures
from typing import Any

import pytest

import grpc
from grpc import aio

health = pytest.importorskip("grpc_health.v1.health")
reflection = pytest.importorskip("grpc_reflection.v1alpha.reflection")
rpc_status = pytest.importorskip("grpc_status.rpc_status")


def test_health_is_checked_and_watched() -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    server = grpc.server(futures.ThreadPoolExecutor(4))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        assert stub.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=""))
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="other"))
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.NOT_FOUND
    server.stop(None).wait(5)


def test_reflection_tells_the_services() -> None:
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    server = grpc.server(futures.ThreadPoolExecutor(4))
    reflection.enable_server_reflection((reflection.SERVICE_NAME,), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        (answer,) = stub.ServerReflectionInfo(iter([request]))
        assert [each.name for each in answer.list_services_response.service] == [reflection.SERVICE_NAME]
    server.stop(None).wait(5)


def test_a_rich_status_goes_through() -> None:
    from google.rpc import code_pb2, status_pb2

    sent = status_pb2.Status(code=code_pb2.FAILED_PRECONDITION, message="no")
    sent.details.add().Pack(status_pb2.Status(message="inner"))

    def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort_with_status(rpc_status.to_status(sent))

    server = grpc.server(futures.ThreadPoolExecutor(4))
    handlers = {"Call": grpc.unary_unary_rpc_method_handler(refuse)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/a.B/Call")(b"")
        assert rpc_status.from_call(caught.value) == sent
    server.stop(None).wait(5)


def test_health_on_asyncio() -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    async def main() -> None:
        servicer = health.aio.HealthServicer()
        server = aio.server()
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            watch = stub.Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            watch.cancel()
        await server.stop(None)

    asyncio.run(main())
