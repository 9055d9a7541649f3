"""Feedback from a servicer in this process: which lines a request reached that no request before it did.

`sys.monitoring` from Python 3.12, where a line that was seen costs nothing afterwards; `sys.settrace` before.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType, FrameType, TracebackType
from typing import Any

from puregrpc.fuzz.values.choices import Choices, Directed, mutated, shrink
from puregrpc.fuzz.values.generate import Generator
from puregrpc.proto.descriptors import MessageDescriptor
from puregrpc.schema import Registry

__all__ = ["Coverage", "Failure", "fuzz_function"]

TOOL = 4
"""The tool id of `sys.monitoring` that is tried first; the ones after it follow."""


class Coverage:
    """Counts lines of the files whose names begin with ``prefix``, in every thread, while it is entered."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self.lines: set[tuple[str, int]] = set()
        self._tool = -1

    def _wants(self, name: str) -> bool:
        return name.startswith(self._prefix) and not name.startswith("<")

    def __enter__(self) -> Coverage:
        monitoring: Any = getattr(sys, "monitoring", None)
        if monitoring is None:
            sys.settrace(self._trace)
            threading.settrace(self._trace)
            return self
        for tool in (TOOL, 3, 1):
            if monitoring.get_tool(tool) is None:
                monitoring.use_tool_id(tool, "puregrpc.fuzz")
                self._tool = tool
                break
        else:
            raise RuntimeError("every tool id of sys.monitoring that may be had is taken")

        def line(code: CodeType, number: int) -> object:
            if self._wants(code.co_filename):
                self.lines.add((code.co_filename, number))
            return monitoring.DISABLE

        monitoring.restart_events()
        monitoring.register_callback(self._tool, monitoring.events.LINE, line)
        monitoring.set_events(self._tool, monitoring.events.LINE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        monitoring: Any = getattr(sys, "monitoring", None)
        if monitoring is None:
            sys.settrace(None)
            threading.settrace(None)
        elif self._tool >= 0:
            monitoring.set_events(self._tool, 0)
            monitoring.register_callback(self._tool, monitoring.events.LINE, None)
            monitoring.free_tool_id(self._tool)
            self._tool = -1

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        name = frame.f_code.co_filename
        if not self._wants(name):
            return None
        if event == "line":
            self.lines.add((name, frame.f_lineno))
        return self._trace


@dataclass(slots=True)
class Failure:
    """A request that made the function raise, the smallest that was found."""

    request: Any
    error: Exception
    octets: bytes = field(repr=False, default=b"")


def fuzz_function(
    function: Callable[[Any], object],
    request_type: MessageDescriptor,
    registry: Registry,
    *,
    cases: int = 2000,
    seed: int = 0,
    prefix: str = "",
    expected: tuple[type[Exception], ...] = (),
) -> list[Failure]:
    """Call a function of one's own with made-up requests, going on from those that reached new lines.

    ``function`` takes a google.protobuf object of ``request_type``: a servicer's method with its context filled in, or
    a call over a channel in memory to a server in this process. ``prefix`` is how the names of the files begin whose
    lines count. Exceptions of the classes ``expected`` are right; of the others each place is told once, with the
    smallest request that was found.
    """
    chance = random.Random(seed)
    generator = Generator(registry)
    parse = registry.message_class(request_type).FromString
    pool: list[list[int]] = []
    failures: dict[tuple[object, ...], Failure] = {}

    def attempt(choices: Choices) -> tuple[Exception | None, bytes]:
        octets = generator.message(request_type, choices)
        try:
            function(parse(octets))
        except expected:
            return None, octets
        except Exception as error:
            return error, octets
        return None, octets

    boundaries = (
        Directed({target: value}, fill=fill)
        for path, plan in generator.paths(request_type)
        for target, value in generator.boundaries(path, plan)
        for fill in (True, False)
    )
    with Coverage(prefix) as coverage:
        for number in range(cases):
            directed = next(boundaries, None) if number % 2 == 0 else None
            if directed is not None:
                choices: Choices = directed
            elif pool and chance.random() < 0.6:
                choices = Choices(chance, mutated(chance.choice(pool), chance))
            else:
                choices = Choices(chance)
            before = len(coverage.lines)
            error, octets = attempt(choices)
            if len(coverage.lines) > before:
                pool.append(list(choices.drawn))
            if error is None:
                continue
            place = _place(error)
            if place in failures:
                continue
            failures[place] = Failure(parse(octets), error, octets)

            def fails(drawn: object, place: tuple[object, ...] = place) -> Choices | None:
                again = Choices(None, list(drawn))  # type: ignore[call-overload]
                error, octets = attempt(again)
                if error is None or _place(error) != place:
                    return None
                failures[place] = Failure(parse(octets), error, octets)
                return again

            found = Choices(None, choices.drawn)
            generator.message(request_type, found)
            shrink(found, fails)
    return list(failures.values())


def _place(error: Exception) -> tuple[object, ...]:
    """The class of an exception, and the line that raised it."""
    traceback = error.__traceback__
    where: tuple[object, ...] = ()
    while traceback is not None:
        where = (traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    return (type(error), *where)
