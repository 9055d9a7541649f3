"""The message types that every schema may use without importing them: those of google.rpc, for error details."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Any

from puregrpc.codec import Codec
from puregrpc.errors import DecodeError, SchemaError
from puregrpc.proto import compile as compile_proto
from puregrpc.schema import Registry

__all__ = ["decode_any", "standard_registry"]

STANDARD_FILES = ("google/rpc/error_details.proto", "google/rpc/status.proto")


@lru_cache(maxsize=1)
def standard_registry() -> Registry:
    """google.rpc.Status and the types of google/rpc/error_details.proto."""
    registry = Registry()
    for file in compile_proto(list(STANDARD_FILES)):
        registry.add_file(file)
    return registry


def decode_any(type_url: str, value: bytes, registry: Registry | None = None) -> dict[str, Any]:
    """What a google.protobuf.Any holds, as ProtoJSON; if its type is not known, its name and octets in base64."""
    name = type_url.rpartition("/")[2]
    for known in (registry, standard_registry()):
        if known is None:
            continue
        try:
            decoded = Codec(known, emit_defaults=False).decode(known.message(name), value)
        except (SchemaError, DecodeError):
            continue
        return {"@type": type_url, **(decoded if isinstance(decoded, dict) else {"value": decoded})}
    return {"@type": type_url, "@value": base64.b64encode(value).decode("ascii")}
