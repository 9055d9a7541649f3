"""Sources in folders, as with protoc's --proto_path, and how files on disk are named below them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from puregrpc._data import is_file, is_folder, read
from puregrpc.proto.find.import_paths import canonical_path, has_parent_reference, is_absolute, is_import_path
from puregrpc.proto.find.resolver import ChainResolver, Resolver

__all__ = ["FolderResolver", "NotBelowImportPathError", "exists", "read_if_there", "where_searched"]

MAX_FOLDERS_SHOWN = 10

NOT_THERE = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.ENXIO}
)
"""The errors that say that a folder has no file of a name, so that the next is asked."""


class NotBelowImportPathError(Exception):
    """A file on disk has no import path below the folders."""

    def __init__(self, message: str, shadow: str = "") -> None:
        super().__init__(message)
        self.shadow = shadow
        """The file of an earlier folder that has its name, if that is the reason."""


class FolderResolver:
    """Files below import paths; the first folder that has a file wins, as with ``protoc -I``. Zip files are folders.

    Links are followed wherever they lead, as protoc does; nothing else leads out of the folders. A pair (virtual path,
    path on disk) is a folder, or a file, that imports name with the virtual path before what is below it, as with
    protoc's ``-I virtual=disk``.
    """

    def __init__(self, import_paths: Sequence[str | Path | tuple[str, str]]) -> None:
        self._mappings = [root if isinstance(root, tuple) else ("", str(root)) for root in import_paths]
        self.roots = [disk for _, disk in self._mappings]

    def find(self, path: str) -> bytes | None:
        """The contents of the file in the first root that has it.

        Raises OSError if it is there and cannot be read.
        """
        for candidate in self.candidates(path):
            contents = read_if_there(candidate)
            if contents is not None:
                return contents
        return None

    def locate(self, path: str) -> str | None:
        """Where on disk the file is that ``find`` would read."""
        return next((candidate for candidate in self.candidates(path) if is_file(candidate)), None)

    def candidates(self, path: str) -> Iterator[str]:
        """Where a file may be; nowhere if ``path`` is no import path."""
        if is_import_path(path):
            for virtual, disk in self._mappings:
                if (below := _below(path, virtual)) is not None:
                    yield _joined(disk, below)

    def import_path(self, file: str) -> str:
        """What an import statement calls a file on disk: its path without that of the first root it begins with.

        Paths are compared as they are spelt, as protoc does, but for empty parts and ``.``. Raises
        NotBelowImportPathError if the file is below no root or hidden by another, and OSError if it cannot be read.
        """
        whole = canonical_path(file)
        for index, (virtual, disk) in enumerate(self._mappings):
            below = _below(whole, canonical_path(disk))
            if below is None:
                continue
            path = _joined(virtual, below)
            for earlier_virtual, earlier_disk in self._mappings[:index]:
                other = _below(path, earlier_virtual)
                shadow = "" if other is None else _joined(canonical_path(earlier_disk), other)
                if shadow and exists(shadow):
                    raise NotBelowImportPathError(
                        f'{file}: Input is shadowed in the --proto_path by "{shadow}".  Either use the latter file as '
                        "your input or reorder the --proto_path so that the former file's location comes first.",
                        shadow,
                    )
            if Path(file).is_dir():
                raise IsADirectoryError(errno.EISDIR, "Input file is a directory.", file)
            os.close(os.open(file, os.O_RDONLY))
            return path
        raise NotBelowImportPathError(
            f"{file}: File does not reside within any path specified using --proto_path (or -I).  You must specify a "
            "--proto_path which encompasses this file, spelt the way the file name begins."
        )


def _below(path: str, root: str) -> str | None:
    """The part of a canonical path below another; empty if they are the same, None where it is not below it."""
    if root == "":
        below = None if is_absolute(path) else path
    elif path == root:
        return ""
    else:
        below = path[len(root) :].removeprefix("/") if path.startswith(root.rstrip("/") + "/") else None
    return None if below is None or has_parent_reference(below) else below


def _joined(root: str, below: str) -> str:
    """The path of what is below another."""
    return f"{root.removesuffix('/')}/{below}" if root and below else root or below


def read_if_there(path: str) -> bytes | None:
    """What a file holds; None where no file of that name can be. Raises OSError if it cannot be read."""
    try:
        return read(path)
    except ValueError:  # no name for a file
        return None
    except OSError as error:
        if error.errno in NOT_THERE:
            return None
        raise


def exists(path: str) -> bool:
    """Whether there is a file or folder of exactly this name."""
    try:
        return os.path.exists(path)  # noqa: PTH110 - Path would take no notice of a slash at the end
    except ValueError:
        return False


def where_searched(resolver: Resolver) -> str:
    """A hint for a file that was not found: the import paths it was looked for in, and which of these are none."""
    roots = list(dict.fromkeys(_roots(resolver)))
    if not roots:
        return ""
    shown = ", ".join(f'"{root}"' for root in roots[:MAX_FOLDERS_SHOWN])
    more = f" and {len(roots) - MAX_FOLDERS_SHOWN} more" if len(roots) > MAX_FOLDERS_SHOWN else ""
    gone = [f'"{root}"' for root in roots[:MAX_FOLDERS_SHOWN] if not is_folder(root)]
    verb = "is no folder" if len(gone) == 1 else "are no folders"
    return f"looked in {shown}{more}" + (f"; {', '.join(gone)} {verb}" if gone else "")


def _roots(resolver: Resolver) -> list[str]:
    if isinstance(resolver, ChainResolver):
        return [root for each in resolver.resolvers for root in _roots(each)]
    return [root or "." for root in resolver.roots] if isinstance(resolver, FolderResolver) else []
