"""FileDescriptorProto, serialized: from the syntax tree, the resolved names and the interpreted options.

Fields stand in the order of their numbers, and what is written where follows protoc's --descriptor_set_out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.proto.descriptors import (
    FieldDescriptor,
    FieldType,
    FileDescriptor,
    MessageDescriptor,
    ServiceDescriptor,
)
from puregrpc.proto.find.import_paths import encode_path
from puregrpc.proto.parse import ast
from puregrpc.proto.parse.ast import Node
from puregrpc.proto.parse.literals import format_double, format_float
from puregrpc.proto.wire_values import length_delimited, tag, varint

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["serialize_file"]

LABEL = {label: tag(4, 0) + varint(label) for label in (1, 2, 3)}
TYPE = {int(kind): tag(5, 0) + varint(kind) for kind in FieldType}


def serialize_file(
    tree: ast.File, descriptor: FileDescriptor, options: Mapping[Node, bytes | None], source_info: bytes = b""
) -> bytes:
    """The serialized FileDescriptorProto.

    ``options`` has the serialized options of each element that has some; None where nothing is left of them.
    """
    return _Writer(options).file(tree, descriptor, source_info)


def _text(number: int, value: str) -> bytes:
    raw = value.encode("latin-1")
    return varint(number << 3 | 2) + varint(len(raw)) + raw


class _Writer:
    def __init__(self, options: Mapping[Node, bytes | None]) -> None:
        self.options = options

    def file(self, tree: ast.File, descriptor: FileDescriptor, source_info: bytes) -> bytes:
        imports = [imported for imported in tree.imports if imported.modifier != "option"]
        parts = [length_delimited(1, encode_path(tree.name))]
        if tree.package:
            parts.append(_text(2, tree.package))
        parts += [length_delimited(3, encode_path(imported.path)) for imported in imports]
        parts += [
            length_delimited(4, self.message(message, message_descriptor))
            for message, message_descriptor in zip(tree.messages, descriptor.messages, strict=True)
        ]
        parts += [length_delimited(5, self.enum(enum)) for enum in tree.enums]
        parts += [
            length_delimited(6, self.service(service, service_descriptor))
            for service, service_descriptor in zip(tree.services, descriptor.services, strict=True)
        ]
        parts += [
            length_delimited(7, self.field(extension, extension_descriptor))
            for extension, extension_descriptor in zip(tree.extensions, descriptor.extensions, strict=True)
        ]
        parts.append(self.element_options(8, tree, is_present=False))
        if source_info:
            parts.append(length_delimited(9, source_info))
        for number, modifier in ((10, "public"), (11, "weak")):
            parts += [
                tag(number, 0) + varint(index)
                for index, imported in enumerate(imports)
                if imported.modifier == modifier
            ]
        if tree.syntax in ("proto3", "editions"):
            parts.append(_text(12, tree.syntax))
        if tree.syntax == "editions":
            parts.append(tag(14, 0) + varint(tree.edition))
        parts += [
            length_delimited(15, encode_path(imported.path))
            for imported in tree.imports
            if imported.modifier == "option"
        ]
        return b"".join(parts)

    def element_options(self, number: int, node: Node, *, is_present: bool) -> bytes:
        """The options field of an element; an empty one where braces stand without an option in them."""
        if node in self.options:
            options = self.options[node]
            return b"" if options is None else length_delimited(number, options)
        return length_delimited(number, b"") if is_present else b""

    def message(self, message: ast.Message, descriptor: MessageDescriptor) -> bytes:
        parts = [_text(1, message.name)]
        parts += [
            length_delimited(2, self.field(field, field_descriptor))
            for field, field_descriptor in zip(message.fields, descriptor.fields, strict=True)
        ]
        parts += [
            length_delimited(3, self.message(nested, nested_descriptor))
            for nested, nested_descriptor in zip(message.messages, descriptor.nested_types, strict=True)
        ]
        parts += [length_delimited(4, self.enum(enum)) for enum in message.enums]
        for extension_range in message.extension_ranges:
            body = tag(1, 0) + varint(extension_range.start) + tag(2, 0) + varint(extension_range.end)
            parts.append(length_delimited(5, body + self.element_options(3, extension_range, is_present=False)))
        parts += [
            length_delimited(6, self.field(extension, extension_descriptor))
            for extension, extension_descriptor in zip(message.extensions, descriptor.extensions, strict=True)
        ]
        if message.is_map_entry and message not in self.options:
            parts.append(length_delimited(7, tag(7, 0) + b"\x01"))
        else:
            parts.append(self.element_options(7, message, is_present=False))
        parts += [
            length_delimited(8, _text(1, oneof.name) + self.element_options(2, oneof, is_present=False))
            for oneof in message.oneofs
        ]
        parts += [_range(9, start, end) for start, end in message.reserved_ranges]
        parts += [_text(10, name) for name in message.reserved_names]
        if message.visibility:
            parts.append(tag(11, 0) + varint(message.visibility))
        return b"".join(parts)

    def field(self, field: ast.Field, descriptor: FieldDescriptor) -> bytes:
        parts = [_text(1, field.name)]
        if field.extendee:
            extendee = descriptor.containing_type
            parts.append(_text(2, f".{extendee.full_name}" if extendee else field.extendee))
        parts.append(tag(3, 0) + varint(field.number) + LABEL[field.label])
        named = descriptor.message_type or descriptor.enum_type
        parts.append(TYPE[field.type or descriptor.type])
        if named is not None:
            parts.append(_text(6, f".{named.full_name}"))
        if field.default is not None:
            parts.append(_text(7, _default_text(field)))
        parts.append(self.element_options(8, field, is_present=False))
        if field.oneof_index >= 0:
            parts.append(tag(9, 0) + varint(field.oneof_index))
        if field.json_name is not None:
            parts.append(_text(10, field.json_name))
        else:
            parts.append(_text(10, descriptor.json_name))
        if field.is_proto3_optional:
            parts.append(b"\x88\x01\x01")
        return b"".join(parts)

    def enum(self, enum: ast.Enum) -> bytes:
        parts = [_text(1, enum.name)]
        for value in enum.values:
            body = _text(1, value.name) + b"\x10" + varint(value.number)
            if value in self.options:
                body += self.element_options(3, value, is_present=False)
            parts.append(length_delimited(2, body))
        parts.append(self.element_options(3, enum, is_present=False))
        parts += [_range(4, start, end) for start, end in enum.reserved_ranges]
        parts += [_text(5, name) for name in enum.reserved_names]
        if enum.visibility:
            parts.append(tag(6, 0) + varint(enum.visibility))
        return b"".join(parts)

    def service(self, service: ast.Service, descriptor: ServiceDescriptor) -> bytes:
        parts = [_text(1, service.name)]
        for method, method_descriptor in zip(service.methods, descriptor.methods, strict=True):
            body = [
                _text(1, method.name),
                _text(2, f".{method_descriptor.input_type.full_name}"),
                _text(3, f".{method_descriptor.output_type.full_name}"),
                self.element_options(4, method, is_present=method.options is not None),
            ]
            if method.is_client_stream:
                body.append(b"\x28\x01")
            if method.is_server_stream:
                body.append(b"\x30\x01")
            parts.append(length_delimited(2, b"".join(body)))
        parts.append(self.element_options(3, service, is_present=False))
        return b"".join(parts)


def _range(number: int, start: int, end: int) -> bytes:
    return length_delimited(number, tag(1, 0) + varint(start) + tag(2, 0) + varint(end))


def _default_text(field: ast.Field) -> str:
    """The default as descriptors keep it; floats in the shortest form of their own precision."""
    text = field.default or ""
    if field.type == FieldType.FLOAT:
        return format_float(float(text))
    if field.type == FieldType.DOUBLE:
        return format_double(float(text))
    return text
