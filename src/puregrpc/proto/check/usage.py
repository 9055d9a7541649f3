"""Options used where their rules let them not be: in other editions, on other kinds of elements.

FieldOptions.targets and FieldOptions.feature_support in google/protobuf/descriptor.proto.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.proto.check.editions import edition_name
from puregrpc.proto.locate.problem import Role
from puregrpc.proto.parse import ast
from puregrpc.proto.parse.ast import Node

if TYPE_CHECKING:
    from collections.abc import Mapping

    from puregrpc.proto.link.linked_file import LinkedFile
    from puregrpc.proto.options.usage_rules import FeatureSupport, UsageRule, UsageRules
    from puregrpc.proto.options.values import OptionMessage

__all__ = ["Uses", "check_lifetimes", "check_targets", "rules_used"]

TARGETS: dict[type[object], tuple[int, str]] = {
    ast.File: (1, "file"), ast.ExtensionRange: (2, "extension range"), ast.Message: (3, "message"),
    ast.Field: (4, "field"), ast.Oneof: (5, "oneof"), ast.Enum: (6, "enum"), ast.EnumValue: (7, "enum entry"),
    ast.Service: (8, "service"), ast.Method: (9, "method"),
}  # fmt: skip
"""FieldOptions.OptionTargetType of each kind of element, and what protoc calls it."""

Uses = list[tuple[Node, list[tuple[str, "UsageRule"]]]]
"""Elements with the options they have that there are rules for."""


def rules_used(options: Mapping[Node, OptionMessage], rules: UsageRules) -> Uses:
    """What the options of a file use that there are rules for."""
    return [
        (node, used)
        for node, message in options.items()
        if rules.may_be_used_in(message) and (used := rules.used_in(message))
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
