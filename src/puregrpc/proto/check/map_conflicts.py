"""Names that map fields take without being asked: the entry message of ``foo_bar`` is called ``FooBarEntry``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.proto.locate.problem import Role

if TYPE_CHECKING:
    from puregrpc.proto.link.linked_file import LinkedFile
    from puregrpc.proto.parse import ast

__all__ = ["explain_map_conflicts"]


def explain_map_conflicts(messages: list[ast.Message], file: LinkedFile) -> None:
    """Say, for a file with errors, which of its names clash with the entry message of a map field."""
    for message in messages:
        nested: dict[str, ast.Message] = {}
        for inner in message.messages:
            other = nested.setdefault(inner.name, inner)
            if other is not inner and (other.is_map_entry or inner.is_map_entry):
                _explain(message, inner.name, "nested message type", file)
                break
            explain_map_conflicts([inner], file)
        for elements, what in ((message.fields, "field"), (message.enums, "enum type"), (message.oneofs, "oneof type")):
            for element in elements:
                entry = nested.get(element.name)
                if entry is not None and entry.is_map_entry:
                    _explain(message, entry.name, what, file)


def _explain(message: ast.Message, name: str, what: str, file: LinkedFile) -> None:
    file.error(message, Role.NAME, f"Expanded map entry type {name} conflicts with an existing {what}.")
