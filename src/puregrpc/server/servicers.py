"""Servicers written for grpcio: classes derived from those of a generated ``_pb2_grpc`` module, run as they are.

Their methods get a context that has the methods of grpcio's, which this project does not need for it.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from puregrpc.errors import InvalidArgument, LocalProtocolError, RpcError
from puregrpc.server.callables import is_async
from puregrpc.server.context import Context
from puregrpc.server.mixing import closing
from puregrpc.wire.status import StatusCode

__all__ = ["is_servicer", "servicer_handler"]

ENCODINGS = ("identity", "deflate", "gzip")
"""By the numbers of ``grpc.Compression``."""


def is_servicer(handlers: object) -> bool:
    """Whether its class derives from a generated Servicer."""
    return any(
        kind.__name__.endswith("Servicer") and kind.__module__.endswith("_pb2_grpc") for kind in type(handlers).__mro__
    )


def servicer_handler(method: Callable[..., Any], *, responses_stream: bool) -> Callable[[Any, Context], Any]:
    """The handler that calls a servicer's method."""
    if is_async(method):
        return _async_many(method) if responses_stream else _async_one(method)
    return _many(method) if responses_stream else _one(method)


def _one(method: Callable[..., Any]) -> Callable[[Any, Context], Any]:
    def handler(request: Any, context: Context) -> Any:
        with ServicerContext(context) as servicer_context:
            return method(request, servicer_context)

    return handler


def _many(method: Callable[..., Any]) -> Callable[[Any, Context], Iterator[Any]]:
    def handler(request: Any, context: Context) -> Iterator[Any]:
        with ServicerContext(context) as servicer_context:
            yield from method(request, servicer_context)

    return handler


def _async_one(method: Callable[..., Any]) -> Callable[[Any, Context], Any]:
    async def handler(request: Any, context: Context) -> Any:
        with AsyncServicerContext(context) as servicer_context:
            return await method(request, servicer_context)

    return handler


def _async_many(method: Callable[..., Any]) -> Callable[[Any, Context], AsyncIterator[Any]]:
    if not inspect.isasyncgenfunction(method):
        raise InvalidArgument(
            f"{method.__qualname__}: its responses are a stream: yield each of them; context.write is not there"
        )

    async def handler(request: Any, context: Context) -> AsyncIterator[Any]:
        with AsyncServicerContext(context) as servicer_context:
            responses = method(request, servicer_context)
            async with closing(responses):
                async for response in responses:
                    yield response

    return handler


class Metadatum(NamedTuple):
    """One piece of metadata, as grpcio has it."""

    key: str
    value: str | bytes


class ServicerContext:
    """`grpc.ServicerContext`. As a context manager it makes of what was set the end of the call."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._code = 0
        self._details = ""
        self._trailing_metadata: tuple[tuple[str, str | bytes], ...] = ()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if error is None and not self._code:
            return
        if error is None or (isinstance(error, Exception) and not isinstance(error, RpcError) and self._code):
            raise RpcError(self._code, self._details) from error

    # -- about the call

    def invocation_metadata(self) -> tuple[Metadatum, ...]:
        """The client's metadata."""
        return tuple(Metadatum(key, value) for key, value in self._context.metadata)

    def peer(self) -> str:
        """The client's address."""
        return self._context.peer

    def peer_identities(self) -> Sequence[bytes] | None:
        """The names that the client's certificate is for, or else its common name; None if it showed none."""
        security, key = self._context.security, self.peer_identity_key()
        return None if security is None or key is None else list(security.auth_context[key])

    def peer_identity_key(self) -> str | None:
        """The property of `auth_context` that `peer_identities` are."""
        security = self._context.security
        return None if security is None else security.identity_key

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        """How the connection is secured, and the client's certificate, if it showed one."""
        security = self._context.security
        if security is None:
            return {"transport_security_type": [b"insecure"], "security_level": [b"TSI_SECURITY_NONE"]}
        return {name: list(values) for name, values in security.auth_context.items()}

    def is_active(self) -> bool:
        """Whether the client still waits for the call."""
        return not self._context.cancelled

    def time_remaining(self) -> float | None:
        """Seconds until the deadline; None if there is none."""
        return self._context.time_remaining()

    def add_callback(self, callback: Callable[[], object]) -> bool:
        """`Context.add_callback`."""
        return self._context.add_callback(callback)

    def cancel(self) -> None:
        """End the call with CANCELLED."""
        self._context.cancel()

    # -- what is sent

    def set_compression(self, compression: int) -> None:
        """Compress the responses; ``compression`` is one of ``grpc.Compression``."""
        self._context.set_compression(ENCODINGS[int(compression)])

    def disable_next_message_compression(self) -> None:
        """`Context.disable_next_message_compression`."""
        self._context.disable_next_message_compression()

    def send_initial_metadata(self, initial_metadata: Iterable[tuple[str, str | bytes]]) -> Any:
        """`Context.send_initial_metadata`."""
        self._context.send_initial_metadata([(key, value) for key, value in initial_metadata])

    def set_trailing_metadata(self, trailing_metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """`Context.set_trailing_metadata`."""
        self._trailing_metadata = tuple((key, value) for key, value in trailing_metadata)
        self._context.set_trailing_metadata(self._trailing_metadata)

    def trailing_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """What was set."""
        return self._trailing_metadata

    def set_code(self, code: Any) -> None:
        """The status code that the call ends with: one of ``grpc.StatusCode``."""
        self._code = _number(code)

    def code(self) -> int:
        """The number of the code that was set."""
        return self._code

    def set_details(self, details: str) -> None:
        """The message of the status."""
        self._details = details

    def details(self) -> str:
        """What was set."""
        return self._details

    def abort(self, code: Any, details: str = "", trailing_metadata: Any = ()) -> Any:
        """End the call with a status."""
        self._abort(code, details, trailing_metadata)

    def abort_with_status(self, status: Any) -> Any:
        """End the call with a ``grpc.Status``."""
        self._abort(status.code, status.details, status.trailing_metadata)

    def _abort(self, code: Any, details: str, trailing_metadata: Any) -> NoReturn:
        if trailing_metadata:
            self.set_trailing_metadata(trailing_metadata)
        number = _number(code)
        self._context.abort(StatusCode.UNKNOWN if number == StatusCode.OK else number, details)


class AsyncServicerContext(ServicerContext):
    """`grpc.aio.ServicerContext`."""

    async def send_initial_metadata(self, initial_metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """`Context.send_initial_metadata`."""
        super().send_initial_metadata(initial_metadata)

    async def abort(self, code: Any, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        """End the call with a status."""
        self._abort(code, details, trailing_metadata)

    async def abort_with_status(self, status: Any) -> NoReturn:
        """End the call with a ``grpc.Status``."""
        self._abort(status.code, status.details, status.trailing_metadata)

    def cancelled(self) -> bool:
        """Whether the call is over for the client."""
        return self._context.cancelled

    def done(self) -> bool:
        """Whether the call is over."""
        return self._context.cancelled

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Have ``callback(context)`` called when the call is over."""
        self._context.add_callback(lambda: callback(self))

    async def read(self) -> NoReturn:
        """Not here."""
        raise LocalProtocolError("context.read is not there: take the requests with 'async for'")

    async def write(self, message: Any) -> NoReturn:  # noqa: ARG002 - as it is called
        """Not here."""
        raise LocalProtocolError("context.write is not there: yield the responses")


def _number(code: Any) -> int:
    value = getattr(code, "value", code)
    return int(value[0] if isinstance(value, tuple) else value)
