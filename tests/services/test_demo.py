"""The demo services: grpcbin and the route guide, called with puregrpc's channel through the demo server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import trio
from tests.server.serving import WORLDS, make_server, serving

from puregrpc.channel import Channel, open_channel
from puregrpc.errors import RpcError
from puregrpc.services import add_demo_services
from puregrpc.services.contracts import codec, method, service
from puregrpc.services.grpcbin import title
from puregrpc.services.route_guide import FEATURES, distance

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}


def run(body: Callable[[Channel], Awaitable[None]]) -> None:
    """Run a test with the demo server in each world."""
    for world in WORLDS:
        server = make_server(world)
        add_demo_services(server)
        with serving(server, world) as running:

            async def main(address: str = running.address) -> None:
                with trio.fail_after(20):
                    async with open_channel(address) as channel:
                        await body(channel)

            trio.run(main)


def unary(channel: Channel, file: str, path: str) -> Any:
    return channel.unary_unary(method(file, *path.split("/")), codec=codec(file))


def stream(channel: Channel, file: str, path: str) -> Any:
    return channel.stream_stream(method(file, *path.split("/")), codec=codec(file))


async def replies(channel: Channel, file: str, path: str, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    async with stream(channel, file, path)(requests) as call:
        return [reply async for reply in call]


def test_grpcbin_echoes() -> None:
    async def body(channel: Channel) -> None:
        message = {"fString": "text", "fInt64": "12", "fSubs": [{"fString": "a"}], "fBytes": "AAE=", "fEnum": "ENUM_2"}
        answer = await unary(channel, "grpcbin.proto", "grpcbin.GRPCBin/DummyUnary")(message)
        assert {name: answer[name] for name in message} == message
        assert await unary(channel, "grpcbin.proto", "grpcbin.GRPCBin/Empty")({}) == {}
        assert await unary(channel, "grpcbin.proto", "grpcbin.GRPCBin/NoResponseUnary")({}) == {}
        for path, sent, expected in [
            ("DummyServerStream", 1, 10),
            ("DummyClientStream", 10, 1),
            ("DummyClientStream", 3, 1),
            ("DummyBidirectionalStreamStream", 4, 4),
        ]:
            requests = [{"fInt32": number} for number in range(sent)]
            got = await replies(channel, "grpcbin.proto", f"grpcbin.GRPCBin/{path}", requests)
            assert len(got) == expected
            assert got[-1]["fInt32"] == sent - 1

    run(body)


def test_grpcbin_errors_headers_and_index() -> None:
    async def body(channel: Channel) -> None:
        specific = unary(channel, "grpcbin.proto", "grpcbin.GRPCBin/SpecificError")
        assert await specific({"code": 0}) == {}
        for code, reason, text in [(5, "", "NotFound"), (1, "", "Canceled"), (7, "no", "no"), (77, "", "Code(77)")]:
            with pytest.raises(RpcError) as caught:
                await specific({"code": code, "reason": reason})
            assert (caught.value.code, caught.value.message) == (code, text)
        with pytest.raises(RpcError) as caught:
            await unary(channel, "grpcbin.proto", "grpcbin.GRPCBin/RandomError")({})
        assert caught.value.message == title(caught.value.code)
        headers = unary(channel, "grpcbin.proto", "grpcbin.GRPCBin/HeadersUnary")
        found = (await headers({}, metadata=[("x-a", "1"), ("x-a", "2")]))["Metadata"]
        assert found["x-a"] == {"values": ["1", "2"]}
        assert "puregrpc" in found["user-agent"]["values"][0]
        index = await unary(channel, "grpcbin.proto", "grpcbin.GRPCBin/Index")({})
        assert {"path": "DummyUnary", "description": ""} in index["endpoints"]

    run(body)


def test_features() -> None:
    async def body(channel: Channel) -> None:
        get = unary(channel, "route_guide.proto", "main.FeatureExplorer/GetFeature")
        known = {"latitude": 410248224, "longitude": -747127767}
        assert await get(known) == {"name": "Berry valley farm", "location": known}
        nowhere = {"latitude": 1, "longitude": 2}
        assert await get(nowhere) == {"name": "", "location": nowhere}
        low, high = {"latitude": 400000000, "longitude": -750000000}, {"latitude": 420000000, "longitude": -730000000}
        for area in ({"lo": low, "hi": high}, {"lo": high, "hi": low}):
            found = await replies(channel, "route_guide.proto", "main.FeatureExplorer/ListFeatures", [area])
            assert {feature["name"] for feature in found} == set(FEATURES.values())
        assert await replies(channel, "route_guide.proto", "main.FeatureExplorer/ListFeatures", [{}]) == []

    run(body)


def test_routes_and_notes() -> None:
    async def body(channel: Channel) -> None:
        points = [
            {"latitude": 407838351, "longitude": -746143763},
            {"latitude": 408122808, "longitude": -743999179},
            {"latitude": 0, "longitude": 0},
        ]
        (summary,) = await replies(channel, "route_guide.proto", "main.RouteGuide/RecordRoute", points[:2])
        assert summary == {"pointCount": 2, "featureCount": 2, "distance": 18327, "elapsedTime": 0}
        (summary,) = await replies(channel, "route_guide.proto", "main.RouteGuide/RecordRoute", points)
        assert (summary["pointCount"], summary["featureCount"]) == (3, 2)
        (summary,) = await replies(channel, "route_guide.proto", "main.RouteGuide/RecordRoute", [])
        assert summary["distance"] == 0
        notes = [{"location": points[0], "message": text} for text in ("first", "second")]
        other = {"location": points[1], "message": "elsewhere"}
        path = "main.RouteGuide/RouteChat"
        got = await replies(channel, "route_guide.proto", path, [notes[0], other, notes[1]])
        assert [note["message"] for note in got] == ["first", "elsewhere", "first", "second"]
        (first, *_) = await replies(channel, "route_guide.proto", path, [other])
        assert first["message"] == "elsewhere"

    run(body)


def test_distances() -> None:
    assert distance((0, 0), (0, 0)) == 0
    assert abs(distance((0, 0), (0, 1_800_000_000)) - 20_015_086) < 2
    assert distance((0, 0), (10_000_000, 0)) == pytest.approx(111_194, abs=1)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_it_is_asked_to_end(sent: signal.Signals) -> None:
    command = [sys.executable, "-m", "puregrpc", "serve", "--port", "0", "--grace", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().removeprefix("listening on ").strip()
            with grpc.insecure_channel(address) as channel:
                say_hello = channel.unary_unary("/hello.HelloService/SayHello")
                assert say_hello(b"\n\x04Bert", timeout=10, wait_for_ready=True) == b"\n\nhello Bert"
                process.send_signal(sent)
                assert process.wait(10) == 0
        finally:
            process.kill()


@pytest.mark.slow
def test_the_command_says_what_is_wrong() -> None:
    for arguments, problem in [
        (["--host", "no.such.host.invalid"], "no.such.host.invalid"),
        (["--tls-cert", "/no/such/file", "--tls-key", "/no/such/file"], "/no/such/file"),
        (["--tls-cert", "/no/such/file"], "--tls-key"),
    ]:
        command = [sys.executable, "-m", "puregrpc", "serve", "--port", "0", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, env=ENVIRONMENT)
        assert done.returncode in (1, 2)
        assert problem in done.stderr
        assert "Traceback" not in done.stderr


def test_every_service_of_the_demo_is_described() -> None:
    for file, name in [("hello.proto", "hello.HelloService"), ("grpcbin.proto", "grpcbin.GRPCBin")]:
        assert service(file, name).full_name == name
