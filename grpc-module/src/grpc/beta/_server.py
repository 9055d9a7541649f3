"""Servers of the old interface, over servers of `grpc`."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from grpc.beta import interfaces
from grpc.beta._metadata import beta, unbeta
from grpc.framework.common.cardinality import Cardinality
from grpc.framework.common.style import Service
from grpc.framework.foundation import abandonment, logging_pool, stream
from grpc.framework.interfaces.face import face

__all__ = ["make_server"]

POOL_SIZE = 8
"""How many threads a server has by default."""


class _ProtocolContext(interfaces.GRPCServicerContext):
    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context

    def peer(self) -> str:
        return str(self._context.peer())

    def disable_next_response_compression(self) -> None:
        self._context.disable_next_message_compression()


class _Context(face.ServicerContext):
    """A context of grpc as the old interface has it."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def is_active(self) -> bool:
        return bool(self._context.is_active())

    def time_remaining(self) -> float | None:
        remaining: float | None = self._context.time_remaining()
        return remaining

    def add_abortion_callback(self, abortion_callback: Callable[[face.Abortion], Any]) -> None:
        raise NotImplementedError("add_abortion_callback no longer supported server-side!")

    def cancel(self) -> None:
        self._context.cancel()

    def protocol_context(self) -> _ProtocolContext:
        return _ProtocolContext(self._context)

    def invocation_metadata(self) -> Any:
        return beta(self._context.invocation_metadata())

    def initial_metadata(self, initial_metadata: Any) -> None:
        self._context.send_initial_metadata(unbeta(initial_metadata))

    def terminal_metadata(self, terminal_metadata: Any) -> None:
        self._context.set_trailing_metadata(unbeta(terminal_metadata))

    def code(self, code: Any) -> None:
        self._context.set_code(code)

    def details(self, details: Any) -> None:
        self._context.set_details(details)


class _Responses(stream.Consumer):
    """What a function of events gives, for the thread that sends it."""

    _END = object()
    _GONE = object()

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._given: queue.SimpleQueue[Any] = queue.SimpleQueue()
        if not context.add_callback(lambda: self._given.put(self._GONE)):
            raise abandonment.Abandoned

    def consume(self, value: Any) -> None:
        self._given.put(value)

    def terminate(self) -> None:
        self._given.put(self._END)

    def consume_and_terminate(self, value: Any) -> None:
        self.consume(value)
        self.terminate()

    def __iter__(self) -> Iterator[Any]:
        """Raises Abandoned when the call is over before its end."""
        while (value := self._given.get()) is not self._END:
            if value is self._GONE:
                raise abandonment.Abandoned
            yield value


def _pipe(requests: Iterator[Any], consumer: stream.Consumer) -> None:
    """Give the requests to a consumer, on a thread of their own."""

    def run() -> None:
        try:
            for request in requests:
                consumer.consume(request)
        except grpc.RpcError:  # the call is over
            return
        consumer.terminate()

    threading.Thread(target=run, daemon=True).start()


def _many_by_events(behavior: Callable[..., Any], takes_stream: bool, answers_stream: bool) -> Callable[..., Any]:
    def responses(request: Any, context: Any) -> Iterator[Any]:
        given = _Responses(context)
        output = given if answers_stream else given.consume_and_terminate
        if takes_stream:
            _pipe(request, behavior(output, _Context(context)))
        else:
            behavior(request, output, _Context(context))
        yield from given

    if answers_stream:
        return responses
    return lambda request, context: next(responses(request, context))


def _behavior(method: Any) -> Callable[..., Any]:
    """The handler of grpc for a method."""
    takes_stream = method.cardinality in (Cardinality.STREAM_UNARY, Cardinality.STREAM_STREAM)
    answers_stream = method.cardinality in (Cardinality.UNARY_STREAM, Cardinality.STREAM_STREAM)
    behavior = getattr(method, f"{method.cardinality.name.lower()}_{method.style.value}")
    if method.style is Service.EVENT:
        return _many_by_events(behavior, takes_stream, answers_stream)
    return lambda request, context: behavior(request, _Context(context))


class _Server(interfaces.Server):
    def __init__(self, server: grpc.Server) -> None:
        self._server = server

    def add_insecure_port(self, address: str) -> int:
        return int(self._server.add_insecure_port(address))

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        return int(self._server.add_secure_port(address, server_credentials))

    def start(self) -> None:
        self._server.start()

    def stop(self, grace: float | None) -> threading.Event:
        stopped: threading.Event = self._server.stop(grace)
        return stopped

    def __enter__(self) -> _Server:
        self.start()
        return self

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        self.stop(None)


def make_server(
    implementations: dict[tuple[str, str], Any],
    request_deserializers: dict[tuple[str, str], Any] | None,
    response_serializers: dict[tuple[str, str], Any] | None,
    thread_pool: Any,
    thread_pool_size: int | None,
) -> _Server:
    """A server of methods, by the names of their services and their own."""
    services: dict[str, dict[str, grpc.RpcMethodHandler]] = {}
    for (group, name), method in implementations.items():
        make = getattr(grpc, f"{method.cardinality.name.lower()}_rpc_method_handler")
        services.setdefault(group, {})[name] = make(
            _behavior(method),
            (request_deserializers or {}).get((group, name)),
            (response_serializers or {}).get((group, name)),
        )
    handlers = [grpc.method_handlers_generic_handler(group, found) for group, found in services.items()]
    if thread_pool is None:
        thread_pool = logging_pool.pool(thread_pool_size or POOL_SIZE)
    return _Server(grpc.server(thread_pool, handlers=handlers))
