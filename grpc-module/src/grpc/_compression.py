"""Kept under the names that grpcio has for them: compression as metadata and as a channel option."""

from __future__ import annotations

from typing import Any

from grpc._codes import ENCODINGS, Compression

__all__ = ["NoCompression", "create_channel_option"]

NoCompression = Compression.NoCompression
Deflate = Compression.Deflate
Gzip = Compression.Gzip


def compression_algorithm_to_metadata_value(compression: Compression) -> str:
    """Its name on the wire."""
    return ENCODINGS[compression]


def create_channel_option(compression: Any) -> tuple[tuple[str, int], ...]:
    """The option of a channel for a compression."""
    return () if compression is None else (("grpc.default_compression_algorithm", int(compression)),)
