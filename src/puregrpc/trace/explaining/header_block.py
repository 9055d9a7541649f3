"""HPACK (RFC 7541), read so that it can be explained: how each field was written, and the table at that point.

A decoder for a connection must stop at the first error. This one says what is wrong at the place and goes on as far as
the rest can still be understood. Where the recording began after the connection did, entries of the dynamic table are
unknown: a reference to one of them yields a field without name or value.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from puregrpc.trace.explaining import rules
from puregrpc.trace.explaining.expansion import Expansion
from puregrpc.trace.explaining.octets import Octets
from puregrpc.trace.records import HeaderField, Part, Representation, TableEntry, TableState
from puregrpc.trace.text import printable

__all__ = ["HeaderTableTracer"]

STATIC_TABLE = tuple(TableEntry(name, value) for name, value in HeaderTable.STATIC_TABLE)
DEFAULT_TABLE_SIZE = 4096
MAX_INTEGER_OCTETS = 6
"""After the prefix, so many octets hold 42 bits: more than any length or index that a peer may use."""

MAX_FIELDS = 1_000
"""So many fields of a block are told one by one."""

MAX_LIST = 1 << 20
"""So many octets of names and values of a block are: more than peers take."""

LOST_NAME = b""
"""The name of a table entry whose name the recording has lost; no field may have an empty name."""


class _Broken(Exception):  # noqa: N818 - control flow inside this module
    """The rest of the block cannot be read; ``args[0]`` says why."""


@dataclass(slots=True)
class HeaderTableTracer:
    """The dynamic table of one direction, with the reader of that direction's header blocks.

    ``lost`` is True when there may be entries in the table that were added before the recording began.
    """

    lost: bool = False
    allowed: int = DEFAULT_TABLE_SIZE
    """What the decoder's SETTINGS_HEADER_TABLE_SIZE allows."""
    limit: int = DEFAULT_TABLE_SIZE
    size: int = 0
    first: int = 0
    inserted: list[TableEntry] = field(default_factory=list)
    expansion: Expansion = field(default_factory=lambda: Expansion(16 << 20, 256))
    """How many octets of header lists may be told: tokens of some kilobytes stand for one octet in every call."""

    def state(self) -> TableState:
        """The table as it stands."""
        return TableState(self.first, len(self.inserted), self.size, self.limit, self.lost)

    def lose(self) -> None:
        """A header block was missed: what it added to the table is not known."""
        self.lost = True
        self.first = len(self.inserted)
        self.size = 0

    def evict(self, room: int) -> int:
        """Let the oldest entries go until the rest fits into ``room`` octets; returns how many went."""
        evicted = 0
        while self.size > room and self.first < len(self.inserted):
            self.size -= self.inserted[self.first].size
            self.first += 1
            evicted += 1
        return evicted

    def add(self, entry: TableEntry) -> str:
        """Put an entry in front; returns in words what that did to the table."""
        evicted = self.evict(self.limit - entry.size)
        if entry.size > self.limit:
            return f"{entry.size} octets are more than the table's {self.limit}: the table is emptied, nothing is added"
        self.inserted.append(entry)
        self.size += entry.size
        gone = f", {evicted} older left the table" if evicted else ""
        return f"added to the dynamic table as index 62 ({entry.size} octets, table {self.size} of {self.limit}){gone}"

    def entry(self, index: int) -> TableEntry | None:
        """The entry at an index; None if it is one that the recording has lost."""
        if index == 0:
            raise _Broken("index 0 is not an entry of any table")
        if index <= len(STATIC_TABLE):
            return STATIC_TABLE[index - 1]
        place = len(self.inserted) - (index - len(STATIC_TABLE))
        if place >= self.first:
            return self.inserted[place]
        if self.lost:
            return None
        held = len(self.inserted) - self.first
        raise _Broken(f"index {index} is beyond the table, which ends at {len(STATIC_TABLE) + held}")

    def read(self, block: Octets) -> tuple[tuple[HeaderField, ...], Part]:
        """The fields of a whole header block, in order, and the part that the block is."""
        fields: list[HeaderField] = []
        position = size = 0
        self.expansion.seen += len(block)
        most = min(MAX_LIST, self.expansion.left)
        while position < len(block):
            if len(fields) == MAX_FIELDS or size > most:
                fields.append(self.untold(block, position))
                break
            reader = _Reader(self, block, position)
            header = reader.read(first=all(f.representation is Representation.SIZE_UPDATE for f in fields))
            fields.append(header)
            position += header.octets
            size += len(header.name or b"") + len(header.value or b"")
            if header.representation is Representation.BROKEN:
                self.lose()
        self.expansion.made += size
        parts = [header.part for header in fields]
        part = block.part("Header block", 0, len(block), f"{len(fields)} fields", rules.h2("4.3"), parts=parts)
        return tuple(fields), part

    def untold(self, block: Octets, start: int) -> HeaderField:
        """The rest of a block, read only for what it does to the table, and counted."""
        reader = _Reader(self, block, start)
        count = size = 0
        problem = ""
        try:
            while reader.position < len(block):
                entry = reader.entry()
                if entry is not None:
                    count += 1
                    size += len(entry.name) + len(entry.value)
        except _Broken as broken:
            problem = f"{broken} (COMPRESSION_ERROR: the connection must be closed)"
            self.lose()
        end = len(block)
        part = block.part(
            "More fields",
            start,
            end,
            f"{count} fields, {size} octets of names and values",
            rules.hpack("7.3"),
            note="not told one by one",
            problem=problem,
        )
        untold = Representation.UNTOLD
        return HeaderField(untold, None, None, 0, None, None, end - start, self.state(), part, problem=problem)


class _Reader:
    """Reads one representation."""

    def __init__(self, table: HeaderTableTracer, block: Octets, start: int) -> None:
        self.table = table
        self.block = block
        self.start = start
        self.position = start
        self.parts: list[Part] = []

    def read(self, *, first: bool) -> HeaderField:
        octet = self.block.data[self.start]
        try:
            if octet & 0x80:
                return self.indexed()
            if octet & 0x40:
                return self.literal(Representation.INCREMENTAL, 6, "01", "6.2.1")
            if octet & 0x20:
                return self.size_update(first=first)
            if octet & 0x10:
                return self.literal(Representation.NEVER, 4, "0001", "6.2.3")
            return self.literal(Representation.WITHOUT, 4, "0000", "6.2.2")
        except _Broken as broken:
            return self.broken(str(broken))

    def entry(self) -> TableEntry | None:
        """The next field without its parts; None for a change of the table's size, and for a field that is lost."""
        octet = self.block.data[self.position]
        if octet & 0x80:
            index, _, self.position = self.integer(7)
            return self.table.entry(index)
        if octet & 0x60 == 0x20:
            size, _, self.position = self.integer(5)
            self.resize(size)
            return None
        adds = bool(octet & 0x40)
        index, _, self.position = self.integer(6 if adds else 4)
        known = self.table.entry(index) if index else None
        name = known.name if known is not None else LOST_NAME if index else self.text("name")
        entry = TableEntry(name, self.text("value"))
        if adds:
            self.table.add(entry)
        return entry

    def text(self, what: str) -> bytes:
        """A string without its parts."""
        start, end, huffman = self.bounds(what)
        self.position = end
        raw = self.block.data[start:end]
        return self.decoded(what, raw) if huffman else raw

    def resize(self, size: int) -> int:
        """The table is to have so many octets at most; returns how many entries leave it."""
        if size > self.table.allowed and not self.table.lost:
            raise _Broken(f"a table of {size} octets, where the decoder allows {self.table.allowed}")
        self.table.limit = size
        return self.table.evict(size)

    def broken(self, problem: str) -> HeaderField:
        """The rest of the block: after an error no one can know where the next field begins or what the table is."""
        end = len(self.block)
        if self.position < end:
            self.parts.append(
                self.block.part("Not readable", self.position, end, f"{end - self.position} octets", rules.h2("4.3"))
            )
        part = self.block.part(
            "Broken field",
            self.start,
            end,
            "the block cannot be read from here on",
            rules.h2("4.3"),
            problem=f"{problem} (COMPRESSION_ERROR: the connection must be closed)",
            parts=self.parts,
        )
        octets = end - self.start
        state = self.table.state()
        return HeaderField(Representation.BROKEN, None, None, 0, None, None, octets, state, part, problem=problem)

    def integer(self, bits: int) -> tuple[int, int, int]:
        """An integer with a prefix of so many bits (section 5.1): value, start, end."""
        data = self.block.data
        start = position = self.position
        if position >= len(data):
            raise _Broken("the block ends where an integer should be")
        mask = (1 << bits) - 1
        value = data[position] & mask
        position += 1
        if value == mask:
            shift = 0
            while True:
                if position >= len(data):
                    raise _Broken("the block ends inside an integer")
                if position - start > MAX_INTEGER_OCTETS:
                    raise _Broken(f"an integer of more than {MAX_INTEGER_OCTETS} octets")
                octet = data[position]
                position += 1
                value += (octet & 0x7F) << shift
                shift += 7
                if not octet & 0x80:
                    break
        return value, start, position

    def bounds(self, what: str) -> tuple[int, int, bool]:
        """Where the octets of a string begin and end, and whether they are Huffman-coded."""
        data = self.block.data
        if self.position >= len(data):
            raise _Broken(f"the block ends where the {what} should be")
        huffman = bool(data[self.position] & 0x80)
        length, _, start = self.integer(7)
        if start + length > len(data):
            raise _Broken(f"the {what} has {length} octets, but the block ends after {len(data) - start}")
        return start, start + length, huffman

    def decoded(self, what: str, raw: bytes) -> bytes:
        try:
            return bytes(decode_huffman(raw))
        except HPACKDecodingError:
            raise _Broken(f"the {what} is not valid Huffman code (RFC 7541, section 5.2)") from None

    def string(self, what: str) -> tuple[bytes, bool]:
        """A string (section 5.2): its octets, decoded, and whether they were Huffman-coded."""
        start = self.position
        end, stop, huffman = self.bounds(what)
        length = stop - end
        coding = "Huffman-coded" if huffman else "as it is"
        self.parts.append(
            self.block.part(f"{what} length", start, end, f"{length} octets, {coding}", rules.hpack("5.2"))
        )
        self.position = end
        raw = self.block.data[end:stop]
        text = self.decoded(what, raw) if huffman else raw
        self.position = stop
        note = f"{length} octets stand for {len(text)}" if huffman else ""
        if length:
            rule = rules.hpack("B" if huffman else "5.2")
            self.parts.append(self.block.part(what, end, end + length, printable(text), rule, note=note))
        return text, huffman

    def indexed(self) -> HeaderField:
        index, start, end = self.integer(7)
        entry = self.table.entry(index)
        self.position = end
        where = "static" if index <= len(STATIC_TABLE) else "dynamic"
        note = f"the whole field is entry {index} of the {where} table"
        problem = ""
        if entry is None:
            note = f"entry {index} was put into the dynamic table before the recording began"
            problem = "lost: name and value are not in the recording"
        rule = rules.hpack("6.1")
        self.parts.append(self.block.part("Indexed field", start, end, f"index {index}", rule, note=note))
        return self.field(Representation.INDEXED, entry, index, None, None, note, problem)

    def literal(self, representation: Representation, bits: int, prefix: str, section: str) -> HeaderField:
        index, start, end = self.integer(bits)
        rule = rules.hpack(section)
        name: bytes | None
        name_huffman = None
        if index:
            entry = self.table.entry(index)
            self.position = end
            name = None if entry is None else entry.name or None
            said = f"name of index {index}" + ("" if name is None else f": {printable(name)}")
            self.parts.append(self.block.part(f"Literal {prefix}", start, end, said, rule))
        else:
            self.position = end
            self.parts.append(self.block.part(f"Literal {prefix}", start, end, "new name", rule))
            name, name_huffman = self.string("Name")
        value, value_huffman = self.string("Value")
        note = ""
        problem = ""
        if name is None:
            problem = "lost: the name was put into the dynamic table before the recording began"
        if representation is Representation.INCREMENTAL:
            note = self.table.add(TableEntry(name or LOST_NAME, value))
        elif representation is Representation.NEVER:
            note = "never indexed: treated as a secret on every hop"
        entry = TableEntry(name or LOST_NAME, value)
        return self.field(representation, entry, index, name_huffman, value_huffman, note, problem)

    def size_update(self, *, first: bool) -> HeaderField:
        size, start, end = self.integer(5)
        evicted = self.resize(size)
        self.position = end
        note = f"{evicted} entries left the table" if evicted else ""
        problem = "" if first else "a change of the table's size must come first in a block"
        self.parts.append(self.block.part("New maximum size", start, end, f"{size} octets", rules.hpack("6.3")))
        return self.field(Representation.SIZE_UPDATE, None, 0, None, None, note, problem)

    def field(
        self,
        representation: Representation,
        entry: TableEntry | None,
        index: int,
        name_huffman: bool | None,
        value_huffman: bool | None,
        note: str,
        problem: str,
    ) -> HeaderField:
        if representation is Representation.SIZE_UPDATE:
            label, value, rule = "Table size update", "", rules.hpack("4.2")
        elif entry is None:
            label, value, rule = "(lost field)", "", rules.hpack("2.3.2")
        else:
            label, value = printable(entry.name) or "(lost name)", printable(entry.value)
            rule = rules.hpack({"indexed": "6.1"}.get(representation.value, "2.3.3"))
        part = self.block.part(
            label, self.start, self.position, value, rule, note=note, problem=problem, parts=self.parts
        )
        return HeaderField(
            representation,
            (entry.name or None) if entry else None,
            entry.value if entry else None,
            index,
            name_huffman,
            value_huffman,
            self.position - self.start,
            self.table.state(),
            part,
            problem=problem,
        )
