"""How a call stands and what it ended with, and the objects that callers get: calls, futures, exceptions."""

from __future__ import annotations

import functools
import logging
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from grpc import _waiting
from grpc._client_interfaces import Call, Future, RpcContext
from grpc._codes import StatusCode, code_of
from grpc._errors import FutureCancelledError, FutureTimeoutError, RpcError
from grpc._metadata import Metadatum, shown, shown_trailers

__all__ = [
    "CallInProgress", "_InactiveRpcError", "_MultiThreadedRendezvous", "_RPCState", "_Rendezvous",
    "_SingleThreadedRendezvous", "state_of",
]  # fmt: skip

logger = logging.getLogger("grpc._channel")

CANCELLED_HERE = "Locally cancelled by application!"
DEADLINE_EXCEEDED = StatusCode.DEADLINE_EXCEEDED.value[0]
RESOURCE_EXHAUSTED = StatusCode.RESOURCE_EXHAUSTED.value[0]
UNAVAILABLE = StatusCode.UNAVAILABLE.value[0]
CHANNEL_CLOSED = "Channel closed!"


class _RPCState:
    """What is known of how a call ended."""

    __slots__ = ("code", "debug_error_string", "details", "initial_metadata", "response", "trailing_metadata")

    def __init__(
        self,
        due: Any = (),
        initial_metadata: Any = None,
        trailing_metadata: Any = None,
        code: StatusCode | None = None,
        details: str | None = None,
        debug_error_string: str | None = None,
    ) -> None:
        self.initial_metadata = initial_metadata
        self.trailing_metadata = trailing_metadata
        self.code = code
        self.details = details
        self.debug_error_string = debug_error_string
        self.response: Any = None

    def completed(self, before: _RPCState) -> _RPCState:
        """The end of a call of which something was known before."""
        self.initial_metadata = before.initial_metadata or self.initial_metadata or ()
        self.trailing_metadata = self.trailing_metadata or ()
        return self


def debug_string(code: StatusCode | None, details: str | None) -> str:
    """What grpcio's debug_error_string has at its core."""
    return "" if code is None or code is StatusCode.OK else f"{code.name}:{details or ''}"


def _as_grpcio_tells(number: int, text: str) -> str:
    """This side's own words in those of grpcio, which some look for."""
    if number == DEADLINE_EXCEEDED and text.startswith("the deadline "):
        return "Deadline Exceeded"
    if number == RESOURCE_EXHAUSTED and text.startswith("grpc: received message larger "):
        return text.replace("grpc: received", "Received", 1)
    if number == UNAVAILABLE and text.startswith("the peer closed the connection"):
        return f"Socket closed: {text}"
    return text


def state_of(number: int, message: str, details: bytes | None, headers: Any = (), trailers: Any = ()) -> _RPCState:
    """The end of a call, from what puregrpc tells of it."""
    if not number:  # grpcio shows no message of a good end
        return _RPCState((), shown(headers), shown_trailers(trailers, details), StatusCode.OK, "", "")
    code, text = code_of(number), _as_grpcio_tells(number, message)
    if code is None:
        code, text = StatusCode.UNKNOWN, f'Server sent unknown code {number} and details "{message}"'
    return _RPCState((), shown(headers), shown_trailers(trailers, details), code, text, debug_string(code, text))


class _Ended(Call, Future):
    """A call that is over and did not end well."""

    def __init__(self, state: _RPCState) -> None:
        self._state = state

    def initial_metadata(self) -> tuple[Metadatum, ...]:
        return self._state.initial_metadata  # type: ignore[no-any-return]

    def trailing_metadata(self) -> tuple[Metadatum, ...]:
        return self._state.trailing_metadata  # type: ignore[no-any-return]

    def code(self) -> StatusCode | None:
        return self._state.code

    def details(self) -> str | None:
        return self._state.details

    def debug_error_string(self) -> str | None:
        """What the status says, in grpcio's form for people."""
        return self._state.debug_error_string

    def is_active(self) -> bool:
        return False

    def time_remaining(self) -> float | None:
        return None

    def add_callback(self, callback: Callable[[], Any]) -> bool:
        return False

    def cancel(self) -> bool:
        return False

    def cancelled(self) -> bool:
        return False

    def running(self) -> bool:
        return False

    def done(self) -> bool:
        return True

    def add_done_callback(self, fn: Callable[[Any], Any]) -> None:
        fn(self)


def described(call: Any, state: _RPCState) -> str:
    """A call for people."""
    name = type(call).__name__
    if state.code is None:
        return f"<{name} object>"
    if state.code is StatusCode.OK:
        return f'<{name} of RPC that terminated with:\n\tstatus = {state.code}\n\tdetails = "{state.details}"\n>'
    return (
        f'<{name} of RPC that terminated with:\n\tstatus = {state.code}\n\tdetails = "{state.details}"\n'
        f'\tdebug_error_string = "{state.debug_error_string}"\n>'
    )


class _InactiveRpcError(RpcError, _Ended):
    """A call with one response that did not end well."""

    def __init__(self, state: _RPCState) -> None:
        RpcError.__init__(self, state)
        _Ended.__init__(self, state)

    def result(self, timeout: float | None = None) -> Any:
        raise self

    def exception(self, timeout: float | None = None) -> Any:
        return self

    def traceback(self, timeout: float | None = None) -> TracebackType | None:
        return traceback_of(self)

    def __reduce__(self) -> Any:
        state = self._state
        values = ((), state.initial_metadata, state.trailing_metadata, state.code, state.details)
        return _restored, (*values, state.debug_error_string)

    def __repr__(self) -> str:
        return described(self, self._state)

    __str__ = __repr__


def _restored(*values: Any) -> _InactiveRpcError:
    return _InactiveRpcError(_RPCState(*values))


def traceback_of(error: BaseException) -> TracebackType | None:
    """The traceback that raising it has."""
    try:
        raise error
    except BaseException:
        return sys.exc_info()[2]


_lock = threading.RLock()  # a finalizer may come in between
"""Guards how calls stand: for a few steps at a time, and with nothing of the user's in them."""

IN_PROGRESS = _RPCState()


class CallInProgress:
    """What goes on of a call, apart from the object that the caller has: once that is dropped, this is cancelled."""

    state = IN_PROGRESS
    """Replaced, once, by how the call ended."""
    was_cancelled = False
    was_taken = False
    """Its one response was given to who iterates."""
    callbacks: list[Callable[[], Any]] | None = None
    keeper: set[CallInProgress] | None = None
    """The channel's calls, of which it is one until its end."""
    channel: object = None
    """It lives as long as the call."""

    def __init__(self, timeout: float | None) -> None:
        self.deadline = None if timeout is None else time.time() + timeout
        self._signals: list[threading.Lock] = []
        """Those of threads that wait for something to change."""

    # -- what the kinds of calls do

    def stop(self) -> None:
        """End it on the wire."""
        raise NotImplementedError

    def watch(self) -> None:
        """Have the end of the call noticed though nobody reads."""

    def look(self) -> None:
        """Notice the end of the call, if it has come."""

    def wait_for_headers(self) -> None:
        """Wait until the initial metadata or the end has come."""

    def take(self) -> Any:
        """The next response. Raises StopIteration, or `_Failed`."""
        self.wait()
        if self.state.code is not StatusCode.OK:
            raise _Failed
        if self.was_taken:
            raise StopIteration
        self.was_taken = True
        return self.state.response

    # -- its end

    def settle(self, ended: _RPCState, *, cancelled: bool = False, is_looked_at: bool = False) -> bool:
        """The call is over. False if it was before. ``is_looked_at``: who watches it calls the callbacks."""
        with _lock:
            if self.state.code is not None:
                return False
            self.was_cancelled = cancelled
            self.state = ended.completed(self.state)
            keeper, channel, self.keeper, self.channel = self.keeper, self.channel, None, None
        if keeper is not None:
            keeper.discard(self)
        del channel  # which may be the end of it
        if self._signals:
            self._changed()
        if not is_looked_at:
            self.call_back()
        return True

    def note_headers(self, headers: Any) -> None:
        """The initial metadata has come."""
        with _lock:
            if self.state.initial_metadata is None:
                self.state = _RPCState((), headers)

    def call_back(self) -> None:
        """The call is over: call those who wanted to hear of it."""
        with _lock:
            callbacks, self.callbacks = self.callbacks, None
        for callback in callbacks or ():
            try:
                callback()
            except Exception:
                logger.exception("Exception in callback %r", callback)

    def fail(self, code: StatusCode, details: str, *, cancelled: bool = False) -> bool:
        """End the call from this side."""
        is_first = self.settle(_RPCState((), None, (), code, details, debug_string(code, details)), cancelled=cancelled)
        if is_first:
            self.stop()
        return is_first

    def drop(self) -> None:
        """Nobody has the call any more."""
        if self.state.code is None:
            self.fail(StatusCode.CANCELLED, "Cancelled as the call was dropped")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; False if it has not come within ``timeout`` seconds."""
        if self.state.code is None:
            self.watch()
            return self.wait_until(lambda: self.state.code is not None, timeout)
        return True

    def wait_until(self, condition: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until something holds, which is looked at after each change."""
        until = None if timeout is None else time.monotonic() + timeout
        while not condition():
            signal = threading.Lock()
            signal.acquire()
            self._signals.append(signal)
            left = -1.0 if until is None else max(0.0, until - time.monotonic())
            if condition():
                return True
            try:
                has_changed = _waiting.wait(signal.acquire, True, min(left, threading.TIMEOUT_MAX))
            except BaseException:
                self._changed()  # and so no thread of gevent's goes on waiting
                raise
            if not has_changed:
                with _lock:
                    if signal in self._signals:
                        self._signals.remove(signal)
                return condition()
        return True

    def _changed(self) -> None:
        """Have those who wait look again."""
        with _lock:
            signals, self._signals = self._signals, []
        for signal in signals:
            signal.release()

    def add_callback(self, callback: Callable[[], Any]) -> bool:
        """Have something called at the end; False if that has come."""
        with _lock:
            if self.callbacks is None:
                if self.state.code is not None:
                    return False
                self.callbacks = []
            self.callbacks.append(callback)
        self.watch()
        return True


class _Rendezvous(RpcError, RpcContext):
    """What calls are that may be raised: programs catch it by this name."""


class _MultiThreadedRendezvous(_Rendezvous, Call, Future):
    """A call as a future, an iterator of responses, and what is raised when it does not end well."""

    def __init__(self, call: CallInProgress) -> None:
        super().__init__()
        self._call = call

    @classmethod
    def over(cls, state: _RPCState) -> _MultiThreadedRendezvous:
        """A call that has ended so."""
        call = CallInProgress(None)
        call.state = state
        return cls(call)

    @property
    def _state(self) -> _RPCState:
        return self._call.state

    @property
    def args(self) -> tuple[_RPCState]:  # type: ignore[override]
        """Those of the exception, of which some read the code."""
        return (self._state,)

    # -- grpc.RpcContext and grpc.Call

    def is_active(self) -> bool:
        self._call.look()
        return self._state.code is None

    def time_remaining(self) -> float | None:
        deadline = self._call.deadline
        return None if deadline is None else max(deadline - time.time(), 0)

    def cancel(self) -> bool:
        return self._call.fail(StatusCode.CANCELLED, CANCELLED_HERE, cancelled=True)

    def add_callback(self, callback: Callable[[], Any]) -> bool:
        return self._call.add_callback(callback)

    def initial_metadata(self) -> tuple[Metadatum, ...]:
        if self._state.initial_metadata is None:
            self._call.wait_for_headers()
        return self._state.initial_metadata  # type: ignore[no-any-return]

    def trailing_metadata(self) -> tuple[Metadatum, ...]:
        self._call.wait()
        return self._state.trailing_metadata  # type: ignore[no-any-return]

    def code(self) -> StatusCode | None:
        self._call.wait()
        return self._state.code

    def details(self) -> str | None:
        self._call.wait()
        return self._state.details

    def debug_error_string(self) -> str | None:
        """What the status says, in grpcio's form for people."""
        self._call.wait()
        return self._state.debug_error_string

    # -- grpc.Future

    def cancelled(self) -> bool:
        return self._call.was_cancelled

    def running(self) -> bool:
        return not self.done()

    def done(self) -> bool:
        self._call.look()
        return self._state.code is not None

    def result(self, timeout: float | None = None) -> Any:
        self._await(timeout)
        if self._state.code is StatusCode.OK:
            return self._state.response
        raise self

    def exception(self, timeout: float | None = None) -> Any:
        self._await(timeout)
        return None if self._state.code is StatusCode.OK else self

    def traceback(self, timeout: float | None = None) -> TracebackType | None:
        self._await(timeout)
        return None if self._state.code is StatusCode.OK else traceback_of(self)

    def _await(self, timeout: float | None) -> None:
        if not self._call.wait(timeout):
            raise FutureTimeoutError
        if self._call.was_cancelled:
            raise FutureCancelledError

    def add_done_callback(self, fn: Callable[[Any], Any]) -> None:
        if not self._call.add_callback(functools.partial(fn, self)):
            fn(self)

    # -- the responses

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        try:
            return self._call.take()
        except _Failed:
            raise self from None

    def next(self) -> Any:
        """The next response."""
        return self.__next__()

    _next = next  # grpcio's own name, which wrappers of calls (grpcio-gcp) know

    def __del__(self) -> None:
        call = getattr(self, "_call", None)
        if call is not None:
            call.drop()

    def __repr__(self) -> str:
        return described(self, self._state)

    __str__ = __repr__


class _SingleThreadedRendezvous(_MultiThreadedRendezvous):
    """The call of a channel with the option ``SingleThreadedUnaryStream``. No call has a thread here."""


class _Failed(Exception):
    """The call did not end well."""
