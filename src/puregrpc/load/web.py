"""The page of a run while it goes on, and a small interface to control it, in the forms of k6's: HTTP on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from puregrpc.errors import InvalidArgument
from puregrpc.load.page import page
from puregrpc.load.problems import LoadError
from puregrpc.load.prometheus import CONTENT_TYPE, exposition
from puregrpc.metrics import Metrics

__all__ = ["Controlled", "serving"]

LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}

LONGEST_BODY = 10_000
"""Bytes of a request: those that control a run are short."""


class Controlled(Protocol):
    """A run, for other threads than its own."""

    metrics: Metrics

    def view(self) -> dict[str, Any]:
        """The page's data."""

    def standing(self) -> dict[str, Any]:
        """How it stands, as k6's ``/v1/status`` tells it."""

    def set_users(self, count: int) -> None:
        """Have so many users where they are controlled from outside. Raises InvalidArgument."""

    def request_stop(self) -> None:
        """Begin no iteration any more."""


@contextmanager
def serving(run: Controlled, port: int, title: str) -> Iterator[str]:
    """Serve on a port of 127.0.0.1 (0: any that is free); gives the address. Raises LoadError.

    ``/`` is the page, ``/data.json`` its data, ``/metrics`` is for Prometheus; ``/v1/status`` is k6's (GET, PATCH).
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self._is_from_here():
                return
            if self.path == "/":
                self._answer("text/html", page(None, title))
            elif self.path == "/data.json":
                self._answer("application/json", json.dumps(run.view(), ensure_ascii=False))
            elif self.path == "/metrics":
                self._answer(CONTENT_TYPE, exposition(run.metrics))
            elif self.path == "/v1/status":
                self._tell()
            else:
                self.send_error(404)

        def do_PATCH(self) -> None:
            if not self._is_from_here():
                return
            if self.path != "/v1/status":
                self.send_error(404)
                return
            try:
                self._change(self._attributes())
            except (InvalidArgument, ValueError) as error:
                self._answer("application/json", json.dumps({"errors": [{"title": str(error)}]}), status=400)
                return
            self._tell()

        def _is_from_here(self) -> bool:
            """Another site's script may know a name that leads here; it gets nothing."""
            is_it = (self.headers.get("Host") or "").rpartition(":")[0] in LOOPBACK
            if not is_it:
                self.send_error(403, "this page is for this machine")
            return is_it

        def _attributes(self) -> dict[str, Any]:
            if "json" not in (self.headers.get("Content-Type") or ""):  # a form of another site may not say that
                raise ValueError("the Content-Type must be application/json")
            length = self.headers.get("Content-Length") or "0"
            if not length.isdecimal() or int(length) > LONGEST_BODY:
                raise ValueError("the body is too long")
            body = json.loads(self.rfile.read(int(length)))
            try:
                attributes = body["data"]["attributes"]
            except (TypeError, KeyError):
                attributes = None
            if not isinstance(attributes, dict):
                raise ValueError('{"data": {"attributes": {"vus": 10}}} is expected')
            return attributes

        def _change(self, attributes: dict[str, Any]) -> None:
            vus = attributes.get("vus")
            if vus is not None:
                if not isinstance(vus, int) or isinstance(vus, bool) or vus < 0:
                    raise ValueError(f"vus: a whole number is expected, not {vus!r}")
                run.set_users(vus)
            if attributes.get("stopped"):
                run.request_stop()

        def _tell(self) -> None:
            status = {"data": {"type": "status", "id": "default", "attributes": run.standing()}}
            self._answer("application/json", json.dumps(status))

        def _answer(self, kind: str, text: str, *, status: int = 200) -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - http.server's name
            """Nobody wants to read of each question."""

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise LoadError(f"--web: port {port} of 127.0.0.1: {error.strerror}") from None
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="puregrpc load page", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()
