"""hello and route_guide with the stubs and servicers of one version of grpcio-tools, blocking and on asyncio.

Usage: generated.py VERSION, with a folder on the path that has hello_pb2_grpc.py and route_guide_pb2_grpc.py of it.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent import futures
from typing import Any

import grpc
import hello_pb2  # type: ignore[import-not-found]
import hello_pb2_grpc  # type: ignore[import-not-found]
import route_guide_pb2 as routes  # type: ignore[import-not-found]
import route_guide_pb2_grpc  # type: ignore[import-not-found]


class Hello(hello_pb2_grpc.HelloServiceServicer):  # type: ignore[misc]
    def SayHello(self, request: Any, context: Any) -> Any:  # noqa: N802
        return hello_pb2.HelloResponse(reply=f"hello {request.greeting}")

    def LotsOfReplies(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        for i in range(3):
            yield hello_pb2.HelloResponse(reply=f"{request.greeting} {i}")

    def LotsOfGreetings(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        return hello_pb2.HelloResponse(reply=",".join(each.greeting for each in request_iterator))

    def BidiHello(self, request_iterator: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        for each in request_iterator:
            yield hello_pb2.HelloResponse(reply=each.greeting)


class AsyncHello(hello_pb2_grpc.HelloServiceServicer):  # type: ignore[misc]
    async def SayHello(self, request: Any, context: Any) -> Any:  # noqa: N802
        return hello_pb2.HelloResponse(reply=f"hello {request.greeting}")

    async def BidiHello(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        async for each in request_iterator:
            yield hello_pb2.HelloResponse(reply=each.greeting)


class FeatureExplorer(route_guide_pb2_grpc.FeatureExplorerServicer):  # type: ignore[misc]
    def GetFeature(self, request: Any, context: Any) -> Any:  # noqa: N802
        return routes.Feature(name="here", location=request)

    def ListFeatures(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        yield routes.Feature(name="low", location=request.lo)
        yield routes.Feature(name="high", location=request.hi)


class RouteGuide(route_guide_pb2_grpc.RouteGuideServicer):  # type: ignore[misc]
    def RecordRoute(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        return routes.RouteSummary(point_count=sum(1 for _ in request_iterator))

    def RouteChat(self, request_iterator: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        yield from request_iterator


def greeting(text: str) -> Any:
    return hello_pb2.HelloRequest(greeting=text)


def blocking() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    hello_pb2_grpc.add_HelloServiceServicer_to_server(Hello(), server)
    route_guide_pb2_grpc.add_FeatureExplorerServicer_to_server(FeatureExplorer(), server)
    route_guide_pb2_grpc.add_RouteGuideServicer_to_server(RouteGuide(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        hello = hello_pb2_grpc.HelloServiceStub(channel)
        assert hello.SayHello(greeting("you")).reply == "hello you"
        assert [each.reply for each in hello.LotsOfReplies(greeting("a"))] == ["a 0", "a 1", "a 2"]
        assert hello.LotsOfGreetings(greeting(text) for text in "abc").reply == "a,b,c"
        assert [each.reply for each in hello.BidiHello(greeting(text) for text in "abc")] == ["a", "b", "c"]
        explorer = route_guide_pb2_grpc.FeatureExplorerStub(channel)
        guide = route_guide_pb2_grpc.RouteGuideStub(channel)
        point = routes.Point(latitude=1, longitude=2)
        assert explorer.GetFeature(point).location == point
        rectangle = routes.Rectangle(lo=point, hi=point)
        assert [each.name for each in explorer.ListFeatures(rectangle)] == ["low", "high"]
        assert guide.RecordRoute(iter([point] * 5)).point_count == 5
        notes = [routes.RouteNote(message=text) for text in "xyz"]
        assert list(guide.RouteChat(iter(notes))) == notes
    # The static calls of generated code, which find a channel themselves.
    service: Any = getattr(hello_pb2_grpc, "HelloService", None)
    if service is not None and "insecure" in inspect.signature(service.SayHello).parameters:  # since 1.32
        answer = service.SayHello(greeting("you"), f"127.0.0.1:{port}", insecure=True, timeout=5)
        assert answer.reply == "hello you"
    server.stop(None).wait(5)


async def on_asyncio() -> None:
    server = grpc.aio.server()
    hello_pb2_grpc.add_HelloServiceServicer_to_server(AsyncHello(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        hello = hello_pb2_grpc.HelloServiceStub(channel)
        assert (await hello.SayHello(greeting("you"))).reply == "hello you"
        call = hello.BidiHello(iter([greeting("a"), greeting("b")]))
        assert [each.reply async for each in call] == ["a", "b"]
        try:
            await hello.LotsOfGreetings(iter([greeting("a")]))
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.UNIMPLEMENTED
        else:
            raise AssertionError("it was not implemented")
    await server.stop(None)


blocking()
asyncio.run(on_asyncio())
print(f"| code of grpcio-tools {sys.argv[1]} | passed |")
