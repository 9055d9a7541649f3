"""puregrpc's channel as connectconformance's client under test: calls as told on stdin, results on stdout."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.abc

from conformance.connect.protocol import (
    PACKAGE,
    codec,
    message_class,
    read_message,
    registry,
    to_error,
    to_headers,
    to_metadata,
    write_message,
)  # fmt: skip
from puregrpc.channel import open_channel
from puregrpc.errors import ConnectError, DecodeError, RpcError
from puregrpc.transport import TlsOptions
from puregrpc.wire.status import StatusCode

PARALLEL = 4
CALL_BOUND = 15.0
"""A call that takes longer (seconds) hangs; the others are to be heard of all the same."""


@dataclass
class Outcome:
    """What came of one call."""

    headers: tuple[tuple[str, str | bytes], ...] = ()
    trailers: tuple[tuple[str, str | bytes], ...] = ()
    payloads: list[Any] = field(default_factory=list)
    error: Any = None
    unsent: int = 0

    def failed(self, error: RpcError) -> None:
        self.error = to_error(error.code, error.message, error.details_bin)
        self.headers = error.headers
        self.trailers = error.trailers

    def result(self) -> Any:
        return message_class("ClientResponseResult")(
            response_headers=to_headers(self.headers),
            response_trailers=to_headers(self.trailers),
            payloads=self.payloads,
            error=self.error,
            num_unsent_requests=self.unsent,
        )


class CallUnderTest:
    """One call as the runner describes it."""

    def __init__(self, asked: Any, opening: Any, method: Any) -> None:
        self.asked = asked
        self.opening = opening
        self.call: Any = None
        self.method = method
        self.json = asked.codec == 2
        self.outcome = Outcome()
        timing = asked.cancel.WhichOneof("cancel_timing") if asked.HasField("cancel") else None
        self.cancel_before_close = timing == "before_close_send"
        self.cancel_after_ms = None
        if asked.HasField("cancel") and timing in (None, "after_close_send_ms"):
            self.cancel_after_ms = asked.cancel.after_close_send_ms
        self.cancel_after_responses = asked.cancel.after_num_responses if timing == "after_num_responses" else None

    def encoded(self, message: Any) -> bytes:
        if self.json:
            return codec().to_json(self.method.input_type, message.value).encode()
        data: bytes = message.value
        return data

    def add_payload(self, data: bytes) -> None:
        name = self.method.output_type.name
        if self.json:
            data = codec().from_json(self.method.output_type, data.decode())
        codec().decode(self.method.output_type, data)
        self.outcome.payloads.append(message_class(name).FromString(data).payload)

    async def send(self, message: Any) -> bool:
        await anyio.sleep(self.asked.request_delay_ms / 1000)
        try:
            await self.call.send(self.encoded(message))
        except RpcError:
            return False
        return not self.call.is_over

    async def send_all(self) -> None:
        messages = self.asked.request_messages
        for index, message in enumerate(messages):
            if not await self.send(message):
                self.outcome.unsent = len(messages) - index
                return

    async def close(self) -> None:
        if self.cancel_before_close:
            self.call.cancel()
            return
        with suppress(RpcError):
            await self.call.half_close()

    async def receive_one(self) -> bool:
        message = await self.call.receive()
        if message is None:
            return False
        self.add_payload(message)
        if len(self.outcome.payloads) == self.cancel_after_responses:
            self.call.cancel()
        return True

    async def receive_all(self) -> None:
        while await self.receive_one():
            pass

    async def run_full_duplex(self, nursery: anyio.abc.TaskGroup) -> None:
        messages = self.asked.request_messages
        for index, message in enumerate(messages):
            if not await self.send(message):
                self.outcome.unsent = len(messages) - index
                break
            if not await self.receive_one():
                self.outcome.unsent = len(messages) - index - 1
                break
        await self.close()
        self.schedule_cancel(nursery)
        await self.receive_all()

    def schedule_cancel(self, nursery: anyio.abc.TaskGroup) -> None:
        if self.cancel_after_ms is not None:
            nursery.start_soon(self.cancel_later, self.cancel_after_ms / 1000)

    async def run(self) -> Outcome:
        outcome = self.outcome
        kind = self.asked.stream_type
        try:
            async with self.opening as self.call, anyio.create_task_group() as nursery:
                try:
                    if kind == 5:
                        await self.run_full_duplex(nursery)
                    else:
                        await self.send_all()
                        await self.close()
                        self.schedule_cancel(nursery)
                        if kind in (1, 2):
                            result = await self.call.single_response()
                            self.add_payload(result.message)
                        else:
                            await self.receive_all()
                    outcome.headers = await self.call.headers()
                    outcome.trailers = self.call.trailers
                except RpcError as error:
                    outcome.failed(error)
                except (DecodeError, UnicodeDecodeError) as error:
                    outcome.error = to_error(StatusCode.INTERNAL, f"the response cannot be parsed: {error}", None)
                nursery.cancel_scope.cancel()
        except RpcError as error:
            outcome.failed(error)
        return outcome

    async def cancel_later(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        self.call.cancel()


async def perform(asked: Any, engine: Any) -> Any:
    service = asked.service or f"{PACKAGE}.ConformanceService"
    method = registry().method(f"{service}/{asked.method}")
    tls = None
    if asked.server_tls_cert:
        creds = asked.client_tls_creds if asked.HasField("client_tls_creds") else None
        tls = TlsOptions(
            root_certificates=asked.server_tls_cert.decode(),
            certificate_chain=creds.cert.decode() if creds else None,
            private_key=creds.key.decode() if creds else None,
        )
    async with open_channel(
        f"{asked.host}:{asked.port}",
        tls=tls,
        engine=engine,
        max_receive_message_size=asked.message_receive_limit or 4 << 20,
        compression="gzip" if asked.compression == 2 else None,
        content_subtype="json" if asked.codec == 2 else "proto",
    ) as channel:
        with suppress(ConnectError):  # the call says so as well; what connecting takes is no part of its time
            await channel.connect()
        opening = channel.call(
            method.path,
            metadata=to_metadata(asked.request_headers),
            timeout=asked.timeout_ms / 1000 if asked.HasField("timeout_ms") else None,
        )
        return (await CallUnderTest(asked, opening, method).run()).result()


async def main(engine: Any) -> None:
    limiter = anyio.CapacityLimiter(PARALLEL)

    async def answer(asked: Any) -> None:
        reply = message_class("ClientCompatResponse")(test_name=asked.test_name)
        async with limiter:
            with anyio.move_on_after(CALL_BOUND) as scope:
                reply.response.CopyFrom(await perform(asked, engine))
        if scope.cancelled_caught:
            reply.error.message = f"the call was not over after {CALL_BOUND:g} s"
        write_message(sys.stdout.buffer, reply)

    async with anyio.create_task_group() as nursery:
        while True:
            asked = await anyio.to_thread.run_sync(read_message, sys.stdin.buffer, "ClientCompatRequest")
            if asked is None:
                break
            nursery.start_soon(answer, asked)


if __name__ == "__main__":
    _, engine, world = [*sys.argv, "h2", "trio"][:3]
    anyio.run(main, engine, backend=world)
