"""What a handler knows about its call and can do with it besides answering."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from puregrpc.errors import InvalidArgument, LocalProtocolError, RpcError
from puregrpc.server.method import Shape
from puregrpc.wire.compression import coding_for
from puregrpc.wire.metadata import encode_metadata
from puregrpc.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from puregrpc.kernel import Kernel
    from puregrpc.server.calls.incoming import IncomingCall
    from puregrpc.transport import ConnectionSecurity
    from puregrpc.wire.connection import Metadata

__all__ = ["Context", "MetadataLike"]

MetadataLike = Mapping[str, "str | bytes"] | Iterable[tuple[str, "str | bytes"]]
"""Metadata as a mapping, or as pairs of name and value where names repeat or the order matters."""


def as_metadata(metadata: MetadataLike) -> Metadata:
    """Metadata in the form that the wire takes."""
    pairs = metadata.items() if isinstance(metadata, Mapping) else metadata
    return tuple((name, value) for name, value in pairs)


class Context:
    """One call, as its handler sees it. Handlers get it as their second argument.

    When the client cancels the call, its deadline passes or its connection is lost, ``cancelled`` is True from then on.
    An async handler is interrupted where it waits, by trio.Cancelled or asyncio.CancelledError. A plain handler goes
    on, on its thread: it looks at ``cancelled``, or has something called (`add_callback`).
    """

    __slots__ = ("_call",)

    def __init__(self, call: IncomingCall) -> None:
        self._call = call

    @property
    def kernel(self) -> Kernel:
        """The kernel of the server: its clock, and what code that is written for all worlds needs."""
        return self._call.session.kernel

    # -- what the client sent

    @property
    def method(self) -> str:
        """The path of the call, ``/pkg.Service/Method``."""
        return self._call.request.path

    @property
    def shape(self) -> Shape:
        """Which of the four kinds of call it is."""
        return self._call.route.method.shape

    @property
    def metadata(self) -> Metadata:
        """The client's metadata in order, repeated names kept: (name in lower case, text; bytes for -bin names)."""
        return self._call.request.metadata

    def get_metadata(self, name: str) -> str | bytes | None:
        """The first value of a name in the client's metadata; None if it is not there."""
        name = name.lower()
        return next((value for key, value in self._call.request.metadata if key == name), None)

    @property
    def compressed_messages(self) -> int:
        """How many of the messages that have come so far came compressed."""
        return self._call.compressed_messages

    @property
    def authority(self) -> str:
        """The :authority that the client asked for."""
        return self._call.request.authority

    @property
    def user_agent(self) -> str:
        """The client's user-agent."""
        return self._call.request.user_agent

    @property
    def peer(self) -> str:
        """The client's address, as in ``ipv4:127.0.0.1:50312``, ``ipv6:[::1]:50312`` or ``unix:``."""
        return self._call.session.peer_uri

    @property
    def peer_certificate(self) -> bytes | None:
        """The client's certificate (DER) if it showed one over TLS, else None."""
        return self._call.session.peer_certificate

    @property
    def security(self) -> ConnectionSecurity | None:
        """How the connection is secured, with the client's certificate as data; None in plaintext.

        A certificate that was shown is one that ``root_certificates`` of the server's `TlsOptions` have signed.
        """
        return self._call.session.security

    @property
    def timeout(self) -> float | None:
        """The time that the client gave the call when it sent it, in seconds; None if it set no deadline."""
        return self._call.request.timeout

    @property
    def deadline(self) -> float | None:
        """When the call's time is over; None if it set no deadline.

        On the clock of the server's world: ``trio.current_time``, the loop's ``time``, or ``time.monotonic``.
        """
        return self._call.wire_deadline

    def time_remaining(self) -> float | None:
        """Seconds until the deadline, 0.0 if it has passed; None if there is none."""
        deadline = self._call.wire_deadline
        return None if deadline is None else max(0.0, deadline - self.kernel.now())

    @property
    def cancelled(self) -> bool:
        """Whether the call is over for the client already: cancelled, past its deadline, or its connection lost."""
        return self._call.ended is not None

    @property
    def cancel_reason(self) -> Status | None:
        """Why the call was cancelled (CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE); None while it is not."""
        return self._call.ended

    def add_callback(self, callback: Callable[[], object]) -> bool:
        """Have ``callback()`` called when the call is over, however it ends; False if it is over already.

        It runs in the thread of the loop, which it must not hold up; on a blocking server, in a thread of its own.
        """
        found: bool = self._call.session.perform(self._call.add_callback, callback)
        return found

    # -- what the server sends besides messages

    def send_initial_metadata(self, metadata: MetadataLike = ()) -> None:
        """Send the response headers now; without this call they go out with the first message.

        Raises LocalProtocolError if they are out, InvalidArgument for metadata that gRPC does not allow.
        """
        self._call.session.perform(self._call.send_headers, as_metadata(metadata))

    async def send(self, response: Any) -> None:
        """Send one of many responses from an async handler, beside or in place of those that it yields.

        Waits while the client takes no more. One task at a time.
        """
        await self._call.send(response)

    def set_trailing_metadata(self, metadata: MetadataLike) -> None:
        """The metadata that the call ends with, whatever its status. A later call replaces what an earlier one set.

        Raises InvalidArgument for metadata that gRPC does not allow.
        """
        pairs = as_metadata(metadata)
        encode_metadata(pairs)
        self._call.trailing_metadata = pairs

    def set_good_end(self, message: str, details: bytes | None = None) -> None:
        """What goes with the status OK when the handler ends well: a message, and a serialized google.rpc.Status."""
        self._call.good_end = Status(StatusCode.OK, message, details)

    def set_compression(self, encoding: str) -> None:
        """Compress the responses with ``encoding`` ("gzip", "deflate", "identity") if the client can inflate it.

        Raises LocalProtocolError once the headers are out, InvalidArgument for an encoding this side does not have.
        """
        if self._call.headers_sent:
            raise LocalProtocolError(f"{self.method}: compression is chosen before the initial metadata is sent")
        coding_for(encoding)
        self._call.encoding = encoding

    def disable_next_message_compression(self) -> None:
        """Send the next response as it is, though the call is compressed."""
        self._call.compress_next = False

    def cancel(self) -> None:
        """End the call at once with CANCELLED, and interrupt its handler. Nothing happens if it is over."""
        self._call.session.perform(self._call.cancel)

    def abort(self, code: int, message: str = "", details: bytes | None = None) -> NoReturn:
        """End the call with a status: raises the RpcError that does it (raising one yourself is the same).

        ``details`` is a serialized google.rpc.Status. OK is not a way to end early: InvalidArgument.
        """
        if code == StatusCode.OK:
            raise InvalidArgument("abort: the code must not be OK; return from the handler to end a call with OK")
        raise RpcError(code, message, details_bin=details)
