"""What edition 2024 and later refuse: exports of nested types, and types that hold too much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.proto.descriptors import MAX_FIELD_NUMBER
from puregrpc.proto.link.features import feature_settings
from puregrpc.proto.locate.problem import Role
from puregrpc.proto.parse import ast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from puregrpc.proto.link.linked_file import LinkedFile

__all__ = ["check_limits", "check_strict_visibility"]

FIELDS_OF_2026 = 1500
ONEOFS_OF_2026 = 1000
VALUES_OF_2026 = 1700
LIMITS_OPT_OUT = " (features.enforce_proto_limits = LEGACY_NO_EXPLICIT_LIMITS can be used to opt out of this check)"


def check_strict_visibility(file: LinkedFile) -> None:
    """With default_symbol_visibility = STRICT, nested types cannot be exported."""
    if file.features.default_symbol_visibility != "STRICT":
        return
    prefix = f"{file.tree.package}." if file.tree.package else ""
    messages = list(_messages(file.tree.messages, None, prefix))
    for message, parent, full_name in messages:
        if parent is not None and message.visibility == ast.Visibility.EXPORT:
            file.error(
                message,
                Role.NONE,
                f'"{full_name}" is a nested message and cannot be `export` with STRICT '
                "default_symbol_visibility. It must be moved to top-level, ideally in its own file in order to "
                "be `export`.",
            )
    for message, parent, full_name in messages:
        is_namespace = (
            parent is None
            and message.visibility != ast.Visibility.EXPORT
            and message.reserved_ranges == [(1, MAX_FIELD_NUMBER + 1)]
        )
        for enum in message.enums:
            if enum.visibility == ast.Visibility.EXPORT and not is_namespace:
                enum_name = f"{full_name}.{enum.name}"
                file.error(
                    enum,
                    Role.NONE,
                    f'"{enum_name}" is a nested enum and cannot be marked `export` with STRICT '
                    "default_symbol_visibility. It must be moved to top-level, ideally in its own file in order "
                    "to be `export`. For C++ namespacing of enums in a messages use: `local message "
                    f"<OuterNamespace> {{ export enum {enum_name} {{...}} reserved 1 to max; }}`",
                )


def check_limits(file: LinkedFile) -> None:
    """Edition 2026 limits how much one type may hold."""
    for message, _, _ in _messages(file.tree.messages, None, ""):
        if _has_no_limits(message.options):
            continue
        for count, largest, what in (
            (len(message.fields), FIELDS_OF_2026, "fields"),
            (len(message.oneofs), ONEOFS_OF_2026, "oneofs"),
        ):
            if count > largest:
                file.error(
                    message,
                    Role.NAME,
                    f"Message name {message.name} should not contain more than {largest} {what}{LIMITS_OPT_OUT}",
                )
        _check_enum_limits(message.enums, file)
    _check_enum_limits(file.tree.enums, file)


def _check_enum_limits(enums: list[ast.Enum], file: LinkedFile) -> None:
    for enum in enums:
        if len(enum.values) > VALUES_OF_2026 and not _has_no_limits(enum.options):
            file.error(
                enum,
                Role.NAME,
                f"Enum name {enum.name} should not contain more than {VALUES_OF_2026} values{LIMITS_OPT_OUT}",
            )


def _messages(
    messages: list[ast.Message], parent: ast.Message | None, prefix: str
) -> Iterator[tuple[ast.Message, ast.Message | None, str]]:
    """Every message with the one it is declared in and its full name."""
    for message in messages:
        full_name = prefix + message.name
        yield message, parent, full_name
        yield from _messages(message.messages, message, f"{full_name}.")


def _has_no_limits(options: list[ast.Option] | None) -> bool:
    return ("enforce_proto_limits", "LEGACY_NO_EXPLICIT_LIMITS") in feature_settings(options or ())
