"""A virtual user: what is its own, and how it does an iteration."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from puregrpc.client.per_user import Connections, current_connections
from puregrpc.load.context import Place, current_place
from puregrpc.load.problems import Abort
from puregrpc.metrics.current import Surroundings, surround

if TYPE_CHECKING:
    from puregrpc.load.activity import Activity

__all__ = ["User"]

AT_ONCE = 5e-5
"""Seconds: an iteration that took no longer has waited for nothing, and others must have their turn after it."""

LONGEST_TURN = 0.05
"""Seconds after which others have theirs in any case."""


class User:
    """A virtual user of a scenario."""

    __slots__ = (
        "_function", "_turn", "activity", "completed", "connections", "interrupted", "place", "surroundings",
    )  # fmt: skip

    def __init__(self, number: int, activity: Activity, connections: Connections) -> None:
        self.activity = activity
        self.connections = connections
        self.place = Place(number, activity, activity.test, f"{activity.test.seed}/{number}", self._set_tags)
        self.surroundings = Surroundings(activity.tags, key=activity.surroundings)
        self._function: Callable[..., Any] = activity.function
        self._turn = 0.0
        self.completed = 0
        self.interrupted = 0

    def _set_tags(self, tags: dict[str, str]) -> None:
        activity = self.activity
        self.surroundings = Surroundings({**activity.tags, **tags}, key=activity.surroundings_of(tags))
        surround(self.surroundings)

    def settle_in(self) -> None:
        """Let the code of this task be the user's."""
        current_place.set(self.place)
        current_connections.set(self.connections)
        surround(self.surroundings)
        self._turn = perf_counter()

    async def iterate(self, number: int, planned: float | None = None) -> None:
        """Do an iteration: ``number`` is its own in the scenario, ``planned`` when it was due (`perf_counter`)."""
        activity, place = self.activity, self.place
        place.iteration += 1
        place.iteration_in_test = number
        has_aborted = False
        began = perf_counter()
        if planned is not None:
            place.planned = planned
            self.surroundings.behind = max(began - planned, 0.0)
        try:
            if activity.is_async:
                await self._function(*activity.arguments)
            else:
                self._function(*activity.arguments)
        except Exception as error:
            activity.failed(error)
        except Abort as error:
            has_aborted = True
            activity.aborted(error)
        except BaseException as error:
            if activity.kernel.interrupts(error):
                self.interrupted += 1
                raise
            activity.failed(error)
        if activity.is_cut and not has_aborted:
            self.interrupted += 1
            return
        ended = perf_counter()
        activity.durations.note((ended - began) * 1000)
        self.completed += 1
        shortest = activity.shortest
        if shortest and ended - began < shortest:
            await activity.pause(shortest - (ended - began))
            self._turn = perf_counter()
        elif ended - began < AT_ONCE or ended - self._turn > LONGEST_TURN:
            self._turn = ended
            await activity.kernel.checkpoint()
