"""A server's TLS that may change while it runs: certificates that are renewed, without a restart."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from puregrpc._locks import Lock
from puregrpc.transport.tls import TlsOptions, versions_of

if TYPE_CHECKING:
    import ssl

__all__ = ["DynamicTls"]

logger = logging.getLogger("puregrpc.transport")


class DynamicTls:
    """What a server's TLS goes by, asked for anew before each handshake; in place of `TlsOptions` for servers.

    ``fetch`` gives the options to use from now on, or None if they are those that there are. It runs in a thread, one
    call at a time, and may read files; what it raises is logged, as are options that cannot be used, and the server
    goes on with those that it has. Without ``fetch``, the files that ``options`` name are looked at, and read again
    when they have changed. Connections that there are stay as they are.
    """

    changes = True

    def __init__(self, options: TlsOptions, fetch: Callable[[], TlsOptions | None] | None = None) -> None:
        self._options = options
        self._fetch = fetch
        self._lock = Lock()
        self._seen: object = None
        self._refused: object = None
        self._context: ssl.SSLContext | None = None

    @property
    def options(self) -> TlsOptions:
        """Those that are in use."""
        return self._options

    @property
    def require_alpn(self) -> bool:
        """Refuse a client that does not agree on "h2" by ALPN."""
        return self._options.require_alpn

    def server_context(self) -> ssl.SSLContext:
        """The context for the next connection. Raises InvalidArgument if the first options cannot be used."""
        with self._lock:
            if self._context is None:
                self._seen = versions_of(self._options.files())
                self._context = self._options.server_context()
                return self._context
            try:
                self._look()
            except Exception as error:
                if str(error) != self._refused:  # once, and not for each connection
                    self._refused = str(error)
                    logger.exception("the certificates of the server stay as they are")
            return self._context

    def _look(self) -> None:
        if self._fetch is not None:
            options = self._fetch()
            if options is None or options == self._options:
                return
            self._context, self._options = options.server_context(), options
        else:
            seen = versions_of(self._options.files())
            if seen == self._seen:
                return
            self._context = self._options.server_context()
            self._seen = seen
        self._refused = None
