"""h2's connection without what takes memory or time in every connection and is of no use here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import h2.config
import h2.connection
from h2.settings import SettingCodes, Settings
from h2.stream import StreamClosedBy
from hpack import Decoder, Encoder, HeaderTuple, HPACKDecodingError, NeverIndexedHeaderTuple
from hpack.hpack import decode_integer
from hpack.huffman_table import decode_huffman

from puregrpc.wire.closed_streams import ClosedStreams
from puregrpc.wire.limits import HEADER_DECODE_LIMIT

__all__ = ["LeanConnection", "LeanDecoder", "LeanEncoder", "LeanSettings"]

REMEMBERED_STREAMS = 4096
"""How many streams are remembered with what closed them."""

LARGEST_FRAME_SIZE = (1 << 24) - 1

LONGEST_CODED = 512
"""A field of more octets is sent without Huffman coding: what that takes in hpack grows with the square of them."""


class _Queue(list[Any]):
    """In place of a deque of few entries: an empty deque takes as much memory as a list of eighty."""

    __slots__ = ()

    def popleft(self) -> Any:
        return self.pop(0)

    def appendleft(self, entry: Any) -> None:
        self.insert(0, entry)


class LeanSettings(Settings):
    """h2's settings; each is a queue of values that are and that will be."""

    def __init__(self, *, client: bool, initial_values: dict[SettingCodes, int] | None = None) -> None:
        super().__init__(client=client, initial_values=initial_values)
        self._settings: dict[Any, Any] = {name: _Queue(values) for name, values in self._settings.items()}

    def __setitem__(self, key: SettingCodes | int, value: int) -> None:
        super().__setitem__(key, value)
        if type(self._settings[key]) is not _Queue:
            self._settings[key] = _Queue(self._settings[key])


class LeanEncoder(Encoder):
    """hpack's encoder, with which no field takes long."""

    def add(self, to_add: tuple[bytes, bytes], sensitive: bool, huffman: bool = False) -> bytes:
        name, value = to_add
        is_coded = huffman and len(name) + len(value) <= LONGEST_CODED
        octets: bytes = super().add(to_add, sensitive, is_coded)
        return octets


LONGEST_INTEGER = 16
"""Octets of an integer of HPACK, and more than hpack takes of one."""


class LeanDecoder(Decoder):
    """hpack's decoder, which copies the rest of a block several times for each field in it: a block of thousands of
    fields would take the square of its size."""

    def _decode_literal(self, data: bytes | memoryview, should_index: bool) -> tuple[HeaderTuple, int]:
        bits = 6 if should_index else 4
        if data[0] & ((1 << bits) - 1):
            index, at = decode_integer(bytes(data[:LONGEST_INTEGER]), bits)
            name = self.header_table.get_by_index(index)[0]
        else:
            name, at = self._string(data, 1)
        value, at = self._string(data, at)
        is_secret = not should_index and data[0] & 0x10
        if should_index:
            self.header_table.add(name, value)
        return (NeverIndexedHeaderTuple if is_secret else HeaderTuple)(name, value), at

    def _string(self, data: bytes | memoryview, at: int) -> tuple[bytes, int]:
        """A string literal (RFC 7541, section 5.2), and where it ends. One that is in no list that is taken comes as it
        is: decoding it would take long."""
        length, consumed = decode_integer(bytes(data[at : at + LONGEST_INTEGER]), 7)
        is_coded = data[at] & 0x80 and length * HEADER_DECODE_LIMIT <= self.max_header_list_size
        end = at + consumed + length
        octets = bytes(data[at + consumed : end])
        if len(octets) != length:
            raise HPACKDecodingError("Truncated header block")
        return decode_huffman(octets) if is_coded else octets, end


class _Closed:
    """What closed the streams that are over: h2 has a dict for it, of megabytes."""

    __slots__ = ("_streams",)

    def __init__(self) -> None:
        self._streams = ClosedStreams(REMEMBERED_STREAMS)

    def __setitem__(self, stream_id: int, closed_by: StreamClosedBy | None) -> None:
        self._streams.note(stream_id, 1 if closed_by is None else 2 + closed_by.value)

    def __contains__(self, stream_id: int) -> bool:
        return self._streams.get(stream_id) > 0

    def __getitem__(self, stream_id: int) -> StreamClosedBy | None:
        what = self._streams.get(stream_id)
        return None if what == 1 else StreamClosedBy(what - 2)


class _Receivers:
    """The methods that take frames, by their kinds: h2 has a table of them for each connection."""

    __slots__ = ("_connection", "_functions")

    known: dict[type, Callable[..., Any]] | None = None
    """The same for all connections."""

    def __init__(self, connection: Any, methods: dict[type, Any]) -> None:
        functions = _Receivers.known
        if functions is None:
            functions = _Receivers.known = {kind: method.__func__ for kind, method in methods.items()}
        self._connection = connection
        self._functions = functions

    def __getitem__(self, kind: type) -> Any:
        return self._functions[kind].__get__(self._connection)


def _pass_over(headers: object) -> None:
    """In place of a method of h2's streams."""


class LeanConnection(h2.connection.H2Connection):
    """h2's connection, which walks all its streams for each HEADERS frame to count those that are open, and to forget
    those that are closed. The engine does the former, and says which are closed."""

    def __init__(self, config: h2.config.H2Configuration) -> None:
        super().__init__(config)
        self.encoder = LeanEncoder()
        largest, self.decoder = self.decoder.max_header_list_size, LeanDecoder()
        self.decoder.max_header_list_size = largest
        self._closed_streams: Any = _Closed()
        self._frame_dispatch_table: Any = _Receivers(self, self._frame_dispatch_table)
        self.remote_settings: Settings = LeanSettings(client=not config.client_side)
        for table in (self.encoder.header_table, self.decoder.header_table):
            table.dynamic_entries = cast("Any", _Queue())
        self.retired: list[int] = []
        """Streams that are over."""

    def _begin_new_stream(self, stream_id: int, allowed_ids: Any) -> Any:
        """h2 ends the connection for a body that is not as long as content-length says: the engine measures it."""
        stream: Any = super()._begin_new_stream(stream_id, allowed_ids)
        stream._initialize_content_length = _pass_over  # noqa: SLF001 - h2 has no other way
        return stream

    @property
    def max_inbound_frame_size(self) -> int:
        """FrameReader has held each frame against what is announced; header blocks come as one."""
        return LARGEST_FRAME_SIZE

    @max_inbound_frame_size.setter
    def max_inbound_frame_size(self, size: int) -> None:
        pass

    def _open_streams(self, remainder: int) -> int:  # noqa: ARG002 - h2's own method
        for stream_id in self.retired:
            stream = self.streams.get(stream_id)
            if stream is not None and stream.closed:
                del self.streams[stream_id]
                self._closed_streams[stream_id] = stream.closed_by
        self.retired.clear()
        return 0
