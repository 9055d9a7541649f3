"""Names that clash in JSON or in generated code, and the naming style of edition 2024."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from puregrpc.proto.json_names import json_name
from puregrpc.proto.link.features import Features, inherit
from puregrpc.proto.locate.problem import Role
from puregrpc.proto.parse import ast
from puregrpc.proto.parse.ast import Node

if TYPE_CHECKING:
    from puregrpc.proto.descriptors import MessageDescriptor
    from puregrpc.proto.link.linked_file import LinkedFile

__all__ = ["check_enum_value_names", "check_json_names", "check_style"]


def check_json_names(message: ast.Message, descriptor: MessageDescriptor, file: LinkedFile, *, is_strict: bool) -> None:
    """No two fields have the same JSON name, neither the default ones nor with the custom ones."""
    fields = message.fields
    if not file.has_json_names and len({field.json_name for field in descriptor.fields}) == len(fields):
        return
    if len({json_name(field.name) for field in fields}) < len(fields):
        _report_json_names(message, file, is_strict=is_strict, use_custom=False)
    if any(field.json_name is not None for field in fields):
        _report_json_names(message, file, is_strict=is_strict, use_custom=True)


def _report_json_names(message: ast.Message, file: LinkedFile, *, is_strict: bool, use_custom: bool) -> None:
    seen: dict[str, tuple[ast.Field, bool]] = {}
    for field in message.fields:
        name = json_name(field.name)
        is_custom = use_custom and field.json_name is not None and field.json_name != name
        if is_custom and field.json_name is not None:
            name = field.json_name
            if name.startswith("[") and name.endswith("]"):
                file.error(
                    field,
                    Role.NAME,
                    f'The custom JSON name of field "{field.name}" ("{name}") is invalid: JSON names may not start '
                    "with '[' and end with ']'.",
                )
                continue
        other, other_is_custom = seen.setdefault(name, (field, is_custom))
        if other is field or (use_custom and not is_custom and not other_is_custom):
            continue
        text = (
            f'The {_kind(is_custom)} JSON name of field "{field.name}" ("{name}") conflicts with the '
            f'{_kind(other_is_custom)} JSON name of field "{other.name}".'
        )
        if is_strict or (is_custom and other_is_custom):
            file.error(field, Role.NAME, text)
        else:
            file.warn(field, Role.NAME, text)


def _kind(is_custom: bool) -> str:
    return "custom" if is_custom else "default"


def check_enum_value_names(enum: ast.Enum, file: LinkedFile, *, is_strict: bool) -> None:
    """Values stay different when the enum's name is taken off their front and they are put into PascalCase."""
    values = enum.values
    prefix = enum.name.replace("_", "").lower()
    folded = "\n".join([value.name for value in values]).replace("_", "").lower()
    if prefix:
        folded = f"\n{folded}".replace(f"\n{prefix}", "\n")
    if len(set(folded.lstrip("\n").split("\n"))) == len(values) and "\n\n" not in folded:
        return
    seen: dict[str, ast.EnumValue] = {}
    for value in values:
        other = seen.setdefault(_pascal_case(_without_prefix(value.name, prefix)), value)
        if other.name == value.name or other.number == value.number:
            continue
        text = (
            f"Enum name {value.name} has the same name as {other.name} if you ignore case and strip out the enum name "
            "prefix (if any). (If you are using allow_alias, please assign the same number to each enum value name.)"
        )
        if is_strict:
            file.error(value, Role.NAME, text)
        else:
            file.warn(value, Role.NAME, text)


def _without_prefix(name: str, prefix: str) -> str:
    matched = 0
    for index, character in enumerate(name):
        if matched == len(prefix):
            rest = name[index:].lstrip("_")
            return rest or name
        if character == "_":
            continue
        if character.lower() != prefix[matched]:
            return name
        matched += 1
    return name


def _pascal_case(name: str) -> str:
    return "".join(part[:1].upper() + part[1:].lower() for part in name.split("_"))


OPT_OUT = " (features.enforce_naming_style = STYLE_LEGACY can be used to opt out of this check)"
COLLISIONS_OPT_OUT = " (features.enforce_naming_style = STYLE2024 can be used to opt out of this check)"
BAD_UNDERSCORES = re.compile(r"^_|_$|_[^A-Za-z]")


def _title_case_problem(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]+", name):
        return "should be TitleCase"
    return "" if name[0].isupper() else "should begin with a capital letter"


def _lower_snake_case_problem(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9_.]+", name):
        return "should be lower_snake_case"
    if not name[0].islower():
        return "should begin with a lower case letter"
    return "contains style violating underscores" if BAD_UNDERSCORES.search(name) else ""


def _upper_snake_case_problem(name: str) -> str:
    if not re.fullmatch(r"[A-Z0-9_]+", name):
        return "should be UPPER_SNAKE_CASE"
    if not name[0].isupper():
        return "should begin with an upper case letter"
    return "contains style violating underscores" if BAD_UNDERSCORES.search(name) else ""


def _collision(name: str, siblings: set[str]) -> str:
    """Why a field's name clashes with accessors of its siblings in generated code (style 2026)."""
    for prefix in ("has_", "get_", "set_", "clear_"):
        rest = name.removeprefix(prefix)
        if rest != name and rest in siblings:
            return (
                f"should not begin with {prefix} if a field named {rest} exists. "
                "This can cause collisions in generated code."
            )
    rest = name.removesuffix("_value")
    if rest != name and rest in siblings:
        return (
            f"should not end with _value if a field named {rest} exists. This can cause collisions in generated code."
        )
    if name == "descriptor":
        return "should not be named descriptor. This can cause collisions in generated code."
    return ""


def check_style(tree: ast.File, file: LinkedFile) -> None:
    """The style guide's names, enforced from edition 2024 on (feature enforce_naming_style)."""
    _StyleChecker(file).file(tree)


class _StyleChecker:
    def __init__(self, file: LinkedFile) -> None:
        self.linked = file

    def check(self, node: Node, what: str, name: str, problem: str, features: Features) -> None:
        if problem and features.enforce_naming_style != "STYLE_LEGACY":
            self.linked.error(node, Role.NAME, f"{what} name {name} {problem}{OPT_OUT}")

    def file(self, tree: ast.File) -> None:
        features = self.linked.features
        if tree.package:
            self.check(tree, "Package", tree.package, _lower_snake_case_problem(tree.package), features)
        for message in tree.messages:
            self.message(message, features)
        for enum in tree.enums:
            self.enum(enum, features)
        for extension in tree.extensions:
            self.field(extension, features, set())
        for service in tree.services:
            own = inherit(features, service.options)
            self.check(service, "Service", service.name, _title_case_problem(service.name), own)
            for method in service.methods:
                method_features = inherit(own, method.options)
                self.check(method, "Method", method.name, _title_case_problem(method.name), method_features)

    def message(self, message: ast.Message, parent: Features) -> None:
        if message.is_map_entry:
            return
        features = inherit(parent, message.options)
        self.check(message, "Message", message.name, _title_case_problem(message.name), features)
        for enum in message.enums:
            self.enum(enum, features)
        siblings = {field.name for field in message.fields} | {oneof.name for oneof in message.oneofs}
        for oneof in message.oneofs:
            own = inherit(features, oneof.options)
            self.check(oneof, "Oneof", oneof.name, _lower_snake_case_problem(oneof.name), own)
        for field in message.fields:
            index = field.oneof_index
            self.field(field, inherit(features, message.oneofs[index].options) if index >= 0 else features, siblings)
        for nested in message.messages:
            self.message(nested, features)
        for extension in message.extensions:
            self.field(extension, features, set())

    def field(self, field: ast.Field, parent: Features, siblings: set[str]) -> None:
        features = inherit(parent, field.options)
        self.check(field, "Field", field.name, _lower_snake_case_problem(field.name), features)
        if features.enforce_naming_style == "STYLE2026":
            problem = _collision(field.name, siblings)
            if problem:
                self.linked.error(field, Role.NAME, f"Field name {field.name} {problem}{COLLISIONS_OPT_OUT}")

    def enum(self, enum: ast.Enum, parent: Features) -> None:
        features = inherit(parent, enum.options)
        self.check(enum, "Enum", enum.name, _title_case_problem(enum.name), features)
        for value in enum.values:
            own = inherit(features, value.options)
            self.check(value, "Enum value", value.name, _upper_snake_case_problem(value.name), own)
