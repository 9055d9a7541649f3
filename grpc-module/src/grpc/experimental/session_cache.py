"""TLS sessions that several channels go on with: what is given as the option ``grpc.ssl_session_cache``."""

from __future__ import annotations

from puregrpc import TlsSessionCache

__all__ = ["SSLSessionCache", "ssl_session_cache_lru"]


class SSLSessionCache:
    """A cache of sessions, by the name of the server."""

    def __init__(self, cache: TlsSessionCache) -> None:
        self._cache = cache

    def __int__(self) -> int:
        return id(self._cache)


def ssl_session_cache_lru(capacity: int) -> SSLSessionCache:
    """A cache for so many sessions, of which those used longest ago are forgotten."""
    return SSLSessionCache(TlsSessionCache(max(int(capacity), 1)))
