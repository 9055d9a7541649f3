"""The zoo of conformance/fuzz, as the tests start it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "conformance" / "fuzz" / "zoo" / "shop.proto"
METER = SHOP.with_name("meter.proto")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def fuzz(animal: str, fault: str, *options: str, seconds: float = 8, expected: int | None = None) -> dict[str, Any]:
    """Run ``puregrpc fuzz`` against an animal; its report, with the exit status under ``status``."""
    port = free_port()
    command = f"{sys.executable} -m conformance.fuzz.zoo.{animal} {{port}} {fault}"
    arguments = ["fuzz", f"127.0.0.1:{port}", "-p", "--command", command, "--time", f"{seconds}s", "--seed", "1"]
    if animal == "raw_shop":
        arguments += ["--proto", str(SHOP), "--method", "*GetItem"]
    if animal == "loop_meter":
        arguments += ["--proto", str(METER)]
    result = subprocess.run(
        [sys.executable, "-m", "puregrpc", *arguments, "--json", "-", *options],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if expected is not None:
        assert result.returncode == expected, result.stdout[-2000:] + result.stderr[-2000:]
    report: dict[str, Any] = json.loads(result.stdout)
    return {**report, "status": result.returncode}
