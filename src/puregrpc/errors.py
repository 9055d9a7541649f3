"""The public exceptions, one tree, each named by whose fault it is.

Error
├── UserError                the caller asked for something that cannot be
│   ├── InvalidArgument      a parameter, target or piece of metadata is not valid
│   ├── NotConnected         there is no connection (yet, or any more) to use
│   ├── SchemaError          a name is not in the schema, or the schema itself is broken
│   │   └── CompileError     a .proto source does not compile
│   ├── EncodeError          a request does not fit its message type
│   └── LocalProtocolError   a call was used in an order that gRPC does not allow
├── DecodeError              bytes are not a valid message of the type they were sent as
├── RemoteProtocolError      the peer broke HTTP/2 or gRPC
├── ConnectError             no connection could be made
└── RpcError                 a call ended with a status other than OK
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CompileError",
    "ConnectError",
    "DecodeError",
    "EncodeError",
    "Error",
    "InvalidArgument",
    "LocalProtocolError",
    "NotConnected",
    "RemoteProtocolError",
    "RpcError",
    "SchemaError",
    "UserError",
]


class Error(Exception):
    """Every exception that puregrpc raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args), self.__dict__


def _restored(kind: type[Error], args: tuple[Any, ...]) -> Error:
    """A copy of an error, as `pickle` and `copy` make it, whatever its ``__init__`` takes."""
    return kind.__new__(kind, *args)


class UserError(Error):
    """The caller asked for something that cannot be; the message names it and says what would be right."""


class InvalidArgument(UserError, ValueError):  # noqa: N818 - gRPC's own word for it
    """A parameter, a target or a piece of metadata is not valid."""


class NotConnected(UserError):  # noqa: N818 - a state, not a fault
    """There is no connection to use: none was made, or it was closed."""


class SchemaError(UserError, LookupError):
    """A name is not in the schema, or a descriptor is not one that can be used."""


class CompileError(SchemaError):
    """One or more .proto sources do not compile.

    ``diagnostics`` holds every finding in the order of the sources, each rendered as ``file:line:column: message``.
    """

    def __init__(self, diagnostics: Sequence[str]) -> None:
        super().__init__("\n".join(diagnostics))
        self.diagnostics = tuple(diagnostics)


class EncodeError(UserError, ValueError):
    """A value does not fit its message type. ``path`` is where, as in ``request.items[3].price``."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem


class LocalProtocolError(UserError, RuntimeError):
    """This side used a call or a connection in an order that gRPC or HTTP/2 does not allow."""


class DecodeError(Error, ValueError):
    """Bytes or JSON text are not a valid message of their type. ``path`` is where, as far as it is known."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem


class RemoteProtocolError(Error):
    """The peer broke HTTP/2 (RFC 9113), HPACK (RFC 7541) or gRPC over HTTP/2.

    ``error_code`` is the HTTP/2 error code (RFC 9113, section 7) that the connection is closed with.
    """

    def __init__(self, message: str, error_code: int = 1) -> None:
        super().__init__(message)
        self.error_code = error_code


class ConnectError(Error, ConnectionError):
    """No connection to the target could be made; the message says at which step and why."""


class RpcError(Error):
    """A call ended with a status other than OK.

    ``code`` (int), ``message`` (text) and ``details`` (a serialized google.rpc.Status, or None) are the call's
    status; ``headers`` and ``trailers`` are its initial and trailing metadata as tuples of (name, value).
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        details: bytes | None = None,
        headers: Sequence[tuple[str, str | bytes]] = (),
        trailers: Sequence[tuple[str, str | bytes]] = (),
        code_name: str = "",
    ) -> None:
        super().__init__(f"{code_name or code}: {message}" if message else code_name or str(code))
        self.code = code
        self.message = message
        self.details = details
        self.headers = tuple(headers)
        self.trailers = tuple(trailers)
