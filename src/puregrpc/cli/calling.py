"""Calls of any shape with requests from the command line, and what is shown of them."""

from __future__ import annotations

import base64
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from google.protobuf import text_format

from puregrpc.cli.options import ConnectionOptions, SchemaOptions
from puregrpc.cli.output import note, print_json, print_line, without_controls
from puregrpc.cli.requests import RECORD_SEPARATOR, JsonSplitter, TextSplitter, is_piped, read_requests
from puregrpc.codec import Codec, read_status
from puregrpc.errors import DecodeError, InvalidArgument, RpcError
from puregrpc.schema import Registry
from puregrpc.wire.status import Status

if TYPE_CHECKING:
    from puregrpc.channel import Channel, ClientCall
    from puregrpc.kernel import Kernel
    from puregrpc.proto.descriptors import MessageDescriptor, MethodDescriptor
    from puregrpc.services import TypesOnDemand
    from puregrpc.wire.connection import Metadata

__all__ = ["CallOptions", "call", "find_method", "load_method", "make_call"]


@dataclass(frozen=True, slots=True)
class CallOptions:
    """How the call is made and shown: ``format`` (of the requests) is json or text, ``output`` also raw or none."""

    data: str | None = None
    timeout: float | None = None
    compression: str | None = None
    metadata: tuple[tuple[str, str | bytes], ...] = ()
    format: str = "json"
    output: str = "json"
    emit_defaults: bool = False
    verbose: bool = False
    as_json: bool = False


@dataclass(slots=True)
class _Tally:
    sent: int = 0
    received: int = 0
    failures: list[Exception] = field(default_factory=list)


async def call(
    name: str,
    connection: ConnectionOptions,
    schema: SchemaOptions,
    options: CallOptions,
    registry: Registry,
    kernel: Kernel,
    channel: Channel,
) -> None:
    """Make the call of a command line. What it loads of the schema goes into ``registry``."""
    method = await load_method(channel, name, schema, registry)
    if options.verbose:
        for key, value in (*connection.metadata(), *options.metadata):
            note(f"> {key}: {_shown(value)}")
    await make_call(kernel, channel, method, options, registry, schema.on_demand(channel, registry))


async def load_method(channel: Channel, name: str, schema: SchemaOptions, registry: Registry) -> MethodDescriptor:
    """The method of that name (``pkg.Service/Method`` or ``pkg.Service.Method``), its schema loaded if need be."""
    await schema.load(channel, registry, split_method(name)[0])
    return find_method(name, schema, registry)


def find_method(name: str, schema: SchemaOptions, registry: Registry) -> MethodDescriptor:
    """The method of that name, whose schema is loaded, and written where that was asked for."""
    service, path = split_method(name)
    method = registry.method(path)
    schema.write([registry.service(service).file])
    return method


async def make_call(
    kernel: Kernel,
    channel: Channel,
    method: MethodDescriptor,
    options: CallOptions,
    registry: Registry,
    types: TypesOnDemand | None = None,
) -> None:
    """Make the call, over a channel of the kernel's, and print what it brings. ``types`` asks for those that messages
    turn out to need.

    Raises RpcError for a status other than OK.
    """
    printer = _Printer(registry, method, options, types)
    requests = _requests(kernel, printer.codec, method, options, types)
    first: list[bytes] = []
    if not method.is_client_stream:
        first = [await _only_request(requests, printer.codec, method)]
    tally = _Tally()
    printer.method()
    try:
        async with channel.call(
            method, metadata=options.metadata, timeout=options.timeout, compression=options.compression
        ) as made:
            await _exchange(kernel, made, requests, first, printer, tally)
            await printer.learn_details(made.status.details)
            printer.end(made.status, made.trailers, tally)
    except RpcError as error:
        if tally.failures:
            raise tally.failures[0] from None
        await printer.learn_details(error.details_bin)
        printer.failed(error, tally)
        raise


async def _exchange(
    kernel: Kernel,
    made: ClientCall[bytes, bytes],
    requests: AsyncIterator[bytes],
    first: list[bytes],
    printer: _Printer,
    tally: _Tally,
) -> None:
    """Send and receive at the same time, until the call is over."""

    async def send() -> None:
        try:
            for message in first:
                await made.send(message)
                tally.sent += 1
            if not first:
                async for message in requests:
                    await made.send(message)
                    tally.sent += 1
            await made.half_close()
        except RpcError:
            return  # the call has ended; the receiver tells how
        except Exception as error:
            tally.failures.append(error)
            made.cancel()

    made_of = printer.descriptor.output_type.full_name
    sending = kernel.spawn(send)
    try:
        printer.headers(await made.headers())
        async for message in made:
            tally.received += 1
            try:
                await printer.learn(message)
                printer.message(message)
            except DecodeError as error:
                path = error.path.replace("message", f"response {tally.received}", 1)
                raise DecodeError(path, f"{error.problem} (the schema says {made_of})") from None
    finally:
        sending.cancel()
        await sending.join()
    if tally.failures:
        raise tally.failures[0]


def split_method(name: str) -> tuple[str, str]:
    """The service and the path of ``pkg.Service/Method`` or ``pkg.Service.Method``."""
    path = name.removeprefix("/").removeprefix(".")
    service, slash, method = path.rpartition("/")
    if not slash:
        service, _, method = path.rpartition(".")
    if not service or not method:
        raise InvalidArgument(f"{name!r} is not a method: pkg.Service/Method is expected; puregrpc list shows them")
    return service, f"{service}/{method}"


async def _requests(
    kernel: Kernel, codec: Codec, method: MethodDescriptor, options: CallOptions, types: TypesOnDemand | None
) -> AsyncIterator[bytes]:
    """The requests, encoded."""
    is_typed = options.data in (None, "@", "@-") and sys.stdin is not None and sys.stdin.isatty()
    if options.data is None and not method.is_client_stream and not is_piped(sys.stdin):
        return
    if is_typed:
        note(f"one {TYPED[options.format]} after another; Ctrl-D ends the requests")
    encode = _encoder(codec, method.input_type, options.format)
    learns = types is not None and options.format == "json" and codec.may_hold_any(method.input_type)
    splitter = TextSplitter if options.format == "text" else JsonSplitter
    async with contextlib.aclosing(read_requests(kernel, options.data, splitter, tells_waiting=not is_typed)) as texts:
        number = 0
        async for text in texts:
            number += 1
            if types is not None and learns:
                await types.learn(partial(encode, text))
            try:
                yield encode(text)
            except DecodeError as error:
                if not method.is_client_stream:
                    raise
                path = error.path.replace("request", f"request {number}", 1)
                raise DecodeError(path, error.problem) from None


TYPED = {"json": "JSON value", "text": "message in text format, with Ctrl-^ (0x1e) between them,"}


def _encoder(codec: Codec, message_type: MessageDescriptor, form: str) -> Callable[[str], bytes]:
    """What makes a request of its text. It raises DecodeError."""
    if form == "json":
        return partial(codec.from_json, message_type)

    def encode(text: str) -> bytes:
        message = codec.to_message(message_type, b"")
        pool: Any = message.DESCRIPTOR.file.pool
        try:
            text_format.Parse(text, message, descriptor_pool=pool)
        except (text_format.ParseError, RecursionError) as error:
            problem = "nested too deep" if isinstance(error, RecursionError) else " ".join(str(error).split())
            raise DecodeError("request", problem) from None
        return message.SerializePartialToString()

    return encode


async def _only_request(requests: AsyncIterator[bytes], codec: Codec, method: MethodDescriptor) -> bytes:
    """The one request of a method that takes one; an empty message if there is none."""
    found = [request async for request in requests]
    if len(found) > 1:
        raise InvalidArgument(f"{method.full_name} takes one request, and there are {len(found)}")
    return found[0] if found else codec.from_json(method.input_type, "{}")


class _Printer:
    """Shows a call as the options say."""

    def __init__(
        self, registry: Registry, method: MethodDescriptor, options: CallOptions, types: TypesOnDemand | None
    ) -> None:
        self.types = types
        self.descriptor = method
        self.options = options
        self.codec = Codec(registry, emit_defaults=options.emit_defaults)
        self.headers_shown = False
        self._separator = ""

    def method(self) -> None:
        if self.options.verbose:
            method = self.descriptor
            taken = ("stream " if method.is_client_stream else "") + method.input_type.full_name
            given = ("stream " if method.is_server_stream else "") + method.output_type.full_name
            note(f"* {method.full_name} ({taken}) returns ({given})")

    def headers(self, metadata: Metadata) -> None:
        self.headers_shown = True
        if self.options.as_json:
            print_json({"headers": _pairs(metadata)}, indent=None)
        elif self.options.verbose:
            for name, value in metadata:
                note(f"< {name}: {_shown(value)}")

    async def learn(self, data: bytes) -> None:
        """Ask for the types that a message needs to be shown."""
        kind = self.descriptor.output_type
        if self.types is not None and self.options.output == "json" and self.codec.may_hold_any(kind):
            await self.types.learn(partial(self.codec.decode, kind, data))

    async def learn_details(self, details: bytes | None) -> None:
        """Ask for the types that a status needs to be shown."""
        if self.types is not None and details is not None:
            await self.types.learn(partial(read_status, details, self.codec))

    def message(self, data: bytes) -> None:
        options = self.options
        if options.output == "none":
            return
        if options.output == "raw":
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        elif options.output == "text":
            message = self.codec.to_message(self.descriptor.output_type, data)
            pool: Any = message.DESCRIPTOR.file.pool
            text = text_format.MessageToString(message, descriptor_pool=pool)
            print_line(self._separator + without_controls(text.rstrip("\n")))
            self._separator = RECORD_SEPARATOR
        else:
            value = self.codec.decode(self.descriptor.output_type, data)
            if options.as_json:
                print_json({"message": value}, indent=None)
            else:
                print_json(value)

    def end(self, status: Status, trailers: Metadata, tally: _Tally) -> None:
        if self.options.as_json:
            print_json(_status(status, trailers, self.codec), indent=None)
        elif self.options.verbose:
            for name, value in trailers:
                note(f"< {name}: {_shown(value)}  (trailer)")
            note(f"* {status.name}; {tally.sent} sent, {tally.received} received")

    def failed(self, error: RpcError, tally: _Tally) -> None:
        if self.options.verbose and not self.options.as_json and not self.headers_shown:
            for name, value in error.headers:
                note(f"< {name}: {_shown(value)}")
        self.end(Status(error.code, error.message, error.details_bin), error.trailers, tally)


def _shown(value: str | bytes) -> str:
    return json.dumps(value)[1:-1] if isinstance(value, str) else _pairs((("", value),))[0][1]


def _pairs(metadata: Metadata) -> list[tuple[str, str]]:
    """Metadata with binary values in base64, as on the wire."""
    return [(k, v if isinstance(v, str) else base64.b64encode(v).decode("ascii")) for k, v in metadata]


def _status(status: Status, trailers: Metadata, codec: Codec) -> dict[str, object]:
    told: dict[str, object] = {"status": status.code, "name": status.name, "message": status.message}
    if status.details is not None:
        told["details"] = read_status(status.details, codec)["details"]
    told["trailers"] = _pairs(trailers)
    return told
