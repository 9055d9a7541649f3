"""For programs on gevent."""

from __future__ import annotations

__all__ = ["init_gevent"]


def init_gevent() -> None:
    """Nothing need be done: where gevent has patched sockets and threads, puregrpc runs on greenlets."""
