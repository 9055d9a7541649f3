"""Reading files, inside zip files too: those that came with a package, wherever it is, and any others."""

from __future__ import annotations

import errno
import os

__all__ = ["is_file", "is_folder", "read", "resource"]

READ_SIZE = 1 << 16
READ_ONLY = os.O_RDONLY | getattr(os, "O_BINARY", 0)
BELOW_A_FILE = {errno.ENOTDIR, errno.ENOENT} if os.name == "nt" else {errno.ENOTDIR}
"""The errors for a path that leads into a file, which may be a zip file."""


def read(path: str) -> bytes:
    """What a file holds; ``app.pyz/definitions/a.proto`` is in a zip file. Raises OSError if it cannot be read."""
    try:
        file = os.open(path, READ_ONLY)
    except OSError as error:
        found = _from_archive(path) if error.errno in BELOW_A_FILE else None
        if found is None:
            raise
        return found
    # Of thousands of small files, opening one with a buffer takes as long as all the rest.
    try:
        parts = []
        while part := os.read(file, READ_SIZE):
            parts.append(part)
        return b"".join(parts)
    except OSError as error:  # a folder's
        error.filename = path
        raise
    finally:
        os.close(file)


def resource(package: str, path: str) -> bytes:
    """A file of a package, by its path below it with forward slashes. Raises OSError or ImportError without it."""
    from importlib.util import find_spec

    spec = find_spec(package)
    if spec is None:
        above, _, name = package.rpartition(".")
        if not above:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return resource(above, f"{name}/{path}")  # a bundler may bring the files of a package that nothing imports
    for folder in spec.submodule_search_locations or ():  # several, of a namespace package
        try:
            return read(f"{folder}/{path}")
        except OSError:
            continue
    from importlib.resources import files  # large, and needed only where packages are no folders

    place = files(package)
    for part in path.split("/"):
        place = place / part
    return place.read_bytes()


def is_file(path: str) -> bool:
    """Whether `read` finds a file, readable or not."""
    try:
        return os.path.isfile(path) or _from_archive(path) is not None  # noqa: PTH113 - Path drops a slash at the end
    except ValueError:  # no name for a file
        return False


def is_folder(path: str) -> bool:
    """Whether files may be found below a path: it is a folder, a zip file, or inside of one."""
    return os.path.isdir(path) or _importer(path) is not None  # noqa: PTH112 - as above


def _importer(path: str) -> object | None:
    """What imports modules from a zip file, or from a folder in it."""
    from pkgutil import get_importer

    try:
        importer = get_importer(path)
    except ValueError:
        return None
    return importer if hasattr(importer, "get_data") else None


def _from_archive(path: str) -> bytes | None:
    """A file in the zip file that is part of its path."""
    above = os.path.dirname(path)  # noqa: PTH120 - text in, text out
    while above and not os.path.exists(above):  # noqa: PTH110
        above, below = os.path.dirname(above), above  # noqa: PTH120
        if above == below:
            return None
    get_data = getattr(_importer(above), "get_data", None) if os.path.isfile(above) else None  # noqa: PTH113
    if get_data is None:
        return None
    try:
        data: bytes = get_data(os.path.normpath(path))  # zipimport compares text
    except OSError:
        return None
    return data
