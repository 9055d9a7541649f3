"""The well-known types as descriptors that are always at hand, from the modules that google.protobuf ships."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf import descriptor_pb2

__all__ = ["WELL_KNOWN_FILES", "well_known_file"]

WELL_KNOWN_FILES = {
    f"google/protobuf/{name}.proto": f"google.protobuf.{name}_pb2"
    for name in (
        "any",
        "api",
        "descriptor",
        "duration",
        "empty",
        "field_mask",
        "source_context",
        "struct",
        "timestamp",
        "type",
        "wrappers",
    )
}
"""Import name -> Python module."""


def well_known_file(name: str) -> descriptor_pb2.FileDescriptorProto | None:
    """The descriptor of a well-known file by its import name, or None."""
    module = WELL_KNOWN_FILES.get(name)
    if module is None:
        return None
    from google.protobuf import descriptor_pb2

    serialized: bytes = import_module(module).DESCRIPTOR.serialized_pb
    return descriptor_pb2.FileDescriptorProto.FromString(serialized)
