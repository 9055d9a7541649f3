"""The second pass of the linker: names of types become types, and features and defaults their answers."""

from __future__ import annotations

from puregrpc.proto.descriptors import (
    MAX_FIELD_NUMBER,
    EnumDescriptor,
    FieldDescriptor,
    FieldType,
    MessageDescriptor,
    MethodDescriptor,
    OneofDescriptor,
    ServiceDescriptor,
)
from puregrpc.proto.link.defaults import default_value
from puregrpc.proto.link.features import Features, inherit
from puregrpc.proto.link.hints import hint_for_type
from puregrpc.proto.link.linked_file import LinkedFile
from puregrpc.proto.link.symbol_table import SymbolTable
from puregrpc.proto.link.symbols import TYPES
from puregrpc.proto.locate.problem import Role
from puregrpc.proto.parse import ast
from puregrpc.proto.parse.ast import Node
from puregrpc.proto.parse.lexer import is_identifier

__all__ = ["CrossLinker"]

FIELD_TYPES = {int(kind): kind for kind in FieldType}
STRING = int(FieldType.STRING)
MESSAGE = int(FieldType.MESSAGE)
UNPACKABLE = frozenset({STRING, int(FieldType.BYTES), MESSAGE, int(FieldType.GROUP)})


class CrossLinker:
    """Links what one file declares."""

    def __init__(
        self,
        table: SymbolTable,
        file: LinkedFile,
        extensions: dict[tuple[MessageDescriptor, int], FieldDescriptor],
    ) -> None:
        self.table = table
        self.file = file
        self.extensions = extensions
        self.next_numbers: dict[ast.Message, str] = {}
        self.has_features = file.tree.syntax == "editions"
        """Whether options can set features; elsewhere they are refused later."""

    def link(self) -> None:
        """Link everything in the file."""
        tree = self.file.tree
        descriptor = self.file.descriptor
        features = self.file.features
        for message, message_descriptor in zip(tree.messages, descriptor.messages, strict=True):
            self.message(message, message_descriptor, features)
        for enum, enum_descriptor in zip(tree.enums, descriptor.enums, strict=True):
            self.enum(enum, enum_descriptor, features)
        for extension, extension_descriptor in zip(tree.extensions, descriptor.extensions, strict=True):
            self.field(extension, extension_descriptor, tree.package, features)
        for service, service_descriptor in zip(tree.services, descriptor.services, strict=True):
            for method in service.methods:
                self.method(method, service_descriptor)

    def message(self, message: ast.Message, descriptor: MessageDescriptor, parent: Features) -> None:
        features = inherit(parent, message.options) if self.has_features else parent
        scope = descriptor.full_name
        if message.options:
            for option in message.options:
                if option.name == (("message_set_wire_format", False),) and option.value == "true":
                    descriptor.is_message_set = True
        if message.enums:
            for enum, enum_descriptor in zip(message.enums, descriptor.enum_types, strict=True):
                self.enum(enum, enum_descriptor, features)
        if message.messages:
            for nested, nested_descriptor in zip(message.messages, descriptor.nested_types, strict=True):
                self.message(nested, nested_descriptor, features)
        by_number: dict[int, FieldDescriptor] = {}
        if message.oneofs:
            self.oneof_fields(message, descriptor, features, by_number)
        else:
            for field, field_descriptor in zip(message.fields, descriptor.fields, strict=True):
                if (
                    self.field(field, field_descriptor, scope, features)
                    and by_number.setdefault(field.number, field_descriptor) is not field_descriptor
                ):
                    self.number_used_twice(field, field_descriptor, message, by_number)
        if message.extensions:
            for extension, extension_descriptor in zip(message.extensions, descriptor.extensions, strict=True):
                extension_descriptor.extension_scope = descriptor
                self.field(extension, extension_descriptor, scope, features)
        if message.oneofs:
            self.check_oneofs(message)

    def enum(self, enum: ast.Enum, descriptor: EnumDescriptor, parent: Features) -> None:
        features = inherit(parent, enum.options) if self.has_features else parent
        descriptor.is_closed = features.enum_type == "CLOSED"

    def oneof_fields(
        self,
        message: ast.Message,
        descriptor: MessageDescriptor,
        features: Features,
        by_number: dict[int, FieldDescriptor],
    ) -> None:
        oneof_features = [
            inherit(features, oneof.options) if self.has_features else features for oneof in message.oneofs
        ]
        real_oneofs = iter(descriptor.oneofs)
        oneofs: list[OneofDescriptor | None] = [
            None if oneof.is_synthetic else next(real_oneofs) for oneof in message.oneofs
        ]
        for field, field_descriptor in zip(message.fields, descriptor.fields, strict=True):
            index = field.oneof_index
            field_features = features
            if index >= 0:
                field_features = oneof_features[index]
                oneof = oneofs[index]
                if oneof is None:
                    field_descriptor.is_synthetic_oneof = True
                else:
                    field_descriptor.containing_oneof = oneof
                    oneof.fields.append(field_descriptor)
            if (
                self.field(field, field_descriptor, descriptor.full_name, field_features)
                and by_number.setdefault(field.number, field_descriptor) is not field_descriptor
            ):
                self.number_used_twice(field, field_descriptor, message, by_number)

    def check_oneofs(self, message: ast.Message) -> None:
        """Each oneof has a field. That they are consecutive, the syntax sees to."""
        used = {field.oneof_index for field in message.fields}
        for index, oneof in enumerate(message.oneofs):
            if index not in used:
                self.file.error(oneof, Role.NAME, "Oneof must have at least one field.")

    def number_used_twice(
        self, field: ast.Field, descriptor: FieldDescriptor, message: ast.Message, by_number: dict[int, FieldDescriptor]
    ) -> None:
        other = by_number[field.number]
        if self.file.is_full():
            return
        parent = descriptor.containing_type
        self.file.error(
            field,
            Role.NUMBER,
            f'Field number {field.number} has already been used in "{parent.full_name if parent else ""}" by field '
            f'"{other.name}". {self.next_number(message)}.',
        )

    def next_number(self, message: ast.Message) -> str:
        """Which number a message has left, worked out once."""
        known = self.next_numbers.get(message)
        if known is None:
            known = self.next_numbers[message] = _next_number(message)
        return known

    def field(self, field: ast.Field, descriptor: FieldDescriptor, scope: str, parent: Features) -> bool:
        """Link one field; False if its type or extendee is not what it should be."""
        features = inherit(parent, field.options) if self.has_features else parent
        kind = field.type
        if field.extendee and not self.extendee(field, descriptor, scope):
            return False
        if field.type_name:
            found = self.file.resolved.get(field.type_name)
            if not isinstance(found, TYPES):
                found = self.table.resolve(field.type_name, scope, self.file, types_only=True)
            if found is None and self.file.tree.missing_imports:
                found = placeholder(field.type_name, is_enum=kind == FieldType.ENUM)
            if found is None:
                self.undefined(field, Role.TYPE, field.type_name, scope)
                return False
            if isinstance(found, MessageDescriptor):
                if self.table.local and not self.check_visibility(found, field, Role.TYPE, ""):
                    return False
                descriptor.message_type = found
                descriptor.is_delimited = kind == FieldType.GROUP or (
                    features.message_encoding == "DELIMITED" and not _is_map(found, descriptor)
                )
                kind = MESSAGE
                if field.default is not None:
                    self.file.error(field, Role.DEFAULT, "Messages can't have default values.")
            elif isinstance(found, EnumDescriptor):
                if self.table.local and not self.check_visibility(found, field, Role.TYPE, ""):
                    return False
                descriptor.enum_type = found
                kind = FieldType.ENUM
                if field.default is not None and found.file is not None:
                    self.check_enum_default(field, found)
            else:
                self.file.error(field, Role.TYPE, f'"{field.type_name}" is not a type.')
                return False
        elif kind == FieldType.GROUP:  # where no group can stand: in the type of a map
            self.file.error(field, Role.TYPE, "Field with message or enum type missing type_name.")
        descriptor.type = FIELD_TYPES[kind]
        if field.label == ast.Label.REPEATED:
            descriptor.is_repeated = True
            if kind not in UNPACKABLE:
                descriptor.is_packed = _is_packed(field, features)
        else:
            presence = features.field_presence
            if field.label == ast.Label.REQUIRED or presence == "LEGACY_REQUIRED":
                descriptor.is_required = True
            descriptor.has_presence = (
                presence != "IMPLICIT" or kind == MESSAGE or field.oneof_index >= 0 or field.extendee != ""
            )
            if kind != MESSAGE:
                descriptor.default = default_value(field, descriptor, self.table)
        if kind == STRING:
            descriptor.validates_utf8 = features.utf8_validation == "VERIFY"
        if field.extendee:
            self.add_extension(field, descriptor)
        return True

    def extendee(self, field: ast.Field, descriptor: FieldDescriptor, scope: str) -> bool:
        found = self.table.resolve(field.extendee, scope, self.file)
        if found is None and self.file.tree.missing_imports:
            descriptor.containing_type = MessageDescriptor(*placeholder_names(field.extendee))
            return True
        if found is None:
            self.undefined(field, Role.EXTENDEE, field.extendee, scope)
            return False
        if not isinstance(found, MessageDescriptor):
            self.file.error(field, Role.EXTENDEE, f'"{field.extendee}" is not a message type.')
            return False
        if not self.check_visibility(found, field, Role.EXTENDEE, "target of extend"):
            return False
        descriptor.containing_type = found
        if not self.table.is_extension_number(found, field.number):
            self.file.error(
                field, Role.NUMBER, f'"{found.full_name}" does not declare {field.number} as an extension number.'
            )
        return True

    def add_extension(self, field: ast.Field, descriptor: FieldDescriptor) -> None:
        extendee = descriptor.containing_type
        if extendee is None:
            return
        other = self.extensions.setdefault((extendee, field.number), descriptor)
        if other is descriptor:
            return
        message = (
            f'Extension number {field.number} has already been used in "{extendee.full_name}" by extension '
            f'"{other.full_name}"'
        )
        if other.file is descriptor.file:
            self.file.error(field, Role.NUMBER, f"{message}.")
        else:
            self.file.warn(field, Role.NUMBER, f"{message} defined in {other.file.name if other.file else ''}.")

    def check_enum_default(self, field: ast.Field, enum: EnumDescriptor) -> None:
        default = field.default or ""
        if not is_identifier(default):
            self.file.error(field, Role.DEFAULT, "Default value for an enum field must be an identifier.")
        elif self.table.value_number(enum, default) is None:
            self.file.error(field, Role.DEFAULT, f'Enum type "{enum.full_name}" has no value named "{default}".')

    def method(self, method: ast.Method, service: ServiceDescriptor) -> None:
        full_name = f"{service.full_name}.{method.name}"
        input_type = self.method_type(method, method.input_type, Role.INPUT, full_name)
        output_type = self.method_type(method, method.output_type, Role.OUTPUT, full_name)
        if input_type is None or output_type is None:
            return
        descriptor = MethodDescriptor(
            method.name,
            full_name,
            input_type,
            output_type,
            method.is_client_stream,
            method.is_server_stream,
            service,
        )
        service.methods.append(descriptor)
        self.table.symbols[full_name] = (descriptor, self.file.descriptor)

    def method_type(self, method: ast.Method, name: str, role: str, full_name: str) -> MessageDescriptor | None:
        scope = full_name.rpartition(".")[0]
        found = self.table.resolve(name, scope, self.file)
        if found is None and self.file.tree.missing_imports:
            return MessageDescriptor(*placeholder_names(name))
        if found is None:
            self.undefined(method, role, name, scope)
        elif not isinstance(found, MessageDescriptor):
            self.file.error(method, role, f'"{name}" is not a message type.')
        elif self.check_visibility(found, method, role, ""):
            return found
        return None

    def undefined(self, node: Node, role: str, name: str, scope: str) -> None:
        for message in self.table.explain_undefined(name, scope, self.file):
            hint = hint_for_type(name, self.table, self.file) if message.endswith("is not defined.") else ""
            self.file.error(node, role, message, hint)

    def check_visibility(self, found: MessageDescriptor | EnumDescriptor, node: Node, role: str, usage: str) -> bool:
        """Whether a type of another file may be used here (``local``, edition 2024)."""
        owner = found.file
        reason = self.table.local.get(found)
        if reason is None or owner is None or owner is self.file.descriptor:
            return True
        self.file.error(
            node,
            role,
            f'Symbol "{found.full_name}", defined in "{owner.name}" {usage} is not visible from '
            f'"{self.file.tree.name}". {reason} and cannot be accessed outside its own file',
        )
        return False


def placeholder(name: str, *, is_enum: bool) -> MessageDescriptor | EnumDescriptor:
    """What stands for a type of a file that is missing: a descriptor without a file."""
    names = placeholder_names(name)
    return EnumDescriptor(*names) if is_enum else MessageDescriptor(*names)


def placeholder_names(name: str) -> tuple[str, str]:
    """The name and the full name of a type by how a descriptor refers to it."""
    full_name = name.removeprefix(".")
    return full_name.rpartition(".")[2], full_name


def _is_map(found: MessageDescriptor, descriptor: FieldDescriptor) -> bool:
    return found.is_map_entry or (descriptor.containing_type is not None and descriptor.containing_type.is_map_entry)


def _is_packed(field: ast.Field, features: Features) -> bool:
    for option in field.options or ():
        if option.name == (("packed", False),):
            return option.value == "true"
    return features.repeated_field_encoding == "PACKED"


def _next_number(message: ast.Message) -> str:
    used = {(field.number, field.number) for field in message.fields}
    used |= {(extension_range.start, extension_range.end - 1) for extension_range in message.extension_ranges}
    used |= {(start, end - 1) for start, end in message.reserved_ranges}
    proposal = 1
    for start, end in sorted(used):
        if not start <= proposal <= end:
            break
        proposal = end + 1
    if proposal > MAX_FIELD_NUMBER:
        return "There are no available field numbers"
    return f"Next available field number is {proposal}"
