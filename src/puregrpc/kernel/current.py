"""Which world runs here. Nothing is loaded to find out: a world that has not been loaded does not run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from puregrpc.kernel.base import World

__all__ = ["running_loop", "running_task", "running_world"]


def running_world() -> World:
    """The world of the code that asks: ``threads`` if neither a trio task nor an asyncio loop runs it."""
    # trio first: in guest mode a trio task runs inside a callback of the loop that hosts it.
    trio_lowlevel = sys.modules.get("trio.lowlevel")
    if trio_lowlevel is not None and trio_lowlevel.in_trio_task():
        return "trio"
    return "threads" if running_loop() is None else "asyncio"


def running_loop() -> AbstractEventLoop | None:
    """The asyncio loop that runs in this thread, if one does."""
    events = sys.modules.get("asyncio.events")
    if events is None:
        return None
    loop: AbstractEventLoop | None = events._get_running_loop()  # noqa: SLF001 - documented for the use of frameworks
    return loop


def running_task() -> object | None:
    """The task of trio or asyncio that runs the code that asks, if one does."""
    trio_lowlevel = sys.modules.get("trio.lowlevel")
    if trio_lowlevel is not None and trio_lowlevel.in_trio_task():
        task: object = trio_lowlevel.current_task()
        return task
    loop = running_loop()
    return None if loop is None else sys.modules["asyncio"].current_task(loop)
