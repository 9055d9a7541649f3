"""The event loops that benchmarks of puregrpc run in, by name: trio, asyncio, and asyncio on uvloop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from puregrpc.kernel.current import running_world

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["WORLDS", "at_once", "run"]

WORLDS = ("trio", "asyncio", "uvloop")


def run(world: str, main: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
    """Run a coroutine function to its end."""
    if world == "trio":
        import trio

        trio.run(main, *arguments)
        return
    import asyncio

    if world == "uvloop":
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(main(*arguments))


async def at_once(number: int, function: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
    """Run a function so many times beside each other."""
    if running_world() == "trio":
        import trio

        async with trio.open_nursery() as nursery:
            for _ in range(number):
                nursery.start_soon(function, *arguments)
        return
    import asyncio

    await asyncio.gather(*(function(*arguments) for _ in range(number)))
