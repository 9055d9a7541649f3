"""The linker: syntax trees to run-time descriptors, names resolved.

Two passes over each file, whose imports are linked before it: declare makes a descriptor for every element and enters
its full name; link resolves the names of types and fills in what features and defaults say.
Name resolution: https://protobuf.dev/programming-guides/proto3/#name-resolution.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from puregrpc.proto import ast
from puregrpc.proto.defaults import default_value
from puregrpc.proto.descriptors import (
    Edition,
    EnumDescriptor,
    EnumValueDescriptor,
    FieldDescriptor,
    FieldType,
    FileDescriptor,
    MessageDescriptor,
    MethodDescriptor,
    OneofDescriptor,
    ServiceDescriptor,
)
from puregrpc.proto.features import Features, file_features, inherit
from puregrpc.proto.names import json_name

__all__ = ["LinkedFile", "Linker", "Package", "Symbol"]


@dataclass(slots=True, eq=False)
class Package:
    """A package, or the outer part of one: which files have it."""

    name: str
    files: set[FileDescriptor] = field(default_factory=set)


Symbol = (
    Package
    | MessageDescriptor
    | EnumDescriptor
    | EnumValueDescriptor
    | FieldDescriptor
    | OneofDescriptor
    | ServiceDescriptor
    | MethodDescriptor
)


@dataclass(slots=True, eq=False)
class LinkedFile:
    """A file and what the later phases need to know of it."""

    tree: ast.File
    descriptor: FileDescriptor
    visible: set[FileDescriptor]
    """The file itself, its imports, and what those import publicly."""
    exported: set[FileDescriptor]
    """The file itself and what it imports publicly, at any distance."""
    features: Features
    used: set[FileDescriptor] = field(default_factory=set)


class Linker:
    """Links files into one symbol table."""

    def __init__(self) -> None:
        self.symbols: dict[str, tuple[Symbol, FileDescriptor]] = {}
        self.files: dict[str, LinkedFile] = {}
        self.file: LinkedFile
        self.errors: list[tuple[str, str]] = []
        """(file, message)."""

    def report(self, message: str) -> None:
        self.errors.append((self.file.tree.name, message))

    def link(self, tree: ast.File) -> LinkedFile:
        """Link one file; what it imports must have been linked, or is treated as missing."""
        descriptor = FileDescriptor(tree.name, tree.package, _edition(tree))
        visible = {descriptor}
        exported = {descriptor}
        for imported in tree.imports:
            dependency = self.files.get(imported.path)
            if dependency is None:
                descriptor.missing_dependencies.append(imported.path)
                continue
            descriptor.dependencies.append(dependency.descriptor)
            visible |= dependency.exported
            if imported.modifier == "public":
                descriptor.public_dependencies.append(dependency.descriptor)
                exported |= dependency.exported
        linked = LinkedFile(tree, descriptor, visible, exported, file_features(tree))
        self.files[tree.name] = linked
        self.file = linked
        self.declare_package(tree.package)
        prefix = f"{tree.package}." if tree.package else ""
        for message in tree.messages:
            descriptor.messages.append(self.declare_message(message, prefix, None))
        for enum in tree.enums:
            descriptor.enums.append(self.declare_enum(enum, prefix, None, linked.features))
        for service in tree.services:
            descriptor.services.append(self.declare_service(service, prefix))
        for extension in tree.extensions:
            descriptor.extensions.append(self.declare_field(extension, prefix, None))
        for message, message_descriptor in zip(tree.messages, descriptor.messages, strict=True):
            self.link_message(message, message_descriptor, linked.features)
        for extension, extension_descriptor in zip(tree.extensions, descriptor.extensions, strict=True):
            self.link_field(extension, extension_descriptor, tree.package, linked.features)
        for service, service_descriptor in zip(tree.services, descriptor.services, strict=True):
            self.link_service(service, service_descriptor)
        return linked

    # ---- declare

    def declare(self, full_name: str, symbol: Symbol) -> None:
        self.symbols.setdefault(full_name, (symbol, self.file.descriptor))

    def declare_package(self, name: str) -> None:
        while name:
            known = self.symbols.get(name)
            if known is None:
                known = self.symbols[name] = (Package(name), self.file.descriptor)
            if isinstance(known[0], Package):
                known[0].files.add(self.file.descriptor)
            name = name.rpartition(".")[0]

    def declare_message(
        self, message: ast.Message, prefix: str, containing_type: MessageDescriptor | None
    ) -> MessageDescriptor:
        full_name = prefix + message.name
        file = self.file.descriptor
        descriptor = MessageDescriptor(message.name, full_name)
        descriptor.containing_type = containing_type
        descriptor.file = file
        descriptor.is_map_entry = message.is_map_entry
        self.declare(full_name, descriptor)
        inner = full_name + "."
        for oneof in message.oneofs:
            oneof_name = inner + oneof.name
            oneof_descriptor = OneofDescriptor(oneof.name, oneof_name)
            self.declare(oneof_name, oneof_descriptor)
            if not oneof.is_synthetic:
                descriptor.oneofs.append(oneof_descriptor)
        for field_ in message.fields:
            descriptor.fields.append(self.declare_field(field_, inner, descriptor))
        for nested in message.messages:
            descriptor.nested_types.append(self.declare_message(nested, inner, descriptor))
        for enum in message.enums:
            descriptor.enum_types.append(self.declare_enum(enum, inner, descriptor, self.file.features))
        for extension in message.extensions:
            descriptor.extensions.append(self.declare_field(extension, inner, None))
        for extension_range in message.extension_ranges:
            descriptor.extension_ranges.append((extension_range.start, extension_range.end))
        return descriptor

    def declare_field(self, node: ast.Field, prefix: str, containing_type: MessageDescriptor | None) -> FieldDescriptor:
        name = node.name
        full_name = prefix + name
        descriptor = FieldDescriptor(
            name,
            full_name,
            json_name(name) if node.json_name is None else node.json_name.encode("latin-1").decode("utf-8", "replace"),
            node.number,
            FieldType.MESSAGE,
        )
        descriptor.containing_type = containing_type
        descriptor.file = self.file.descriptor
        self.declare(full_name, descriptor)
        return descriptor

    def declare_enum(
        self, enum: ast.Enum, prefix: str, containing_type: MessageDescriptor | None, features: Features
    ) -> EnumDescriptor:
        full_name = prefix + enum.name
        descriptor = EnumDescriptor(enum.name, full_name)
        descriptor.containing_type = containing_type
        descriptor.file = self.file.descriptor
        descriptor.is_closed = inherit(features, enum.options).enum_type == "CLOSED"
        self.declare(full_name, descriptor)
        values = descriptor.values
        for value in enum.values:
            value_descriptor = EnumValueDescriptor(value.name, value.number)
            values.append(value_descriptor)
            self.declare(prefix + value.name, value_descriptor)
        return descriptor

    def declare_service(self, service: ast.Service, prefix: str) -> ServiceDescriptor:
        full_name = prefix + service.name
        descriptor = ServiceDescriptor(service.name, full_name)
        descriptor.file = self.file.descriptor
        self.declare(full_name, descriptor)
        return descriptor

    # ---- link

    def link_message(self, message: ast.Message, descriptor: MessageDescriptor, parent: Features) -> None:
        features = inherit(parent, message.options)
        scope = descriptor.full_name
        for option in message.options or ():
            if option.name == (("message_set_wire_format", False),) and option.value == "true":
                descriptor.is_message_set = True
        oneof_features = [inherit(features, oneof.options) for oneof in message.oneofs]
        real_oneofs = iter(descriptor.oneofs)
        oneofs = [None if oneof.is_synthetic else next(real_oneofs) for oneof in message.oneofs]
        for node, field_descriptor in zip(message.fields, descriptor.fields, strict=True):
            index = node.oneof_index
            if index < 0:
                self.link_field(node, field_descriptor, scope, features)
                continue
            oneof = oneofs[index]
            if oneof is None:
                field_descriptor.is_synthetic_oneof = True
            else:
                field_descriptor.containing_oneof = oneof
                oneof.fields.append(field_descriptor)
            self.link_field(node, field_descriptor, scope, oneof_features[index])
        for extension, extension_descriptor in zip(message.extensions, descriptor.extensions, strict=True):
            extension_descriptor.extension_scope = descriptor
            self.link_field(extension, extension_descriptor, scope, features)
        for enum, enum_descriptor in zip(message.enums, descriptor.enum_types, strict=True):
            enum_descriptor.is_closed = inherit(features, enum.options).enum_type == "CLOSED"
        for nested, nested_descriptor in zip(message.messages, descriptor.nested_types, strict=True):
            self.link_message(nested, nested_descriptor, features)

    def link_field(self, node: ast.Field, descriptor: FieldDescriptor, scope: str, parent: Features) -> None:
        features = inherit(parent, node.options)
        kind = node.type
        if node.extendee:
            descriptor.is_extension = True
            extendee = self.resolve(node.extendee, scope)
            if isinstance(extendee, MessageDescriptor):
                descriptor.containing_type = extendee
        if node.type_name:
            found = self.resolve(node.type_name, scope)
            if isinstance(found, MessageDescriptor):
                descriptor.message_type = found
                descriptor.is_delimited = kind == FieldType.GROUP or (
                    features.message_encoding == "DELIMITED" and not _is_map(found, descriptor)
                )
                kind = FieldType.MESSAGE
            elif isinstance(found, EnumDescriptor):
                descriptor.enum_type = found
                kind = FieldType.ENUM
            else:
                self.report(f'{descriptor.full_name}: "{node.type_name}" is not defined.')
        kind = kind or FieldType.MESSAGE
        descriptor.type = FIELD_TYPES[kind]
        if node.label == ast.Label.REPEATED:
            descriptor.is_repeated = True
            if kind not in UNPACKABLE:
                descriptor.is_packed = self.is_packed(node, features)
        else:
            descriptor.is_required = node.label == ast.Label.REQUIRED or features.field_presence == "LEGACY_REQUIRED"
            descriptor.has_presence = (
                kind == FieldType.MESSAGE
                or node.oneof_index >= 0
                or node.extendee != ""
                or features.field_presence != "IMPLICIT"
            )
            if kind != FieldType.MESSAGE:
                descriptor.default = default_value(node, descriptor)
        if kind == FieldType.STRING:
            descriptor.validates_utf8 = features.utf8_validation == "VERIFY"

    def is_packed(self, node: ast.Field, features: Features) -> bool:
        for option in node.options or ():
            if option.name == (("packed", False),):
                return option.value == "true"
        return features.repeated_field_encoding == "PACKED"

    def link_service(self, service: ast.Service, descriptor: ServiceDescriptor) -> None:
        for method in service.methods:
            full_name = f"{descriptor.full_name}.{method.name}"
            input_type = self.resolve(method.input_type, full_name)
            output_type = self.resolve(method.output_type, full_name)
            if not isinstance(input_type, MessageDescriptor):
                self.report(f'{full_name}: "{method.input_type}" is not defined.')
                continue
            if not isinstance(output_type, MessageDescriptor):
                self.report(f'{full_name}: "{method.output_type}" is not defined.')
                continue
            method_descriptor = MethodDescriptor(
                method.name,
                full_name,
                input_type,
                output_type,
                method.is_client_stream,
                method.is_server_stream,
                descriptor,
            )
            self.declare(full_name, method_descriptor)
            descriptor.methods.append(method_descriptor)

    # ---- names

    def resolve(self, name: str, scope: str, *, types_only: bool = True) -> Symbol | None:
        """What ``name`` means inside ``scope``: the innermost scope that has its first part decides."""
        if name[0] == ".":
            return self.find(name[1:])
        first, dot, _ = name.partition(".")
        while True:
            prefix = f"{scope}." if scope else ""
            found = self.find(prefix + first)
            if found is not None:
                if dot:
                    if isinstance(found, AGGREGATES):
                        return self.find(f"{prefix}{name}")
                elif not types_only or isinstance(found, TYPES):
                    return found
            if not scope:
                return None
            scope = scope.rpartition(".")[0]

    def find(self, full_name: str) -> Symbol | None:
        """The symbol of that name, if the current file may see it."""
        known = self.symbols.get(full_name)
        if known is None:
            return None
        symbol, file = known
        linked = self.file
        if file in linked.visible:
            linked.used.add(file)
            return symbol
        if isinstance(symbol, Package) and not symbol.files.isdisjoint(linked.visible):
            return symbol
        return None


AGGREGATES = (MessageDescriptor, Package, EnumDescriptor, ServiceDescriptor)
TYPES = (MessageDescriptor, EnumDescriptor)
FIELD_TYPES = {int(kind): kind for kind in FieldType}
UNPACKABLE = frozenset({FieldType.STRING, FieldType.BYTES, FieldType.MESSAGE, FieldType.GROUP})


def _edition(tree: ast.File) -> Edition:
    if tree.syntax == "proto3":
        return Edition.PROTO3
    if tree.syntax == "editions":
        return Edition(tree.edition)
    return Edition.PROTO2


def _is_map(found: MessageDescriptor, descriptor: FieldDescriptor) -> bool:
    return found.is_map_entry or (descriptor.containing_type is not None and descriptor.containing_type.is_map_entry)
