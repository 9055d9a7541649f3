"""The script of a load run: a module with a ``default`` function, and what else it may have."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from puregrpc.client.params.definitions import beside_script
from puregrpc.client.per_user import UserAsyncClient, UserClient, per_user_clients
from puregrpc.load.problems import Abort, ExitStatus, LoadError
from puregrpc.metrics import Metrics, active

__all__ = ["MODULE_NAME", "Script", "arguments_for", "failure_text", "is_async", "load_script"]

MODULE_NAME = "puregrpc_script"
"""What the script is as a module: a name of its own, so that a script json.py is not the library's json."""


class Script:
    """A script that has been read."""

    def __init__(
        self, name: str, namespace: Mapping[str, Any], clients: list[UserClient | UserAsyncClient], path: Path | None
    ) -> None:
        self.name = name
        self.path = path
        self.clients = clients
        """Those that it made at its top, which each user has its own of."""
        self._namespace = namespace

    @property
    def options(self) -> object:
        """What it exports as options."""
        return self._namespace.get("options")

    def function(self, name: str) -> Callable[..., Any] | None:
        """A function of this name, in Python's spelling or in k6's (``handle_summary``, ``handleSummary``)."""
        camel = name.split("_")[0] + "".join(part.title() for part in name.split("_")[1:])
        for each in (name, camel):
            found = self._namespace.get(each)
            if callable(found):
                function: Callable[..., Any] = found
                return function
        return None

    def executed(self, name: str, scenario: str) -> Callable[..., Any]:
        """The function that a scenario executes. Raises LoadError."""
        found = self.function(name)
        if found is None:
            from difflib import get_close_matches  # most do without

            what = "" if name == "default" else f", which scenario {scenario!r} executes"
            status = ExitStatus.INVALID if what else ExitStatus.NO_SCRIPT
            own = [each for each, value in self._namespace.items() if inspect.isfunction(value)]
            near = get_close_matches(name, own, 1)
            hint = f"; there is {near[0]!r}" if near else ""
            raise LoadError(f"{self.name}: there is no function {name!r}{what}{hint}", status)
        if inspect.isgeneratorfunction(found) or inspect.isasyncgenfunction(found):
            raise LoadError(f"{self.name}: {name}() has a yield in it: to call it would do nothing")
        return found

    @property
    def prefers_trio(self) -> bool:
        """Whether its own code uses trio."""
        trio = sys.modules.get("trio")
        return trio is not None and any(value is trio for value in self._namespace.values())


def load_script(given: object, metrics: Metrics) -> Script:
    """Read a script: the path of a file (``-``: standard input), a module, a dict of names, or a default function.

    Its custom metrics belong to ``metrics``. Raises LoadError.
    """
    if isinstance(given, ModuleType):
        return Script(given.__name__, vars(given), [], None)
    if isinstance(given, Mapping):
        return Script("script", given, [], None)
    if callable(given):
        return Script(getattr(given, "__name__", "script"), {"default": given}, [], None)
    if given == "-":
        return _from_stdin(metrics)
    path = Path(str(given))
    if not path.is_file():
        raise LoadError(f"{path}: there is no such file", ExitStatus.NO_SCRIPT)
    spec = importlib.util.spec_from_file_location(MODULE_NAME, path)
    if spec is None or spec.loader is None:
        raise LoadError(f"{path}: a script is a Python file, NAME.py", ExitStatus.NO_SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE_NAME] = module
    folder = str(path.parent.absolute())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    beside_script(path)
    return Script(str(given), vars(module), _executed(partial(spec.loader.exec_module, module), path, metrics), path)


def _from_stdin(metrics: Metrics) -> Script:
    """The script that comes over standard input."""
    path = Path("<stdin>")
    module = ModuleType(MODULE_NAME)
    sys.modules[MODULE_NAME] = module
    if "" not in sys.path:
        sys.path.insert(0, "")

    def execute() -> None:
        exec(compile(sys.stdin.buffer.read(), str(path), "exec"), vars(module))

    clients = _executed(execute, path, metrics)
    return Script("-", vars(module), clients, None)


def _executed(execute: Callable[[], None], path: Path, metrics: Metrics) -> list[UserClient | UserAsyncClient]:
    """Execute a script; the clients that it made at its top. Raises LoadError."""
    try:
        with active(metrics), per_user_clients() as clients:
            execute()
    except Abort as error:
        raise LoadError(f"{path}: aborted: {error}", ExitStatus.ABORTED) from error
    except (Exception, SystemExit) as error:  # what the user's own code raises can be anything
        raise LoadError(failure_text(error, path), ExitStatus.SCRIPT) from error
    return clients


def failure_text(error: BaseException, path: Path | None) -> str:
    """What a script raised, with its line."""
    if isinstance(error, SyntaxError):
        return f"{error.filename or path}:{error.lineno or 1}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if path is not None and Path(frame.filename) == path.absolute()]
    where = f"{path}:{lines[-1]}" if lines else f"{frames[-1].filename}:{frames[-1].lineno}" if frames else path
    return f"{where}: {type(error).__name__}: {error}"


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling a function gives something to be awaited."""
    call = getattr(type(function), "__call__", None)  # noqa: B004 - it is looked at, and not for whether it is there
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def arguments_for(function: Callable[..., Any], *values: Any) -> tuple[Any, ...]:
    """As many of the values as a function takes."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return values
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return values
    taken = sum(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters)
    return values[:taken]
