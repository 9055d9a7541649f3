"""What connectconformance and the programs under test say to each other: length-prefixed protobuf on stdin and stdout.

The schema (connectrpc.conformance.v1) comes from the Go module of the test runner; CONNECT_PROTOS names its folder.
"""

from __future__ import annotations

import base64
import os
import struct
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO

from puregrpc.codec import Codec
from puregrpc.proto import compile as compile_protos
from puregrpc.schema import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from puregrpc.proto.descriptors import MessageDescriptor

PACKAGE = "connectrpc.conformance.v1"
FILES = ("client_compat.proto", "server_compat.proto", "service.proto", "config.proto")


@cache
def registry() -> Registry:
    made = Registry()
    files = [f"connectrpc/conformance/v1/{name}" for name in FILES]
    for file in compile_protos(files, import_paths=[os.environ["CONNECT_PROTOS"]]):
        made.add_file(file)
    return made


@cache
def codec() -> Codec:
    return Codec(registry())


def descriptor(name: str) -> MessageDescriptor:
    return registry().message(f"{PACKAGE}.{name}")


@cache
def message_class(name: str) -> Any:
    return registry().message_class(descriptor(name))


def read_message(stream: BinaryIO, name: str) -> Any | None:
    """The next message, or None at the end of the stream."""
    prefix = stream.read(4)
    if len(prefix) < 4:
        return None
    (size,) = struct.unpack(">I", prefix)
    return message_class(name).FromString(stream.read(size))


def write_message(stream: BinaryIO, message: Any) -> None:
    data = message.SerializeToString()
    stream.write(struct.pack(">I", len(data)) + data)
    stream.flush()


def to_headers(metadata: Iterable[tuple[str, str | bytes]]) -> list[Any]:
    """Metadata as repeated Header: the values of one name together, binary ones in base64."""
    values: dict[str, list[str]] = {}
    for name, value in metadata:
        text = base64.b64encode(value).decode().rstrip("=") if isinstance(value, bytes) else value
        values.setdefault(name, []).append(text)
    return [message_class("Header")(name=name, value=found) for name, found in values.items()]


def to_metadata(headers: Iterable[Any]) -> tuple[tuple[str, str | bytes], ...]:
    """Repeated Header as metadata."""
    made: list[tuple[str, str | bytes]] = []
    for header in headers:
        name = header.name.lower()
        for value in header.value:
            binary = name.endswith("-bin")
            made.append((name, base64.b64decode(value + "=" * (-len(value) % 4)) if binary else value))
    return tuple(made)


def to_error(code: int, message: str, details: bytes | None) -> Any:
    """A status as the runner's Error; the details are those of the google.rpc.Status in ``details``."""
    made = message_class("Error")(code=code, message=message)
    if details is not None:
        status = codec_status().FromString(details)
        for detail in status.details:
            made.details.add(type_url=detail.type_url, value=detail.value)
    return made


@cache
def codec_status() -> Any:
    """google.rpc.Status."""
    from google.rpc import status_pb2

    return status_pb2.Status
