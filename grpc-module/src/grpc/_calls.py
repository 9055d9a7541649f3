"""Calls on a channel of puregrpc, one class for each way that they are made."""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any

from grpc import _common, _threads, _waiting
from grpc._codes import StatusCode
from grpc._common import checked
from grpc._credentials import PluginError
from grpc._metadata import shown
from grpc._state import CHANNEL_CLOSED, CallInProgress, _Failed, _RPCState, debug_string, state_of
from puregrpc import errors

if TYPE_CHECKING:
    from puregrpc.channel import BlockingCall, BlockingExchange, UnaryResult

__all__ = ["StreamCall", "UnaryCall", "ended_by", "state_of_exchange"]

logger = logging.getLogger("grpc._channel")


def ended_by(error: BaseException) -> _RPCState:
    """How a call ended that puregrpc raised an exception for."""
    if isinstance(error, errors.RpcError):
        if isinstance(error.__cause__, errors.ConnectError):
            code, details = StatusCode.UNAVAILABLE, _unconnected(error.message)
            return _RPCState((), (), (), code, details, debug_string(code, details))
        return state_of(int(error.code), error.message, error.details_bin, error.headers, error.trailers)
    if isinstance(error, (errors.NotConnected, CancelledError)):
        code, details = StatusCode.CANCELLED, CHANNEL_CLOSED
    elif isinstance(error, PluginError):
        code, details = StatusCode.UNAVAILABLE, f"Getting metadata from plugin failed with error: {error}"
    elif isinstance(error, errors.InvalidArgument) and "plaintext" in str(error):
        code = StatusCode.UNAUTHENTICATED
        details = "Established channel does not have a sufficient security level to transfer call credential."
    elif isinstance(error, errors.InvalidArgument) and "larger than max" in str(error):
        sizes = str(error).rpartition("larger than max ")[2]
        code, details = StatusCode.RESOURCE_EXHAUSTED, f"CLIENT: Sent message larger than max {sizes}"
    else:
        code, details = StatusCode.INTERNAL, f"{type(error).__name__}: {error}"
    return _RPCState((), (), (), code, details, debug_string(code, details))


_UNREACHABLE = frozenset(
    os.strerror(number)
    for number in (errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT)
)


def _unconnected(message: str) -> str:
    """Why there is no connection, in grpcio's words, by which some know that a server is not there."""
    if message.startswith("no address was found for the host "):
        return f"DNS resolution failed: {message}"
    last = message.rpartition("; ")[2].removeprefix("could not connect to ")
    address, _, reason = last.rpartition(": ")
    if reason in _UNREACHABLE:
        last = f"{address}: Failed to connect to remote host: {reason}"
    elif reason == "the peer closed the connection":
        last = f"{address}: Socket closed"
    return f"failed to connect to all addresses; last error: UNKNOWN: {last}"


def state_of_exchange(call: Any) -> _RPCState:
    """How a unary call ended, its response still as bytes."""
    status = call.status
    ended = state_of(status.code, status.message, status.details, call.headers, call.trailers)
    if status.code == 0:
        try:
            ended.response = call.result()
        except errors.RpcError as error:
            return ended_by(error)
    return ended


class UnaryCall(CallInProgress):
    """A call with one request and one response that was begun, and that nobody need wait for.

    Its end is taken note of by whoever looks, and on a thread of the channel's only where there are callbacks.
    """

    def __init__(self, timeout: float | None, deserialize: Callable[[bytes], Any] | None) -> None:
        super().__init__(timeout)
        self._deserialize = deserialize
        self._started: BlockingExchange | None = None
        self._is_watched = False

    def began(self, started: BlockingExchange) -> None:
        """It was begun."""
        self._started = started
        if self.state.code is not None:
            started.cancel()

    def look(self) -> None:
        started = self._started
        if started is not None and started.is_over and self.state.code is None:
            self._take_end(started)

    def _take_end(self, started: BlockingExchange) -> None:
        try:
            ended = state_of_exchange(started.outcome())
        except BaseException as error:
            ended = ended_by(error)
        if ended.code is StatusCode.OK and self._deserialize is not None:
            ended = deserialized(ended, self._deserialize)
        self.settle(ended, is_looked_at=self._is_watched)

    def watch(self) -> None:
        if self._started is not None and not self._is_watched:
            self._is_watched = True
            self._started.when_over(self._end)

    def _end(self) -> None:
        if self.state.code is None and self._started is not None:
            self._take_end(self._started)
        self.call_back()

    def wait(self, timeout: float | None = None) -> bool:
        if self.state.code is None and self._started is not None:
            _waiting.wait(self._started.wait, timeout)
            self.look()
        return self.state.code is not None

    def stop(self) -> None:
        if self._started is not None:
            self._started.cancel()

    def wait_for_headers(self) -> None:
        self.wait()


def deserialized(ended: _RPCState, deserialize: Callable[[bytes], Any], failed: object = None) -> _RPCState:
    """The end of a call with its response read, of which ``failed`` would mean that it cannot be."""
    ended.response = _common.deserialize(ended.response, deserialize, failed)
    if ended.response is failed:
        details = "Exception deserializing response!"
        headers, trailers = ended.initial_metadata, ended.trailing_metadata
        return _RPCState((), headers, trailers, StatusCode.INTERNAL, details, details)
    return ended


class StreamCall(CallInProgress):
    """A call of any other shape. ``has_one_response``: it is a future of that, and no iterator."""

    def __init__(
        self, timeout: float | None, deserialize: Callable[[bytes], Any] | None, *, has_one_response: bool
    ) -> None:
        super().__init__(timeout)
        self._deserialize = deserialize
        self._has_one_response = has_one_response
        self._call: BlockingCall[bytes, bytes] | None = None
        self._opening: Future[BlockingCall[bytes, bytes]] | None = None
        self._reading = threading.Lock()
        self._coming: _waiting.Beside[bytes | None] | None = None
        """The next message, for which a greenlet was about to wait."""
        self._first_watch = threading.Lock()
        """Taken by whoever has the end of it noticed."""
        self._is_to_be_watched = False

    # -- opening it

    def began(self, opening: Future[BlockingCall[bytes, bytes]]) -> None:
        """It is being opened."""
        self._opening = opening
        opening.add_done_callback(self._opened)
        if self.state.code is not None:
            self.stop()

    def _opened(self, opening: Future[BlockingCall[bytes, bytes]]) -> None:
        try:
            call = opening.result()
        except BaseException as error:
            self.settle(ended_by(error))
            return
        self._call = call
        self._changed()
        is_to_be_watched = self._is_to_be_watched
        if self.state.code is not None:
            call.cancel()
        elif is_to_be_watched:
            self.watch()

    def opened(self) -> BlockingCall[bytes, bytes] | None:
        """The call, once it is open; None if it ended before."""
        if self._call is None:
            self.wait_until(lambda: self._call is not None or self.state.code is not None)
        return self._call

    def stop(self) -> None:
        call, opening = self._call, self._opening
        if call is not None:
            call.cancel()
        elif opening is not None:
            opening.cancel()

    # -- its end

    def watch(self) -> None:
        self._is_to_be_watched = True
        call = self._call
        if call is None or not self._first_watch.acquire(blocking=False):
            return
        try:
            if self._has_one_response:
                call.start_single_response().add_done_callback(self._completed)
            else:
                call.when_ended(lambda _: self.look())
        except errors.Error as error:  # the channel is being closed
            self.settle(ended_by(error))

    def look(self) -> None:
        call = self._call
        if self.state.code is None and call is not None and call.is_over and not call.has_message:
            self._finish(call)

    def _finish(self, call: BlockingCall[bytes, bytes]) -> None:
        status = call.status
        headers = call.received_headers or ()
        self.settle(state_of(status.code, status.message, status.details, headers, call.trailers))

    def wait(self, timeout: float | None = None) -> bool:
        left = None if self.deadline is None or self._has_one_response else max(self.deadline - time.time(), 0)
        if self.state.code is None and left is not None and (timeout is None or left < timeout):
            if super().wait(left):
                return True
            call = self._call
            if call is not None and call.is_over:  # what came was not read by then, and so the call is not over
                self.fail(StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
            timeout = None if timeout is None else timeout - left
        return super().wait(timeout)

    def wait_for_headers(self) -> None:
        call = self.opened()
        if call is None:
            return
        try:
            headers = _waiting.wait(call.headers)
        except errors.Error:
            headers = ()
        self.note_headers(shown(headers))

    # -- the responses

    def take(self) -> Any:
        if self._has_one_response:
            return super().take()
        call = self.opened()
        message: bytes | None = None
        if call is not None and (self.state.code is None or call.has_message):
            message = self._received(call)
            if message is None:
                self._finish(call)
        if message is None:
            if self.state.code is StatusCode.OK:
                raise StopIteration
            raise _Failed
        response = _common.deserialize(message, self._deserialize)
        if response is None:
            self.fail(StatusCode.INTERNAL, "Exception deserializing response!")
            raise _Failed
        self.look()
        return response

    def _received(self, call: BlockingCall[bytes, bytes]) -> bytes | None:
        """The next message; None at the end, whatever that is."""
        coming, self._coming = self._coming or _waiting.beside(self._receive, call), None
        if coming is None:
            return self._receive(call)
        try:
            coming.wait()
        except BaseException:  # the greenlet was interrupted, and the message is still to come
            self._coming = coming
            raise
        return coming.result()

    def _receive(self, call: BlockingCall[bytes, bytes]) -> bytes | None:
        try:
            with self._reading:
                return call.receive()
        except errors.RpcError:
            return None

    def complete(self) -> None:
        """Wait in this thread for the one response and the end."""
        call = self.opened()
        if call is None or self.state.code is not None:
            return
        try:
            result = _waiting.wait(call.single_response)
        except errors.Error as error:
            self.settle(ended_by(error))
        else:
            self._succeeded(result)

    def _completed(self, future: Future[UnaryResult[bytes]]) -> None:
        try:
            result = future.result()
        except BaseException as error:
            self.settle(ended_by(error))
        else:
            self._succeeded(result)

    def _succeeded(self, result: UnaryResult[bytes]) -> None:
        status = result.status
        ended = state_of(status.code, status.message, status.details, result.headers, result.trailers)
        ended.response = result.message
        self.settle(ended if self._deserialize is None else deserialized(ended, self._deserialize))

    # -- the requests

    def feed(self, requests: Any, serialize: Callable[[Any], bytes] | None) -> None:
        """Send what the user's iterable gives, in a thread of its own."""
        _threads.run(lambda: self._feed(requests, serialize))

    def _feed(self, requests: Any, serialize: Callable[[Any], bytes] | None) -> None:
        for data in self._serialized(requests, serialize):
            call = self.opened()
            if call is None or self.state.code is not None:
                return
            try:
                call.send(data)
            except errors.InvalidArgument as error:
                self.settle(ended_by(error))
                self.stop()
                return
            except errors.Error:
                return
            if call.is_over:
                return
        call = self.opened()
        if call is not None and self.state.code is None:
            try:
                call.half_close()
            except errors.Error:
                return

    def _serialized(self, requests: Any, serialize: Callable[[Any], bytes] | None) -> Iterator[bytes]:
        iterator: Iterator[Any] | None = None
        while True:
            try:
                if iterator is None:
                    iterator = _common.iterator_of(requests)
                request = next(iterator)
            except StopIteration:
                return
            except Exception:
                logger.exception("Exception iterating requests!")
                self.fail(StatusCode.UNKNOWN, "Exception iterating requests!")
                return
            try:
                data = checked(request if serialize is None else serialize(request))
            except Exception:
                logger.exception("Exception serializing message!")
                self.fail(StatusCode.INTERNAL, "Exception serializing request!")
                return
            yield data
