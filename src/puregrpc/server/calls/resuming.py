"""Async handlers go on when there is room for the answer that they are about to give.

A handler that has waited for something, as for a database, may answer as soon as it goes on, and thousands may go on
together. So each that belongs to a method which gives large answers is held where it waits, as long as there is no
room for one more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from types import coroutine
from typing import Any, Protocol

__all__ = ["resuming"]


class Answering(Protocol):
    """A call whose handler is to answer."""

    @property
    def expects_large_answer(self) -> bool:
        """Its method has given large answers lately."""

    def lacks_room_to_answer(self) -> bool:
        """There is no room for what is to be expected of the handler, which is about to go on."""

    async def wait_to_answer(self) -> None:
        """Wait for it. What it raises is for the handler."""


@coroutine
def resuming(call: Answering, awaitable: Awaitable[Any]) -> Generator[Any, Any, Any]:
    """Await what the handler of ``call`` gave. Costs next to nothing where it need not wait."""
    steps: Any = awaitable.__await__()
    came: Any = None
    failed: BaseException | None = None
    try:
        waits_for = next(steps)
        while True:
            try:
                came = yield waits_for
            except GeneratorExit:
                _close(steps)
                raise
            except BaseException as error:
                failed = error
            if call.expects_large_answer and call.lacks_room_to_answer():
                try:
                    yield from call.wait_to_answer().__await__()
                except GeneratorExit:
                    _close(steps)
                    raise
                except BaseException as error:
                    failed = error
            if failed is None:
                waits_for = next(steps) if came is None else steps.send(came)
            else:
                raised, failed = failed, None
                try:
                    waits_for = _throw(steps, raised)
                finally:
                    del raised  # no cycle through the traceback
    except StopIteration as end:
        return end.value
    except BaseException:
        came = None  # trio's outcome: no cycle through the traceback
        raise


def _close(steps: Any) -> None:
    """End what may be any iterator (as ``yield from`` does)."""
    close = getattr(steps, "close", None)
    if close is not None:
        close()


def _throw(steps: Any, error: BaseException) -> Any:
    throw = getattr(steps, "throw", None)
    try:
        if throw is None:
            raise error
        return throw(error)
    finally:
        del error  # the same
