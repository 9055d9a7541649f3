"""The page of a run while it goes on, and a small interface to control it, in the forms of k6's: HTTP on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from puregrpc._loopback import LoopbackHandler
from puregrpc._loopback import serving as loopback_server
from puregrpc.errors import InvalidArgument
from puregrpc.load.outputs.prometheus import CONTENT_TYPE, exposition
from puregrpc.load.page import page
from puregrpc.load.problems import LoadError
from puregrpc.metrics import Metrics

__all__ = ["Controlled", "serving"]

LONGEST_BODY = 10_000
"""Bytes of a request: those that control a run are short."""


class Controlled(Protocol):
    """A run, for other threads than its own."""

    metrics: Metrics

    def view(self) -> dict[str, Any]:
        """The page's data."""

    def standing(self) -> dict[str, Any]:
        """How it stands, as k6's ``/v1/status`` tells it."""

    def control(self, *, users: int | None = None, most: int | None = None, is_paused: bool | None = None) -> None:
        """Where users are controlled from outside: have so many, let there be so many at the most, have none while it
        is paused. None: as it is. Raises InvalidArgument."""

    def request_stop(self) -> None:
        """Begin no iteration any more."""


@contextmanager
def serving(run: Controlled, port: int, title: str) -> Iterator[str]:
    """Serve on a port of 127.0.0.1 (0: any that is free); gives the address. Raises LoadError.

    ``/`` is the page, ``/data.json`` its data, ``/metrics`` is for Prometheus; ``/v1/status`` is k6's (GET, PATCH).
    """

    class Handler(LoopbackHandler):
        def get(self) -> None:
            if self.path == "/":
                self.answer("text/html", page(None, title))
            elif self.path == "/data.json":
                self.answer("application/json", json.dumps(run.view(), ensure_ascii=False))
            elif self.path == "/metrics":
                self.answer(CONTENT_TYPE, exposition(run.metrics))
            elif self.path == "/v1/status":
                self._tell()
            else:
                self.send_error(404)

        def patch(self) -> None:
            if self.path != "/v1/status":
                self.send_error(404)
                return
            try:
                self._change(self._attributes())
            except (InvalidArgument, ValueError) as error:
                self.answer("application/json", json.dumps({"errors": [{"title": str(error)}]}), status=400)
                return
            self._tell()

        def _attributes(self) -> dict[str, Any]:
            if "json" not in (self.headers.get("Content-Type") or ""):  # a form of another site may not say that
                raise ValueError("the Content-Type must be application/json")
            length = self.headers.get("Content-Length") or "0"
            if not length.isdecimal() or len(length) > len(str(LONGEST_BODY)) or int(length) > LONGEST_BODY:
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
            counts = {name: attributes.get(name) for name in ("vus", "vus-max")}
            for name, count in counts.items():
                if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 0):
                    raise ValueError(f"{name}: a whole number is expected, not {count!r}")
            is_paused = attributes.get("paused")
            if is_paused is not None and not isinstance(is_paused, bool):
                raise ValueError(f"paused: true or false is expected, not {is_paused!r}")
            if not (counts["vus"] is counts["vus-max"] is is_paused is None):
                run.control(users=counts["vus"], most=counts["vus-max"], is_paused=is_paused)
            if attributes.get("stopped"):
                run.request_stop()

        def _tell(self) -> None:
            status = {"data": {"type": "status", "id": "default", "attributes": run.standing()}}
            self.answer("application/json", json.dumps(status))

    with ExitStack() as stack:
        try:
            address = stack.enter_context(loopback_server(Handler, port, "puregrpc load page"))
        except OSError as error:
            raise LoadError(f"--web: port {port} of 127.0.0.1: {error.strerror}") from None
        yield address
