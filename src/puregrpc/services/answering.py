"""Handlers of streams for servers of all worlds, from functions that answer message by message.

On a loop a stream's handler is async, so that it holds no thread; on a blocking server it is plain.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

from puregrpc.server import Context
from puregrpc.server.base import ServerBase
from puregrpc.server.method import Handler

__all__ = ["Gathering", "answer_each", "answer_last", "answer_many"]

Answers = Callable[[Any, Context], Iterable[Any]]
"""Gives the responses to a request."""


def answer_many(server: ServerBase, answers: Answers) -> Handler:
    """For one request: its answers."""

    async def handler(request: Any, context: Context) -> AsyncIterator[Any]:
        for answer in answers(request, context):
            yield answer

    return answers if server.is_blocking else handler


def answer_each(server: ServerBase, begin: Callable[[Context], Answers]) -> Handler:
    """For many requests: the answers to each, by what ``begin`` gives for the call."""

    async def handler(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        answers = begin(context)
        async for request in requests:
            due = iter(answers(request, context))
            request = None  # a stream that waits keeps nothing of what came, nor of what it gave
            for holding in map(_holding, due):
                yield holding.pop()

    def plain_handler(requests: Iterable[Any], context: Context) -> Iterator[Any]:
        answers = begin(context)
        for request in requests:
            yield from answers(request, context)
            request = None

    return plain_handler if server.is_blocking else handler


def _holding(answer: Any) -> list[Any]:
    """An answer in what it can be taken out of."""
    return [answer]


class Gathering:
    """What becomes of many requests. A new one for each call."""

    def take(self, request: Any) -> bool:
        """One more request. False: no more is needed."""
        raise NotImplementedError

    def answer(self) -> Any:
        """The response, behind the last request."""
        raise NotImplementedError


def answer_last(server: ServerBase, begin: Callable[[Context], Gathering]) -> Handler:
    """For many requests: one answer at their end."""

    async def handler(requests: AsyncIterator[Any], context: Context) -> Any:
        gathering = begin(context)
        async for request in requests:
            if not gathering.take(request):
                break
        return gathering.answer()

    def plain_handler(requests: Iterable[Any], context: Context) -> Any:
        gathering = begin(context)
        for request in requests:
            if not gathering.take(request):
                break
        return gathering.answer()

    return plain_handler if server.is_blocking else handler
