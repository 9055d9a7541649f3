"""The elements of a file with their paths and their full names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.proto.parse import ast
from puregrpc.proto.parse.ast import Node, ReservedRange

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["OPTIONS_FIELD", "Path", "element_names", "element_paths"]

Path = tuple[int, ...]
"""SourceCodeInfo.Location.path of google/protobuf/descriptor.proto."""

OPTIONS_FIELD: dict[type[object], int] = {
    ast.File: 8, ast.Message: 7, ast.Field: 8, ast.Oneof: 2, ast.ExtensionRange: 3, ast.Enum: 3, ast.EnumValue: 3,
    ast.Service: 3, ast.Method: 4,
}  # fmt: skip
"""The field of each kind of element's descriptor that holds its options."""


def element_paths(file: ast.File) -> Iterator[tuple[Node, Path]]:
    """Every element of a file with its path (google/protobuf/descriptor.proto, SourceCodeInfo.Location.path)."""
    yield file, ()
    for index, message in enumerate(file.messages):
        yield from _message(message, (4, index))
    for index, enum in enumerate(file.enums):
        yield from _enum(enum, (5, index))
    for index, service in enumerate(file.services):
        yield service, (6, index)
        for position, method in enumerate(service.methods):
            yield method, (6, index, 2, position)
    for index, extension in enumerate(file.extensions):
        yield extension, (7, index)


def _message(message: ast.Message, path: Path) -> Iterator[tuple[Node, Path]]:
    yield message, path
    groups: tuple[tuple[int, Sequence[Node]], ...] = (
        (2, message.fields), (8, message.oneofs), (5, message.extension_ranges), (6, message.extensions),
    )  # fmt: skip
    for number, elements in groups:
        for index, element in enumerate(elements):
            yield element, (*path, number, index)
    for index, enum in enumerate(message.enums):
        yield from _enum(enum, (*path, 4, index))
    for index, nested in enumerate(message.messages):
        yield from _message(nested, (*path, 3, index))


def _enum(enum: ast.Enum, path: Path) -> Iterator[tuple[Node, Path]]:
    yield enum, path
    for index, value in enumerate(enum.values):
        yield value, (*path, 2, index)


def element_names(file: ast.File) -> Iterator[tuple[Path, str]]:
    """The path of each named element of a file with its full name."""
    names: dict[Path, str] = {(): file.package}
    for node, path in element_paths(file):
        if not path or isinstance(node, (ast.Option, ReservedRange, ast.ExtensionRange, ast.File)):
            continue
        scope = names[path[:-2]]
        if isinstance(node, ast.EnumValue):
            scope = scope.rpartition(".")[0]
        names[path] = f"{scope}.{node.name}" if scope else node.name
        yield path, names[path]
