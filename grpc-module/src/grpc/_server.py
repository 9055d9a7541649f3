"""The server of threads."""

from __future__ import annotations

import _thread
import contextlib
import contextvars
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from grpc import _channelz, _waiting
from grpc._channel_options import checked_options
from grpc._credentials import ServerCredentials, check_credentials
from grpc._interceptor import service_pipeline
from grpc._listening import bind
from grpc._server_interfaces import Server
from grpc._server_options import reuses_port, server_config
from grpc._servicer_context import _Context, _RequestIterator
from grpc._serving import _HandlerCallDetails, fallback_method, method_for
from grpc._utilities import DictionaryGenericHandler
from puregrpc import errors
from puregrpc.server import BlockingServer

__all__ = [
    "Handlers", "HandlersAndPorts", "_Context", "_HandlerCallDetails", "_RequestIterator", "_Server", "create_server",
]  # fmt: skip


LINGER = 1.0
"""How long, in seconds, a server that is dropped goes on: programs call servers that they made and forgot, since
grpcio's look once a second whether they are still wanted. Calls that run go on as long as they take."""


def _validate_generic_rpc_handlers(handlers: Iterable[Any]) -> None:
    for handler in handlers:
        if not hasattr(handler, "service"):
            raise AttributeError(
                f'"{handler}" must conform to grpc.GenericRpcHandler type but does not have "service" method!'
            )


class Handlers:
    """The handlers of a server, and how they are found."""

    def __init__(self, handlers: Sequence[Any] | None, interceptors: Sequence[Any] | None) -> None:
        self._generic: list[Any] = []
        self._registered: dict[str, Any] = {}
        self.pipeline = service_pipeline(interceptors)
        self.add(handlers or ())

    def add(self, handlers: Iterable[Any]) -> None:
        """Serve what generic handlers know. Raises AttributeError for what is none."""
        handlers = tuple(handlers)
        _validate_generic_rpc_handlers(handlers)
        self._generic += handlers

    def register(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Serve the methods of a service."""
        self._registered.update({f"/{service}/{name}": handler for name, handler in handlers.items()})

    def find(self, details: Any) -> Any:
        """The handler for a call, without interceptors; None if there is none."""
        found = self._registered.get(details.method)
        if found is not None:
            return found
        for handler in self._generic:
            found = handler.service(details)
            if found is not None:
                return found
        return None

    def known(self) -> dict[str, Any]:
        """The handlers whose paths are known beforehand."""
        known = dict(self._registered)
        for each in self._generic:
            if type(each) is not DictionaryGenericHandler:
                break  # it may have handlers for what follows
            for path, handler in each._method_handlers.items():
                known.setdefault(path, handler)
        return {path: handler for path, handler in known.items() if path.startswith("/") and path.count("/") > 1}


class HandlersAndPorts:
    """What servers of threads and of asyncio are given alike."""

    _handlers: Handlers
    _options: Any
    _server: Any

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[Any]) -> None:
        """Serve what generic handlers know."""
        self._handlers.add(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """Serve the methods of a service."""
        self._handlers.register(service_name, method_handlers)

    def add_insecure_port(self, address: str) -> int:
        """Take an address in plaintext; gives its port."""
        return bind(self._server, address, None, reuse_port=reuses_port(self._options))

    def add_secure_port(self, address: str, server_credentials: ServerCredentials) -> int:
        """Take an address with credentials; gives its port."""
        check_credentials(server_credentials, ServerCredentials, "server_credentials")
        return bind(self._server, address, server_credentials, reuse_port=reuses_port(self._options))


class _Server(HandlersAndPorts, Server):
    """A server over puregrpc's."""

    _server: BlockingServer

    def __init__(
        self,
        thread_pool: Any,
        generic_handlers: Sequence[Any] | None,
        interceptors: Sequence[Any] | None,
        options: Any,
        maximum_concurrent_rpcs: int | None,
        compression: Any,
    ) -> None:
        self._options = checked_options(options)
        self._handlers = Handlers(generic_handlers, interceptors)
        self._is_started = self._is_stopping = False
        config = server_config(self._options, compression, maximum_concurrent_rpcs)
        # The context variables of handlers are not those of who makes the server.
        self._server = contextvars.Context().run(lambda: BlockingServer(config=config, executor=thread_pool))
        if _channelz.is_wanted(self._options):
            _channelz.watch_server(self._server)

    def start(self) -> None:
        if self._is_started:
            raise ValueError("Cannot start already-started server!")
        self._is_started = True
        handlers, pipeline = self._handlers, self._handlers.pipeline

        def find(details: Any) -> Any:
            return handlers.find(details) if pipeline is None else pipeline.execute(handlers.find, details)

        for path, handler in handlers.known().items():
            self._server.add_method(method_for(path, handler, None if pipeline is None else find))
        self._server.add_fallback(fallback_method(find))  # handlers may come later, and interceptors see every call
        contextvars.Context().run(self._server.start)

    def stop(self, grace: float | None) -> threading.Event:
        if not self._is_started:  # it may be started yet
            return _set_event()
        self._is_stopping = True
        _channelz.forget_server(self._server)
        return self._server.stop(grace or 0)

    def wait_for_termination(self, timeout: float | None = None) -> bool:
        return _waiting.wait(self._server.wait_for_termination, timeout)

    def __del__(self) -> None:
        if getattr(self, "_is_started", False) and not self._is_stopping:
            try:
                # Not by threading, whose locks this thread may be in the middle of.
                _thread.start_new_thread(_stop_later, (self._server,))
            except RuntimeError:  # the interpreter is about to end
                _stop(self._server)
        elif hasattr(self, "_server") and not self._is_stopping:
            _stop(self._server)


def _stop_later(server: BlockingServer) -> None:
    time.sleep(LINGER)
    _stop(server)


def _stop(server: BlockingServer) -> None:
    with contextlib.suppress(errors.Error):
        server.stop()


def _set_event() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def create_server(
    thread_pool: Any,
    generic_rpc_handlers: Sequence[Any] | None,
    interceptors: Sequence[Any] | None,
    options: Any,
    maximum_concurrent_rpcs: int | None,
    compression: Any,
) -> _Server:
    """A server."""
    return _Server(thread_pool, generic_rpc_handlers, interceptors, options, maximum_concurrent_rpcs, compression)
