"""``puregrpc run`` as a process: exit statuses, what is printed and written."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.load.conftest import BOUND, Write, command
from tests.load.test_running import ASYNC


def test_a_run(write: Write, tmp_path: Path) -> None:
    write(ASYNC + "\nimport os\nassert os.environ['WHO'] == 'Bert'")
    ran = command(
        "script.py", "-u", "2", "-i", "6", "-e", "WHO=Bert", "--tag", "team=a", "--out", "json=samples.json",
        "--out", "csv=samples.csv", "--summary-export", "summary.json", "--summary-trend-stats", "avg,p(99.9),count",
        folder=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "* default: 6 iterations shared among 2 VUs (maxDuration: 10m0s, gracefulStop: 30s)" in ran.stderr
    assert "checks_succeeded...: 100.00% 6 out of 6" in ran.stdout
    assert " p(99.9)=" in ran.stdout
    assert " count=6" in ran.stdout
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["metrics"]["checks"] == {"value": 1, "passes": 6, "fails": 0}
    assert summary["metrics"]["iterations"]["count"] == 6
    assert summary["root_group"]["checks"]["status is OK"]["passes"] == 6
    lines = [json.loads(line) for line in (tmp_path / "samples.json").read_text().splitlines()]
    points = [line for line in lines if line["type"] == "Point" and line["metric"] == "grpc_req_duration"]
    assert len(points) == 6
    assert points[0]["data"]["tags"]["team"] == "a"
    assert points[0]["data"]["tags"]["name"] == "/hello.HelloService/SayHello"
    rows = (tmp_path / "samples.csv").read_text().splitlines()
    assert rows[0].startswith("metric_name,timestamp,metric_value,check,")
    assert sum(row.startswith("iterations,") for row in rows) == 6


@pytest.mark.parametrize(
    ("script", "status", "said"),
    [
        ("options = {'thresholds': {'iterations': ['count>5']}}\ndef default(): pass", 99, "have been crossed"),
        ("options = {'vus': 0}\ndef default(): pass", 104, "options.vus: it is at least 1"),
        ("def setup(): raise ValueError('no')\ndef default(): pass", 107, "setup(): script.py:2: ValueError: no"),
        ("from puregrpc.load import abort\ndef default(): abort('enough')", 108, "the script aborted the run: enough"),
        ("def other(): pass", 255, "there is no function 'default'"),
        ("options = {'thresholds': {'iteration': ['count>5']}}\ndef default(): pass", 104, "is 'iterations' meant?"),
    ],
)
def test_exit_statuses(write: Write, tmp_path: Path, script: str, status: int, said: str) -> None:
    write(script)
    ran = command("script.py", folder=tmp_path)
    assert ran.returncode == status, ran.stderr
    assert said in ran.stderr
    assert ("█ TOTAL RESULTS" in ran.stdout) == (status in (99, 107, 108))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--duration", "30"], "--duration: '30' has no unit: 30s, 30ms"),
        (["--stage", "5s:1,10:2"], "--stage: '10' has no unit: 10s, 10ms"),
        (["--min-iteration-duration", "1.5"], "'1.5' has no unit"),
        (["--tag", "team="], "--tag: 'team=' is not NAME=VALUE"),
        (["--vus", "-1"], "--vus"),
        (["--out", "influxdb=x"], "--out: there are json, csv, opentelemetry and prometheus, not 'influxdb'"),
    ],
)
def test_flags_that_cannot_be(write: Write, tmp_path: Path, arguments: list[str], said: str) -> None:
    write("def default(): pass")
    ran = command("script.py", *arguments, folder=tmp_path)
    assert ran.returncode == 2
    assert said in ran.stderr


def test_a_ramp_from_no_users(write: Write, tmp_path: Path) -> None:
    write("import puregrpc\ndef default(): puregrpc.sleep(0.01)")
    ran = command("script.py", "-u", "0", "-s", "200ms:2", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "Up to 2 looping VUs" in ran.stderr


def test_a_script_over_standard_input(tmp_path: Path) -> None:
    script = "from puregrpc import check\ndef default(): check(1, {'it runs': True})"
    ran = command("-", "-i", "2", folder=tmp_path, said=script)
    assert ran.returncode == 0, ran.stderr
    assert "100.00% 2 out of 2" in ran.stdout
    assert command("-", folder=tmp_path, said="def default(").returncode == 107
    several = command("-", "--workers", "2", folder=tmp_path, said=script)
    assert several.returncode == 104
    assert "several workers need the path of a script" in several.stderr


def test_samples_compressed(write: Write, tmp_path: Path) -> None:
    write("def default(): pass")
    ran = command("script.py", "--out", "json=a.json.gz", "--out", "csv=a.csv.gz", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    lines = gzip.decompress((tmp_path / "a.json.gz").read_bytes()).decode().splitlines()
    assert any(json.loads(line)["metric"] == "iterations" for line in lines)
    assert b"\niterations," in gzip.decompress((tmp_path / "a.csv.gz").read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["async def", "def"])
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c(write: Write, tmp_path: Path, kind: str, times: int) -> None:
    """Once: iterations may end. Twice: they are interrupted. The summary is printed in any case."""
    seconds = 2 if times == 1 else 60
    sleep = f"await asyncio.sleep({seconds})" if kind != "def" else f"puregrpc.sleep({seconds})"
    write(f"import asyncio, puregrpc\n{kind} default():\n    print('begun', flush=True)\n    {sleep}")
    process = subprocess.Popen(
        [sys.executable, "-m", "puregrpc", "run", "script.py", "-d", "60s", "-q"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        if times == 2:
            assert "stopping" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=BOUND)
    assert process.returncode == 105
    assert "█ TOTAL RESULTS" in out
    assert ("iterations" in out) == (times == 1)


def test_a_file_that_cannot_be_written_keeps_no_other_from_being_written(write: Write, tmp_path: Path) -> None:
    write("def default(): pass\ndef handle_summary(data): return {'nothing/x.txt': 'a', 'y.txt': 'b', 'stdout': 'c'}")
    ran = command("script.py", "-q", "--summary-export", "summary.json", "-s", "1ms:1,1ms:0", folder=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "c"), ran.stderr
    assert "nothing/x.txt" in ran.stderr
    assert (tmp_path / "y.txt").read_text() == "b"
    assert (tmp_path / "summary.json").exists()


@pytest.mark.slow
def test_connections_that_are_interrupted_while_users_close_them(write: Write, tmp_path: Path) -> None:
    """Those of threads, which are closed by the run, by its end and by the script at the same time."""
    write("""
from puregrpc import Client, sleep
client = Client()
client.load([], "hello.proto")
options = {
    "vus": 4, "duration": "60s",
    "thresholds": {"grpc_req_duration": [{"threshold": "max<0", "abortOnFail": True}]},
}
def default():
    client.connect(TARGET, plaintext=True)
    client.invoke("hello.HelloService/SayHello", {})
    sleep(0.2)
    client.close()
""")
    ran = command("script.py", folder=tmp_path)
    assert ran.returncode == 99, ran.stderr
    assert "█ TOTAL RESULTS" in ran.stdout
