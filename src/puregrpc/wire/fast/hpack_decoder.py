"""Reading header blocks (RFC 7541), with the caches that pay for gRPC.

The fields of a gRPC call repeat, so most blocks begin with a run of fields of one octet each (indexes up to 126). Two
caches rest on that. While the dynamic table stands, equal octets mean equal fields, so a run that was seen before is a
dictionary look-up, and a block that is nothing but a run is one look-up in all. Peers that index every field
(grpc-timeout included) move the table with each call; then the indexes change but not the fields they stand for, so a
second dictionary leads from the fields to the same `FieldRun`, which also keeps what its reader made of it. Where the
last of them is grpc-timeout, which has thousands of values, it is not counted among the run.

Only indexed fields are kept: they cannot change the table, none of them was sent as a never-indexed literal, and what
does not repeat is not among them. Both caches are bounded by count and by octets.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Generator
from itertools import chain
from typing import Any

from puregrpc.wire.fast.hpack_table import DEFAULT_TABLE_SIZE, ENTRY_OVERHEAD, FIRST_DYNAMIC, STATIC, Field, Fields
from puregrpc.wire.huffman import HuffmanError, LongStrings, NotDecodedError, decode_huffman
from puregrpc.wire.limits import HEADER_DECODE_LIMIT, LARGE_HEADER_BLOCK, TURN_SLICE

__all__ = [
    "FieldRun",
    "HeaderBombError",
    "HeaderDecoder",
    "HeaderDecodingError",
    "HeaderListTooLargeError",
    "KnownBlocks",
]

MAX_CACHED_RUNS = 128
MAX_CACHED_FIELDS = 64
"""How many fields a run may have to be kept; a gRPC call has some ten."""

MAX_REPEATED_OCTETS = 256
"""How long a block with literals may be to be kept when it repeats."""

MAX_CACHED_OCTETS = 24 << 10
"""What the cached runs may take of memory together, with what their reader made of them: a dozen of usual ones. Each
connection of a server has such a cache."""

RUN_OCTETS = 512
FIELD_OCTETS = 64
VALUE_COPIES = 3
"""What a run is taken to cost, and each of its fields beside so many times its own octets: bytes, text, and a key."""

MAX_KNOWN_BLOCKS = 256
MAX_KNOWN_SIZE = 1 << 10
"""How many blocks several decoders may have in common, and how large their header lists may be."""

MAX_INTEGER_OCTETS = 5
"""How many octets may follow an integer's prefix (section 5.1: what exceeds the limits is a decoding error)."""

_leading_run = re.compile(rb"[\x81-\xfe]*").match


class HeaderDecodingError(ValueError):
    """A block cannot be decoded: a connection error of type COMPRESSION_ERROR (RFC 9113, section 4.3)."""


class HeaderBombError(HeaderDecodingError):
    """A block's header list is so far over the limit that it is not worth decoding to the end."""


class HeaderListTooLargeError(Exception):
    """A block's header list is over the limit. The block was decoded to its end, so the table is in step.

    ``fields`` are those that fit.
    """

    def __init__(self, fields: Fields) -> None:
        super().__init__()
        self.fields = fields


class FieldRun:
    """The indexed fields that a block begins with, the size of their list, and what the reader keeps about them."""

    __slots__ = ("fields", "head", "plain", "size", "trailers")

    def __init__(self, fields: Fields, size: int) -> None:
        self.fields = fields
        self.size = size
        self.head: Any = None
        """What the reader made of the run as the beginning or the whole of a head."""
        self.plain: Any = None
        """The same, if the run is a head that needs no second look."""
        self.trailers: Any = None
        """What the reader made of the run as trailers."""


class KnownBlocks:
    """What several decoders have in common, whose peers send the same: the objects that stand for blocks.

    With a thousand connections those would lie in a thousand places, and most of them far away when they are needed.
    """

    __slots__ = ("_blocks", "_runs")

    def __init__(self) -> None:
        self._runs: dict[Fields, FieldRun] = {}
        self._blocks: dict[tuple[bytes, FieldRun], tuple[bytes, tuple[FieldRun, Fields]]] = {}

    def run(self, fields: Fields, size: int) -> FieldRun:
        """The run of these fields."""
        try:
            return self._runs[fields]
        except KeyError:
            run = FieldRun(fields, size)
        if size <= MAX_KNOWN_SIZE:
            if len(self._runs) >= MAX_KNOWN_BLOCKS:
                self._runs.clear()
                self._blocks.clear()
            self._runs[fields] = run
        return run

    def block(self, octets: bytes, run: FieldRun) -> tuple[bytes, tuple[FieldRun, Fields]]:
        """A block that is nothing but a run, and what it stands for."""
        try:
            return self._blocks[octets, run]
        except KeyError:
            found = octets, (run, NO_FIELDS)
        if run.size <= MAX_KNOWN_SIZE:
            if len(self._blocks) >= MAX_KNOWN_BLOCKS:
                self._blocks.clear()
            self._blocks[octets, run] = found
        return found


class _Progress:
    """How far a block has been decoded that is decoded in steps."""

    __slots__ = ("at", "fields", "size", "strings")

    def __init__(self) -> None:
        self.at = 0
        self.fields: deque[Field] = deque()
        self.size = 0
        """That of the list so far."""
        self.strings = LongStrings()


NO_FIELDS: tuple[Field, ...] = ()

_HEAD_NAMES = frozenset(
    (b":method", b":scheme", b":path", b":authority", b"content-type", b"te", b"user-agent", b"grpc-accept-encoding")
)
"""What a client sends with every request, mostly with the same value."""


class HeaderDecoder:
    """The receiving end of one HPACK context.

    ``max_list_size`` is the limit for one block's header list in octets as RFC 9113, section 6.5.2 counts them;
    ``table_size`` is the SETTINGS_HEADER_TABLE_SIZE that the peer was told. ``common`` is shared with other decoders
    whose blocks have the same reader.
    """

    __slots__ = (
        "_allowed_table_size", "_cached_octets", "_common", "_empty", "_last", "_max_table_size", "_most", "_runs",
        "_table", "_table_size", "blocks", "max_list_size",
    )  # fmt: skip

    def __init__(
        self, max_list_size: int, table_size: int = DEFAULT_TABLE_SIZE, common: KnownBlocks | None = None
    ) -> None:
        self.max_list_size = max_list_size
        self._most = max_list_size * HEADER_DECODE_LIMIT
        self._allowed_table_size = table_size
        self._max_table_size = table_size
        self._table_size = 0
        self._table: list[Field] = []  # the newest entry last
        self.blocks: dict[bytes, tuple[FieldRun, Fields]] = {}
        """What `decode` says of blocks of indexed fields alone, and of others that repeat and insert nothing, as long
        as the table stands. The same dict for ever."""
        self._last = b""
        """The last short block that has literals behind its run."""
        self._runs: dict[Fields, FieldRun] = {}
        self._empty = FieldRun((), 0)
        self._common = common
        self._cached_octets = 0

    @property
    def table(self) -> Fields:
        """The dynamic table as it stands, the newest entry first."""
        return tuple(reversed(self._table))

    def decode(self, block: bytes) -> tuple[FieldRun, Fields]:
        """Decode one whole block: the run of indexed fields that it begins with, and the fields behind it.

        Raises HeaderDecodingError, after which the context is of no use, or HeaderListTooLargeError. More than
        HEADER_DECODE_LIMIT times the size that is allowed is a HeaderBombError.
        """
        known = self.blocks.get(block)
        if known is not None:
            return known
        match = _leading_run(block)
        stop = match.end() if match is not None else 0
        if stop == 0:
            return self._empty, self._decode_fields(block, 0, 0)
        prefix = block[:stop]
        known = self.blocks.get(prefix) or self._decode_run(prefix)
        run, fields = known
        size = run.size + _list_size(fields) if fields else run.size
        if stop == len(block):
            if size > self._most:
                raise HeaderBombError("the header list is too large")
            if size > self.max_list_size:
                raise HeaderListTooLargeError(run.fields)
            return known
        try:
            more = self._decode_fields(block, stop, size)
        except HeaderListTooLargeError as error:
            raise HeaderListTooLargeError(run.fields + fields + error.fields) from None
        if len(block) <= MAX_REPEATED_OCTETS:
            # As grpcio's servers end every call. The table stands as it was, or `blocks` had been cleared.
            if block == self._last and prefix in self.blocks:
                return self._keep(block, run.fields + fields + more)
            self._last = block
        if more and more[0][0] in _HEAD_NAMES:
            return self._sent_anew(run, fields + more)
        return run, fields + more

    def decoding(self, block: bytes) -> Generator[None, None, tuple[FieldRun, Fields]]:
        """`decode` in steps, of a long block: its fields all stand behind a run of none."""
        progress = _Progress()
        while True:
            try:
                fields = self._decode_fields(block, progress.at, progress.size, progress)
            except NotDecodedError:
                try:
                    yield from progress.strings.decoding()
                except HuffmanError as error:
                    raise HeaderDecodingError(str(error)) from None
                continue
            if progress.at == len(block):
                return self._empty, fields
            progress.strings.forget()
            yield

    def _sent_anew(self, run: FieldRun, more: Fields) -> tuple[FieldRun, Fields]:
        """A block of which the peer's table has lost a field of every request's head, as the run that it is with that
        field, if it is a known one."""
        fields, timeout = _without_timeout(run.fields + more)
        known = self._runs.get(fields)
        return (run, more) if known is None else (known, timeout)

    def _decode_run(self, octets: bytes) -> tuple[FieldRun, Fields]:
        """Decode indexes of one octet each and keep the answer."""
        if len(octets) * ENTRY_OVERHEAD > self._most:
            raise HeaderBombError("the header list is too large")
        table = self._table
        try:
            fields = tuple(
                [STATIC[o - 128] if o < 128 + FIRST_DYNAMIC else table[127 + FIRST_DYNAMIC - o] for o in octets]
            )
        except IndexError:
            raise HeaderDecodingError("an index beyond the dynamic table") from None
        return self._keep(octets, fields)

    def _keep(self, block: bytes, fields: Fields) -> tuple[FieldRun, Fields]:
        """Keep what a block stands for as long as the table stands."""
        fields, timeout = _without_timeout(fields)
        run = self._runs.get(fields)
        if run is None:
            size = _list_size(fields)
            run = FieldRun(fields, size) if self._common is None else self._common.run(fields, size)
            if size > self.max_list_size or size > MAX_CACHED_OCTETS or len(fields) > MAX_CACHED_FIELDS:
                return run, timeout
            octets_of_fields = size - ENTRY_OVERHEAD * len(fields)
            cost = RUN_OCTETS + FIELD_OCTETS * len(fields) + VALUE_COPIES * octets_of_fields
            self._cached_octets += cost
            if len(self._runs) >= MAX_CACHED_RUNS or self._cached_octets > MAX_CACHED_OCTETS:
                self._runs.clear()
                self.blocks.clear()
                self._cached_octets = cost
            self._runs[fields] = run
        if timeout and run.size + _list_size(timeout) > self.max_list_size:
            return run, timeout
        if len(self.blocks) >= MAX_CACHED_RUNS:
            self.blocks.clear()
        known = run, timeout
        if self._common is not None and not timeout:
            block, known = self._common.block(block, run)
        self.blocks[block] = known
        return known

    def _decode_fields(self, block: bytes, i: int, list_size: int, progress: _Progress | None = None) -> Fields:
        """Decode from octet ``i`` to the end, one field after the other. ``list_size`` is that of the fields before.

        With ``progress``, which is kept up, it is one step, and what it gives matters at the end alone.
        """
        stop = end = len(block)
        # A list of many that grows leaves each thread with pieces of the heap that no other one can use.
        fields: list[Field] | deque[Field]
        strings = None
        if progress is not None:
            fields, strings = progress.fields, progress.strings
            stop = min(i + TURN_SLICE, end)
        else:
            fields = deque() if end - i > LARGE_HEADER_BLOCK else []
        limit = self.max_list_size
        may_resize = list_size == 0
        try:
            while i < stop:
                start = i
                first = block[i]
                i += 1
                if first & 0x80:  # an indexed field, section 6.1
                    index = first & 0x7F
                    if index == 0x7F:
                        index, i = _integer(block, i, 0x7F)
                    field = self._entry(index)
                elif first & 0xE0 == 0x20:  # a dynamic table size update, section 6.3
                    if not may_resize:
                        raise HeaderDecodingError("a table size update behind a field")
                    size = first & 0x1F
                    if size == 0x1F:
                        size, i = _integer(block, i, 0x1F)
                    self._resize(size)
                    continue
                else:  # a literal, section 6.2: 01 with indexing, 0000 without, 0001 never indexed
                    mask = 0x3F if first & 0x40 else 0x0F
                    index = first & mask
                    if index == 0:
                        n = block[i]
                        if n < 0x7F:  # a name of plain octets, its length in one; what is missing shows below
                            name = block[i + 1 : i + 1 + n]
                            i += 1 + n
                        else:
                            name, i = _string(block, i, self._most, limit, strings)
                    else:
                        if index == mask:
                            index, i = _integer(block, i, mask)
                        name = self._entry(index)[0]
                    n = block[i]
                    if n < 0x7F:  # a value of plain octets, its length in one
                        i += 1
                        value = block[i : i + n]
                        i += n
                        if i > end:
                            raise HeaderDecodingError("the block ends inside a string")
                    else:
                        value, i = _string(block, i, self._most, limit, strings)
                    field = (name, value)
                    if first & 0x40:
                        self._insert(field)
                may_resize = False
                list_size += ENTRY_OVERHEAD + len(field[0]) + len(field[1])
                if list_size <= limit:
                    fields.append(field)
                elif list_size > self._most:
                    raise HeaderBombError("the header list is too large")
        except IndexError:
            raise HeaderDecodingError("the block ends inside a field") from None
        except HuffmanError as error:
            raise HeaderDecodingError(str(error)) from None
        except NotDecodedError:
            if progress is not None:
                progress.at, progress.size = start, list_size
            raise
        if progress is not None:
            progress.at, progress.size = i, list_size
            if i < end:
                return NO_FIELDS
        if self._max_table_size > self._allowed_table_size:
            raise HeaderDecodingError("the dynamic table is larger than SETTINGS_HEADER_TABLE_SIZE allows")
        if list_size > limit:
            raise HeaderListTooLargeError(tuple(fields))
        return tuple(fields)

    def _entry(self, index: int) -> Field:
        if 0 < index < FIRST_DYNAMIC:
            return STATIC[index]
        offset = index - FIRST_DYNAMIC
        if not 0 <= offset < len(self._table):
            raise HeaderDecodingError(f"there is no entry of index {index}")
        return self._table[-1 - offset]

    def _insert(self, field: Field) -> None:
        size = ENTRY_OVERHEAD + len(field[0]) + len(field[1])
        if size > self._max_table_size:  # section 4.4: such an entry empties the table, which is no error
            self._table.clear()
            self._table_size = 0
        else:
            self._evict(self._max_table_size - size)
            self._table.append(field)
            self._table_size += size
        self.blocks.clear()

    def _evict(self, limit: int) -> None:
        gone = 0
        size = self._table_size
        while size > limit:
            name, value = self._table[gone]
            size -= ENTRY_OVERHEAD + len(name) + len(value)
            gone += 1
        if gone:
            del self._table[:gone]
            self._table_size = size

    def _resize(self, size: int) -> None:
        if size > self._allowed_table_size:
            raise HeaderDecodingError("a table size update over SETTINGS_HEADER_TABLE_SIZE")
        self._max_table_size = size
        self._evict(size)
        self.blocks.clear()


def _without_timeout(fields: Fields) -> tuple[Fields, Fields]:
    """The fields without a grpc-timeout at their end, and that."""
    if fields and fields[-1][0] == b"grpc-timeout":
        return fields[:-1], fields[-1:]
    return fields, NO_FIELDS


def _list_size(fields: Fields) -> int:
    """RFC 9113, section 6.5.2."""
    return sum(map(len, chain.from_iterable(fields))) + ENTRY_OVERHEAD * len(fields)


def _integer(block: bytes, i: int, value: int) -> tuple[int, int]:
    """The rest of an integer whose prefix is full (section 5.1), and where it ends."""
    for shift in range(0, 7 * MAX_INTEGER_OCTETS, 7):
        octet = block[i]
        i += 1
        value += (octet & 0x7F) << shift
        if octet < 0x80:
            return value, i
    raise HeaderDecodingError("an integer that is too long")


def _string(block: bytes, i: int, most: int, limit: int, strings: LongStrings | None) -> tuple[bytes, int]:
    """A string literal (section 5.2) of ``most`` octets at the most, and where it ends. One of more than ``limit``
    octets, which is in no list that is taken, comes as it is: decoding it would take long."""
    first = block[i]
    i += 1
    n = first & 0x7F
    if n == 0x7F:
        n, i = _integer(block, i, 0x7F)
    end = i + n
    if end > len(block):
        raise HeaderDecodingError("the block ends inside a string")
    if n > most:
        raise HeaderBombError("a string is too large")
    octets = block[i:end]
    if first & 0x80 and n <= limit:
        octets = decode_huffman(octets) if strings is None else strings.get(octets)
    return octets, end
