"""What a hostile server can make a client hold."""

from __future__ import annotations

import tracemalloc

import pytest

from puregrpc.errors import RpcError
from puregrpc.wire.compression import Coding
from puregrpc.wire.connection import Request, ServerCall
from puregrpc.wire.status import OK, StatusCode
from tests.channel.helpers import run
from tests.channel.wire_server import WireSession, wire_server
from tests.worlds import open_channel, until


class Bombing(ServerCall):
    """Answers with 40 messages that inflate to 4 MiB each, and one that is too large."""

    def __init__(self, session: WireSession) -> None:
        super().__init__()
        self.session = session

    def on_half_close(self) -> None:
        connection = self.session.connection
        connection.send_headers(self, encoding="gzip")
        zeros = bytes(4 << 20)
        for _ in range(40):
            connection.send_message(self, zeros)
        connection.send_message(self, bytes((4 << 20) + 1))
        connection.send_trailers(self, OK, (("after", "all"),))


@pytest.mark.slow
def test_compressed_responses_that_wait_take_no_more_memory_than_they_came_in() -> None:
    async def test() -> None:
        async with (
            wire_server(lambda session, _: Bombing(session)) as server,
            open_channel(server.address) as channel,
        ):
            tracemalloc.start()
            try:
                async with channel.unary_stream("test.Service/Bomb")(b"") as call:
                    await until(lambda: call.is_over)
                    current, _ = tracemalloc.get_traced_memory()
                    assert current < 3 << 20
                    for _ in range(40):
                        assert len(await call.receive() or b"") == 4 << 20
                    with pytest.raises(RpcError, match=r"RESOURCE_EXHAUSTED: .*larger than max") as caught:
                        await call.receive()
                    assert caught.value.trailers == (("after", "all"),)
                    assert call.status.code == StatusCode.RESOURCE_EXHAUSTED
                    with pytest.raises(RpcError, match=r"RESOURCE_EXHAUSTED: .*larger than max"):
                        await call.receive()
            finally:
                tracemalloc.stop()

    run(test)


class Damaged(Bombing):
    """Answers with a message that says it is gzip's and is not, and goes on."""

    def on_half_close(self) -> None:
        connection = self.session.connection
        connection.send_headers(self, encoding="gzip")
        connection.send_message(self, b"good")
        self.wire_state.coding = Coding("gzip", bytes, lambda message, _: message)
        connection.send_message(self, b"bad")


def test_a_damaged_message_ends_a_call_that_goes_on() -> None:
    async def test() -> None:
        calls: list[Damaged] = []

        def on_call(session: WireSession, _: Request) -> ServerCall:
            calls.append(Damaged(session))
            return calls[-1]

        async with wire_server(on_call) as server, open_channel(server.address) as channel:
            async with channel.unary_stream("test.Service/Bomb")(b"") as call:
                assert await call.receive() == b"good"
                with pytest.raises(RpcError, match="INTERNAL: a message compressed with gzip is damaged"):
                    await call.receive()
                assert call.status.code == StatusCode.INTERNAL
            await until(lambda: calls[0].wire_state is None)  # the server hears of it

    run(test)
