"""A loop of asyncio for a process that is its own: it reads its sockets itself, one after the other.

asyncio has every socket that is ready read first, then all go on who waited for what came, and then what they made is
sent: a thousand connections come by three times, and each time out of memory that is far away. This loop reads one,
has those go on who waited for that, sends what there is to send, and takes the next. A call spares three handles.
"""

from __future__ import annotations

import asyncio
import select
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from contextvars import Context
from functools import partial
from math import ceil
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, SelectorKey
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    Ts = TypeVarTuple("Ts")

__all__ = ["READABLE", "WRITABLE", "ReadingLoop", "can_read", "run_reading"]

T = TypeVar("T")

READABLE = getattr(select, "EPOLLIN", 1)
WRITABLE = getattr(select, "EPOLLOUT", 4)

MOST_AT_ONCE = 64
"""So many sockets are read before timers, signals and other threads have their turn."""


class ReadingSelector(BaseSelector):
    """What selects, and calls whoever reads for himself where he waits."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._keys: dict[int, SelectorKey] = {}
        self.readers: dict[int, Callable[[int], object]] = {}
        """Descriptor -> what is called with the events that came."""
        self.serve: Callable[[Callable[[int], object], int], object] = lambda reader, event: reader(event)

    def register(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        key = SelectorKey(fileobj, _descriptor(fileobj), events, data)
        if key.fd in self._keys:
            raise KeyError(f"{fileobj!r} is registered already")
        self._epoll.register(key.fd, _mask(events))
        self._keys[key.fd] = key
        return key

    def unregister(self, fileobj: Any) -> SelectorKey:
        key = self._keys.pop(_descriptor(fileobj))
        self.forget(key.fd)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        key = self._keys[_descriptor(fileobj)]
        if events != key.events:
            self._epoll.modify(key.fd, _mask(events))
        changed = self._keys[key.fd] = key._replace(events=events, data=data)
        return changed

    def watch(self, descriptor: int, mask: int, *, is_new: bool) -> None:
        """Have a reader called for these events."""
        if is_new:
            self._epoll.register(descriptor, mask)
        else:
            self._epoll.modify(descriptor, mask)

    def forget(self, descriptor: int) -> None:
        """Do not look at it any more."""
        with suppress(OSError):  # it was closed
            self._epoll.unregister(descriptor)

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        if timeout is None:
            timeout = -1
        elif timeout > 0:
            timeout = ceil(timeout * 1000) / 1000  # epoll counts milliseconds, and rounds down
        else:
            timeout = 0
        ready: list[tuple[SelectorKey, int]] = []
        readers, serve = self.readers, self.serve
        try:
            events = self._epoll.poll(timeout, MOST_AT_ONCE)
        except InterruptedError:
            return ready
        for descriptor, event in events:
            key = self._keys.get(descriptor)
            if key is not None:
                found = (EVENT_WRITE if event & ~READABLE else 0) | (EVENT_READ if event & ~WRITABLE else 0)
                ready.append((key, found & key.events))
        # What is called may close sockets, and open others that have their descriptors.
        for descriptor, event in events:
            reader = readers.get(descriptor)
            if reader is not None:
                serve(reader, event)
        return ready

    def close(self) -> None:
        self._epoll.close()
        self._keys.clear()
        self.readers.clear()

    def get_map(self) -> Mapping[Any, SelectorKey]:
        return self._keys

    def get_key(self, fileobj: Any) -> SelectorKey:
        return self._keys[_descriptor(fileobj)]


def _descriptor(fileobj: Any) -> int:
    return fileobj if isinstance(fileobj, int) else int(fileobj.fileno())


def _mask(events: int) -> int:
    return (READABLE if events & EVENT_READ else 0) | (WRITABLE if events & EVENT_WRITE else 0)


class ReadingLoop(asyncio.SelectorEventLoop):
    """See above. It is for Linux: elsewhere there is no epoll (`run_reading` knows).

    Tasks and futures that wake while a socket is read go on as soon as all of it was read, and what `behind` was given
    comes behind them.
    """

    def __init__(self) -> None:
        self._reads = False
        """A reader is being called: nobody but the library's own code runs."""
        self._woken: deque[tuple[Context, Callable[..., object], tuple[Any, ...]]] = deque()
        self._behind: deque[Callable[[], object]] = deque()
        self._thread = 0
        self._sockets = ReadingSelector()
        self._sockets.serve = self._serve
        super().__init__(self._sockets)
        self.time = monotonic  # type: ignore[method-assign]  # as it is, and the next: a call less
        self.create_future = partial(asyncio.Future, loop=self)  # type: ignore[method-assign]

    def run_forever(self) -> None:
        self._thread = get_ident()
        try:
            super().run_forever()
        finally:
            self._thread = 0

    def runs_here(self) -> bool:
        """Whether it is the running loop of this thread. It costs less than to ask asyncio."""
        return self._thread == get_ident()

    # -- sockets that are read

    def read(self, descriptor: int, mask: int, reader: Callable[[int], object]) -> None:
        """Call ``reader`` with what a socket is ready for: any of ``mask`` (`READABLE`, `WRITABLE`), or errors."""
        sockets = self._sockets
        sockets.watch(descriptor, mask, is_new=descriptor not in sockets.readers)
        sockets.readers[descriptor] = reader

    def read_no_more(self, descriptor: int) -> None:
        """Do not. Idempotent."""
        if self._sockets.readers.pop(descriptor, None) is not None:
            self._sockets.forget(descriptor)

    def behind(self, function: Callable[[], object]) -> None:
        """Call a function, which raises nothing, behind whoever is woken by what is read now; else soon."""
        if self._reads:
            self._behind.append(function)
        else:
            self.call_soon(function)

    def _serve(self, reader: Callable[[int], object], event: int) -> None:
        self._reads = True
        try:
            reader(event)
        finally:
            self._reads = False
            woken, behind = self._woken, self._behind
            try:
                while woken:
                    context, callback, arguments = woken.popleft()
                    context.run(callback, *arguments)
                while behind:
                    behind.popleft()()
            except BaseException as error:
                self._leave_rest(error)

    def _leave_rest(self, error: BaseException) -> None:
        """Something raised: what comes behind it is the loop's affair."""
        while self._woken:
            context, callback, arguments = self._woken.popleft()
            super().call_soon(callback, *arguments, context=context)
        while self._behind:
            super().call_soon(self._behind.popleft())
        if isinstance(error, SystemExit | KeyboardInterrupt):
            raise error
        self.call_exception_handler({"message": "an exception in a callback", "exception": error})

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: Unpack[Ts], context: Context | None = None
    ) -> asyncio.Handle:
        if context is not None and self._reads:  # of a future or a task, which take no handle
            self._woken.append((context, callback, args))
            return NO_HANDLE
        return super().call_soon(callback, *args, context=context)


class NoHandle(asyncio.Handle):
    """What stands for a handle where nobody takes one."""

    def __init__(self) -> None:
        """It has nothing."""


NO_HANDLE = NoHandle()


def can_read() -> bool:
    """Whether there can be such a loop here."""
    return hasattr(select, "epoll") and sys.version_info >= (3, 11)


def run_reading(function: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """As ``asyncio.run(function())``, in such a loop where there can be one and nobody debugs."""
    if sys.version_info >= (3, 11) and can_read():
        with asyncio.Runner(loop_factory=ReadingLoop) as runner:
            if not runner.get_loop().get_debug():
                return runner.run(function())
    return asyncio.run(function())
