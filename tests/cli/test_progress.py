"""What ``puregrpc run`` shows on a terminal while it runs."""

from __future__ import annotations

import io
import logging
import os
import shutil
import sys

import pytest

from puregrpc.cli import progress as module
from puregrpc.cli.progress import Progress
from puregrpc.load import Status
from puregrpc.load.built_in import run_metrics


def test_lines_are_cut_and_stand_below_what_was_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_terminal", lambda _: True)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((30, 10)))
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    progress = Progress(quiet=False)
    status = Status(
        seconds=1.0, vus=1, max_vus=2, completed=3, interrupted=0, dropped=0,
        scenarios=(("default", 0.5, "x" * 100),), metrics=run_metrics(),
    )  # fmt: skip

    def told() -> str:
        stderr.seek(0)
        stderr.truncate()
        progress.goes_on(status)
        return stderr.getvalue()

    first = told()
    assert not first.startswith("\x1b[3F")
    assert [len(line.removeprefix("\x1b[2K")) for line in first.splitlines()] == [29, 29, 29]
    assert told() == f"\x1b[3F{first}"
    assert progress.wrote(logging.makeLogRecord({"msg": "something"}))
    assert told() == first
