"""What a full name can stand for."""

from __future__ import annotations

from dataclasses import dataclass

from puregrpc.proto.descriptors import (
    EnumDescriptor,
    EnumValueDescriptor,
    FieldDescriptor,
    MessageDescriptor,
    MethodDescriptor,
    OneofDescriptor,
    ServiceDescriptor,
)

__all__ = ["AGGREGATES", "TYPES", "Package", "Symbol"]


@dataclass(slots=True, eq=False)
class Package:
    """A package, or the outer part of one, and the files that have it, a bit for each."""

    name: str
    files: int = 0


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
