"""What is always at hand: the well-known types, from the modules that google.protobuf ships, and error details."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf import descriptor_pb2

__all__ = ["BUILT_IN_PACKAGES", "ERROR_DETAIL_FILES", "WELL_KNOWN_FILES", "well_known_file", "well_known_names"]

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

ERROR_DETAIL_FILES = ("google/rpc/status.proto", "google/rpc/error_details.proto")
"""What servers attach to a status most often; the compiler has them."""

BUILT_IN_PACKAGES = ("google.protobuf.", "google.rpc.")
"""How the names of types begin that are known without a file of the user's, if they are known at all."""


def well_known_file(name: str) -> descriptor_pb2.FileDescriptorProto | None:
    """The descriptor of a well-known file by its import name, or None."""
    module = WELL_KNOWN_FILES.get(name)
    if module is None:
        return None
    from google.protobuf import descriptor_pb2

    serialized: bytes = import_module(module).DESCRIPTOR.serialized_pb
    return descriptor_pb2.FileDescriptorProto.FromString(serialized)


@cache
def well_known_names() -> dict[str, str]:
    """The full name of each type that a well-known file declares at its top -> the file's import name."""
    found: dict[str, str] = {}
    for name, module in WELL_KNOWN_FILES.items():
        file = import_module(module).DESCRIPTOR
        for declared in (*file.message_types_by_name.values(), *file.enum_types_by_name.values()):
            found[declared.full_name] = name
    return found
