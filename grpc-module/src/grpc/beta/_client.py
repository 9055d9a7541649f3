"""Stubs of the old interface, over channels of `grpc`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import grpc
from grpc.beta import interfaces
from grpc.beta._metadata import beta, unbeta
from grpc.framework.common.cardinality import Cardinality
from grpc.framework.foundation import future
from grpc.framework.interfaces.face import face

__all__ = ["DynamicStub", "GenericStub", "LaterResult"]

Kind = face.Abortion.Kind

_FAILURES: dict[Any, tuple[Any, type[face.AbortionError]]] = {
    grpc.StatusCode.CANCELLED: (Kind.CANCELLED, face.CancellationError),
    grpc.StatusCode.UNKNOWN: (Kind.REMOTE_FAILURE, face.RemoteError),
    grpc.StatusCode.DEADLINE_EXCEEDED: (Kind.EXPIRED, face.ExpirationError),
    grpc.StatusCode.UNIMPLEMENTED: (Kind.LOCAL_FAILURE, face.LocalError),
}


def _abortion_error(error: Any) -> face.AbortionError:
    _, kind = _FAILURES.get(error.code(), (None, face.AbortionError))
    return kind(error.initial_metadata(), error.trailing_metadata(), error.code(), error.details())


def _raise_as_old(error: BaseException) -> NoReturn:
    """Raise what the old interface has for an exception of grpc."""
    if isinstance(error, grpc.FutureTimeoutError):
        raise future.TimeoutError from None
    if isinstance(error, grpc.FutureCancelledError):
        raise future.CancelledError from None
    if isinstance(error, grpc.RpcError):
        raise _abortion_error(error) from error
    raise error


class LaterResult(future.Future):
    """A future of grpc as the old interface has it."""

    def __init__(self, found: Any) -> None:
        self._future = found

    def cancel(self) -> bool:
        return bool(self._future.cancel())

    def cancelled(self) -> bool:
        return bool(self._future.cancelled())

    def running(self) -> bool:
        return bool(self._future.running())

    def done(self) -> bool:
        return bool(self._future.done())

    def result(self, timeout: float | None = None) -> Any:
        try:
            return self._future.result(timeout=timeout)
        except Exception as error:
            _raise_as_old(error)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        try:
            error: BaseException | None = self._future.exception(timeout=timeout)
        except Exception as problem:
            _raise_as_old(problem)
        return _abortion_error(error) if isinstance(error, grpc.RpcError) else error

    def traceback(self, timeout: float | None = None) -> Any:
        try:
            return self._future.traceback(timeout=timeout)
        except Exception as error:
            _raise_as_old(error)

    def add_done_callback(self, fn: Callable[[Any], Any]) -> None:
        self._future.add_done_callback(lambda _: fn(self))


class _InvocationContext(interfaces.GRPCInvocationContext):
    def disable_next_request_compression(self) -> None:
        """It has no effect, as in grpcio."""


class _Rendezvous(LaterResult, face.Call):
    """A call of grpc as the old interface has it."""

    def __iter__(self) -> _Rendezvous:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._future)
        except grpc.RpcError as error:
            _raise_as_old(error)

    def next(self) -> Any:
        """The next response."""
        return self.__next__()

    def is_active(self) -> bool:
        return bool(self._future.is_active())

    def time_remaining(self) -> float | None:
        remaining: float | None = self._future.time_remaining()
        return remaining

    def add_abortion_callback(self, abortion_callback: Callable[[face.Abortion], Any]) -> None:
        def over() -> None:
            call = self._future
            code = call.code()
            if code is not grpc.StatusCode.OK:
                kind, _ = _FAILURES.get(code, (Kind.LOCAL_FAILURE, None))
                metadata = call.initial_metadata(), call.trailing_metadata()
                abortion_callback(face.Abortion(kind, *metadata, code, call.details()))

        if not self._future.add_callback(over):
            over()

    def protocol_context(self) -> _InvocationContext:
        return _InvocationContext()

    def initial_metadata(self) -> Any:
        return beta(self._future.initial_metadata())

    def terminal_metadata(self) -> Any:
        return beta(self._future.trailing_metadata())

    def code(self) -> Any:
        return self._future.code()

    def details(self) -> Any:
        return self._future.details()


class _Method:
    """A method of a channel. ``protocol_options`` are `grpc_call_options`."""

    def __init__(self, callable_of_grpc: Any, transform: Callable[[Any], Any] | None) -> None:
        self._callable = callable_of_grpc
        self._transform = transform

    def _options(self, timeout: float | None, metadata: Any, protocol_options: Any) -> dict[str, Any]:
        given = metadata or ()
        return {
            "timeout": timeout,
            "metadata": unbeta(given if self._transform is None else self._transform(given)),
            "credentials": None if protocol_options is None else protocol_options.credentials,
        }

    def event(self, *args: Any, **kwargs: Any) -> Any:
        """Calls whose parts are told one by one: grpcio has never had them."""
        raise NotImplementedError("grpc.beta has no calls of events, nor has grpcio's")


class _OneResponse(_Method):
    def __call__(
        self,
        request: Any,
        timeout: float | None,
        metadata: Any = None,
        with_call: bool = False,
        protocol_options: Any = None,
    ) -> Any:
        options = self._options(timeout, metadata, protocol_options)
        try:
            response, call = self._callable.with_call(request, **options)
        except grpc.RpcError as error:
            _raise_as_old(error)
        return (response, _Rendezvous(call)) if with_call else response

    def future(
        self, request: Any, timeout: float | None, metadata: Any = None, protocol_options: Any = None
    ) -> _Rendezvous:
        """Begin a call."""
        options = self._options(timeout, metadata, protocol_options)
        return _Rendezvous(self._callable.future(request, **options))


class _ManyResponses(_Method):
    def __call__(
        self, request: Any, timeout: float | None, metadata: Any = None, protocol_options: Any = None
    ) -> _Rendezvous:
        return _Rendezvous(self._callable(request, **self._options(timeout, metadata, protocol_options)))


class _UnaryUnary(_OneResponse, face.UnaryUnaryMultiCallable):
    pass


class _StreamUnary(_OneResponse, face.StreamUnaryMultiCallable):
    pass


class _UnaryStream(_ManyResponses, face.UnaryStreamMultiCallable):
    pass


class _StreamStream(_ManyResponses, face.StreamStreamMultiCallable):
    pass


Serializers = dict[tuple[str, str], Callable[[Any], Any]]


class GenericStub(face.GenericStub):
    """Methods by the names of their service and their own."""

    def __init__(
        self,
        channel: grpc.Channel,
        transform: Callable[[Any], Any] | None,
        request_serializers: Serializers | None,
        response_deserializers: Serializers | None,
    ) -> None:
        self._channel = channel
        self._transform = transform
        self._serializers = request_serializers or {}
        self._deserializers = response_deserializers or {}

    def _method(self, kind: Callable[..., Any], shape: str, group: str, method: str) -> Any:
        name = group, method
        make = getattr(self._channel, shape)
        found = make(f"/{group}/{method}", self._serializers.get(name), self._deserializers.get(name))
        return kind(found, self._transform)

    def unary_unary(self, group: str, method: str) -> Any:
        """A method with one request and one response."""
        return self._method(_UnaryUnary, "unary_unary", group, method)

    def unary_stream(self, group: str, method: str) -> Any:
        """A method with a stream of responses."""
        return self._method(_UnaryStream, "unary_stream", group, method)

    def stream_unary(self, group: str, method: str) -> Any:
        """A method with a stream of requests."""
        return self._method(_StreamUnary, "stream_unary", group, method)

    def stream_stream(self, group: str, method: str) -> Any:
        """A method with streams both ways."""
        return self._method(_StreamStream, "stream_stream", group, method)

    def __getattr__(self, name: str) -> Any:
        how, _, shape = name.partition("_")
        if shape not in SHAPES or how not in HOW.get(shape, ()):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return partial(self._call, how, shape)

    def _call(self, how: str, shape: str, group: str, method: str, *args: Any, **kwargs: Any) -> Any:
        found = getattr(self, shape)(group, method)
        return (found.future if how == "future" else found.event if how == "event" else found)(*args, **kwargs)

    def __enter__(self) -> GenericStub:
        return self

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        return None


SHAPES = "unary_unary", "unary_stream", "stream_unary", "stream_stream"
HOW = {
    "unary_unary": ("blocking", "future", "event"),
    "unary_stream": ("inline", "event"),
    "stream_unary": ("blocking", "future", "event"),
    "stream_stream": ("inline", "event"),
}
"""How a method of a shape is called by the stub's own methods: ``blocking_unary_unary`` and so on."""


class DynamicStub(face.DynamicStub):
    """The methods of a service as attributes."""

    def __init__(self, stub: GenericStub, group: str, cardinalities: dict[str, Cardinality]) -> None:
        self._stub = stub
        self._group = group
        self._cardinalities = cardinalities

    def __getattr__(self, attr: str) -> Any:
        cardinality = self._cardinalities.get(attr)
        if cardinality is None:
            raise AttributeError(f"the service {self._group} has no method {attr!r} here")
        return getattr(self._stub, cardinality.name.lower())(self._group, attr)

    def __enter__(self) -> DynamicStub:
        return self

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        return None
