"""The interfaces of servers on asyncio, as grpcio has them."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from typing import Any, Generic, NoReturn

from grpc.aio._typing import RequestType, ResponseType

__all__ = ["Server", "ServicerContext"]


class Server(abc.ABC):
    """Serves calls, on asyncio."""

    @abc.abstractmethod
    def add_generic_rpc_handlers(self, generic_rpc_handlers: Any) -> None:
        """Serve what these know handlers for. Before it starts."""

    def add_registered_method_handlers(self, service_name: str, method_handlers: Any) -> None:
        """Serve these methods, handlers by name, of a service. Before it starts."""

    @abc.abstractmethod
    def add_insecure_port(self, address: str) -> int:
        """Listen there, in plaintext; gives the port. Before it starts."""

    @abc.abstractmethod
    def add_secure_port(self, address: str, server_credentials: Any) -> int:
        """Listen there, with TLS; gives the port. Before it starts."""

    @abc.abstractmethod
    async def start(self) -> None:
        """Begin to serve, once."""

    @abc.abstractmethod
    async def stop(self, grace: float | None) -> None:
        """Take no more calls, give those there are so many seconds (None: no time), and end what is left."""

    @abc.abstractmethod
    async def wait_for_termination(self, timeout: float | None = None) -> bool:
        """Wait until it has stopped; True if that was not so within ``timeout`` seconds."""


class ServicerContext(Generic[RequestType, ResponseType], abc.ABC):
    """A call as its handler sees it."""

    @abc.abstractmethod
    async def read(self) -> Any:
        """The next request; EOF at the end."""

    @abc.abstractmethod
    async def write(self, message: Any) -> None:
        """Send a response."""

    @abc.abstractmethod
    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Send the initial metadata now."""

    @abc.abstractmethod
    async def abort(self, code: Any, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        """End the call with a status other than OK: raises what does it."""

    async def abort_with_status(self, status: Any) -> NoReturn:
        """End the call with a `grpc.Status`: raises what does it."""
        raise NotImplementedError

    @abc.abstractmethod
    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """The metadata that the call ends with."""

    @abc.abstractmethod
    def invocation_metadata(self) -> Any:
        """The client's metadata."""

    @abc.abstractmethod
    def set_code(self, code: Any) -> None:
        """The code that the call ends with."""

    @abc.abstractmethod
    def set_details(self, details: str) -> None:
        """The message of the status that the call ends with."""

    @abc.abstractmethod
    def set_compression(self, compression: Any) -> None:
        """Compress the responses so; before the first of them."""

    @abc.abstractmethod
    def disable_next_message_compression(self) -> None:
        """Send the next response as it is."""

    @abc.abstractmethod
    def peer(self) -> str:
        """The client's address."""

    @abc.abstractmethod
    def peer_identities(self) -> Any:
        """The names in the client's certificate; None if it did not show one."""

    @abc.abstractmethod
    def peer_identity_key(self) -> str | None:
        """The key of `auth_context` that has them."""

    @abc.abstractmethod
    def auth_context(self) -> Mapping[str, Any]:
        """What the connection proves."""

    def time_remaining(self) -> float | None:
        """Seconds until the deadline; None if there is none."""
        raise NotImplementedError

    def trailing_metadata(self) -> Any:
        """What was set."""
        raise NotImplementedError

    def code(self) -> Any:
        """What was set."""
        raise NotImplementedError

    def details(self) -> Any:
        """What was set."""
        raise NotImplementedError

    def add_done_callback(self, callback: Callable[[Any], Any]) -> None:
        """Have ``callback(context)`` called when the call is over."""
        raise NotImplementedError

    def cancelled(self) -> bool:
        """Whether the call was cancelled."""
        raise NotImplementedError

    def done(self) -> bool:
        """Whether the call is over."""
        raise NotImplementedError
