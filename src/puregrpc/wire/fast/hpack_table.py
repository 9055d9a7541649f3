"""What both directions of HPACK share: the static table, the cost of an entry (RFC 7541, section 4.1, appendix A)."""

from __future__ import annotations

from hpack.table import HeaderTable

__all__ = ["DEFAULT_TABLE_SIZE", "ENTRY_OVERHEAD", "FIRST_DYNAMIC", "STATIC", "Field", "Fields"]

Field = tuple[bytes, bytes]
"""Name and value of one header field."""

Fields = tuple[Field, ...]

ENTRY_OVERHEAD = 32
"""What an entry counts beside its name and value, in the table and in a header list (RFC 9113, section 6.5.2)."""

DEFAULT_TABLE_SIZE = 4096
"""The size of the dynamic table until SETTINGS_HEADER_TABLE_SIZE says otherwise; this engine never asks for another."""

STATIC: Fields = ((b"", b""), *HeaderTable.STATIC_TABLE)
"""The static table by index; index 0 is not used."""

FIRST_DYNAMIC = len(STATIC)
"""The index of the newest dynamic entry."""
