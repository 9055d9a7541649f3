"""FileDescriptorSets as they are written: files in the order of their imports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from puregrpc.proto.descriptors import FileDescriptor
from puregrpc.proto.wire_values import length_delimited

__all__ = ["with_imports", "write_set"]


def with_imports(files: Sequence[FileDescriptor]) -> Iterator[FileDescriptor]:
    """The files, each behind what it imports."""
    seen: set[FileDescriptor] = set()
    pending = [(file, False) for file in reversed(files)]
    while pending:
        file, imports_are_done = pending.pop()
        if imports_are_done:
            yield file
        elif file not in seen:
            seen.add(file)
            pending.append((file, True))
            pending += [(other, False) for other in reversed([*file.dependencies, *file.option_dependencies])]


def write_set(target: Path, files: Iterator[FileDescriptor], *, source_info: bool) -> None:
    """Write a FileDescriptorSet."""
    with target.open("wb") as out:
        for file in files:
            out.write(length_delimited(1, file.to_proto(source_info=source_info).SerializeToString(deterministic=True)))
