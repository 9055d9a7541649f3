"""gRPC health checking (health-checking.md): the service, and a client's half."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from puregrpc.errors import NotConnected
from puregrpc.kernel.events import Event
from puregrpc.server import Context
from puregrpc.services.contracts import codec, method, service_in
from puregrpc.services.serving import serve_service
from puregrpc.wire.status import StatusCode

if TYPE_CHECKING:
    from puregrpc.channel import Channel
    from puregrpc.kernel import Kernel
    from puregrpc.server.base import ServerBase

__all__ = ["HealthService", "ServingStatus", "check", "list_statuses", "watch"]

FILE = "grpc/health/v1/health.proto"
SERVICE = "grpc.health.v1.Health"


class ServingStatus(IntEnum):
    """How a service is (grpc.health.v1.HealthCheckResponse.ServingStatus)."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3
    """Only in what `watch` gives: the server does not know the service (yet)."""


class HealthService:
    """Tells how the services of a server are: `set_status` says it; clients ask with Check, List and Watch.

    The empty name stands for the server as a whole, which is SERVING unless something else is set. One object may be
    added to several servers, and spoken to from any thread.
    """

    def __init__(self) -> None:
        self._statuses: dict[str, ServingStatus] = {"": ServingStatus.SERVING}
        self._watches: set[_Watch] = set()
        self._is_shut_down = False

    def add_to(self, server: ServerBase) -> None:
        """Serve it on ``server``. When that stops, everything becomes NOT_SERVING and the watches end."""
        serve_service(server, service_in(server.registry, FILE, SERVICE), self)
        server.call_on_stop(self.shut_down)

    def set_status(self, service: str, status: ServingStatus) -> None:
        """Say how a service is, by its full name; watches hear of it. After `shut_down` nothing changes any more."""
        if not self._is_shut_down and self._statuses.get(service) is not status:
            self._statuses[service] = ServingStatus(status)
            self._tell()

    def status(self, service: str = "") -> ServingStatus | None:
        """What was said of a service; None if nothing was."""
        return self._statuses.get(service)

    def shut_down(self) -> None:
        """Make everything NOT_SERVING, for good, and end the watches (UNAVAILABLE) once they have told it."""
        self._is_shut_down = True
        for name in tuple(self._statuses):
            self._statuses[name] = ServingStatus.NOT_SERVING
        self._tell()

    def _tell(self) -> None:
        for watch in tuple(self._watches):
            with suppress(NotConnected):  # its server is no more
                watch.kernel.call_soon(watch.tell)

    async def check(self, request: dict[str, Any], context: Context) -> dict[str, Any]:
        """NOT_FOUND for a service that nothing is known of."""
        status = self._statuses.get(request["service"])
        if status is None:
            context.abort(StatusCode.NOT_FOUND, "unknown service")
        return {"status": status.name}

    async def list(self, request: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG002 - a handler
        """All services that something is known of."""
        return {"statuses": {name: {"status": status.name} for name, status in tuple(self._statuses.items())}}

    async def watch(self, request: dict[str, Any], context: Context) -> AsyncIterator[dict[str, Any]]:
        """The status now, and each new one."""
        told: ServingStatus | None = None
        watch = _Watch(context.kernel)
        self._watches.add(watch)
        context.add_callback(watch.tell)
        try:
            while True:
                changed = watch.changed
                status = self._statuses.get(request["service"], ServingStatus.SERVICE_UNKNOWN)
                if status is not told:
                    yield {"status": status.name}
                    told = status
                elif self._is_shut_down:
                    context.abort(StatusCode.UNAVAILABLE, "the server is stopping")
                elif context.cancelled:  # where a thread waits, nothing else ends it
                    return
                else:
                    await changed.wait()
        finally:
            self._watches.discard(watch)


class _Watch:
    """A call that waits for statuses to change."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.changed = Event(kernel)

    def tell(self) -> None:
        """Something has changed."""
        changed, self.changed = self.changed, Event(self.kernel)
        changed.set()


async def check(channel: Channel, service: str = "", *, timeout: float | None = None) -> ServingStatus:
    """Ask once how a service is (empty: the server as a whole). ``timeout`` is in seconds.

    Raises RpcError: NOT_FOUND if the server knows nothing of the service, UNIMPLEMENTED if it has no health service.
    """
    ask = channel.unary_unary(method(FILE, SERVICE, "Check"), codec=codec(FILE))
    return ServingStatus[(await ask({"service": service}, timeout=timeout))["status"]]


async def list_statuses(channel: Channel, *, timeout: float | None = None) -> dict[str, ServingStatus]:
    """Ask for all services at once. Raises RpcError; older servers do not have it (UNIMPLEMENTED)."""
    ask = channel.unary_unary(method(FILE, SERVICE, "List"), codec=codec(FILE))
    answer = await ask({}, timeout=timeout)
    return {name: ServingStatus[entry["status"]] for name, entry in answer["statuses"].items()}


async def watch(channel: Channel, service: str = "") -> AsyncGenerator[ServingStatus, None]:
    """The status of a service now, and each new one, until the call ends (RpcError) or the iteration is left."""
    ask = channel.unary_stream(method(FILE, SERVICE, "Watch"), codec=codec(FILE))
    async with ask({"service": service}) as call:
        async for answer in call:
            yield ServingStatus[answer["status"]]
