"""Names that are too long to be repeated in the names of all that is inside them."""

from __future__ import annotations

from collections.abc import Iterator

from puregrpc.proto.descriptors import MAX_NAME_LENGTH, MAX_PACKAGE_PARTS, longest_names
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
        count = characters = 0
        for length, names in _scopes(tree, scope):
            count += names
            characters += length * names
        if characters > longest_names(count):
            yield tree, f"Names are too long: the scopes of {count} names have {characters} bytes together."


def _scopes(tree: ast.File, scope: int) -> Iterator[tuple[int, int]]:
    """The scopes of a file: how long their full names are, and how many names there are in each."""
    yield scope, len(tree.messages) + len(tree.enums) + len(tree.services) + len(tree.extensions)
    for enum in tree.enums:
        yield scope, len(enum.values)
    for service in tree.services:
        yield scope + len(service.name) + 1, len(service.methods)
    pending = [(message, scope) for message in tree.messages]
    while pending:
        message, around = pending.pop()
        inner = around + len(message.name) + 1
        names = len(message.fields) + len(message.messages) + len(message.extensions) + len(message.oneofs)
        yield inner, names + len(message.enums) + sum(len(enum.values) for enum in message.enums)
        pending += [(nested, inner) for nested in message.messages]


def _messages(messages: list[ast.Message], scope: int) -> Iterator[tuple[ast.Node, str]]:
    for message in messages:
        length = scope + len(message.name)
        if length > MAX_NAME_LENGTH:
            yield message, _too_long("message", length)
        elif message.messages:
            yield from _messages(message.messages, length + 1)


def _too_long(what: str, length: int) -> str:
    return f"The full name of the {what} has {length} bytes, and {MAX_NAME_LENGTH} are taken at most."
