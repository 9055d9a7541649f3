"""The params of invoke and of streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

from puregrpc.client.params.reading import Metadata, Reader, merged, metadata_reader, read_all, read_timeout
from puregrpc.errors import InvalidArgument
from puregrpc.metrics import tag_values

__all__ = ["INVOKE_TIMEOUT", "NO_PARAMS", "CallKeywords", "CallParams", "call_params"]

INVOKE_TIMEOUT = 120_000.0
"""Milliseconds, where none is given."""


class CallKeywords(TypedDict, total=False):
    """The params of a call. ``timeout``: a number is milliseconds, text has units."""

    metadata: Mapping[str, str | bytes] | None
    tags: Mapping[str, str | float | bool] | None
    timeout: float | str
    discard_response_message: bool
    discardResponseMessage: bool
    time_field: str
    """Of streams: the field of the messages received that says when each was sent, a google.protobuf.Timestamp or a
    number. How long they were on their way is measured (``grpc_streams_msg_latency``)."""
    timeField: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallParams:
    """Checked params of a call."""

    metadata: Metadata = ()
    tags: dict[str, str] = field(default_factory=dict)
    timeout: float | None = None
    """Milliseconds; None: the default of the call."""
    discard_response_message: bool = False
    time_field: str = ""


NO_PARAMS = CallParams()


def call_params(params: object, keywords: Mapping[str, Any], where: str) -> CallParams:
    """Check the params of a call. ``where`` begins the message of the InvalidArgument that it raises."""
    if params is None and not keywords:
        return NO_PARAMS
    try:
        return CallParams(**read_all(merged(params, keywords), CALL_READERS, "param"))
    except InvalidArgument as error:
        raise InvalidArgument(f"{where}: {error}") from None


def read_tags(value: object) -> dict[str, str]:
    """Tags as text. As in k6, a list or text gives its items the tags 0, 1, …, and other non-objects give none."""
    if isinstance(value, list | tuple | str):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        return {}
    try:
        return tag_values(value)
    except InvalidArgument as error:
        raise InvalidArgument(f"metric tags: {error}") from None


def read_time_field(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidArgument(f"timeField: the name of a field is expected, not {value!r}")
    return value


CALL_READERS: dict[str, Reader] = {
    "metadata": metadata_reader("metadata"),
    "tags": read_tags,
    "timeout": lambda value: read_timeout(value) or None,
    "discard_response_message": bool,
    "time_field": read_time_field,
}
