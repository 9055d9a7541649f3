"""Import paths: how files are named in import statements, and which spellings protoc takes.

A file has one import path. Were there several, one file could be compiled twice, under two names; and one that goes
up with ``..`` or begins at the root would lead out of the folders that a program was told to read from.
"""

from __future__ import annotations

import os
import re

__all__ = ["canonical_path", "decode_path", "encode_path", "is_import_path", "why_refused"]

REFUSED = 'Backslashes, consecutive slashes, ".", or ".." are not allowed in the virtual path'
NOT_CANONICAL = re.compile(r"//|(?:^|/)\.\.?(?:/|$)")
HAS_BACKSLASHES = os.sep == "\\"
DRIVE = re.compile(r"[A-Za-z]:")


def canonical_path(path: str) -> str:
    """A path without empty parts and without ``.``; ``..`` stays, since what is before it may be a symbolic link."""
    if HAS_BACKSLASHES:
        path = path.replace("\\", "/")
    if NOT_CANONICAL.search(path) is None:
        return path
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return ("/" if path.startswith("/") else "") + "/".join(parts) + ("/" if path.endswith("/") and parts else "")


def has_parent_reference(path: str) -> bool:
    """Whether a path goes up somewhere."""
    return ".." in path.split("/")


def is_absolute(path: str) -> bool:
    """Whether a path begins at a root of the file system."""
    return path.startswith("/") or (HAS_BACKSLASHES and DRIVE.match(path) is not None)


def why_refused(path: str) -> str:
    """What protoc says of an import path that it does not look for as it is spelt; nothing of others."""
    return REFUSED if NOT_CANONICAL.search(path) or (HAS_BACKSLASHES and "\\" in path) else ""


def is_import_path(path: str) -> bool:
    """Whether a path names a file below a folder, in the one way in which it may."""
    return bool(path) and not why_refused(path) and not is_absolute(path)


def decode_path(raw: str) -> str:
    """The path that stands in a source, where one character is one byte; what is no UTF-8 becomes surrogates."""
    return raw if raw.isascii() else raw.encode("latin-1").decode("utf-8", "surrogateescape")


def encode_path(path: str) -> bytes:
    """The bytes of a path."""
    return path.encode("utf-8", "surrogateescape")
