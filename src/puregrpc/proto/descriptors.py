"""Run-time descriptors: what a .proto file means once names are resolved, features applied and defaults known.

They are what the registry hands out and what the codec generates code from. They hold answers, not source: a field
says whether it is packed or has presence, whichever syntax or edition said so (descriptor.proto; the edition
features of https://protobuf.dev/editions/features/). Descriptors are built once and then only read.

The compiler makes them from source; the schema room makes the same ones from a FileDescriptorProto.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf import descriptor_pb2

__all__ = [
    "MAX_FIELD_NUMBER",
    "MAX_NAME_LENGTH",
    "MAX_PACKAGE_PARTS",
    "DescriptorSource",
    "Edition",
    "EnumDescriptor",
    "EnumValueDescriptor",
    "FieldDescriptor",
    "FieldType",
    "FileDescriptor",
    "MessageDescriptor",
    "MethodDescriptor",
    "OneofDescriptor",
    "ServiceDescriptor",
    "longest_names",
]


MAX_FIELD_NUMBER = (1 << 29) - 1
"""Three bits of a 32-bit tag are the wire type (https://protobuf.dev/programming-guides/encoding/#structure)."""


MAX_NAME_LENGTH = 4096
"""Of a full name. Full names repeat the names they are nested in, so a limit on them bounds the memory of a schema."""

MAX_PACKAGE_PARTS = 128
"""Names are looked for in each of the packages around them, and each of these is known by its own full name."""


def longest_names(count: int) -> int:
    """How many characters the scopes of so many names may have together, as full names repeat them.

    Without a limit a few kilobytes of short names in a long package take a hundred times as much memory.
    """
    return (256 << 10) + 256 * count


class FieldType(IntEnum):
    """The types of fields, numbered as FieldDescriptorProto.Type."""

    DOUBLE = 1
    FLOAT = 2
    INT64 = 3
    UINT64 = 4
    INT32 = 5
    FIXED64 = 6
    FIXED32 = 7
    BOOL = 8
    STRING = 9
    GROUP = 10
    MESSAGE = 11
    BYTES = 12
    UINT32 = 13
    ENUM = 14
    SFIXED32 = 15
    SFIXED64 = 16
    SINT32 = 17
    SINT64 = 18


class Edition(IntEnum):
    """The editions, numbered as google.protobuf.Edition; the two syntaxes count as editions of their own."""

    PROTO2 = 998
    PROTO3 = 999
    EDITION_2023 = 1000
    EDITION_2024 = 1001
    EDITION_2026 = 1002


class _Named:
    """A descriptor is shown by its name: what it leads to is the whole of its file, and what that imports."""

    __slots__ = ()

    def __repr__(self) -> str:
        name = getattr(self, "full_name", None) or getattr(self, "name", "")
        return f"<{type(self).__name__} {name}>"


@dataclass(slots=True, eq=False, repr=False)
class FieldDescriptor(_Named):
    """One field of a message, or an extension of one."""

    name: str
    full_name: str
    json_name: str
    number: int
    type: FieldType
    """MESSAGE also where the wire form is delimited (a group): see ``is_delimited``. Never GROUP."""
    is_repeated: bool = False
    """True for lists and for maps."""
    is_required: bool = False
    has_presence: bool = False
    """Whether "not set" differs from the default: never true for a repeated field (field presence, editions)."""
    is_packed: bool = False
    is_delimited: bool = False
    """Written as a group: start and end tags in place of a length (feature message_encoding = DELIMITED)."""
    validates_utf8: bool = False
    """For strings: invalid UTF-8 is an error (feature utf8_validation = VERIFY)."""
    is_extension: bool = False
    is_synthetic_oneof: bool = False
    """proto3 ``optional``: FileDescriptorProto wraps it in a oneof of its own, which is not a real one."""
    default: object = None
    """The explicit or implied default of a singular scalar or enum (enum: its number); None for all others."""
    message_type: MessageDescriptor | None = None
    """The type of a MESSAGE field; for a map, its entry type."""
    enum_type: EnumDescriptor | None = None
    containing_type: MessageDescriptor | None = None
    """The message that the field belongs to; for an extension, the message it extends."""
    containing_oneof: OneofDescriptor | None = None
    """The oneof it is in; None for a synthetic one."""
    file: FileDescriptor | None = None
    extension_scope: MessageDescriptor | None = None
    """For an extension declared inside a message: that message."""

    @property
    def is_map(self) -> bool:
        """True for ``map<K, V>``: repeated entries of ``message_type``, whose fields 1 and 2 are key and value."""
        return self.message_type is not None and self.is_repeated and self.message_type.is_map_entry


@dataclass(slots=True, eq=False, repr=False)
class OneofDescriptor(_Named):
    """A real oneof: at most one of its fields is set."""

    name: str
    full_name: str
    fields: list[FieldDescriptor] = field(default_factory=list)


@dataclass(slots=True, eq=False, repr=False)
class EnumValueDescriptor(_Named):
    """One name of an enum with its number."""

    name: str
    number: int


@dataclass(slots=True, eq=False, repr=False)
class EnumDescriptor(_Named):
    """An enum. Several names may share a number (allow_alias): the first declared one stands for it."""

    name: str
    full_name: str
    values: list[EnumValueDescriptor] = field(default_factory=list)
    is_closed: bool = False
    """Numbers it does not name are unknown fields (feature enum_type = CLOSED), not values."""
    containing_type: MessageDescriptor | None = None
    file: FileDescriptor | None = None
    _numbers: tuple[int, dict[str, int]] = field(default=(0, {}), init=False)
    """What `number_of` looks at, and how many values there were when it was made."""

    def number_of(self, name: str) -> int | None:
        """The number of a value; None if there is none of that name."""
        count, numbers = self._numbers
        if count != len(self.values):
            numbers = {value.name: value.number for value in reversed(self.values)}  # the first of a name counts
            self._numbers = (len(self.values), numbers)
        return numbers.get(name)


@dataclass(slots=True, eq=False, repr=False)
class MessageDescriptor(_Named):
    """A message type."""

    name: str
    full_name: str
    fields: list[FieldDescriptor] = field(default_factory=list)
    """In order of declaration."""
    oneofs: list[OneofDescriptor] = field(default_factory=list)
    """The real oneofs, in order of declaration."""
    nested_types: list[MessageDescriptor] = field(default_factory=list)
    """In order of declaration, map entries included."""
    enum_types: list[EnumDescriptor] = field(default_factory=list)
    extensions: list[FieldDescriptor] = field(default_factory=list)
    """Extensions that are declared inside this message."""
    extension_ranges: list[tuple[int, int]] = field(default_factory=list)
    """(start, end), the end not included."""
    is_map_entry: bool = False
    is_message_set: bool = False
    """proto2's message_set_wire_format."""
    containing_type: MessageDescriptor | None = None
    file: FileDescriptor | None = None
    absence: str = ""
    """Of one without a file, which stands for a type that is not known: what is missing."""


@dataclass(slots=True, eq=False, repr=False)
class MethodDescriptor(_Named):
    """One RPC of a service."""

    name: str
    full_name: str
    """As in ``pkg.Service.Method``."""
    input_type: MessageDescriptor
    output_type: MessageDescriptor
    is_client_stream: bool = False
    is_server_stream: bool = False
    service: ServiceDescriptor | None = None

    @property
    def path(self) -> str:
        """The :path of its requests, ``/pkg.Service/Method`` (PROTOCOL-HTTP2, "Requests")."""
        service = self.service
        return f"/{service.full_name if service else ''}/{self.name}"


@dataclass(slots=True, eq=False, repr=False)
class ServiceDescriptor(_Named):
    """A service."""

    name: str
    full_name: str
    methods: list[MethodDescriptor] = field(default_factory=list)
    file: FileDescriptor | None = None


@dataclass(slots=True, eq=False, repr=False)
class FileDescriptor(_Named):
    """One .proto file with everything declared in it."""

    name: str
    """As it is imported: a path with forward slashes."""
    package: str = ""
    edition: Edition = Edition.PROTO2
    dependencies: list[FileDescriptor] = field(default_factory=list)
    """What it imports, in order. A file that is missing from a set is left out (see ``missing_dependencies``)."""
    public_dependencies: list[FileDescriptor] = field(default_factory=list)
    option_dependencies: list[FileDescriptor] = field(default_factory=list)
    """What ``import option`` names (edition 2024), as far as it is there: its options alone may be used."""
    missing_dependencies: list[str] = field(default_factory=list)
    messages: list[MessageDescriptor] = field(default_factory=list)
    enums: list[EnumDescriptor] = field(default_factory=list)
    extensions: list[FieldDescriptor] = field(default_factory=list)
    services: list[ServiceDescriptor] = field(default_factory=list)
    source: DescriptorSource | None = None
    """Where the full FileDescriptorProto (options, comments) can be had from."""

    def to_proto(self, *, source_info: bool = False) -> descriptor_pb2.FileDescriptorProto:
        """The file as a FileDescriptorProto with options interpreted; with comments and positions when asked for.

        Raises LookupError if the file was made without a source to answer from, SchemaError if google.protobuf cannot
        hold it: without native code, a default of a proto2 string that is not UTF-8.
        """
        if self.source is None:
            raise LookupError(f"{self.name}: no FileDescriptorProto is known for this file")
        return self.source.file_descriptor_proto(source_info=source_info)


class DescriptorSource(Protocol):
    """What can give a file's FileDescriptorProto: a compiled source, or the serialized descriptor it came as."""

    def file_descriptor_proto(self, *, source_info: bool) -> descriptor_pb2.FileDescriptorProto:
        """The descriptor; ``source_info`` asks for comments and positions, as far as they are known."""

    def comments(self) -> Mapping[str, str]:
        """Leading comments by full name, as far as they are known."""
