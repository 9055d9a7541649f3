"""Runs in several processes: the work is shared, the results are whole, and a worker that dies is missed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.load.conftest import Write, command
from tests.load.test_running import ASYNC

NUMBERED = """
import asyncio, json, os
from puregrpc import Counter, Trend
from puregrpc.load import scenario, vu
numbers = Trend("numbers")

async def setup():
    return {"pid": os.getpid()}

async def default(data):
    numbers.add(scenario.iteration, {"process": "coordinator" if data["pid"] == os.getpid() else "worker"})
    await asyncio.sleep(0.01)
"""


@pytest.mark.slow
def test_iterations_are_shared_and_results_put_together(write: Write, tmp_path: Path) -> None:
    write(NUMBERED)
    ran = command(
        "script.py", "--workers", "2", "-u", "4", "-i", "60", "--out", "json=out.json",
        "--summary-export", "summary.json", folder=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    metrics = json.loads((tmp_path / "summary.json").read_text())["metrics"]
    assert metrics["iterations"]["count"] == 60
    assert (metrics["numbers"]["min"], metrics["numbers"]["avg"], metrics["numbers"]["max"]) == (0, 29.5, 59)
    points = [json.loads(line) for line in (tmp_path / "out.json").read_text().splitlines()]
    told = [each["data"] for each in points if each["metric"] == "numbers" and each["type"] == "Point"]
    assert sorted(each["value"] for each in told) == list(range(60))
    assert {each["tags"]["process"] for each in told} == {"coordinator", "worker"}


@pytest.mark.slow
def test_arrivals_are_shared(write: Write, tmp_path: Path) -> None:
    write(ASYNC)
    ran = command(
        "script.py", "--workers", "2", "-u", "10", "--rate", "100", "-d", "1s", "--summary-export", "summary.json",
        folder=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    metrics = json.loads((tmp_path / "summary.json").read_text())["metrics"]
    assert metrics["iterations"]["count"] == 100
    assert metrics["grpc_req_planned_duration"]["max"] >= metrics["grpc_req_duration"]["min"] > 0
    assert metrics["checks"] == {"value": 1, "passes": 100, "fails": 0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("if vu.id == 2: os._exit(7)", 103, "worker 2 (process "),
        ("if vu.id == 2: abort('enough')", 108, "the script aborted the run: enough"),
        ("if vu.id == 2: raise ValueError('no')", 0, "iteration failed: no"),
    ],
)
def test_what_happens_in_a_worker(write: Write, tmp_path: Path, text: str, status: int, said: str) -> None:
    write(f"""
import asyncio, os
from puregrpc.load import abort, vu
async def default():
    {text}
    await asyncio.sleep(0.05)
""")
    ran = command("script.py", "--workers", "2", "-u", "2", "-d", "1s", folder=tmp_path)
    assert ran.returncode == status, ran.stderr
    assert said in ran.stderr
    assert "█ TOTAL RESULTS" in ran.stdout


@pytest.mark.slow
def test_a_worker_whose_init_raises(write: Write, tmp_path: Path) -> None:
    write("import multiprocessing\ndef init():\n    assert not multiprocessing.parent_process()\ndef default(): pass")
    ran = command("script.py", "--workers", "2", "-u", "2", "-d", "30s", folder=tmp_path)
    assert ran.returncode == 107
    assert "init(): script.py:4: AssertionError" in ran.stderr
