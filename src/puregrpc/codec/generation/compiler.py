"""Encoders and decoders of message types, made on first use and kept.

A function refers to those of other types through its namespace. What is there at first is a stub that makes the
real function when it is first called and puts it in its own place: recursive types need no special care, and a type
that is never seen costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message

from puregrpc._locks import Lock
from puregrpc.codec.faults import Fault, shown
from puregrpc.codec.generation import message_set
from puregrpc.codec.generation.decode_source import SubDecoder, decoder_source, packed_reader
from puregrpc.codec.generation.encode_source import SubEncoder, encoder_source
from puregrpc.codec.generation.large_messages import LazyParts, large_decoder, large_encoder
from puregrpc.codec.generation.scalar_reader import shown_default
from puregrpc.codec.generation.shapes import Shape, ShapedField, shape_of, shown_elements, wire_type_of
from puregrpc.codec.generation.source import MAX_FIELDS, Source
from puregrpc.codec.options import UNKNOWN_FIELDS, Options
from puregrpc.codec.values.message_objects import serialized
from puregrpc.codec.well_known import json_forms
from puregrpc.codec.well_known.any_value import AnyValues
from puregrpc.codec.wire_format.tags_and_varints import skip, varint
from puregrpc.proto.descriptors import FieldDescriptor, FieldType, MessageDescriptor

if TYPE_CHECKING:
    from puregrpc.schema import Registry

__all__ = ["Compiler"]

ANY = "google.protobuf.Any"
SHOWN_BY_ANY = 100
"""As many elements as the message in an Any is taken to show: it may be of any type."""


class Compiler:
    """Makes and keeps the functions for one registry, at one version of it, and one set of options."""

    def __init__(self, registry: Registry, options: Options) -> None:
        self.registry = registry
        self.options = options
        self.version = registry.version
        self._lock = Lock()
        self._encoders: dict[MessageDescriptor, SubEncoder] = {}
        self._decoders: dict[MessageDescriptor, SubDecoder] = {}
        self._shapes: dict[MessageDescriptor, Shape] = {}
        self._safe_sizes: dict[MessageDescriptor, int] = {}
        self._with_any: dict[MessageDescriptor, bool] = {}
        self._counting: Compiler | None = None
        self._special_encoders: dict[str, SubEncoder] = {}
        self._special_decoders: dict[str, SubDecoder] = {}
        if options.well_known_types:
            any_values = AnyValues(self)
            self._special_encoders = json_forms.encoders(options)
            self._special_encoders[ANY] = any_values.encode
            self._special_decoders = json_forms.decoders(options)
            self._special_decoders[ANY] = any_values.decode

    def is_special(self, full_name: str) -> bool:
        """Whether a type has a form of its own in JSON; the value of an Any then stands under ``value``."""
        return full_name in self._special_decoders

    def shape(self, descriptor: MessageDescriptor) -> Shape:
        """The shape of a type; the lock is held."""
        shape = self._shapes.get(descriptor)
        if shape is None:
            shape = self._shapes[descriptor] = shape_of(descriptor, self.registry, self.options)
        return shape

    def encoder(self, descriptor: MessageDescriptor) -> SubEncoder:
        """The function (value, depth) -> bytes of a type."""
        made = self._encoders.get(descriptor)
        if made is None:
            with self._lock:
                made = self._encoders.get(descriptor) or self._make_encoder(descriptor)
                self._encoders[descriptor] = made
        return made

    def decoder(self, descriptor: MessageDescriptor) -> SubDecoder:
        """The function (data, position, end, depth) -> value of a type."""
        made = self._decoders.get(descriptor)
        if made is None:
            with self._lock:
                made = self._decoders.get(descriptor) or self._make_decoder(descriptor)
                self._decoders[descriptor] = made
        return made

    # ---- the limit on elements

    def safe_size(self, descriptor: MessageDescriptor) -> int:
        """Up to how many bytes a message cannot have too many elements: in larger ones they are counted."""
        size = self._safe_sizes.get(descriptor)
        if size is None:
            with self._lock:
                most = 1 + self._most_shown(descriptor)
            # Every message but the whole one takes two bytes at least.
            size = self._safe_sizes[descriptor] = max(2 * (self.options.max_elements // most - 1), 0)
        return size

    def _most_shown(self, descriptor: MessageDescriptor) -> int:
        """The most elements that a message shows when nothing is set, of all types that are reached from one."""
        most = 0
        for current in self._reached(descriptor):
            if current.full_name == ANY:
                most = max(most, SHOWN_BY_ANY)
            elif not self._is_leaf(current):
                most = max(most, shown_elements(self.shape(current).fields, self.options))
        return most

    def may_hold_any(self, descriptor: MessageDescriptor) -> bool:
        """Whether a google.protobuf.Any is among the types that are reached from one."""
        found = self._with_any.get(descriptor)
        if found is None:
            with self._lock:
                found = any(current.full_name == ANY for current in self._reached(descriptor))
            self._with_any[descriptor] = found
        return found

    def _is_leaf(self, descriptor: MessageDescriptor) -> bool:
        """Whether a type is shown without the fields that it has."""
        return descriptor.file is None or self.is_special(descriptor.full_name)

    def _reached(self, descriptor: MessageDescriptor) -> Iterator[MessageDescriptor]:
        """A type and all that its fields lead to, each once; the lock is held."""
        seen = {descriptor}
        pending = [descriptor]
        while pending:
            current = pending.pop()
            yield current
            if self._is_leaf(current):
                continue
            for field in self.shape(current).fields:
                inner = field.descriptor.message_type
                if inner is not None and inner not in seen:
                    seen.add(inner)
                    pending.append(inner)

    def counting_decoder(self, descriptor: MessageDescriptor) -> SubDecoder:
        """A decoder that counts elements, for bytes with a budget."""
        with self._lock:
            if self._counting is None:
                self._counting = Compiler(self.registry, replace(self.options, counts=True))
            return self._counting.decoder(descriptor)

    # ---- what is generated, to be read

    def encoder_sources(self, descriptor: MessageDescriptor) -> list[Source]:
        """What is generated for the encoder of a type: one function, or several for a large type."""
        with self._lock:
            parts = _parts(self.shape(descriptor))
            return [self._encoder_source(fields, part=len(parts) > 1) for fields in parts]

    def decoder_sources(self, descriptor: MessageDescriptor) -> list[Source]:
        """What is generated for the decoder of a type: one function, or several for a large type."""
        with self._lock:
            parts = _parts(self.shape(descriptor))
            return [self._decoder_source(fields, part=len(parts) > 1) for fields in parts]

    def _encoder_source(self, fields: Sequence[ShapedField], *, part: bool) -> Source:
        return encoder_source(fields, self.options, self._sub_encoder, part=part)

    def _decoder_source(self, fields: Sequence[ShapedField], *, part: bool) -> Source:
        return decoder_source(fields, self.options, self._sub_decoder, part=part)

    # ---- types that are referred to

    def _sub_encoder(self, source: Source, name: str, field: FieldDescriptor) -> SubEncoder:
        descriptor = field.message_type
        if descriptor is None:
            raise Fault(f"{field.full_name} has no message type")
        known = self._special_encoders.get(descriptor.full_name) or self._encoders.get(descriptor)
        if known is not None:
            return known

        def stub(value: Any, depth: int) -> bytes:
            made = source.namespace[name] = self.encoder(descriptor)
            return made(value, depth)

        return stub

    def _sub_decoder(self, source: Source, name: str, field: FieldDescriptor) -> SubDecoder:
        descriptor = field.message_type
        if descriptor is None:
            raise Fault(f"{field.full_name} has no message type")
        known = self._special_decoders.get(descriptor.full_name) or self._decoders.get(descriptor)
        if known is not None:
            return known

        def stub(data: bytes, position: int, end: int, depth: int) -> Any:
            made = source.namespace[name] = self.decoder(descriptor)
            return made(data, position, end, depth)

        return stub

    # ---- encoders

    def _make_encoder(self, descriptor: MessageDescriptor) -> SubEncoder:
        special = self._special_encoders.get(descriptor.full_name)
        if special is not None:
            return special
        if descriptor.file is None:
            return _missing_encoder(descriptor)
        shape = self.shape(descriptor)
        prepared = _preparation(descriptor)
        if descriptor.is_message_set:
            return message_set.encoder(shape, prepared, self._extension_encoders(shape), self.options)
        renamed = _renaming(shape, self.options)
        parts = _parts(shape)
        if len(parts) > 1:
            made = LazyParts(parts, self._lock, lambda fields: self._encoder_source(fields, part=True))
            return large_encoder(shape, made, prepared, renamed, self.options)
        source = self._encoder_source(shape.fields, part=False)
        namespace = source.namespace
        namespace["prepared"] = prepared

        def renamed_here(value: dict[Any, Any]) -> dict[str, Any]:
            namespace["ALIASED"] = True
            return renamed(value)

        namespace["renamed"] = renamed_here
        return source.function()

    def _extension_encoders(self, shape: Shape) -> dict[str, SubEncoder]:
        return {
            field.key: self._late(field.descriptor.message_type, self.encoder)
            for field in shape.fields
            if field.descriptor.message_type is not None
        }

    def _extension_decoders(self, shape: Shape) -> dict[str, SubDecoder]:
        return {
            field.key: self._late(field.descriptor.message_type, self.decoder)
            for field in shape.fields
            if field.descriptor.message_type is not None
        }

    @staticmethod
    def _late(descriptor: MessageDescriptor | None, make: Callable[[MessageDescriptor], Callable[..., Any]]) -> Any:
        def call(*arguments: Any) -> Any:
            return make(descriptor)(*arguments) if descriptor is not None else None

        return call

    # ---- decoders

    def _make_decoder(self, descriptor: MessageDescriptor) -> SubDecoder:
        special = self._special_decoders.get(descriptor.full_name)
        if special is not None:
            return special
        if descriptor.file is None:
            return _missing_decoder(descriptor)
        shape = self.shape(descriptor)
        if descriptor.is_message_set:
            return message_set.decoder(shape, self._extension_decoders(shape), self.options)
        template = _template(shape, self.options)
        other = _other(shape, self.options)
        parts = _parts(shape)
        if len(parts) > 1:
            made = LazyParts(parts, self._lock, lambda fields: self._decoder_source(fields, part=True))
            return large_decoder(shape, made, template, other, self.decoder, self.options)
        source = self._decoder_source(shape.fields, part=False)
        source.namespace.update(NEW=template, other=other)
        return source.function()


def _parts(shape: Shape) -> list[Sequence[ShapedField]]:
    fields = shape.fields
    return [fields[start : start + MAX_FIELDS] for start in range(0, len(fields), MAX_FIELDS)] or [()]


def _missing(descriptor: MessageDescriptor) -> Fault:
    why = descriptor.absence or "the file that declares it was not loaded"
    return Fault(f"the type {descriptor.full_name} is not in the schema: {why}")


def _missing_encoder(descriptor: MessageDescriptor) -> SubEncoder:
    def encode(_value: Any, _depth: int) -> bytes:
        raise _missing(descriptor)

    return encode


def _missing_decoder(descriptor: MessageDescriptor) -> SubDecoder:
    def decode(_data: bytes, _position: int, _end: int, _depth: int) -> dict[str, Any]:
        raise _missing(descriptor)

    return decode


def _template(shape: Shape, options: Options) -> dict[str, Any]:
    """The dict a decoder starts from."""
    template = dict(shape.template)
    for field in shape.fields:
        descriptor = field.descriptor
        if field.key in template and not descriptor.is_repeated and not descriptor.has_presence:
            template[field.key] = shown_default(descriptor, options)
    return template


def _preparation(descriptor: MessageDescriptor) -> Callable[[Any], Any]:
    """Makes a dict of what is not one; a message object becomes bytes."""

    def prepared(value: Any) -> Any:
        if isinstance(value, Message):
            return serialized(value, descriptor.full_name)
        if isinstance(value, Mapping):
            return dict(value)
        raise Fault(f"object expected for {descriptor.full_name}, not {shown(value)}")

    return prepared


def _renaming(shape: Shape, options: Options) -> Callable[[dict[Any, Any]], dict[str, Any]]:
    """Puts the keys in place of other names of fields; refuses or drops what is none."""
    aliases = shape.aliases
    keeps_unknown = options.unknown_fields == "keep"

    def renamed(value: dict[Any, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, item in value.items():
            key = aliases.get(name)
            if key is None:
                if keeps_unknown and name == UNKNOWN_FIELDS:
                    result[name] = item
                    continue
                if options.ignore_unknown_names:
                    continue
                raise Fault(f"no field {shown(name)} in {shape.descriptor.full_name}{_near(name, aliases)}")
            if key in result:
                raise Fault(f"the field {shown(key)} is there twice, by both of its names")
            result[key] = item
        return result

    return renamed


def _near(name: object, aliases: Mapping[str, str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(str(name)[:100], list(aliases)[:1000], n=1) if isinstance(name, str) else []
    return f"; did you mean {shown(near[0])}?" if near else ""


def _other(shape: Shape, options: Options) -> Callable[..., int]:
    """Handles the tags that no generated branch does: lists in their other encoding, and unknown fields."""
    lists: dict[int, ShapedField] = {}
    readers: dict[int, Callable[..., int]] = {}
    for field in shape.fields:
        descriptor = field.descriptor
        if descriptor.is_repeated and descriptor.type not in (FieldType.STRING, FieldType.BYTES, FieldType.MESSAGE):
            wire_type = wire_type_of(descriptor) if descriptor.is_packed else 2
            lists[descriptor.number << 3 | wire_type] = field

    def other(
        data: bytes,
        position: int,
        stop: int,
        end: int,
        tag: int,
        depth: int,
        message: dict[str, Any],
        unknown: bytearray | None,
    ) -> int:
        """A value that begins at ``position``; where it has a length, that is after it, and ``stop`` is its end."""
        if tag in lists:
            reader = readers.get(tag)
            if reader is None:
                reader = readers[tag] = packed_reader(lists[tag], options, one=lists[tag].descriptor.is_packed)
            return reader(data, position, stop, end, message, unknown)
        is_delimited = tag & 7 == 2
        if is_delimited and tag < 8:
            raise Fault("a field with the number 0")
        after = stop if is_delimited else skip(data, position, end, tag, depth)
        if unknown is not None:
            unknown += varint(tag)
            if is_delimited:
                unknown += varint(stop - position)
            unknown += data[position:after]
        elif options.unknown_fields == "refuse":
            raise Fault(f"unknown field with the number {tag >> 3}")
        return after

    return other
