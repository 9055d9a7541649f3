"""Which protocol a call speaks over HTTP/2, by its content-type: gRPC, gRPC-Web, Connect, or plain HTTP.

gRPC: PROTOCOL-HTTP2, "Requests". gRPC-Web: PROTOCOL-WEB, "Content-Type". Connect: connectrpc.com/docs/protocol.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum

from puregrpc.wire.status import Status, StatusCode

__all__ = ["Protocol", "is_json", "request_protocol", "response_protocol", "status_of_connect", "status_of_trailers"]


class Protocol(Enum):
    """What the octets of a stream are. The values are names for readers."""

    GRPC = "gRPC"
    GRPC_WEB = "gRPC-Web"
    GRPC_WEB_TEXT = "gRPC-Web in base64"
    CONNECT_STREAM = "Connect, as a stream"
    CONNECT_UNARY = "Connect"
    HTTP = "plain HTTP"

    @property
    def is_web(self) -> bool:
        """Whether it is gRPC-Web, in either form."""
        return self in (Protocol.GRPC_WEB, Protocol.GRPC_WEB_TEXT)

    @property
    def is_connect(self) -> bool:
        """Whether it is Connect, in either form."""
        return self in (Protocol.CONNECT_STREAM, Protocol.CONNECT_UNARY)


_BY_CONTENT_TYPE = (
    (b"application/grpc-web-text", Protocol.GRPC_WEB_TEXT),
    (b"application/grpc-web", Protocol.GRPC_WEB),
    (b"application/grpc", Protocol.GRPC),
    (b"application/connect", Protocol.CONNECT_STREAM),
    (b"application/proto", Protocol.CONNECT_UNARY),
)


def _media_type(content_type: bytes) -> bytes:
    return content_type.split(b";")[0].strip().lower()


def _of_content_type(content_type: bytes) -> Protocol | None:
    base = _media_type(content_type).split(b"+")[0]
    return next((protocol for name, protocol in _BY_CONTENT_TYPE if base == name), None)


def is_json(content_type: bytes) -> bool:
    """Whether messages are JSON."""
    return _media_type(content_type).endswith((b"/json", b"+json"))


def request_protocol(fields: Mapping[bytes, bytes], *, whole: bool) -> Protocol:
    """The protocol of a request; without all of its fields (``whole``) gRPC is taken, unless they say otherwise."""
    content_type = fields.get(b"content-type", b"")
    if found := _of_content_type(content_type):
        return found
    if b"connect-protocol-version" in fields or b"connect=v1" in fields.get(b":path", b"").partition(b"?")[2]:
        return Protocol.CONNECT_UNARY
    means_grpc = fields.get(b"te") == b"trailers" or any(name.startswith(b"grpc-") for name in fields)
    return Protocol.GRPC if means_grpc or (not whole and not content_type) else Protocol.HTTP


def response_protocol(request: Protocol, content_type: bytes | None) -> Protocol:
    """The protocol of what answers a request: a proxy may answer gRPC with a page."""
    if content_type is None:
        return request
    if request.is_connect and is_json(content_type):
        return request if request is Protocol.CONNECT_STREAM and b"connect+" in content_type else Protocol.CONNECT_UNARY
    return _of_content_type(content_type) or Protocol.HTTP


def status_of_trailers(lines: bytes) -> Status | None:
    """The status in the trailers that gRPC-Web has in its last message."""
    fields: dict[bytes, bytes] = {}
    for line in lines.split(b"\n"):
        name, _, value = line.partition(b":")
        fields.setdefault(name.strip().lower(), value.strip())
    code = fields.get(b"grpc-status", b"")
    if not code.isdigit() or len(code) > 10:
        return None
    return Status(int(code), fields.get(b"grpc-message", b"").decode("utf-8", "replace"))


_CODES = {code.name.lower(): code for code in StatusCode} | {"canceled": StatusCode.CANCELLED}


def status_of_connect(body: bytes, *, is_error: bool) -> Status | None:
    """The status in the last message of a stream, or (``is_error``) in the body of a response that is an error."""
    try:
        told = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return None
    if not is_error:
        if not isinstance(told, dict):
            return None
        told = told.get("error")
        if told is None:
            return Status(0)
    if not isinstance(told, dict):
        return None
    code = _CODES.get(str(told.get("code")))
    return Status(code if code is not None else StatusCode.UNKNOWN, str(told.get("message") or ""))
