"""Scenarios: what k6's executors are told, as data. How each is carried out is in ``executors``."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from puregrpc.load.problems import LoadError
from puregrpc.load.reading import Fields, duration_text
from puregrpc.load.schedules import Stage, total_duration

__all__ = [
    "EXECUTORS",
    "ConstantArrivalRate",
    "ConstantVus",
    "ExternallyControlled",
    "PerVuIterations",
    "RampingArrivalRate",
    "RampingVus",
    "Scenario",
    "SharedIterations",
    "read_scenario",
]

GRACE = 30.0
"""Seconds that iterations have to end, where nothing else is said."""

MAX_DURATION = 600.0
"""Seconds that a number of iterations may take, where nothing else is said."""

MAX_LATENESS = 10.0
"""Seconds that an iteration which is due waits for a user, where nothing else is said. With 0 it is dropped at once if
nobody is free, as in k6, and then a server that stands still leaves no trace in the percentiles."""

MAX_USERS = 1_000_000

_NAME = re.compile(r"[0-9A-Za-z_-]+")


@dataclass(frozen=True, kw_only=True)
class Scenario(ABC):
    """What all scenarios have. Durations are seconds."""

    executor: ClassVar[str]
    name: str = "default"
    exec: str = "default"
    """The function of the script."""
    start_time: float = 0.0
    graceful_stop: float = GRACE
    env: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    @abstractmethod
    def duration(self) -> float:
        """How long it begins iterations at the most."""

    @property
    @abstractmethod
    def max_users(self) -> int:
        """How many users it has at the most."""

    @property
    @abstractmethod
    def text(self) -> str:
        """What it does, in k6's words."""

    @property
    def longest(self) -> float:
        """How long it lasts at the most, with its start and its grace."""
        return self.start_time + self.duration + self.graceful_stop

    def _notes(self, *notes: str) -> str:
        every = [*notes]
        if self.graceful_stop:
            every.append(f"gracefulStop: {duration_text(self.graceful_stop)}")
        if self.start_time:
            every.append(f"startTime: {duration_text(self.start_time)}")
        if self.exec != "default":
            every.append(f"exec: {self.exec}")
        return f" ({', '.join(every)})" if every else ""


@dataclass(frozen=True, kw_only=True)
class Iterations(Scenario):
    """What scenarios have that end with a number of iterations."""

    vus: int = 1
    iterations: int = 1
    max_duration: float = MAX_DURATION

    @property
    def duration(self) -> float:
        return self.max_duration

    @property
    def max_users(self) -> int:
        return self.vus

    @property
    def text(self) -> str:
        return f"{self._counted}{self._notes(f'maxDuration: {duration_text(self.max_duration)}')}"

    @property
    @abstractmethod
    def _counted(self) -> str:
        """How many, in k6's words."""


@dataclass(frozen=True, kw_only=True)
class SharedIterations(Iterations):
    """So many iterations, shared by the users: who is free does the next one."""

    executor = "shared-iterations"

    @property
    def _counted(self) -> str:
        return f"{self.iterations} iterations shared among {self.vus} VUs"


@dataclass(frozen=True, kw_only=True)
class PerVuIterations(Iterations):
    """So many iterations for each user."""

    executor = "per-vu-iterations"

    @property
    def _counted(self) -> str:
        return f"{self.iterations} iterations for each of {self.vus} VUs"


@dataclass(frozen=True, kw_only=True)
class ConstantVus(Scenario):
    """So many users for so long."""

    executor = "constant-vus"
    vus: int = 1
    lasts: float = 0.0

    @property
    def duration(self) -> float:
        return self.lasts

    @property
    def max_users(self) -> int:
        return self.vus

    @property
    def text(self) -> str:
        return f"{self.vus} looping VUs for {duration_text(self.lasts)}{self._notes()}"


@dataclass(frozen=True, kw_only=True)
class RampingVus(Scenario):
    """A number of users that goes up and down in stages."""

    executor = "ramping-vus"
    start_vus: int = 1
    stages: tuple[Stage, ...] = ()
    graceful_ramp_down: float = GRACE

    @property
    def duration(self) -> float:
        return total_duration(self.stages)

    @property
    def max_users(self) -> int:
        return max([self.start_vus, *(int(stage.target) for stage in self.stages)])

    @property
    def text(self) -> str:
        notes = self._notes(f"gracefulRampDown: {duration_text(self.graceful_ramp_down)}")
        time = duration_text(self.duration)
        return f"Up to {self.max_users} looping VUs for {time} over {len(self.stages)} stages{notes}"


@dataclass(frozen=True, kw_only=True)
class ArrivalRate(Scenario):
    """What both arrival rates have. Rates are iterations a second."""

    pre_allocated_vus: int = 1
    max_vus: int = 1
    max_lateness: float = MAX_LATENESS

    @property
    def max_users(self) -> int:
        return self.max_vus

    @property
    def _users(self) -> str:
        return f"{self.pre_allocated_vus}" + (f"-{self.max_vus}" if self.max_vus > self.pre_allocated_vus else "")


@dataclass(frozen=True, kw_only=True)
class ConstantArrivalRate(ArrivalRate):
    """So many iterations a second are begun, however long they take."""

    executor = "constant-arrival-rate"
    rate: float = 1.0
    lasts: float = 0.0

    @property
    def duration(self) -> float:
        return self.lasts

    @property
    def text(self) -> str:
        notes = self._notes(f"maxVUs: {self._users}")
        return f"{self.rate:.2f} iterations/s for {duration_text(self.lasts)}{notes}"


@dataclass(frozen=True, kw_only=True)
class RampingArrivalRate(ArrivalRate):
    """A rate of iterations that goes up and down in stages."""

    executor = "ramping-arrival-rate"
    start_rate: float = 0.0
    stages: tuple[Stage, ...] = ()

    @property
    def duration(self) -> float:
        return total_duration(self.stages)

    @property
    def text(self) -> str:
        notes = self._notes(f"maxVUs: {self._users}")
        most = max([self.start_rate, *(stage.target for stage in self.stages)])
        time = duration_text(self.duration)
        return f"Up to {most:.2f} iterations/s for {time} over {len(self.stages)} stages{notes}"


@dataclass(frozen=True, kw_only=True)
class ExternallyControlled(Scenario):
    """A number of users that somebody sets while the run goes on. A duration of 0 is without end."""

    executor = "externally-controlled"
    vus: int = 0
    max_vus: int = 0
    lasts: float = 0.0

    @property
    def duration(self) -> float:
        return self.lasts or float("inf")

    @property
    def max_users(self) -> int:
        return self.max_vus

    @property
    def text(self) -> str:
        time = duration_text(self.lasts) if self.lasts else "until it is stopped"
        return f"Externally controlled execution with {self.vus} VUs, {self.max_vus} max VUs, {time}"


EXECUTORS: dict[str, type[Scenario]] = {
    kind.executor: kind
    for kind in (
        SharedIterations,
        PerVuIterations,
        ConstantVus,
        RampingVus,
        ConstantArrivalRate,
        RampingArrivalRate,
        ExternallyControlled,
    )
}


def read_scenario(name: str, given: object) -> Scenario:
    """A scenario as ``options["scenarios"]`` has it. Raises LoadError."""
    where = f"scenarios.{name}"
    if not _NAME.fullmatch(name):
        raise LoadError(f"{where}: the name of a scenario is made of letters, digits, '-' and '_'")
    fields = Fields(given, where)
    executor = fields.text("executor", "")
    kind = EXECUTORS.get(executor)
    if kind is None:
        said = f"there is no executor {executor!r}" if executor else "it has no executor"
        raise LoadError(f"{where}: {said}; there are {', '.join(EXECUTORS)}")
    common: dict[str, object] = {
        "name": name,
        "exec": fields.text("exec", "default"),
        "start_time": fields.seconds("start_time", 0.0),
        "env": _env_of(fields),
        "tags": fields.tags("tags"),
    }
    if kind is not ExternallyControlled:
        common["graceful_stop"] = fields.seconds("graceful_stop", GRACE)
    elif fields.has("graceful_stop") or fields.has("start_time"):
        raise LoadError(f"{where}: what is controlled from outside has no gracefulStop and no startTime")
    own = _read_own(kind, fields, where)
    fields.finish()
    made = kind(**common, **own)  # type: ignore[arg-type]
    if made.max_users > MAX_USERS:
        raise LoadError(f"{where}: {made.max_users} users are more than there may be ({MAX_USERS})")
    return made


def _read_own(kind: type[Scenario], fields: Fields, where: str) -> dict[str, object]:
    if issubclass(kind, Iterations):
        vus, iterations = fields.number("vus", 1, least=1), fields.number("iterations", 1, least=1)
        if kind is SharedIterations and iterations < vus:
            raise LoadError(f"{where}: the number of iterations ({iterations}) is less than that of users ({vus})")
        return {
            "vus": vus,
            "iterations": iterations,
            "max_duration": _some(fields, "max_duration", where, MAX_DURATION),
        }
    if kind is ConstantVus:
        return {"vus": fields.number("vus", 1, least=1), "lasts": _some(fields, "duration", where)}
    if kind is ExternallyControlled:
        vus = fields.number("vus", 0)
        most = fields.number("max_vus", vus)
        if most < vus:
            raise LoadError(f"{where}: maxVUs ({most}) is less than vus ({vus})")
        if not fields.has("duration"):
            raise LoadError(f"{where}: a duration is needed; 0 is without end")
        return {"vus": vus, "max_vus": most, "lasts": fields.seconds("duration", 0.0)}
    if kind is RampingVus:
        stages = _stages(fields, where)
        start = fields.number("start_vus", 1)
        if not max(start, *(stage.target for stage in stages)):
            raise LoadError(f"{where}: startVUs or a target must be more than 0")
        return {
            "start_vus": start,
            "stages": stages,
            "graceful_ramp_down": fields.seconds("graceful_ramp_down", GRACE),
        }
    unit = _some(fields, "time_unit", where, 1.0)
    if not fields.has("pre_allocated_vus"):
        raise LoadError(f"{where}: preAllocatedVUs is needed: how many users there are from the begin")
    first = fields.number("pre_allocated_vus", 1)
    most = fields.number("max_vus", first)
    if most < first or not most:
        raise LoadError(f"{where}: maxVUs ({most}) is less than preAllocatedVUs ({first}), or both are 0")
    own: dict[str, object] = {
        "pre_allocated_vus": first,
        "max_vus": most,
        "max_lateness": fields.seconds("max_lateness", MAX_LATENESS),
    }
    if kind is ConstantArrivalRate:
        if not fields.has("rate"):
            raise LoadError(f"{where}: rate is needed: how many iterations are begun in each timeUnit")
        return {
            **own,
            "rate": fields.number("rate", 1, least=1) / unit,
            "lasts": _some(fields, "duration", where),
        }
    stages = _stages(fields, where)
    return {
        **own,
        "start_rate": fields.number("start_rate", 0) / unit,
        "stages": tuple(Stage(duration, target / unit) for duration, target in stages),
    }


def _some(fields: Fields, name: str, where: str, default: float = 0.0) -> float:
    """A duration that is more than nothing."""
    found = fields.seconds(name, default)
    if not found:
        raise LoadError(f"{where}: {name} is needed, and more than 0")
    return found


def _stages(fields: Fields, where: str) -> tuple[Stage, ...]:
    stages = fields.stages("stages")
    if not stages:
        raise LoadError(f"{where}: at least one stage is needed")
    return stages


def _env_of(fields: Fields) -> dict[str, str]:
    nothing: dict[str, str] = {}
    return fields.read("env", nothing, _env)


def _env(value: object, where: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise LoadError(f"{where}: a dict is expected, not {value!r}")
    return {str(name): str(each) for name, each in value.items()}
