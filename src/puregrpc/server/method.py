"""A method that a server offers: its path, its shape, its handler, and what turns bytes into messages and back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from puregrpc.errors import InvalidArgument

__all__ = ["Deserializer", "Handler", "Method", "Serializer", "Shape"]

Deserializer = Callable[[bytes], Any]
Serializer = Callable[[Any], bytes]
Handler = Callable[[Any, Any], Any]
"""Called with the request (or the requests, an async iterator) and the `Context`. See `Method.handler`."""


class Shape(Enum):
    """The four kinds of call (gRPC core concepts, "RPC life cycle"): (requests stream, responses stream)."""

    UNARY = (False, False)
    SERVER_STREAM = (False, True)
    CLIENT_STREAM = (True, False)
    BIDI = (True, True)

    @property
    def requests_stream(self) -> bool:
        """Whether the client may send any number of messages."""
        return self.value[0]

    @property
    def responses_stream(self) -> bool:
        """Whether the server may send any number of messages."""
        return self.value[1]


def as_it_is(message: bytes) -> bytes:
    """The deserializer of raw methods."""
    return message


def checked_bytes(response: Any) -> bytes:
    """The serializer of raw methods."""
    if not isinstance(response, bytes):
        raise TypeError(f"bytes are expected, not {type(response).__name__}")
    return response


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a server.

    ``path`` is ``/pkg.Service/Method``. With the default (de)serializers requests and responses are bytes.
    Raises InvalidArgument if the path or the kind of the handler cannot be right.
    """

    path: str
    handler: Handler
    """UNARY and CLIENT_STREAM: ``async def f(request, context) -> response`` (``request`` is an async iterator of
    messages for CLIENT_STREAM). A plain ``def`` is allowed for UNARY: it runs right where the request is read, which
    is fastest, and must not block. SERVER_STREAM and BIDI: an async generator, ``async def f(request, context)`` with
    ``yield response`` in it, or anything that returns an async iterator."""
    shape: Shape = Shape.UNARY
    deserializer: Deserializer = as_it_is
    serializer: Serializer = checked_bytes
    codecs: Mapping[str, tuple[Deserializer, Serializer]] | None = None
    """(De)serializers for other content-types, by what follows ``application/grpc+``, such as ``json``."""

    def __post_init__(self) -> None:
        service, _, name = self.path[1:].rpartition("/")
        if not self.path.startswith("/") or not service or not name:
            raise InvalidArgument(f"method path {self.path!r}: must look like /package.Service/Method")
        if not callable(self.handler):
            raise InvalidArgument(f"{self.path}: the handler must be callable, not {type(self.handler).__name__}")
        generator = inspect.isasyncgenfunction(self.handler)
        coroutine = inspect.iscoroutinefunction(self.handler)
        if self.shape.responses_stream and coroutine:
            raise InvalidArgument(
                f"{self.path}: its responses are a stream: the handler must be an async generator (yield each response)"
            )
        if not self.shape.responses_stream and (generator or inspect.isgeneratorfunction(self.handler)):
            raise InvalidArgument(
                f"{self.path}: it has one response: the handler must be an async function that returns it, no generator"
            )

    @property
    def service(self) -> str:
        """``pkg.Service``."""
        return self.path[1:].rpartition("/")[0]

    @property
    def name(self) -> str:
        """``Method``."""
        return self.path.rpartition("/")[2]

    @property
    def is_plain_function(self) -> bool:
        """Whether the handler is a plain ``def`` for a unary call, which needs no task."""
        handler = self.handler
        return (
            self.shape is Shape.UNARY
            and (inspect.isfunction(handler) or inspect.ismethod(handler))
            and not inspect.iscoroutinefunction(handler)
        )
