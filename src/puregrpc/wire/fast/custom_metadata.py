"""Custom metadata to header octets and back, with what there is to know of a name found out once.

The names of a program's metadata are few; whether one is valid, reserved or binary is looked up, and only the value is
looked at. Whatever is unusual (binary values, white space, octets that are not ASCII, anything that is wrong) goes to
`metadata.encode_metadata`, `metadata.decode_field` and `headers.check_fields`, which hold the rules.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from puregrpc.errors import RemoteProtocolError
from puregrpc.wire.fast.hpack_encoder import SHORT_LENGTHS, literal, literal_head, long_length, secret_literal
from puregrpc.wire.fast.hpack_table import Field, Fields
from puregrpc.wire.headers import check_fields
from puregrpc.wire.metadata import Metadata, decode_field, encode_metadata, is_reserved

__all__ = ["MetadataEncoder", "read_custom"]

MAX_KNOWN_NAMES = 1024
MAX_KNOWN_NAME_OCTETS = 128

NO_PSEUDO: frozenset[bytes] = frozenset()

MANY_FIELDS = 64
"""From so many on, it may be the same few again and again: they take an octet each. And they are gathered in a deque: a
list of so many that grows leaves each thread with pieces of the heap that no other one can use."""


class MetadataEncoder:
    """Writes metadata as literals that the table does not learn; those in ``secret_names`` as never indexed."""

    __slots__ = ("_heads", "_secrets")

    def __init__(self, secret_names: Sequence[str] = ()) -> None:
        self._secrets = frozenset(name.lower() for name in secret_names)
        self._heads: dict[str, bytes] = {}

    def encode(self, metadata: Metadata) -> bytes:
        """The octets of the fields. Raises InvalidArgument for what cannot be sent."""
        block = b""
        heads = self._heads
        for name, value in metadata:
            head = heads.get(name)
            # Printable ASCII without white space around it is sent as it is.
            if (
                head is None
                or type(value) is not str
                or not value.isascii()
                or not value.isprintable()
                or value[:1] == " "
                or value[-1:] == " "
            ):
                block += self._encode_entry(name, value)
                continue
            length = len(value)
            block += head + (SHORT_LENGTHS[length] if length < 127 else long_length(length)) + value.encode()
        return block

    def _encode_entry(self, name: str, value: str | bytes) -> bytes:
        [(field_name, field_value)] = encode_metadata(((name, value),))
        secret = name.lower() in self._secrets
        if type(value) is str and len(name) <= MAX_KNOWN_NAME_OCTETS:
            if len(self._heads) >= MAX_KNOWN_NAMES:
                self._heads.clear()
            self._heads[name] = literal_head(field_name, secret=secret)
        return secret_literal(field_name, field_value) if secret else literal(field_name, field_value)


_names: dict[bytes, str] = {}
"""Names of text metadata that came, as text."""


def read_custom(fields: Fields) -> Metadata | None:
    """The metadata of fields of which none means anything to gRPC or HTTP/2; None if that is not so of all."""
    metadata: list[tuple[str, str | bytes]] | deque[tuple[str, str | bytes]]
    metadata = deque() if len(fields) > MANY_FIELDS else []
    if len(fields) > MANY_FIELDS and len(set(fields)) * 2 < len(fields):
        return _read_repeated(fields)
    for field in fields:
        name, value = field
        text_name = _names.get(name)
        if text_name is not None and value.isascii():
            text = value.decode()
            if text.isprintable() and text[:1] != " " and text[-1:] != " ":
                metadata.append((text_name, text))
                continue
        text_name = name.decode("latin-1")
        if is_reserved(text_name):
            return None
        try:
            check_fields((field,), NO_PSEUDO)
            metadata.extend(decode_field(name, value))
        except RemoteProtocolError:
            return None
        if not name.endswith(b"-bin") and len(name) <= MAX_KNOWN_NAME_OCTETS:
            if len(_names) >= MAX_KNOWN_NAMES:
                _names.clear()
            _names[name] = text_name
    return tuple(metadata)


def _read_repeated(fields: Fields) -> Metadata | None:
    """`read_custom` of fields most of which are there more than once."""
    known: dict[Field, Metadata] = {}
    metadata: deque[tuple[str, str | bytes]] = deque()
    for field in fields:
        entries = known.get(field)
        if entries is None:
            read = read_custom((field,))
            if read is None:
                return None
            entries = known[field] = read
        metadata += entries
    return tuple(metadata)
