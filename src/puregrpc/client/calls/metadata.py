"""Metadata as a script gives it, as it is sent, and as a script sees it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from puregrpc.wire.metadata import is_reserved

__all__ = ["grouped", "metadata_problem", "sendable"]

_NAME = re.compile(r"[0-9a-z_.-]+")
_VALUE = re.compile(r"[ -~]*")


def grouped(metadata: Sequence[tuple[str, str | bytes]]) -> dict[str, list[str | bytes]]:
    """Metadata as name -> list of values."""
    found: dict[str, list[str | bytes]] = {}
    for name, value in metadata:
        if name in found:
            found[name].append(value)
        else:
            found[name] = [value]
    return found


def metadata_problem(metadata: Sequence[tuple[str, str | bytes]]) -> str:
    """Why metadata cannot be sent, in grpc-go's words; empty if it can."""
    for name, value in metadata:
        if not name:
            return "there is an empty key in the header"
        if name.startswith(":"):
            continue
        if not _NAME.fullmatch(name):
            return f'header key "{name}" contains illegal characters not in [0-9a-z-_.]'
        if isinstance(value, str) and not _VALUE.fullmatch(value):
            return f'header key "{name}" contains value with non-printable ASCII characters'
    return ""


def sendable(metadata: Sequence[tuple[str, str | bytes]]) -> tuple[tuple[str, str | bytes], ...]:
    """Metadata without what HTTP/2 and gRPC set themselves, which k6 leaves out silently too."""
    if not metadata:
        return ()
    return tuple((name, value) for name, value in metadata if not is_reserved(name))
