"""Names that are too long to be repeated in the names of all that is inside them."""

from __future__ import annotations

from collections.abc import Iterator

from puregrpc.proto.descriptors import MAX_NAME_LENGTH, MAX_PACKAGE_PARTS
from puregrpc.proto.parse import ast

__all__ = ["names_too_long"]


def names_too_long(tree: ast.File) -> Iterator[tuple[ast.Node, str]]:
    """The package, messages and services of a file that have too long a full name, and what to say of them."""
    package = len(tree.package)
    scope = package + 1 if package else 0
    parts = tree.package.count(".") + 1
    if package > MAX_NAME_LENGTH:
        yield tree, _too_long("package", package)
    elif parts > MAX_PACKAGE_PARTS:
        yield tree, f"The package has {parts} parts, and {MAX_PACKAGE_PARTS} are taken at most."
    else:
        for service in tree.services:
            if scope + len(service.name) > MAX_NAME_LENGTH:
                yield service, _too_long("service", scope + len(service.name))
        yield from _messages(tree.messages, scope)


def _messages(messages: list[ast.Message], scope: int) -> Iterator[tuple[ast.Node, str]]:
    for message in messages:
        length = scope + len(message.name)
        if length > MAX_NAME_LENGTH:
            yield message, _too_long("message", length)
        elif message.messages:
            yield from _messages(message.messages, length + 1)


def _too_long(what: str, length: int) -> str:
    return f"The full name of the {what} has {length} bytes, and {MAX_NAME_LENGTH} are taken at most."
