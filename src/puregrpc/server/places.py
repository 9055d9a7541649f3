"""How many calls a server handles at once, over all its connections."""

from __future__ import annotations

from threading import Lock

__all__ = ["Places"]


class Places:
    """So many places, one for each call. From any thread."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._left = number
        self._lock = Lock()

    def take(self) -> bool:
        """Take a place; False if there is none."""
        with self._lock:
            if self._left <= 0:
                return False
            self._left -= 1
            return True

    def give_back(self) -> None:
        """A place that was taken is free again."""
        with self._lock:
            self._left += 1
