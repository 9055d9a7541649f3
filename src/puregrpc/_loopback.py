"""An HTTP server for the browsers of this machine: on 127.0.0.1, in a thread that ends with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["LoopbackHandler", "serving"]

LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}


class LoopbackHandler(BaseHTTPRequestHandler):
    """Answers the requests of pages that are from here: `get` and `patch` see no others."""

    def get(self) -> None:
        """Answer a GET request."""
        self.send_error(404)

    def patch(self) -> None:
        """Answer a PATCH request."""
        self.send_error(501, f"Unsupported method ({self.command!r})")

    def do_GET(self) -> None:
        if self._is_from_here():
            self.get()

    def do_PATCH(self) -> None:
        if self._is_from_here():
            self.patch()

    def _is_from_here(self) -> bool:
        """Another site's script may know a name that leads here (DNS rebinding); it gets nothing."""
        is_it = (self.headers.get("Host") or "").rpartition(":")[0] in LOOPBACK
        if not is_it:
            self.send_error(403, "this page is for this machine")
        return is_it

    def answer(self, kind: str, text: str, *, status: int = 200) -> None:
        """Send a text of a media type, which is not to be kept."""
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - http.server's name
        """Nobody wants to read of each question."""


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler], port: int, name: str) -> Iterator[str]:
    """Serve on a port of 127.0.0.1 (0: any that is free), in a thread of this name; gives the address.

    Raises OSError if the port cannot be had.
    """
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), name=name, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()
