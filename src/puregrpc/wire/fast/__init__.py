"""The HTTP/2 engine for the hot path: frames parsed in place, header blocks cached, one write for all ready calls."""

from __future__ import annotations

from puregrpc.wire.fast.client import FastClientConnection
from puregrpc.wire.fast.server import FastServerConnection

__all__ = ["FastClientConnection", "FastServerConnection"]
