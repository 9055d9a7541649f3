"""What stands between the samples of a run and an output that takes each of them."""

from __future__ import annotations

import logging
from collections.abc import Callable

from puregrpc.metrics import Sample

__all__ = ["Listening"]

logger = logging.getLogger("puregrpc.load")


class Listening:
    """Gives an output every sample until it raises, as where a disk is full. That is told once, and the run goes on."""

    def __init__(self, output: Callable[[Sample], None]) -> None:
        self._output = output
        self._has_failed = False

    def __call__(self, sample: Sample) -> None:
        if not self._has_failed:
            try:
                self._output(sample)
            except Exception as error:
                self._failed(error)

    def flush(self) -> None:
        """Have the output write what it has, if it can."""
        flush = getattr(self._output, "flush", None)
        if flush is not None and not self._has_failed:
            try:
                flush()
            except Exception as error:
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._has_failed = True
        what = getattr(self._output, "where", "") or type(self._output).__name__
        why = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
        logger.error("no more samples are written to %s: %s", what, why)
