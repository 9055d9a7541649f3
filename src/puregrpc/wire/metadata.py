"""Custom metadata: from names and values to header fields and back (PROTOCOL-HTTP2, "Custom-Metadata")."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence

from puregrpc.errors import InvalidArgument, RemoteProtocolError
from puregrpc.wire.limits import MAX_JOINED_VALUES
from puregrpc.wire.status import decode_base64

__all__ = ["RESERVED", "HeaderField", "Metadata", "decode_field", "encode_metadata", "header_list_size", "is_reserved"]

HeaderField = tuple[bytes, bytes]
"""A header field as HPACK carries it: a name and a value, both octets."""

Metadata = tuple[tuple[str, "str | bytes"], ...]
"""Metadata in order, repeated keys kept: names in lower case; values text, or bytes where the name ends in -bin."""

_NAME = re.compile(r"[0-9a-z_.-]+")
_VALUE = re.compile(r"[ -~]*")

_RESERVED = frozenset(
    (
        "connection", "content-length", "content-type", "host", "http2-settings", "keep-alive", "proxy-connection",
        "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
        "grpc-accept-encoding", "grpc-encoding", "grpc-message", "grpc-message-type", "grpc-status",
        "grpc-status-details-bin", "grpc-timeout",
    )
)  # fmt: skip
"""Names that HTTP/2 (RFC 9113, section 8.2.2) or gRPC itself uses."""


RESERVED = frozenset(name.encode() for name in (*_RESERVED, ":authority", ":method", ":path", ":scheme", ":status"))
"""The same as octets, with the pseudo-header fields."""


def is_reserved(name: str) -> bool:
    """Whether HTTP/2 or gRPC uses the name (in lower case) itself, so that it is not custom metadata.

    Names with ``grpc-`` that gRPC does not use on the wire of a call, such as ``grpc-previous-rpc-attempts`` and
    ``grpc-trace-bin``, are not reserved here: they travel as metadata does.
    """
    return name in _RESERVED or name.startswith(":")


def encode_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> list[HeaderField]:
    """Turn metadata into header fields, in order: names in lower case, values of ``-bin`` names as base64.

    White space around a text value is left out, as the spec allows and RFC 9113, section 8.2.1, demands.
    Raises InvalidArgument, naming the entry, for a name or value that cannot be sent.
    """
    return [_encode_entry(name, value) for name, value in metadata]


def _encode_entry(name: str, value: str | bytes) -> HeaderField:
    if not isinstance(name, str):
        raise InvalidArgument(f"metadata name {name!r} is not a str")
    name = name.lower()
    if is_reserved(name):
        raise InvalidArgument(f"metadata {name!r} is reserved: HTTP/2 and gRPC set it themselves")
    if not _NAME.fullmatch(name):
        raise InvalidArgument(f"metadata name {name!r}: only letters, digits, '_', '-' and '.' are allowed")
    if name.endswith("-bin"):
        if not isinstance(value, bytes):
            raise InvalidArgument(f"metadata {name!r}: the value must be bytes, not {type(value).__name__}")
        return name.encode(), b64encode(value).rstrip(b"=")
    if isinstance(value, bytes):
        raise InvalidArgument(f"metadata {name!r}: bytes need a name that ends in '-bin'; other values must be str")
    if not isinstance(value, str):
        raise InvalidArgument(f"metadata {name!r}: the value must be str, not {type(value).__name__}")
    if not _VALUE.fullmatch(value):
        raise InvalidArgument(f"metadata {name!r}: a value is printable ASCII; for anything else name it '{name}-bin'")
    return name.encode(), value.strip(" ").encode()


def decode_field(name: bytes, value: bytes) -> list[tuple[str, str | bytes]]:
    """Turn one header field of custom metadata into entries: several, if a ``-bin`` value is joined with commas.

    Octets that are not ASCII are tolerated and read as UTF-8, or else Latin-1. Raises RemoteProtocolError for a
    ``-bin`` value that is not base64, or more than MAX_JOINED_VALUES of them.
    """
    text_name = name.decode("latin-1")
    if name.endswith(b"-bin"):
        if value.count(b",") >= MAX_JOINED_VALUES:
            raise RemoteProtocolError(f"metadata {text_name!r} has more than {MAX_JOINED_VALUES} values in one field")
        try:
            return [(text_name, decode_base64(part.strip())) for part in value.split(b",")]
        except ValueError:
            raise RemoteProtocolError(f"metadata {text_name!r} is not base64") from None
    try:
        return [(text_name, value.decode())]
    except UnicodeDecodeError:
        return [(text_name, value.decode("latin-1"))]


def header_list_size(fields: Sequence[HeaderField]) -> int:
    """The size of a header list as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113, section 6.5.2)."""
    return sum(len(name) + len(value) for name, value in fields) + 32 * len(fields)
