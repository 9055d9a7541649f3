"""A method that a server offers: its path, its shape, its handler, and what turns bytes into messages and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from puregrpc.errors import InvalidArgument
from puregrpc.server.callables import check_handler, is_async

__all__ = ["Deserializer", "Handler", "Method", "Serializer", "Shape", "in_place", "own_thread"]

Deserializer = Callable[[bytes], Any]
Serializer = Callable[[Any], bytes]
Handler = Callable[[Any, Any], Any]
"""Called with the request (or the requests, an iterator) and the `Context`. See `Method.handler`."""

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])

IN_PLACE = "__puregrpc_in_place__"
OWN_THREAD = "__puregrpc_own_thread__"


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


def in_place(handler: HandlerT) -> HandlerT:
    """Decorates a plain unary handler that is fast and never blocks: see `Method.in_place`."""
    setattr(handler, IN_PLACE, True)
    return handler


def own_thread(handler: HandlerT) -> HandlerT:
    """Decorates a plain handler that waits most of the time: see `Method.own_thread`."""
    setattr(handler, OWN_THREAD, True)
    return handler


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a server.

    ``path`` is ``/pkg.Service/Method``. With the default (de)serializers requests and responses are bytes.
    Raises InvalidArgument if the path or the kind of the handler cannot be right.
    """

    path: str
    handler: Handler
    """One response (UNARY, CLIENT_STREAM): ``async def f(request, context) -> response``, or a plain ``def``. Many
    (SERVER_STREAM, BIDI): an async generator, ``async def f(request, context)`` with ``yield response`` in it, or a
    plain generator, or a plain function that returns an iterator of either kind. Where the client streams, ``request``
    is an iterator of messages: for ``async for`` in async handlers, for ``for`` in plain ones.

    Plain handlers run on threads (`ServerConfig.handler_threads`), and may block there."""
    shape: Shape = Shape.UNARY
    deserializer: Deserializer = as_it_is
    serializer: Serializer = checked_bytes
    codecs: Mapping[str, tuple[Deserializer, Serializer]] | None = None
    """(De)serializers for other content-types, by what follows ``application/grpc+``, such as ``json``."""
    in_place: bool = False
    """UNARY, on trio and asyncio: call the plain handler right where its request was read, in the loop's thread and
    without a task. It is the fastest way there is, for what neither waits nor takes long: everything else of the server
    waits for it meanwhile. The decorator `puregrpc.server.in_place` says the same of a handler."""
    own_thread: bool = False
    """Each call of the plain handler has a thread of its own, beside those of `ServerConfig.handler_threads`: for
    streams that wait most of the time, which would keep others from being served. The decorator
    `puregrpc.server.own_thread` says the same of a handler."""

    def __post_init__(self) -> None:
        service, _, name = self.path[1:].rpartition("/")
        if not self.path.startswith("/") or not service or not name:
            raise InvalidArgument(f"method path {self.path!r}: must look like /package.Service/Method")
        problem = check_handler(self.handler, responses_stream=self.shape.responses_stream)
        if problem is None and self.runs_in_place and (self.is_async or self.shape is not Shape.UNARY):
            what = "an async function" if self.is_async else f"for {self.shape.name} methods"
            problem = f"in_place is for plain functions of UNARY methods, and the handler is {what}"
        if problem is None and self.has_own_thread and (self.is_async or self.runs_in_place):
            what = "an async function" if self.is_async else "to run in place"
            problem = f"own_thread is for plain functions that run on threads, and the handler is {what}"
        if problem is not None:
            raise InvalidArgument(f"{self.path}: {problem}")

    @property
    def service(self) -> str:
        """``pkg.Service``."""
        return self.path[1:].rpartition("/")[0]

    @property
    def name(self) -> str:
        """``Method``."""
        return self.path.rpartition("/")[2]

    @property
    def is_async(self) -> bool:
        """Whether the handler is an async function or an async generator, which runs in the loop."""
        return is_async(self.handler)

    @property
    def runs_in_place(self) -> bool:
        """Whether `in_place` was said of it, here or by the decorator."""
        return self.in_place or getattr(self.handler, IN_PLACE, False) is True

    @property
    def has_own_thread(self) -> bool:
        """Whether `own_thread` was said of it, here or by the decorator."""
        return self.own_thread or getattr(self.handler, OWN_THREAD, False) is True
