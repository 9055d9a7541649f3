"""The health check of the clients (grpc.health.v1.Health/Check): two messages with one field each, written by hand.

The services room has the whole service; it is not loaded for this.
"""

from __future__ import annotations

from puregrpc.client.calls.measure import CallMeter
from puregrpc.client.calls.requests import UnaryOutcome
from puregrpc.client.results.records import HealthStatus
from puregrpc.client.results.wording import as_k6_says, failed_call
from puregrpc.errors import DecodeError
from puregrpc.metrics import Metrics

__all__ = ["PATH", "request", "result"]

PATH = "/grpc.health.v1.Health/Check"

SERVICE_FIELD = 0x0A
"""HealthCheckRequest.service = 1, a string."""
STATUS_FIELD = 0x08
"""HealthCheckResponse.status = 1, an enum."""


def request(service: object) -> bytes:
    """A HealthCheckRequest."""
    name = ("" if service is None else str(service)).encode()
    if not name:
        return b""
    length, octets = len(name), bytearray([SERVICE_FIELD])
    while length > 0x7F:
        octets.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*octets, length]) + name


def result(outcome: UnaryOutcome, meter: CallMeter, metrics: Metrics) -> HealthStatus:
    """What the check said. Raises RpcError, DecodeError."""
    status = as_k6_says(outcome.status.code, outcome.status.message, outcome.status.details)
    meter.end(status.code)
    if status.code:
        raise failed_call(status, trailers=outcome.trailers)
    return HealthStatus(serving_status(outcome.message or b""), metrics)


def serving_status(message: bytes) -> int:
    """The status in a HealthCheckResponse. Raises DecodeError if that is not what it is."""
    if not message:
        return 0
    number, shift = 0, 0
    for octet in message[1:11]:
        number |= (octet & 0x7F) << shift
        shift += 7
        if octet < 0x80:
            break
    if message[0] != STATUS_FIELD or number > 0x7FFFFFFF:
        raise DecodeError("message", "not a grpc.health.v1.HealthCheckResponse")
    return number
