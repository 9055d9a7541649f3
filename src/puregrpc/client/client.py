"""The blocking client, as k6's scripts use it."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from puregrpc.channel.blocking.methods import BlockingUnaryUnaryMethod
from puregrpc.channel.calls.unary import UnaryCall
from puregrpc.client import health
from puregrpc.client.core import NOT_CONNECTED, ClientCore, PreparedCall
from puregrpc.client.exit import watch
from puregrpc.client.handlers import HandlerThread
from puregrpc.client.link import Link, failed_outcome, open_link, outcome_of
from puregrpc.client.params import INVOKE_TIMEOUT, CallKeywords, ConnectKeywords, connect_params
from puregrpc.client.records import HealthStatus, MethodInfo, Response
from puregrpc.client.requests import CallRequest, Traffic, UnaryOutcome
from puregrpc.client.status import CANCELED_HERE
from puregrpc.client.stream_link import StreamLink
from puregrpc.errors import Error, InvalidArgument, LocalProtocolError, NotConnected, RpcError
from puregrpc.kernel.process import THIS_PROCESS
from puregrpc.kernel.thread_kernel import ThreadKernel
from puregrpc.metrics import Metrics
from puregrpc.transport.thread_session.busy_poll import BUSY_POLL

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from puregrpc.client.inbox import Inbox
    from puregrpc.client.params import ConnectParams
    from puregrpc.client.stream import Stream
    from puregrpc.schema import Registry

__all__ = ["Client"]

HANDLERS_GRACE = 5.0
"""Seconds that `Client.close` waits for handlers to take the ends of the streams it closed."""

Path = str | os.PathLike[str]


class Client:
    """A gRPC client for scripts: load definitions, connect, invoke methods, close.

    All methods block. Times are milliseconds, or text with units (``"10s"``, ``"1m30s"``); sizes are octets. Usable
    from several threads at once. Names are accepted in k6's spelling too (``loadProtoset``, ``asyncInvoke``).
    As a context manager it closes itself. Not usable in a child process after ``os.fork``.

    ``metrics`` is where it measures: by default the load run that the code is part of, or else a registry of its own.
    """

    def __init__(self, *, metrics: Metrics | None = None) -> None:
        self.core = ClientCore() if metrics is None else ClientCore(metrics)
        self.streams: set[Stream] = set()
        """Those that are open, or whose handlers' exceptions nobody has been told of."""
        self.handler_thread = HandlerThread("puregrpc handlers", has_streams(self))
        self._network: Network | None = None
        self._process = os.getpid()
        self._traffic_before = Traffic()
        """What went over the connections that are closed."""
        self._counted = Traffic()
        self._stop_counting: Callable[[], None] | None = None
        watch(self)

    @property
    def metrics(self) -> Metrics:
        """What was measured: ``print(client.metrics.summary())``."""
        return self.core.metrics

    # -- the schema

    def load(self, import_paths: Sequence[Path] | None = None, *files: Path) -> list[MethodInfo]:
        """Compile .proto files and make their services known, those of the files they import too.

        ``import_paths`` are folders; relative ones are looked for beside the running script first, as in k6, then in
        the working directory. Without any, these two folders themselves are meant. ``files`` are named as an import
        statement would; what they import may also be a file that was loaded before, from a protoset or by
        reflection for instance. Several loads add up. Returns the methods. Raises CompileError with every fault found,
        SchemaError if a name clashes with what was loaded before.
        """
        return self.core.load(import_paths, files)

    def load_protoset(self, path: Path) -> list[MethodInfo]:
        """Make known what a serialized FileDescriptorSet holds (``protoc --descriptor_set_out``).

        Missing imports are tolerated. Returns the methods. Raises SchemaError.
        """
        return self.core.load_protoset(path)

    # -- the connection

    def connect(
        self, address: str, params: Mapping[str, Any] | None = None, **keywords: Unpack[ConnectKeywords]
    ) -> bool:
        """Connect to ``host:port``, with TLS unless ``plaintext``; returns True once the connection is ready.

        Params, as a dict or as keywords: ``plaintext``; ``timeout`` (60 s); ``tls`` {cert, key, password, cacerts:
        PEM text}; ``authority``; ``max_receive_size`` (4 MiB) and ``max_send_size``; ``reflect``, with
        ``reflect_metadata``, to load the server's own schema; ``trace``, a `puregrpc.trace.Recorder` that hears every
        octet; ``busy_poll`` (0.2 ms, 0: never), how long a lone call asks for its answer before it sleeps, which
        costs processor time and saves waking up. A connection that there was is closed first.
        Raises InvalidArgument, ConnectError, RpcError (reflection); there is no connection then.
        """
        self.check_process()
        if not isinstance(address, str):
            raise InvalidArgument(f"an address is text such as 'localhost:50051', not {address!r}")
        checked = connect_params(params, keywords)
        self._disconnect()
        began = time.perf_counter()
        self._network = network = Network.open(address, checked, self.core.registry)
        self._finalizer = weakref.finalize(self, close_in, os.getpid(), network)
        self._finalizer.atexit = False
        self.core.connected(checked, address)
        self.core.meter.connected((time.perf_counter() - began) * 1000)
        if self._stop_counting is None:
            self._stop_counting = self.metrics.before_reading(weak_call(self, Client._count_traffic))
        return True

    def close(self) -> None:
        """Close the connection; open streams end with the status CANCELLED. Any number of times.

        Raises what a stream's handler raised, if nobody has been told of it yet.
        """
        if self._process != os.getpid():
            return
        self._disconnect()
        self.raise_failure()

    def _disconnect(self) -> None:
        self.core.address = ""
        network = self._network
        if network is None:
            return
        ending = list(self.streams)
        for stream in ending:
            stream.end_with(CANCELED_HERE)
            stream.drain()
        network.close()
        if not self.handler_thread.is_current:
            bound = time.monotonic() + HANDLERS_GRACE
            for stream in ending:
                stream.wait_until_handled(max(bound - time.monotonic(), 0))
        self.handler_thread.drain(HANDLERS_GRACE)
        self._count_traffic()
        self._traffic_before = self._traffic()
        self._network = None
        self._finalizer.detach()
        if self._stop_counting is not None:
            self._stop_counting()
            self._stop_counting = None
        self.metrics.flush()

    def raise_failure(self) -> None:
        """Raise what a stream's handler raised, if nobody has been told of it yet."""
        for stream in list(self.streams):
            failure = stream.take_failure()
            if failure is not None:
                if stream.is_over:
                    self.streams.discard(stream)
                raise failure

    def _traffic(self) -> Traffic:
        before, network = self._traffic_before, self._network
        if network is None:
            return before
        now = network.link.traffic()
        return Traffic(before.sent + now.sent, before.received + now.received)

    def _count_traffic(self) -> None:
        if self._process != os.getpid():
            return
        now, before = self._traffic(), self._counted
        if now != before:
            self._counted = now
            self.core.meter.traffic(now.sent - before.sent, now.received - before.received)

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
        return self.complete(self.core.prepare(url, request, params, keywords))

    def complete(self, call: PreparedCall) -> Response:
        """Make a call that is prepared."""
        if call.refused is not None:
            return self.core.refuse(call, call.refused)
        return self.core.respond(call, self.connected().unary(call))

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
        self.check_process()
        made: Future[Response] = Future()
        try:
            call = self.core.prepare(url, request, params, keywords)
            if call.refused is not None:
                made.set_result(self.core.refuse(call, call.refused))
                return made
            outcome = self.connected().start_unary(call)
        except Error as error:
            made.set_exception(error)
            return made
        outcome.add_done_callback(partial(self._settle, made, call))
        made.add_done_callback(lambda made: outcome.cancel() if made.cancelled() else None)
        return made

    def _settle(self, made: Future[Response], call: PreparedCall, ended: Future[UnaryCall]) -> None:
        if ended.cancelled() or not made.set_running_or_notify_cancel():
            return
        error = ended.exception()
        if error is None:
            made.set_result(self.core.respond(call, outcome_of(ended.result())))
        elif isinstance(error, RpcError | InvalidArgument | NotConnected):
            made.set_result(self.core.respond(call, failed_outcome(error)))
        else:
            made.set_exception(error)

    def health_check(self, service: str | None = "") -> HealthStatus:
        """Ask the server's health service about a service, or about the server ("").

        Returns its status. Raises NotConnected, RpcError (NOT_FOUND: a service that it does not know).
        """
        self.check_process()
        network = self.connected()
        meter = self.core.meter.call(self.core.address, "", {})
        outcome = network.unary(CallRequest(health.PATH, health.request(service), (), INVOKE_TIMEOUT / 1000))
        return health.result(outcome, meter, self.metrics)

    def stream(self, url: str, params: Mapping[str, Any] | None = None, **keywords: Unpack[CallKeywords]) -> Stream:
        """Open a stream: the same as ``Stream(client, url, params)``."""
        from puregrpc.client.stream import Stream

        return Stream(self, url, params, **keywords)

    def stub(self, service: str) -> Any:
        """A service as an object with a method for each RPC, which takes and gives google.protobuf messages: a `Stub`.

        With the types from `type_stubs`, ``greeter: "Greeter" = client.stub("pkg.Greeter")`` tells an editor which
        methods and fields there are. Raises SchemaError if the service is not known.
        """
        from puregrpc.client.stub import Stub

        return Stub(self, self.core.registry.service(service))

    def type_stubs(self, *services: str) -> str:
        """The text of a ``.pyi`` file with the types of services (by default all) and of their messages.

        Write it beside a module of your own, import the service's protocol from it under ``TYPE_CHECKING``, and
        annotate what `stub` gives with it. Raises SchemaError if a service is not known.
        """
        from puregrpc.client.type_stubs import type_stubs

        registry = self.core.registry
        return type_stubs([registry.service(name) for name in services] or registry.services)

    loadProtoset = load_protoset  # noqa: N815 - k6's spelling
    asyncInvoke = async_invoke  # noqa: N815 - k6's spelling
    healthCheck = health_check  # noqa: N815 - k6's spelling

    # -- helpers

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Client cannot be pickled or copied: make one in each process")

    def connected(self) -> Network:
        """The connection, if there is one. Raises NotConnected, LocalProtocolError after a fork."""
        self.check_process()
        if self._network is None or not self.core.address:
            raise NotConnected(NOT_CONNECTED)
        return self._network

    @property
    def process(self) -> int:
        """The id of the process that it belongs to."""
        return self._process

    def holds_a_server_back(self) -> bool:
        """Whether a stream has received as much as it keeps."""
        return any(stream.holds_server_back for stream in list(self.streams))

    def check_process(self) -> None:
        """Raise LocalProtocolError in a child of the process that the client belongs to."""
        if self._process != THIS_PROCESS.id:
            raise LocalProtocolError(
                f"this Client belongs to process {self._process} and cannot be used in its child {THIS_PROCESS.id}: "
                "make a new Client after fork"
            )

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


class Network:
    """A client's connection, for blocking callers."""

    def __init__(self, kernel: ThreadKernel, link: Link) -> None:
        self.link = link
        self._kernel = kernel
        self._methods: dict[str, BlockingUnaryUnaryMethod[bytes, bytes]] = {}

    @classmethod
    def open(cls, address: str, params: ConnectParams, registry: Registry) -> Network:
        """See `open_link`."""
        kernel = ThreadKernel()
        busy_poll = BUSY_POLL if params.busy_poll is None else params.busy_poll
        try:
            return cls(kernel, kernel.run(open_link(kernel, address, params, registry, busy_poll=busy_poll)))
        except BaseException:
            kernel.run(kernel.close())
            raise

    def _method(self, path: str) -> BlockingUnaryUnaryMethod[bytes, bytes]:
        method = self._methods.get(path)
        if method is None:
            method = self._methods[path] = BlockingUnaryUnaryMethod(self.link.core, self._kernel, path)
        return method

    def unary(self, request: CallRequest) -> UnaryOutcome:
        """Make a unary call; KeyboardInterrupt cancels it."""
        method = self._methods.get(request.path) or self._method(request.path)
        try:
            call = method.exchange(request.message, metadata=request.metadata, timeout=request.timeout)
        except (RpcError, InvalidArgument) as error:
            return failed_outcome(error)
        return call if call.message is not None else outcome_of(call)

    def start_unary(self, request: CallRequest) -> Future[UnaryCall]:
        """Begin a unary call. Cancelling the future cancels the call."""
        method = self._method(request.path)
        return method.start_exchange(request.message, metadata=request.metadata, timeout=request.timeout)

    def open_stream(self, request: CallRequest, inbox: Inbox) -> StreamLink:
        """Open a stream. Its end, whatever it is, comes through the inbox."""
        stream = StreamLink(self._kernel, self.link.core, request, inbox)
        stream.open()
        return stream

    def close(self) -> None:
        """End all calls and the connection, and wait for its threads. Idempotent."""
        self._kernel.run(self.link.core.close())
        self._kernel.run(self._kernel.close())


def close_in(process: int, network: Network) -> None:
    """Close a connection whose client is gone, in the process that it belongs to."""
    if process == os.getpid():
        network.close()


def has_streams(client: Client) -> Callable[[], bool]:
    """Whether the client has open streams, for who must not keep it alive."""
    reference = weakref.ref(client)

    def ask() -> bool:
        found = reference()
        return found is not None and bool(found.streams)

    return ask


def weak_call(client: Client, function: Callable[[Client], None]) -> Callable[[], None]:
    """``function(client)`` as long as there is the client."""
    reference = weakref.ref(client)

    def call() -> None:
        found = reference()
        if found is not None:
            function(found)

    return call
