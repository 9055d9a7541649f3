"""The health check of the clients (grpc.health.v1.Health/Check).

The services room has the whole service; it is not loaded for this.
"""

from __future__ import annotations

from puregrpc.channel.backends.health import health_request, serving_status
from puregrpc.client.calls.core import ClientCore
from puregrpc.client.calls.measure import CallMeter
from puregrpc.client.calls.requests import UnaryOutcome
from puregrpc.client.results.records import HealthStatus
from puregrpc.client.results.wording import as_k6_says, failed_call

__all__ = ["PATH", "request", "result"]

PATH = "/grpc.health.v1.Health/Check"


def request(service: object) -> bytes:
    """A HealthCheckRequest."""
    return health_request("" if service is None else str(service))


def result(outcome: UnaryOutcome, meter: CallMeter, core: ClientCore) -> HealthStatus:
    """What the check said. Raises RpcError, DecodeError."""
    status = as_k6_says(outcome.status.code, outcome.status.message, outcome.status.details)
    meter.end(status.code)
    if status.code:
        raise failed_call(status, headers=outcome.headers, trailers=outcome.trailers, read_details=core.read_details)
    return HealthStatus(serving_status(outcome.message or b""), core.metrics)
