"""TLS sessions that several channels would share: an option that is taken and does nothing."""

from __future__ import annotations

from typing import Any

__all__ = ["SSLSessionCacheLRU", "ssl_session_cache_lru"]


class SSLSessionCacheLRU:
    """What is given as the option ``grpc.ssl_session_cache``."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __int__(self) -> int:
        return id(self._cache)


def ssl_session_cache_lru(capacity: int) -> SSLSessionCacheLRU:
    """A cache for so many sessions; each TLS connection of puregrpc is made anew all the same."""
    return SSLSessionCacheLRU(capacity)
