"""What a server goes by: the limits of its connections, and of itself."""

from __future__ import annotations

from dataclasses import dataclass

from puregrpc.codec.options import MAX_ELEMENTS
from puregrpc.wire.connection import ConnectionConfig
from puregrpc.wire.engines import DEFAULT_ENGINE, EngineName
from puregrpc.wire.limits import SERVER_MEMORY, SERVER_UNSENT

__all__ = ["ServerConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig(ConnectionConfig):
    """Everything of `ConnectionConfig` (for each connection), and what concerns the server as a whole.

    Times are seconds, sizes bytes; None means no limit.
    """

    keepalive_time: float | None = 7200.0
    """Ping a client after so long a silence (gRFC A9's default)."""
    keepalive_without_calls: bool = True
    max_memory: int = SERVER_MEMORY + SERVER_UNSENT
    """What all connections may hold together: messages that wait for handlers and parts of others, calls (6 to 13 KiB
    each), and answers that wait to be sent. Beyond it the connection that holds most loses calls, with
    RESOURCE_EXHAUSTED, and handlers wait; each connection keeps 24 KiB. ``connection_memory`` is for one connection.
    Twice ``max_receive_message_size`` if that is more."""
    max_connections: int | None = None
    """Beyond it connections are left waiting until one of those there are ends."""
    max_concurrent_calls: int | None = None
    """Over all connections; calls beyond it end with RESOURCE_EXHAUSTED when they arrive (``max_concurrent_streams`` is
    for one connection). A cancelled call counts until its handler has ended."""
    handler_threads: int = 40
    """How many threads plain handlers run on. Calls beyond it wait; connections take turns, and one of which no handler
    runs gets a thread beside these at once. With 1, calls run one after the other, whosever they are."""
    handshake_timeout: float = 20.0
    """How long TLS may take, and then again the client's first SETTINGS frame."""
    max_connection_idle: float | None = None
    """Send a client away after so long without a call (gRFC A9); found out up to a quarter later."""
    max_connection_age: float | None = None
    """Send a client away after so long, give or take a tenth so that clients do not all come back at once (gRFC A9)."""
    max_connection_age_grace: float | None = None
    """How long calls may go on after that."""
    stop_grace: float | None = 5.0
    """How long calls may go on after the body of ``async with`` or `serve` is left."""
    max_elements: int = MAX_ELEMENTS
    """How many elements of lists and maps are made of one request that is given as a dict (`Codec`)."""
    compression: str = "identity"
    """What responses are compressed with, for clients that can inflate it."""
    engine: EngineName = DEFAULT_ENGINE
    """The HTTP/2 engine."""
