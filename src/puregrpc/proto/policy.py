"""What protoc's command line refuses after a file has compiled: by edition, by target, by number.

FieldOptions.targets and FieldOptions.feature_support in google/protobuf/descriptor.proto.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.proto import ast
from puregrpc.proto.parser import EDITIONS
from puregrpc.proto.problems import Node, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from puregrpc.proto.option_traits import FeatureSupport, OptionTraits, Traits
    from puregrpc.proto.option_values import OptionMessage
    from puregrpc.proto.symbols import LinkedFile

__all__ = [
    "check_edition",
    "check_lifetimes",
    "check_reserved_numbers",
    "check_targets",
    "check_unstable",
    "edition_name",
]

MINIMUM_EDITION = 998
MAXIMUM_EDITION = 1002
UNSTABLE = 9999
MAY_BE_UNSTABLE = (
    "google/protobuf/", "upb/", "com/google/protobuf/", "conformance/test_protos/", "test_messages_edition_unstable",
)  # fmt: skip
"""How the names of protobuf's own files begin (CanSkipEditionCheck in protoc)."""

FIRST_RESERVED_NUMBER = 19000
LAST_RESERVED_NUMBER = 19999

TARGETS: dict[type[object], tuple[int, str]] = {
    ast.File: (1, "file"), ast.ExtensionRange: (2, "extension range"), ast.Message: (3, "message"),
    ast.Field: (4, "field"), ast.Oneof: (5, "oneof"), ast.Enum: (6, "enum"), ast.EnumValue: (7, "enum entry"),
    ast.Service: (8, "service"), ast.Method: (9, "method"),
}  # fmt: skip
"""FieldOptions.OptionTargetType of each kind of element, and what protoc calls it."""

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


Uses = list[tuple[Node, list[tuple[str, "OptionTraits"]]]]
"""Elements with the options they have that say something about where they may be used."""


def uses_of_traits(options: Mapping[Node, OptionMessage], traits: Traits) -> Uses:
    """What the options of a file use that has traits."""
    return [
        (node, used)
        for node, message in options.items()
        if traits.may_be_used_in(message) and (used := traits.used_in(message))
    ]


def check_lifetimes(file: LinkedFile, uses: Uses) -> None:
    """Options and features are only used in editions that have them."""
    tree = file.tree
    edition = tree.edition or (999 if tree.syntax == "proto3" else 998)
    for node, in_use in uses:
        for full_name, used in in_use:
            if used.support is not None:
                _check_support(file, node, full_name, used.support, edition)


def _check_support(file: LinkedFile, node: Node, name: str, support: FeatureSupport, edition: int) -> None:
    if support.introduced is not None and edition < support.introduced:
        file.error(
            node,
            Role.NAME,
            f"{name} wasn't introduced until edition {edition_name(support.introduced)} and can't be used in edition "
            f"{edition_name(edition)}",
        )
    if support.removed is not None and edition >= support.removed:
        reason = f": {support.removal_error}" if support.removal_error else ""
        file.error(node, Role.NAME, f"{name} has been removed in edition {edition_name(support.removed)}{reason}")
    elif support.deprecated is not None and edition >= support.deprecated:
        file.warn(
            node,
            Role.NAME,
            f"{name} has been deprecated in edition {edition_name(support.deprecated)}: {support.deprecation_warning}",
        )


def check_targets(file: LinkedFile, uses: Uses) -> None:
    """Options stand on the kinds of elements that they are meant for."""
    for node, in_use in uses:
        target, name = TARGETS[type(node)]
        for full_name, used in in_use:
            if used.targets and target not in used.targets:
                file.error(node, Role.NONE, f"Option {full_name} cannot be set on an entity of type `{name}`.")


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
