"""google.protobuf.Any: a message with the name of its type, shown with its fields (any.proto; ProtoJSON, "Any")."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from typing import Any, Protocol

from google.protobuf.message import Message

from puregrpc.codec.faults import FAULTS, Fault, TooDeep, inside, shown
from puregrpc.codec.options import Options
from puregrpc.codec.values.message_objects import full_name_of, serialized
from puregrpc.codec.values.scalars import bytes_of
from puregrpc.codec.well_known.json_forms import Decoder, Encoder
from puregrpc.codec.wire_format.tags_and_varints import read_fields, varint
from puregrpc.proto.descriptors import MessageDescriptor
from puregrpc.schema import Registry

__all__ = ["AnyValues", "shown_raw", "type_and_value"]

_TYPE = "@type"
_RAW = "@value"
_ERROR = "@error"
_RAW_KEYS = {_TYPE, _RAW, _ERROR}
"""What stands for an Any whose type is not known; encoding takes it back, and takes it for types that are known."""


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
        return self._functions.registry.find_type_in_any(url)

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
        if _RAW in value and value.keys() <= _RAW_KEYS:
            return _any(url, bytes_of(value[_RAW]))
        descriptor = self._resolve(url)
        if descriptor is None:
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
            raise inside(error, ".value") from None

    def decode(self, data: bytes, position: int, end: int, depth: int) -> dict[str, Any]:
        """The fields of the message with its type first; for a type that is not known, its bytes under ``@value``."""
        if depth < 0:
            raise TooDeep
        url, start, stop = _parts(data, position, end, depth)
        if not url:
            if start == stop:
                return {}
            raise Fault("a google.protobuf.Any with a value and without a type")
        descriptor = self._resolve(url)
        if descriptor is None:
            return shown_raw(url, data[start:stop], is_native=self._functions.options.is_native)
        value = self._functions.decoder(descriptor)(data, start, stop, depth - 1)
        if self._functions.is_special(descriptor.full_name):
            return {_TYPE: url, "value": value}
        shown = {_TYPE: url, **value}
        shown[_TYPE] = url  # whatever the JSON names of its fields
        return shown


def _parts(data: bytes, position: int, end: int, depth: int) -> tuple[str, int, int]:
    """The type of an Any, and where its value is."""
    url, start, stop = "", 0, 0
    for tag, begin, after in read_fields(data, position, end, depth):
        if tag == 10:
            url = data[begin:after].decode()
        elif tag == 18:
            start, stop = begin, after
    return url, start, stop


def type_and_value(data: bytes) -> tuple[str, bytes]:
    """What an Any holds, as it stands there; all of it without a type if it is none."""
    try:
        url, start, stop = _parts(data, 0, len(data), 0)
    except FAULTS:
        return "", data
    return url, data[start:stop]


def shown_raw(url: str, body: bytes, *, is_native: bool = False, problem: str = "") -> dict[str, Any]:
    """How an Any is shown whose value cannot be: with its bytes, and with the reason if it is not the type alone."""
    value = body if is_native else str(b2a_base64(body, newline=False), "ascii")
    return {_TYPE: url, **({_ERROR: problem} if problem else {}), _RAW: value}


def _any(url: str, body: bytes) -> bytes:
    name = url.encode()
    head = b"\x0a" + varint(len(name)) + name
    return head + b"\x12" + varint(len(body)) + body if body else head
