"""Validation of a linked file whose options are interpreted: what protoc refuses beyond names and numbers.

The checks come in protoc's order; one that is not needed for ordinary files costs next to nothing for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.proto.check.edition_rules import check_limits, check_strict_visibility
from puregrpc.proto.check.extensions import check_declared, check_extension_ranges
from puregrpc.proto.check.names import check_enum_value_names, check_json_names, check_style
from puregrpc.proto.descriptors import (
    Edition,
    EnumDescriptor,
    FieldDescriptor,
    FieldType,
    MessageDescriptor,
)
from puregrpc.proto.json_names import json_name
from puregrpc.proto.link.features import Features, feature_settings, inherit
from puregrpc.proto.link.linked_file import LinkedFile
from puregrpc.proto.link.symbol_table import SymbolTable
from puregrpc.proto.locate.problem import Role
from puregrpc.proto.options.usage_rules import UsageRules
from puregrpc.proto.options.values import OptionMessage, Value
from puregrpc.proto.parse import ast
from puregrpc.proto.parse.ast import Node

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Validator"]

OPTION_EXTENDEES = frozenset(
    f"google.protobuf.{name}"
    for name in (
        "FileOptions", "MessageOptions", "FieldOptions", "EnumOptions", "EnumValueOptions", "ServiceOptions",
        "MethodOptions", "OneofOptions", "ExtensionRangeOptions", "StreamOptions", "SourceCodeInfo", "FeatureSet",
    )
)  # fmt: skip
PACKABLE = frozenset(FieldType) - {FieldType.STRING, FieldType.BYTES, FieldType.MESSAGE, FieldType.GROUP}
INTEGERS_64 = frozenset({FieldType.UINT64, FieldType.INT64, FieldType.SINT64, FieldType.FIXED64, FieldType.SFIXED64})
BAD_MAP_KEYS = frozenset({FieldType.FLOAT, FieldType.DOUBLE, FieldType.MESSAGE, FieldType.BYTES})


class Validator:
    """Validates one file. ``options`` has the interpreted options of its elements that are no mere extensions.

    ``warns_of_imports`` asks for warnings of imports that are not used, which protoc has for the files that it was
    told to compile.
    """

    def __init__(
        self,
        table: SymbolTable,
        rules: UsageRules,
        file: LinkedFile,
        options: Mapping[Node, OptionMessage],
        *,
        warns_of_imports: bool,
    ) -> None:
        self.table = table
        self.rules = rules
        self.file = file
        self.tree = file.tree
        self.descriptor = file.descriptor
        self.options = options
        self.warns_of_imports = warns_of_imports
        self.numbers_behind: dict[ast.Enum, dict[int, int]] = {}
        self.is_proto3 = self.tree.syntax == "proto3"
        self.is_edition = self.tree.syntax == "editions"
        self.edition = self.tree.edition

    def option(self, node: Node, name: str) -> Value | None:
        """The value of one of an element's own options, if it is set."""
        options = self.options.get(node)
        return None if options is None else options.get(name)

    def validate(self) -> None:
        """Run all checks, stopping where protoc stops."""
        tree = self.tree
        descriptor = self.descriptor
        self.check_features_allowed()
        if self.file.has_errors:
            return
        self.check_file()
        if self.is_proto3:
            self.check_proto3()
        features = self.file.features
        for message, message_descriptor in zip(tree.messages, descriptor.messages, strict=True):
            self.message(message, message_descriptor, features)
        for enum, enum_descriptor in zip(tree.enums, descriptor.enums, strict=True):
            self.enum(enum, enum_descriptor)
        for extension, extension_descriptor in zip(tree.extensions, descriptor.extensions, strict=True):
            self.field(extension, extension_descriptor, None)
        if self.file.optimizes_for_lite:
            for service in tree.services:
                if self.option(tree, "cc_generic_services") or self.option(tree, "java_generic_services"):
                    self.file.error(
                        service,
                        Role.NAME,
                        "Files with optimize_for = LITE_RUNTIME cannot define services unless you set both options "
                        "cc_generic_services and java_generic_services to false.",
                    )
        if self.file.has_errors:
            return
        if self.warns_of_imports:
            self.check_unused_imports()
        if self.is_edition and self.edition >= Edition.EDITION_2024 and not tree.is_descriptor:
            check_style(tree, self.file)
            check_strict_visibility(self.file)
            if self.edition >= Edition.EDITION_2026:
                check_limits(self.file)

    # ---- the file

    def check_features_allowed(self) -> None:
        """Features need an edition, and must not be set to their UNKNOWN values."""
        for node, options in self.options.items():
            features = options.get("features")
            if features is None:
                continue
            role = Role.EDITION if isinstance(node, ast.File) else Role.NAME
            if not self.is_edition:
                self.file.error(node, role, "Features are only valid under editions.")
                continue
            for name, value in feature_settings(getattr(node, "options", None) or ()):
                if value.endswith("_UNKNOWN"):
                    self.file.error(node, role, f"Feature field `{name}` must resolve to a known value, found {value}")

    def check_file(self) -> None:
        file = self.file
        tree = self.tree
        if self.is_edition:
            if file.features.field_presence == "LEGACY_REQUIRED":
                file.error(tree, Role.EDITION, "Required presence can't be specified by default.")
            if self.option(tree, "java_string_check_utf8"):
                file.error(
                    tree,
                    Role.EDITION,
                    "File option java_string_check_utf8 is not allowed under editions. Use the "
                    "(pb.java).utf8_validation feature to control this behavior.",
                )
        file.optimizes_for_lite = self.option(tree, "optimize_for") == 3
        if file.optimizes_for_lite:
            self.table.lite_files.add(self.descriptor)
        elif self.table.lite_files:
            for dependency in self.descriptor.dependencies:
                if dependency in self.table.lite_files:
                    file.import_error(
                        dependency.name,
                        "Files that do not use optimize_for = LITE_RUNTIME cannot import files which do use this "
                        f'option.  This file is not lite, but it imports "{dependency.name}" which is.',
                    )
                    break

    def check_proto3(self) -> None:
        """What proto3 leaves out."""
        for extension, descriptor in zip(self.tree.extensions, self.descriptor.extensions, strict=True):
            self.proto3_field(extension, descriptor)
        for message, message_descriptor in zip(self.tree.messages, self.descriptor.messages, strict=True):
            self.proto3_message(message, message_descriptor)

    def proto3_message(self, message: ast.Message, descriptor: MessageDescriptor) -> None:
        if message.messages:
            for nested, nested_descriptor in zip(message.messages, descriptor.nested_types, strict=True):
                if not nested.is_map_entry or nested_descriptor.fields[1].enum_type is not None:
                    self.proto3_message(nested, nested_descriptor)
        for field, field_descriptor in zip(message.fields, descriptor.fields, strict=True):
            if (
                field.default is not None
                or field_descriptor.enum_type is not None
                or field.label == 2
                or field.type == 10
            ):
                self.proto3_field(field, field_descriptor)
        if message.extensions:
            for extension, extension_descriptor in zip(message.extensions, descriptor.extensions, strict=True):
                self.proto3_field(extension, extension_descriptor)
        if message.extension_ranges:
            self.file.error(message.extension_ranges[0], Role.NUMBER, "Extension ranges are not allowed in proto3.")
        if descriptor.is_message_set:
            self.file.error(message, Role.NAME, "MessageSet is not supported in proto3.")

    def proto3_field(self, field: ast.Field, descriptor: FieldDescriptor) -> None:
        error = self.file.error
        extendee = descriptor.containing_type
        if field.extendee and extendee and extendee.full_name not in OPTION_EXTENDEES:
            error(field, Role.EXTENDEE, "Extensions in proto3 are only allowed for defining options.")
        if descriptor.is_required:
            error(field, Role.TYPE, "Required fields are not allowed in proto3.")
        if field.default is not None:
            error(field, Role.DEFAULT, "Explicit default values are not allowed in proto3.")
        enum = descriptor.enum_type
        if enum is not None and enum.is_closed:
            error(
                field,
                Role.TYPE,
                f'Enum type "{enum.full_name}" is not an open enum, but is used in '
                f'"{extendee.full_name if extendee else ""}" which is a proto3 message type.',
            )
        if field.type == FieldType.GROUP:
            error(field, Role.TYPE, "Groups are not supported in proto3 syntax.")

    def check_unused_imports(self) -> None:
        """Warn of imports that nothing in the file needs; a file that itself imports publicly is never one."""
        file = self.file
        used = file.used
        dependencies = [*self.descriptor.dependencies, *self.descriptor.option_dependencies]
        by_name = {dependency.name: dependency for dependency in dependencies}
        for imported in self.tree.imports:
            dependency = by_name.get(imported.path)
            if (
                dependency is not None
                and dependency not in used
                and imported.modifier != "public"
                and not dependency.public_dependencies
            ):
                file.warn_import(imported.path, f"Import {imported.path} is unused.")

    # ---- messages

    def message(self, message: ast.Message, descriptor: MessageDescriptor, parent: Features) -> None:
        if message.is_map_entry:
            if self.is_edition:
                for field, field_descriptor in zip(message.fields, descriptor.fields, strict=True):
                    self.edition_field(field, field_descriptor, descriptor)
            return
        features = inherit(parent, message.options) if self.is_edition else parent
        if not self.option(message, "deprecated_legacy_json_field_conflicts"):
            check_json_names(message, descriptor, self.file, is_strict=features.json_format != "LEGACY_BEST_EFFORT")
        if message.extension_ranges:
            check_extension_ranges(message, descriptor, self.file, self.options)
        if message.enums:
            for enum, enum_descriptor in zip(message.enums, descriptor.enum_types, strict=True):
                self.enum(enum, enum_descriptor)
        options = self.options
        has_rules = self.is_edition or descriptor.is_message_set
        for field, field_descriptor in zip(message.fields, descriptor.fields, strict=True):
            named = field_descriptor.message_type
            if (
                has_rules
                or (field.options and field in options)
                or field.json_name is not None
                or (named is not None and named.is_map_entry)
            ):
                self.field(field, field_descriptor, descriptor)
        if message.messages:
            for nested, nested_descriptor in zip(message.messages, descriptor.nested_types, strict=True):
                self.message(nested, nested_descriptor, features)
        if message.extensions:
            for extension, extension_descriptor in zip(message.extensions, descriptor.extensions, strict=True):
                self.field(extension, extension_descriptor, descriptor)

    def field(self, field: ast.Field, descriptor: FieldDescriptor, scope: MessageDescriptor | None) -> None:
        error = self.file.error
        options = self.options.get(field)
        if self.is_edition:
            self.edition_field(field, descriptor, scope)
        if options is not None:
            self.field_options(field, descriptor, options)
        container = descriptor.containing_type
        if container is not None and container.is_message_set:
            if not field.extendee:
                error(field, Role.NAME, "MessageSets cannot have fields, only extensions.")
            elif descriptor.is_repeated or descriptor.is_required or descriptor.type != FieldType.MESSAGE:
                error(field, Role.TYPE, "Extensions of MessageSets must be optional messages.")
        if (
            field.extendee
            and self.file.optimizes_for_lite
            and container
            and container.file not in self.table.lite_files
        ):
            error(
                field,
                Role.EXTENDEE,
                "Extensions to non-lite types can only be declared in non-lite files.  Note that you cannot extend a "
                "non-lite type to contain a lite type, but the reverse is allowed.",
            )
        named = descriptor.message_type
        if named is not None and named.is_map_entry:
            self.map_field(field, descriptor, named)
        if options is not None:
            self.js_type(field, descriptor, options)
        if field.json_name is not None:
            if field.extendee and descriptor.json_name != json_name(field.name):
                error(field, Role.OPTION_NAME, "option json_name is not allowed on extension fields.")
            if "\0" in field.json_name:
                error(field, Role.OPTION_NAME, "json_name cannot have embedded null characters.")
        if container in self.rules.declared_ranges and field.extendee and container is not None:
            check_declared(field, descriptor, container, self.file, self.rules.declared_ranges[container])

    def field_options(self, field: ast.Field, descriptor: FieldDescriptor, options: OptionMessage) -> None:
        error = self.file.error
        if self.is_edition and self.edition >= Edition.EDITION_2024 and options.get("ctype") is not None:
            error(
                field,
                Role.TYPE,
                "ctype option is not allowed under edition 2024 and beyond. Use the feature string_type = "
                "VIEW|CORD|STRING|... instead.",
            )
        lazy = options.get("unverified_lazy")
        if (lazy or options.get("lazy")) and (descriptor.type != FieldType.MESSAGE or descriptor.is_delimited):
            error(field, Role.TYPE, "[lazy = true] can only be specified for submessage fields.")
        if lazy and field.extendee:
            error(field, Role.TYPE, "Extensions cannot be marked as unverified_lazy.")
        if options.get("packed") and not (descriptor.is_repeated and descriptor.type in PACKABLE):
            error(field, Role.TYPE, "[packed = true] can only be specified for repeated primitive fields.")

    def js_type(self, field: ast.Field, descriptor: FieldDescriptor, options: OptionMessage) -> None:
        if options.get("jstype") and descriptor.type not in INTEGERS_64:
            self.file.error(
                field,
                Role.TYPE,
                "jstype is only allowed on int64, uint64, sint64, fixed64 or sfixed64 fields.",
            )

    def map_field(self, field: ast.Field, descriptor: FieldDescriptor, entry: MessageDescriptor) -> None:
        error = self.file.error
        if (
            not descriptor.is_repeated
            or entry.name != _entry_name(field.name)
            or descriptor.containing_type is not entry.containing_type
            or descriptor.is_delimited
        ):
            error(
                field,
                Role.TYPE,
                f"{entry.full_name} is a synthetic MapEntry message type, which is not allowed to be used as a field "
                f"type.{self.likelier_type(entry)}",
            )
        key, value = entry.fields
        if key.type == FieldType.ENUM:
            error(field, Role.TYPE, "Key in map fields cannot be enum types.")
        elif key.type in BAD_MAP_KEYS:
            error(field, Role.TYPE, "Key in map fields cannot be float/double, bytes or message types.")
        if value.enum_type is not None and value.enum_type.values and value.enum_type.values[0].number != 0:
            error(field, Role.TYPE, "Enum value in map must define 0 as the first value.")

    def likelier_type(self, entry: MessageDescriptor) -> str:
        """A type further out of the same name as a map's entry type, which may have been meant."""
        container = entry.containing_type
        scope = container.full_name.rpartition(".")[0] if container else ""
        other = self.table.resolve(entry.name, scope, self.file, types_only=True)
        if not isinstance(other, (MessageDescriptor, EnumDescriptor)) or other is entry:
            return ""
        return f' Maybe you meant ".{other.full_name}"?'

    def edition_field(self, field: ast.Field, descriptor: FieldDescriptor, scope: MessageDescriptor | None) -> None:
        """What editions replace by features, and features where they make no sense."""
        error = self.file.error
        options = self.options.get(field)
        if options is not None and options.get("packed") is not None:
            error(
                field,
                Role.NAME,
                "Field option packed is not allowed under editions.  Use the repeated_field_encoding feature to "
                "control this behavior.",
            )
        if not descriptor.is_repeated and not descriptor.has_presence:
            if field.default is not None:
                error(field, Role.NAME, "Implicit presence fields can't specify defaults.")
            if descriptor.enum_type is not None and descriptor.enum_type.is_closed:
                error(field, Role.NAME, "Implicit presence enum fields must always be open.")
        if field.extendee and descriptor.is_required:
            error(field, Role.NAME, "Extensions can't be required.")
        if not field.options or (scope is not None and scope.is_map_entry):
            return
        features = dict(feature_settings(field.options))
        presence = features.get("field_presence")
        if presence is not None:
            if field.oneof_index >= 0:
                error(field, Role.NAME, "Oneof fields can't specify field presence.")
            elif descriptor.is_repeated:
                error(field, Role.NAME, "Repeated fields can't specify field presence.")
            elif field.extendee and presence != "LEGACY_REQUIRED":
                error(field, Role.NAME, "Extensions can't specify field presence.")
            elif descriptor.type == FieldType.MESSAGE and presence == "IMPLICIT":
                error(field, Role.NAME, "Message fields can't specify implicit presence.")
        encoding = features.get("repeated_field_encoding")
        if encoding is not None and not descriptor.is_repeated:
            error(field, Role.NAME, "Only repeated fields can specify repeated field encoding.")
        if "utf8_validation" in features and not _holds_strings(descriptor):
            error(field, Role.NAME, "Only string fields can specify utf8 validation.")
        if encoding == "PACKED" and not (descriptor.is_repeated and descriptor.type in PACKABLE):
            error(field, Role.NAME, "Only repeated primitive fields can specify PACKED repeated field encoding.")
        if "message_encoding" in features and (descriptor.type != FieldType.MESSAGE or descriptor.is_map):
            error(field, Role.NAME, "Only message fields can specify message encoding.")

    # ---- enums

    def enum(self, enum: ast.Enum, descriptor: EnumDescriptor) -> None:
        allows_conflicts = self.option(enum, "deprecated_legacy_json_field_conflicts")
        check_enum_value_names(
            enum, self.file, is_strict=not (allows_conflicts and not self.is_proto3 and not self.is_edition)
        )
        values = enum.values
        if not descriptor.is_closed and values and values[0].number != 0:
            self.file.error(values[0], Role.NUMBER, "The first enum value must be zero for open enums.")
        if self.option(enum, "allow_alias"):
            return
        seen: dict[int, str] = {}
        for value in values:
            first = seen.setdefault(value.number, value.name)
            if first is not value.name:
                self.duplicate_number(enum, descriptor, value, first)

    def free_numbers(self, enum: ast.Enum) -> dict[int, int]:
        """For each number of an enum the next one that it has not got, worked out once."""
        known = self.numbers_behind.get(enum)
        if known is None:
            known = self.numbers_behind[enum] = {}
            for number in sorted({value.number for value in enum.values}, reverse=True):
                known[number] = known.get(number + 1, number + 1)
        return known

    def duplicate_number(self, enum: ast.Enum, descriptor: EnumDescriptor, value: ast.EnumValue, first: str) -> None:
        if self.file.is_full():
            return
        scope = descriptor.full_name.removesuffix(enum.name)
        following = self.free_numbers(enum)[value.number]
        message = (
            f'"{scope}{value.name}" uses the same enum value as "{scope}{first}". If this is intended, set '
            "'option allow_alias = true;' to the enum definition."
        )
        if following < (1 << 31) - 1:
            message += f" The next available enum value is {following}."
        self.file.error(value, Role.NUMBER, message)


def _entry_name(field_name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in field_name.split("_")) + "Entry"


def _holds_strings(descriptor: FieldDescriptor) -> bool:
    if descriptor.type == FieldType.STRING:
        return True
    entry = descriptor.message_type
    return descriptor.is_map and entry is not None and any(half.type == FieldType.STRING for half in entry.fields)
