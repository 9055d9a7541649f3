"""The blocking Client under gevent, as Locust runs it: patched sockets and threads, one hub."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("gevent", reason="gevent is not installed")

ROOT = Path(__file__).parents[2]


def test_greenlets_share_a_client() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    server = subprocess.Popen(
        [sys.executable, "-m", "puregrpc", "serve", "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    with server.stdout:
        try:
            address = server.stdout.readline().split()[-1]
            program = Path(__file__).parent / "gevent_program.py"
            result = subprocess.run(
                [sys.executable, program, address, str(ROOT / "examples" / "definitions")],
                env=environment, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
        finally:
            server.terminate()
            server.wait(20)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("500 calls in ")
