"""h2's connection without what takes memory or time in every connection and is of no use here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Any, cast
from weakref import ref

import h2.config
import h2.connection
from h2.settings import SettingCodes, Settings
from h2.stream import StreamClosedBy
from hpack import Decoder, Encoder, HeaderTuple, HPACKDecodingError, NeverIndexedHeaderTuple, OversizedHeaderListError
from hpack.hpack import decode_integer
from hpack.huffman_table import decode_huffman
from hpack.table import table_entry_size

from puregrpc.wire.closed_streams import ClosedStreams
from puregrpc.wire.huffman import HuffmanError, LongStrings, NotDecodedError
from puregrpc.wire.limits import HEADER_DECODE_LIMIT, LONG_CODED_STRING, MAX_HEADER_LIST_SIZE, READ_FIELDS

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
    fields would take the square of its size. And a long block is decoded in steps, before h2 asks for it."""

    def __init__(self, max_header_list_size: int = MAX_HEADER_LIST_SIZE) -> None:
        super().__init__(max_header_list_size)
        self._prepared: list[HeaderTuple] | Exception | None = None
        """What became of the block that was decoded already."""
        self._strings: LongStrings | None = None

    def preparing(self, block: bytes) -> Generator[None, None, list[HeaderTuple]]:
        """Decode a block in steps, of which `decode` then says what it is, and give its fields if they are taken."""
        fields: deque[HeaderTuple] = deque()
        self._strings = LongStrings()
        try:
            size = yield from self._decoding(block, fields, self._strings)
            self._assert_valid_table_size()
            self._prepared = list(fields)
            if size * HEADER_DECODE_LIMIT <= self.max_header_list_size:
                return self._prepared
        except HuffmanError as error:
            self._prepared = HPACKDecodingError(str(error))
        except Exception as error:
            self._prepared = error
        finally:
            self._strings = None
        return []

    def _decoding(self, block: bytes, fields: deque[HeaderTuple], strings: LongStrings) -> Generator[None, None, int]:
        """Add the fields of a block to ``fields``, in steps; gives the size of their list."""
        octets = memoryview(block)
        at = size = steps = 0
        while at < len(block):
            first, rest = block[at], octets[at:]
            field: HeaderTuple | None = None
            try:
                if first & 0x80:
                    field, consumed = self._decode_indexed(rest[:LONGEST_INTEGER])
                elif first & 0xE0 == 0x20:
                    if fields:
                        raise HPACKDecodingError("Table size update not at the start of the block")
                    consumed = self._update_encoding_context(rest[:LONGEST_INTEGER])
                else:
                    field, consumed = self._decode_literal(rest, first & 0x40 != 0)
            except NotDecodedError:
                yield from strings.decoding()
                continue
            strings.forget()
            at += consumed
            if field is not None:
                fields.append(field)
                size += table_entry_size(*field)
                if size > self.max_header_list_size:
                    problem = f"A header list larger than {self.max_header_list_size} has been received"
                    raise OversizedHeaderListError(problem)
            steps += 1
            if not steps % READ_FIELDS:
                yield
        return size

    def decode(self, data: bytes, raw: bool = False) -> Iterable[HeaderTuple]:
        prepared, self._prepared = self._prepared, None
        if isinstance(prepared, Exception):
            raise prepared
        return super().decode(data, raw) if prepared is None else prepared

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
        if is_coded:
            is_long = self._strings is not None and length > LONG_CODED_STRING
            octets = self._strings.get(octets) if self._strings is not None and is_long else decode_huffman(octets)
        return octets, end


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
        self._connection = ref(connection)
        self._functions = functions

    def __getitem__(self, kind: type) -> Any:
        return self._functions[kind].__get__(self._connection())


def _pass_over(headers: object) -> None:
    """In place of a method of h2's streams."""


class LeanConnection(h2.connection.H2Connection):
    """h2's connection, which walks all its streams for each HEADERS frame to count those that are open, and to forget
    those that are closed. The engine does the former, and says which are closed."""

    def __init__(self, config: h2.config.H2Configuration) -> None:
        super().__init__(config)
        self.encoder = LeanEncoder()
        self.lean_decoder = LeanDecoder(self.decoder.max_header_list_size)
        self.decoder = self.lean_decoder
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
