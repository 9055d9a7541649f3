"""FileDescriptorProto to syntax tree: how a file that exists only as a descriptor takes part in a compilation.

The descriptor may come from anywhere, so what the parser guarantees of a tree is checked here: names are
identifiers, numbers of oneofs exist, defaults can be read. The rest is for the phases that every tree goes through.
Options of extensions are left out, unless they are still to be interpreted: nobody who imports the file asks for them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor as ProtobufField
from google.protobuf.message import Message

from puregrpc.proto.descriptors import FieldType
from puregrpc.proto.json_names import json_name
from puregrpc.proto.parse import ast
from puregrpc.proto.parse.fields import MAX_MESSAGE_DEPTH
from puregrpc.proto.parse.lexer import END, is_identifier, tokenize
from puregrpc.proto.parse.literals import c_escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["InvalidDescriptor", "tree_of_descriptor"]

NAMED_TYPES = frozenset({FieldType.MESSAGE, FieldType.ENUM, FieldType.GROUP})
VALUE_FIELDS: dict[
    Literal[
        "identifier_value",
        "positive_int_value",
        "negative_int_value",
        "double_value",
        "string_value",
        "aggregate_value",
    ],
    int,
] = {
    "identifier_value": ast.ValueKind.IDENTIFIER,
    "positive_int_value": ast.ValueKind.POSITIVE_INTEGER,
    "negative_int_value": ast.ValueKind.NEGATIVE_INTEGER,
    "double_value": ast.ValueKind.DOUBLE,
    "string_value": ast.ValueKind.STRING,
    "aggregate_value": ast.ValueKind.AGGREGATE,
}
SYNTAXES = ("", "proto2", "proto3", "editions")
BYTES_DEFAULT = re.compile(r"(?:[\x00-\x5b\x5d-\x7e]|\\(?:[0-3][0-7]{2}|[^0-9]))*", re.DOTALL)
LIMITS = {
    FieldType.INT32: (-(1 << 31), (1 << 31) - 1), FieldType.INT64: (-(1 << 63), (1 << 63) - 1),
    FieldType.UINT32: (0, (1 << 32) - 1), FieldType.UINT64: (0, (1 << 64) - 1),
}  # fmt: skip
LIMITS |= {
    FieldType.SINT32: LIMITS[FieldType.INT32], FieldType.SFIXED32: LIMITS[FieldType.INT32],
    FieldType.SINT64: LIMITS[FieldType.INT64], FieldType.SFIXED64: LIMITS[FieldType.INT64],
    FieldType.FIXED32: LIMITS[FieldType.UINT32], FieldType.FIXED64: LIMITS[FieldType.UINT64],
}  # fmt: skip


class InvalidDescriptor(Exception):  # noqa: N818 - it is what was given that is at fault
    """A FileDescriptorProto that no source can have been compiled to."""


def tree_of_descriptor(proto: descriptor_pb2.FileDescriptorProto, missing: Iterable[str] = ()) -> ast.File:
    """The tree of a source that compiles to ``proto``; what it imports of ``missing`` is put up with.

    Raises InvalidDescriptor.
    """
    if proto.syntax not in SYNTAXES:
        raise InvalidDescriptor(f'Unrecognized syntax: "{proto.syntax}"')
    package = _raw(proto.package)
    if package and not all(map(is_identifier, package.split("."))):
        raise InvalidDescriptor(f'"{package}" is not a valid package name.')
    without = frozenset(missing)
    modifiers = dict.fromkeys(proto.weak_dependency, "weak") | dict.fromkeys(proto.public_dependency, "public")
    imports = [
        ast.Import(_path(path), modifiers.get(index, ""))
        for index, path in enumerate(proto.dependency)
        if path not in without
    ]
    imports += [
        ast.Import(_path(path), "option") for path in getattr(proto, "option_dependency", ()) if path not in without
    ]
    return ast.File(
        proto.name,
        proto.syntax,
        int(proto.edition) if proto.syntax == "editions" else 0,
        package,
        imports,
        [_message(message, 1) for message in proto.message_type],
        [_enum(enum) for enum in proto.enum_type],
        [_service(service) for service in proto.service],
        [_field(extension, 0, is_extension=True) for extension in proto.extension],
        _options(proto.options),
        missing_imports=without,
        is_descriptor=True,
    )


def _message(proto: descriptor_pb2.DescriptorProto, depth: int) -> ast.Message:
    if depth >= MAX_MESSAGE_DEPTH:
        raise InvalidDescriptor("Reached maximum recursion limit for nested messages.")
    synthetic = {field.oneof_index for field in proto.field if field.proto3_optional and field.HasField("oneof_index")}
    oneofs = [
        ast.Oneof(_name(oneof.name), _options(oneof.options), is_synthetic=index in synthetic)
        for index, oneof in enumerate(proto.oneof_decl)
    ]
    message = ast.Message(
        _name(proto.name),
        [_field(field, len(oneofs)) for field in proto.field],
        [_message(nested, depth + 1) for nested in proto.nested_type],
        [_enum(enum) for enum in proto.enum_type],
        [_field(extension, 0, is_extension=True) for extension in proto.extension],
        [ast.ExtensionRange(each.start, each.end, _options(each.options)) for each in proto.extension_range],
        oneofs,
        _options(proto.options),
        [(each.start, each.end) for each in proto.reserved_range],
        [_raw(name) for name in proto.reserved_name],
        getattr(proto, "visibility", ast.Visibility.UNSET),
        proto.options.map_entry,
    )
    if message.is_map_entry:
        halves = [(field.name, field.number, field.label, field.extendee) for field in message.fields]
        if halves != [("key", 1, ast.Label.OPTIONAL, ""), ("value", 2, ast.Label.OPTIONAL, "")] or (
            message.messages or message.enums or message.extensions or message.extension_ranges or message.oneofs
        ):
            raise InvalidDescriptor(f'"{proto.name}" is not a valid map entry: a key and a value are all it has.')
        message.options = None
    return message


def _field(proto: descriptor_pb2.FieldDescriptorProto, oneofs: int, *, is_extension: bool = False) -> ast.Field:
    name = _name(proto.name)
    kind = 0 if proto.type_name and not proto.HasField("type") else int(proto.type)  # 0: as what is named is
    is_named = not kind or kind in NAMED_TYPES
    if is_named != bool(proto.type_name):
        problem = "without" if is_named else "that is a scalar, with"
        raise InvalidDescriptor(f'"{name}" is a field {problem} the name of a type.')
    if is_extension != proto.HasField("extendee"):
        raise InvalidDescriptor(f'"{name}" is {"an extension of nothing" if is_extension else "no extension"}.')
    index = proto.oneof_index if proto.HasField("oneof_index") else -1
    if not -1 <= index < oneofs or proto.oneof_index < 0:
        raise InvalidDescriptor(f'"{name}" is in a oneof, number {proto.oneof_index}, that is not there.')
    own_json_name = _raw(proto.json_name)
    return ast.Field(
        name,
        proto.number,
        int(proto.label) or ast.Label.OPTIONAL,
        kind,
        _type_name(proto.type_name) if is_named else "",
        index,
        _type_name(proto.extendee) if is_extension else "",
        _options(proto.options),
        _default(proto, kind) if proto.HasField("default_value") else None,
        own_json_name if proto.HasField("json_name") and own_json_name != json_name(name) else None,
        proto.proto3_optional,
    )


def _default(proto: descriptor_pb2.FieldDescriptorProto, kind: int) -> str:
    text = _raw(proto.default_value)
    limits = LIMITS.get(FieldType(kind)) if kind else None
    is_valid = True
    if limits is not None:
        is_valid = re.fullmatch(r"-?[0-9]{1,20}", text) is not None and limits[0] <= int(text) <= limits[1]
    elif kind in (FieldType.FLOAT, FieldType.DOUBLE):
        try:
            float(text)
        except ValueError:
            is_valid = False
    elif kind == FieldType.BOOL:
        is_valid = text in ("true", "false")
    elif kind == FieldType.BYTES:
        is_valid = BYTES_DEFAULT.fullmatch(text) is not None
    if not is_valid:
        raise InvalidDescriptor(f'Couldn\'t parse default value "{text}" of "{proto.name}".')
    return text


def _enum(proto: descriptor_pb2.EnumDescriptorProto) -> ast.Enum:
    return ast.Enum(
        _name(proto.name),
        [ast.EnumValue(_name(value.name), value.number, _options(value.options)) for value in proto.value],
        _options(proto.options),
        [(each.start, each.end) for each in proto.reserved_range],
        [_raw(name) for name in proto.reserved_name],
        getattr(proto, "visibility", ast.Visibility.UNSET),
    )


def _service(proto: descriptor_pb2.ServiceDescriptorProto) -> ast.Service:
    methods = [
        ast.Method(
            _name(method.name),
            _type_name(method.input_type),
            _type_name(method.output_type),
            method.client_streaming,
            method.server_streaming,
            _options(method.options),
        )
        for method in proto.method
    ]
    return ast.Service(_name(proto.name), methods, _options(proto.options))


# ---- names and texts: one character per byte, as the lexer gives them


def _raw(text: object) -> str:
    if isinstance(text, str):
        return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")
    return bytes(text).decode("latin-1") if isinstance(text, bytes) else str(text)  # bytes: what is no UTF-8


def _path(path: object) -> str:
    if not isinstance(path, str):
        raise InvalidDescriptor(f"{path!r} is not a valid path.")
    return path


def _name(text: object) -> str:
    name = _raw(text)
    if not is_identifier(name):
        raise InvalidDescriptor(f'"{name}" is not a valid identifier.')
    return name


def _type_name(text: object) -> str:
    name = _raw(text)
    if not all(map(is_identifier, name.removeprefix(".").split("."))):
        raise InvalidDescriptor(f'"{name}" is not a valid name of a type.')
    return name


# ---- options, as they would have been written


def _options(options: Message) -> list[ast.Option] | None:
    found = [option for field, value in _fields(options) for option in [_option(field, value)] if option is not None]
    uninterpreted: Iterable[descriptor_pb2.UninterpretedOption] = options.uninterpreted_option  # type: ignore[attr-defined]
    found += map(_uninterpreted, uninterpreted)
    return found or None


def _uninterpreted(option: descriptor_pb2.UninterpretedOption) -> ast.Option:
    """An option that is still to be interpreted."""
    kind = ast.ValueKind
    name = tuple((_raw(part.name_part), part.is_extension) for part in option.name)
    if not name:
        raise InvalidDescriptor("Option must have a name.")
    for field, value_kind in VALUE_FIELDS.items():
        if option.HasField(field):
            value = getattr(option, field)
            if value_kind == kind.AGGREGATE:
                return ast.Option(name, value_kind, _aggregate(_raw(value)), is_uninterpreted=True)
            return ast.Option(name, value_kind, value if isinstance(value, (int, float)) else _raw(value), True)
    raise InvalidDescriptor("Uninterpreted option is missing name or value.")


def _aggregate(text: str) -> tuple[str, ...]:
    tokens = tokenize(text)
    if "" in tokens:
        raise InvalidDescriptor(f"{text[:80]!r} is not a message in text format.")
    return tuple(token for token in tokens if token != END)


def _fields(message: Message) -> Iterator[tuple[ProtobufField, object]]:
    """The fields that are set, those of a list one by one; no extensions and nothing uninterpreted."""
    for field, value in message.ListFields():
        if not field.is_extension and field.name != "uninterpreted_option":
            for item in value if _is_list(field) else [value]:
                yield field, item


def _is_list(field: ProtobufField) -> bool:
    return isinstance(field.default_value, list)


def _option(field: ProtobufField, value: object) -> ast.Option | None:
    name = ((field.name, False),)
    kind = ast.ValueKind
    if field.message_type is not None:
        return ast.Option(name, kind.AGGREGATE, tuple(_tokens(value)))
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value) if isinstance(value, int) else None
        return ast.Option(name, kind.IDENTIFIER, known.name) if known is not None else None
    if isinstance(value, bool):
        return ast.Option(name, kind.IDENTIFIER, "true" if value else "false")
    if isinstance(value, (str, bytes)):
        return ast.Option(name, kind.STRING, _raw(value))
    if isinstance(value, int):
        return ast.Option(name, kind.POSITIVE_INTEGER if value >= 0 else kind.NEGATIVE_INTEGER, value)
    return None


def _tokens(message: object) -> Iterator[str]:
    """A message in text format, as tokens; features of extensions are left out."""
    if not isinstance(message, Message):
        return
    for field, value in _fields(message):
        yield field.name
        if field.message_type is not None:
            yield from ("{", *_tokens(value), "}")
            continue
        option = _option(field, value)
        yield ":"
        if isinstance(value, (str, bytes)):
            yield f'"{c_escape(_raw(value))}"'
        else:
            yield str(option.value) if option is not None else str(value)
