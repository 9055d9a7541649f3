"""Names of types, under which grpcio's annotations and those of dependants have them."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from typing import Any, TypeVar, Union

from grpc._aio_errors import _EOF
from grpc.aio._metadata import Metadata, MetadataKey, MetadataType, MetadataValue, MetadatumType

__all__ = [
    "ChannelArgumentType", "DeserializingFunction", "DoneCallbackType", "EOFType", "Metadata", "MetadataKey",
    "MetadataType", "MetadataValue", "MetadatumType", "RequestIterableType", "RequestType", "ResponseIterableType",
    "ResponseType", "SerializingFunction",
]  # fmt: skip

EOFType = _EOF
RequestType = TypeVar("RequestType")
ResponseType = TypeVar("ResponseType")
SerializingFunction = Callable[[Any], bytes]
DeserializingFunction = Callable[[bytes], Any]
ChannelArgumentType = Sequence[tuple[str, Any]]
DoneCallbackType = Callable[[Any], None]
RequestIterableType = Union[Iterable[Any], AsyncIterable[Any]]  # noqa: UP007 - dependants subscript what has it
ResponseIterableType = AsyncIterable[Any]
