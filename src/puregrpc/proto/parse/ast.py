"""The syntax tree of a .proto file: what was written, before any name is resolved.

It mirrors FileDescriptorProto (google/protobuf/descriptor.proto) closely: groups and maps have already become a
field and a message, and proto3 ``optional`` has its oneof. Strings hold one character per byte (see lexer).
Nodes know no positions: source_info finds them from the tokens when they are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

__all__ = [
    "Enum",
    "EnumValue",
    "ExtensionRange",
    "Field",
    "File",
    "Import",
    "Label",
    "Message",
    "Method",
    "Node",
    "Oneof",
    "Option",
    "OptionValue",
    "ReservedRange",
    "Service",
    "ValueKind",
    "Visibility",
]


class Label:
    """FieldDescriptorProto.Label, and NONE."""

    NONE: Final = 0
    OPTIONAL: Final = 1
    REQUIRED: Final = 2
    REPEATED: Final = 3


class Visibility:
    """SymbolVisibility: what ``export`` and ``local`` say (edition 2024)."""

    UNSET: Final = 0
    LOCAL: Final = 1
    EXPORT: Final = 2


class ValueKind:
    """Which of UninterpretedOption's value fields holds an option's value, by field number."""

    IDENTIFIER: Final = 3
    POSITIVE_INTEGER: Final = 4
    NEGATIVE_INTEGER: Final = 5
    DOUBLE: Final = 6
    STRING: Final = 7
    AGGREGATE: Final = 8


OptionValue = str | int | float | tuple[str, ...]
"""An aggregate is kept as its tokens, without the braces around them."""


@dataclass(slots=True, eq=False)
class Option:
    """``name = value``: each part of the name is (text, whether it stands in parentheses)."""

    name: tuple[tuple[str, bool], ...]
    kind: int
    value: OptionValue
    is_uninterpreted: bool = False
    """It comes from a descriptor, whose other options are interpreted."""


@dataclass(slots=True, eq=False)
class Field:
    """A field, an extension, or one half of a map entry."""

    name: str
    number: int
    label: int
    type: int
    """FieldDescriptorProto.Type, or 0 while only ``type_name`` is known."""
    type_name: str = ""
    oneof_index: int = -1
    extendee: str = ""
    options: list[Option] | None = None
    default: str | None = None
    json_name: str | None = None
    is_proto3_optional: bool = False


@dataclass(slots=True, eq=False)
class Oneof:
    """A oneof; ``is_synthetic`` for the one made for a proto3 ``optional`` field."""

    name: str
    options: list[Option] | None = None
    is_synthetic: bool = False


@dataclass(slots=True, eq=False)
class ExtensionRange:
    """``extensions start to end - 1``."""

    start: int
    end: int
    options: list[Option] | None = None


@dataclass(slots=True, eq=False)
class EnumValue:
    """One value of an enum."""

    name: str
    number: int
    options: list[Option] | None = None


@dataclass(slots=True, eq=False)
class Enum:
    """An enum. Reserved ranges include both ends."""

    name: str
    values: list[EnumValue] = field(default_factory=list)
    options: list[Option] | None = None
    reserved_ranges: list[tuple[int, int]] = field(default_factory=list)
    reserved_names: list[str] = field(default_factory=list)
    visibility: int = Visibility.UNSET


@dataclass(slots=True, eq=False)
class Message:
    """A message. Reserved ranges leave out their end."""

    name: str
    fields: list[Field] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    enums: list[Enum] = field(default_factory=list)
    extensions: list[Field] = field(default_factory=list)
    extension_ranges: list[ExtensionRange] = field(default_factory=list)
    oneofs: list[Oneof] = field(default_factory=list)
    options: list[Option] | None = None
    reserved_ranges: list[tuple[int, int]] = field(default_factory=list)
    reserved_names: list[str] = field(default_factory=list)
    visibility: int = Visibility.UNSET
    is_map_entry: bool = False


@dataclass(slots=True, eq=False)
class Method:
    """An RPC."""

    name: str
    input_type: str
    output_type: str
    is_client_stream: bool = False
    is_server_stream: bool = False
    options: list[Option] | None = None


@dataclass(slots=True, eq=False)
class Service:
    """A service."""

    name: str
    methods: list[Method] = field(default_factory=list)
    options: list[Option] | None = None


@dataclass(slots=True, eq=False)
class Import:
    """``import [public | weak | option] "path";``."""

    path: str
    modifier: str = ""


@dataclass(slots=True, eq=False)
class File:
    """A whole file. ``syntax`` is "", "proto2", "proto3" or "editions"; ``edition`` is google.protobuf.Edition."""

    name: str
    syntax: str = ""
    edition: int = 0
    package: str = ""
    imports: list[Import] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    enums: list[Enum] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    extensions: list[Field] = field(default_factory=list)
    options: list[Option] | None = None
    missing_imports: frozenset[str] = frozenset()
    """Imports of a descriptor that nobody knows: a type that is not found may be in one of them."""
    is_descriptor: bool = False
    """Made from a FileDescriptorProto: there is no text, and what was compiled once is not judged by its style."""


@dataclass(frozen=True, slots=True)
class ReservedRange:
    """The ``index``-th reserved range of a message or enum."""

    owner: Message | Enum
    index: int


Node = File | Message | Field | Oneof | ExtensionRange | Enum | EnumValue | Service | Method | Option | ReservedRange
"""What a diagnostic can be about."""
