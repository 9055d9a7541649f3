"""What a script finds out about itself while it runs, as k6's ``k6/execution`` tells it, and how it ends the run."""

from __future__ import annotations

import random as random_module
from collections.abc import Callable, Iterator, MutableMapping
from contextvars import ContextVar
from typing import NoReturn, Protocol

from puregrpc.errors import LocalProtocolError
from puregrpc.load.problems import Abort

__all__ = [
    "Place", "ScenarioInfo", "TestInfo", "UserInfo", "abort", "current_place", "current_test", "scenario", "test", "vu",
]  # fmt: skip


class Scenario(Protocol):
    """The scenario of a user."""

    @property
    def name(self) -> str: ...
    @property
    def executor(self) -> str: ...
    def progress(self) -> float: ...
    def env(self, name: str) -> str | None: ...


class Test(Protocol):
    """The run of a user."""

    def active_users(self) -> int: ...
    def iterations(self) -> tuple[int, int]: ...
    def seconds(self) -> float: ...
    def fail(self, reason: str) -> None: ...


class Place:
    """Where code runs: the user, its iteration, its scenario and run."""

    __slots__ = (
        "id", "iteration", "iteration_in_test", "planned", "random_numbers", "scenario", "seed", "set_tags", "tags",
        "test",
    )  # fmt: skip

    def __init__(
        self, number: int, scenario: Scenario, test: Test, seed: str, set_tags: Callable[[dict[str, str]], None]
    ) -> None:
        self.id = number
        self.iteration = -1
        self.iteration_in_test = -1
        self.planned: float | None = None
        self.scenario = scenario
        self.test = test
        self.seed = seed
        self.random_numbers: random_module.Random | None = None
        """Made when they are first asked for."""
        self.tags: dict[str, str] = {}
        self.set_tags = set_tags


current_place: ContextVar[Place | None] = ContextVar("puregrpc_load_place", default=None)

current_test: ContextVar[Test | None] = ContextVar("puregrpc_load_test", default=None)
"""The run in whose ``init``, ``setup`` or ``teardown`` code is."""


def here() -> Place:
    place = current_place.get()
    if place is None:
        raise LocalProtocolError("this is known only in an iteration of a load run")
    return place


class _Tags(MutableMapping[str, str]):
    """The tags of the user whose iteration runs."""

    def __getitem__(self, name: str) -> str:
        return here().tags[name]

    def __setitem__(self, name: str, value: object) -> None:
        vu.tag(**{name: value})

    def __delitem__(self, name: str) -> None:
        if name not in here().tags:
            raise KeyError(name)
        vu.tag(**{name: None})

    def __iter__(self) -> Iterator[str]:
        return iter(dict(here().tags))

    def __len__(self) -> int:
        return len(here().tags)

    def __repr__(self) -> str:
        return repr(here().tags)


class UserInfo:
    """The virtual user whose iteration runs. Outside of iterations LocalProtocolError is raised."""

    @property
    def id(self) -> int:
        """Its number in the run, from 1."""
        return here().id

    @property
    def iteration(self) -> int:
        """How many iterations it has behind it in its scenario."""
        return here().iteration

    @property
    def random(self) -> random_module.Random:
        """Random numbers of its own, the same in each run that has the same ``seed``."""
        place = here()
        if place.random_numbers is None:
            place.random_numbers = random_module.Random(place.seed)
        return place.random_numbers

    @property
    def tags(self) -> MutableMapping[str, str]:
        """The tags that all samples of this user carry: to set one and to delete one is what `tag` does."""
        return _Tags()

    def tag(self, **tags: object) -> None:
        """Have all samples of this user carry these tags from here on; None takes one away."""
        from puregrpc.metrics import tag_values

        place = here()
        merged = {**place.tags, **tag_values({name: value for name, value in tags.items() if value is not None})}
        place.tags = {name: value for name, value in merged.items() if tags.get(name, "") is not None}
        place.set_tags(place.tags)


class ScenarioInfo:
    """The scenario that the iteration belongs to."""

    @property
    def name(self) -> str:
        """Its name."""
        return here().scenario.name

    @property
    def executor(self) -> str:
        """The executor's name, such as ``constant-vus``."""
        return here().scenario.executor

    @property
    def iteration(self) -> int:
        """The number of the iteration in the scenario, from 0, which no other one has."""
        return here().iteration_in_test

    @property
    def progress(self) -> float:
        """How far the scenario is, from 0 to 1."""
        return here().scenario.progress()

    def env(self, name: str) -> str | None:
        """A variable of the environment, that of the scenario (its ``env``) before that of the process."""
        return here().scenario.env(name)


class TestInfo:
    """The run."""

    __test__ = False

    @property
    def vus_active(self) -> int:
        """How many users are active in this process."""
        return here().test.active_users()

    @property
    def iterations_completed(self) -> int:
        """How many iterations have ended in this process."""
        return here().test.iterations()[0]

    @property
    def iterations_interrupted(self) -> int:
        """How many iterations were interrupted in this process."""
        return here().test.iterations()[1]

    @property
    def seconds(self) -> float:
        """How long the run goes on."""
        return here().test.seconds()

    def fail(self, reason: object = "") -> None:
        """Have the run count as failed: it goes on to its end, and the exit status is 110. In ``init``, ``setup`` and
        ``teardown`` too."""
        run = current_test.get()
        (here().test if run is None else run).fail(str(reason))

    def abort(self, reason: object = "") -> NoReturn:
        """See `puregrpc.load.abort`."""
        abort(reason)


vu = UserInfo()
scenario = ScenarioInfo()
test = TestInfo()


def abort(reason: object = "") -> NoReturn:
    """End the run: no iteration is begun any more, those that go on are interrupted, and the exit status is 108."""
    raise Abort(str(reason))
