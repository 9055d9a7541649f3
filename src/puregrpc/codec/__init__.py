"""Messages between dicts (ProtoJSON rules), bytes and JSON text, from a descriptor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.codec.codec import Codec as Codec
    from puregrpc.codec.options import UNKNOWN_FIELDS as UNKNOWN_FIELDS

_MODULES = {"UNKNOWN_FIELDS": "options", "Codec": "codec"}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
