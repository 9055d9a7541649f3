"""What the coordinator of a run and its worker processes say to each other, over a pipe for each worker.

A worker says `Ready` when ``init`` has ended, and gets `Begin`. It asks for shared iterations by `Take`, answered with
`Numbers`, and tells each second how it stands. `Stop`, `Cut`, `Users` and `Leave` may come at any time; its last word
is `Done`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from puregrpc.load.problems import ExitStatus
from puregrpc.metrics.registry import Drained

__all__ = [
    "Begin", "Counts", "Cut", "Done", "Ended", "Failed", "FromCoordinator", "FromWorker", "Leave", "Numbers", "Ready",
    "Samples", "Stand", "Stop", "Take", "Users",
]  # fmt: skip


@dataclass(frozen=True)
class Counts:
    """How the users of a worker stand."""

    vus: int = 0
    completed: int = 0
    interrupted: int = 0
    dropped: int = 0


@dataclass(frozen=True)
class Ready:
    """``init`` has ended; ``problem`` is what it raised, with the exit status that goes with it."""

    problem: str = ""
    exit_status: int = ExitStatus.SCRIPT


@dataclass(frozen=True)
class Begin:
    """The scenarios begin at a time of `time.monotonic`, which all processes have in common, with setup's data."""

    begins_at: float
    data: Any
    tells_samples: bool


@dataclass(frozen=True)
class Take:
    """So many shared iterations of a scenario are wanted."""

    scenario: str
    count: int


@dataclass(frozen=True)
class Numbers:
    """Here they are; none: all are taken."""

    scenario: str
    numbers: list[int]


@dataclass(frozen=True)
class Stand:
    """What was measured since the last time, and how the users stand."""

    drained: list[Drained]
    counts: Counts


@dataclass(frozen=True)
class Samples:
    """Samples as they came: metric, value, tags, time."""

    samples: list[tuple[str, float, dict[str, str], float]]


@dataclass(frozen=True)
class Ended:
    """The worker's script ends the run."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """The worker's script has the run count as failed."""

    reason: str


@dataclass(frozen=True)
class Done:
    """The worker has done its part. ``failures``: what iterations raised, and how often, for each scenario."""

    drained: list[Drained]
    counts: Counts
    failures: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Stop:
    """Begin no iteration any more."""


@dataclass(frozen=True)
class Cut:
    """Interrupt what goes on."""


@dataclass(frozen=True)
class Users:
    """Have so many users in the scenarios that are controlled from outside, in all workers together."""

    count: int


@dataclass(frozen=True)
class Leave:
    """End: the run is over."""


FromWorker = Ready | Take | Stand | Samples | Ended | Failed | Done
FromCoordinator = Begin | Numbers | Stop | Cut | Users | Leave
