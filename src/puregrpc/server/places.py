"""How many calls a server handles at once, over all its connections."""

from __future__ import annotations

from puregrpc.kernel.threads.mutex import Mutex

__all__ = ["Places"]


class Places:
    """So many places, one for each call. From any thread."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._left = number
        self._mutex = Mutex()

    def take(self) -> bool:
        """Take a place; False if there is none."""
        return self._mutex.locked(self._take)

    def give_back(self) -> None:
        """A place that was taken is free again."""
        self._mutex.locked(self._give_back)

    def _take(self) -> bool:
        if self._left <= 0:
            return False
        self._left -= 1
        return True

    def _give_back(self) -> None:
        self._left += 1
