"""What all exporters have: a thread that looks at the metrics of a run now and then, and sends what has changed."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from puregrpc._data import resource
from puregrpc.codec import Codec
from puregrpc.errors import Error
from puregrpc.kernel.threads.waking import Condition
from puregrpc.metrics import Metric, Metrics, Series, Sink
from puregrpc.proto import compile as compile_proto
from puregrpc.schema import Registry

__all__ = ["INTERVAL", "Exporter", "Taken", "contract", "in_parts"]

logger = logging.getLogger("puregrpc.load")

INTERVAL = 5.0
"""Seconds between one export and the next, where nothing else is said."""

EVERYTHING_EVERY = 60.0
"""Seconds after which what has not changed is sent again: receivers take for gone what is silent for minutes."""

MOST_FAILURES_AT_END = 3
"""How often the last export is tried."""

LONGEST_END = 5.0
"""Seconds after which the last export is not tried again: a receiver that says nothing holds up the end once."""

T = TypeVar("T")


@dataclass(frozen=True)
class Taken:
    """What a series took since the run began."""

    metric: Metric
    tags: dict[str, str]
    sink: Sink


class Exporter(ABC):
    """Sends metrics somewhere while a run goes on: one of the ``outputs`` of `puregrpc.load.run`.

    Values are those since the run began, so what is lost on the way comes with the next export. An export that fails
    is told once, and the run goes on.
    """

    def __init__(self, where: str, interval: float) -> None:
        self.where = where
        self.interval = interval
        self._sent: dict[Series, int] = {}
        self._all_sent_at = 0.0
        self._failures = 0
        self._is_over = False
        self._change = Condition()

    @abstractmethod
    def open(self) -> None:
        """Make ready what sends. Raises Error if it cannot be."""

    @abstractmethod
    def export(self, taken: list[Taken], moment: float) -> None:
        """Send what was taken by a moment, in seconds since the epoch. Raises Error or OSError."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what sends."""

    @contextmanager
    def exporting(self, metrics: Metrics) -> Iterator[None]:
        """Export the metrics as long as this lasts, and all of them at its end."""
        self._sent, self._failures, self._is_over = {}, 0, False
        self.open()
        thread = threading.Thread(target=self._go_on, args=(metrics,), name=f"puregrpc export to {self.where}")
        thread.start()
        try:
            yield
        finally:
            with self._change.lock:
                self._is_over = True
                self._change.notify_all()
            thread.join()
            try:
                self._finish(metrics)
            finally:
                self.close()

    def _go_on(self, metrics: Metrics) -> None:
        while not self._change.wait_for(lambda: self._is_over, self.interval):
            self._try(metrics)

    def _finish(self, metrics: Metrics) -> None:
        self._sent.clear()
        until = time.monotonic() + LONGEST_END
        for _ in range(MOST_FAILURES_AT_END):
            problem = self._try(metrics)
            if not problem:
                return
            if time.monotonic() > until:
                break
        logger.error("metrics are not at %s: %s", self.where, problem)

    def _try(self, metrics: Metrics) -> str:
        """Export; what went wrong."""
        now = time.monotonic()
        if now - self._all_sent_at > EVERYTHING_EVERY:
            self._sent.clear()
            self._all_sent_at = now
        sent: dict[Series, int] = {}
        try:
            taken = list(self._changed(metrics, sent))
            if taken:
                self.export(taken, time.time())
        except (Error, OSError) as error:
            self._failures += 1
            if self._failures == 1:
                logger.warning("exporting to %s failed: %s", self.where, error)
            return str(error)
        except Exception as error:  # of ours: the run goes on nevertheless
            logger.exception("exporting to %s failed", self.where)
            return repr(error)
        if self._failures:
            logger.warning("exporting to %s works again, after %d failures", self.where, self._failures)
            self._failures = 0
        self._sent.update(sent)
        return ""

    def _changed(self, metrics: Metrics, sent: dict[Series, int]) -> Iterator[Taken]:
        for metric in metrics:
            for series in list(metric.series.values()):
                if series.settle().count != self._sent.get(series, 0):
                    sink = series.copied()
                    sent[series] = sink.count
                    yield Taken(metric, series.tags, sink)


def contract(names: Sequence[str]) -> tuple[Registry, Codec]:
    """The types of .proto files of this folder, of which the first one imports the others, and a codec for them."""
    sources = {name: resource("puregrpc.load.outputs", f"protos/{name}") for name in names}
    registry = Registry()
    for file in compile_proto(names[:1], sources=sources):
        registry.add_file(file)
    return registry, Codec(registry)


def in_parts(items: Sequence[T], encode: Callable[[Sequence[T]], bytes], most: int) -> Iterator[bytes]:
    """What ``encode`` makes of items, so many at once that no part has more than ``most`` bytes.

    A single item that has more is a part by itself.
    """
    if not items:
        return
    part = encode(items)
    if len(part) <= most or len(items) == 1:
        yield part
        return
    middle = len(items) // 2
    yield from in_parts(items[:middle], encode, most)
    yield from in_parts(items[middle:], encode, most)
