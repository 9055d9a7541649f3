"""Code in an isolated interpreter beside the main one, where threads cannot be daemons."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

__all__ = ["CRASH", "WITHOUT_DAEMONS", "run_isolated"]

WITHOUT_DAEMONS = sys.version_info >= (3, 13)
CRASH = "before 3.12 they have daemons, and CPython 3.12 crashes when one has run threads (python/cpython#116510)"


def run_isolated(code: str) -> None:
    """Run code in a new interpreter, and end that, which waits for its threads. Raises RuntimeError for its exception.

    ``code`` finds the modules that its caller finds.
    """
    interpreters: Any = None
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            interpreters = import_module(name)
            break
        except ImportError:
            continue
    number = interpreters.create()
    problem = interpreters.run_string(number, f"import sys\nsys.path[:] = {sys.path!r}\n{code}")
    interpreters.destroy(number)
    if problem is not None:
        raise RuntimeError(str(problem))
