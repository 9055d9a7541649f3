"""The interface of what takes values one by one."""

from __future__ import annotations

import abc
from typing import Any

__all__ = ["Consumer"]


class Consumer(abc.ABC):
    """Takes values until there are no more."""

    @abc.abstractmethod
    def consume(self, value: Any) -> None:
        """Take a value."""

    @abc.abstractmethod
    def terminate(self) -> None:
        """There are no more."""

    @abc.abstractmethod
    def consume_and_terminate(self, value: Any) -> None:
        """Take the last value."""
