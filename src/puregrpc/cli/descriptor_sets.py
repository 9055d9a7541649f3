"""FileDescriptorSets as they are written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from puregrpc.proto.descriptors import FileDescriptor
from puregrpc.proto.wire_values import length_delimited

__all__ = ["write_set"]


def write_set(target: Path, files: Iterable[FileDescriptor], *, source_info: bool) -> None:
    """Write a FileDescriptorSet."""
    with target.open("wb") as out:
        for file in files:
            out.write(length_delimited(1, file.to_proto(source_info=source_info).SerializeToString(deterministic=True)))
