"""The blocking client, as k6's scripts use it."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from puregrpc.client.calls import health
from puregrpc.client.calls.prepared import PreparedCall
from puregrpc.client.calls.requests import CallRequest, Outcome, UnaryOutcome, failed_outcome
from puregrpc.client.exit import close_at_exit
from puregrpc.client.kinds import kind_of
from puregrpc.client.network.blocking import BlockingConnection
from puregrpc.client.network.connection import outcome_of
from puregrpc.client.params.call import INVOKE_TIMEOUT, CallKeywords
from puregrpc.client.params.connect import ConnectKeywords, connect_params
from puregrpc.client.results.records import HealthStatus, MethodInfo, Response
from puregrpc.client.results.wording import CANCELED_HERE, CLOSING
from puregrpc.client.streams.client_state import BlockingState, StreamClient
from puregrpc.client.streams.stream import Stream
from puregrpc.codec.options import MAX_ELEMENTS
from puregrpc.errors import Error, InvalidArgument, NotConnected, RpcError
from puregrpc.metrics import Metrics

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Client"]

HANDLERS_GRACE = 5.0
"""Seconds that `Client.close` waits for handlers to take the ends of the streams it closed."""

Path = str | os.PathLike[str]


class Client(StreamClient[BlockingState[Stream]]):
    """A gRPC client for scripts: load definitions, connect, invoke methods, close.

    All methods block. Times are milliseconds, or text with units (``"10s"``, ``"1m30s"``); sizes are bytes. Usable
    from several threads at once. Names are accepted in k6's spelling too (``loadProtoset``, ``asyncInvoke``).
    As a context manager it closes itself. Not usable in a child process after ``os.fork``.

    ``metrics`` is where it measures: by default the load run that the code is part of, or else a registry of its own.
    ``max_elements`` is how many elements of lists and maps are made of one response at most (`puregrpc.codec.Codec`).
    """

    def __new__(cls, *_: Any, **__: Any) -> Client:
        return super().__new__(kind_of(cls))

    def __init__(self, *, metrics: Metrics | None = None, max_elements: int = MAX_ELEMENTS) -> None:
        self._state: BlockingState[Stream] = BlockingState(metrics, max_elements)
        self._core = self._state.core
        close_at_exit(self._state, weakref.ref(self))

    @property
    def metrics(self) -> Metrics:
        """What was measured: ``print(client.metrics.summary())``."""
        return self._core.metrics

    # -- the schema

    def load(self, import_paths: Sequence[Path] | None = None, *files: Path) -> list[MethodInfo]:
        """Compile .proto files and make their services known, those of the files they import too.

        ``import_paths`` are folders; relative ones are looked for beside the running script first, as in k6, then in
        the working directory. Without any, these two folders themselves are meant. ``files`` are named as an import
        statement would; what they import may also be a file that was loaded before, from a protoset or by
        reflection for instance. Several loads add up. Returns the methods. Raises CompileError with every fault found,
        SchemaError if a name clashes with what was loaded before.
        """
        return self._core.load(import_paths, files)

    def load_protoset(self, path: Path) -> list[MethodInfo]:
        """Make known what a serialized FileDescriptorSet holds (``protoc --descriptor_set_out``).

        Missing imports are tolerated. Returns the methods. Raises SchemaError.
        """
        return self._core.load_protoset(path)

    # -- the connection

    def connect(
        self, address: str, params: Mapping[str, Any] | None = None, **keywords: Unpack[ConnectKeywords]
    ) -> bool:
        """Connect to ``host:port``, with TLS unless ``plaintext``; returns True once the connection is ready.

        Params, as a dict or as keywords: ``plaintext``; ``timeout`` (60 s); ``tls`` {cert, key, password, cacerts:
        PEM text}; ``authority``; ``max_receive_size`` (4 MiB) and ``max_send_size``; ``max_header_list_size``
        (256 KiB), the most metadata that is taken at once, trailers with error details included; ``reflect``, with
        ``reflect_metadata``, to load the server's own schema; ``trace``, a `puregrpc.trace.Recorder` that hears every
        octet; ``busy_poll`` (0.2 ms, 0: never), how long a lone call asks for its answer before it sleeps, which
        costs processor time and saves waking up; ``service_config``, what holds for the calls of some methods (see
        `puregrpc.channel.parse_service_config`). A connection that there was is closed first.
        Raises InvalidArgument, ConnectError, RpcError (reflection); there is no connection then.
        """
        state, core = self._state, self._core
        state.check_process()
        if not isinstance(address, str):
            raise InvalidArgument(f"an address is text such as 'localhost:50051', not {address!r}")
        checked = connect_params(params, keywords)
        self._disconnect()
        began = time.perf_counter()
        registry = core.own_registry() if checked.reflect else core.registry
        state.connection = connection = BlockingConnection.open(address, checked, registry, known=state.known)
        state.finalizer = weakref.finalize(self, connection.close_soon)
        state.finalizer.atexit = False
        core.connected(checked, address)
        core.meter.connected((time.perf_counter() - began) * 1000)
        state.traffic.begin(connection.passed)
        return True

    def close(self) -> None:
        """Close the connection; open streams end with the status CANCELLED. Any number of times.

        Raises what a stream's handler raised, if nobody has been told of it yet.
        """
        if self._state.is_foreign:
            return
        self._disconnect()
        self._raise_failure()

    def _disconnect(self) -> None:
        state = self._state
        self._core.address = ""
        connection = state.connection
        if connection is None:
            return
        ending = list(state.streams)
        for stream in ending:
            stream.end_with(CANCELED_HERE)
            stream.drain()
        connection.close()
        handlers = state.handler_thread
        if not handlers.is_current:
            bound = time.monotonic() + HANDLERS_GRACE
            for stream in ending:
                stream.wait_until_handled(max(bound - time.monotonic(), 0))
        handlers.drain(HANDLERS_GRACE)
        state.connection = None
        if state.finalizer is not None:
            state.finalizer.detach()
        state.traffic.end()

    def _raise_failure(self) -> None:
        streams = self._state.streams
        for stream in list(streams):
            failure = stream.take_failure()
            if failure is not None:
                if stream.is_over:
                    streams.discard(stream)
                try:
                    raise failure
                finally:
                    del failure  # no cycle through the traceback

    # -- calls

    def invoke(
        self,
        url: str = "",
        request: Any = None,
        params: Mapping[str, Any] | None = None,
        **keywords: Unpack[CallKeywords],
    ) -> Response:
        """Make a unary call: ``client.invoke("pkg.Service/Method", {"field": 1})``.

        ``request`` is a dict (or what stands for a well-known type) or a google.protobuf object. Params, as a dict or
        as keywords: ``metadata``, ``tags``, ``timeout`` (2 min), ``discard_response_message``. A call that fails gives
        a Response with an ``error``; a call that cannot be made raises NotConnected, InvalidArgument, SchemaError or
        EncodeError.
        """
        return self._call(url, request, params, keywords)

    def _prepare(
        self, url: object, request: object, params: object, keywords: Any, *, as_message: bool = False
    ) -> PreparedCall:
        """As `ClientCore.prepare`; types that the request names and the schema lacks are asked for first."""
        connection = self._state.connection
        if connection is not None and connection.asks_for_types:
            connection.learn(self._core.writing_of(url, request))
        return self._core.prepare(url, request, params, keywords, as_message=as_message)

    def _call(
        self, url: object, request: object, params: object, keywords: Any, *, as_message: bool = False
    ) -> Response:
        state = self._state
        core, connection = state.core, state.connection
        if connection is not None and connection.asks_for_types:
            call = self._prepare(url, request, params, keywords, as_message=as_message)
        else:
            call = core.prepare(url, request, params, keywords, as_message=as_message)
        if call.refused is not None:
            return core.refuse(call, call.refused)
        connection = state.connected()
        outcome = connection.unary(call)
        if connection.asks_for_types:
            connection.learn(core.reading_of_call(call, outcome))
        return self._respond(call, outcome)

    def _respond(self, call: PreparedCall, outcome: UnaryOutcome) -> Response:
        """Measure a call and make its response."""
        return self._core.respond(call, outcome)

    def async_invoke(
        self,
        url: str = "",
        request: Any = None,
        params: Mapping[str, Any] | None = None,
        **keywords: Unpack[CallKeywords],
    ) -> Future[Response]:
        """As `invoke`, but return at once a Future of the Response.

        A call that cannot be made is the future's exception. Cancelling the future cancels the call.
        """
        self._state.check_process()
        made: Future[Response] = Future()
        try:
            call = self._prepare(url, request, params, keywords)
            if call.refused is not None:
                made.set_result(self._core.refuse(call, call.refused))
                return made
            outcome = self._state.connected().start_unary(call, partial(self._core.reading_of_call, call))
        except Error as error:
            made.set_exception(error)
            return made
        outcome.add_done_callback(partial(self._settle, made, call))
        made.add_done_callback(partial(_cancel_too, weakref.ref(outcome)))  # futures keep what they call
        return made

    def _settle(self, made: Future[Response], call: PreparedCall, ended: Future[UnaryOutcome]) -> None:
        if ended.cancelled() or not made.set_running_or_notify_cancel():
            return
        error = ended.exception()
        try:
            if error is None:
                outcome = outcome_of(ended.result())
            elif isinstance(error, RpcError | InvalidArgument | NotConnected):
                outcome = failed_outcome(error)
            elif isinstance(error, Exception):
                raise error
            else:  # what interrupts calls when the connection is closed
                outcome = Outcome(CLOSING)
            made.set_result(self._respond(call, outcome))
        except BaseException as failure:  # handed on
            made.set_exception(failure)

    def health_check(self, service: str | None = "") -> HealthStatus:
        """Ask the server's health service about a service, or about the server ("").

        Returns its status. Raises NotConnected, RpcError (NOT_FOUND: a service that it does not know).
        """
        self._state.check_process()
        connection = self._state.connected()
        meter = self._core.meter.call(self._core.address, "", {})
        outcome = connection.unary(CallRequest(health.PATH, health.request(service), (), INVOKE_TIMEOUT / 1000))
        return health.result(outcome, meter, self._core)

    def stream(self, url: str, params: Mapping[str, Any] | None = None, **keywords: Unpack[CallKeywords]) -> Stream:
        """Open a stream: the same as ``Stream(client, url, params)``."""
        return Stream(self, url, params, **keywords)

    def stub(self, service: str) -> Any:
        """A service as an object with a method for each RPC, which takes and gives google.protobuf messages: a `Stub`.

        With the types from `type_stubs`, ``greeter: "Greeter" = client.stub("pkg.Greeter")`` tells an editor which
        methods and fields there are. Raises SchemaError if the service is not known.
        """
        from puregrpc.client.stub import Stub

        registry = self._core.registry
        return Stub(
            registry,
            registry.service(service),
            unary=self._invoke_for_message,
            stream=partial(Stream, self, as_message=True),
        )

    def _invoke_for_message(self, path: str, request: Any, params: Mapping[str, Any] | None) -> Response:
        return self._call(path, request, params, {}, as_message=True)

    def type_stubs(self, *services: str) -> str:
        """The text of a ``.pyi`` file with the types of services (by default all) and of their messages.

        Write it beside a module of your own, import the service's protocol from it under ``TYPE_CHECKING``, and
        annotate what `stub` gives with it. Raises SchemaError if a service is not known.
        """
        from puregrpc.client.type_stubs import type_stubs

        registry = self._core.registry
        return type_stubs([registry.service(name) for name in services] or registry.services)

    loadProtoset = load_protoset  # noqa: N815 - k6's spelling
    asyncInvoke = async_invoke  # noqa: N815 - k6's spelling
    healthCheck = health_check  # noqa: N815 - k6's spelling

    # -- helpers

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Client cannot be pickled or copied: make one in each process")

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        try:
            self.close()
        except Exception as failure:  # a handler's exception must not hide the body's
            error.__context__ = error.__context__ or failure


def _cancel_too(outcome: weakref.ref[Future[UnaryOutcome]], made: Future[Response]) -> None:
    """Who waited for the response has cancelled it, or it has come."""
    call = outcome()
    if call is not None and made.cancelled():
        call.cancel()
