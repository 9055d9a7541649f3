"""hello.HelloService, the greeter of k6's examples: one method for each of the four kinds of call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from puregrpc.server import Context, in_place
from puregrpc.server.base import ServerBase
from puregrpc.services.answering import Gathering, answer_each, answer_last, answer_many
from puregrpc.services.contracts import service

__all__ = ["HelloService"]

REPLIES = 10


def greeting(request: dict[str, Any]) -> str:
    """Whom to greet."""
    return str(request.get("greeting") or "noname")


class HelloService:
    """The service, with messages as dicts."""

    def add_to(self, server: ServerBase) -> None:
        """Serve it."""
        handlers = {
            "SayHello": say_hello,
            "LotsOfReplies": answer_many(server, greet_often),
            "LotsOfGreetings": answer_last(server, lambda _: Together()),
            "BidiHello": answer_each(server, lambda _: greet_once),
        }
        server.add_service(service("hello.proto", "hello.HelloService"), handlers)


@in_place
def say_hello(request: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG001 - a handler
    return {"reply": f"hello {greeting(request)}"}


def greet_once(request: dict[str, Any], context: Context) -> Iterator[dict[str, Any]]:  # noqa: ARG001
    yield {"reply": f"hello {greeting(request)}"}


def greet_often(request: dict[str, Any], context: Context) -> Iterator[dict[str, Any]]:  # noqa: ARG001
    for _ in range(REPLIES):
        yield {"reply": f"hello {greeting(request)}"}


class Together(Gathering):
    """One greeting for all."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def take(self, request: dict[str, Any]) -> bool:
        self._names.append(greeting(request))
        return True

    def answer(self) -> dict[str, Any]:
        return {"reply": f"hello {', '.join(self._names)}"}
