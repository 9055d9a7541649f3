"""google.protobuf message classes for the message types of a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._locks import Lock
from puregrpc.errors import SchemaError
from puregrpc.proto.descriptors import Edition, FileDescriptor, MessageDescriptor
from puregrpc.schema.imports import imports_first

if TYPE_CHECKING:
    from google.protobuf import descriptor_pb2
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message import Message

    from puregrpc.schema.registry import Registry

__all__ = ["MessageClasses", "check_edition"]

FIRST_WITH_EDITIONS = (5, 27)
"""The version of google.protobuf that first knew editions. Later ones refuse those that they do not know themselves."""


class MessageClasses:
    """Makes classes on demand, in a descriptor pool of its own."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._lock = Lock()
        self._pool: DescriptorPool | None = None
        self._in_pool: dict[str, FileDescriptor] = {}
        self._version = -1
        self._classes: dict[str, type[Message]] = {}

    def message_class(self, descriptor: MessageDescriptor) -> type[Message]:
        """The class for a message type; see ``Registry.message_class``."""
        from google.protobuf import descriptor_pool, message_factory  # a registry without classes needs no protobuf

        with self._lock:
            known = self._classes.get(descriptor.full_name)
            if known is not None and self._in_pool.get(_file_name(descriptor)) is descriptor.file:
                return known
            if descriptor.file is None:
                why = descriptor.absence or "the file that declares it was not loaded"
                raise SchemaError(f"the type {descriptor.full_name} is not in the schema: {why}")
            if self._pool is None:
                self._pool = descriptor_pool.DescriptorPool()
            try:
                self._put(self._pool, descriptor.file)
                made: type[Message] = message_factory.GetMessageClass(
                    self._pool.FindMessageTypeByName(descriptor.full_name)
                )
            except (TypeError, KeyError, ValueError, AttributeError) as error:  # the last for a field "DESCRIPTOR"
                raise SchemaError(f"{descriptor.full_name}: google.protobuf does not accept it: {error}") from None
            self._classes[descriptor.full_name] = made
            return made

    def _put(self, pool: DescriptorPool, file: FileDescriptor) -> None:
        for each in imports_first([file], known=self._in_pool):
            check_edition(each)
            pool.Add(_complete(each))
            self._in_pool[each.name] = each


def check_edition(file: FileDescriptor) -> None:
    """Raise SchemaError for a file with an edition if google.protobuf is too old for that.

    It would take the file, and read and write its messages by the rules of other files.
    """
    from google.protobuf import __version__

    if file.edition >= Edition.EDITION_2023 and tuple(map(int, __version__.split(".")[:2])) < FIRST_WITH_EDITIONS:
        raise SchemaError(
            f"{file.name}: google.protobuf {__version__} has no message classes of files with an edition: they need "
            "protobuf 5.27 or later (dicts need none)"
        )


def _file_name(descriptor: MessageDescriptor) -> str:
    return descriptor.file.name if descriptor.file is not None else ""


def _complete(file: FileDescriptor) -> descriptor_pb2.FileDescriptorProto:
    """The file's proto as pools take it: with the imports that there are, by their names, and with all types said.

    Messages of a type that is missing are bytes, which is how they go over the wire, and its enums numbers.
    """
    proto = file.to_proto()
    messages = list(zip(proto.message_type, file.messages, strict=True))
    fields = list(zip(proto.extension, file.extensions, strict=True))
    for message, described in messages:
        messages += zip(message.nested_type, described.nested_types, strict=True)
        fields += zip(message.field, described.fields, strict=True)
        fields += zip(message.extension, described.extensions, strict=True)
    for field, known in fields:
        if not field.HasField("type"):
            field.type = field.Type.ValueType(known.type)
        if known.message_type is not None and known.message_type.file is None:
            field.type = field.TYPE_BYTES
            field.ClearField("type_name")
        elif known.enum_type is not None and known.enum_type.file is None:
            field.type = field.TYPE_INT32
            field.ClearField("type_name")
    if file.missing_dependencies:
        del proto.service[:]  # what they take may be missing too, and classes need none
    kept = list(dict.fromkeys(each.name for each in file.dependencies))
    if kept != list(proto.dependency):
        public = [kept.index(each.name) for each in file.public_dependencies]
        del proto.dependency[:], proto.public_dependency[:], proto.weak_dependency[:]
        proto.dependency.extend(kept)
        proto.public_dependency.extend(public)
    return proto
