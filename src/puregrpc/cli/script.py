"""The script of ``serve --script``: a Python file whose functions answer the methods of services."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from puregrpc.cli.script_handlers import handler_for
from puregrpc.errors import InvalidArgument
from puregrpc.proto.descriptors import MethodDescriptor, ServiceDescriptor
from puregrpc.server.method import Handler
from puregrpc.server.service import snake_case

__all__ = ["MODULE_NAME", "load_script", "script_handlers"]

MODULE_NAME = "puregrpc_script"
"""What the script is as a module: a name of its own, so that a script json.py is not the library's json."""

Handlers = dict[str, dict[str, Handler]]
"""Full name of a service -> name of a method -> its handler."""


def load_script(path: str) -> ModuleType:
    """Run a script as a module; it may import the modules that lie beside it.

    Raises InvalidArgument, with the line, if it cannot be read or raises.
    """
    spec = importlib.util.spec_from_file_location(MODULE_NAME, path)
    if not Path(path).is_file():
        raise InvalidArgument(f"--script {path}: there is no such file")
    if spec is None or spec.loader is None:
        raise InvalidArgument(f"--script {path}: a script is a Python file, NAME.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE_NAME] = module
    folder = str(Path(path).parent.absolute())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise InvalidArgument(f"{error.filename or path}:{error.lineno or 1}: {error.msg}") from error
    except (Exception, SystemExit) as error:  # what the user's own code raises can be anything
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == spec.origin]
        where = f"{path}:{lines[-1]}" if lines else path
        raise InvalidArgument(f"{where}: {type(error).__name__}: {error}") from error
    return module


def script_handlers(script: ModuleType, services: Sequence[ServiceDescriptor]) -> Handlers:
    """The handlers that a script has for the methods of services.

    They are functions named as a method, or in snake_case, in a class named as the service or beside all classes; the
    class goes before. Where several services have what is so named, it answers for all. Public functions of the
    script that fit no method are an error: those of helpers begin with an underscore.

    Raises InvalidArgument, with the line, for what cannot be meant as it is.
    """
    _check_functions(vars(script), services, script)
    objects: dict[str, object] = {}
    for name, kind in _own(vars(script), script):
        if inspect.isclass(kind):
            fitting = [service for service in services if service.name == name]
            if fitting:
                _check_functions(vars(kind), fitting, script)
                objects[name] = _made(kind)
            else:
                _check_class(name, kind, services)
    # What a script imports (such as a get of some library) is not meant as the method that happens to be named so.
    beside = SimpleNamespace(**dict(_own(vars(script), script)))
    found: Handlers = {}
    for service in services:
        handlers = found[service.full_name] = {}
        for method in service.methods:
            function = _function(objects.get(service.name), method.name) or _function(beside, method.name)
            if function is not None:
                handlers[method.name] = _handler(function, method)
    return found


def _own(names: Mapping[str, Any], script: ModuleType) -> Iterator[tuple[str, Any]]:
    """What is defined in the script itself, and public."""
    for name, value in list(names.items()):
        if not name.startswith("_") and getattr(value, "__module__", None) == script.__name__:
            yield name, value


def _function(owner: object, method: str) -> Callable[..., Any] | None:
    for name in (method, snake_case(method)):
        function = getattr(owner, name, None)
        if callable(function) and not inspect.isclass(function):
            found: Callable[..., Any] = function
            return found
    return None


def _check_functions(names: Mapping[str, Any], services: Sequence[ServiceDescriptor], script: ModuleType) -> None:
    """Raise for functions that fit no method."""
    methods = {method.name for service in services for method in service.methods}
    known = methods | {snake_case(name) for name in methods}
    for name, function in _own(names, script):
        if inspect.isfunction(function) and name not in known:
            near = get_close_matches(snake_case(name), sorted(map(snake_case, methods)), n=1, cutoff=0.6)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(map(snake_case, methods)))}"
            raise InvalidArgument(
                f"{_where(function)}: {name} fits no method of {', '.join(service.full_name for service in services)}; "
                f"{hint} (the names of helpers begin with an underscore)"
            )


def _check_class(name: str, kind: type, services: Sequence[ServiceDescriptor]) -> None:
    """Raise for a class that is likely meant to be a service: it has a like name and a method of one."""
    near = get_close_matches(name, [service.name for service in services], n=1, cutoff=0.6)
    answers = [
        (service, method)
        for service in services
        for method in service.methods
        if inspect.isfunction(_function(kind, method.name))
    ]
    if near and answers:
        raise InvalidArgument(
            f"{_where(_function(kind, answers[0][1].name))}: class {name} is named as no service; "
            f"did you mean {near[0]}?"
        )


def _made(kind: type) -> object:
    try:
        return kind()
    except (Exception, SystemExit) as error:  # what the user's own code raises can be anything
        raise InvalidArgument(
            f"class {kind.__name__} of the script: {type(error).__name__}: {error} (it is made without arguments)"
        ) from error


def _handler(function: Callable[..., Any], method: MethodDescriptor) -> Handler:
    where = f"{_where(function)}: {getattr(function, '__name__', method.name)}"
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        raise InvalidArgument(f"{where}: it is called with two arguments, (request, context)") from None
    is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    if is_generator and not method.is_server_stream:
        raise InvalidArgument(f"{where}: {method.path} has one response: return it, in place of yield")
    return handler_for(function, method)


def _where(function: Any) -> str:
    """``FILE:LINE`` of a function."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else "the script"
