"""The google.rpc.Status that comes with a call's status, as grpc-status-details-bin (richer error model)."""

from __future__ import annotations

from functools import cache
from typing import Any

from puregrpc.codec.codec import Codec
from puregrpc.codec.faults import FAULTS, fault_of
from puregrpc.codec.well_known.any_value import shown_raw, type_and_value
from puregrpc.codec.wire_format.tags_and_varints import read_fields
from puregrpc.errors import DecodeError
from puregrpc.schema import Registry

__all__ = ["read_status"]

CODE, MESSAGE, DETAILS = 0x08, 0x12, 0x1A
"""The tags of google.rpc.Status."""


def read_status(data: bytes, codec: Codec | None = None) -> dict[str, Any]:
    """A serialized google.rpc.Status: ``code``, ``message``, and ``details``, which are dicts with ``@type``.

    ``codec`` knows the types of details beside those of google.rpc and google.protobuf. What comes with a status is
    to be seen whatever it is: a detail whose bytes are not of its type has them in base64 under ``@value``, and the
    reason under ``@error``; so have bytes that are no google.rpc.Status. Raises nothing for them.
    """
    codec = codec or _codec()
    status: dict[str, Any] = {"code": 0, "message": "", "details": []}
    try:
        for tag, start, end in read_fields(data, 0, len(data), codec.max_depth):
            if tag == CODE:
                status["code"] = (start & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
            elif tag == MESSAGE:
                status["message"] = data[start:end].decode("utf-8", "replace")
            elif tag == DETAILS:
                status["details"].append(_detail(data[start:end], codec))
    except FAULTS as error:
        problem = f"grpc-status-details-bin is not a google.rpc.Status: {fault_of(error).problem}"
        status["details"] = [shown_raw("", data, problem=problem)]
    return status


def _detail(data: bytes, codec: Codec) -> dict[str, Any]:
    try:
        shown: dict[str, Any] = codec.decode(codec.any_type, data)
    except DecodeError as error:
        url, body = type_and_value(data)
        return shown_raw(url, body, problem=error.problem)
    return shown


@cache
def _codec() -> Codec:
    return Codec(Registry())
