"""What the tests of the channel share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from tests import worlds

__all__ = ["run", "use_world"]

_world = "trio"


def use_world(world: str) -> None:
    """Have `run` run tests in a world."""
    global _world
    _world = world


def run(test: Callable[[], Coroutine[Any, Any, None]], *, seconds: float = 20) -> None:
    """Run a test in the world that was chosen, bounded in time."""
    worlds.run(test, _world, seconds=seconds)
