"""grpc.aio behind the interface of the interoperability cases.

Usage: grpcio_client.py ADDRESS CASE... [--tls-ca FILE]; prints one line per case: ``CASE ok`` or ``CASE failed: why``.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from conformance.interop.cases import CASES, StatusError
from conformance.interop.load_reports import EVERY_SECOND, OUT_OF_BAND
from conformance.interop.messages import method_classes


def pairs(metadata: Any) -> list[tuple[str, str | bytes]]:
    return [(key, value) for key, value in metadata or ()]


def as_status(error: Any) -> StatusError:
    return StatusError(error.code().value[0], error.details() or "", pairs(error.trailing_metadata()))


class Stream:
    """One streaming call of grpc.aio; the shapes differ in how messages are sent and received."""

    def __init__(self, call: Any, *, one_reply: bool) -> None:
        self.call = call
        self.one_reply = one_reply
        self.replied = False

    async def send(self, message: Any, *, compress: bool = True) -> None:
        if not compress:
            raise StatusError(12, "grpc.aio cannot send one message of a stream uncompressed", [])
        try:
            await self.call.write(message)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            raise await self.status() from None

    async def half_close(self) -> None:
        await self.call.done_writing()

    async def status(self) -> StatusError:
        code = await self.call.code()
        details = await self.call.details() or ""
        if details == "Internal error from Core" and self.call.time_remaining() <= 0:
            # grpc.aio's own words, never the peer's: a write under way at the deadline replaces the call's status.
            code = grpc.StatusCode.DEADLINE_EXCEEDED
        return StatusError(code.value[0], details, pairs(await self.call.trailing_metadata()))

    async def receive(self) -> Any:
        try:
            if self.one_reply:
                if self.replied:
                    return None
                self.replied = True
                return await self.call
            message = await self.call.read()
        except grpc.aio.AioRpcError as error:
            raise as_status(error) from None
        except asyncio.CancelledError:
            raise await self.status() from None
        if message is not grpc.aio.EOF:
            return message
        if await self.call.code() is not grpc.StatusCode.OK:
            raise await self.status()
        return None

    async def cancel(self) -> None:
        self.call.cancel()

    async def headers(self) -> list[tuple[str, str | bytes]]:
        return pairs(await self.call.initial_metadata())

    async def trailers(self) -> list[tuple[str, str | bytes]]:
        return pairs(await self.call.trailing_metadata())


class OneRequest:
    """A server-streaming call: grpc.aio wants its one request when it starts."""

    def __init__(self, start: Any) -> None:
        self.start = start
        self.stream: Stream | None = None

    async def send(self, message: Any, *, compress: bool = True) -> None:
        self.stream = Stream(self.start(message), one_reply=False)

    async def half_close(self) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class GrpcioClient:
    """grpc.aio as an `Adapter`."""

    def __init__(self, address: str, ca: str | None) -> None:
        self.address = address
        self.ca = ca
        self.channel = self.connect()

    def connect(self) -> Any:
        if self.ca:
            credentials = grpc.ssl_channel_credentials(Path(self.ca).read_bytes())
            return grpc.aio.secure_channel(self.address, credentials)
        return grpc.aio.insecure_channel(self.address)

    async def reconnect(self) -> None:
        await self.channel.close()
        self.channel = self.connect()

    def method(self, shape: str, method: str, service: str = "TestService") -> Any:
        request_class, response_class = method_classes(service, method)
        return getattr(self.channel, shape)(
            f"/grpc.testing.{service}/{method}",
            request_serializer=request_class.SerializeToString,
            response_deserializer=response_class.FromString,
        )

    async def unary(
        self, method: str, request: Any, *, metadata: Any = (), timeout: float | None = None,
        compress: bool | None = None, service: str = "TestService",
    ) -> tuple[Any, list[tuple[str, str | bytes]], list[tuple[str, str | bytes]]]:  # fmt: skip
        call = self.method("unary_unary", method, service)(
            request, metadata=tuple(metadata), timeout=timeout, compression=grpc.Compression.Gzip if compress else None
        )
        try:
            reply = await call
        except grpc.aio.AioRpcError as error:
            raise as_status(error) from None
        return reply, pairs(await call.initial_metadata()), pairs(await call.trailing_metadata())

    async def open(
        self, method: str, *, metadata: Any = (), timeout: float | None = None, compress: bool | None = None
    ) -> Any:
        options = {
            "metadata": tuple(metadata), "timeout": timeout, "compression": grpc.Compression.Gzip if compress else None,
        }  # fmt: skip
        if method == "StreamingInputCall":
            return Stream(self.method("stream_unary", method)(**options), one_reply=True)
        if method == "StreamingOutputCall":
            start = self.method("unary_stream", method)
            return OneRequest(lambda message: start(message, **options))
        return Stream(self.method("stream_stream", method)(**options), one_reply=False)

    async def load_reports(self) -> Any:
        start = self.channel.unary_stream(OUT_OF_BAND)
        return Stream(start(EVERY_SECOND), one_reply=False)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def run(address: str, names: list[str], ca: str | None) -> None:
    for case in CASES:
        name = case.__name__
        if name not in names:
            continue
        client = GrpcioClient(address, ca)
        try:
            await asyncio.wait_for(case(client), 60)
            print(f"{name} ok", flush=True)
        except (AssertionError, StatusError, asyncio.TimeoutError) as error:
            print(f"{name} failed: {type(error).__name__} {error}", flush=True)
        finally:
            await client.channel.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("cases", nargs="+")
    parser.add_argument("--tls-ca")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.address, arguments.cases, arguments.tls_ca))


if __name__ == "__main__":
    main()
