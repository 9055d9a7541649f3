"""Metadata as grpcio shows it, and as puregrpc takes it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

__all__ = ["InvalidMetadataError", "Metadatum", "outgoing", "shown", "shown_trailers"]

Pairs = tuple[tuple[str, "str | bytes"], ...]

STATUS_DETAILS = "grpc-status-details-bin"
"""Where a google.rpc.Status travels; grpcio shows it among the trailing metadata, and takes it there."""

RESERVED = frozenset(
    (
        "connection", "content-length", "content-type", "host", "http2-settings", "keep-alive", "proxy-connection",
        "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "grpc-accept-encoding", "grpc-encoding",
        "grpc-message", "grpc-message-type", "grpc-status", STATUS_DETAILS, "grpc-timeout",
    )
)  # fmt: skip
"""What HTTP/2 and gRPC set themselves. grpcio takes such metadata and does not send it as it was given."""

_KEY = re.compile(r"[0-9a-z_.-]+")
_TEXT = re.compile(r"[ -~]*")


class _Metadatum(NamedTuple):
    """One piece of metadata."""

    key: str
    value: str | bytes


Metadatum = _Metadatum  # which prints as grpcio's does


class InvalidMetadataError(ValueError):
    """A key or a value that cannot be sent."""


def shown(metadata: Iterable[tuple[str, str | bytes]]) -> tuple[Metadatum, ...]:
    """Metadata that came, as grpcio gives it: without what HTTP/2 and gRPC set."""
    global _last_shown
    if not metadata:
        return ()
    last, found = _last_shown
    if metadata is not last:
        found = tuple([Metadatum(key, value) for key, value in metadata if key not in RESERVED])
        if type(metadata) is tuple:
            _last_shown = metadata, found
    return found


_last_shown: tuple[object, tuple[Metadatum, ...]] = (), ()
"""The last metadata and how it is shown: a server sends the same with most answers, and then it is the same object."""


def shown_trailers(metadata: Iterable[tuple[str, str | bytes]], details: bytes | None) -> tuple[Metadatum, ...]:
    """Trailing metadata that came; the details of the status are among it."""
    found = shown(metadata)
    return found if details is None else (*found, Metadatum(STATUS_DETAILS, details))


def outgoing(metadata: Any) -> Pairs:
    """Metadata that is to be sent, what is reserved left out.

    Raises InvalidMetadataError for keys and values that cannot be sent, TypeError for what is neither str nor bytes.
    """
    if not metadata:
        return ()
    pairs: list[tuple[str, str | bytes]] = []
    for key, value in metadata:
        # Most keys come again, and most values are printable ASCII.
        if key in _text_keys and type(value) is str and value.isascii() and value.isprintable():
            pairs.append((key, value))
        else:
            pairs += _checked(key, value)
    return tuple(pairs)


_text_keys: set[str] = set()
"""Keys of text that were sent, and so can be."""

MOST_KEYS = 1000


def _checked(key: Any, value: Any) -> Pairs:
    """One piece of metadata as it is sent; nothing if its key is reserved."""
    if isinstance(key, bytes):
        key = key.decode("latin-1")
    if not isinstance(key, str):
        raise TypeError(f"the key of metadata is a str, not {key!r}")
    if not _KEY.fullmatch(key):
        raise InvalidMetadataError(f"metadata was invalid: {(key, value)}")
    if key in RESERVED:
        return ()
    if value is None:  # grpcio takes it for nothing
        value = b""
    if key.endswith("-bin"):
        if not isinstance(value, (bytes, bytearray)):
            raise TypeError(f"the value of the metadata {key!r} is bytes, not {type(value).__name__}")
        return ((key, bytes(value)),)
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    elif not isinstance(value, str):
        raise TypeError(f"the value of the metadata {key!r} is str or bytes, not {type(value).__name__}")
    if not _TEXT.fullmatch(value):
        raise InvalidMetadataError(f"metadata was invalid: {(key, value)}")
    if len(_text_keys) < MOST_KEYS:
        _text_keys.add(key)
    return ((key, value),)
