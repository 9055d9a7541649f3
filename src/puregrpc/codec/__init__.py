"""Messages between dicts (ProtoJSON rules), bytes and JSON text, from a descriptor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.codec.codec import Codec as Codec
    from puregrpc.codec.options import UNKNOWN_FIELDS as UNKNOWN_FIELDS
    from puregrpc.codec.status_details import read_status as read_status

_MODULES = {"UNKNOWN_FIELDS": "options", "Codec": "codec", "read_status": "status_details"}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
