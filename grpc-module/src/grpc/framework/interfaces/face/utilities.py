"""Methods out of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grpc.framework.common.cardinality import Cardinality
from grpc.framework.common.style import Service
from grpc.framework.interfaces.face import face

__all__ = [
    "stream_stream_event", "stream_stream_inline", "stream_unary_event", "stream_unary_inline", "unary_stream_event",
    "unary_stream_inline", "unary_unary_event", "unary_unary_inline",
]  # fmt: skip


class _MethodImplementation(face.MethodImplementation):
    unary_unary_inline = unary_stream_inline = stream_unary_inline = stream_stream_inline = None
    unary_unary_event = unary_stream_event = stream_unary_event = stream_stream_event = None

    def __init__(self, cardinality: Cardinality, style: Service, behavior: Callable[..., Any]) -> None:
        self.cardinality = cardinality
        self.style = style
        setattr(self, f"{cardinality.name.lower()}_{style.value}", behavior)


def unary_unary_inline(behavior: Callable[..., Any]) -> face.MethodImplementation:
    """A method that returns its response."""
    return _MethodImplementation(Cardinality.UNARY_UNARY, Service.INLINE, behavior)


def unary_stream_inline(behavior: Callable[..., Any]) -> face.MethodImplementation:
    """A method that returns an iterator of its responses."""
    return _MethodImplementation(Cardinality.UNARY_STREAM, Service.INLINE, behavior)


def stream_unary_inline(behavior: Callable[..., Any]) -> face.MethodImplementation:
    """A method that takes an iterator of requests, and returns its response."""
    return _MethodImplementation(Cardinality.STREAM_UNARY, Service.INLINE, behavior)


def stream_stream_inline(behavior: Callable[..., Any]) -> face.MethodImplementation:
    """A method that takes an iterator of requests, and returns one of its responses."""
    return _MethodImplementation(Cardinality.STREAM_STREAM, Service.INLINE, behavior)


def unary_unary_event(behavior: Callable[..., Any]) -> face.MethodImplementation:
    """A method that is given a request, and a function for its response."""
    return _MethodImplementation(Cardinality.UNARY_UNARY, Service.EVENT, behavior)


def unary_stream_event(behavior: Callable[..., Any]) -> face.MethodImplementation:
    """A method that is given a request, and a consumer of its responses."""
    return _MethodImplementation(Cardinality.UNARY_STREAM, Service.EVENT, behavior)


def stream_unary_event(behavior: Callable[..., Any]) -> face.MethodImplementation:
    """A method that is given a function for its response, and returns a consumer of requests."""
    return _MethodImplementation(Cardinality.STREAM_UNARY, Service.EVENT, behavior)


def stream_stream_event(behavior: Callable[..., Any]) -> face.MethodImplementation:
    """A method that is given a consumer of its responses, and returns one of requests."""
    return _MethodImplementation(Cardinality.STREAM_STREAM, Service.EVENT, behavior)
