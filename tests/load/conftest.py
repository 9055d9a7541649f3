"""A demo server in a thread of its own, and scripts in a folder of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.load.hello import PROTO, hello_server

BOUND = 60
"""Seconds that a command may take."""


Write = Callable[..., str]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server with the hello service."""
    with hello_server() as address:
        yield address


@pytest.fixture
def write(tmp_path: Path, server: str) -> Write:
    """Writes a script, in which TARGET is the server, and the schema beside it; gives its path."""
    (tmp_path / "hello.proto").write_text(PROTO)

    def write(text: str, name: str = "script.py") -> str:
        path = tmp_path / name
        path.write_text(f"TARGET = {server!r}\n{text}")
        return str(path)

    return write


def command(*arguments: str, folder: Path, said: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``puregrpc run`` in a process of its own; ``said`` comes over its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "puregrpc", "run", *arguments],
        cwd=folder, input=said, capture_output=True, text=True, timeout=BOUND, check=False,
    )  # fmt: skip
