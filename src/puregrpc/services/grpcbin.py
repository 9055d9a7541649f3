"""grpcbin.GRPCBin: echoes, errors and headers to try a client with."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

from puregrpc.proto.descriptors import MethodDescriptor
from puregrpc.server import Context
from puregrpc.server.base import ServerBase
from puregrpc.services.contracts import service
from puregrpc.services.serving import serve_service
from puregrpc.wire.status import Status, StatusCode

__all__ = ["GRPCBinService"]

MESSAGES = 10
"""How many messages the streams give or take."""


def title(code: int) -> str:
    """The name of a status code as Go spells it: ``NotFound``."""
    if code == StatusCode.CANCELLED:
        return "Canceled"
    name = Status(code).name
    return f"Code({code})" if name.startswith("CODE_") else "".join(word.title() for word in name.split("_"))


class GRPCBinService:
    """The handlers, with messages as dicts."""

    def add_to(self, server: ServerBase) -> None:
        """Serve it."""
        serve_service(server, service("grpcbin.proto", "grpcbin.GRPCBin"), self)

    async def index(self, request: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG002 - a handler
        methods: list[MethodDescriptor] = service("grpcbin.proto", "grpcbin.GRPCBin").methods
        endpoints = [
            {"path": method.name} for method in methods if not (method.is_client_stream or method.is_server_stream)
        ]
        return {"description": "gRPC testing server", "endpoints": endpoints}

    async def empty(self, request: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG002
        return {}

    async def dummy_unary(self, request: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG002
        return request

    async def dummy_server_stream(
        self,
        request: dict[str, Any],
        context: Context,  # noqa: ARG002
    ) -> AsyncIterator[dict[str, Any]]:
        for _ in range(MESSAGES):
            yield request

    async def dummy_client_stream(
        self,
        requests: AsyncIterator[dict[str, Any]],
        context: Context,  # noqa: ARG002
    ) -> dict[str, Any]:
        last: dict[str, Any] = {}
        count = 0
        async for request in requests:
            last = request
            count += 1
            if count == MESSAGES:
                break
        return last

    async def dummy_bidirectional_stream_stream(
        self,
        requests: AsyncIterator[dict[str, Any]],
        context: Context,  # noqa: ARG002
    ) -> AsyncIterator[dict[str, Any]]:
        async for request in requests:
            yield request

    async def specific_error(self, request: dict[str, Any], context: Context) -> dict[str, Any]:
        code = request["code"]
        if code:
            context.abort(code, request["reason"] or title(code))
        return {}

    async def random_error(self, request: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG002
        code = random.randint(1, StatusCode.UNAUTHENTICATED)
        context.abort(code, title(code))

    async def headers_unary(self, request: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG002
        found: dict[str, dict[str, list[str]]] = {}
        # :authority and user-agent are in the metadata that grpcbin, a server in Go, shows.
        pairs = [(":authority", context.authority), ("user-agent", context.user_agent), *context.metadata]
        for name, value in pairs:
            text = value.decode("latin-1") if isinstance(value, bytes) else value
            found.setdefault(name, {"values": []})["values"].append(text)
        return {"Metadata": found}

    async def no_response_unary(self, request: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG002
        return {}
