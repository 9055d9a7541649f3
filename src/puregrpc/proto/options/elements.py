"""The elements of a file that have options, in the order in which protoc comes to interpret them."""

from __future__ import annotations

from puregrpc.proto.parse import ast
from puregrpc.proto.parse.ast import Node

__all__ = ["OptionElement", "option_elements"]

OptionElement = tuple[Node, "list[ast.Option]", str, str]
"""(element, its options, the kind of its options message as in "Field" for FieldOptions, its full name)."""


def option_elements(file: ast.File) -> list[OptionElement]:
    """Each element with options. The file's own come last; its name is one that stands inside the package."""
    prefix = f"{file.package}." if file.package else ""
    found: list[OptionElement] = []
    for message in file.messages:
        _add_message(found, message, prefix)
    for enum in file.enums:
        _add_enum(found, enum, prefix)
    for service in file.services:
        service_name = prefix + service.name
        found += [
            (method, method.options, "Method", f"{service_name}.{method.name}")
            for method in service.methods
            if method.options
        ]
        if service.options:
            found.append((service, service.options, "Service", service_name))
    _add_fields(found, file.extensions, prefix)
    if file.options:
        found.append((file, file.options, "File", f"{file.package}.dummy"))
    return found


def _add_message(found: list[OptionElement], message: ast.Message, prefix: str) -> None:
    full_name = prefix + message.name
    inner = full_name + "."
    if message.oneofs:
        found += [(oneof, oneof.options, "Oneof", inner + oneof.name) for oneof in message.oneofs if oneof.options]
    _add_fields(found, message.fields, inner)
    for enum in message.enums:
        _add_enum(found, enum, inner)
    if message.extension_ranges:
        ranges = message.extension_ranges
        found += [(each, each.options, "ExtensionRange", full_name) for each in ranges if each.options]
    if message.extensions:
        _add_fields(found, message.extensions, inner)
    if message.options:
        found.append((message, message.options, "Message", full_name))
    for nested in message.messages:
        _add_message(found, nested, inner)


def _add_fields(found: list[OptionElement], fields: list[ast.Field], prefix: str) -> None:
    found += [(field, field.options, "Field", prefix + field.name) for field in fields if field.options]


def _add_enum(found: list[OptionElement], enum: ast.Enum, prefix: str) -> None:
    found += [(value, value.options, "EnumValue", prefix + value.name) for value in enum.values if value.options]
    if enum.options:
        found.append((enum, enum.options, "Enum", prefix + enum.name))
