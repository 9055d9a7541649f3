"""Whose kernel it is: an object's that belongs to the loop that runs, or a body's that is entered and left."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from puregrpc.errors import LocalProtocolError
from puregrpc.kernel.base import Kernel
from puregrpc.kernel.current import running_loop, running_world

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    import trio

    from puregrpc.kernel.loops.asyncio_kernel import AsyncioKernel

__all__ = ["LoopOwner", "open_kernel"]


def open_kernel(name: str, *, threads: int | None = None) -> AbstractAsyncContextManager[Kernel]:
    """A kernel of the world that runs, for as long as its body runs; what the body raises leaves as itself.

    ``threads`` is how many of `Kernel.in_thread` it has at the most. Raises LocalProtocolError outside of an event
    loop, which says that of ``name``.
    """
    world = running_world()
    if world == "trio":
        from puregrpc.kernel.loops.trio_kernel import open_trio_kernel

        return open_trio_kernel(threads=threads)
    if world == "asyncio":
        from puregrpc.kernel.loops.asyncio_kernel import open_asyncio_kernel

        return open_asyncio_kernel(asyncio_kernel(), threads=threads)
    raise no_loop(name)


def asyncio_kernel() -> type[AsyncioKernel]:
    """The kernel for what loops there are."""
    if sys.platform == "emscripten":
        from puregrpc.kernel.loops.pyodide_kernel import PyodideKernel

        return PyodideKernel
    from puregrpc.kernel.loops.asyncio_kernel import AsyncioKernel

    return AsyncioKernel


def no_loop(name: str) -> LocalProtocolError:
    """The error of what was used outside of an event loop."""
    return LocalProtocolError(
        f"{name} is used inside asyncio.run or trio.run; in programs without an event loop use the blocking classes "
        "(Client, BlockingChannel, BlockingServer)"
    )


class LoopOwner:
    """The kernel of an object that belongs to one loop at a time."""

    __slots__ = ("_kernel", "_loop", "_name", "is_current", "moves")

    def __init__(self, name: str) -> None:
        self._name = name
        self._kernel: Kernel | None = None
        self._loop: AbstractEventLoop | None = None
        self.moves = True
        """It may come to belong to another loop than the one it has."""
        self.is_current: Callable[[], bool] = _always
        """Whether the object can go on with the kernel that it has, if it has one."""

    @property
    def is_deserted(self) -> bool:
        """Whether the loop that it belonged to is closed."""
        return self._loop is not None and self._loop.is_closed()

    def take(self, kernel: Kernel) -> None:
        """Belong to a kernel that somebody else closes."""
        self._kernel = kernel
        self._loop = loop = running_loop() if kernel.world == "asyncio" else None
        self.moves = loop is not None
        reading = getattr(kernel, "reading", None)
        if reading is not None:
            self.is_current = reading.runs_here
        elif loop is not None:
            running = sys.modules["asyncio.events"]._get_running_loop  # noqa: SLF001 - as `running_loop`, but quicker
            self.is_current = lambda: running() is loop

    def claim(self, nursery: trio.Nursery | None = None) -> Kernel:
        """The kernel that it has, or a new one if it has none yet or its loop is closed.

        Raises LocalProtocolError in another loop than its own, outside of any, and on trio without a ``nursery``.
        """
        kernel = self._kernel
        if kernel is not None and self.is_current():
            return kernel
        if kernel is not None and not self.is_deserted:
            raise LocalProtocolError(
                f"{self._name} belongs to another event loop, which still lives: make one for each loop"
            )
        world = running_world()
        if world == "threads":
            raise no_loop(self._name)
        if world == "asyncio":
            self.take(asyncio_kernel()(self.running()))
        else:
            from puregrpc.kernel.loops.trio_kernel import TrioKernel

            if nursery is None:
                raise LocalProtocolError(
                    f"{self._name} needs an owner on trio: use it inside 'async with', or make it with nursery=..."
                )
            self.take(TrioKernel(nursery))
        kernel = self._kernel
        if kernel is None:
            raise no_loop(self._name)
        return kernel

    def running(self) -> AbstractEventLoop:
        """The asyncio loop that runs. Raises LocalProtocolError if none does."""
        loop = running_loop()
        if loop is None:
            raise no_loop(self._name)
        return loop


def _always() -> bool:
    return True
