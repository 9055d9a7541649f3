"""What a world gives to coroutines: time, waiting, tasks, sockets. Three worlds: trio, asyncio, threads (gevent too).

The channel and the server are coroutines that ask a `Kernel` for all of it, so that they are written once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.kernel.base import Kernel as Kernel
    from puregrpc.kernel.base import Task as Task
    from puregrpc.kernel.base import Waiter as Waiter
    from puregrpc.kernel.base import Waiters as Waiters
    from puregrpc.kernel.loops.asyncio_kernel import AsyncioKernel as AsyncioKernel
    from puregrpc.kernel.loops.trio_kernel import TrioKernel as TrioKernel
    from puregrpc.kernel.threads.kernel import ThreadKernel as ThreadKernel

_MODULES = {
    "AsyncioKernel": "loops.asyncio_kernel",
    "Kernel": "base",
    "Task": "base",
    "ThreadKernel": "threads.kernel",
    "TrioKernel": "loops.trio_kernel",
    "Waiter": "base",
    "Waiters": "base",
}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
