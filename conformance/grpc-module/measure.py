"""grpcio's own Python unit tests, run on what `import grpc` gives in one environment; writes what came out as JSON.

Usage: measure.py PYTHON TESTS OUT [MODULE...]

Each module's tests run in a process of their own group; a test that takes too long ends it, and the rest goes on in
another one.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

TIMEOUT = float(os.environ.get("TEST_TIMEOUT", "60"))
"""Seconds for one test."""

FOLDERS = (
    "tests/unit", "tests_aio/unit", "tests/channelz", "tests/health_check", "tests/reflection", "tests/status",
    "tests/testing", "tests/csds", "tests/admin", "tests/interop", "tests/protoc_plugin", "tests_aio/channelz",
    "tests_aio/health_check", "tests_aio/reflection", "tests_aio/status", "tests_aio/interop",
)  # fmt: skip
"""grpcio's own, those of its sister packages, of generated code, and of calls between its own two ends."""

LEFT_OUT = ("_cython", "_xds_credentials", "unit._dns_resolver_test")
"""Not about what grpcio offers: its inside, and what needs another network."""


def modules(tests: Path) -> list[str]:
    found = []
    for folder in FOLDERS:
        for path in sorted((tests / folder).rglob("*.py")):
            if not (path.stem.endswith("_test") or path.stem.startswith("test_")) or path.stem.endswith("_pb2_grpc"):
                continue
            name = ".".join(path.relative_to(tests).with_suffix("").parts)
            if not any(each in name for each in LEFT_OUT):
                found.append(name)
    return found


class Worker:
    """The process of a module's tests."""

    def __init__(self, python: str, tests: Path, module: str, skipped: list[str]) -> None:
        command = [python, str(Path(__file__).with_name("worker.py")), module, *skipped]
        self.process = subprocess.Popen(
            command, cwd=tests, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
        )
        self.lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def run_module(python: str, tests: Path, module: str) -> dict[str, dict[str, object]]:
    results: dict[str, dict[str, object]] = {}
    while True:
        worker = Worker(python, tests, module, list(results))
        current, done, before = "", False, len(results)
        try:
            while not done:
                try:
                    line = worker.lines.get(timeout=TIMEOUT)
                except queue.Empty:
                    results[current or module] = {"outcome": "failed", "text": f"took longer than {TIMEOUT:g} s"}
                    break
                if line is None:
                    results[current or module] = {"outcome": "failed", "text": "the process ended"}
                    break
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if "broken" in record:
                    results[module] = {"outcome": "broken", "text": record["broken"]}
                    done = True
                elif "begin" in record:
                    current = record["begin"]
                elif "end" in record:
                    results[record["end"]] = record
                    current = ""
                elif "done" in record:
                    done = True
        finally:
            worker.kill()
        if done or len(results) == before or module in results:
            return results


def main() -> None:
    python, tests, out, *names = sys.argv[1:]
    results: dict[str, dict[str, object]] = {}
    lock = threading.Lock()
    waiting = queue.SimpleQueue[str]()
    for name in names or modules(Path(tests)):
        waiting.put(name)

    def work() -> None:
        while True:
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            found = run_module(python, Path(tests), name)
            with lock:
                results.update(found)
                passed = sum(each["outcome"] == "passed" for each in found.values())
                print(f"{name}: {passed} of {len(found)}", flush=True)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    Path(out).write_text(json.dumps(results, indent=1, sort_keys=True))
    outcomes = [each["outcome"] for each in results.values()]
    print({outcome: outcomes.count(outcome) for outcome in sorted(set(map(str, outcomes)))})


if __name__ == "__main__":
    main()
