"""Declarations as .proto source, written from descriptors (the grammar of https://protobuf.dev/reference/protobuf)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from google.protobuf import descriptor_pb2, text_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from puregrpc.cli.comments import comments_of
from puregrpc.proto.descriptors import MAX_FIELD_NUMBER, Edition, FileDescriptor
from puregrpc.proto.json_names import json_name
from puregrpc.schema.imports import imports_first

__all__ = ["file_source", "symbol_source"]

Field = descriptor_pb2.FieldDescriptorProto
TYPES = {number: name.removeprefix("TYPE_").lower() for name, number in Field.Type.items()}
MAX_ENUM_NUMBER = 2**31 - 1
INDENT = "  "
VISIBILITY = ("", "local ", "export ")
"""By number (descriptor.proto, SymbolVisibility)."""


def symbol_source(file: FileDescriptor, full_name: str) -> tuple[str, str]:
    """What the symbol is (``a service``) and its declaration, with its comments where they are known.

    Raises LookupError if the file does not declare it.
    """
    proto = file.to_proto()
    writer = _Writer(comments_of(file), file.edition, CustomOptions(file), _inner_names(file))
    found = _find(proto, full_name)
    if found is None:
        raise LookupError(f"{file.name} does not declare {full_name}")
    kind, declared, siblings = found
    scope = full_name.rpartition(".")[0]
    nested = {message.name: message for message in siblings}
    return kind, "\n".join(writer.declaration(declared, scope, nested)) + "\n"


def file_source(file: FileDescriptor) -> str:
    """The whole file as .proto source: what it declares, with its comments where they are known."""
    proto = file.to_proto(source_info=True)
    writer = _Writer(comments_of(file), file.edition, CustomOptions(file), _inner_names(file))
    return "\n".join(writer.file(proto)) + "\n"


def _inner_names(file: FileDescriptor) -> set[str]:
    """All names but those of the outermost scope, in the file and in what it imports."""
    names: set[str] = set()
    for known in imports_first([file], with_option_imports=True):
        names.update(known.package.split(".")[1:])
        outermost = {message.name for message in known.messages} | {enum.name for enum in known.enums}
        inner = set[str]()
        waiting = list(known.messages)
        while waiting:
            message = waiting.pop()
            inner.update(nested.name for nested in message.nested_types)
            inner.update(enum.name for enum in message.enum_types)
            waiting += message.nested_types
        names |= inner | outermost if known.package else inner
    return names


class CustomOptions:
    """Options that extend those of descriptor.proto, as far as the file and what it imports declare them."""

    def __init__(self, file: FileDescriptor) -> None:
        self._file = file
        self._pool: DescriptorPool | None = None

    def known(self, options: Message) -> Message:
        """The options with the custom ones known by name."""
        if not options.ByteSize():
            return options
        if self._pool is None:
            self._pool = _pool_of(self._file)
        try:
            descriptor = self._pool.FindMessageTypeByName(options.DESCRIPTOR.full_name)
        except KeyError:  # no file imports descriptor.proto: there are no custom options
            return options
        known: Message = GetMessageClass(descriptor)()
        known.ParseFromString(options.SerializePartialToString())
        return known


def _pool_of(file: FileDescriptor) -> DescriptorPool:
    """A pool with the file and all that it imports; empty where google.protobuf does not take them."""
    pool = DescriptorPool()
    try:
        for each in imports_first([file], with_option_imports=True):
            pool.AddSerializedFile(each.to_proto().SerializeToString())
    except (TypeError, KeyError):
        return DescriptorPool()
    return pool


Messages = Iterable[descriptor_pb2.DescriptorProto]
Found = tuple[str, Message, Messages]
"""What a declaration is, the declaration, and the messages that stand beside it (of a map field, its entry)."""


def _find(proto: descriptor_pb2.FileDescriptorProto, full_name: str) -> Found | None:
    prefix = f"{proto.package}." if proto.package else ""
    for service in proto.service:
        name = f"{prefix}{service.name}"
        if name == full_name:
            return "a service", service, ()
        for method in service.method:
            if f"{name}.{method.name}" == full_name:
                return "a method", method, ()
    for extension in proto.extension:
        if f"{prefix}{extension.name}" == full_name:
            return "an extension", extension, ()
    return _find_type(proto.message_type, proto.enum_type, prefix, full_name)


def _find_type(
    messages: Messages,
    enums: Iterable[descriptor_pb2.EnumDescriptorProto],
    prefix: str,
    full_name: str,
) -> Found | None:
    for enum in enums:
        if f"{prefix}{enum.name}" == full_name:
            return "an enum", enum, ()
        for value in enum.value:
            if f"{prefix}{value.name}" == full_name:
                return "an enum value", value, ()
    for message in messages:
        name = f"{prefix}{message.name}"
        if name == full_name:
            return "a message", message, ()
        if not full_name.startswith(f"{name}."):
            continue
        for oneof in message.oneof_decl:
            if f"{name}.{oneof.name}" == full_name:
                return "a oneof", message, ()
        for field in message.field:
            if f"{name}.{field.name}" == full_name:
                return "a field", field, message.nested_type
        for extension in message.extension:
            if f"{name}.{extension.name}" == full_name:
                return "an extension", extension, ()
        found = _find_type(message.nested_type, message.enum_type, f"{name}.", full_name)
        if found is not None:
            return found
    return None


class _Writer:
    def __init__(
        self, comments: Mapping[str, str], edition: Edition, custom: CustomOptions, inner_names: Set[str]
    ) -> None:
        self.comments = comments
        self.edition = edition
        self.custom = custom
        self.inner_names = inner_names

    def type(self, name: str) -> str:
        """A full name as it is written: with its dot where it might be looked for in an inner scope first."""
        bare = name.removeprefix(".")
        return f".{bare}" if bare.partition(".")[0] in self.inner_names else bare

    def declaration(
        self, declared: Message, scope: str, nested: Mapping[str, descriptor_pb2.DescriptorProto]
    ) -> Iterator[str]:
        if isinstance(declared, descriptor_pb2.ServiceDescriptorProto):
            yield from self.service(declared, scope)
        elif isinstance(declared, descriptor_pb2.MethodDescriptorProto):
            yield from self.method(declared, scope)
        elif isinstance(declared, descriptor_pb2.DescriptorProto):
            yield from self.message(declared, scope)
        elif isinstance(declared, descriptor_pb2.EnumDescriptorProto):
            yield from self.enum(declared, scope)
        elif isinstance(declared, descriptor_pb2.EnumValueDescriptorProto):
            yield from self.enum_value(declared, scope)
        elif isinstance(declared, Field):
            if declared.extendee:
                yield from self.extend(declared.extendee, [declared], scope, nested)
            else:
                yield from self.field(declared, scope, nested)

    def file(self, proto: descriptor_pb2.FileDescriptorProto) -> Iterator[str]:
        if self.edition >= Edition.EDITION_2023:
            yield f'edition = "{Edition(self.edition).name.removeprefix("EDITION_")}";'
        else:
            yield f'syntax = "{proto.syntax or "proto2"}";'
        if proto.package:
            yield from ("", f"package {proto.package};")
        kinds = dict.fromkeys(proto.public_dependency, "public ") | dict.fromkeys(proto.weak_dependency, "weak ")
        imports = [f"{kinds.get(number, '')}{json.dumps(name)}" for number, name in enumerate(proto.dependency)]
        imports += [f"option {json.dumps(name)}" for name in proto.option_dependency]
        for lines in ([f"import {text};" for text in imports], list(self.options(proto.options))):
            if lines:
                yield from ("", *lines)
        scope = proto.package
        for service in proto.service:
            yield from ("", *self.service(service, scope))
        groups = {_last(field.type_name) for field in proto.extension if field.type == Field.TYPE_GROUP}
        nested = {message.name: message for message in proto.message_type}
        for message in proto.message_type:
            if message.name not in groups or self.edition >= Edition.EDITION_2023:
                yield from ("", *self.message(message, scope))
        for enum in proto.enum_type:
            yield from ("", *self.enum(enum, scope))
        for extendee in dict.fromkeys(extension.extendee for extension in proto.extension):
            found = [extension for extension in proto.extension if extension.extendee == extendee]
            yield from ("", *self.extend(extendee, found, scope, nested))

    def comment(self, full_name: str) -> Iterator[str]:
        for line in self.comments.get(full_name, "").rstrip("\n").split("\n") if full_name in self.comments else ():
            yield f"//{line}".rstrip()

    def service(self, service: descriptor_pb2.ServiceDescriptorProto, scope: str) -> Iterator[str]:
        name = _join(scope, service.name)
        yield from self.comment(name)
        yield f"service {service.name} {{"
        yield from _indented(self.options(service.options))
        for method in service.method:
            yield from _indented(self.method(method, name))
        yield "}"

    def method(self, method: descriptor_pb2.MethodDescriptorProto, scope: str) -> Iterator[str]:
        yield from self.comment(_join(scope, method.name))
        taken = ("stream " if method.client_streaming else "") + self.type(method.input_type)
        given = ("stream " if method.server_streaming else "") + self.type(method.output_type)
        head = f"rpc {method.name}({taken}) returns ({given})"
        options = list(self.options(method.options))
        if not options:
            yield f"{head};"
            return
        yield f"{head} {{"
        yield from _indented(options)
        yield "}"

    def message(self, message: descriptor_pb2.DescriptorProto, scope: str) -> Iterator[str]:
        name = _join(scope, message.name)
        yield from self.comment(name)
        yield f"{VISIBILITY[message.visibility]}message {message.name} {{"
        yield from _indented(self.body(message, name))
        yield "}"

    def body(self, message: descriptor_pb2.DescriptorProto, name: str) -> Iterator[str]:
        yield from self.options(message.options, hidden=("map_entry",))
        nested = {inner.name: inner for inner in message.nested_type}
        written: set[int] = set()
        for field in message.field:
            if not field.HasField("oneof_index") or field.proto3_optional:
                yield from self.field(field, name, nested)
            elif field.oneof_index not in written:
                written.add(field.oneof_index)
                oneof = message.oneof_decl[field.oneof_index]
                yield from self.comment(f"{name}.{oneof.name}")
                yield f"oneof {oneof.name} {{"
                yield from _indented(self.options(oneof.options))
                for member in message.field:
                    if member.HasField("oneof_index") and member.oneof_index == field.oneof_index:
                        yield from _indented(self.field(member, name, nested, in_oneof=True))
                yield "}"
        for r in message.extension_range:
            yield f"extensions {_range(r.start, r.end - 1, MAX_FIELD_NUMBER)}{self.bracketed(self.pairs(r.options))};"
        reserved = [_range(r.start, r.end - 1, MAX_FIELD_NUMBER) for r in message.reserved_range]
        yield from self.reserved(reserved, message.reserved_name)
        groups = {_last(f.type_name) for f in message.field if f.type == Field.TYPE_GROUP}
        for inner in message.nested_type:
            if not inner.options.map_entry and (inner.name not in groups or self.edition >= Edition.EDITION_2023):
                yield from self.message(inner, name)
        for enum in message.enum_type:
            yield from self.enum(enum, name)
        for extendee in dict.fromkeys(extension.extendee for extension in message.extension):
            found = [extension for extension in message.extension if extension.extendee == extendee]
            yield from self.extend(extendee, found, name, nested)

    def extend(
        self,
        extendee: str,
        fields: Sequence[Field],
        scope: str,
        nested: Mapping[str, descriptor_pb2.DescriptorProto],
    ) -> Iterator[str]:
        yield f"extend {self.type(extendee)} {{"
        for field in fields:
            yield from _indented(self.field(field, scope, nested))
        yield "}"

    def field(
        self,
        field: Field,
        scope: str,
        nested: Mapping[str, descriptor_pb2.DescriptorProto],
        *,
        in_oneof: bool = False,
    ) -> Iterator[str]:
        yield from self.comment(f"{scope}.{field.name}")
        may_be_map = field.type == Field.TYPE_MESSAGE or not field.HasField("type")
        entry = nested.get(_last(field.type_name)) if may_be_map else None
        label = self.label(field, in_oneof=in_oneof)
        type_name = self.type(field.type_name) if field.type_name else TYPES[field.type]
        if entry is not None and entry.options.map_entry:
            key, value = entry.field
            value_type = self.type(value.type_name) if value.type_name else TYPES[value.type]
            label, type_name = "", f"map<{TYPES[key.type]}, {value_type}>"
        group = None
        if field.type == Field.TYPE_GROUP and self.edition < Edition.EDITION_2023:
            group = nested.get(_last(field.type_name))
            type_name = "group"
        name = group.name if group is not None else field.name
        text = f"{label}{type_name} {name} = {field.number}{self.field_options(field)}"
        if group is None:
            yield f"{text};"
            return
        yield f"{text} {{"
        yield from _indented(self.body(group, f"{scope}.{group.name}"))
        yield "}"

    def label(self, field: Field, *, in_oneof: bool) -> str:
        if field.label == Field.LABEL_REPEATED:
            return "repeated "
        if field.label == Field.LABEL_REQUIRED:
            return "required "
        if in_oneof or self.edition >= Edition.EDITION_2023:
            return ""
        return "optional " if field.proto3_optional or self.edition == Edition.PROTO2 else ""

    def field_options(self, field: Field) -> str:
        found = []
        if field.HasField("default_value"):
            text = field.default_value
            if field.type == Field.TYPE_STRING:
                text = json.dumps(text, ensure_ascii=False)
            elif field.type == Field.TYPE_BYTES:
                text = f'"{text}"'
            found.append(f"default = {text}")
        if field.HasField("json_name") and field.json_name != json_name(field.name):
            found.append(f"json_name = {json.dumps(field.json_name)}")
        return self.bracketed(self.pairs(field.options), *found)

    def enum(self, enum: descriptor_pb2.EnumDescriptorProto, scope: str) -> Iterator[str]:
        yield from self.comment(_join(scope, enum.name))
        yield f"{VISIBILITY[enum.visibility]}enum {enum.name} {{"
        yield from _indented(self.options(enum.options))
        for value in enum.value:
            yield from _indented(self.enum_value(value, _join(scope, enum.name)))
        reserved = [_range(r.start, r.end, MAX_ENUM_NUMBER) for r in enum.reserved_range]
        yield from _indented(self.reserved(reserved, enum.reserved_name))
        yield "}"

    def enum_value(self, value: descriptor_pb2.EnumValueDescriptorProto, scope: str) -> Iterator[str]:
        # A value's full name is that of a sibling of its enum (descriptor.proto, EnumValueDescriptorProto).
        sibling = _join(scope.rpartition(".")[0], value.name)
        yield from self.comment(sibling if sibling in self.comments else f"{scope}.{value.name}")
        yield f"{value.name} = {value.number}{self.bracketed(self.pairs(value.options))};"

    def reserved(self, ranges: Sequence[str], names: Iterable[str]) -> Iterator[str]:
        if ranges:
            yield f"reserved {', '.join(ranges)};"
        # Editions write reserved names as identifiers, the syntaxes before them as strings.
        bare = self.edition >= Edition.EDITION_2023
        shown = [name if bare else json.dumps(name) for name in names]
        if shown:
            yield f"reserved {', '.join(shown)};"

    def options(self, options: Message, hidden: Sequence[str] = ()) -> Iterator[str]:
        for name, value in self.pairs(options):
            if name not in hidden:
                yield f"option {name} = {value};"

    def pairs(self, options: Message) -> Iterator[tuple[str, str]]:
        """Names and values of options, the custom ones among them."""
        return _options(self.custom.known(options))

    def bracketed(self, pairs: Iterable[tuple[str, str]], *before: str) -> str:
        """Options as they stand behind a field."""
        found = [*before, *(f"{name} = {value}" for name, value in pairs)]
        return f" [{', '.join(found)}]" if found else ""


def _indented(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield f"{INDENT}{line}" if line else line


def _join(scope: str, name: str) -> str:
    return f"{scope}.{name}" if scope else name


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _range(low: int, high: int, most: int) -> str:
    if low == high:
        return str(low)
    return f"{low} to {'max' if high >= most else high}"


def _options(options: Message) -> Iterator[tuple[str, str]]:
    for descriptor, value in options.ListFields():
        if descriptor.name == "uninterpreted_option":
            continue
        name = f"({descriptor.full_name})" if descriptor.is_extension else descriptor.name
        for item in value if hasattr(value, "append") else [value]:
            yield name, _option_value(descriptor, item)


def _option_value(descriptor: Any, value: object) -> str:
    if isinstance(value, Message):
        return f"{{ {text_format.MessageToString(value, as_one_line=True)} }}"
    if descriptor.enum_type is not None and isinstance(value, int):
        named = descriptor.enum_type.values_by_number.get(value)
        return named.name if named is not None else str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bytes):
        return '"' + "".join(chr(o) if 32 <= o < 127 and o not in b'"\\' else f"\\{o:03o}" for o in value) + '"'
    return str(value)
