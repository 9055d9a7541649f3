"""For programs on gevent."""

from __future__ import annotations

from grpc import _waiting

__all__ = ["init_gevent"]


def init_gevent() -> None:
    """Have calls hold up no other greenlet, also where gevent has not patched threads: each waits in gevent's pool of
    threads then. Where it has patched sockets and threads, puregrpc runs on greenlets in any case."""
    _waiting.use_gevent()
