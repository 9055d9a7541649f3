"""FileDescriptorProto -> run-time descriptors, in two steps: declare what a file contains, then link what it names.

The protos may come from a protoset or from a peer's reflection service, so nothing in them is taken on trust: see
``checks`` for what is refused. Files whose imports are missing are tolerated: a type that could be in one of them
becomes a placeholder, a descriptor without a file, with which messages can be described but not encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from types import MappingProxyType

from google.protobuf import descriptor_pb2

from puregrpc.errors import SchemaError
from puregrpc.proto.descriptors import (
    EnumDescriptor,
    EnumValueDescriptor,
    FieldDescriptor,
    FieldType,
    FileDescriptor,
    MessageDescriptor,
    MethodDescriptor,
    OneofDescriptor,
    ServiceDescriptor,
)
from puregrpc.proto.json_names import json_name
from puregrpc.proto.link.range_index import RangeIndex
from puregrpc.proto.output.given_source import GivenSource
from puregrpc.schema import checks
from puregrpc.schema.defaults import default_of, implied_default
from puregrpc.schema.features import Features, edition_of, features_of_edition

__all__ = ["FileBuilder", "Lookup"]

_FIELD = descriptor_pb2.FieldDescriptorProto
_PACKABLE = frozenset(FieldType) - {FieldType.STRING, FieldType.BYTES, FieldType.MESSAGE, FieldType.GROUP}

MOST_TOLD = 3
"""How many imports a message about a missing type names."""

Lookup = Callable[[str], "MessageDescriptor | EnumDescriptor | None"]


@dataclass(slots=True)
class _PendingField:
    target: FieldDescriptor
    proto: descriptor_pb2.FieldDescriptorProto
    features: Features
    scope: str


def _type_of(proto: descriptor_pb2.FieldDescriptorProto) -> FieldType:
    """A field's type: one that is not said is that of the type which is named (MESSAGE until that is known)."""
    return FieldType.MESSAGE if proto.type_name and not proto.HasField("type") else FieldType(proto.type)


class FileBuilder:
    """Builds one FileDescriptor. ``declare`` first for every file of a set, then ``link`` for each."""

    def __init__(self, proto: descriptor_pb2.FileDescriptorProto) -> None:
        checks.check_file(proto)
        self.proto = proto
        self.file = FileDescriptor(
            name=proto.name,
            package=proto.package,
            edition=edition_of(proto),
            source=GivenSource(proto),
        )
        self._features = features_of_edition(self.file.edition).with_overrides(proto.options.features)
        self._pending: list[_PendingField] = []
        self._messages: list[MessageDescriptor] = []
        self._strict_json: set[str] = set()
        self._lookup: Lookup = lambda _: None
        self._absence = ""
        self._names = self._characters = 0

    def declare(self) -> Iterator[MessageDescriptor | EnumDescriptor]:
        """Make the descriptors of everything in the file, types still open; yields each message and enum."""
        scope = self.file.package
        proto = self.proto
        self._count(scope, proto.enum_type, proto.message_type, proto.extension, proto.service)
        for service in proto.service:
            self._count(f"{scope}.{service.name}", service.method)
        for enum in self.proto.enum_type:
            self.file.enums.append(self._enum(enum, scope, None, self._features))
        for message in self.proto.message_type:
            self.file.messages.append(self._message(message, scope, None, self._features, depth=1))
        for extension in self.proto.extension:
            self.file.extensions.append(self._extension(extension, scope, None, self._features))
        yield from self.file.enums
        for declared in self._messages:
            yield declared
            yield from declared.enum_types

    def _count(self, scope: str, *names: Sized) -> None:
        """Count names, each of which repeats its scope."""
        count = sum(map(len, names))
        self._names += count
        self._characters += count * len(scope)
        checks.check_lengths(self._names, self._characters, self.file.name)

    def link(
        self,
        dependencies: Sequence[FileDescriptor],
        missing: Sequence[str],
        lookup: Lookup,
        reasons: Mapping[str, str] = MappingProxyType({}),
    ) -> FileDescriptor:
        """Resolve every type name with ``lookup`` (full name -> descriptor) and finish the file.

        ``reasons`` says of imports why they are missing.
        """
        file, proto = self.file, self.proto
        file.dependencies = list(dependencies)
        file.missing_dependencies = list(missing)
        by_name = {dependency.name: dependency for dependency in dependencies}
        for index in proto.public_dependency:
            if not 0 <= index < len(proto.dependency):
                raise SchemaError(f"{proto.name}: public_dependency {index} is not the index of an import")
            if proto.dependency[index] in by_name:
                file.public_dependencies.append(by_name[proto.dependency[index]])
        told = [f"{name} ({reasons[name]})" if name in reasons else name for name in missing[:MOST_TOLD]]
        self._absence = f"{proto.name} imports {' and '.join(told)}, which could not be had"
        self._lookup = lookup
        for pending in self._pending:
            self._link_field(pending)
        for service in proto.service:
            file.services.append(self._service(service))
        for message in self._messages:
            checks.check_linked_message(message, strict_json=message.full_name in self._strict_json)
        indexes: dict[MessageDescriptor, RangeIndex] = {}
        for pending in self._pending:
            if pending.target.is_extension:
                checks.check_linked_extension(pending.target, indexes)
        self._pending.clear()
        return file

    def _message(
        self,
        proto: descriptor_pb2.DescriptorProto,
        scope: str,
        parent: MessageDescriptor | None,
        inherited: Features,
        depth: int,
    ) -> MessageDescriptor:
        full_name = checks.full_name(scope, proto.name, self.file.name)
        checks.check_message(proto, full_name, depth)
        self._count(full_name, proto.field, proto.nested_type, proto.enum_type, proto.extension, proto.oneof_decl)
        features = inherited.with_overrides(proto.options.features)
        message = MessageDescriptor(
            name=proto.name,
            full_name=full_name,
            extension_ranges=[(span.start, span.end) for span in proto.extension_range],
            is_map_entry=proto.options.map_entry,
            is_message_set=proto.options.message_set_wire_format,
            containing_type=parent,
            file=self.file,
        )
        self._messages.append(message)
        if features.strict_json:
            self._strict_json.add(full_name)
        oneofs = [
            OneofDescriptor(name=oneof.name, full_name=checks.full_name(full_name, oneof.name, self.file.name))
            for oneof in proto.oneof_decl
        ]
        oneof_features = [features.with_overrides(oneof.options.features) for oneof in proto.oneof_decl]
        for enum in proto.enum_type:
            message.enum_types.append(self._enum(enum, full_name, message, features))
        for nested in proto.nested_type:
            message.nested_types.append(self._message(nested, full_name, message, features, depth + 1))
        for declared in proto.field:
            outer = oneof_features[declared.oneof_index] if declared.HasField("oneof_index") else features
            pending = self._field(declared, full_name, outer)
            pending.target.containing_type = message
            if declared.HasField("oneof_index"):
                if declared.proto3_optional:
                    pending.target.is_synthetic_oneof = True
                else:
                    oneof = oneofs[declared.oneof_index]
                    oneof.fields.append(pending.target)
                    pending.target.containing_oneof = oneof
            message.fields.append(pending.target)
        message.oneofs = [oneof for oneof in oneofs if oneof.fields]
        for extension in proto.extension:
            message.extensions.append(self._extension(extension, full_name, message, features))
        return message

    def _extension(
        self,
        proto: descriptor_pb2.FieldDescriptorProto,
        scope: str,
        parent: MessageDescriptor | None,
        features: Features,
    ) -> FieldDescriptor:
        pending = self._field(proto, scope, features)
        pending.target.is_extension = True
        pending.target.extension_scope = parent
        return pending.target

    def _field(self, proto: descriptor_pb2.FieldDescriptorProto, scope: str, inherited: Features) -> _PendingField:
        full_name = checks.full_name(scope, proto.name, self.file.name)
        checks.check_field(proto, full_name)
        pending = _PendingField(
            target=FieldDescriptor(
                name=proto.name,
                full_name=full_name,
                json_name=proto.json_name if proto.HasField("json_name") else json_name(proto.name),
                number=proto.number,
                type=_type_of(proto),
                is_repeated=proto.label == _FIELD.LABEL_REPEATED,
                file=self.file,
            ),
            proto=proto,
            features=inherited.with_overrides(proto.options.features),
            scope=scope,
        )
        self._pending.append(pending)
        return pending

    def _link_field(self, pending: _PendingField) -> None:
        target, proto, features = pending.target, pending.proto, pending.features
        if proto.type_name:
            kind = self._resolve(
                proto.type_name, pending.scope, target.full_name, is_enum=proto.type == _FIELD.TYPE_ENUM
            )
            if isinstance(kind, EnumDescriptor):
                target.enum_type = kind
                target.type = FieldType.ENUM
            else:
                target.message_type = kind
            if proto.HasField("type") and isinstance(kind, EnumDescriptor) != (proto.type == _FIELD.TYPE_ENUM):
                raise SchemaError(
                    f"{target.full_name}: {proto.type_name} is not of the kind that the field's type says"
                )
        if proto.extendee:
            extended = self._resolve(proto.extendee, pending.scope, target.full_name, is_enum=False)
            if isinstance(extended, EnumDescriptor):
                raise SchemaError(f"{target.full_name}: {proto.extendee} is an enum, which cannot be extended")
            target.containing_type = extended
        if target.type is FieldType.GROUP:
            target.type = FieldType.MESSAGE
            target.is_delimited = True
        elif target.type is FieldType.MESSAGE:
            # A map and its entries are length-prefixed whatever the features say (feature message_encoding).
            target.is_delimited = features.delimited and not target.is_map and not self._is_map_entry_field(target)
        target.is_required = proto.label == _FIELD.LABEL_REQUIRED or (
            features.required and not target.is_repeated and target.containing_oneof is None
        )
        target.validates_utf8 = target.type is FieldType.STRING and features.validates_utf8
        if target.is_repeated:
            target.is_packed = target.type in _PACKABLE and (
                proto.options.packed if proto.options.HasField("packed") else features.packed
            )
            return
        target.has_presence = (
            target.type is FieldType.MESSAGE
            or target.containing_oneof is not None
            or target.is_synthetic_oneof
            or target.is_extension
            or target.is_required
            or features.explicit_presence
        )
        if proto.HasField("default_value"):
            target.default = default_of(target, proto.default_value)
        else:
            target.default = implied_default(target.type, target.enum_type)

    @staticmethod
    def _is_map_entry_field(target: FieldDescriptor) -> bool:
        return target.containing_type is not None and target.containing_type.is_map_entry

    def _resolve(self, name: str, scope: str, user: str, *, is_enum: bool) -> MessageDescriptor | EnumDescriptor:
        """The type that ``name`` means inside ``scope``; a placeholder if it may be in a missing import."""
        checks.check_full_name(name, user)
        if name.startswith("."):
            found = self._lookup(name[1:])
        else:
            found = self._lookup(name) if not scope else None
            while found is None and scope:
                found = self._lookup(f"{scope}.{name}")
                scope = scope.rpartition(".")[0]
            found = found or self._lookup(name)
        if found is not None:
            return found
        if not self.file.missing_dependencies:
            raise SchemaError(f"{user}: the type {name} is not in {self.file.name} or in what it imports")
        full_name = name.removeprefix(".")
        last = full_name.rpartition(".")[2]
        if is_enum:
            return EnumDescriptor(name=last, full_name=full_name)
        return MessageDescriptor(name=last, full_name=full_name, absence=self._absence)

    def _enum(
        self,
        proto: descriptor_pb2.EnumDescriptorProto,
        scope: str,
        parent: MessageDescriptor | None,
        inherited: Features,
    ) -> EnumDescriptor:
        full_name = checks.full_name(scope, proto.name, self.file.name)
        features = inherited.with_overrides(proto.options.features)
        checks.check_enum(proto, full_name, is_closed=features.closed_enum)
        return EnumDescriptor(
            name=proto.name,
            full_name=full_name,
            values=[EnumValueDescriptor(value.name, value.number) for value in proto.value],
            is_closed=features.closed_enum,
            containing_type=parent,
            file=self.file,
        )

    def _service(self, proto: descriptor_pb2.ServiceDescriptorProto) -> ServiceDescriptor:
        full_name = checks.full_name(self.file.package, proto.name, self.file.name)
        service = ServiceDescriptor(name=proto.name, full_name=full_name, file=self.file)
        checks.check_unique((method.name for method in proto.method), full_name, "method")
        for method in proto.method:
            method_name = checks.full_name(full_name, method.name, self.file.name)
            service.methods.append(
                MethodDescriptor(
                    name=method.name,
                    full_name=method_name,
                    input_type=self._method_type(method.input_type, method_name),
                    output_type=self._method_type(method.output_type, method_name),
                    is_client_stream=method.client_streaming,
                    is_server_stream=method.server_streaming,
                    service=service,
                )
            )
        return service

    def _method_type(self, name: str, user: str) -> MessageDescriptor:
        found = self._resolve(name, self.file.package, user, is_enum=False)
        if isinstance(found, EnumDescriptor):
            raise SchemaError(f"{user}: {name} is an enum; a method takes and returns messages")
        return found
