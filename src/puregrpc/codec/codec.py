"""The codec of one registry: encoders and decoders by message type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import Message

from puregrpc._locks import Lock
from puregrpc.codec import json_text
from puregrpc.codec.faults import FAULTS, Fault, told
from puregrpc.codec.generation.compiler import Compiler
from puregrpc.codec.options import MAX_ELEMENTS, Options
from puregrpc.codec.wire_format.content import Budget, with_budget
from puregrpc.errors import DecodeError, EncodeError, SchemaError
from puregrpc.proto.descriptors import MessageDescriptor
from puregrpc.schema import Registry

__all__ = ["Codec"]

Encoder = Callable[[Any], bytes]
Decoder = Callable[["bytes | bytearray | memoryview"], Any]

_UNCOUNTED = 64
"""In messages of a byte for so many elements of the limit (16 KiB by default) elements are never counted."""
_TOO_DEEP = "nested too deep for the stack that is left"


class Codec:
    """Turns dicts and message objects into bytes and bytes into dicts, by the rules of ProtoJSON.

    Encoding takes both names of a field, numbers or their text, enum names or numbers, base64 text or bytes, and
    google.protobuf message objects, at the top and inside. Functions are generated for each message type on first
    use and kept. A codec may be used from several threads at once.

    Args:
        registry: where types, extensions and the contents of Any are looked up. It may grow.
        values: ``json`` shows what JSON would hold: 64-bit integers as text, bytes as base64, Timestamp, Duration
            and FieldMask as text, NaN and infinities by name. ``native`` shows Python's own: int, bytes, datetime
            (UTC) and timedelta (both cut to microseconds), float.
        field_names: ``json`` for lowerCamelCase or what json_name says; ``original`` for the names in the source.
        enum_numbers: show enums by number; otherwise by name, and by number where there is no name.
        emit_defaults: show fields that are not set: with their default, message fields and others with presence
            as None. Fields of a oneof, proto3 ``optional`` fields and extensions are shown only when they are set.
        unknown_fields: what decoding does with fields that are not in the schema: ``drop`` them, ``keep`` them
            under the key ``codec.UNKNOWN_FIELDS`` (bytes or base64, and encoding writes them back), or ``refuse``.
        ignore_unknown_names: pass over names that are not fields when encoding; otherwise they are an error.
        well_known_types: the forms that ProtoJSON gives Timestamp, Any, Struct and the others; without it they
            are messages like all others.
        max_depth: how deep messages may be nested, both ways. Entries of maps count as messages.
        max_elements: how much decoding makes of one message at most, so that few bytes cannot take much memory (4 MiB
            may hold two million empty messages, each of which is a dict). Every element of a list and entry of a map
            counts, except numbers in lists that are shown as numbers; so does every empty list or map that a message
            shows, and other fields that it shows without being set count as a quarter.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        values: Literal["json", "native"] = "json",
        field_names: Literal["json", "original"] = "json",
        enum_numbers: bool = False,
        emit_defaults: bool = True,
        unknown_fields: Literal["drop", "keep", "refuse"] = "drop",
        ignore_unknown_names: bool = False,
        well_known_types: bool = True,
        max_depth: int = 100,
        max_elements: int = MAX_ELEMENTS,
    ) -> None:
        self._registry = registry
        self._options = Options(
            values=values,
            field_names=field_names,
            enum_numbers=enum_numbers,
            emit_defaults=emit_defaults,
            unknown_fields=unknown_fields,
            ignore_unknown_names=ignore_unknown_names,
            well_known_types=well_known_types,
            max_depth=max_depth,
            max_elements=max_elements,
        )
        self._lock = Lock()
        self._current = Compiler(registry, self._options)
        self._json_options = replace(self._options, values="json", well_known_types=True)
        self._current_json: Compiler | None = self._current if self._json_options == self._options else None

    @property
    def max_depth(self) -> int:
        """How deep messages may be nested."""
        return self._options.max_depth

    @property
    def any_type(self) -> MessageDescriptor:
        """google.protobuf.Any, whether or not a file of the registry imports it."""
        return self._registry.type_in_any("google.protobuf.Any")

    def may_hold_any(self, descriptor: MessageDescriptor) -> bool:
        """Whether there is a google.protobuf.Any among the types that are reached from one."""
        return self._compiler().may_hold_any(descriptor)

    def encoder(self, descriptor: MessageDescriptor, *, root: str = "request") -> Encoder:
        """A function that encodes values of one message type.

        It raises EncodeError for a value that does not fit, with its path, which begins with ``root``. Extensions
        that are added to the registry later are not known to it.
        """
        encode = self._compiler().encoder(descriptor)
        max_depth = self._options.max_depth

        def encode_message(value: Mapping[str, Any] | Message) -> bytes:
            try:
                return encode(value, max_depth)
            except FAULTS as error:
                path, problem = told(error)
            except RecursionError:
                path, problem = "", _TOO_DEEP
            raise EncodeError(root + path, problem)

        return encode_message

    def decoder(self, descriptor: MessageDescriptor, *, root: str = "message") -> Decoder:
        """A function that decodes bytes of one message type to a dict (to what stands for it, for well-known types).

        It raises DecodeError, with a path that begins with ``root``, for bytes that are not valid, and for messages
        that are nested too deep or have too many elements.
        """
        return self._decoder(self._compiler(), descriptor, root)

    def _decoder(self, compiler: Compiler, descriptor: MessageDescriptor, root: str) -> Decoder:
        decode = compiler.decoder(descriptor)
        max_depth = self._options.max_depth
        max_elements = self._options.max_elements
        plain_size = max_elements // _UNCOUNTED

        def decode_message(data: bytes | bytearray | memoryview) -> Any:
            nonlocal plain_size
            whole = data if type(data) is bytes else bytes(data)
            size = len(whole)
            try:
                if size > plain_size:
                    plain_size = compiler.safe_size(descriptor)
                    if size > plain_size:
                        counting = compiler.counting_decoder(descriptor)
                        return counting(with_budget(whole, Budget(max_elements)), 0, size, max_depth)
                return decode(whole, 0, size, max_depth)
            except FAULTS as error:
                path, problem = told(error)
            except RecursionError:
                path, problem = "", _TOO_DEEP
            raise DecodeError(root + path, problem)

        return decode_message

    def encode(self, descriptor: MessageDescriptor, value: Mapping[str, Any] | Message) -> bytes:
        """``value`` as bytes of a message type; see ``encoder``."""
        return self.encoder(descriptor)(value)

    def decode(self, descriptor: MessageDescriptor, data: bytes | bytearray | memoryview) -> Any:
        """The message in ``data``; see ``decoder``."""
        return self.decoder(descriptor)(data)

    def default(self, descriptor: MessageDescriptor) -> Any:
        """A message with nothing set, as ``decode`` shows it."""
        return self.decode(descriptor, b"")

    def to_json(self, descriptor: MessageDescriptor, data: bytes) -> str:
        """The message in ``data`` as JSON text on one line. Raises DecodeError."""
        value = self._decoder(self._json_compiler(), descriptor, "message")(data)
        try:
            return json_text.render(value)
        except Fault as fault:
            raise DecodeError("message", fault.problem) from None

    def from_json(self, descriptor: MessageDescriptor, text: str | bytes) -> bytes:
        """JSON text as bytes of a message type.

        Raises DecodeError if it is not JSON, has a name twice in one object, or does not fit the type.
        """
        try:
            value = json_text.parse(text)
            return self._json_compiler().encoder(descriptor)(value, self._options.max_depth)
        except FAULTS as error:
            path, problem = told(error)
        except RecursionError:
            path, problem = "", _TOO_DEEP
        raise DecodeError("request" + path, problem)

    def to_message(
        self, descriptor: MessageDescriptor, data: bytes, message_class: type[Message] | None = None
    ) -> Message:
        """The message in ``data`` as a google.protobuf object: of ``message_class``, or of a class made for the type.

        Raises DecodeError, and SchemaError if google.protobuf has no objects of the type.
        """
        return self.message_decoder(descriptor, message_class)(data)

    def message_decoder(
        self, descriptor: MessageDescriptor, message_class: type[Message] | None = None
    ) -> Callable[[bytes], Message]:
        """A function that makes google.protobuf objects of one message type; see ``to_message``."""
        from_string = (message_class or self._registry.message_class(descriptor)).FromString

        def decode_object(data: bytes) -> Message:
            try:
                return from_string(data)
            except (ProtobufDecodeError, RecursionError, ValueError) as error:
                raise DecodeError("message", str(error)) from None
            except (AttributeError, TypeError) as error:
                # The pure backend cannot have fields that are called like its own attributes, as in "_fields".
                raise SchemaError(f"google.protobuf cannot make a {descriptor.full_name}: {error}") from None

        return decode_object

    def generated_source(self, descriptor: MessageDescriptor, direction: Literal["encode", "decode"]) -> str:
        """The Python source of an encoder or decoder, for reading: with the constants it uses and the fields' names.

        Types that are encoded by hand-written functions (Timestamp, Struct, Any, ...) give an empty text.
        """
        compiler = self._compiler()
        if compiler.is_special(descriptor.full_name):
            return ""
        sources = (
            compiler.encoder_sources(descriptor) if direction == "encode" else compiler.decoder_sources(descriptor)
        )
        return "\n\n".join(source.listing() for source in sources)

    def _compiler(self) -> Compiler:
        """The compiler for the registry as it is now: what was generated before may not know new extensions."""
        current = self._current
        if current.version == self._registry.version:
            return current
        with self._lock:
            if self._current.version != self._registry.version:
                self._current = Compiler(self._registry, self._options)
                self._current_json = None
            return self._current

    def _json_compiler(self) -> Compiler:
        current = self._compiler()
        if self._json_options == self._options:
            return current
        with self._lock:
            if self._current_json is None or self._current_json.version != current.version:
                self._current_json = Compiler(self._registry, self._json_options)
            return self._current_json
