"""trio byte streams around a wire connection: TCP, TLS, unix, in memory; connecting, listening, and the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.transport.addresses import Address as Address
    from puregrpc.transport.addresses import TcpAddress as TcpAddress
    from puregrpc.transport.addresses import UnixAddress as UnixAddress
    from puregrpc.transport.connecting import connect as connect
    from puregrpc.transport.connecting import resolve_host as resolve_host
    from puregrpc.transport.connecting import start_tls_client as start_tls_client
    from puregrpc.transport.amounts import SessionCounters as SessionCounters
    from puregrpc.transport.listening import Listener as Listener
    from puregrpc.transport.listening import listen as listen
    from puregrpc.transport.session import ClientSession as ClientSession
    from puregrpc.transport.session import Session as Session
    from puregrpc.transport.session import SessionOptions as SessionOptions
    from puregrpc.transport.session import UnaryExchange as UnaryExchange
    from puregrpc.transport.session import open_session as open_session
    from puregrpc.transport.streams import ByteStream as ByteStream
    from puregrpc.transport.streams import MemoryStream as MemoryStream
    from puregrpc.transport.streams import SocketStream as SocketStream
    from puregrpc.transport.streams import TappedStream as TappedStream
    from puregrpc.transport.streams import memory_stream_pair as memory_stream_pair
    from puregrpc.transport.tap import Tap as Tap
    from puregrpc.transport.tls import InsecureTlsWarning as InsecureTlsWarning
    from puregrpc.transport.tls import TlsOptions as TlsOptions

_MODULES = {
    "Address": "addresses",
    "ByteStream": "streams",
    "ClientSession": "session",
    "InsecureTlsWarning": "tls",
    "Listener": "listening",
    "MemoryStream": "streams",
    "Session": "session",
    "SessionCounters": "amounts",
    "SessionOptions": "session",
    "SocketStream": "streams",
    "Tap": "tap",
    "TappedStream": "streams",
    "TcpAddress": "addresses",
    "TlsOptions": "tls",
    "UnaryExchange": "session",
    "UnixAddress": "addresses",
    "connect": "connecting",
    "listen": "listening",
    "memory_stream_pair": "streams",
    "open_session": "session",
    "resolve_host": "connecting",
    "start_tls_client": "connecting",
}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
