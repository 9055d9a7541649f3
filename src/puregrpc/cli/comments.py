"""Comments of a descriptor by full name, from its source_code_info (descriptor.proto, SourceCodeInfo)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf import descriptor_pb2

from puregrpc.proto.descriptors import FileDescriptor

__all__ = ["comments_of"]

Path = tuple[int, ...]

FILE_MESSAGE, FILE_ENUM, FILE_SERVICE, FILE_EXTENSION = 4, 5, 6, 7
MESSAGE_FIELD, MESSAGE_NESTED, MESSAGE_ENUM, MESSAGE_EXTENSION, MESSAGE_ONEOF = 2, 3, 4, 6, 8
ENUM_VALUE = 2
SERVICE_METHOD = 2
"""Field numbers of descriptor.proto, which a location's path is made of."""


def comments_of(file: FileDescriptor) -> dict[str, str]:
    """Leading comments by full name, as far as the file's source knows them: a .proto file, or a descriptor with
    source_code_info."""
    if file.source is None:
        return {}
    known = dict(file.source.comments())
    if known:
        return known
    proto = file.to_proto(source_info=True)
    by_path = {
        tuple(location.path): location.leading_comments
        for location in proto.source_code_info.location
        if location.leading_comments
    }
    return {name: by_path[path] for path, name in _names(proto) if path in by_path}


def _names(proto: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[Path, str]]:
    scope = f"{proto.package}." if proto.package else ""
    for number, service in enumerate(proto.service):
        path = (FILE_SERVICE, number)
        yield path, f"{scope}{service.name}"
        for place, method in enumerate(service.method):
            yield (*path, SERVICE_METHOD, place), f"{scope}{service.name}.{method.name}"
    for number, extension in enumerate(proto.extension):
        yield (FILE_EXTENSION, number), f"{scope}{extension.name}"
    yield from _enums(proto.enum_type, (FILE_ENUM,), scope)
    yield from _messages(proto.message_type, (FILE_MESSAGE,), scope)


def _messages(messages: Iterable[descriptor_pb2.DescriptorProto], path: Path, scope: str) -> Iterator[tuple[Path, str]]:
    for number, message in enumerate(messages):
        here = (*path, number)
        name = f"{scope}{message.name}"
        yield here, name
        for kind, members in (
            (MESSAGE_FIELD, [field.name for field in message.field]),
            (MESSAGE_EXTENSION, [extension.name for extension in message.extension]),
            (MESSAGE_ONEOF, [oneof.name for oneof in message.oneof_decl]),
        ):
            for place, member in enumerate(members):
                yield (*here, kind, place), f"{name}.{member}"
        yield from _enums(message.enum_type, (*here, MESSAGE_ENUM), f"{name}.")
        yield from _messages(message.nested_type, (*here, MESSAGE_NESTED), f"{name}.")


def _enums(enums: Iterable[descriptor_pb2.EnumDescriptorProto], path: Path, scope: str) -> Iterator[tuple[Path, str]]:
    for number, enum in enumerate(enums):
        yield (*path, number), f"{scope}{enum.name}"
        for place, value in enumerate(enum.value):
            # A value's full name is that of a sibling of its enum (descriptor.proto, EnumValueDescriptorProto).
            yield (*path, number, ENUM_VALUE, place), f"{scope}{value.name}"
