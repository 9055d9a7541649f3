"""Load runs: puregrpc run beside k6 and ghz, against grpc-go's interop server.

``python -m benchmarks.load_runs [--seconds N] [--users N ...] [--output PAGE]``. Needs k6, ghz and the server:
``conformance/get k6 ghz grpc-go-interop-server``. The processor time is that of the whole generator, its start
included, by the calls that it made, with Python's modules compiled before, as they are for whoever has run it once; the
server runs on the same machine, and takes the rest of it. ``accuracy`` is how many iterations of an arrival rate were
begun, ``stall`` what the percentiles know of a server that stood still for a second. Two runs that know nothing of each
other, with half of the users each, are what two workers could cost at best.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import ROOT, environment, versions

BIN = ROOT / "conformance" / ".work" / "bin"
PROTOS = ROOT / "conformance" / "interop" / "protos"
REQUEST = {"response_size": 16, "payload": {"body": "aGVsbG8gd29ybGQ="}}

PYTHON = """
from puregrpc import AsyncClient, StatusOK, check
from puregrpc.load import vu
client = AsyncClient()
client.load([{protos!r}], "grpc/testing/test.proto")
REQUEST = {request}
SHARED = {shared}

async def init():
    if SHARED:
        await client.connect({target!r}, plaintext=True)

async def default():
    if not SHARED and vu.iteration == 0:
        await client.connect({target!r}, plaintext=True)
    response = await client.invoke("grpc.testing.TestService/UnaryCall", REQUEST)
    check(response, {{"status is OK": lambda r: r.status == StatusOK}})
"""
STREAMING = """
from puregrpc import AsyncClient, check
client = AsyncClient()
client.load([{protos!r}], "grpc/testing/test.proto")
REQUEST = {{"response_parameters": [{{"size": 16}}] * 20}}

async def init():
    await client.connect({target!r}, plaintext=True)

async def default():
    stream = client.stream("grpc.testing.TestService/StreamingOutputCall")
    await stream.write(REQUEST)
    await stream.end()
    seen = 0
    async for _ in stream:
        seen += 1
    check(seen, {{"all came": lambda n: n == 20}})
"""
JAVASCRIPT = """
import grpc from 'k6/net/grpc';
import {{ check }} from 'k6';
const client = new grpc.Client();
client.load(['{protos}'], 'grpc/testing/test.proto');
const REQUEST = {request};
export default function () {{
  if (__ITER == 0) client.connect('{target}', {{ plaintext: true }});
  const response = client.invoke('grpc.testing.TestService/UnaryCall', REQUEST);
  check(response, {{ 'status is OK': (r) => r.status === grpc.StatusOK }});
}}
"""

LONGEST = 600
"""Seconds that one of the generators may run."""


@dataclass
class Ran:
    """What a generator did, and what it took."""

    calls: float
    seconds: float
    processor: float
    memory: float
    p50: float
    p99: float

    def row(self) -> str:
        """The cells of a table."""
        cost = self.processor / self.calls * 1e6 if self.calls else float("nan")
        rate = self.calls / self.seconds if self.seconds else 0.0
        return f"{cost:.1f} | {rate:,.0f} | {self.p50:.2f} | {self.p99:.2f} | {self.memory:.0f}"


@contextmanager
def serving() -> Iterator[tuple[str, int]]:
    """grpc-go's server; gives its address and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(BIN / "grpc-go-interop-server"), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        try:
            yield f"127.0.0.1:{port}", process.pid
        finally:
            process.kill()


def measured(command: list[str], folder: Path) -> tuple[float, float, str]:
    """Processor seconds and resident memory (MB) of a command, and what it printed."""
    with (folder / "out").open("w+") as out:
        variables = {"PYTHONPYCACHEPREFIX": str(folder / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}
        with subprocess.Popen(
            command, cwd=folder, env=environment() | variables, stdout=out, stderr=subprocess.DEVNULL
        ) as process:
            peak, bound = 0, time.monotonic() + LONGEST
            while True:
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
                if ended:
                    break
                peak = max(peak, peak_resident(process.pid))
                if time.monotonic() > bound:
                    process.kill()
                time.sleep(0.05)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode == -signal.SIGKILL:
                raise SystemExit(f"{' '.join(command)}: it was killed, since it did not end within {LONGEST} s")
        out.seek(0)
        return usage.ru_utime + usage.ru_stime, peak / 1024, out.read()


def peak_resident(pid: int) -> int:
    """The most memory, in KiB, that a process has had since its program began (Linux: VmHWM of /proc/PID/status).

    What ``wait4`` tells counts what its parent had when it was forked as well.
    """
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0  # it has just ended


def puregrpc(folder: Path, script: str, *arguments: str) -> tuple[Ran, dict[str, dict[str, float]]]:
    """``puregrpc run``, and the metrics of its summary."""
    (folder / "script.py").write_text(script)
    export = ["--summary-export", "export.json", "--summary-trend-stats", "med,p(99),max,count"]
    command = [sys.executable, "-m", "puregrpc", "run", "-q", *export, *arguments, "script.py"]
    processor, memory, _ = measured(command, folder)
    return told(folder, processor, memory)


def at_once(folder: Path, script: str, *arguments: str) -> Ran:
    """Two such runs beside each other, as one; the percentiles and the memory are those of the worse one."""
    folders = [folder / "first", folder / "second"]
    for each in folders:
        each.mkdir()
        (each / "compiled").symlink_to(folder / "compiled")
    with ThreadPoolExecutor(2) as threads:
        one, other = (ran for ran, _ in threads.map(lambda each: puregrpc(each, script, *arguments), folders))
    return Ran(
        one.calls + other.calls,
        max(one.seconds, other.seconds),
        one.processor + other.processor,
        max(one.memory, other.memory),
        max(one.p50, other.p50),
        max(one.p99, other.p99),
    )


def k6(folder: Path, script: str, *arguments: str) -> tuple[Ran, dict[str, dict[str, float]]]:
    """``k6 run``, and the metrics of its summary."""
    (folder / "script.js").write_text(script)
    export = ["--summary-export", "export.json", "--summary-trend-stats", "med,p(99),max,count"]
    command = [str(BIN / "k6"), "run", "-q", "--no-usage-report", *export, *arguments, "script.js"]
    processor, memory, _ = measured(command, folder)
    return told(folder, processor, memory)


def told(folder: Path, processor: float, memory: float) -> tuple[Ran, dict[str, dict[str, float]]]:
    """What a summary says."""
    metrics: dict[str, dict[str, float]] = json.loads((folder / "export.json").read_text())["metrics"]
    durations, iterations = metrics["grpc_req_duration"], metrics["iterations"]
    seconds = iterations["count"] / iterations["rate"]
    return Ran(durations["count"], seconds, processor, memory, durations["med"], durations["p(99)"]), metrics


def ghz(folder: Path, target: str, users: int, connections: int, seconds: int) -> Ran:
    """``ghz``."""
    command = [
        str(BIN / "ghz"), "--insecure", "-i", str(PROTOS), "--proto", str(PROTOS / "grpc/testing/test.proto"),
        "--call", "grpc.testing.TestService/UnaryCall", "-d", json.dumps(REQUEST), "-c", str(users),
        "--connections", str(connections), "-z", f"{seconds}s", "-O", "json", "--duration-stop", "wait", target,
    ]  # fmt: skip
    processor, memory, out = measured(command, folder)
    found = json.loads(out)
    spread = {each["percentage"]: each["latency"] / 1e6 for each in found["latencyDistribution"] or []}
    return Ran(found["count"], found["total"] / 1e9, processor, memory, spread.get(50, 0.0), spread.get(99, 0.0))


def stalled(pid: int, after: float) -> None:
    """Have the server stand still for a second."""

    def stall() -> None:
        time.sleep(after)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(1.0)
        os.kill(pid, signal.SIGCONT)

    threading.Thread(target=stall, daemon=True).start()


def rows(arguments: argparse.Namespace, folder: Path) -> Iterator[str]:
    """The page, line by line."""
    seconds = arguments.seconds
    day = time.strftime("%Y-%m-%d")
    yield "# Load runs, beside k6 and ghz\n"
    yield f"Made by `python -m benchmarks.load_runs` on {day}: {versions()}; {seconds} s a row;"
    yield f"load average at the begin {os.getloadavg()[0]:.1f}.\n"
    yield re.sub(r"\s+", " ", (__doc__ or "").partition("interop-server``. ")[2]).strip() + "\n"
    yield "| | µs of processor time a call | calls/s | p(50), ms | p(99), ms | memory, MB |\n|---|--:|--:|--:|--:|--:|"
    with serving() as (target, pid):
        fields = {"protos": str(PROTOS), "target": target, "request": json.dumps(REQUEST)}
        javascript = JAVASCRIPT.format(**fields)
        puregrpc(folder, PYTHON.format(**fields, shared=True), "-i", "1")
        for users in arguments.users:
            duration = ("-u", str(users), "-d", f"{seconds}s")
            shared, own = (PYTHON.format(**fields, shared=each) for each in (True, False))
            yield f"| puregrpc, {users} users, one connection | {puregrpc(folder, shared, *duration)[0].row()} |"
            yield f"| puregrpc, {users} users, a connection each | {puregrpc(folder, own, *duration)[0].row()} |"
            yield f"| k6, {users} users, a connection each | {k6(folder, javascript, *duration)[0].row()} |"
            yield f"| ghz, {users} users, one connection | {ghz(folder, target, users, 1, seconds).row()} |"
            yield f"| ghz, {users} users, a connection each | {ghz(folder, target, users, users, seconds).row()} |"
        shared = PYTHON.format(**fields, shared=True)
        two, _ = puregrpc(folder, shared, *duration, "--workers", "2")
        yield f"| puregrpc, {users} users, two workers (the coordinator's memory) | {two.row()} |"
        halves = at_once(folder, shared, "-u", str(users // 2), "-d", f"{seconds}s")
        yield f"| puregrpc, two runs of {users // 2} users at once | {halves.row()} |"
        streams, metrics = puregrpc(folder, STREAMING.format(**fields), "-u", "50", "-d", f"{seconds}s")
        yield f"| puregrpc, streams of 20 messages, 50 users | {streams.row()} |"
        messages = metrics["grpc_streams_msgs_received"]
        each = streams.processor / messages["count"] * 1e6
        yield f"\nStreams: {messages['rate']:,.0f} messages/s, {each:.1f} µs of processor time each."
        yield "\n## Accuracy\n\n| iterations/s | begun | dropped | generator's lag p(99), ms |\n|--:|--:|--:|--:|"
        for rate in (2_000, 5_000):
            _, metrics = puregrpc(folder, shared, "--rate", str(rate), "-d", f"{seconds}s")
            begun, dropped = metrics["iterations"]["count"], metrics.get("dropped_iterations", {}).get("count", 0)
            share, lag = begun / (rate * seconds), metrics["generator_lag"]["p(99)"]
            yield f"| {rate:,} | {begun:,.0f} ({share:.2%}) | {dropped:,.0f} | {lag:.2f} |"
        yield "\n## A server that stands still for a second, 1,000 iterations/s, 50 users\n"
        yield "| | begun | dropped | p(99), ms | p(99) from when it was due, ms |\n|---|--:|--:|--:|--:|"
        stalled(pid, seconds / 2)
        _, metrics = puregrpc(folder, shared, "--rate", "1000", "-u", "50", "-d", f"{seconds}s")
        yield stall_row("puregrpc", metrics)
        stalled(pid, seconds / 2)
        scenario = {"executor": "constant-arrival-rate", "rate": 1000, "duration": f"{seconds}s", "preAllocatedVUs": 50}
        options = {"scenarios": {"s": scenario}}
        _, metrics = k6(folder, f"export const options = {json.dumps(options)};\n{javascript}")
        yield stall_row("k6", metrics)


def stall_row(name: str, metrics: dict[str, dict[str, float]]) -> str:
    """A row of the last table."""
    dropped = metrics.get("dropped_iterations", {}).get("count", 0)
    planned = metrics.get("grpc_req_planned_duration", {}).get("p(99)")
    due = "–" if planned is None else f"{planned:.0f}"
    begun, duration = metrics["iterations"]["count"], metrics["grpc_req_duration"]["p(99)"]
    return f"| {name} | {begun:,.0f} | {dropped:,.0f} | {duration:.0f} | {due} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--users", type=int, nargs="*", default=[1, 50, 1_000])
    parser.add_argument("--output", type=Path, help="save the tables as a page")
    arguments = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for line in rows(arguments, Path(folder)):
            print(line, flush=True)
            lines.append(line)
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
