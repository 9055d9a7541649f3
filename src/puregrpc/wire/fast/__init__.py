"""The HTTP/2 engine for the hot path: frames parsed in place, header blocks cached, one write for all ready calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.wire.fast.client import FastClientConnection as FastClientConnection
    from puregrpc.wire.fast.server import FastServerConnection as FastServerConnection

_MODULES = {"FastClientConnection": "client", "FastServerConnection": "server"}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
