"""For programs on eventlet."""

from __future__ import annotations

__all__ = ["init_eventlet"]


def init_eventlet() -> None:
    """Nothing need be done: where eventlet has patched sockets and threads, puregrpc runs on greenlets."""
