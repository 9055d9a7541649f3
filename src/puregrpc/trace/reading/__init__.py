"""Reading recordings made elsewhere: packet captures (pcapng, pcap), hex dumps, and our own JSON lines."""

from __future__ import annotations

from puregrpc.errors import InvalidArgument
from puregrpc.trace.reading.capture_file import is_capture, read_capture_file
from puregrpc.trace.reading.hexdump import read_hexdump
from puregrpc.trace.reading.json_lines import read_json_lines
from puregrpc.trace.recording import Recording

__all__ = ["read_recordings"]


def read_recordings(data: bytes, name: str = "<capture>", *, key_log: str = "") -> list[Recording]:
    """The connections in a file, whatever form it has, each as a recording.

    ``key_log`` holds the lines of a TLS key log (SSLKEYLOGFILE), besides those that a pcapng file brings itself.
    Captures of packets need the extra ``puregrpc[trace]``. Raises InvalidArgument if the file is none of the forms
    that can be read, or holds no connection.
    """
    if is_capture(data):
        # The packet library is an extra: everything else can be read without it.
        try:
            from puregrpc.trace.reading.connections import read_connections
        except ImportError:
            raise InvalidArgument(f"{name}: reading packets needs dpkt: pip install 'puregrpc[trace]'") from None
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
