"""Kept under the name that grpcio has for it."""

from __future__ import annotations

import time

__all__ = ["_timeout_to_deadline"]


def _timeout_to_deadline(timeout: float | None) -> float | None:
    """The time, as `time.time` tells it, at which ``timeout`` seconds are over; None for None."""
    return None if timeout is None else time.time() + timeout
