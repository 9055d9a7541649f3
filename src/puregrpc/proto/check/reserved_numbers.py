"""The field numbers that protobuf keeps for itself, which protoc's command line refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.proto.locate.problem import Role
from puregrpc.proto.parse import ast

if TYPE_CHECKING:
    from puregrpc.proto.link.linked_file import LinkedFile

__all__ = ["check_reserved_numbers"]

FIRST_RESERVED_NUMBER = 19000
LAST_RESERVED_NUMBER = 19999


def check_reserved_numbers(file: LinkedFile) -> None:
    """No field has a number that protobuf keeps for itself."""
    text = (
        f"Field numbers {FIRST_RESERVED_NUMBER} through {LAST_RESERVED_NUMBER} are reserved for the protocol buffer "
        "library implementation."
    )

    def check(messages: list[ast.Message]) -> None:
        for message in messages:
            for field in message.fields:
                if FIRST_RESERVED_NUMBER <= field.number <= LAST_RESERVED_NUMBER:
                    file.error(field, Role.NONE, text)
            for extension in message.extensions:
                if FIRST_RESERVED_NUMBER <= extension.number <= LAST_RESERVED_NUMBER:
                    file.error(extension, Role.NONE, text)
            check(message.messages)

    check(file.tree.messages)
    for extension in file.tree.extensions:
        if FIRST_RESERVED_NUMBER <= extension.number <= LAST_RESERVED_NUMBER:
            file.error(extension, Role.NONE, text)
