"""How many messages of its clients a server inflates at once: a few thousand octets may become megabytes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from puregrpc.wire.limits import MOST_INFLATING

if TYPE_CHECKING:
    from puregrpc.kernel import Kernel, Waiter
    from puregrpc.wire.compression import CompressedMessage

__all__ = ["SMALL_COMPRESSED", "Inflating"]

SMALL_COMPRESSED = 128
"""A message of fewer octets is inflated in a millisecond, and needs no place if there is room for what comes of it."""


class Inflating:
    """The places of those that inflate on a loop: ``async with`` it for one."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._places = MOST_INFLATING
        self._waiting: deque[Waiter] = deque()
        """The first comes first; who is woken has a place."""

    async def __aenter__(self) -> None:
        if self._places:
            self._places -= 1
            return
        waiter = self._kernel.waiter()
        self._waiting.append(waiter)
        try:
            await waiter.wait()
        except BaseException:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:
                self._give_back()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._give_back()

    def _give_back(self) -> None:
        if self._waiting:
            self._waiting.popleft().wake()
        else:
            self._places += 1

    async def in_slices(self, message: CompressedMessage) -> bytes:
        """Inflate a message, and let others run in between. Raises what `CompressedMessage.inflate` does."""
        slices = message.inflating()
        while True:
            try:
                next(slices)
            except StopIteration as end:
                inflated: bytes = end.value
                return inflated
            await self._kernel.checkpoint()
