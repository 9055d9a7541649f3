"""What the benchmarks share: child processes that measure themselves, rounds, medians and tables of ratios."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

HERE = Path(__file__).parent
ROOT = HERE.parent


def environment() -> dict[str, str]:
    """The environment of child processes: they import puregrpc and the benchmarks from this checkout."""
    paths = [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def run_worker(
    module: str, *arguments: str, timeout: float = 120, variables: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run ``python -m benchmarks.MODULE ARGUMENTS`` and return the JSON object on its last line.

    ``variables`` are added to its environment.
    """
    result = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        cwd=ROOT, env={**environment(), **(variables or {})},
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    if result.returncode:
        raise RuntimeError(f"{module} {' '.join(arguments)} failed:\n{result.stderr[-2000:]}")
    measured: dict[str, Any] = json.loads(result.stdout.strip().splitlines()[-1])
    return measured


@dataclass
class Server:
    """A server in a process of its own, and what it has used so far."""

    address: str
    process: subprocess.Popen[str]

    def cpu_seconds(self) -> float:
        """User and system time of the process and of its children (Linux: /proc/PID/stat, fields 14 and 15)."""
        ticks = 0
        for pid in family(self.process.pid):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """Resident memory of the process (Linux)."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def family(pid: int) -> list[int]:
    """A process and all that descend from it (Linux: /proc/PID/task/TID/children)."""
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return [pid, *(member for child in children for member in family(child))]


@contextmanager
def started(command: Sequence[str]) -> Iterator[Server]:
    """Start a server that prints ``... HOST:PORT`` as its first line; stop it at the end."""
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(command)} did not start")
        yield Server(line.split()[-1], process)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def started_go(binary: Path) -> Iterator[Server]:
    """Start grpc-go's interop server on a free port."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [binary, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    )
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield Server(f"127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(10)


@dataclass
class Row:
    """One kind of work, measured for several implementations in turn."""

    name: str
    figures: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def add(self, implementation: str, measured: dict[str, float]) -> None:
        self.figures.setdefault(implementation, []).append(measured)

    def median(self, implementation: str) -> dict[str, float]:
        rounds = self.figures[implementation]
        return {key: statistics.median(measured[key] for measured in rounds) for key in rounds[0]}

    def ratio(self, key: str, ours: str, theirs: str) -> float:
        """The median of the ratios of the rounds: each pair was measured one after the other."""
        pairs = zip(self.figures[ours], self.figures[theirs], strict=True)
        return statistics.median(a[key] / b[key] for a, b in pairs if b[key])


def in_rounds(row: Row, rounds: int, works: Mapping[str, Callable[[], dict[str, float]]]) -> Row:
    """Measure each implementation once a round, in turn."""
    for _ in range(rounds):
        for implementation, work in works.items():
            row.add(implementation, work())
    return row


def versions() -> str:
    """The machine and the versions that a table was made with."""
    found = [
        f"{platform.python_implementation()} {platform.python_version()}",
        f"{os.cpu_count()} cores",
        platform.machine(),
    ]
    for name in ("puregrpc", "h2", "trio", "protobuf", "grpcio", "grpclib"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
