"""How callers wait: in their thread, or where gevent runs greenlets on that thread, beside it.

gevent that has patched threads needs nothing of this: a thread that waits is a greenlet then. Without that, a greenlet
that waited in its thread would hold up all others of it. After ``init_gevent`` a thread of gevent's pool waits in its
place, as with grpcio.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Generic, TypeVar

__all__ = ["Beside", "are_greenlets_held_up", "beside", "use_gevent", "wait"]

T = TypeVar("T")

MOST_THREADS = 1024
"""How many may wait at once, for each thread that has greenlets."""

_pool: Callable[[], Any] | None = None
"""gevent's pool of threads for this thread; None where no greenlets run."""


class Beside(Generic[T]):
    """A function that runs in a thread of gevent's pool."""

    def __init__(self, pool: Any, function: Callable[..., T], arguments: tuple[Any, ...]) -> None:
        self._function = function
        self._arguments = arguments
        self._result: T
        self._error: BaseException | None = None
        self._running = pool.spawn(self._run)

    def _run(self) -> None:
        try:
            self._result = self._function(*self._arguments)
        except BaseException as error:  # raised where the result is wanted; the pool would print it
            self._error = error

    def wait(self) -> None:
        """Wait for its end, while other greenlets go on."""
        self._running.get()

    def result(self) -> T:
        """What it gave or raised, once it has ended."""
        if self._error is not None:
            raise self._error
        return self._result


def are_greenlets_held_up() -> bool:
    """Whether others wait for this thread if it waits."""
    return _pool is not None and _pool() is not None


def beside(function: Callable[..., T], *arguments: Any) -> Beside[T] | None:
    """Begin to wait in a thread of gevent's pool; None where the caller may wait in its own."""
    pool = None if _pool is None else _pool()
    return None if pool is None else Beside(pool, function, arguments)


def wait(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function that waits."""
    waiting = None if _pool is None else beside(function, *arguments)
    if waiting is None:
        return function(*arguments)
    waiting.wait()
    return waiting.result()


def use_gevent() -> None:
    """Have greenlets wait beside their thread. Nothing is changed where gevent has patched threads."""
    global _pool
    if not import_module("gevent.monkey").is_module_patched("threading"):
        _pool = _pool_of_this_thread


def _pool_of_this_thread() -> Any:
    hub = import_module("gevent._hub_local").get_hub_if_exists()
    if hub is None or import_module("greenlet").getcurrent() is hub:
        return None
    pool = hub.threadpool
    if pool.maxsize < MOST_THREADS:
        pool.maxsize = MOST_THREADS
    return pool
