"""Where sources come from: folders, memory, and the protos that are always there.

A resolver answers a path as an import statement writes it (forward slashes, relative) with the source, with a
descriptor of the file where there is no source, or with None. Resolvers are asked in order.
"""

from __future__ import annotations

import os
from pathlib import Path
from pkgutil import get_data
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from google.protobuf import descriptor_pb2

    from puregrpc.proto.descriptors import FileDescriptor

    Found = str | bytes | FileDescriptor | descriptor_pb2.FileDescriptorProto

__all__ = [
    "BuiltinResolver",
    "ChainResolver",
    "DescriptorResolver",
    "FolderResolver",
    "MemoryResolver",
    "Resolver",
    "where_searched",
]

MAX_FOLDERS_SHOWN = 10
READ_SIZE = 1 << 16


class Resolver(Protocol):
    """Finds files by import path."""

    def find(self, path: str) -> Found | None:
        """The source of the file (text or its bytes), a descriptor of it, or None if this resolver does not know it.

        What a FileDescriptor has among its ``missing_dependencies`` may be missing; all that a FileDescriptorProto
        imports is asked for. OSError if the file cannot be read.
        """


class MemoryResolver:
    """Sources held in memory, by import path."""

    def __init__(self, sources: Mapping[str, str | bytes]) -> None:
        self.sources = sources

    def find(self, path: str) -> bytes | None:
        """The source under exactly this path."""
        source = self.sources.get(path)
        return source.encode() if isinstance(source, str) else source


class FolderResolver:
    """Files below import paths; the first folder that has a file wins, as with ``protoc -I``."""

    def __init__(self, import_paths: Sequence[str | Path]) -> None:
        self.roots = [str(root) for root in import_paths]

    def find(self, path: str) -> bytes | None:
        """The contents of the file in the first root that has it."""
        for root in self.roots:
            try:
                return _contents(f"{root}/{path}" if root else path)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
                continue
        return None

    def locate(self, path: str) -> str | None:
        """Where on disk the file is that ``find`` would read."""
        for root in self.roots:
            candidate = f"{root}/{path}" if root else path
            if Path(candidate).is_file():
                return candidate
        return None


READ_ONLY = os.O_RDONLY | getattr(os, "O_BINARY", 0)


def _contents(path: str) -> bytes:
    """What a file holds; of thousands of small files, opening one with a buffer takes as long as all the rest."""
    file = os.open(path, READ_ONLY)
    try:
        parts = []
        while part := os.read(file, READ_SIZE):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(file)


class DescriptorResolver:
    """Files that are given as descriptors: those of a FileDescriptorSet, for instance, or a registry's.

    Of several files with one name the first counts, as with ``protoc --descriptor_set_in``.
    """

    def __init__(self, files: Iterable[FileDescriptor | descriptor_pb2.FileDescriptorProto]) -> None:
        self.files: dict[str, FileDescriptor | descriptor_pb2.FileDescriptorProto] = {}
        for file in files:
            self.files.setdefault(file.name, file)

    def find(self, path: str) -> FileDescriptor | descriptor_pb2.FileDescriptorProto | None:
        """The descriptor of that name."""
        return self.files.get(path)


class BuiltinResolver:
    """google/protobuf from this package; google/api, google/rpc, google/type from googleapis-common-protos.

    Only data files are read; no generated code is imported.
    """

    def find(self, path: str) -> bytes | None:
        """The source that ships with the package or with its dependency."""
        parts = path.split("/")
        if parts[0] != "google" or len(parts) < 3 or ".." in parts or not parts[-1].endswith(".proto"):
            return None
        try:
            if parts[1] == "protobuf":
                return get_data("puregrpc.proto", f"include/{path}")
            from importlib.resources import files

            place = files(f"google.{parts[1]}")
            for part in parts[2:]:
                place = place / part
            return place.read_bytes()
        except (OSError, ValueError, ImportError):
            return None


class ChainResolver:
    """Several resolvers, asked in order."""

    def __init__(self, resolvers: Sequence[Resolver]) -> None:
        self.resolvers = resolvers

    def find(self, path: str) -> Found | None:
        """The first answer that is not None."""
        for resolver in self.resolvers:
            source = resolver.find(path)
            if source is not None:
                return source
        return None


def where_searched(resolver: Resolver) -> str:
    """A hint for a file that was not found: the import paths it was looked for in, and which of these are none."""
    roots = list(dict.fromkeys(_roots(resolver)))
    if not roots:
        return ""
    shown = ", ".join(f'"{root}"' for root in roots[:MAX_FOLDERS_SHOWN])
    more = f" and {len(roots) - MAX_FOLDERS_SHOWN} more" if len(roots) > MAX_FOLDERS_SHOWN else ""
    gone = [f'"{root}"' for root in roots[:MAX_FOLDERS_SHOWN] if not Path(root).is_dir()]
    verb = "is no folder" if len(gone) == 1 else "are no folders"
    return f"looked in {shown}{more}" + (f"; {', '.join(gone)} {verb}" if gone else "")


def _roots(resolver: Resolver) -> list[str]:
    if isinstance(resolver, ChainResolver):
        return [root for each in resolver.resolvers for root in _roots(each)]
    return [root or "." for root in resolver.roots] if isinstance(resolver, FolderResolver) else []
