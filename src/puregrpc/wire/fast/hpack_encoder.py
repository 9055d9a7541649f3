"""Writing header blocks (RFC 7541) so that the dynamic table soon stands still.

The fields of a block are of two kinds. Constant ones (pseudo-headers, te, content-type, user-agent, encodings, an OK
status) are indexed; once they are in the table they are one octet each, and the same octets until the table changes:
`ConstantFields` keeps them with the version of the table they are good for. Varying ones (grpc-timeout, metadata of a
call, grpc-message) are literals without indexing, so they never change the table; secrets are never-indexed literals
(section 7.1.3), which an intermediary must not index either. Huffman coding would cost more than the octets it saves.

An entry is inserted only if that evicts nothing. A client of more methods than the table holds would otherwise push out
with each call what the next one needs.
"""

from __future__ import annotations

from puregrpc.wire.fast.hpack_table import DEFAULT_TABLE_SIZE, ENTRY_OVERHEAD, FIRST_DYNAMIC, STATIC, Field, Fields
from puregrpc.wire.metadata import header_list_size

__all__ = [
    "SHORT_LENGTHS",
    "ConstantFields",
    "HeaderEncoder",
    "literal",
    "literal_head",
    "long_length",
    "secret_literal",
]

MAX_KNOWN_NAMES = 1024
MAX_KNOWN_NAME_OCTETS = 128

_STATIC_FIELDS = {field: index for index, field in enumerate(STATIC) if index and field[1]}
_STATIC_NAMES = {STATIC[index][0]: index for index in range(FIRST_DYNAMIC - 1, 0, -1)}
SHORT_LENGTHS = tuple(bytes((n,)) for n in range(127))
"""The lengths of strings (section 5.2, not Huffman-coded) that take one octet."""

_names: dict[bytes, bytes] = {}


def _integer(value: int, prefix_bits: int, pattern: int) -> bytes:
    """An integer behind the bits of ``pattern`` (section 5.1)."""
    full = (1 << prefix_bits) - 1
    if value < full:
        return bytes((pattern | value,))
    out = bytearray((pattern | full,))
    value -= full
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def long_length(n: int) -> bytes:
    """The length of a string, not Huffman-coded, that SHORT_LENGTHS does not hold."""
    return _integer(n, 7, 0)


def _string(octets: bytes) -> bytes:
    n = len(octets)
    return (SHORT_LENGTHS[n] if n < 127 else long_length(n)) + octets


def _name(name: bytes, prefix_bits: int, pattern: int) -> bytes:
    index = _STATIC_NAMES.get(name)
    return _integer(index, prefix_bits, pattern) if index else bytes((pattern,)) + _string(name)


def literal_head(name: bytes, *, secret: bool = False) -> bytes:
    """What a literal without indexing, or a never-indexed one, begins with: all but its value."""
    return _name(name, 4, 0x10 if secret else 0x00)


def literal(name: bytes, value: bytes) -> bytes:
    """A field that the table does not learn (section 6.2.2)."""
    head = _names.get(name)
    if head is None:
        head = literal_head(name)
        if len(name) <= MAX_KNOWN_NAME_OCTETS:
            if len(_names) >= MAX_KNOWN_NAMES:
                _names.clear()
            _names[name] = head
    n = len(value)
    return head + (SHORT_LENGTHS[n] if n < 127 else long_length(n)) + value


def secret_literal(name: bytes, value: bytes) -> bytes:
    """A field that no table on the way may learn (section 6.2.3)."""
    return literal_head(name, secret=True) + _string(value)


class ConstantFields:
    """Fields that repeat, with their encoding for one `HeaderEncoder`. ``block`` is good while the versions agree."""

    __slots__ = ("block", "fields", "list_size", "version")

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.list_size = header_list_size(fields)
        self.block = b""
        self.version = -1


class HeaderEncoder:
    """The sending end of one HPACK context. Every block that it gives must be sent, in order.

    ``version`` changes whenever a block of indexes may have changed its meaning or a size update is due, so that
    ``constant.block if constant.version == encoder.version else encoder.encode(constant)`` is the hot path.
    """

    __slots__ = ("_announced", "_indexes", "_inserted", "_max_size", "_size", "_smallest", "version")

    def __init__(self) -> None:
        self.version = 0
        self._max_size = DEFAULT_TABLE_SIZE
        self._smallest: int | None = None
        self._announced = DEFAULT_TABLE_SIZE
        self._size = 0
        self._indexes: dict[Field, int] = {}  # entry -> how many were inserted up to and including it
        self._inserted = 0

    @property
    def table(self) -> Fields:
        """The dynamic table as it stands, the newest entry first."""
        return tuple(reversed(self._indexes))

    def set_max_table_size(self, size: int) -> None:
        """The peer's SETTINGS_HEADER_TABLE_SIZE. Of a larger table than the default no use is made.

        The next block announces the smallest size since the last block, then the last size (section 4.2).
        """
        size = min(size, DEFAULT_TABLE_SIZE)
        self._smallest = size if self._smallest is None else min(self._smallest, size)
        self._max_size = size
        self._evict(size)
        self.version += 1

    def encode(self, constant: ConstantFields) -> bytes:
        """The octets that a block begins with: size updates that are due, then the constant fields."""
        if constant.version == self.version:
            return constant.block
        updates = self._size_updates()
        version = self.version
        block = b"".join([self._encode_field(field) for field in constant.fields])
        if self.version == version:  # nothing was inserted, so the block is good for as long as the table stands
            constant.block = block
            constant.version = version
        return updates + block

    def _size_updates(self) -> bytes:
        smallest, self._smallest = self._smallest, None
        if smallest is None:
            return b""
        out = b""
        if smallest < self._max_size and smallest < self._announced:
            out = _integer(smallest, 5, 0x20)
            self._announced = smallest
        if self._max_size != self._announced:
            out += _integer(self._max_size, 5, 0x20)
            self._announced = self._max_size
        return out

    def _encode_field(self, field: Field) -> bytes:
        index = _STATIC_FIELDS.get(field)
        if index is not None:
            return _integer(index, 7, 0x80)
        inserted = self._indexes.get(field)
        if inserted is not None:
            return _integer(FIRST_DYNAMIC + self._inserted - inserted, 7, 0x80)
        name, value = field
        size = ENTRY_OVERHEAD + len(name) + len(value)
        if self._size + size > self._max_size:
            return literal(name, value)
        self._size += size
        self._inserted += 1
        self._indexes[field] = self._inserted
        self.version += 1
        return _name(name, 6, 0x40) + _string(value)

    def _evict(self, limit: int) -> None:
        while self._size > limit:
            name, value = field = next(iter(self._indexes))
            del self._indexes[field]
            self._size -= ENTRY_OVERHEAD + len(name) + len(value)
