"""Editions that are supported, and the one that is for protobuf's own files only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.proto.locate.problem import Role
from puregrpc.proto.parse.parser import EDITIONS

if TYPE_CHECKING:
    from puregrpc.proto.link.linked_file import LinkedFile

__all__ = ["check_edition", "check_unstable", "edition_name"]

MINIMUM_EDITION = 998
MAXIMUM_EDITION = 1002
UNSTABLE = 9999
MAY_BE_UNSTABLE = (
    "google/protobuf/", "upb/", "com/google/protobuf/", "conformance/test_protos/", "test_messages_edition_unstable",
)  # fmt: skip
"""How the names of protobuf's own files begin (CanSkipEditionCheck in protoc)."""

EDITION_NAMES = {number: text for text, number in EDITIONS.items()} | {998: "PROTO2", 999: "PROTO3"}


def edition_name(edition: int) -> str:
    """The edition as people write it."""
    return EDITION_NAMES.get(edition, str(edition))


def check_edition(file: LinkedFile) -> None:
    """The edition is one that is supported."""
    edition = file.tree.edition
    if file.tree.syntax != "editions" or edition == UNSTABLE:
        return
    name = edition_name(edition)
    if edition < MINIMUM_EDITION:
        message = f"Edition {name} is earlier than the minimum supported edition {edition_name(MINIMUM_EDITION)}"
    elif edition > MAXIMUM_EDITION:
        message = f"Edition {name} is later than the maximum supported edition {edition_name(MAXIMUM_EDITION)}"
    else:
        return
    file.error(file.tree, Role.EDITION, message)


def check_unstable(file: LinkedFile) -> None:
    """The unstable edition, in which anything may change, is not for use, but in protobuf's own files."""
    if file.tree.edition == UNSTABLE and not file.descriptor.name.startswith(MAY_BE_UNSTABLE):
        file.error(
            file.tree,
            Role.NONE,
            "is a file using edition UNSTABLE, which is later than the protoc maximum supported edition "
            f"{edition_name(MAXIMUM_EDITION)}.",
        )
