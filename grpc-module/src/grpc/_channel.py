"""The channel, and its methods of the four shapes."""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from grpc import _channelz, _common, _threads, _waiting
from grpc import _client_interfaces as interfaces
from grpc._calls import StreamCall, UnaryCall, deserialized, ended_by, state_of_exchange
from grpc._channel_options import by_name, channel_keywords, checked_options, encoding_of, opened
from grpc._codes import StatusCode
from grpc._connectivity import Connectivity
from grpc._credentials import CallCredentials, ChannelCredentials, PluginError, asker, connecting_of
from grpc._metadata import InvalidMetadataError, outgoing
from grpc._state import (
    CHANNEL_CLOSED,
    CallInProgress,
    _InactiveRpcError,
    _MultiThreadedRendezvous,
    _Rendezvous,
    _RPCState,
    _SingleThreadedRendezvous,
    debug_string,
)
from grpc._version import __version__
from puregrpc import errors
from puregrpc.channel import BlockingChannel

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = [
    "Channel", "_InactiveRpcError", "_MultiThreadedRendezvous", "_RPCState", "_Rendezvous", "_SingleThreadedRendezvous",
]  # fmt: skip

logger = logging.getLogger("grpc._channel")

for _kind in (_InactiveRpcError, _MultiThreadedRendezvous, _RPCState, _Rendezvous, _SingleThreadedRendezvous):
    _kind.__module__ = __name__  # as tracebacks and logs write it

_EMPTY_FLAGS = 0
_USER_AGENT = f"grpc-python/{__version__}"


class _Path:
    """A method's path as it was given: grpcio takes any."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path


class _Refused(_InactiveRpcError):
    """A call whose metadata cannot be sent: a future of it has this for its end."""


_Refused.__name__ = "_InactiveRpcError"  # which it prints as


class _MultiCallable:
    """What the shapes have in common."""

    def __init__(
        self,
        channel: Channel,
        path: str,
        make: Callable[[Any], Any],
        serialize: Callable[[Any], bytes] | None,
        deserialize: Callable[[bytes], Any] | None,
    ) -> None:
        self._channel = channel
        self._method = _common.encode(path)
        self._bound = make(_Path(_text(path)))
        self._request_serializer = serialize
        self._response_deserializer = deserialize

    def _encoded(self, request: Any) -> bytes:
        """The bytes of a request. Raises `_InactiveRpcError`."""
        data = _common.serialize(request, self._request_serializer)
        if data is None:
            details = "Exception serializing request!"
            raise _InactiveRpcError(_RPCState((), (), (), StatusCode.INTERNAL, details, details))
        return _common.checked(data)

    def _options(
        self, timeout: float | None, metadata: Any, credentials: CallCredentials | None, wait: Any, compression: Any
    ) -> dict[str, Any]:
        """The options of a call, for puregrpc. Raises `_Refused` for metadata that cannot be sent, and
        ValueError if the channel is closed."""
        self._channel.check_open()
        try:
            options: dict[str, Any] = {"metadata": outgoing(metadata), "timeout": timeout}
        except InvalidMetadataError as error:
            logger.error("Invalid metadata: %s", error)
            details = "Invalid metadata"
            raise _Refused(_RPCState((), (), (), StatusCode.INTERNAL, details, details)) from None
        if wait is not None:
            options["wait_for_ready"] = wait
        if compression is not None:
            options["compression"] = encoding_of(compression)
        if credentials is not None:
            options["credentials"] = self._channel.asker_of(credentials)
        return options

    def _stream(
        self, timeout: float | None, options: dict[str, Any], request: bytes | None, *, has_one_response: bool
    ) -> StreamCall:
        """Begin a call on puregrpc's method."""
        call = StreamCall(timeout, self._response_deserializer, has_one_response=has_one_response)
        self._channel.keep(call)
        try:
            opening = self._open(request, options)
            call.began(opening)
        except (errors.Error, PluginError) as error:
            call.settle(ended_by(error))
        return call

    def _open(self, request: bytes | None, options: dict[str, Any]) -> Future[Any]:
        raise NotImplementedError


class _UnaryUnaryMultiCallable(_MultiCallable, interfaces.UnaryUnaryMultiCallable):
    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        return self._made(request, timeout, metadata, credentials, wait_for_ready, compression).response

    def with_call(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        state = self._made(request, timeout, metadata, credentials, wait_for_ready, compression)
        return state.response, _MultiThreadedRendezvous.over(state)

    def _made(self, request: Any, timeout: Any, metadata: Any, credentials: Any, wait: Any, compression: Any) -> Any:
        options = self._options(timeout, metadata, credentials, wait, compression)
        data = self._encoded(request)
        if _waiting.are_greenlets_held_up():
            state = self._waited_for(self._begun(timeout, data, options))
        else:
            try:
                state = state_of_exchange(self._bound.exchange(data, **options))
            except (errors.Error, PluginError) as error:
                state = ended_by(error)
            if state.code is StatusCode.OK and self._response_deserializer is not None:
                state = deserialized(state, self._response_deserializer)
        if state.code is not StatusCode.OK:
            if self._channel.is_closed and state.code is StatusCode.UNAVAILABLE:
                state = closed()
            raise _InactiveRpcError(state)
        return state

    def future(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        data = self._encoded(request)
        try:
            options = self._options(timeout, metadata, credentials, wait_for_ready, compression)
        except _Refused as error:
            return _MultiThreadedRendezvous.over(error._state)
        return _MultiThreadedRendezvous(self._begun(timeout, data, options))

    def _begun(self, timeout: float | None, data: bytes, options: dict[str, Any]) -> UnaryCall:
        call = UnaryCall(timeout, self._response_deserializer)
        self._channel.keep(call)
        try:
            call.began(self._bound.start_exchange(data, **options))
        except (errors.Error, PluginError) as error:
            call.settle(ended_by(error))
        return call

    def _waited_for(self, call: UnaryCall) -> _RPCState:
        try:
            call.wait()
        except BaseException:  # the greenlet was interrupted
            call.drop()
            raise
        return call.state


class _UnaryStreamMultiCallable(_MultiCallable, interfaces.UnaryStreamMultiCallable):
    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        data = self._encoded(request)
        try:
            options = self._options(timeout, metadata, credentials, wait_for_ready, compression)
        except _Refused as error:
            return _MultiThreadedRendezvous.over(error._state)
        call = self._stream(timeout, options, data, has_one_response=False)
        return self._channel.kind_of_streams(call)

    def _open(self, request: bytes | None, options: dict[str, Any]) -> Future[Any]:
        opening: Future[Any] = self._bound(request, **options).begin()
        return opening


class _StreamUnaryMultiCallable(_MultiCallable, interfaces.StreamUnaryMultiCallable):
    def __call__(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        return self._made(request_iterator, timeout, metadata, credentials, wait_for_ready, compression).response

    def with_call(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        state = self._made(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)
        return state.response, _MultiThreadedRendezvous.over(state)

    def _made(self, requests: Any, timeout: Any, metadata: Any, credentials: Any, wait: Any, compression: Any) -> Any:
        call = self._begun(requests, timeout, metadata, credentials, wait, compression)
        try:
            call.complete()
        except BaseException:
            call.drop()
            raise
        if call.state.code is not StatusCode.OK:
            raise _InactiveRpcError(call.state)
        return call.state

    def future(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        try:
            call = self._begun(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)
        except _Refused as error:
            return _MultiThreadedRendezvous.over(error._state)
        call.watch()
        return _MultiThreadedRendezvous(call)

    def _begun(
        self, requests: Any, timeout: Any, metadata: Any, credentials: Any, wait: Any, compression: Any
    ) -> StreamCall:
        options = self._options(timeout, metadata, credentials, wait, compression)
        call = self._stream(timeout, options, None, has_one_response=True)
        call.feed(requests, self._request_serializer)
        return call

    def _open(self, request: bytes | None, options: dict[str, Any]) -> Future[Any]:
        opening: Future[Any] = self._bound.open(**options).begin()
        return opening


class _StreamStreamMultiCallable(_MultiCallable, interfaces.StreamStreamMultiCallable):
    def __call__(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        try:
            options = self._options(timeout, metadata, credentials, wait_for_ready, compression)
        except _Refused as error:
            return _MultiThreadedRendezvous.over(error._state)
        call = self._stream(timeout, options, None, has_one_response=False)
        call.feed(request_iterator, self._request_serializer)
        return _MultiThreadedRendezvous(call)

    def _open(self, request: bytes | None, options: dict[str, Any]) -> Future[Any]:
        opening: Future[Any] = self._bound(**options).begin()
        return opening


def closed() -> _RPCState:
    """How a call ends whose channel is closed."""
    code = StatusCode.CANCELLED
    return _RPCState((), (), (), code, CHANNEL_CLOSED, debug_string(code, CHANNEL_CLOSED))


SCHEMES = "dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "passthrough:", "vsock:"


class _Target:
    """What some ask of the channel that grpcio has inside."""

    def __init__(self, target: str) -> None:
        self._target = target if target.startswith(SCHEMES) else f"dns:///{target}"

    def target(self) -> bytes:
        """The target, with its scheme."""
        return self._target.encode()


class Channel(interfaces.Channel):
    """A channel over one of puregrpc's."""

    def __init__(self, target: str, options: Any, credentials: ChannelCredentials | None, compression: Any) -> None:
        target = _text(target)
        connecting = connecting_of(credentials)
        checked = checked_options(options)
        keywords = channel_keywords(checked, connecting, compression)
        self._host = str(keywords.get("authority") or target.rpartition("/")[2])
        if connecting is not None and connecting.plugins:
            keywords["credentials"] = asker(connecting.plugins, self._host)
        is_single = by_name(checked).get("SingleThreadedUnaryStream")
        self.kind_of_streams = _SingleThreadedRendezvous if is_single else _MultiThreadedRendezvous
        self.is_closed = False
        # As with grpcio, who waits for an answer sleeps: to ask for it again and again takes half as much time again.
        self._core = opened(functools.partial(BlockingChannel, busy_poll=0), target, keywords)
        self._channel = _Target(target)
        if _channelz.is_wanted(checked):
            _channelz.watch_channel(self._core)
        self._calls: set[CallInProgress] = set()
        """Those that are not over, as far as anybody knows."""
        self._connectivity_state = Connectivity(self._core)

    # -- for its calls

    def check_open(self) -> None:
        """Raise ValueError if it is closed."""
        if self.is_closed:
            raise ValueError("Cannot invoke RPC on closed channel!")

    def target(self) -> bytes:
        """The target with its scheme: some ask a multi-callable's channel, which in grpcio is its inside, for it."""
        return self._channel.target()

    def asker_of(self, credentials: CallCredentials) -> Any:
        """The credentials of a call, for puregrpc."""
        return asker(credentials._credentials, self._host)

    def keep(self, call: CallInProgress) -> None:
        """The call ends with the channel."""
        self._calls.add(call)
        call.keeper = self._calls
        call.channel = self

    # -- grpc.Channel

    def subscribe(self, callback: Callable[[Any], Any], try_to_connect: bool | None = None) -> None:
        self._connectivity_state.subscribe(callback, try_to_connect=bool(try_to_connect))

    def unsubscribe(self, callback: Callable[[Any], Any]) -> None:
        self._connectivity_state.unsubscribe(callback)

    def unary_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        return _UnaryUnaryMultiCallable(self, method, self._core.unary_unary, request_serializer, response_deserializer)

    def unary_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        return _UnaryStreamMultiCallable(
            self, method, self._core.unary_stream, request_serializer, response_deserializer
        )

    def stream_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        return _StreamUnaryMultiCallable(
            self, method, self._core.stream_unary, request_serializer, response_deserializer
        )

    def stream_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        return _StreamStreamMultiCallable(
            self, method, self._core.stream_stream, request_serializer, response_deserializer
        )

    def close(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        _channelz.forget_channel(self._core)
        self._connectivity_state.close()
        for call in list(self._calls):
            call.fail(StatusCode.CANCELLED, CHANNEL_CLOSED)
        self._core.close()

    def __del__(self) -> None:
        channel = getattr(self, "_core", None)
        if channel is not None and not self.is_closed and not sys.is_finalizing():
            self._connectivity_state.close()
            with contextlib.suppress(RuntimeError):  # no thread can be started
                _threads.run(functools.partial(_closed, channel))

    def __enter__(self) -> Channel:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> Literal[False]:
        self.close()
        return False


def _closed(channel: BlockingChannel) -> None:
    with contextlib.suppress(errors.Error):
        channel.close()


def _text(text: Any) -> str:
    """A target or a path. Raises AttributeError, as grpcio does, for what is no text."""
    if not isinstance(text, (str, bytes)):
        raise AttributeError(f"a target and the path of a method are str, not {text!r}")
    return _common.decode(text)
