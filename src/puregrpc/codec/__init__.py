"""Messages between dicts (ProtoJSON rules), bytes and JSON text, from a descriptor."""

from __future__ import annotations

from puregrpc.codec.codec import Codec
from puregrpc.codec.options import UNKNOWN_FIELDS
from puregrpc.codec.status_details import read_status

__all__ = ["UNKNOWN_FIELDS", "Codec", "read_status"]
