"""Messages between dicts (ProtoJSON rules), bytes and JSON text, from a descriptor."""

from __future__ import annotations

from puregrpc.codec.codec import Codec

__all__ = ["Codec"]
