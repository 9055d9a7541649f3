"""Channels that use a server only while it says that it serves (gRFC A17)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.channel import Channel, ConnectivityState, open_channel
from puregrpc.channel.backends.backoff import Backoff
from puregrpc.channel.backends.health import HealthCheck, serving_status
from puregrpc.client.results.records import HealthStatus
from puregrpc.errors import DecodeError, InvalidArgument, RpcError
from puregrpc.server import Context, Method, Server, Shape
from puregrpc.services.contracts import codec, method
from puregrpc.services.health import HealthService, ServingStatus
from puregrpc.services.health.client import FILE

RESPONSE = method(FILE, "grpc.health.v1.Health", "Check").output_type
LONG_NAME = "a.very.long.package.name" * 10 + ".Service"


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with trio.fail_after(30):
            await test()

    trio.run(bounded)


def server_of(name: bytes, health: HealthService | None) -> Server:
    """A server that answers with its name."""

    async def who(request: bytes, context: Context) -> bytes:
        return name

    server = Server("127.0.0.1:0")
    server.add_method(Method("/test.Names/Who", who))
    if health is not None:
        health.add_to(server)
    return server


def target_of(*servers: Server) -> str:
    return "ipv4:" + ",".join(server.addresses[0] for server in servers)


async def answers(channel: Channel) -> set[bytes]:
    who = channel.unary_unary("/test.Names/Who")
    return {await who(b"", wait_for_ready=True) for _ in range(6)}


async def until_ready(channel: Channel, count: int) -> None:
    """Wait until so many servers are in use."""
    while [part.state for part in channel.snapshot().subchannels].count(ConnectivityState.READY) != count:
        await trio.testing.wait_all_tasks_blocked(0.005)


@pytest.mark.parametrize("service", ["", "test.Names", LONG_NAME])
def test_servers_are_used_while_they_serve(service: str) -> None:
    async def test() -> None:
        first, second = HealthService(), HealthService()
        for health in (first, second):
            health.set_status(service, ServingStatus.SERVING)
        second.set_status(service, ServingStatus.NOT_SERVING)
        async with (
            server_of(b"first", first) as one,
            server_of(b"second", second) as two,
            server_of(b"third", None) as has_no_health_service,
            open_channel(
                target_of(one, two, has_no_health_service), load_balancing="round_robin", health_service=service
            ) as channel,
        ):
            assert await answers(channel) <= {b"first", b"third"}
            await until_ready(channel, 2)
            assert await answers(channel) == {b"first", b"third"}
            second.set_status(service, ServingStatus.SERVING)
            await until_ready(channel, 3)
            assert await answers(channel) == {b"first", b"second", b"third"}
            first.set_status(service, ServingStatus.NOT_SERVING)
            await until_ready(channel, 2)
            assert await answers(channel) == {b"second", b"third"}

    run(test)


def test_no_server_serves() -> None:
    async def test() -> None:
        health = HealthService()
        async with (
            server_of(b"x", health) as server,
            open_channel(target_of(server), load_balancing="round_robin", health_service="test.Names") as channel,
        ):
            with pytest.raises(RpcError, match=r"UNAVAILABLE: the server does not serve test\.Names"):
                await channel.unary_unary("/test.Names/Who")(b"")
            assert channel.state is ConnectivityState.TRANSIENT_FAILURE
            health.set_status("test.Names", ServingStatus.SERVING)
            assert await answers(channel) == {b"x"}

    run(test)


def test_a_watch_that_ends_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "next_pause", lambda _: 0.05)

    async def test() -> None:
        asked = 0

        async def watch(request: bytes, context: Context) -> AsyncIterator[bytes]:
            nonlocal asked
            asked += 1
            if asked < 3:
                context.abort(14, "not now")
            yield b"\x08\x01"
            await trio.sleep_forever()

        server = server_of(b"x", None)
        server.add_method(Method("/grpc.health.v1.Health/Watch", watch, Shape.SERVER_STREAM))
        async with (
            server,
            open_channel(target_of(server), load_balancing="round_robin", health_service="") as channel,
        ):
            with pytest.raises(RpcError, match="health ended with UNAVAILABLE: not now"):
                await channel.unary_unary("/test.Names/Who")(b"")
            assert await answers(channel) == {b"x"}
            assert asked == 3

    run(test)


def test_a_channel_that_is_closed_watches_no_more() -> None:
    async def test() -> None:
        health = HealthService()
        async with server_of(b"x", health) as server:
            async with open_channel(target_of(server), load_balancing="round_robin", health_service="") as channel:
                assert await answers(channel) == {b"x"}
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert server.snapshot().connections == ()

    run(test)


@pytest.mark.parametrize("service", ["", "a.B", LONG_NAME, "x" * 20_000, "ü"])
def test_the_request_is_what_the_codec_writes(service: str) -> None:
    message = method(FILE, "grpc.health.v1.Health", "Watch").input_type
    assert HealthCheck(service, "").request_message == codec(FILE).encode(message, {"service": service})


def test_it_goes_with_round_robin() -> None:
    async def test() -> None:
        with pytest.raises(InvalidArgument, match="health_service goes with"):
            async with open_channel("127.0.0.1:1", health_service=""):
                pass

    run(test)


ANSWERS: list[tuple[bytes, int]] = [
    (b"", 0),
    (b"\x08\x01", 1),
    (b"\x1a\x03new\x08\x01", 1),  # an unknown field before it
    (b"\x08\x01\x08\x02", 2),  # the last one counts
    (b"\x08\x02\x08\x81\x00", 1),
    (b"\x08\x01\x10\x07\x25\x00\x00\x00\x00", 1),
    (b"\x0a\x01\x05\x08\x01", 1),  # of another wire type: unknown
    (b"\x08\x4d", 77),
    (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", -1),
    (b"\x13\x08\x02\x14\x08\x01", 1),  # a group
]


@pytest.mark.parametrize(("message", "status"), ANSWERS)
def test_answers_are_read_as_protobuf_has_it(message: bytes, status: int) -> None:
    assert serving_status(message) == status
    name = codec(FILE).decode(RESPONSE, message)["status"]
    assert ServingStatus.said(name) == status
    assert HealthStatus(status).status == status


@pytest.mark.parametrize("message", [b"\x08", b"\x08\x01\x1a", b"\x00\x01", b"\x1a\x05abc", b"\x0c"])
def test_answers_that_are_none(message: bytes) -> None:
    with pytest.raises(DecodeError, match=r"not a grpc\.health\.v1\.HealthCheckResponse: ."):
        serving_status(message)


@given(st.binary(max_size=20))
def test_any_answer(message: bytes) -> None:
    with suppress(DecodeError):
        expected = codec(FILE).decode(RESPONSE, message)["status"]
        assert serving_status(message) == ServingStatus.said(expected)
        return
    with pytest.raises(DecodeError):
        serving_status(message)
