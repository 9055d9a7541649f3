"""hello.HelloService, the greeter of k6's examples: one method for each of the four kinds of call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from puregrpc.server import Context
from puregrpc.server.base import ServerBase
from puregrpc.services.contracts import service
from puregrpc.services.serving import serve_service

__all__ = ["HelloService"]

REPLIES = 10


def greeting(request: dict[str, Any]) -> str:
    """Whom to greet."""
    return str(request.get("greeting") or "noname")


class HelloService:
    """The handlers, with messages as dicts."""

    def add_to(self, server: ServerBase) -> None:
        """Serve it."""
        serve_service(server, service("hello.proto", "hello.HelloService"), self)

    async def say_hello(self, request: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG002
        return {"reply": f"hello {greeting(request)}"}

    async def lots_of_replies(
        self,
        request: dict[str, Any],
        context: Context,  # noqa: ARG002
    ) -> AsyncIterator[dict[str, Any]]:
        for _ in range(REPLIES):
            yield {"reply": f"hello {greeting(request)}"}

    async def lots_of_greetings(
        self,
        requests: AsyncIterator[dict[str, Any]],
        context: Context,  # noqa: ARG002
    ) -> dict[str, Any]:
        names = [greeting(request) async for request in requests]
        return {"reply": f"hello {', '.join(names)}"}

    async def bidi_hello(
        self,
        requests: AsyncIterator[dict[str, Any]],
        context: Context,  # noqa: ARG002
    ) -> AsyncIterator[dict[str, Any]]:
        async for request in requests:
            yield {"reply": f"hello {greeting(request)}"}
