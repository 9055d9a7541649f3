"""The live page of `puregrpc trace --web`: a small HTTP server on loopback, in a thread that ends with it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from puregrpc._locks import Lock
from puregrpc._loopback import LoopbackHandler, serving
from puregrpc.trace import Chunk, Direction, Explainer, Explanation, Recorder, Recording
from puregrpc.trace.showing.page import LiveEntries, live_page

__all__ = ["LivePages", "WatchedRecorder"]


class WatchedRecorder(Recorder):
    """A tap that also explains what it keeps, as it comes."""

    def __init__(self, explainer: Explainer, client: str, server: str, start_time: float = 0.0) -> None:
        super().__init__(client, server, start_time)
        self.has_ended = False
        self._explainer = explainer
        self._lock = Lock()
        self._begin: float | None = None

    def record(self, direction: Direction, data: bytes, time: float) -> None:
        """As `Recorder.record`."""
        super().record(direction, data, time)
        if self._begin is None:
            self._begin = time
        if data:
            with self._lock:
                self._explainer.feed(Chunk(time - self._begin, direction, bytes(data)))

    def end(self) -> None:
        """As `Recorder.end`."""
        self.has_ended = True

    def so_far(self) -> Explanation:
        """What there is of it. From another thread."""
        with self._lock:
            chunks = tuple(self._explainer.chunks)
            return self._explainer.so_far(Recording(chunks, self.client, self.server))


class LivePages:
    """A page for each connection: ``/`` for the newest, ``/1`` for the first, and so on."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.watched: list[WatchedRecorder] = []
        self._entries: dict[int, LiveEntries] = {}
        self._lock = Lock()

    def watch(self, explainer: Explainer, client: str, server: str) -> WatchedRecorder:
        """Keep a connection, and show it."""
        recorder = WatchedRecorder(explainer, client, server, time.time())
        self.watched.append(recorder)
        return recorder

    @contextmanager
    def serving(self, port: int) -> Iterator[str]:
        """Serve on a port of 127.0.0.1 (0: any that is free); gives the address. Raises OSError."""
        pages = self

        class Handler(LoopbackHandler):
            def get(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/more":
                    self.answer("application/json", pages.more(parse_qs(parts.query)))
                elif parts.path == "/" or parts.path[1:].isdecimal():
                    self.answer("text/html", live_page(title=pages.title))
                else:
                    self.send_error(404)

        with serving(Handler, port, "puregrpc live page") as address:
            yield address

    def more(self, query: dict[str, list[str]]) -> str:
        """What the page does not have yet; ``{}`` if its connection has not begun."""
        which = _numbers(query, "of")
        number = which[0] - 1 if which else len(self.watched) - 1
        if not 0 <= number < len(self.watched):
            return "{}"
        watched = self.watched[number]
        entries = (_numbers(query, "entries") or [0])[0]
        tables = [*_numbers(query, "tables"), 0, 0][:2]
        has_ended = watched.has_ended
        with self._lock:
            told = self._entries.setdefault(number, LiveEntries())
            text = told.since(watched.so_far(), entries, _numbers(query, "octets"), tables)
        return f'{text[:-1]},"ended":{json.dumps(has_ended)},"of":{number + 1}}}'


def _numbers(query: dict[str, list[str]], name: str) -> list[int]:
    words = query.get(name, [""])[0].split(",")
    return [int(word) for word in words if word.isdecimal() and len(word) <= 15]
