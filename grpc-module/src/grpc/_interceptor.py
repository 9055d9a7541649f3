"""Interceptors around the calls of a channel."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from grpc import _client_interfaces as interfaces
from grpc._codes import StatusCode
from grpc._errors import RpcError
from grpc._state import _Ended, _RPCState

__all__ = ["_ClientCallDetails", "_FailureOutcome", "_UnaryOutcome", "intercept_channel", "service_pipeline"]


class _DetailsFields(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _ClientCallDetails(_DetailsFields, interfaces.ClientCallDetails):
    """A call that is about to be made."""


class _UnaryOutcome(interfaces.Call, interfaces.Future):
    """What a call with one response has given."""

    def __init__(self, response: Any, call: interfaces.Call) -> None:
        self._response = response
        self._call = call

    def initial_metadata(self) -> Any:
        return self._call.initial_metadata()

    def trailing_metadata(self) -> Any:
        return self._call.trailing_metadata()

    def code(self) -> Any:
        return self._call.code()

    def details(self) -> Any:
        return self._call.details()

    def is_active(self) -> Any:
        return self._call.is_active()

    def time_remaining(self) -> Any:
        return self._call.time_remaining()

    def cancel(self) -> Any:
        return self._call.cancel()

    def add_callback(self, callback: Callable[[], Any]) -> Any:
        return self._call.add_callback(callback)

    def cancelled(self) -> bool:
        return False

    def running(self) -> bool:
        return False

    def done(self) -> bool:
        return True

    def result(self, timeout: float | None = None) -> Any:
        return self._response

    def exception(self, timeout: float | None = None) -> None:
        pass

    def traceback(self, timeout: float | None = None) -> None:
        pass

    def add_done_callback(self, fn: Callable[[Any], Any]) -> None:
        fn(self)


class _FailureOutcome(RpcError, _Ended):
    """What an interceptor, or what is below it, raised."""

    def __init__(self, exception: BaseException, traceback: TracebackType | None) -> None:
        RpcError.__init__(self)
        details = "Exception raised while intercepting the RPC"
        _Ended.__init__(self, _RPCState((), None, None, StatusCode.INTERNAL, details))
        self._exception = exception
        self._traceback = traceback

    def result(self, timeout: float | None = None) -> Any:
        raise self._exception

    def exception(self, timeout: float | None = None) -> BaseException:
        return self._exception

    def traceback(self, timeout: float | None = None) -> TracebackType | None:
        return self._traceback

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        raise self._exception

    def next(self) -> Any:
        """The next response."""
        return self.__next__()


def _arguments(details: Any, default: _ClientCallDetails) -> tuple[Any, dict[str, Any]]:
    """The method and the arguments of a call, from details that may lack some."""
    if details is default:
        values = default._asdict()
    else:
        values = {name: getattr(details, name, getattr(default, name)) for name in _DetailsFields._fields}
    return values.pop("method"), values


class _Intercepted:
    """What the shapes have in common: ``thunk`` gives the multi-callable below, by the method's path."""

    def __init__(self, thunk: Callable[[Any], Any], method: Any, interceptor: Any) -> None:
        self._thunk = thunk
        self._method = method
        self._interceptor = interceptor
        self._same: Any = None
        """The multi-callable below of the same method, once it is needed."""

    def _below(self, method: Any) -> Any:
        """The multi-callable of the method that an interceptor chose."""
        if method != self._method:
            return self._thunk(method)
        if self._same is None:
            self._same = self._thunk(method)
        return self._same

    def _begun(self, name: str, intercept: Callable[..., Any], request: Any, arguments: tuple[Any, ...]) -> Any:
        """Begin the call with the method ``name`` of the multi-callable below; the interceptor's, if it raises."""
        default = _ClientCallDetails(self._method, *arguments)

        def continuation(details: Any, request: Any) -> Any:
            method, keywords = _arguments(details, default)
            return getattr(self._below(method), name)(request, **keywords)

        try:
            return intercept(continuation, default, request)
        except Exception as error:
            return _FailureOutcome(error, sys.exc_info()[2])

    def _made(self, intercept: Callable[..., Any], request: Any, arguments: tuple[Any, ...]) -> Any:
        """Make the call with one response; gives the outcome."""
        default = _ClientCallDetails(self._method, *arguments)

        def continuation(details: Any, request: Any) -> Any:
            method, keywords = _arguments(details, default)
            try:
                response, call = self._below(method).with_call(request, **keywords)
            except RpcError as error:
                return error
            except Exception as error:
                return _FailureOutcome(error, sys.exc_info()[2])
            return _UnaryOutcome(response, call)

        return intercept(continuation, default, request)


class _UnaryUnaryMultiCallable(_Intercepted, interfaces.UnaryUnaryMultiCallable):
    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        return self.with_call(request, timeout, metadata, credentials, wait_for_ready, compression)[0]

    def with_call(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        intercept = self._interceptor.intercept_unary_unary
        call = self._made(intercept, request, (timeout, metadata, credentials, wait_for_ready, compression))
        return call.result(), call

    def future(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        intercept = self._interceptor.intercept_unary_unary
        return self._begun("future", intercept, request, (timeout, metadata, credentials, wait_for_ready, compression))


class _UnaryStreamMultiCallable(_Intercepted, interfaces.UnaryStreamMultiCallable):
    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        intercept = self._interceptor.intercept_unary_stream
        arguments = (timeout, metadata, credentials, wait_for_ready, compression)
        return self._begun("__call__", intercept, request, arguments)


class _StreamUnaryMultiCallable(_Intercepted, interfaces.StreamUnaryMultiCallable):
    def __call__(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        return self.with_call(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)[0]

    def with_call(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        intercept = self._interceptor.intercept_stream_unary
        call = self._made(intercept, request_iterator, (timeout, metadata, credentials, wait_for_ready, compression))
        return call.result(), call

    def future(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        intercept = self._interceptor.intercept_stream_unary
        arguments = (timeout, metadata, credentials, wait_for_ready, compression)
        return self._begun("future", intercept, request_iterator, arguments)


class _StreamStreamMultiCallable(_Intercepted, interfaces.StreamStreamMultiCallable):
    def __call__(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        intercept = self._interceptor.intercept_stream_stream
        arguments = (timeout, metadata, credentials, wait_for_ready, compression)
        return self._begun("__call__", intercept, request_iterator, arguments)


class _Channel(interfaces.Channel):
    """A channel with one interceptor around its calls."""

    def __init__(self, channel: interfaces.Channel, interceptor: Any) -> None:
        self._channel = channel
        self._interceptor = interceptor

    def subscribe(self, callback: Callable[[Any], Any], try_to_connect: bool = False) -> None:
        self._channel.subscribe(callback, try_to_connect=try_to_connect)

    def unsubscribe(self, callback: Callable[[Any], Any]) -> None:
        self._channel.unsubscribe(callback)

    def _multi_callable(
        self, name: str, kind: type[Any], interceptor: type[Any], method: str, *arguments: Any, registered: Any
    ) -> Any:
        def thunk(path: str) -> Any:
            make = getattr(self._channel, name)
            if registered:
                return make(path, *arguments, _registered_method=registered)
            return make(path, *arguments)  # whoever wrote a channel may not know the argument

        return kind(thunk, method, self._interceptor) if isinstance(self._interceptor, interceptor) else thunk(method)

    def unary_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        kinds = _UnaryUnaryMultiCallable, interfaces.UnaryUnaryClientInterceptor
        arguments = method, request_serializer, response_deserializer
        return self._multi_callable("unary_unary", *kinds, *arguments, registered=_registered_method)

    def unary_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        kinds = _UnaryStreamMultiCallable, interfaces.UnaryStreamClientInterceptor
        arguments = method, request_serializer, response_deserializer
        return self._multi_callable("unary_stream", *kinds, *arguments, registered=_registered_method)

    def stream_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        kinds = _StreamUnaryMultiCallable, interfaces.StreamUnaryClientInterceptor
        arguments = method, request_serializer, response_deserializer
        return self._multi_callable("stream_unary", *kinds, *arguments, registered=_registered_method)

    def stream_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        kinds = _StreamStreamMultiCallable, interfaces.StreamStreamClientInterceptor
        arguments = method, request_serializer, response_deserializer
        return self._multi_callable("stream_stream", *kinds, *arguments, registered=_registered_method)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> _Channel:
        return self

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        self._channel.close()


INTERCEPTORS = (
    interfaces.UnaryUnaryClientInterceptor,
    interfaces.UnaryStreamClientInterceptor,
    interfaces.StreamUnaryClientInterceptor,
    interfaces.StreamStreamClientInterceptor,
)


def intercept_channel(channel: interfaces.Channel, *interceptors: Any) -> interfaces.Channel:
    """A channel with interceptors around its calls, the first outermost. Raises TypeError for what is none."""
    for interceptor in reversed(interceptors):
        if not isinstance(interceptor, INTERCEPTORS):
            raise TypeError(
                "interceptor must be grpc.UnaryUnaryClientInterceptor or grpc.UnaryStreamClientInterceptor or "
                "grpc.StreamUnaryClientInterceptor or grpc.StreamStreamClientInterceptor or "
            )
        channel = _Channel(channel, interceptor)
    return channel


class _ServicePipeline:
    """The interceptors of a server, one around the other."""

    def __init__(self, interceptors: Sequence[Any]) -> None:
        self.interceptors = tuple(interceptors)

    def execute(self, thunk: Callable[[Any], Any], details: Any) -> Any:
        """The handler that they and ``thunk`` find for a call."""
        for interceptor in reversed(self.interceptors):
            thunk = _around(interceptor, thunk)
        return thunk(details)


def _around(interceptor: Any, thunk: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda details: interceptor.intercept_service(thunk, details)


def service_pipeline(interceptors: Sequence[Any] | None) -> _ServicePipeline | None:
    """The interceptors of a server; None without any."""
    return _ServicePipeline(interceptors) if interceptors else None
