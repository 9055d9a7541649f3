"""A client's half of health checking: ask once, ask for all, and watch."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from puregrpc.channel import Channel
from puregrpc.errors import NamedInt
from puregrpc.services.contracts import codec, method

__all__ = ["FILE", "SERVICE", "ServingStatus", "check", "list_statuses", "watch"]

FILE = "grpc/health/v1/health.proto"
SERVICE = "grpc.health.v1.Health"


class ServingStatus(NamedInt):
    """How a service is (grpc.health.v1.HealthCheckResponse.ServingStatus)."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3
    """Only in what `watch` gives: the server does not know the service (yet)."""

    @classmethod
    def said(cls, status: str | int) -> ServingStatus:
        """What a server says, by name; by number where that has none here."""
        return cls[status] if isinstance(status, str) else cls(status)


async def check(channel: Channel, service: str = "", *, timeout: float | None = None) -> ServingStatus:
    """Ask once how a service is (empty: the server as a whole). ``timeout`` is in seconds.

    Raises RpcError: NOT_FOUND if the server knows nothing of the service, UNIMPLEMENTED if it has no health service.
    """
    ask = channel.unary_unary(method(FILE, SERVICE, "Check"), codec=codec(FILE))
    return ServingStatus.said((await ask({"service": service}, timeout=timeout))["status"])


async def list_statuses(channel: Channel, *, timeout: float | None = None) -> dict[str, ServingStatus]:
    """Ask for all services at once. Raises RpcError; older servers do not have it (UNIMPLEMENTED)."""
    ask = channel.unary_unary(method(FILE, SERVICE, "List"), codec=codec(FILE))
    answer = await ask({}, timeout=timeout)
    return {name: ServingStatus.said(entry["status"]) for name, entry in answer["statuses"].items()}


async def watch(
    channel: Channel, service: str = "", *, timeout: float | None = None
) -> AsyncGenerator[ServingStatus, None]:
    """The status of a service now, and each new one, until the call ends (RpcError) or the iteration is left.

    ``timeout`` (seconds) is that of the call: DEADLINE_EXCEEDED.
    """
    ask = channel.unary_stream(method(FILE, SERVICE, "Watch"), codec=codec(FILE))
    async with ask({"service": service}, timeout=timeout) as call:
        async for answer in call:
            yield ServingStatus.said(answer["status"])
