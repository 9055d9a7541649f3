"""gevent that has patched nothing: greenlets of one thread wait for their calls side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("gevent", reason="gevent is not installed")


def test_greenlets_hold_up_no_other_where_nothing_is_patched() -> None:
    program = Path(__file__).parent / "gevent_program.py"
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    result = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert (result.stdout, result.returncode) == ("fine\n", 0), result.stderr
    assert not result.stderr
