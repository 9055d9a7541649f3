"""Servers that are broken on purpose are found out, and what is said of them can be replayed."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.fuzz.zoo import ROOT, SHOP, free_port, fuzz

BROKEN = [
    ("grpcio_shop", "crash-on-negative", "process-ended", ("--level", "schema", "--method", "*ListItems")),
    ("raw_shop", "unknown-frame-ends-process", "process-ended", ("--level", "frame")),
    ("raw_shop", "path-without-slash", "accepted-invalid", ("--level", "header")),
    ("raw_shop", "half-close-not-noticed", "hang", ("--level", "sequence")),
    ("raw_shop", "window-beyond", "protocol-violation", ("--level", "schema")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("animal", "fault", "check", "options"), BROKEN, ids=lambda value: str(value))
def test_broken_servers_are_found_out(animal: str, fault: str, check: str, options: tuple[str, ...]) -> None:
    report = fuzz(animal, fault, *options, "--max-cases", "200", seconds=15, expected=1)
    assert check in {finding["check"] for finding in report["findings"]}
    for finding in report["findings"]:
        assert finding["repeats"] > 0
        assert finding["replay"]["steps"] or finding["level"] == "frame"


@pytest.mark.slow
def test_a_call_behind_which_a_process_ends_later_is_found_among_those_before() -> None:
    report = fuzz("loop_meter", "texts-end-process-later", "--level", "header", expected=1)
    assert "a path that is not ASCII" in {finding["case"].get("about") for finding in report["findings"]}


@pytest.mark.slow
def test_a_process_that_ends_of_frames_in_number_is_found_where_they_are_counted() -> None:
    report = fuzz("raw_shop", "many-unknown-frames-end-process", "--level", "frame", seconds=20, expected=1)
    assert "50 frames of an unknown type again and again" in {each["case"].get("about") for each in report["findings"]}


@pytest.mark.slow
def test_the_sound_twin_is_left_in_peace() -> None:
    report = fuzz("raw_shop", "sound", "--max-cases", "1000", seconds=5, expected=0)
    assert report["findings"] == []
    assert report["cases"] > 100


@pytest.mark.slow
def test_a_finding_can_be_replayed_and_accepted(tmp_path: Path) -> None:
    report = fuzz(
        "grpcio_shop", "division", "--level", "schema", "--method", "*Quote", "--max-cases", "100", expected=1
    )
    (finding,) = report["findings"]
    assert finding["case"]["fields"] == ["lines"]
    assert "grpcurl" in finding["case"]
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report))
    port = free_port()
    arguments = [
        f"127.0.0.1:{port}", "-p", "--proto", str(SHOP), "--replay", str(file),
        "--command", f"{sys.executable} -m conformance.fuzz.zoo.grpcio_shop {{port}}",
    ]  # fmt: skip
    for fault, status in (("division", 1), ("sound", 0)):
        command = [*arguments[:-1], f"{arguments[-1]} {fault}"]
        done = subprocess.run(
            [sys.executable, "-m", "puregrpc", "fuzz", *command],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
    accepted = fuzz(
        "grpcio_shop",
        "division",
        "--level",
        "schema",
        "--method",
        "*Quote",
        "--max-cases",
        "100",
        "--baseline",
        str(file),
    )
    assert accepted["status"] == 0
    assert accepted["accepted"] == [finding["id"]]


@pytest.mark.slow
def test_a_run_that_is_ended_ends_its_target(tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "pid"
    program = f"import os; open({str(file)!r}, 'w').write(str(os.getpid())); from conformance.fuzz.zoo import raw_shop"
    command = shlex.join([sys.executable, "-c", f"{program}; raw_shop.main({port}, 'sound')"])
    run = subprocess.Popen(
        [
            sys.executable, "-m", "puregrpc", "fuzz", f"127.0.0.1:{port}", "-p", "--proto", str(SHOP),
            "--command", command, "--time", "60s",
        ],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not file.exists() or not file.read_text():
            assert run.poll() is None
            time.sleep(0.05)
        time.sleep(0.5)
        run.terminate()
        assert run.wait(30) == 128 + signal.SIGTERM
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)
    finally:
        run.kill()
        run.wait()
