"""The health service: tells how the services of a server are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from puregrpc.errors import NotConnected
from puregrpc.kernel.threads.mutex import Mutex
from puregrpc.kernel.threads.waking import Event
from puregrpc.server import Context, in_place, own_thread
from puregrpc.server.base import ServerBase
from puregrpc.services.contracts import service_in
from puregrpc.services.health.client import FILE, SERVICE, ServingStatus
from puregrpc.wire.status import StatusCode

if TYPE_CHECKING:
    from puregrpc.kernel import Waiter

__all__ = ["HealthService"]

LONGEST_AWAITED = 1 << 10
"""Characters of a name that is watched though nothing is known of its service: the watch keeps it."""


class HealthService:
    """Tells how the services of a server are: `set_status` says it; clients ask with Check, List and Watch.

    The empty name stands for the server as a whole, which is SERVING unless something else is set. Several servers may
    have it, of any world. `set_status` and `shut_down` may be called in any thread.
    """

    def __init__(self) -> None:
        self._statuses: dict[str, ServingStatus] = {"": ServingStatus.SERVING}
        self._is_shut_down = False
        self._mutex = Mutex()
        self._watches: set[Callable[[], object]] = set()
        """What wakes each of those that watch."""

    def add_to(self, server: ServerBase) -> None:
        """Serve it on ``server``. When that stops, everything becomes NOT_SERVING and the watches end."""
        handlers = {
            "Check": self._check,
            "List": self._list,
            "Watch": self._watch_plainly if server.is_blocking else self._watch,
        }
        server.add_service(service_in(server.registry, FILE, SERVICE), handlers)
        server.call_on_stop(self.shut_down)

    def set_status(self, service: str, status: ServingStatus) -> None:
        """Say how a service is, by its full name; watches hear of it. After `shut_down` nothing changes any more."""
        self._tell(self._mutex.locked(self._set, service, ServingStatus(status)))

    def status(self, service: str = "") -> ServingStatus | None:
        """What was said of a service; None if nothing was."""
        return self._statuses.get(service)

    def shut_down(self) -> None:
        """Make everything NOT_SERVING, for good, and end the watches (UNAVAILABLE) once they have told it."""
        self._tell(self._mutex.locked(self._shut_down))

    def _tell(self, watches: list[Callable[[], object]]) -> None:
        for wake in watches:
            wake()

    # -- with the mutex held; what changes something gives those that are to hear of it

    def _set(self, service: str, status: ServingStatus) -> list[Callable[[], object]]:
        if not self._is_shut_down:
            self._statuses[service] = status
        return list(self._watches)

    def _shut_down(self) -> list[Callable[[], object]]:
        self._is_shut_down = True
        for name in self._statuses:
            self._statuses[name] = ServingStatus.NOT_SERVING
        return list(self._watches)

    # -- handlers

    @in_place
    def _check(self, request: dict[str, Any], context: Context) -> dict[str, Any]:
        """NOT_FOUND for a service that nothing is known of."""
        status = self._statuses.get(request["service"])
        if status is None:
            context.abort(StatusCode.NOT_FOUND, "unknown service")
        return {"status": status.name}

    @in_place
    def _list(self, request: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG002 - a handler
        """All services that something is known of."""
        statuses = self._mutex.locked(self._statuses.copy)
        return {"statuses": {name: {"status": status.name} for name, status in statuses.items()}}

    async def _watch(self, request: dict[str, Any], context: Context) -> AsyncIterator[dict[str, Any]]:
        """The status now, and each new one. NOT_FOUND for a long name that nothing is known of."""
        self._check_length(request, context)
        watch = _Watch(context)
        self._mutex.locked(self._watches.add, watch.wake)
        try:
            while True:
                waiter = watch.waiter()
                answer = self._answer(request, context, watch)
                if answer is None:
                    await waiter.wait()
                else:
                    yield answer
        finally:
            self._mutex.locked(self._watches.discard, watch.wake)

    @own_thread
    def _watch_plainly(self, request: dict[str, Any], context: Context) -> Iterator[dict[str, Any]]:
        """The same, on a thread."""
        self._check_length(request, context)
        changed = Event()
        watch = _Watch(context)
        self._mutex.locked(self._watches.add, changed.set)
        context.add_callback(changed.set)
        try:
            while not context.cancelled:
                changed.clear()
                answer = self._answer(request, context, watch)
                if answer is not None:
                    yield answer
                elif not context.cancelled:
                    changed.wait()
        finally:
            self._mutex.locked(self._watches.discard, changed.set)

    def _check_length(self, request: dict[str, Any], context: Context) -> None:
        name = request["service"]
        if len(name) > LONGEST_AWAITED and name not in self._statuses:
            context.abort(StatusCode.NOT_FOUND, "unknown service, with a name too long to wait for it")

    def _answer(self, request: dict[str, Any], context: Context, watch: _Watch) -> dict[str, Any] | None:
        """What there is to tell a watch now; None: nothing. Raises UNAVAILABLE once the end has been told."""
        status = self._statuses.get(request["service"], ServingStatus.SERVICE_UNKNOWN)
        if status is watch.told:
            if self._is_shut_down:
                context.abort(StatusCode.UNAVAILABLE, "the server is stopping")
            return None
        watch.told = status
        return {"status": status.name}


class _Watch:
    """What one watch has told, and how it is woken in the loop."""

    def __init__(self, context: Context) -> None:
        self._kernel = context.kernel
        self._waiter: Waiter | None = None
        self.told: ServingStatus | None = None

    def waiter(self) -> Waiter:
        """What the next change wakes."""
        self._waiter = self._kernel.waiter()
        return self._waiter

    def wake(self) -> None:
        """Something has changed. From any thread."""
        with suppress(NotConnected):  # its loop has ended
            self._kernel.call_soon(self._wake)

    def _wake(self) -> None:
        if self._waiter is not None:
            self._waiter.wake()
