"""The interoperability cases of a client, written once against a small interface that any client can stand behind.

Each case is an async function of an `Adapter`; it raises AssertionError if the peer or the client does not do what
interop-test-descriptions.md says. The sizes are those of that document.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from conformance.interop.load_reports import TRAILER, load_report, test_report
from conformance.interop.messages import message_class

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

Pairs = "Iterable[tuple[str, str | bytes]]"

REQUEST_SIZES = (27182, 8, 1828, 45904)
RESPONSE_SIZES = (31415, 9, 2653, 58979)
LARGE_REQUEST_SIZE = 271828
LARGE_RESPONSE_SIZE = 314159


class StatusError(Exception):
    """A call ended with a status other than OK; every adapter raises this one."""

    def __init__(self, code: int, message: str, trailers: list[tuple[str, str | bytes]]) -> None:
        super().__init__(f"status {code}: {message}")
        self.code = code
        self.message = message
        self.trailers = trailers


class BidiCall(Protocol):
    """A call whose messages go one by one."""

    async def send(self, message: Any, *, compress: bool = True) -> None: ...
    async def half_close(self) -> None: ...
    async def receive(self) -> Any: ...  # None at the end; StatusError for any status but OK
    async def cancel(self) -> None: ...
    async def headers(self) -> list[tuple[str, str | bytes]]: ...
    async def trailers(self) -> list[tuple[str, str | bytes]]: ...


class LoadReports(Protocol):
    """The reports of a server, out of band: serialized OrcaLoadReports."""

    async def receive(self) -> bytes: ...
    async def cancel(self) -> None: ...


class Adapter(Protocol):
    """A client of grpc.testing.TestService."""

    async def unary(
        self, method: str, request: Any, *, metadata: Any = (), timeout: float | None = None,
        compress: bool | None = None, service: str = "TestService",
    ) -> tuple[Any, list[tuple[str, str | bytes]], list[tuple[str, str | bytes]]]: ...  # fmt: skip

    async def open(
        self, method: str, *, metadata: Any = (), timeout: float | None = None, compress: bool | None = None
    ) -> BidiCall: ...

    async def load_reports(self) -> LoadReports: ...

    async def sleep(self, seconds: float) -> None: ...

    async def reconnect(self) -> None: ...


def payload(size: int) -> Any:
    return message_class("Payload")(body=bytes(size))


def simple_request(**fields: Any) -> Any:
    return message_class("SimpleRequest")(
        response_size=LARGE_RESPONSE_SIZE, payload=payload(LARGE_REQUEST_SIZE), **fields
    )


def output_request(sizes: Iterable[int], **fields: Any) -> Any:
    parameters = [message_class("ResponseParameters")(size=size) for size in sizes]
    return message_class("StreamingOutputCallRequest")(response_parameters=parameters, **fields)


def flag(value: bool) -> Any:
    return message_class("BoolValue")(value=value)


async def fails(work: Awaitable[Any], code: int) -> StatusError:
    try:
        await work
    except StatusError as error:
        assert error.code == code, f"status {error.code} ({error.message}) instead of {code}"
        return error
    raise AssertionError(f"no error; expected status {code}")


async def empty_unary(client: Adapter) -> None:
    reply, _, _ = await client.unary("EmptyCall", message_class("Empty")())
    assert reply == message_class("Empty")()


async def large_unary(client: Adapter) -> None:
    reply, _, _ = await client.unary("UnaryCall", simple_request())
    assert len(reply.payload.body) == LARGE_RESPONSE_SIZE


async def client_compressed_unary(client: Adapter) -> None:
    # The probe: an uncompressed message that is said to be compressed must be refused.
    await fails(client.unary("UnaryCall", simple_request(expect_compressed=flag(True)), compress=False), 3)
    for compressed in (True, False):
        reply, _, _ = await client.unary(
            "UnaryCall", simple_request(expect_compressed=flag(compressed)), compress=compressed
        )
        assert len(reply.payload.body) == LARGE_RESPONSE_SIZE


async def server_compressed_unary(client: Adapter) -> None:
    for compressed in (True, False):
        reply, _, _ = await client.unary("UnaryCall", simple_request(response_compressed=flag(compressed)))
        assert len(reply.payload.body) == LARGE_RESPONSE_SIZE


async def client_streaming(client: Adapter) -> None:
    call = await client.open("StreamingInputCall")
    for size in REQUEST_SIZES:
        await call.send(message_class("StreamingInputCallRequest")(payload=payload(size)))
    await call.half_close()
    reply = await call.receive()
    assert reply.aggregated_payload_size == sum(REQUEST_SIZES)
    assert await call.receive() is None


async def client_compressed_streaming(client: Adapter) -> None:
    request = message_class("StreamingInputCallRequest")
    probe = await client.open("StreamingInputCall", compress=True)
    await probe.send(request(payload=payload(27182), expect_compressed=flag(True)), compress=False)
    await probe.half_close()
    await fails(probe.receive(), 3)
    call = await client.open("StreamingInputCall", compress=True)
    await call.send(request(payload=payload(27182), expect_compressed=flag(True)), compress=True)
    await call.send(request(payload=payload(45904), expect_compressed=flag(False)), compress=False)
    await call.half_close()
    reply = await call.receive()
    assert reply.aggregated_payload_size == 27182 + 45904


async def server_streaming(client: Adapter) -> None:
    call = await client.open("StreamingOutputCall")
    await call.send(output_request(RESPONSE_SIZES))
    await call.half_close()
    for size in RESPONSE_SIZES:
        reply = await call.receive()
        assert len(reply.payload.body) == size
    assert await call.receive() is None


async def server_compressed_streaming(client: Adapter) -> None:
    parameters = message_class("ResponseParameters")
    call = await client.open("StreamingOutputCall")
    await call.send(
        message_class("StreamingOutputCallRequest")(
            response_parameters=[
                parameters(size=31415, compressed=flag(True)),
                parameters(size=92653, compressed=flag(False)),
            ]
        )
    )
    await call.half_close()
    assert [len((await call.receive()).payload.body) for _ in range(2)] == [31415, 92653]
    assert await call.receive() is None


async def ping_pong(client: Adapter) -> None:
    call = await client.open("FullDuplexCall")
    for request_size, response_size in zip(REQUEST_SIZES, RESPONSE_SIZES, strict=True):
        await call.send(output_request([response_size], payload=payload(request_size)))
        reply = await call.receive()
        assert len(reply.payload.body) == response_size
    await call.half_close()
    assert await call.receive() is None


async def empty_stream(client: Adapter) -> None:
    call = await client.open("FullDuplexCall")
    await call.half_close()
    assert await call.receive() is None


async def custom_metadata(client: Adapter) -> None:
    initial = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
    trailing = ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")
    _, headers, trailers = await client.unary("UnaryCall", simple_request(), metadata=(initial, trailing))
    assert initial in headers, headers
    assert trailing in trailers, trailers
    call = await client.open("FullDuplexCall", metadata=(initial, trailing))
    await call.send(output_request([LARGE_RESPONSE_SIZE], payload=payload(LARGE_REQUEST_SIZE)))
    await call.half_close()
    assert initial in await call.headers()
    assert len((await call.receive()).payload.body) == LARGE_RESPONSE_SIZE
    assert await call.receive() is None
    assert trailing in await call.trailers()


async def status_code_and_message(client: Adapter) -> None:
    echo = message_class("EchoStatus")(code=2, message="test status message")
    error = await fails(client.unary("UnaryCall", message_class("SimpleRequest")(response_status=echo)), 2)
    assert error.message == "test status message"
    call = await client.open("FullDuplexCall")
    await call.send(message_class("StreamingOutputCallRequest")(response_status=echo))
    await call.half_close()
    error = await fails(call.receive(), 2)
    assert error.message == "test status message"


async def special_status_message(client: Adapter) -> None:
    text = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
    echo = message_class("EchoStatus")(code=2, message=text)
    error = await fails(client.unary("UnaryCall", message_class("SimpleRequest")(response_status=echo)), 2)
    assert error.message == text


async def unimplemented_method(client: Adapter) -> None:
    await fails(client.unary("UnimplementedCall", message_class("Empty")()), 12)


async def unimplemented_service(client: Adapter) -> None:
    await fails(client.unary("UnimplementedCall", message_class("Empty")(), service="UnimplementedService"), 12)


async def cancel_after_begin(client: Adapter) -> None:
    call = await client.open("StreamingInputCall")
    await call.cancel()
    await fails(call.receive(), 1)


async def cancel_after_first_response(client: Adapter) -> None:
    call = await client.open("FullDuplexCall")
    await call.send(output_request([31415], payload=payload(27182)))
    assert len((await call.receive()).payload.body) == 31415
    await call.cancel()
    await fails(call.receive(), 1)


async def timeout_on_sleeping_server(client: Adapter) -> None:
    try:
        call = await client.open("FullDuplexCall", timeout=0.001)
        await call.send(message_class("StreamingOutputCallRequest")(payload=payload(27182)))
    except StatusError as error:
        assert error.code == 4
        return
    await fails(call.receive(), 4)


async def pick_first_unary(client: Adapter) -> None:
    seen = set()
    for _ in range(20):
        reply, _, _ = await client.unary(
            "UnaryCall", message_class("SimpleRequest")(response_size=1, payload=payload(1), fill_server_id=True)
        )
        seen.add(reply.server_id)
    assert len(seen) == 1, seen


async def rpc_soak(client: Adapter) -> None:
    for _ in range(200):
        await large_unary(client)


async def channel_soak(client: Adapter) -> None:
    for _ in range(30):
        await client.reconnect()
        await large_unary(client)


async def long_lived_channel(client: Adapter) -> None:
    await empty_unary(client)
    await client.sleep(2)
    await empty_unary(client)


async def orca_per_rpc(client: Adapter) -> None:
    report = test_report()
    request = message_class("SimpleRequest")(orca_per_query_report=report)
    _, _, trailers = await client.unary("UnaryCall", request)
    assert (TRAILER, load_report(report)) in trailers, trailers


async def orca_oob(client: Adapter) -> None:
    reports = await client.load_reports()
    call = await client.open("FullDuplexCall")
    for report in (test_report(), test_report(0.5)):
        parameters = [message_class("ResponseParameters")(size=1)]
        await call.send(
            message_class("StreamingOutputCallRequest")(orca_oob_report=report, response_parameters=parameters)
        )
        await call.receive()
        while await reports.receive() != load_report(report):
            pass  # reports from before it are still on their way; the bound of the case ends this
    await call.half_close()
    assert await call.receive() is None
    await reports.cancel()


CASES: tuple[Callable[[Adapter], Awaitable[None]], ...] = (
    empty_unary,
    large_unary,
    client_compressed_unary,
    server_compressed_unary,
    client_streaming,
    client_compressed_streaming,
    server_streaming,
    server_compressed_streaming,
    ping_pong,
    empty_stream,
    custom_metadata,
    status_code_and_message,
    special_status_message,
    unimplemented_method,
    unimplemented_service,
    cancel_after_begin,
    cancel_after_first_response,
    timeout_on_sleeping_server,
    pick_first_unary,
    rpc_soak,
    channel_soak,
    long_lived_channel,
    orca_per_rpc,
    orca_oob,
)
COMPRESSED = {
    "client_compressed_unary", "server_compressed_unary", "client_compressed_streaming", "server_compressed_streaming",
}  # fmt: skip
"""Cases that grpc-go's interop binaries do not implement."""
