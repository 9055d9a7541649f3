"""Checks of the user's own: functions of a Python file that are marked with `check`."""

from __future__ import annotations

import runpy
from typing import TypeVar

from puregrpc.errors import InvalidArgument
from puregrpc.fuzz.checks.words import UserCheck

__all__ = ["check", "load_checks"]

F = TypeVar("F", bound=UserCheck)
MARK = "__puregrpc_fuzz_check__"


def check(function: F) -> F:
    """Mark a function as a check of `puregrpc fuzz --checks FILE.py`.

    It is called with the case, its answer (`code`, `text`, `headers`, `trailers`, `messages()`) and the reply as a
    google.protobuf object (None if it is none), and returns None, or in words what is wrong: a finding ``property``.
    """
    setattr(function, MARK, True)
    return function


def load_checks(file: str) -> list[UserCheck]:
    """The checks of a file. Raises InvalidArgument if it cannot be run or has none, OSError if it cannot be read."""
    try:
        found = runpy.run_path(file)
    except OSError:
        raise
    except Exception as error:
        raise InvalidArgument(f"--checks {file}: {type(error).__name__}: {error}") from None
    checks = [value for value in found.values() if callable(value) and getattr(value, MARK, False)]
    if not checks:
        raise InvalidArgument(f"--checks {file}: no function in it is marked with @puregrpc.fuzz.check")
    return checks
