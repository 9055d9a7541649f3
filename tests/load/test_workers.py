"""Runs in several processes: the work is shared, the results are whole, and a worker that dies is missed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.load.conftest import BOUND, Write, command
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


IN_WORKERS = """
import multiprocessing, time
from puregrpc import Counter, Trend
from puregrpc.load import abort
IS_WORKER = multiprocessing.parent_process() is not None
options = {"vus": 3, "iterations": 30}
metric = Counter("other")
"""

COUNTING = """
def default():
    metric.add(1)
    time.sleep(0.01)

def teardown(data):
    print("torn down")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("if IS_WORKER: raise ValueError('no')", 107, "in a worker process: script.py:9: ValueError: no"),
        ("def init():\n    if IS_WORKER: abort('enough')", 108, "the script aborted the run: enough"),
        ("options['setupTimeout'] = '1s'\ndef init():\n    if IS_WORKER: time.sleep(60)", 100, "took more than 1 s"),
        ("def setup(): return lambda: 5", 107, "setup() returned what cannot be handed to other processes (--workers)"),
        ("metric = (Counter if IS_WORKER else Trend)('metric')", 103, "metric 'metric' is a trend (default) already"),
    ],
)
def test_what_goes_wrong_before_iterations_or_beside_them(
    write: Write, tmp_path: Path, text: str, status: int, said: str
) -> None:
    write(f"{IN_WORKERS}{text}\n{COUNTING}")
    ran = command("script.py", "--workers", "3", folder=tmp_path)
    assert ran.returncode == status, ran.stderr
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ("torn down" in ran.stdout) == ("setup()" in text or status == 103)


@pytest.mark.slow
def test_arrivals_go_to_workers_that_have_users(write: Write, tmp_path: Path) -> None:
    write(COUNTING.replace("metric.add(1)", "pass").replace("def default", "import time\ndef default"))
    ran = command("script.py", "--workers", "3", "-u", "1", "--rate", "20", "-d", "1s", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "iterations...........: 20" in ran.stdout
    assert "dropped_iterations" not in ran.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no groups of processes there")
@pytest.mark.parametrize(("number", "is_hung"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_signals_that_all_processes_get(write: Write, tmp_path: Path, number: int, is_hung: bool) -> None:
    """They end the run as its coordinator says, and what the workers measured counts; also if a worker is stuck."""
    wait = "time.sleep(60)" if is_hung else "pass"
    write(f"""
import asyncio, multiprocessing, os, time

async def default():
    os.write(1, b"begun\\n")
    if multiprocessing.parent_process(): {wait}
    await asyncio.sleep(1)
""")
    process = subprocess.Popen(
        [sys.executable, "-m", "puregrpc", "run", "script.py", "-d", "60s", "-u", "4", "-q", "--workers", "2"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        for _ in range(3 if is_hung else 4):
            assert process.stdout.readline() == "begun\n"
        os.killpg(process.pid, number)
        if is_hung:
            while "stopping" not in process.stderr.readline():
                pass
            os.killpg(process.pid, number)
        out, _ = process.communicate(timeout=BOUND)
    assert process.returncode == 105
    assert "█ TOTAL RESULTS" in out
    assert ("iterations...........: 4 " in out) != is_hung
