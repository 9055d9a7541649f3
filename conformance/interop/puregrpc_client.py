"""puregrpc's channel behind the interface of the interoperability cases.

Usage: puregrpc_client.py ADDRESS CASE... [--engine h2|fast] [--world trio|asyncio] [--tls-ca FILE]

Prints a line a case.
"""

from __future__ import annotations

import argparse
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio

from conformance.interop.cases import CASES, StatusError
from conformance.interop.load_reports import EVERY_SECOND, OUT_OF_BAND
from conformance.interop.messages import method_classes
from puregrpc.channel import open_channel
from puregrpc.errors import RpcError
from puregrpc.transport import TlsOptions

CASE_BOUND = 60.0


def as_status(error: RpcError) -> StatusError:
    return StatusError(error.code, error.message, list(error.trailers))


class Stream:
    """One streaming call, with its messages as google.protobuf objects."""

    def __init__(self, call: Any, response_class: Any) -> None:
        self.call = call
        self.response_class = response_class

    async def send(self, message: Any, *, compress: bool = True) -> None:
        try:
            await self.call.send(message.SerializeToString(), compress=compress)
        except RpcError as error:
            raise as_status(error) from None

    async def half_close(self) -> None:
        await self.call.half_close()

    async def receive(self) -> Any:
        try:
            data = await self.call.receive()
        except RpcError as error:
            raise as_status(error) from None
        return None if data is None else self.response_class.FromString(data)

    async def cancel(self) -> None:
        self.call.cancel()

    async def headers(self) -> list[tuple[str, str | bytes]]:
        return list(await self.call.headers())

    async def trailers(self) -> list[tuple[str, str | bytes]]:
        return list(self.call.trailers)


class LoadReports:
    """The reports of a server, as bytes."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def receive(self) -> bytes:
        try:
            return bytes(await self.call.receive())
        except RpcError as error:
            raise as_status(error) from None

    async def cancel(self) -> None:
        self.call.cancel()


class PuregrpcClient:
    """The channel as an `Adapter`; calls stay open until the case is over."""

    def __init__(self, address: str, ca: str | None, engine: Any) -> None:
        self.address = address
        self.tls = TlsOptions(root_certificates=Path(ca).read_text()) if ca else None
        self.engine = engine
        self.stack = AsyncExitStack()
        self.channel: Any = None

    async def reconnect(self) -> None:
        await self.stack.aclose()
        self.stack = AsyncExitStack()
        self.channel = await self.stack.enter_async_context(
            open_channel(self.address, tls=self.tls, engine=self.engine)
        )

    async def start(
        self, path: str, *, metadata: Any = (), timeout: float | None = None, compress: bool | None = None
    ) -> Any:
        call = self.channel.call(path, metadata=metadata, timeout=timeout, compression="gzip" if compress else None)
        return await self.stack.enter_async_context(call)

    async def unary(
        self, method: str, request: Any, *, metadata: Any = (), timeout: float | None = None,
        compress: bool | None = None, service: str = "TestService",
    ) -> tuple[Any, list[tuple[str, str | bytes]], list[tuple[str, str | bytes]]]:  # fmt: skip
        path = f"/grpc.testing.{service}/{method}"
        _, response_class = method_classes(service, method)
        try:
            call = await self.start(path, metadata=metadata, timeout=timeout, compress=compress)
            await call.send(request.SerializeToString())
            await call.half_close()
            result = await call.single_response()
        except RpcError as error:
            raise as_status(error) from None
        return response_class.FromString(result.message), list(result.headers), list(result.trailers)

    async def open(
        self, method: str, *, metadata: Any = (), timeout: float | None = None, compress: bool | None = None
    ) -> Stream:
        _, response_class = method_classes("TestService", method)
        path = f"/grpc.testing.TestService/{method}"
        try:
            call = await self.start(path, metadata=metadata, timeout=timeout, compress=compress)
        except RpcError as error:
            raise as_status(error) from None
        return Stream(call, response_class)

    async def load_reports(self) -> LoadReports:
        call = await self.start(OUT_OF_BAND)
        await call.send(EVERY_SECOND)
        await call.half_close()
        return LoadReports(call)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


async def run(address: str, names: list[str], ca: str | None, engine: str) -> None:
    for case in CASES:
        name = case.__name__
        if name not in names:
            continue
        client = PuregrpcClient(address, ca, engine)
        try:
            with anyio.fail_after(CASE_BOUND):
                try:
                    await client.reconnect()
                    await case(client)
                finally:
                    await client.stack.aclose()
            print(f"{name} ok", flush=True)
        except (AssertionError, StatusError, TimeoutError) as error:
            print(f"{name} failed: {type(error).__name__} {error}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("cases", nargs="+")
    parser.add_argument("--engine", default="fast")
    parser.add_argument("--world", default="trio")
    parser.add_argument("--tls-ca")
    arguments = parser.parse_args()
    anyio.run(run, arguments.address, arguments.cases, arguments.tls_ca, arguments.engine, backend=arguments.world)


if __name__ == "__main__":
    main()
