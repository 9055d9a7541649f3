"""Metadata of the old interface, where names and values are bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

__all__ = ["beta", "unbeta"]


class _Metadatum(NamedTuple):
    key: Any
    value: Any


def beta(metadata: Iterable[tuple[str, Any]] | None) -> tuple[_Metadatum, ...]:
    """Metadata for users of the old interface."""
    return tuple(_Metadatum(_bytes(key), _bytes(value)) for key, value in metadata or ())


def unbeta(metadata: Iterable[tuple[Any, Any]] | None) -> tuple[_Metadatum, ...]:
    """Metadata of users of the old interface."""
    found = ((_text(key), value) for key, value in metadata or ())
    return tuple(_Metadatum(key, value if key.endswith("-bin") else _text(value)) for key, value in found)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("ascii")


def _text(octets: str | bytes) -> str:
    return octets if isinstance(octets, str) else octets.decode("utf-8")
