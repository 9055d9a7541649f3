"""What a client is inside, which its streams share: the schema, the connection, and the streams that are open."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from puregrpc.client.calls.core import NOT_CONNECTED, ClientCore
from puregrpc.client.calls.measure import TrafficMeter
from puregrpc.client.network.connection import Connection, KnownOptions
from puregrpc.client.streams.handler_thread import HandlerThread
from puregrpc.codec.options import MAX_ELEMENTS
from puregrpc.errors import InvalidArgument, LocalProtocolError, NotConnected
from puregrpc.kernel import Kernel, Task
from puregrpc.kernel.current import running_task
from puregrpc.kernel.ownership import LoopOwner
from puregrpc.kernel.process import THIS_PROCESS

if TYPE_CHECKING:
    from weakref import finalize

    import trio

    from puregrpc.client.network.blocking import BlockingConnection
    from puregrpc.metrics import Metrics

__all__ = ["AsyncState", "BlockingState", "ClientState", "StreamClient", "state_of"]


class BlockingStream(Protocol):
    """A stream as the others of its client see it."""

    @property
    def holds_server_back(self) -> bool: ...


ConnectionT = TypeVar("ConnectionT")
StreamT = TypeVar("StreamT")
BlockingStreamT = TypeVar("BlockingStreamT", bound=BlockingStream)
StateT = TypeVar("StateT")


class ClientState(Generic[ConnectionT, StreamT]):
    """What the clients have in common."""

    __slots__ = ("connection", "core", "known", "streams", "traffic")

    def __init__(
        self, metrics: Metrics | None, max_elements: int = MAX_ELEMENTS, *, core: ClientCore | None = None
    ) -> None:
        if core is None:
            make = partial(ClientCore, max_elements=max_elements)
            core = make() if metrics is None else make(metrics)
        self.core = core
        self.connection: ConnectionT | None = None
        self.known: KnownOptions | None = None
        """Options of connections that others have made with the same schema, where it is known that they still hold."""
        self.streams: set[StreamT] = set()
        """Those that are open, or whose handlers' exceptions nobody has been told of."""
        self.traffic = TrafficMeter(self.core.meter)


class BlockingState(ClientState["BlockingConnection", BlockingStreamT]):
    """Of a `Client`."""

    def __init__(
        self, metrics: Metrics | None, max_elements: int = MAX_ELEMENTS, *, core: ClientCore | None = None
    ) -> None:
        super().__init__(metrics, max_elements, core=core)
        self.process = THIS_PROCESS.id
        self.finalizer: finalize[..., Any] | None = None
        """Closes the connection of a client that is left lying."""
        streams = self.streams
        self.handler_thread = HandlerThread("puregrpc handlers", lambda: bool(streams))

    @property
    def is_foreign(self) -> bool:
        """Whether this is a child of the process that the client belongs to."""
        return self.process != THIS_PROCESS.id

    def check_process(self) -> None:
        """Raise LocalProtocolError in a child of the process that the client belongs to."""
        if self.process != THIS_PROCESS.id:
            raise LocalProtocolError(
                f"this Client belongs to process {self.process} and cannot be used in its child {THIS_PROCESS.id}: "
                "make a new Client after fork"
            )

    def connected(self) -> BlockingConnection:
        """The connection. Raises NotConnected, LocalProtocolError after a fork."""
        connection = self.connection
        if self.process != THIS_PROCESS.id:
            self.check_process()
        if connection is None or not self.core.address:
            raise NotConnected(NOT_CONNECTED)
        return connection

    def holds_a_server_back(self) -> bool:
        """Whether a stream has received as much as it keeps."""
        return any(stream.holds_server_back for stream in list(self.streams))


class AsyncState(ClientState[Connection, StreamT]):
    """Of an `AsyncClient`."""

    __slots__ = ("_is_lent", "_kernel", "_nursery", "handling", "is_left", "owner", "pending")

    def __init__(
        self,
        metrics: Metrics | None,
        nursery: trio.Nursery | None,
        max_elements: int = MAX_ELEMENTS,
        *,
        core: ClientCore | None = None,
    ) -> None:
        super().__init__(metrics, max_elements, core=core)
        self._is_lent = False
        self._nursery = nursery
        self.owner = LoopOwner("AsyncClient")
        self._kernel: Kernel | None = None
        self.is_left = False
        """Its ``async with`` is over."""
        self.pending: set[Task] = set()
        """Those of `AsyncClient.async_invoke`."""
        self.handling: set[object] = set()
        """The tasks in which handlers run just now."""

    @property
    def kernel(self) -> Kernel:
        """The kernel of the loop that runs. Raises LocalProtocolError where there is none, or it is another's."""
        if self.is_left:
            raise LocalProtocolError("an AsyncClient is used inside 'async with AsyncClient() as client:'")
        kernel = self.owner.claim(self._nursery)
        if kernel is not self._kernel:
            self.desert()
            self._kernel = kernel
        return kernel

    def lend(self, kernel: Kernel) -> None:
        """Live in a kernel that somebody else closes."""
        self.owner.take(kernel)
        self._is_lent = True

    def connected(self) -> Connection:
        """The connection. Raises NotConnected, LocalProtocolError in another loop than the client's."""
        connection = self.connection
        if connection is None:
            self.owner.claim(self._nursery)
            raise NotConnected(NOT_CONNECTED)
        if not self.owner.is_current():
            kernel = self.kernel
            self.connection = connection = connection.moved_to(kernel)
            self.traffic.begin(connection.passed)
        return connection

    def desert(self) -> None:
        """The loop that ran is closed: let go of what lived in it."""
        if self.connection is not None:
            self.connection.core.desert()
            self.connection = None
        self.traffic.end()
        self.streams.clear()
        self.pending.clear()
        self.handling.clear()

    async def let_go(self) -> None:
        """Belong to no loop any more. There is no connection."""
        if self._is_lent:
            return
        if self._kernel is not None and not self.owner.is_deserted and not self.is_in_handler:
            await self.kernel.close()
        self.owner = LoopOwner("AsyncClient")
        self._kernel = None

    @property
    def is_in_handler(self) -> bool:
        """Whether the caller is in a handler of a stream of the client's."""
        return bool(self.handling) and running_task() in self.handling


class StreamClient(Generic[StateT]):
    """A client that streams can be opened on."""

    _state: StateT


def state_of(client: StreamClient[StateT] | None, kind: type[StateT], name: str) -> StateT:
    """What a stream's client is inside. ``name`` is what such a client is called. Raises InvalidArgument."""
    given: object = client
    if given is None:
        raise InvalidArgument("invalid GRPC Stream's client: empty gRPC client")
    state: object = given._state if isinstance(given, StreamClient) else None  # noqa: SLF001 - which is what it is for
    if not isinstance(state, kind):
        hint = "" if state is None else f" (a {name} is)"
        raise InvalidArgument(f"invalid GRPC Stream's client: not a gRPC client{hint}")
    return state
