"""The seam between gRPC and HTTP/2: what a connection does for everything above it, whichever engine does it.

A connection takes bytes (``receive``) and gives bytes (``data_to_send``). In between it calls methods of the `Call`
objects it carries, one object a call, and of the one `Driver` that owns it. It never blocks, never reads a clock (times
are arguments, in seconds of one monotonic clock) and never raises because of what a peer sent: a peer's fault ends
the call (a stream error) or every call and the connection (a connection error, with GOAWAY in ``data_to_send``).

Two rules hold for all callbacks. They may call back into the connection (open, send, reset, consume), so an engine
finishes its own bookkeeping before it calls. And ``on_end`` is the last callback of a call, and comes exactly once;
but for a call that its owner itself ended with `Connection.reset`, which gets no callback any more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from puregrpc.errors import InvalidArgument
from puregrpc.wire.compression import USUAL_CODINGS
from puregrpc.wire.limits import (
    CONNECTION_MEMORY,
    DEFAULT_MAX_MESSAGE_SIZE,
    HEADER_DECODE_LIMIT,
    LARGEST_HEADER_BLOCK_SIZE,
    LARGEST_HEADER_LIST_SIZE,
    MAX_CONCURRENT_STREAMS,
    MAX_CONTINUATION_FRAMES,
    MAX_FRAME_SIZE,
    MAX_HEADER_BLOCK_SIZE,
    MAX_HEADER_LIST_SIZE,
    SEND_BUFFER_SIZE,
    TURN_TIME,
)
from puregrpc.wire.memory import MemoryBudget, size_of_metadata, size_of_texts
from puregrpc.wire.metadata import Metadata
from puregrpc.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from puregrpc.wire.snapshot import ConnectionSnapshot

__all__ = [
    "Call",
    "ClientConnection",
    "Connection",
    "ConnectionConfig",
    "Driver",
    "MemoryBudget",
    "Metadata",
    "Request",
    "ServerCall",
    "ServerConnection",
]


SIZE_OF_NAME = 64
"""What the name of an encoding takes in memory."""


@dataclass(slots=True)
class Request:
    """The head of a call: what its request headers say (PROTOCOL-HTTP2, "Requests").

    One that was handed to a client's connection is not changed any more: it may be handed over again for another call.
    """

    path: str
    """``/pkg.Service/Method``."""
    authority: str = ""
    metadata: Metadata = ()
    """Custom metadata; reserved names (`metadata.is_reserved`) are not in it."""
    timeout: float | None = None
    """What grpc-timeout says, in seconds; None if there is none."""
    encoding: str = "identity"
    """grpc-encoding: what the sender's messages are compressed with, where they are."""
    accept_encodings: tuple[str, ...] = ()
    """grpc-accept-encoding: what the sender can inflate. Filled in on the server's side."""
    content_subtype: str = ""
    """What follows ``application/grpc+`` in the content-type, such as ``proto`` or ``json``; empty if nothing does."""
    user_agent: str = ""
    """Filled in on the server's side."""
    max_receive_message_size: int | None = None
    """Client: the most octets of a response; None: what the connection's config says."""

    @property
    def size(self) -> int:
        """What it takes in memory, in bytes; nothing of what is small counts."""
        texts = len(self.path) + len(self.authority) + len(self.content_subtype) + len(self.user_agent)
        return size_of_texts(texts + SIZE_OF_NAME * len(self.accept_encodings)) + size_of_metadata(self.metadata)

    def with_metadata(self, metadata: Metadata) -> Request:
        """A copy with ``metadata`` behind its own."""
        return Request(
            self.path,
            self.authority,
            (*self.metadata, *metadata),
            self.timeout,
            self.encoding,
            self.accept_encodings,
            self.content_subtype,
            self.user_agent,
            self.max_receive_message_size,
        )


class Call:
    """One call, as its connection sees it. The channel and the server each subclass it and say what happens.

    The slots that start with ``wire_`` belong to the engine. ``call.__init__()`` must run before the call is opened.
    """

    __slots__ = (
        "auto_consume",
        "compressed_messages",
        "wire_a",
        "wire_b",
        "wire_deadline",
        "wire_id",
        "wire_inbound",
        "wire_low",
        "wire_outbound",
        "wire_path",
        "wire_received",
        "wire_send_window",
        "wire_state",
    )

    wire_a: Any
    wire_b: Any
    wire_inbound: Any
    wire_low: Any
    wire_outbound: Any
    wire_path: str
    wire_received: Any
    wire_send_window: Any
    wire_state: Any
    auto_consume: bool
    """True (the default): received octets are given back to the peer's window as they come, as suits a call with one
    message. False: the octets of a whole message are given back when the owner calls `Connection.consume`."""
    compressed_messages: int
    """How many of the messages received came compressed."""
    inflates_messages: ClassVar[bool] = False  # for a whole class, since it costs nothing there
    """False (the default): messages are given inflated. True: compressed ones are given as `CompressedMessage`, and the
    owner inflates them when he takes them. Whoever lets messages wait needs that: flow control bounds what came, which
    may inflate to a thousand times as much."""

    def __init__(self) -> None:
        self.auto_consume = True
        self.compressed_messages = 0
        self.wire_id = 0
        self.wire_deadline: float | None = None
        self.wire_state = None

    def on_headers(self, metadata: Metadata) -> None:
        """Client: the server's initial metadata. Not called for a trailers-only response.

        Beside custom metadata it shows content-type, grpc-encoding and grpc-accept-encoding, as grpc-go's does (and
        so do the trailers of a trailers-only response).
        """

    def on_message(self, message: bytes) -> None:
        """A whole message within the size limit, inflated unless ``inflates_messages``."""

    def on_half_close(self) -> None:
        """Server: the client has sent all its messages."""

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:
        """The call is over: by the peer's trailers or reset, a deadline, a limit, or the loss of the connection.

        Client: ``status`` is the call's status; ``unprocessed`` is True if the server is known never to have
        begun it (REFUSED_STREAM, or above GOAWAY's last stream id; gRFC A6, transparent retry).
        Server: the call is cancelled; ``status`` says why (CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE).
        """

    def on_writable(self) -> None:
        """`Connection.send_buffered` has fallen to SEND_BUFFER_SIZE or below after having been above it. (An engine may
        wait for the end of a message that is large.)"""


class ServerCall(Call):
    """A call that a server received. ``request`` is set by the connection before any callback."""

    __slots__ = ("request",)
    request: Request

    def on_left_out(self, what: str) -> None:
        """``what`` of the answer is not sent: it does not fit what the client takes as headers, or a limit of ours."""


class Driver(Protocol):
    """What owns a connection: moves its bytes and is told what concerns the connection as a whole.

    All callbacks are synchronous and come from inside a call of the connection's own methods.
    """

    def on_output(self) -> None:
        """There is something to send. Called when ``data_to_send`` would turn from empty to not empty, and by
        ``data_to_send`` itself when it leaves something."""

    def on_ready(self) -> None:
        """The peer's first SETTINGS frame has come: the connection is known to speak HTTP/2."""

    def on_call(self, request: Request) -> ServerCall | None:
        """Server: a new call. Returns the object that stands for it, or None to refuse it (REFUSED_STREAM)."""

    def on_going_away(self, reason: str) -> None:
        """The peer sent GOAWAY, or the stream ids are used up: no new call may be opened on this connection.

        Calls that GOAWAY covers go on. ``reason`` holds the error code's name and the debug data as text. It may come
        more than once: a graceful end takes two frames.
        """

    def on_closed(self, reason: str) -> None:
        """The connection is of no use any more; every call has ended. What is left to send is still to be sent."""


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """What one end of a connection goes by. Sizes are octets, times are seconds."""

    max_receive_message_size: int = DEFAULT_MAX_MESSAGE_SIZE
    max_send_message_size: int = 2**31 - 1
    max_header_list_size: int = MAX_HEADER_LIST_SIZE
    """How much metadata the peer may send at once: names, values and 32 more for each (RFC 9113, section 6.5.2), with
    HTTP's and gRPC's own fields. It is announced. What exceeds it ends the call with RESOURCE_EXHAUSTED; beyond four
    times as much it ends the connection. A channel's default is 256 KiB."""
    initial_stream_window: int = 1 << 20
    """What a stream's window is; it may grow to ``max_window`` with the bandwidth-delay product. A client announces it
    as SETTINGS_INITIAL_WINDOW_SIZE, a server FIRST_STREAM_WINDOW at the most, and gives the rest as octets come."""
    initial_connection_window: int = 1 << 20
    max_window: int = 16 << 20
    connection_memory: int = CONNECTION_MEMORY
    """What the connection may hold of the peer's messages, all calls together: whole ones that wait for `consume`, each
    with an overhead, and parts of others. Windows shrink as it fills up; a server ends the call that holds most with
    RESOURCE_EXHAUSTED once it is passed. Twice ``max_receive_message_size`` if that is more."""
    memory_budget: MemoryBudget | None = None
    """Server: what all its connections may hold together."""
    max_concurrent_streams: int = MAX_CONCURRENT_STREAMS
    """Server: how many calls a client may have open at once on the connection."""
    scheme: str = "http"
    """Client: the :scheme of requests."""
    user_agent: str = ""
    """Client: the user-agent of requests."""
    secret_names: tuple[str, ...] = ("authorization", "cookie")
    """Client: metadata that is sent "never indexed" (RFC 7541, section 7.1.3)."""
    accept_encodings: tuple[str, ...] = USUAL_CODINGS
    """What the peer is told that messages may be compressed with. A server that is given others than the usual ones
    ends calls whose requests are compressed with anything else with UNIMPLEMENTED."""
    keepalive_time: float | None = None
    """Send a PING after so long without anything received; None: never (gRFC A8 for clients, A9 for servers)."""
    keepalive_timeout: float = 20.0
    """How long the PING may stay unanswered before the connection counts as lost."""
    keepalive_without_calls: bool = False
    min_ping_interval: float = 300.0
    """Server: a client whose PINGs come more often than this is sent away with ENHANCE_YOUR_CALM "too_many_pings",
    after two that are forgiven (gRFC A8)."""
    permit_ping_without_calls: bool = False
    common: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What an engine keeps for all connections that go by this."""

    @property
    def max_header_block_size(self) -> int:
        """How many octets a header block may have as it comes."""
        wanted = max(MAX_HEADER_BLOCK_SIZE, self.max_header_list_size * HEADER_DECODE_LIMIT)
        return min(wanted, LARGEST_HEADER_BLOCK_SIZE)

    @property
    def max_continuation_frames(self) -> int:
        """How many CONTINUATION frames a header block may have."""
        return max(MAX_CONTINUATION_FRAMES, 2 * self.max_header_block_size // MAX_FRAME_SIZE)

    def check_header_list_size(self) -> None:
        """Raise InvalidArgument unless ``max_header_list_size`` can be."""
        size: object = self.max_header_list_size
        if not isinstance(size, int) or not 0 < size <= LARGEST_HEADER_LIST_SIZE:
            raise InvalidArgument(
                f"max_header_list_size is 1 to {LARGEST_HEADER_LIST_SIZE} bytes of metadata, not {size!r}"
            )


class Connection(ABC):
    """One end of an HTTP/2 connection that carries gRPC calls. The engines are its implementations."""

    __slots__ = ()

    driver: Driver
    """Who hears of it. Another one may take its place."""
    now: float
    """The time that it was told last."""

    send_buffer_size = SEND_BUFFER_SIZE

    # -- bytes and time

    @abstractmethod
    def start(self, now: float) -> None:
        """Put the connection preface and the first SETTINGS into the output. Called once, first."""

    @abstractmethod
    def receive(self, data: bytes, now: float) -> None:
        """Take octets that the peer sent, cut anywhere. An empty ``data`` is the end of the peer's stream.

        All of them act at once, unless `limit_turns` was called: then what a turn has no time for is kept, and
        `has_input` is True. Deadlines that have passed at ``now`` end their calls first.
        """

    def limit_turns(self, clock: Callable[[], float], seconds: float = TURN_TIME) -> None:  # noqa: B027 - a default
        """From now on act on input for about so many seconds at a time. Whoever calls this keeps to three things.

        While `has_input`, he reads nothing more, lets others have their turn and calls `proceed`. While
        `is_output_clogged`, he does that only once the transport has taken some output. And he calls `data_to_send` in
        between. ``clock`` gives seconds that pass, such as `time.perf_counter`; the time of `receive` may be another.
        """

    @property
    def has_input(self) -> bool:
        """Octets that came are still to be acted on: `proceed` is to be called. False without `limit_turns`."""
        return False

    @property
    def handed_over(self) -> float:
        """What the last turn gave handlers to do beside it: how many calls the peer has begun, and what it sent of
        messages, by how many beginnings they come to."""
        return 0.0

    def proceed(self, now: float) -> None:
        """Go on with the input for a turn; `advance` is part of it."""
        self.advance(now)

    @abstractmethod
    def data_to_send(self, limit: int = 1 << 18) -> bytes:
        """Give and forget the next octets to send: about ``limit`` at most, b"" if there are none.

        Control frames come first, then the calls' data in turns (round robin), as the windows allow.
        """

    def pieces_to_send(self, limit: int | None = None) -> list[bytes | memoryview]:
        """As `data_to_send`, but what is large need not be copied for it: it comes as pieces. [] if there is nothing.

        The pieces of a message are views of it: they keep it in memory. Without a ``limit`` they are as many octets as
        the engine finds good.
        """
        data = self.data_to_send() if limit is None else self.data_to_send(limit)
        return [data] if data else []

    @property
    def is_output_clogged(self) -> bool:
        """Server: so much waits for the transport to take it that no further input should be read. What flow control
        holds back does not count, since the peer's WINDOW_UPDATE must be read. Always False in a client, which would
        else wait for a server that waits for it."""
        return False

    @property
    def unsent(self) -> int:
        """Octets that wait to be sent, for whatever reason."""
        return 0

    @property
    def is_send_full(self) -> bool:
        """So much waits to be sent, for whatever reason, that no new handler or sender should begin. It may change with
        each call of `data_to_send`, `receive`, `proceed`, `advance` and `reset`."""
        return False

    def charge(self, call: Call, octets: int) -> None:  # noqa: B027 - a default
        """Count so many octets more (or fewer, if negative) as held for a call until it is over: its owner lets a
        message wait that he has got with ``auto_consume``."""

    def relieve(self) -> None:  # noqa: B027 - a default
        """End the call that holds most memory with RESOURCE_EXHAUSTED (see `MemoryBudget`); or the connection, where
        what is kept of its input holds more than that and its output is not taken."""

    @abstractmethod
    def lost(self, reason: str) -> None:
        """The transport broke: every call ends with UNAVAILABLE and the reason."""

    @abstractmethod
    def next_time(self) -> float | None:
        """When `advance` must be called next at the latest (deadlines, keepalive); None: no need."""

    @abstractmethod
    def advance(self, now: float) -> None:
        """Let the time be ``now``: expire deadlines, send or judge keepalive PINGs."""

    # -- the connection as a whole

    @property
    @abstractmethod
    def open_calls(self) -> int:
        """How many calls are not over, the queued ones included."""

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """True once on_closed was called."""

    @abstractmethod
    def go_away(self, *, error_code: int = 0, debug_data: bytes = b"", immediately: bool = False) -> None:
        """Send GOAWAY. Open calls may finish; with ``immediately`` they end with UNAVAILABLE and the connection closes.

        A server first announces 2**31 - 1 and, after a PING has come back, the real last stream id, so that calls
        on their way are served (RFC 9113, section 6.8). When the last call is over, on_closed comes.
        """

    @abstractmethod
    def ping(self) -> None:
        """Send a PING; its answer counts as a sign of life for keepalive."""

    @abstractmethod
    def snapshot(self) -> ConnectionSnapshot:
        """The connection, its windows and its calls, as data."""

    # -- calls

    @abstractmethod
    def send_message(self, call: Call, message: bytes, *, end: bool = False, compress: bool = True) -> None:
        """Queue a message; with ``end`` (client) the half-close goes with it. ``compress`` False sends it as it is,
        though the call has a compressing encoding.

        Raises InvalidArgument if it is over max_send_message_size, LocalProtocolError after the half-close or, on
        a server, before the headers. On a call that has ended, it does nothing.
        """

    @abstractmethod
    def send_buffered(self, call: Call) -> int:
        """Octets of the call's messages that flow control has not let go yet."""

    @abstractmethod
    def is_held_back(self, call: Call) -> bool:
        """Whether the call's sender is to wait: more than SEND_BUFFER_SIZE of its messages waits, or something of them
        while `is_send_full`. If so, ``on_writable`` follows once some of it is sent."""

    @abstractmethod
    def consume(self, call: Call, octets: int) -> None:
        """The owner has taken one or more messages: give them back to the peer's window (auto_consume off).

        ``octets`` is the sum of their lengths as `Call.on_message` gave them; what they took on the wire is known
        here. Messages are taken in order; call it for an empty message as well.
        """

    @abstractmethod
    def reset(self, call: Call, error_code: int = 8, *, now: float = 0.0) -> None:
        """End the call from this side with RST_STREAM (CANCEL by default). No callback follows; idempotent.

        A client gives the time: a call that has waited for its turn may begin now, and its grpc-timeout with it.
        """


class ClientConnection(Connection):
    """The client's end."""

    __slots__ = ()

    @abstractmethod
    def open_call(
        self,
        call: Call,
        request: Request,
        *,
        deadline: float | None = None,
        message: bytes | None = None,
        end: bool = False,
        now: float = 0.0,
    ) -> None:
        """Open a call: queue its headers, and with ``message`` and ``end`` the whole of a unary request at once.

        Beyond the peer's MAX_CONCURRENT_STREAMS the call waits its turn; grpc-timeout is worked out from
        ``deadline`` when the headers are really sent. Raises LocalProtocolError if no new call may be opened,
        InvalidArgument for bad metadata.
        A call whose headers are larger than the server takes ends with RESOURCE_EXHAUSTED before it is sent.
        """

    @abstractmethod
    def half_close(self, call: Call) -> None:
        """The client has sent all its messages. Idempotent; nothing happens on a call that has ended."""

    def _refuse_headers(self, call: Call, size: int, most: int) -> None:
        """End a call whose request headers do not fit, of which the connection knows nothing (any more)."""
        problem = f"the request's headers take {size} octets, the server takes {most} at most"
        call.on_end(Status(StatusCode.RESOURCE_EXHAUSTED, problem), (), unprocessed=False)


class ServerConnection(Connection):
    """The server's end.

    Nothing here fails because of the size of header lists. What does not fit SETTINGS_MAX_HEADER_LIST_SIZE of the
    client is left out (see `headers.fit_trailers`), of which `ServerCall.on_left_out` tells; and where not even a
    status fits, RST_STREAM(INTERNAL_ERROR) ends the call.
    """

    __slots__ = ()

    @abstractmethod
    def send_headers(self, call: ServerCall, metadata: Metadata = (), *, encoding: str = "identity") -> None:
        """Send the initial metadata. LocalProtocolError if they are out, InvalidArgument if metadata is bad.

        Metadata that do not fit are left out. Where the headers do not fit without them either, the call ends with
        RESOURCE_EXHAUSTED, and the owner is told with ``on_end``.

        An ``encoding`` that the client does not accept (``request.accept_encodings``) falls back to identity.
        """

    @abstractmethod
    def send_trailers(self, call: ServerCall, status: Status, metadata: Metadata = ()) -> None:
        """End the call with a status, behind all of its messages; trailers-only if no headers were sent.

        If the client has not half-closed yet, RST_STREAM(NO_ERROR) follows once the trailers are out (RFC 9113,
        section 8.1). The owner gets no further callback. InvalidArgument if metadata is bad; nothing has been sent
        then.
        """

    @abstractmethod
    def send_response(
        self,
        call: ServerCall,
        message: bytes,
        metadata: Metadata = (),
        trailers: Metadata = (),
        status: Status | None = None,
    ) -> None:
        """The whole of a unary response: headers (if not sent yet), one message, trailers. Status OK by default."""

    def _refuse_headers(self, call: ServerCall, size: int, most: int) -> None:
        """End a call whose response headers do not fit."""
        problem = f"the response's headers take {size} octets, the client takes {most} at most"
        status = Status(StatusCode.RESOURCE_EXHAUSTED, problem)
        self.send_trailers(call, status)
        call.on_end(status, (), unprocessed=False)
