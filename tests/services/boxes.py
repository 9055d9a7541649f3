"""A server whose messages are google.protobuf.Any of types that no file of its service imports."""

from __future__ import annotations

from typing import Any

from puregrpc.codec import Codec
from puregrpc.errors import RpcError
from puregrpc.proto import compile as compile_proto
from puregrpc.schema import Registry
from puregrpc.server import Context
from puregrpc.server.base import ServerBase
from puregrpc.services import HealthService, ReflectionService
from puregrpc.wire.status import StatusCode

SOURCES = {
    "box.proto": """
        syntax = "proto3"; package box; import "google/protobuf/any.proto";
        message Box { google.protobuf.Any content = 1; }
        service Boxes {
          rpc Echo(Box) returns (Box); rpc Repeat(stream Box) returns (stream Box); rpc Fail(Box) returns (Box);
        }
    """,
    "hidden.proto": """
        syntax = "proto3"; package hidden; import "google/protobuf/any.proto"; import "deeper.proto";
        message Secret { string text = 1; deeper.Grain grain = 2; }
        message Wrap { google.protobuf.Any inner = 1; }
    """,
    "deeper.proto": 'syntax = "proto3"; package deeper; message Grain { int32 size = 1; }',
}

SECRET = {"@type": "type.googleapis.com/hidden.Secret", "text": "x", "grain": {"size": 3}}
WRAPPED = {"@type": "example.org/hidden.Wrap", "inner": SECRET}
UNKNOWN = {"@type": "type.googleapis.com/nobody.Knows", "@value": "CAE="}
STRUCT = {
    "@type": "type.googleapis.com/google.protobuf.Struct",
    "value": {"@type": "mine", "size": 1.0, "text": "t"},
}
DETAILS: list[dict[str, Any]] = [
    SECRET,
    WRAPPED,
    STRUCT,
    {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.500s"},
    {"@type": "type.googleapis.com/google.protobuf.Any", "value": SECRET},
    {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "7", "servingData": ""},
    UNKNOWN,
]


def known() -> Registry:
    """All of the types."""
    registry = Registry()
    for file in compile_proto([*SOURCES, "google/rpc/status.proto"], sources=SOURCES):
        registry.add_file(file)
    return registry


def add_boxes(server: ServerBase) -> None:
    """Have a server serve box.Boxes, health, and reflection that knows all of the files."""
    registry = known()
    status = Codec(registry).encode(
        registry.message("google.rpc.Status"), {"code": 9, "message": "no box", "details": DETAILS}
    )

    def echo(request: bytes, context: Context) -> bytes:
        return request

    def fail(request: bytes, context: Context) -> bytes:
        raise RpcError(StatusCode.FAILED_PRECONDITION, "no box", details_bin=status)

    async def repeat(requests: Any, context: Context) -> Any:
        async for request in requests:
            yield request

    handlers = {"Echo": echo, "Repeat": repeat, "Fail": fail}
    server.add_service(registry.service("box.Boxes"), handlers, messages="bytes")
    for file in registry.files.values():
        server.registry.add_file(file)
    HealthService().add_to(server)
    ReflectionService().add_to(server)
