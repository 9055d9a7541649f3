"""Sessions of threads in programs of their own: interrupted by signals, under gevent, in a sub-interpreter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(program: str, *arguments: str) -> str:
    """What a program prints. It must end well, and soon."""
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT), *sys.path))  # the last for packages that are beside
    result = subprocess.run(
        [sys.executable, "-m", f"tests.transport.{program}", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no timer that interrupts")
@pytest.mark.parametrize("kind", ["plain", "tls", "polling"])
@pytest.mark.parametrize("what", ["raising", "nested"])
def test_interrupts_at_any_moment(what: str, kind: str) -> None:
    if kind == "tls":
        pytest.importorskip("trustme", reason="trustme is not installed")
    assert "connections given up" in run("interrupts", what, "80", kind)


@pytest.mark.skipif(find_spec("gevent") is None, reason="gevent is not installed")
def test_greenlets() -> None:
    assert run("greenlets") == "over\n"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sub-interpreters have daemons")
@pytest.mark.parametrize("how", ["close", "leave"])
def test_an_interpreter_without_daemons(how: str) -> None:
    assert run("subinterpreter", how) == "over\n"
