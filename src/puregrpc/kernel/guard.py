"""What guards the state of something that two coroutines use at once, apart from the kernel's mutex."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    from puregrpc.kernel.base import Kernel

    Ts = TypeVarTuple("Ts")

__all__ = ["Guard", "guard_of"]

T = TypeVar("T")


class Guard(Protocol):
    """Calls a function while nobody else is in another function that it guards."""

    def __call__(self, function: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T: ...


def guard_of(kernel: Kernel) -> Guard:
    """A new guard: a lock on threads, and nothing on an event loop, where nobody comes in between."""
    if kernel.world != "threads":
        return _call
    from puregrpc.kernel.threads.mutex import Mutex

    guard: Guard = Mutex().locked
    return guard


def _call(function: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T:
    return function(*arguments)
