"""Files and all that they import, each once, without a recursion that long chains of imports could exhaust."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from puregrpc.proto.descriptors import FileDescriptor

__all__ = ["files_first", "imports_first"]


def imports_first(
    files: Iterable[FileDescriptor], *, known: Container[str] = (), with_option_imports: bool = False
) -> Iterator[FileDescriptor]:
    """Each file behind what it imports, as descriptor pools and FileDescriptorSets have them.

    A file whose name is in ``known`` is left out, with what only it imports.
    """
    seen: set[FileDescriptor] = set()
    pending = [(file, False) for file in reversed(list(files))]
    while pending:
        file, imports_are_done = pending.pop()
        if imports_are_done:
            yield file
        elif file not in seen and file.name not in known:
            seen.add(file)
            pending.append((file, True))
            if with_option_imports:
                pending += [(other, False) for other in reversed(file.option_dependencies)]
            pending += [(other, False) for other in reversed(file.dependencies)]


def files_first(files: Iterable[FileDescriptor]) -> Iterator[FileDescriptor]:
    """The files, then those that they import, then what these import."""
    seen: set[FileDescriptor] = set()
    waiting = list(files)
    while waiting:
        following: list[FileDescriptor] = []
        for file in waiting:
            if file not in seen:
                seen.add(file)
                following += file.dependencies
                yield file
        waiting = following
