"""trio byte streams around a wire connection: TCP, TLS, unix, in memory; connecting, listening, and the session."""

from puregrpc.transport.addresses import Address, TcpAddress, UnixAddress, resolve_host
from puregrpc.transport.connect import connect, start_tls_client
from puregrpc.transport.listen import Listener, listen
from puregrpc.transport.session import Session, SessionCounters
from puregrpc.transport.streams import ByteStream, MemoryStream, SocketStream, Tap, TappedStream, memory_stream_pair
from puregrpc.transport.tls import InsecureTlsWarning, TlsOptions

__all__ = [
    "Address",
    "ByteStream",
    "InsecureTlsWarning",
    "Listener",
    "MemoryStream",
    "Session",
    "SessionCounters",
    "SocketStream",
    "Tap",
    "TappedStream",
    "TcpAddress",
    "TlsOptions",
    "UnixAddress",
    "connect",
    "listen",
    "memory_stream_pair",
    "resolve_host",
    "start_tls_client",
]
