"""Reading recordings made elsewhere: packet captures (pcapng, pcap), hex dumps, and our own JSON lines."""

from __future__ import annotations

from puregrpc.errors import InvalidArgument
from puregrpc.trace.reading.capture_file import is_capture, read_capture_file
from puregrpc.trace.reading.connections import read_connections
from puregrpc.trace.reading.hexdump import read_hexdump
from puregrpc.trace.reading.json_lines import read_json_lines
from puregrpc.trace.recording import Recording

__all__ = ["read_recordings"]

GZIP = b"\x1f\x8b"
PIECE = 4096
MAX_INFLATED, MAX_RATIO = 256 << 20, 32
"""A compressed capture is inflated to so many octets, or so many times its own."""


def read_recordings(data: bytes, name: str = "<capture>", *, key_log: str = "") -> list[Recording]:
    """The connections in a file, whatever form it has, each as a recording.

    ``key_log`` holds the lines of a TLS key log (SSLKEYLOGFILE), besides those that a pcapng file brings itself.
    Decrypting needs the extra ``puregrpc[tls-captures]``. The file may be compressed with gzip. Raises InvalidArgument
    if it is none of the forms that can be read, or holds no connection.
    """
    if data.startswith(GZIP):
        data = _inflated(data, name)
    if is_capture(data):
        return read_connections(read_capture_file(data, name), name, key_log=key_log)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidArgument(
            f"{name}: neither pcapng nor pcap nor text (a hex dump, or JSON lines that puregrpc wrote)"
        ) from None
    if text.lstrip().startswith("{"):
        return read_json_lines(text, name)
    return [read_hexdump(text, name)]


def _inflated(data: bytes, name: str) -> bytes:
    """A file that was compressed with gzip (RFC 1952), in one member or several."""
    try:
        import zlib
    except ImportError:
        raise InvalidArgument(f"{name}: compressed with gzip, which needs Python's module zlib") from None
    most = max(MAX_INFLATED, MAX_RATIO * len(data))
    parts: list[bytes] = []
    size = begin = 0
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
    # In pieces: what is behind a member is copied each time, and there may be thousands of members.
    while begin < len(data):
        piece = data[begin : begin + PIECE]
        try:
            part = inflater.decompress(piece, most - size + 1)
        except zlib.error as error:
            raise InvalidArgument(f"{name}: not gzip: {error}") from None
        size += len(part)
        if size > most:
            raise InvalidArgument(f"{name}: it inflates to more than {most} octets")
        parts.append(part)
        begin += len(piece)
        if inflater.eof:
            begin -= len(inflater.unused_data)
            if not data.startswith(GZIP, begin):
                break
            inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
    return b"".join(parts)
