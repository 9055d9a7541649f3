"""What a full name can stand for."""

from __future__ import annotations

from dataclasses import dataclass, field

from puregrpc.proto.descriptors import (
    EnumDescriptor,
    EnumValueDescriptor,
    FieldDescriptor,
    FileDescriptor,
    MessageDescriptor,
    MethodDescriptor,
    OneofDescriptor,
    ServiceDescriptor,
)

__all__ = ["AGGREGATES", "TYPES", "Package", "Symbol"]


@dataclass(slots=True, eq=False)
class Package:
    """A package, or the outer part of one, and the files that have it."""

    name: str
    files: set[FileDescriptor] = field(default_factory=set)


Symbol = (
    Package
    | MessageDescriptor
    | EnumDescriptor
    | EnumValueDescriptor
    | FieldDescriptor
    | OneofDescriptor
    | ServiceDescriptor
    | MethodDescriptor
)

AGGREGATES = (MessageDescriptor, Package, EnumDescriptor, ServiceDescriptor)
TYPES = (MessageDescriptor, EnumDescriptor)
