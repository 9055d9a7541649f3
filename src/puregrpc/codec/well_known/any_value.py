"""google.protobuf.Any: a message with the name of its type, shown with its fields (any.proto; ProtoJSON, "Any")."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from typing import Any, Protocol

from google.protobuf.message import Message

from puregrpc.codec.faults import FAULTS, Fault, TooDeep, fault_of, shown
from puregrpc.codec.options import Options
from puregrpc.codec.values.message_objects import full_name_of, serialized
from puregrpc.codec.values.scalars import native_bytes_of
from puregrpc.codec.well_known.json_forms import Decoder, Encoder
from puregrpc.codec.wire_format.tags_and_varints import read_fields, varint
from puregrpc.errors import SchemaError
from puregrpc.proto.descriptors import MessageDescriptor
from puregrpc.schema import Registry

__all__ = ["AnyValues"]

_TYPE = "@type"


class Functions(Protocol):
    """Where the functions of the type inside an Any come from: the compiler."""

    registry: Registry
    options: Options

    def is_special(self, full_name: str) -> bool:
        """Whether a type has a form of its own in JSON: the value in an Any then stands under ``value``."""

    def encoder(self, descriptor: MessageDescriptor) -> Encoder:
        """The function (value, depth) -> bytes of a type."""

    def decoder(self, descriptor: MessageDescriptor) -> Decoder:
        """The function (data, position, end, depth) -> value of a type."""


class AnyValues:
    """Encodes and decodes Any with the types that a registry knows."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    def _resolve(self, url: str) -> MessageDescriptor | None:
        try:
            return self._functions.registry.message_or_well_known(url.rpartition("/")[2])
        except SchemaError:
            return None

    def encode(self, value: Any, depth: int) -> bytes:
        """An Any from a dict with ``@type``, or a message object: an Any itself, or one that is put in an Any."""
        if depth < 0:
            raise TooDeep
        if isinstance(value, Message):
            full_name = full_name_of(value)
            body = serialized(value, full_name)
            return body if full_name == "google.protobuf.Any" else _any(f"type.googleapis.com/{full_name}", body)
        if not isinstance(value, Mapping):
            raise Fault(f"object with {_TYPE} expected for google.protobuf.Any, not {shown(value)}")
        if not value:
            return b""
        url = value.get(_TYPE)
        if not isinstance(url, str):
            raise Fault(f'missing "{_TYPE}"' if url is None else f'"{_TYPE}" is not a string: {shown(url)}')
        if not url:
            raise Fault(f'"{_TYPE}" is empty')
        descriptor = self._resolve(url)
        if descriptor is None:
            given = value.get("value")
            if len(value) == 2 and isinstance(given, (bytes, bytearray, memoryview)):
                return _any(url, native_bytes_of(given))  # as native values show what is not known
            raise Fault(f"unable to resolve {shown(url)}: the type is not in the schema")
        fields = {name: item for name, item in value.items() if name != _TYPE}
        encode = self._functions.encoder(descriptor)
        if not self._functions.is_special(descriptor.full_name):
            # google.protobuf.Empty has no fields, but is written under "value" by some.
            if descriptor.full_name == "google.protobuf.Empty" and fields == {"value": {}}:
                fields = {}
            return _any(url, encode(fields, depth - 1))
        if fields.keys() != {"value"}:
            extra = next((name for name in fields if name != "value"), None)
            raise Fault('missing "value"' if "value" not in fields else f"no field {shown(extra)} beside value")
        try:
            return _any(url, encode(fields["value"], depth - 1))
        except FAULTS as error:
            fault = fault_of(error)
            fault.path = f".value{fault.path}"
            raise fault from None

    def decode(self, data: bytes, position: int, end: int, depth: int) -> dict[str, Any]:
        """The fields of the message with its type first; for a type that is not known, its bytes under ``value``."""
        if depth < 0:
            raise TooDeep
        url = ""
        span = (0, 0)
        for tag, start, stop in read_fields(data, position, end, depth):
            if tag == 10:
                url = data[start:stop].decode()
            elif tag == 18:
                span = (start, stop)
        if not url:
            if span[0] == span[1]:
                return {}
            raise Fault("a google.protobuf.Any with a value and without a type")
        descriptor = self._resolve(url)
        if descriptor is None:
            body = data[span[0] : span[1]]
            native = self._functions.options.is_native
            return {_TYPE: url, "value": body if native else str(b2a_base64(body, newline=False), "ascii")}
        value = self._functions.decoder(descriptor)(data, span[0], span[1], depth - 1)
        if self._functions.is_special(descriptor.full_name):
            return {_TYPE: url, "value": value}
        return {_TYPE: url, **value}


def _any(url: str, body: bytes) -> bytes:
    name = url.encode()
    head = b"\x0a" + varint(len(name)) + name
    return head + b"\x12" + varint(len(body)) + body if body else head
