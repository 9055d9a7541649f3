"""The elements of a file that have options, in the order in which protoc comes to interpret them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.proto import ast
from puregrpc.proto.problems import Node

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OptionElement", "option_elements"]

OptionElement = tuple[Node, "list[ast.Option]", str, str]
"""(element, its options, the kind of its options message as in "Field" for FieldOptions, its full name)."""


def option_elements(file: ast.File) -> Iterator[OptionElement]:
    """Each element with options. The file's own come last; its name is one that stands inside the package."""
    prefix = f"{file.package}." if file.package else ""
    for message in file.messages:
        yield from _message(message, prefix)
    for enum in file.enums:
        yield from _enum(enum, prefix)
    for service in file.services:
        service_name = prefix + service.name
        for method in service.methods:
            if method.options:
                yield method, method.options, "Method", f"{service_name}.{method.name}"
        if service.options:
            yield service, service.options, "Service", service_name
    for extension in file.extensions:
        if extension.options:
            yield extension, extension.options, "Field", prefix + extension.name
    if file.options:
        yield file, file.options, "File", f"{file.package}.dummy"


def _message(message: ast.Message, prefix: str) -> Iterator[OptionElement]:
    full_name = prefix + message.name
    inner = full_name + "."
    for oneof in message.oneofs:
        if oneof.options:
            yield oneof, oneof.options, "Oneof", inner + oneof.name
    for field in message.fields:
        if field.options:
            yield field, field.options, "Field", inner + field.name
    for enum in message.enums:
        yield from _enum(enum, inner)
    for extension_range in message.extension_ranges:
        if extension_range.options:
            yield extension_range, extension_range.options, "ExtensionRange", full_name
    for extension in message.extensions:
        if extension.options:
            yield extension, extension.options, "Field", inner + extension.name
    if message.options:
        yield message, message.options, "Message", full_name
    for nested in message.messages:
        yield from _message(nested, inner)


def _enum(enum: ast.Enum, prefix: str) -> Iterator[OptionElement]:
    for value in enum.values:
        if value.options:
            yield value, value.options, "EnumValue", prefix + value.name
    if enum.options:
        yield enum, enum.options, "Enum", prefix + enum.name
