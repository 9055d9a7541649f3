"""What the tests of the channel share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
import trio.abc


def run(test: Callable[[], Awaitable[None]], *, seconds: float = 20, clock: trio.abc.Clock | None = None) -> None:
    """Run a test under trio, bounded in time."""

    async def bounded() -> None:
        with trio.fail_after(seconds):
            await test()

    trio.run(bounded, clock=clock)
