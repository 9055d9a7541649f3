"""Where sources come from: folders, memory, and the protos that are always there.

A resolver answers a path as an import statement writes it (forward slashes, relative) with the source's bytes, or
None. Resolvers are asked in order.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["BuiltinResolver", "ChainResolver", "FolderResolver", "MemoryResolver", "Resolver"]


class Resolver(Protocol):
    """Finds sources by import path."""

    def find(self, path: str) -> bytes | None:
        """The bytes of the source, or None if this resolver does not know it. OSError if it cannot be read."""


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
                with open(f"{root}/{path}" if root else path, "rb") as file:  # noqa: PTH123 - thousands of files
                    return file.read()
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


class BuiltinResolver:
    """google/protobuf from this package; google/api, google/rpc, google/type from googleapis-common-protos.

    Only data files are read; no generated code is imported.
    """

    def find(self, path: str) -> bytes | None:
        """The source that ships with the package or with its dependency."""
        parts = path.split("/")
        if parts[0] != "google" or len(parts) < 3 or ".." in parts or not parts[-1].endswith(".proto"):
            return None
        for package, below in (("puregrpc.proto", ["include", *parts]), (f"google.{parts[1]}", parts[2:])):
            try:
                place = files(package)
                for part in below:
                    place = place / part
                return place.read_bytes()
            except (OSError, ValueError, ImportError):
                continue
        return None


class ChainResolver:
    """Several resolvers, asked in order."""

    def __init__(self, resolvers: Sequence[Resolver]) -> None:
        self.resolvers = resolvers

    def find(self, path: str) -> bytes | None:
        """The first answer that is not None."""
        for resolver in self.resolvers:
            source = resolver.find(path)
            if source is not None:
                return source
        return None
