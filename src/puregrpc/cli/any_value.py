"""What a google.protobuf.Any holds, as JSON: error details."""

from __future__ import annotations

import base64
from typing import Any

from google.protobuf.message import DecodeError as ProtobufDecodeError

from puregrpc.codec import Codec
from puregrpc.errors import DecodeError, SchemaError
from puregrpc.schema import Registry
from puregrpc.schema.standard_types import standard_registry

__all__ = ["decode_any", "decode_status_details"]


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


def decode_status_details(details: bytes, registry: Registry | None = None) -> list[dict[str, Any]]:
    """The details of a serialized google.rpc.Status."""
    known = standard_registry()
    status: Any = known.message_class(known.message("google.rpc.Status"))()
    try:
        status.ParseFromString(details)
    except ProtobufDecodeError:
        value = base64.b64encode(details).decode("ascii")
        return [{"@error": "grpc-status-details-bin is not a google.rpc.Status", "value": value}]
    return [decode_any(any_value.type_url, any_value.value, registry) for any_value in status.details]
