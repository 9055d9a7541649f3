"""Types of grpcio's interface, for hints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

__all__ = [
    "ChannelArgumentType", "DeserializingFunction", "DoneCallbackType", "MetadataType", "NullaryCallbackType",
    "RequestIterableType", "RequestType", "ResponseIterableType", "ResponseType", "SerializingFunction",
]  # fmt: skip

RequestType = TypeVar("RequestType")
ResponseType = TypeVar("ResponseType")
SerializingFunction = Callable[[Any], bytes]
DeserializingFunction = Callable[[bytes], Any]
MetadataType = Sequence[tuple[str, "str | bytes"]]
ChannelArgumentType = tuple[str, Any]
DoneCallbackType = Callable[[Any], None]
NullaryCallbackType = Callable[[], None]
RequestIterableType = Iterable[Any]
ResponseIterableType = Iterable[Any]
