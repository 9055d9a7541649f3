"""The public exceptions, one tree, each named by whose fault it is, and the codes of a call's status.

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

from enum import IntEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "CompileError",
    "ConnectError",
    "DecodeError",
    "EncodeError",
    "Error",
    "InvalidArgument",
    "LocalProtocolError",
    "NamedInt",
    "NotConnected",
    "RemoteProtocolError",
    "RpcError",
    "SchemaError",
    "StatusCode",
    "UserError",
]


class NamedInt(IntEnum):
    """An int that prints as its name. A number without a name is a value all the same: ``CODE_77``."""

    @classmethod
    def _missing_(cls, value: object) -> NamedInt | None:
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_ = cls._nameless(value)
        member._value_ = int(value)
        return member

    @staticmethod
    def _nameless(number: int) -> str:
        return f"CODE_{number}"

    def __str__(self) -> str:
        return self.name

    def __format__(self, spec: str) -> str:
        return format(self.name, spec) if not spec or spec[-1] in "s<>^" else format(int(self), spec)


class StatusCode(NamedInt):
    """The gRPC status codes (https://grpc.github.io/grpc/core/md_doc_statuscodes.html)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


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

    ``code`` is its `StatusCode`, which prints as its name (in what `Client` raises, a status constant of that one's,
    which equals it); ``message`` is text; ``headers`` and ``trailers`` are the call's initial and trailing metadata as
    tuples of (name, value). ``details_bin`` is the serialized google.rpc.Status that came with it, or None, and
    ``details`` the same decoded. ``read_details`` decodes it, with the types that the caller knows.
    """

    def __init__(
        self,
        code: int,
        message: str = "",
        *,
        details_bin: bytes | None = None,
        headers: Sequence[tuple[str, str | bytes]] = (),
        trailers: Sequence[tuple[str, str | bytes]] = (),
        read_details: Callable[[bytes], dict[str, Any]] | None = None,
    ) -> None:
        if not isinstance(code, int):
            raise InvalidArgument(f"the code of an RpcError is a number such as StatusCode.NOT_FOUND, not {code!r}")
        self.code: NamedInt = code if isinstance(code, NamedInt) else StatusCode(code)
        super().__init__(f"{self.code}: {message}" if message else str(self.code))
        self.message = message
        self.details_bin = details_bin
        self.headers = tuple(headers)
        self.trailers = tuple(trailers)
        self._read_details = read_details

    @property
    def details(self) -> dict[str, Any] | None:
        """The google.rpc.Status that came with the call: its ``code``, ``message`` and ``details``; None without one.

        It is decoded each time it is asked for. ``details`` are dicts with ``@type``. One whose type is not known, or
        whose bytes are not of it, has them in base64 under ``@value``.
        """
        if self.details_bin is None:
            return None
        # By name, since the codec imports this module.
        read = self._read_details or import_module("puregrpc.codec.status_details").read_status
        status: dict[str, Any] = read(self.details_bin)
        return status

    def __reduce__(self) -> tuple[Any, ...]:
        # What reads the details belongs to a client, with its locks.
        return _restored, (type(self), self.args), {**self.__dict__, "_read_details": None}
