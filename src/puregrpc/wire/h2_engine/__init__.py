"""The engine built on h2: complete and strict, the reference that the other engine is held against."""

from __future__ import annotations

from puregrpc.wire.h2_engine.client import H2ClientConnection
from puregrpc.wire.h2_engine.server import H2ServerConnection

__all__ = ["H2ClientConnection", "H2ServerConnection"]
