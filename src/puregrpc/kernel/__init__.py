"""What a world gives to coroutines: time, waiting, tasks, sockets. Three worlds: trio, asyncio, threads (gevent too).

The channel and the server are coroutines that ask a `Kernel` for all of it, so that they are written once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.kernel.asyncio_kernel import AsyncioKernel as AsyncioKernel
    from puregrpc.kernel.base import Kernel as Kernel
    from puregrpc.kernel.base import Task as Task
    from puregrpc.kernel.base import Waiter as Waiter
    from puregrpc.kernel.base import Waiters as Waiters
    from puregrpc.kernel.thread_kernel import ThreadKernel as ThreadKernel
    from puregrpc.kernel.trio_kernel import TrioKernel as TrioKernel

_MODULES = {
    "AsyncioKernel": "asyncio_kernel",
    "Kernel": "base",
    "Task": "base",
    "ThreadKernel": "thread_kernel",
    "TrioKernel": "trio_kernel",
    "Waiter": "base",
    "Waiters": "base",
}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
