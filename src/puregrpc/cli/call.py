"""``puregrpc call``: call a method of any shape."""

from __future__ import annotations

import base64
import contextlib
import json
import sys
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import trio
from google.protobuf import text_format

from puregrpc.cli.options import (
    ConnectionOptions,
    SchemaOptions,
    connection_options,
    debug_option,
    schema_options,
    wants_traceback,
)
from puregrpc.cli.output import RPC_EXIT_STATUS, describe_rpc_error, note, print_json, print_line
from puregrpc.cli.requests import read_requests
from puregrpc.codec import Codec, read_status
from puregrpc.errors import DecodeError, Error, InvalidArgument, RpcError
from puregrpc.schema import Registry
from puregrpc.wire.status import Status

if TYPE_CHECKING:
    from puregrpc.channel import Channel, ClientCall
    from puregrpc.proto.descriptors import MethodDescriptor
    from puregrpc.services.reflection import TypesOnDemand
    from puregrpc.wire.connection import Metadata

__all__ = ["CallOptions", "call", "load_method", "make_call"]


@dataclass(frozen=True, slots=True)
class CallOptions:
    """How the call is made and shown: ``output`` is json, text, raw or none."""

    data: str | None = None
    timeout: float | None = None
    compression: str | None = None
    output: str = "json"
    emit_defaults: bool = False
    verbose: bool = False
    as_json: bool = False


@dataclass(slots=True)
class _Tally:
    sent: int = 0
    received: int = 0
    failures: list[Error] = field(default_factory=list)


@click.command()
@click.argument("target")
@click.argument("method")
@click.option("--data", "-d", metavar="JSON", help="The requests: JSON values; @FILE reads a file, @- standard input.")
@click.option("--timeout", "-t", "--max-time", type=float, metavar="SECONDS", help="The deadline of the call.")
@click.option("--compression", type=click.Choice(["gzip", "deflate", "zstd"]), help="Compress the requests.")
@click.option(
    "--output",
    "-o",
    type=click.Choice(["json", "text", "raw"]),
    default="json",
    show_default=True,
    help="Responses as JSON, protobuf text format, or the octets as they came.",
)
@click.option("--emit-defaults", is_flag=True, help="JSON with the fields that are not set.")
@click.option("--json", "as_json", is_flag=True, help="All of the call as JSON lines: headers, messages, status.")
@click.option("--verbose", "-v", is_flag=True, help="Metadata and the method as well, on standard error.")
@schema_options
@connection_options
@debug_option
def call(
    target: str,
    method: str,
    connection: ConnectionOptions,
    schema: SchemaOptions,
    **options: Any,
) -> int:
    """Call METHOD (pkg.Service/Method) of the server at TARGET.

    The schema comes from the server's reflection, or from --proto or --protoset. A method that takes a stream reads
    requests from standard input if there is no -d: JSON values one after another, each sent when it is complete.

    \b
    puregrpc call -p localhost:50051 hello.HelloService/SayHello -d '{"greeting": "Bert"}'
    """
    registry = Registry()
    try:
        trio.run(partial(_main, target, method, connection, schema, CallOptions(**options), registry))
    except RpcError as error:
        # Details of types that only this schema knows are told with it.
        if wants_traceback():
            traceback.print_exc()
        describe_rpc_error(error, Codec(registry, emit_defaults=options["emit_defaults"]))
        return RPC_EXIT_STATUS + error.code
    return 0


async def _main(
    target: str,
    name: str,
    connection: ConnectionOptions,
    schema: SchemaOptions,
    options: CallOptions,
    registry: Registry,
) -> None:
    async with connection.open(target) as channel:
        method = await load_method(channel, name, schema, registry)
        if options.verbose:
            for key, value in connection.metadata():
                note(f"> {key}: {_shown(value)}")
        await make_call(channel, method, options, registry, schema.on_demand(channel, registry))


async def load_method(channel: Channel, name: str, schema: SchemaOptions, registry: Registry) -> MethodDescriptor:
    """The method of that name (``pkg.Service/Method`` or ``pkg.Service.Method``), its schema loaded if need be."""
    service, path = split_method(name)
    await schema.load(channel, registry, service)
    return registry.method(path)


async def make_call(
    channel: Channel,
    method: MethodDescriptor,
    options: CallOptions,
    registry: Registry,
    types: TypesOnDemand | None = None,
) -> None:
    """Make the call and print what it brings. ``types`` asks for those that messages turn out to need.

    Raises RpcError for a status other than OK.
    """
    printer = _Printer(registry, method, options, types)
    requests = _requests(printer.codec, method, options, types)
    first: list[bytes] = []
    if not method.is_client_stream:
        first = [await _only_request(requests, printer.codec, method)]
    tally = _Tally()
    printer.method()
    try:
        async with channel.call(method, timeout=options.timeout, compression=options.compression) as made:
            await _exchange(made, requests, first, printer, tally)
            await printer.learn_details(made.status.details)
            printer.end(made.status, made.trailers, tally)
    except RpcError as error:
        if tally.failures:
            raise tally.failures[0] from None
        await printer.learn_details(error.details_bin)
        printer.failed(error, tally)
        raise


async def _exchange(
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
        except Error as error:
            tally.failures.append(error)
            made.cancel()

    ended: BaseException | None = None
    made_of = printer.descriptor.output_type.full_name
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
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
        except BaseException as error:  # raised again below, where the nursery does not wrap it
            ended = error
        nursery.cancel_scope.cancel()
    if tally.failures:
        raise tally.failures[0]
    if ended is not None:
        raise ended


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
    codec: Codec, method: MethodDescriptor, options: CallOptions, types: TypesOnDemand | None
) -> AsyncIterator[bytes]:
    """The requests, encoded."""
    if options.data is None and not method.is_client_stream:
        return
    if options.data in (None, "@-") and sys.stdin is not None and sys.stdin.isatty():
        note("one JSON value after another; Ctrl-D ends the requests")
    async with contextlib.aclosing(read_requests(options.data)) as texts:
        number = 0
        async for text in texts:
            number += 1
            if types is not None and codec.may_hold_any(method.input_type):
                await types.learn(partial(codec.from_json, method.input_type, text))
            try:
                yield codec.from_json(method.input_type, text)
            except DecodeError as error:
                if not method.is_client_stream:
                    raise
                path = error.path.replace("request", f"request {number}", 1)
                raise DecodeError(path, error.problem) from None


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
            print_line(text_format.MessageToString(message).rstrip("\n"))
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
