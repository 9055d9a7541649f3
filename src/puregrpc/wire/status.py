"""Status codes, the status of a call, and what HTTP and HTTP/2 say in place of one (gRPC's statuscodes.md)."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from dataclasses import dataclass

from puregrpc.errors import StatusCode
from puregrpc.wire.limits import MAX_ESCAPED_RUNS, MAX_GRPC_MESSAGE_SIZE

__all__ = [
    "OK",
    "Status",
    "StatusCode",
    "decode_base64",
    "decode_grpc_message",
    "encode_grpc_message",
    "http2_error_name",
    "status_from_http",
    "status_from_http2_error",
    "status_from_trailers",
]


@dataclass(frozen=True, slots=True)
class Status:
    """How a call ended: ``grpc-status``, ``grpc-message`` and ``grpc-status-details-bin``.

    ``code`` is an int and not a StatusCode: a peer may send numbers that are not in the list, and they are kept.
    ``details`` is a serialized google.rpc.Status, or None.
    """

    code: int
    message: str = ""
    details: bytes | None = None

    @property
    def name(self) -> str:
        """The code's name, such as ``NOT_FOUND``; ``CODE_n`` for a number that has none."""
        return StatusCode(self.code).name


OK = Status(0)

CUT = "..."
"""What a message ends with that was too long."""

_UNESCAPED = re.compile(rb"(?! )[ -$&-~]*(?<! )")
_ESCAPED_OCTETS = re.compile(rb"(?:%[0-9A-Fa-f]{2})+")
_PERCENT_CODED = [
    bytes((octet,)) if 0x20 <= octet <= 0x7E and octet != 0x25 else b"%%%02X" % octet for octet in range(256)
]


def encode_grpc_message(message: str, most: int = MAX_GRPC_MESSAGE_SIZE) -> bytes:
    """Percent-encode a status message for ``grpc-message`` (PROTOCOL-HTTP2, "Percent-Encoded").

    What would take more than ``most`` octets is cut between two characters, and ends with three dots; it is empty if
    not even those fit. A space at either end is encoded as well: a field value may not begin or end with one (RFC 9113,
    section 8.2.1).
    Lone surrogates, which have no UTF-8, are sent as U+FFFD.
    """
    if len(message) <= most and len(encoded := _percent_encode(message)) <= most:
        return encoded
    room = most - len(CUT)
    if room < 0:
        return b""
    cut = _percent_encode(message[: room + 1])[:room]
    escape = cut.rfind(b"%", -2)
    if escape >= 0:  # it was cut behind the percent sign or the first digit
        cut = cut[:escape]
    octets = _ESCAPED_OCTETS.sub(_unescaped, cut)
    return _percent_encode(octets.decode("utf-8", "ignore") + CUT)


def _percent_encode(message: str) -> bytes:
    octets = message.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode()
    if _UNESCAPED.fullmatch(octets):
        return octets
    encoded = b"".join([_PERCENT_CODED[octet] for octet in octets])
    if encoded.startswith(b" "):
        encoded = b"%20" + encoded[1:]
    return encoded[:-1] + b"%20" if encoded.endswith(b" ") else encoded


def decode_grpc_message(value: bytes) -> str:
    """Decode ``grpc-message``. What is damaged is kept as it came: the spec says never to fail or drop the message."""
    if b"%" in value:
        value = _ESCAPED_OCTETS.sub(_unescaped, value, MAX_ESCAPED_RUNS)
    return value.decode("utf-8", "replace")


def _unescaped(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found[0].replace(b"%", b"").decode())


def decode_base64(value: bytes) -> bytes:
    """Decode base64 with or without its padding. Raises ValueError (binascii.Error is one) if it is neither."""
    stripped = value.rstrip(b"=")
    if len(stripped) % 4 == 1:
        raise binascii.Error("a base64 value cannot have this length")
    return b64decode(stripped + b"=" * (-len(stripped) % 4), validate=True)


_GRPC_STATUS = re.compile(rb"[0-9]{1,9}")


def status_from_trailers(grpc_status: bytes | None, grpc_message: bytes | None, details: bytes | None) -> Status:
    """The status that trailers say, from the raw values of grpc-status, grpc-message and grpc-status-details-bin.

    A missing or malformed grpc-status is UNKNOWN and the message says so; details that are not base64 are dropped.
    """
    message = decode_grpc_message(grpc_message) if grpc_message else ""
    if grpc_status is None or not _GRPC_STATUS.fullmatch(grpc_status):
        problem = (
            "the server ended the call without a grpc-status"
            if grpc_status is None
            else f"malformed grpc-status {grpc_status[:32].decode('ascii', 'backslashreplace')!r}"
        )
        return Status(StatusCode.UNKNOWN, f"{problem}: {message}" if message else problem)
    code = int(grpc_status)
    if code == 0 and not message and details is None:
        return OK
    decoded = None
    if details is not None:
        try:
            decoded = decode_base64(details)
        except ValueError:
            decoded = None
    return Status(code, message, decoded)


_STATUS_OF_HTTP = {
    400: StatusCode.INTERNAL,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.UNIMPLEMENTED,
    429: StatusCode.UNAVAILABLE,
    502: StatusCode.UNAVAILABLE,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.UNAVAILABLE,
}


def status_from_http(http_status: int) -> StatusCode:
    """What an HTTP status means where no grpc-status came (gRPC's http-grpc-status-mapping.md)."""
    return _STATUS_OF_HTTP.get(http_status, StatusCode.UNKNOWN)


_HTTP2_ERRORS: tuple[tuple[str, StatusCode], ...] = (
    ("NO_ERROR", StatusCode.INTERNAL),
    ("PROTOCOL_ERROR", StatusCode.INTERNAL),
    ("INTERNAL_ERROR", StatusCode.INTERNAL),
    ("FLOW_CONTROL_ERROR", StatusCode.INTERNAL),
    ("SETTINGS_TIMEOUT", StatusCode.INTERNAL),
    ("STREAM_CLOSED", StatusCode.INTERNAL),
    ("FRAME_SIZE_ERROR", StatusCode.INTERNAL),
    ("REFUSED_STREAM", StatusCode.UNAVAILABLE),
    ("CANCEL", StatusCode.CANCELLED),
    ("COMPRESSION_ERROR", StatusCode.INTERNAL),
    ("CONNECT_ERROR", StatusCode.INTERNAL),
    ("ENHANCE_YOUR_CALM", StatusCode.RESOURCE_EXHAUSTED),
    ("INADEQUATE_SECURITY", StatusCode.PERMISSION_DENIED),
    ("HTTP_1_1_REQUIRED", StatusCode.UNKNOWN),
)
"""The error codes of RFC 9113, section 7, in their order, and the status of a call reset with each (PROTOCOL-HTTP2,
"Errors"). STREAM_CLOSED and HTTP_1_1_REQUIRED have none there; they are what grpc-go makes of them."""


def http2_error_name(error_code: int) -> str:
    """The name of an HTTP/2 error code, such as ``REFUSED_STREAM``; ``error code n`` for one that has none."""
    return _HTTP2_ERRORS[error_code][0] if 0 <= error_code < len(_HTTP2_ERRORS) else f"error code {error_code}"


def status_from_http2_error(error_code: int) -> StatusCode:
    """The status of a call that ended with RST_STREAM (PROTOCOL-HTTP2, "Errors"); UNKNOWN for an unknown code."""
    return _HTTP2_ERRORS[error_code][1] if 0 <= error_code < len(_HTTP2_ERRORS) else StatusCode.UNKNOWN
