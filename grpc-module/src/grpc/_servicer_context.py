"""A call as its handler sees it, over puregrpc's context; and what a handler's end means for the call."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from grpc._channel_options import encoding_of
from grpc._codes import StatusCode, number_of
from grpc._common import deserialize, encode
from grpc._errors import RpcError
from grpc._metadata import STATUS_DETAILS, InvalidMetadataError, Metadatum, outgoing, shown
from grpc._server_interfaces import ServicerContext
from puregrpc import errors

if TYPE_CHECKING:
    from puregrpc.server import Context

__all__ = ["CallEnd", "CallView", "_Context", "_RequestIterator", "bad_metadata", "peer_of"]

logger = logging.getLogger("grpc._server")


def peer_of(address: str) -> str:
    """The client's address as grpcio writes it: the brackets of IPv6 percent-coded."""
    return address.replace("[", "%5B").replace("]", "%5D") if address.startswith("ipv6:") else address


class CallEnd:
    """What a handler says of how its call is to end."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.code: Any = None
        self.details: bytes | None = None
        self.trailing_metadata: Any = None
        self.is_aborted = False
        self.has_bad_headers = False
        """The handler gave initial metadata that cannot be sent."""

    def abort(self, code: Any, details: Any) -> NoReturn:
        """Raise what ends the call with a status."""
        if code is StatusCode.OK:
            logger.error("abort() called with StatusCode.OK; returning UNKNOWN")
            code, details = StatusCode.UNKNOWN, ""
        self.code = code
        self.is_aborted = True
        try:
            self.details = encode(details)
        except AttributeError as error:  # of what is no text, of which grpcio tells the client
            self.details = f"Exception calling application: {error}".encode()
            raise
        raise Exception  # which grpcio raises, too

    def error(self, code: StatusCode, details: str) -> errors.RpcError:
        """What ends the call with a status, in which what the handler has set comes first."""
        if self.has_bad_headers:
            return bad_metadata()
        number = number_of(code if self.code is None else self.code)
        text = details if self.details is None else self.details.decode("utf-8", "replace")
        if number == 0:
            number, text = number_of(code), details
        return errors.RpcError(number, text, details_bin=self._send_trailers())

    def finish(self) -> None:
        """The handler has ended well. Raises puregrpc's RpcError if it has set a status other than OK."""
        if self.has_bad_headers or (self.code is not None and self.code is not StatusCode.OK):
            raise self.error(StatusCode.UNKNOWN, "")
        details = self._send_trailers()
        if self.details or details is not None:
            self._context.set_good_end((self.details or b"").decode("utf-8", "replace"), details)

    def _send_trailers(self) -> bytes | None:
        """Set the trailing metadata; gives the details of the status that are among it. Raises puregrpc's RpcError."""
        if not self.trailing_metadata:
            return None
        try:
            details = next((value for key, value in self.trailing_metadata if key == STATUS_DETAILS), None)
            pairs = outgoing(self.trailing_metadata)
        except (TypeError, ValueError):
            raise bad_metadata() from None
        if pairs:
            self._context.set_trailing_metadata(pairs)
        return details


def bad_metadata() -> errors.RpcError:
    """What ends a call whose handler gave metadata that cannot be sent."""
    return errors.RpcError(StatusCode.INTERNAL.value[0], "Invalid metadata")


class PeerView:
    """What a call's context tells of the client."""

    _context: Context

    def invocation_metadata(self) -> tuple[Metadatum, ...]:
        """The client's metadata, its user-agent too."""
        agent = self._context.user_agent
        metadata = shown(self._context.metadata)
        return (Metadatum("user-agent", agent), *metadata) if agent else metadata

    def peer(self) -> str:
        """The client's address."""
        return peer_of(self._context.peer)

    def peer_identities(self) -> Sequence[bytes] | None:
        """The names in the client's certificate; None without one."""
        key = self.peer_identity_key()
        return None if key is None else list(self.auth_context()[key])

    def peer_identity_key(self) -> str | None:
        """Which of the names of `auth_context` has them: the alternative names, or else the common name."""
        context = self.auth_context()
        return next((key for key in ("x509_subject_alternative_name", "x509_common_name") if key in context), None)

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        """What the connection proves of the client."""
        security = self._context.security
        if security is None:
            return {"transport_security_type": [b"insecure"], "security_level": [b"TSI_SECURITY_NONE"]}
        return {name: list(values) for name, values in security.auth_context.items()}


class CallView(PeerView):
    """What contexts of threads and of asyncio have alike."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.end = CallEnd(context)

    def time_remaining(self) -> float | None:
        """Seconds until the deadline; None without one."""
        return self._context.time_remaining()

    def disable_next_message_compression(self) -> None:
        """Send the next response as it is."""
        self._context.disable_next_message_compression()

    def trailing_metadata(self) -> Any:
        """What the handler has set."""
        return self.end.trailing_metadata

    def set_code(self, code: Any) -> None:
        """Have the call end with this code."""
        self.end.code = code

    def code(self) -> Any:
        """What the handler has set; None if it has not."""
        return self.end.code

    def set_details(self, details: str) -> None:
        """Have the call end with this message."""
        self.end.details = encode(details)


class _State(NamedTuple):
    """What libraries read of the state that grpcio's contexts have inside."""

    client: str
    """``open`` or ``cancelled``."""
    code: Any
    details: bytes | None
    trailing_metadata: Any


class _CallDetails(NamedTuple):
    """What libraries read of the event with which a call comes to grpcio's servers."""

    method: bytes
    host: bytes
    deadline: float
    """When the call's time is over, in seconds since 1970; some far time if it has no end."""


class _RequestCallEvent(NamedTuple):
    call_details: _CallDetails
    invocation_metadata: tuple[Metadatum, ...]


FAR = float(2**63)
"""A deadline that never comes, in seconds since 1970."""


_lock = threading.RLock()  # a finalizer may come in between
"""Guards the callbacks of calls: for a few steps at a time, and with nothing of the user's in them."""


class _Context(CallView, ServicerContext):
    """A call as its handler sees it."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.is_over = False
        self._callbacks: list[Callable[[], Any]] | None = []
        """None once they are called."""
        self.rpc_errors: list[RpcError] = []
        """What the requests raised since the call was over: no failure of the handler's."""

    @property
    def _state(self) -> _State:
        client = "cancelled" if self._context.cancelled else "open"
        return _State(client, self.end.code, self.end.details, self.end.trailing_metadata)

    @property
    def _rpc_event(self) -> _RequestCallEvent:
        context, remaining = self._context, self._context.time_remaining()
        deadline = FAR if remaining is None else time.time() + remaining
        details = _CallDetails(context.method.encode(), context.authority.encode(), deadline)
        return _RequestCallEvent(details, self.invocation_metadata())

    # -- grpc.RpcContext

    def is_active(self) -> bool:
        return not (self.is_over or self._context.cancelled)

    def time_remaining(self) -> float | None:
        remaining = self._context.time_remaining()
        return FAR - time.time() if remaining is None else remaining  # grpcio's servers of threads have no None

    def cancel(self) -> None:
        self._context.cancel()

    def add_callback(self, callback: Callable[[], Any]) -> bool:
        with _lock:
            if self._callbacks is None:
                return False
            self._callbacks.append(callback)
            is_first = len(self._callbacks) == 1
        if is_first and not self._context.add_callback(self._call_back):
            self._callbacks = None
            return False
        return True

    def _call_back(self) -> None:
        """The call is over: call those who wanted to hear of it, in their order."""
        with _lock:
            callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            try:
                callback()
            except Exception:
                logger.exception("Exception calling callback!")

    # -- what is sent

    def set_compression(self, compression: Any) -> None:
        with contextlib.suppress(errors.LocalProtocolError):  # too late, which grpcio does not mind
            self._context.set_compression(encoding_of(compression) or "identity")

    def send_initial_metadata(self, initial_metadata: Any) -> None:
        try:
            self._context.send_initial_metadata(outgoing(initial_metadata))
        except InvalidMetadataError:
            self.end.has_bad_headers = True  # which grpcio tells the client alone
        except errors.LocalProtocolError:
            raise ValueError("Initial metadata no longer allowed!") from None

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        self.end.trailing_metadata = trailing_metadata

    def details(self) -> bytes | None:
        return self.end.details

    def abort(self, code: Any, details: str) -> NoReturn:
        self.end.abort(code, details)

    def abort_with_status(self, status: Any) -> NoReturn:
        self.end.trailing_metadata = status.trailing_metadata
        self.end.abort(status.code, status.details)


_Context.__module__ = "grpc._server"  # as tracebacks and logs write it


class _RequestIterator:
    """The requests of a streaming client, each read when it is taken."""

    def __init__(self, requests: Any, context: _Context, deserialize: Callable[[bytes], Any] | None) -> None:
        self._requests = requests
        self._context = context
        self._deserialize = deserialize

    def __iter__(self) -> _RequestIterator:
        return self

    def __next__(self) -> Any:
        try:
            message = next(self._requests)
        except errors.Error:
            error = RpcError()
            self._context.rpc_errors.append(error)
            raise error from None
        request = deserialize(message, self._deserialize)
        if request is None:
            error = RpcError()
            self._context.rpc_errors.append(error)
            self._context.end.code = StatusCode.INTERNAL
            self._context.end.details = b"Exception deserializing request!"
            raise error
        return request

    def next(self) -> Any:
        """The next request."""
        return self.__next__()
