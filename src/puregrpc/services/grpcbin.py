"""grpcbin.GRPCBin: echoes, errors and headers to try a client with."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from puregrpc.proto.descriptors import MethodDescriptor
from puregrpc.server import Context, in_place
from puregrpc.server.base import ServerBase
from puregrpc.services.answering import Gathering, answer_each, answer_last, answer_many
from puregrpc.services.contracts import service
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
    """The service, with messages as dicts."""

    def add_to(self, server: ServerBase) -> None:
        """Serve it."""
        handlers = {
            "Index": index,
            "Empty": nothing,
            "DummyUnary": echo,
            "DummyServerStream": answer_many(server, echo_often),
            "DummyClientStream": answer_last(server, lambda _: LastOfSome()),
            "DummyBidirectionalStreamStream": answer_each(server, lambda _: echo_once),
            "SpecificError": specific_error,
            "RandomError": random_error,
            "HeadersUnary": headers,
            "NoResponseUnary": nothing,
        }
        server.add_service(service("grpcbin.proto", "grpcbin.GRPCBin"), handlers)


@in_place
def index(request: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG001 - a handler, as the others are
    methods: list[MethodDescriptor] = service("grpcbin.proto", "grpcbin.GRPCBin").methods
    endpoints = [
        {"path": method.name} for method in methods if not (method.is_client_stream or method.is_server_stream)
    ]
    return {"description": "gRPC testing server", "endpoints": endpoints}


@in_place
def nothing(request: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG001
    return {}


@in_place
def echo(request: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG001
    return request


def echo_once(request: dict[str, Any], context: Context) -> Iterator[dict[str, Any]]:  # noqa: ARG001
    yield request


def echo_often(request: dict[str, Any], context: Context) -> Iterator[dict[str, Any]]:  # noqa: ARG001
    for _ in range(MESSAGES):
        yield request


class LastOfSome(Gathering):
    """The last of so many requests as are wanted."""

    def __init__(self) -> None:
        self._last: dict[str, Any] = {}
        self._count = 0

    def take(self, request: dict[str, Any]) -> bool:
        self._last = request
        self._count += 1
        return self._count < MESSAGES

    def answer(self) -> dict[str, Any]:
        return self._last


@in_place
def specific_error(request: dict[str, Any], context: Context) -> dict[str, Any]:
    code = request["code"]
    if code:
        context.abort(code, request["reason"] or title(code))
    return {}


@in_place
def random_error(request: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG001
    code = random.randint(1, StatusCode.UNAUTHENTICATED)
    context.abort(code, title(code))


@in_place
def headers(request: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG001
    found: dict[str, dict[str, list[str]]] = {}
    # :authority and user-agent are in the metadata that grpcbin, a server in Go, shows.
    pairs = [(":authority", context.authority), ("user-agent", context.user_agent), *context.metadata]
    for name, value in pairs:
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        found.setdefault(name, {"values": []})["values"].append(text)
    return {"Metadata": found}
