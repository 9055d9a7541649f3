"""Values of options, checked: numbers, durations, stages, tags. What is wrong is named with where it stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from puregrpc.client.params.durations import milliseconds
from puregrpc.errors import InvalidArgument
from puregrpc.load.problems import LoadError
from puregrpc.load.schedules import Stage
from puregrpc.metrics import tag_values

__all__ = ["Fields", "duration_text", "seconds", "snake_case"]

_WHOLE = re.compile(r"-?[0-9]{1,15}", re.ASCII)

LONGEST = 2**63 / 1e9
"""Seconds: what k6 can count in nanoseconds."""

T = TypeVar("T")


def snake_case(name: str) -> str:
    """``maxVUs`` as ``max_vus``, ``startTime`` as ``start_time``."""
    name = name.replace("VUs", "Vus")
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def seconds(value: object, where: str) -> float:
    """A duration in seconds: a number is milliseconds, as in k6, text has units. Raises LoadError."""
    try:
        found = milliseconds(value) / 1000
    except InvalidArgument as error:
        raise LoadError(f"{where}: {error}; a duration is such as 500ms, 30s, 1m30s, 2h, or milliseconds") from None
    if found < 0:
        raise LoadError(f"{where}: a duration is not negative, and this is {value!r}")
    if found > LONGEST:
        raise LoadError(f"{where}: a duration is at most 2**63 nanoseconds (292 years), and this is longer")
    return found


def duration_text(value: float) -> str:
    """Seconds as Go writes a duration: ``10m0s``, ``1.5s``, ``500ms``."""
    if value == 0:
        return "0s"
    if value < 1:
        return f"{value * 1000:.6f}".rstrip("0").rstrip(".") + "ms"
    whole, rest = divmod(round(value, 9), 60)
    minutes = int(whole)
    last = f"{rest:.9f}".rstrip("0").rstrip(".") + "s"
    if minutes >= 60:
        return f"{minutes // 60}h{minutes % 60}m{last}"
    return f"{minutes}m{last}" if minutes else last


class Fields:
    """A dict of options, in k6's spelling or in Python's; each is read once, and what is left over is an error."""

    def __init__(self, given: object, where: str) -> None:
        if not isinstance(given, Mapping):
            raise LoadError(f"{where}: a dict is expected, not {type(given).__name__}")
        self._where = where
        self._left: dict[str, tuple[str, Any]] = {}
        self._known: set[str] = set()
        for name, value in given.items():
            if not isinstance(name, str):
                raise LoadError(f"{where}: names are text, not {name!r}")
            if value is not None:
                self._left[snake_case(name)] = name, value

    def _take(self, name: str) -> tuple[str, Any] | None:
        self._known.add(name)
        found = self._left.pop(name, None)
        if found is None:
            return None
        given, value = found
        return (f"{self._where}.{given}" if self._where else given), value

    def read(self, name: str, default: T, read: Callable[[Any, str], T]) -> T:
        """An option as ``read(value, where)`` gives it."""
        found = self._take(name)
        return default if found is None else read(found[1], found[0])

    def has(self, name: str) -> bool:
        """Whether it is given."""
        self._known.add(name)
        return name in self._left

    def drop_empty(self, name: str) -> None:
        """Pass over an option that is an empty list."""
        if self._left.get(name, ("", None))[1] in ([], ()):
            self.drop(name)

    def seconds(self, name: str, default: float) -> float:
        """A duration."""
        return self.read(name, default, seconds)

    def number(self, name: str, default: int, *, least: int = 0) -> int:
        """A whole number; as text too, as the environment has it."""

        def read(value: object, where: str) -> int:
            if isinstance(value, str) and _WHOLE.fullmatch(value):
                value = int(value)
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, bool) or not isinstance(value, int):
                raise LoadError(f"{where}: a whole number is expected, not {value!r}")
            if value < least:
                raise LoadError(f"{where}: it is at least {least}, and this is {value}")
            return value

        return self.read(name, default, read)

    def text(self, name: str, default: str) -> str:
        """Text."""

        def read(value: object, where: str) -> str:
            if not isinstance(value, str):
                raise LoadError(f"{where}: text is expected, not {value!r}")
            return value

        return self.read(name, default, read)

    def boolean(self, name: str) -> bool:
        """True or False, which it is by default."""

        def read(value: object, where: str) -> bool:
            if not isinstance(value, bool):
                raise LoadError(f"{where}: True or False is expected, not {value!r}")
            return value

        return self.read(name, False, read)

    def tags(self, name: str) -> dict[str, str]:
        """Names and values as text."""

        def read(value: object, where: str) -> dict[str, str]:
            if not isinstance(value, Mapping):
                raise LoadError(f"{where}: a dict is expected, not {value!r}")
            try:
                return tag_values(value)
            except InvalidArgument as error:
                raise LoadError(f"{where}: {error}") from None

        return self.read(name, {}, read)

    def stages(self, name: str) -> tuple[Stage, ...]:
        """Stages of a ramp."""

        def read(value: object, where: str) -> tuple[Stage, ...]:
            if not isinstance(value, Sequence) or isinstance(value, str):
                raise LoadError(f'{where}: a list of {{"duration": …, "target": …}} is expected, not {value!r}')
            stages = []
            for number, each in enumerate(value):
                fields = Fields(each, f"{where}[{number}]")
                if not (fields.has("duration") and fields.has("target")):
                    raise LoadError(f"{where}[{number}]: a stage has a duration and a target")
                stages.append(Stage(fields.seconds("duration", 0.0), fields.number("target", 0)))
                fields.finish()
            return tuple(stages)

        return self.read(name, (), read)

    def finish(self) -> None:
        """Raises LoadError if an option is left that nobody has read."""
        for name, (given, _) in self._left.items():
            where = f"{self._where}: " if self._where else ""
            near = get_close_matches(name, self._known, 1)
            hint = f" (is {near[0]!r} meant?)" if near else f"; there are {', '.join(sorted(self._known))}"
            raise LoadError(f"{where}there is no option {given!r}{hint}")

    def names_left(self) -> list[str]:
        """The options that nobody has read, as they were given."""
        return [given for given, _ in self._left.values()]

    def drop(self, name: str) -> str | None:
        """Pass over an option; gives its name as it was given, if it was."""
        found = self._left.pop(name, None)
        return None if found is None else found[0]
