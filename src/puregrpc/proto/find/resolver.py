"""Where sources come from: folders, memory, and the protos that are always there.

A resolver answers a path as an import statement writes it (forward slashes, relative) with the source, with a
descriptor of the file where there is no source, or with None. Resolvers are asked in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from puregrpc._data import resource
from puregrpc.proto.find.import_paths import is_import_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from google.protobuf import descriptor_pb2

    from puregrpc.proto.descriptors import FileDescriptor

    Found = str | bytes | FileDescriptor | descriptor_pb2.FileDescriptorProto

__all__ = [
    "BuiltinResolver",
    "ChainResolver",
    "DescriptorResolver",
    "MemoryResolver",
    "Resolver",
]


COMMON_PROTOS = tuple(f"google.{name}" for name in ("api", "cloud", "gapic", "logging", "longrunning", "rpc", "type"))
"""The packages of googleapis-common-protos."""


class Resolver(Protocol):
    """Finds files by import path."""

    def find(self, path: str) -> Found | None:
        """The source of the file (text or its bytes), a descriptor of it, or None if this resolver does not know it.

        What a FileDescriptor has among its ``missing_dependencies`` may be missing; all that a FileDescriptorProto
        imports is asked for. An OSError becomes a finding about the file.

        The compiler asks for nothing that is no import path (``..``, ``//``, absolute): see ``import_paths``.
        """


class MemoryResolver:
    """Sources held in memory, by import path."""

    def __init__(self, sources: Mapping[str, str | bytes]) -> None:
        self.sources = sources

    def find(self, path: str) -> bytes | None:
        """The source under exactly this path."""
        source = self.sources.get(path)
        return source.encode() if isinstance(source, str) else source


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
        if parts[0] != "google" or len(parts) < 3 or not parts[-1].endswith(".proto") or not is_import_path(path):
            return None
        try:
            if parts[1] == "protobuf":
                return resource("puregrpc.proto", f"include/{path}")
            return resource(f"google.{parts[1]}", "/".join(parts[2:]))
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

    def find_given(self, path: str) -> Found | None:
        """The first answer of those that hold descriptors: these may have names that no source could import."""
        for resolver in self.resolvers:
            if isinstance(resolver, ChainResolver):
                found = resolver.find_given(path)
            else:
                found = resolver.find(path) if isinstance(resolver, DescriptorResolver) else None
            if found is not None:
                return found
        return None
