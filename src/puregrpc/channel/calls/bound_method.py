"""A method bound to a channel's options and to the way its messages become bytes, whichever way it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from puregrpc.channel.details import CallCredentials, CallDetails, Deserializer, MetadataLike, Serializer, metadata_of
from puregrpc.channel.options import ChannelOptions, Method, path_of
from puregrpc.errors import InvalidArgument
from puregrpc.wire.connection import Request

if TYPE_CHECKING:
    from puregrpc.codec import Codec
    from puregrpc.proto.descriptors import MethodDescriptor

__all__ = ["BoundMethod", "binding"]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class BoundMethod(Generic[RequestT, ResponseT]):
    """What methods of all shapes and of both faces have in common."""

    __slots__ = (
        "_config", "_deserialize", "_goes_straight", "_is_plain", "_options", "_request", "_serialize", "path",
    )  # fmt: skip

    def __init__(
        self,
        options: ChannelOptions,
        path: str,
        serialize: Serializer[RequestT] | None,
        deserialize: Deserializer[ResponseT] | None,
    ) -> None:
        self.path = path
        self._options = options
        self._serialize = serialize
        self._deserialize = deserialize
        self._config = options.methods.of(path)
        self._is_plain = self._config.is_plain and not options.interceptors and options.credentials is None
        """Nothing has to be added to a call: the shortest way can be taken."""
        self._goes_straight = self._config.is_plain and options.credentials is None
        """The same for calls past the interceptors."""
        self._request = options.request(path)
        """The head of calls that add nothing of their own."""

    def head(self, metadata: MetadataLike) -> Request:
        """The head of a call that adds metadata alone."""
        return self._request.with_metadata(metadata_of(metadata))

    def details(
        self,
        metadata: MetadataLike | None,
        timeout: float | None,
        wait_for_ready: bool | None,
        compression: str | None,
        credentials: CallCredentials | None,
    ) -> CallDetails:
        """The options of one call, completed by what holds for the method."""
        return self._options.details(self.path, metadata, timeout, wait_for_ready, compression, credentials)


def binding(
    method: Method,
    serialize: Serializer[Any] | None,
    deserialize: Deserializer[Any] | None,
    codec: Codec | None,
) -> tuple[str, Serializer[Any] | None, Deserializer[Any] | None]:
    """The path of a method, and its serializer and deserializer as given, or else the codec's.

    Raises InvalidArgument if a codec does not know the method's types.
    """
    if codec is not None:
        if isinstance(method, str) or not hasattr(method, "input_type"):
            raise InvalidArgument(f"a codec needs a MethodDescriptor to know the types of {method!r}")
        described = cast("MethodDescriptor", method)
        serialize = serialize or codec.encoder(described.input_type)
        deserialize = deserialize or codec.decoder(described.output_type)
    return path_of(method), serialize, deserialize
