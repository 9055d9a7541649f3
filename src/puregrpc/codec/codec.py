"""The codec of one registry: encoders and decoders by message type."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import EncodeError as ProtobufEncodeError
from google.protobuf.message import Message

from puregrpc.errors import DecodeError, EncodeError
from puregrpc.proto.descriptors import MessageDescriptor
from puregrpc.schema import Registry

__all__ = ["Codec"]

Encoder = Callable[[Mapping[str, Any] | Message], bytes]
Decoder = Callable[[bytes], dict[str, Any]]


class Codec:
    """Turns dicts and message objects into bytes and bytes into dicts, by the rules of ProtoJSON.

    Decoded dicts have lowerCamelCase names and every field that has a default; message fields that are not set
    are None.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def encoder(self, descriptor: MessageDescriptor) -> Callable[[Mapping[str, Any] | Message], bytes]:
        """A function that encodes values of one message type; it raises EncodeError."""
        message_class = self._registry.message_class(descriptor)

        def encode(value: Mapping[str, Any] | Message) -> bytes:
            try:
                if isinstance(value, Message):
                    return value.SerializeToString()
                return json_format.ParseDict(dict(value), message_class()).SerializeToString()
            except (json_format.ParseError, ProtobufEncodeError, TypeError, ValueError) as error:
                raise EncodeError("request", str(error)) from None

        return encode

    def decoder(self, descriptor: MessageDescriptor) -> Callable[[bytes], dict[str, Any]]:
        """A function that decodes bytes of one message type; it raises DecodeError."""
        message_class = self._registry.message_class(descriptor)

        def decode(data: bytes) -> dict[str, Any]:
            try:
                message = message_class.FromString(data)
                shown: dict[str, Any] = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
            except (json_format.Error, ProtobufDecodeError, TypeError, ValueError) as error:
                raise DecodeError("", str(error)) from None
            for field in descriptor.fields:
                if field.message_type and not field.is_repeated and not field.containing_oneof:
                    shown.setdefault(field.json_name, None)
            return shown

        return decode

    def encode(self, descriptor: MessageDescriptor, value: Mapping[str, Any] | Message) -> bytes:
        """``value`` as bytes of a message type. Raises EncodeError with the path of what does not fit."""
        return self.encoder(descriptor)(value)

    def decode(self, descriptor: MessageDescriptor, data: bytes) -> dict[str, Any]:
        """The message in ``data`` as a dict. Raises DecodeError."""
        return self.decoder(descriptor)(data)

    def default(self, descriptor: MessageDescriptor) -> dict[str, Any]:
        """A message with nothing set, as ``decode`` shows it."""
        return self.decode(descriptor, b"")

    def to_json(self, descriptor: MessageDescriptor, data: bytes) -> str:
        """The message in ``data`` as JSON text. Raises DecodeError."""
        return json.dumps(self.decode(descriptor, data), ensure_ascii=False)

    def from_json(self, descriptor: MessageDescriptor, text: str) -> bytes:
        """JSON text as bytes of a message type. Raises DecodeError."""
        try:
            return self.encode(descriptor, json.loads(text))
        except (ValueError, RecursionError) as error:
            raise DecodeError("", str(error)) from None
