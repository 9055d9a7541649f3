"""A file on its way through the phases: its tree, its descriptor, what it sees, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from puregrpc.proto.descriptors import EnumDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor
from puregrpc.proto.diagnostics import MAX_DIAGNOSTICS
from puregrpc.proto.link.features import Features
from puregrpc.proto.link.number_hints import NumberHints
from puregrpc.proto.link.symbols import Symbol
from puregrpc.proto.locate.problem import Problem, Role
from puregrpc.proto.parse import ast
from puregrpc.proto.parse.ast import Node

__all__ = ["LinkedFile"]


@dataclass(slots=True, eq=False)
class LinkedFile:
    """A file and what the later phases need to know of it."""

    tree: ast.File
    descriptor: FileDescriptor
    features: Features
    visible: int = 0
    """The file itself, its imports, and what those import publicly: a bit for each (see SymbolTable.bits)."""
    visible_for_options: int = 0
    """What ``import option`` makes visible, to the names of options only."""
    exported: int = 0
    """The file itself and what it imports publicly, at any distance."""
    used: set[FileDescriptor] = field(default_factory=set)
    inner_names: set[str] = field(default_factory=set)
    """The names declared inside messages and services of the file."""
    resolved: dict[str, Symbol] = field(default_factory=dict)
    """What names mean that mean the same everywhere in the file, as far as they have been resolved."""
    problems: list[Problem] = field(default_factory=list)
    errors: int = 0
    """How many of the problems are errors."""
    has_errors: bool = False
    is_declared: bool = True
    """False if nothing of the file was entered anywhere."""
    has_json_names: bool = False
    """Whether a field has the option json_name."""
    optimizes_for_lite: bool = False
    number_hints: NumberHints = field(default_factory=NumberHints)
    fields_with_options: list[tuple[ast.Field, FieldDescriptor]] = field(default_factory=list)
    values_with_options: list[tuple[ast.EnumValue, EnumDescriptor]] = field(default_factory=list)
    ranges_with_options: list[tuple[ast.ExtensionRange, MessageDescriptor]] = field(default_factory=list)

    def is_full(self) -> bool:
        """Whether so many errors were found that there is no use in describing more."""
        return self.errors >= MAX_DIAGNOSTICS

    def error(self, node: Node, role: str, message: str, hint: str = "") -> None:
        """Note that something is wrong with a part of ``node``."""
        if self.errors < MAX_DIAGNOSTICS:
            self.problems.append(Problem(node, role, message, hint=hint))
            self.errors += 1
        self.has_errors = True

    def warn(self, node: Node, role: str, message: str) -> None:
        """Note something that is suspicious but allowed."""
        if len(self.problems) - self.errors < MAX_DIAGNOSTICS:
            self.problems.append(Problem(node, role, message, is_warning=True))

    def import_error(self, path: str, message: str) -> None:
        """Note that the import of ``path`` is at fault."""
        if self.errors < MAX_DIAGNOSTICS:
            self.problems.append(Problem(self.tree, Role.IMPORT, message, name=path))
            self.errors += 1
        self.has_errors = True

    def warn_import(self, path: str, message: str) -> None:
        """Note that the import of ``path`` is suspicious."""
        if len(self.problems) - self.errors < MAX_DIAGNOSTICS:
            self.problems.append(Problem(self.tree, Role.IMPORT, message, is_warning=True, name=path))
