"""From nodes of the syntax tree to paths, from paths to places: where problems are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.proto.locate.element_paths import OPTIONS_FIELD, element_paths
from puregrpc.proto.locate.problem import Problem, Role
from puregrpc.proto.locate.source_info import Path, SourceInfo
from puregrpc.proto.parse import ast
from puregrpc.proto.parse.ast import Node, ReservedRange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ProblemLocator"]


class ProblemLocator:
    """Finds the places of problems in one file."""

    def __init__(self, tree: ast.File, info: SourceInfo) -> None:
        self.info = info
        self.first: dict[Path, int] = {}
        self.last: dict[Path, int] = {}
        for location in info.locations:
            self.first.setdefault(location.path, location.start)
            self.last[location.path] = location.start
        self.paths: dict[Node, Path] = {}
        self.options: dict[ast.Option, Path] = {}
        for node, path in element_paths(tree):
            self.paths[node] = path
            for index, option in enumerate(getattr(node, "options", None) or ()):
                self.options.setdefault(option, (*path, OPTIONS_FIELD[type(node)], 999, index))

    def locate(self, problem: Problem) -> tuple[int, int] | None:
        """Line and column, from 0; None where a problem has no place in the text."""
        token = self.token(problem)
        return None if token is None else self.info.tokens.start(token)

    def token(self, problem: Problem) -> int | None:
        """The token at which the part of the element begins that the problem is about."""
        node = problem.node
        role = problem.role
        if role == Role.IMPORT:
            return self.info.imports.get(problem.name)
        if role == Role.NONE:
            return None
        if isinstance(node, ast.Option):
            place = self.info.options.get(self.options.get(node, ()))
            if place is None:
                return None
            return place.name if role == Role.OPTION_NAME else place.value
        if isinstance(node, ReservedRange):
            number = 9 if isinstance(node.owner, ast.Message) else 4
            return self.first.get((*self.paths[node.owner], number, node.index))
        path = self.paths.get(node)
        if path is None:
            return None
        if isinstance(node, ast.File):
            numbers = {Role.NAME: (2,), Role.EDITION: (12,)}
            return self.first.get(numbers[role]) if role in numbers else None
        if isinstance(node, ast.ExtensionRange):
            return self.first.get(path) if role == Role.NUMBER else None
        if isinstance(node, ast.Field) and role == Role.OPTION_VALUE:
            return self.last.get((*path, 10))
        for number in _part_numbers(node, role):
            token = self.first.get((*path, number))
            if token is not None:
                return token
        return None


FIELD_PARTS: Mapping[str, Sequence[int]] = {
    Role.NAME: (1,), Role.NUMBER: (3,), Role.TYPE: (5, 6), Role.EXTENDEE: (2,), Role.DEFAULT: (7,),
    Role.OPTION_NAME: (10,),
}  # fmt: skip
METHOD_PARTS: Mapping[str, Sequence[int]] = {Role.NAME: (1,), Role.INPUT: (2,), Role.OUTPUT: (3,)}
VALUE_PARTS: Mapping[str, Sequence[int]] = {Role.NAME: (1,), Role.NUMBER: (2,)}
NAME_PART: Mapping[str, Sequence[int]] = {Role.NAME: (1,)}


def _part_numbers(node: Node, role: str) -> Sequence[int]:
    """The fields of the element's descriptor whose location is the place; protoc knows none for a oneof."""
    if isinstance(node, ast.Field):
        return FIELD_PARTS.get(role, ())
    if isinstance(node, ast.Method):
        return METHOD_PARTS.get(role, ())
    if isinstance(node, ast.EnumValue):
        return VALUE_PARTS.get(role, ())
    if isinstance(node, (ast.Message, ast.Enum, ast.Service)):
        return NAME_PART.get(role, ())
    return ()
