"""Odd uses of the package grpc: each is a function that tells what it sees, and grpcio's telling is the yardstick.

Usage: running.py PYTHON_WITH_GRPCIO PYTHON_WITH_OURS [USE...]; PYTHONPATH is given to the second alone. With --tell
FILE [USE...], what this Python's grpc tells is printed as JSON.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

FILES = (
    "arguments",
    "clients",
    "servers",
    "asyncio_clients",
    "asyncio_servers",
    "surroundings",
    "together",
    "details",
    "policies",
    "unusual",
    "unusual_on_asyncio",
)
TIMEOUT = 20.0
"""Seconds for one use."""


class Telling:
    """What a use tells, line by line."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, *values: Any) -> None:
        text = " ".join(value if isinstance(value, str) else repr(value) for value in values)
        self.lines.append(plain(text))

    def raising(self, what: str, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Tell what a function gives or raises."""
        try:
            result = function(*arguments, **keywords)
        except BaseException as error:
            self(what, "raises", described(error))
            return error
        self(what, "gives", described(result))
        return result

    async def awaiting(self, what: str, awaitable: Any) -> Any:
        """Tell what awaiting something gives or raises."""
        try:
            result = await awaitable
        except BaseException as error:
            self(what, "raises", described(error))
            return error
        self(what, "gives", described(result))
        return result


def described(value: Any) -> str:
    """A result in words: the kind of an object, the text of an exception of this package, what is plain as it is."""
    import grpc

    if isinstance(value, grpc.RpcError):
        code = value.code() if callable(getattr(value, "code", None)) else None
        if inspect.iscoroutine(code):
            code.close()
            return type(value).__name__
        details = value.details() if callable(getattr(value, "details", None)) else None
        return f"{type(value).__name__} {code} {details}"
    if isinstance(value, BaseException):
        text = str(value) if type(value).__module__.startswith("grpc") else ""
        return f"{type(value).__name__} {text}".strip()
    if value is None or isinstance(value, (str, bytes, int, float, bool, tuple, list, dict, grpc.StatusCode)):
        return repr(value)
    return type(value).__name__


def plain(text: str) -> str:
    """Without what differs from run to run."""
    text = re.sub(r"(127\.0\.0\.1|localhost|\[::1\]|%5B::1%5D):\d+", r"\1:PORT", text)
    text = re.sub(r"Stream removed \((.*?)\)('?)$", r"\1\2", text)
    text = re.sub(r"(SERVER: |CLIENT: |grpc: )?[Rr]eceived message larger", "received message larger", text)
    text = re.sub(r"(failed to connect to all addresses; last error: ).*", r"\1WHY", text)
    text = text.replace("the server reset the stream with CANCEL", "CANCELLED")
    return re.sub(r"0x[0-9a-f]+", "0xADDRESS", text)


def server(handlers: dict[str, Any], **options: Any) -> tuple[Any, int]:
    """A started server of the service ``a.B``, and its port."""
    import grpc

    made = grpc.server(futures.ThreadPoolExecutor(8), **options)
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    port = made.add_insecure_port("127.0.0.1:0")
    made.start()
    return made, port


def uses(file: str) -> Iterator[tuple[str, Callable[[Telling], Any]]]:
    """Those of a file, by name."""
    sys.path.insert(0, str(Path(__file__).parent))
    for name, function in vars(importlib.import_module(file)).items():
        if name.startswith("use_"):
            yield name.removeprefix("use_"), function


def told_by(function: Callable[[Telling], Any]) -> list[str]:
    tell = Telling()

    def run() -> None:
        try:
            if inspect.iscoroutinefunction(function):
                asyncio.run(asyncio.wait_for(function(tell), TIMEOUT))
            else:
                function(tell)
        except BaseException as error:
            tell("THE USE RAISES", type(error).__name__, str(error).split("\n")[0])
            traceback.print_exc()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(TIMEOUT + 5)
    if thread.is_alive():
        tell("TOOK TOO LONG")
    return list(tell.lines)


def run_all(file: str, names: list[str]) -> None:
    chosen = [(name, function) for name, function in uses(file) if not names or name in names]
    print(json.dumps([name for name, _ in chosen]), flush=True)
    for name, function in chosen:
        print(json.dumps({name: told_by(function)}), flush=True)
    os._exit(0)


def told(python: str, names: list[str], environment: dict[str, str]) -> dict[str, list[str]]:
    """What all tell. Each file has a process of its own: what grpcio comes to in one is not to hang another."""
    found: dict[str, list[str]] = {}
    for file in FILES:
        found.update(told_in(file, python, names, environment))
    return found


def told_in(file: str, python: str, names: list[str], environment: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    while True:
        command = [python, __file__, "--tell", file, *names]
        finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, timeout=900, check=False)
        for line in finished.stdout.splitlines():
            if line.startswith("["):
                names = json.loads(line)
            elif line.startswith("{"):
                found.update(json.loads(line))
        left = [name for name in names if name not in found]
        if not left:
            return found
        found[left[0]] = ["THE PROCESS ENDED"]
        names = left[1:]
        if not names:
            return found


def main() -> None:
    if sys.argv[1] == "--tell":
        run_all(sys.argv[2], sys.argv[3:])
    without = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    theirs = told(sys.argv[1], sys.argv[3:], without)
    ours = told(sys.argv[2], sys.argv[3:], dict(os.environ))
    different = 0
    for name, lines in theirs.items():
        mine = ours.get(name, ["was not run"])
        if mine != lines:
            different += 1
            print(f"{name}:")
            for i in range(max(len(lines), len(mine))):
                pair = [each[i] if i < len(each) else "(nothing)" for each in (lines, mine)]
                if pair[0] != pair[1]:
                    print(f"  grpcio: {pair[0]}\n  here:   {pair[1]}")
    print(f"odd uses: {len(theirs) - different} passed, {different} failed")
    sys.exit(1 if different or not theirs else 0)


if __name__ == "__main__":
    main()
