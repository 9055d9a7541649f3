"""Messages between dicts (ProtoJSON rules), bytes and JSON text, from a descriptor."""

from __future__ import annotations

from puregrpc.codec.codec import Codec
from puregrpc.codec.options import UNKNOWN_FIELDS

__all__ = ["UNKNOWN_FIELDS", "Codec"]
