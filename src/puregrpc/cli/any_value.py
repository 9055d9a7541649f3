"""What a google.protobuf.Any holds, as JSON: error details."""

from __future__ import annotations

import base64
from typing import Any

from puregrpc.codec import Codec
from puregrpc.errors import DecodeError, SchemaError
from puregrpc.schema import Registry
from puregrpc.trace.explaining.standard_types import standard_registry

__all__ = ["decode_any"]


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
