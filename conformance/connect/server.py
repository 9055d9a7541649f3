"""connectrpc.conformance.v1.ConformanceService on puregrpc's server, as the test runner starts it."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

import anyio

from conformance.connect.protocol import (
    PACKAGE,
    codec,
    codec_status,
    descriptor,
    message_class,
    read_message,
    to_headers,
    to_metadata,
    write_message,
)  # fmt: skip
from puregrpc.errors import RpcError
from puregrpc.server import Method, Server, ServerConfig, Shape
from puregrpc.transport import TlsOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def request_info(context: Any, requests: list[Any]) -> Any:
    info = message_class("ConformancePayload").RequestInfo(request_headers=to_headers(context.metadata))
    if context.timeout is not None:
        info.timeout_ms = round(context.timeout * 1000)
    for request in requests:
        info.requests.add().Pack(request)
    return info


def failure(error: Any, info: Any) -> RpcError:
    """The status that a response definition asks for, with what is known of the request among its details."""
    status = codec_status()(code=error.code, message=error.message)
    for detail in error.details:
        status.details.add(type_url=detail.type_url, value=detail.value)
    if info is not None:
        status.details.add().Pack(info)
    return RpcError(error.code, error.message, details_bin=status.SerializeToString())


def trailing(context: Any, definition: Any) -> None:
    context.set_trailing_metadata(to_metadata(definition.response_trailers))


async def one_response(reply: str, context: Any, requests: list[Any]) -> Any:
    info = request_info(context, requests)
    payload = message_class("ConformancePayload")(request_info=info)
    if requests and requests[0].HasField("response_definition"):
        definition = requests[0].response_definition
        headers = to_metadata(definition.response_headers)
        trailing(context, definition)
        await anyio.sleep(definition.response_delay_ms / 1000)
        if headers:
            context.send_initial_metadata(headers)
        if definition.HasField("error"):
            raise failure(definition.error, info)
        payload.data = definition.response_data
    return message_class(reply)(payload=payload)


async def unary(request: Any, context: Any) -> Any:
    return await one_response("UnaryResponse", context, [request])


async def idempotent_unary(request: Any, context: Any) -> Any:
    return await one_response("IdempotentUnaryResponse", context, [request])


async def client_stream(requests: AsyncIterator[Any], context: Any) -> Any:
    return await one_response("ClientStreamResponse", context, [request async for request in requests])


async def server_stream(request: Any, context: Any) -> AsyncIterator[Any]:
    definition = request.response_definition
    trailing(context, definition)
    context.send_initial_metadata(to_metadata(definition.response_headers))
    info = request_info(context, [request])
    for index, data in enumerate(definition.response_data):
        await anyio.sleep(definition.response_delay_ms / 1000)
        payload = message_class("ConformancePayload")(data=data, request_info=None if index else info)
        yield message_class("ServerStreamResponse")(payload=payload)
    if definition.HasField("error"):
        raise failure(definition.error, None if definition.response_data else info)


async def bidi_stream(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
    reply = message_class("BidiStreamResponse")
    payload = message_class("ConformancePayload")
    definition: Any = None
    full_duplex = False
    seen: list[Any] = []
    sent = 0
    async for request in requests:
        if definition is None:
            definition = request.response_definition
            full_duplex = request.full_duplex
            trailing(context, definition)
            context.send_initial_metadata(to_metadata(definition.response_headers))
        seen.append(request)
        if full_duplex:
            if sent >= len(definition.response_data):
                break
            await anyio.sleep(definition.response_delay_ms / 1000)
            yield reply(payload=payload(data=definition.response_data[sent], request_info=request_info(context, seen)))
            seen = []
            sent += 1
    if definition is None:
        return
    for data in definition.response_data[sent:]:
        await anyio.sleep(definition.response_delay_ms / 1000)
        info = None if sent else request_info(context, seen)
        yield reply(payload=payload(data=data, request_info=info))
        sent += 1
    if definition.HasField("error"):
        raise failure(definition.error, None if sent else request_info(context, seen))


def method(name: str, handler: Any, shape: Shape, request: str, reply: str) -> Method:
    request_type, reply_type = descriptor(request), descriptor(reply)
    request_class, reply_class = message_class(request), message_class(reply)

    def from_json(data: bytes) -> Any:
        return request_class.FromString(codec().from_json(request_type, data.decode()))

    def to_json(message: Any) -> bytes:
        return codec().to_json(reply_type, message.SerializeToString()).encode()

    return Method(
        f"/{PACKAGE}.ConformanceService/{name}",
        handler,
        shape,
        request_class.FromString,
        reply_class.SerializeToString,
        {"json": (from_json, to_json)},
    )


def methods() -> list[Method]:
    return [
        method("Unary", unary, Shape.UNARY, "UnaryRequest", "UnaryResponse"),
        method("IdempotentUnary", idempotent_unary, Shape.UNARY, "IdempotentUnaryRequest", "IdempotentUnaryResponse"),
        method("ClientStream", client_stream, Shape.CLIENT_STREAM, "ClientStreamRequest", "ClientStreamResponse"),
        method("ServerStream", server_stream, Shape.SERVER_STREAM, "ServerStreamRequest", "ServerStreamResponse"),
        method("BidiStream", bidi_stream, Shape.BIDI, "BidiStreamRequest", "BidiStreamResponse"),
    ]


async def main(engine: Any) -> None:
    asked = read_message(sys.stdin.buffer, "ServerCompatRequest")
    if asked is None:
        raise SystemExit("no ServerCompatRequest on standard input")
    tls = None
    if asked.use_tls:
        tls = TlsOptions(
            certificate_chain=asked.server_creds.cert.decode(),
            private_key=asked.server_creds.key.decode(),
            root_certificates=asked.client_tls_cert.decode() or None,
            require_client_certificate=bool(asked.client_tls_cert),
        )
    config = ServerConfig(
        max_receive_message_size=asked.message_receive_limit or 4 << 20, compression="gzip", engine=engine
    )
    server = Server("127.0.0.1:0", tls=tls, config=config)
    server.add_methods(methods())
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async with server:
            host, _, port = server.addresses[0].rpartition(":")
            reply = message_class("ServerCompatResponse")(
                host=host, port=int(port), pem_cert=asked.server_creds.cert if asked.use_tls else b""
            )
            write_message(sys.stdout.buffer, reply)
            async for _ in signals:
                break
            await server.stop(1)


if __name__ == "__main__":
    _, engine, world = [*sys.argv, "h2", "trio"][:3]
    anyio.run(main, engine, backend=world)
