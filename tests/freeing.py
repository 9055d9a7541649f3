"""Holds that objects are freed as soon as nobody needs them, and not only when the garbage collector comes."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["freed_without_collector"]

SECONDS = 10.0
"""How long what ends may take to end."""


@contextmanager
def freed_without_collector(what: str, is_over: Callable[[], object]) -> Iterator[None]:
    """Holds that the body leaves no object of puregrpc's to the garbage collector, which does not run meanwhile.

    ``is_over`` says whether all has ended that the body began.
    """
    gc.collect()
    gc.disable()
    try:
        gc.collect()  # what the first one has finalized
        yield
        end = time.monotonic() + SECONDS
        while not is_over():
            assert time.monotonic() < end, f"{what}: it does not end"
            time.sleep(0.005)
        left = _collected()
    finally:
        gc.enable()
    assert not left, f"{what}: left to the collector: {dict(left)}"


def _collected() -> Counter[type]:
    """Collect garbage: gives what was there of puregrpc's, by its types."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
    finally:
        gc.set_debug(0)
    kinds = Counter(kind for kind in map(type, gc.garbage) if str(kind.__module__).startswith("puregrpc."))
    gc.garbage.clear()
    return kinds
