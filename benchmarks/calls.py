"""Calls beside the peers: puregrpc, grpcio and grpclib as clients and servers, in turn, in several rounds of one run.

Usage: python -m benchmarks.calls [--rounds N] [--seconds N] [--short] [--only TEXT] [--json FILE] [--output FILE]

The clients call grpc-go's interop server if conformance/get has built it, else the grpc.aio server; servers are called
by puregrpc's client. Each measurement is a process of its own, which says what it used; ratios are medians of rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from functools import partial
from math import nan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from conformance.interop.messages import PROTOS

from benchmarks.measuring import ROOT, Row, Server, in_rounds, run_worker, started, started_go, versions
from benchmarks.work import UNARY_DICT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    Works = Mapping[str, Callable[[], dict[str, float]]]

GHZ = ROOT / "conformance" / ".work" / "bin" / "ghz"
GO_SERVER = ROOT / "conformance" / ".work" / "bin" / "grpc-go-interop-server"
OURS = "puregrpc"


class Plan:
    """Which rows are measured, and how long."""

    def __init__(self, rounds: int, seconds: float, short: bool, only: str) -> None:
        self.rounds = rounds
        self.seconds = str(seconds)
        self.short = short
        self.only = only
        self.rows: list[Row] = []

    def measure(
        self, name: str, works: Mapping[str, Callable[[], dict[str, float]]], rounds: int | None = None
    ) -> None:
        if self.only not in name:
            return
        print(f"… {name}", file=sys.stderr, flush=True)
        self.rows.append(in_rounds(Row(name), rounds or self.rounds, works))

    def clients(self, address: str) -> None:
        seconds = self.seconds
        for world, others in (("trio", ()), ("asyncio", ("uvloop",))):
            for work, title in (("unary", "unary"), ("rich", "unary, deadline, token and id")):
                for concurrency in ("1", "50"):
                    arguments = (work, address, concurrency, seconds)
                    works = {OURS: partial(run_worker, "client_puregrpc", world, "fast", *arguments)}
                    for other in others:
                        works[f"puregrpc on {other}"] = partial(
                            run_worker, "client_puregrpc", other, "fast", *arguments
                        )
                    if world == "trio":
                        works["puregrpc on h2"] = partial(run_worker, "client_puregrpc", world, "h2", *arguments)
                    works["grpc.aio"] = partial(run_worker, "client_grpcio", "aio", *arguments)
                    works["grpclib"] = partial(run_worker, "client_grpclib", *arguments)
                    self.measure(f"{world} client, {title}, {concurrency} at a time", works)
        for threads, title in (("1", "1 at a time"), ("50", "50 threads")):
            for form in ("messages", "dicts"):
                works = {
                    OURS: partial(run_worker, "client_blocking", form, address, threads, seconds),
                    "grpcio sync": partial(run_worker, "client_grpcio", "sync", "unary", address, threads, seconds),
                }
                self.measure(f"blocking Client, unary, {form}, {title}", works)

    def streams(self, address: str) -> None:
        sizes = (("10", "20000"), ("65536", "2000"), ("4194240", "40"))
        for work in ("receive", "send"):
            for size, count in sizes:
                if self.short:
                    count = str(int(count) // 4)
                self.measure(f"{work} a stream of {size}-octet messages", streaming_works(work, address, size, count))

    def sink(self) -> None:
        """Large messages to a server that costs little: see benchmarks/sink.py."""
        size, count = "4194240", "30" if self.short else "120"
        with started([sys.executable, "-m", "benchmarks.sink"]) as server:
            works = streaming_works("send", server.address, size, count)
            self.measure(f"send a stream of {size}-octet messages to a sink", works)

    def servers(self) -> None:
        for world, others in (("trio", ("trio h2",)), ("asyncio", ("uvloop fast",))):
            commands = {OURS: server_command(world, "fast")}
            commands |= {f"puregrpc, {other}": server_command(*other.split()) for other in others}
            commands["grpc.aio"] = [sys.executable, "-m", "benchmarks.server_grpcio"]
            for concurrency in ("1", "50"):
                works = {name: partial(self.load_server, command, concurrency) for name, command in commands.items()}
                self.measure(f"{world} server, unary, {concurrency} at a time", works)

    def servers_by_ghz(self) -> None:
        """Servers beside grpc-go's, called by ghz."""
        if not (GHZ.exists() and GO_SERVER.exists()):
            print("ghz or grpc-go's server is not there: conformance/get ghz grpc-go-interop-server", file=sys.stderr)
            return
        servers = {OURS: partial(started, server_command("asyncio", "fast")), "grpc-go": partial(started_go, GO_SERVER)}
        for world in ("uvloop", "trio"):
            servers[f"puregrpc on {world}"] = partial(started, server_command(world, "fast"))
        for concurrency, connections in (("1", "1"), ("50", "1"), ("50", "10")):
            works = {
                name: partial(self.load_by_ghz, start, concurrency, connections) for name, start in servers.items()
            }
            plural = "" if connections == "1" else "s"
            self.measure(f"server called by ghz, {concurrency} at a time on {connections} connection{plural}", works)

    def servers_of_several_processes(self) -> None:
        """The same server in one process, in two, and twice: what shares nothing says what two processors cost by
        themselves."""
        if not GHZ.exists():
            print("ghz is not there: conformance/get ghz", file=sys.stderr)
            return
        processes = {OURS: "2", "one worker": "1"}
        works: Works = {
            name: partial(self.load_by_ghz, partial(started, [*server_command("asyncio", "fast"), workers]), "50", "50")
            for name, workers in processes.items()
        }
        works = {**works, "two servers of one worker": self.load_two_by_ghz}
        self.measure("server of two workers, 50 at a time on 50 connections", works)

    def load_by_ghz(
        self, start: Callable[[], AbstractContextManager[Server]], concurrency: str, connections: str
    ) -> dict[str, float]:
        with start() as server:
            call_by_ghz(server.address, concurrency, connections, 0.5)
            before = server.cpu_seconds()
            figures = call_by_ghz(server.address, concurrency, connections, float(self.seconds))
            return {
                "per_second": figures["rps"],
                "cpu_us": (server.cpu_seconds() - before) / figures["count"] * 1e6,
                "p50_ms": figures["p50_ms"],
                "p99_ms": figures["p99_ms"],
            }

    def load_two_by_ghz(self) -> dict[str, float]:
        """Two servers that share nothing, each with half of the calls."""
        command = server_command("asyncio", "fast")
        with started(command) as first, started(command) as second, ThreadPoolExecutor(2) as pool:
            servers = first, second

            def load(seconds: float) -> list[dict[str, float]]:
                return list(pool.map(lambda server: call_by_ghz(server.address, "25", "25", seconds), servers))

            load(0.5)
            before = sum(server.cpu_seconds() for server in servers)
            figures = load(float(self.seconds))
            spent = sum(server.cpu_seconds() for server in servers) - before
        return {
            "per_second": sum(each["rps"] for each in figures),
            "cpu_us": spent / sum(each["count"] for each in figures) * 1e6,
            "p50_ms": max(each["p50_ms"] for each in figures),
            "p99_ms": max(each["p99_ms"] for each in figures),
        }

    def load_server(self, command: list[str], concurrency: str) -> dict[str, float]:
        with started(command) as server:
            before = server.cpu_seconds()
            figures = run_worker("client_puregrpc", "trio", "fast", "unary", server.address, concurrency, self.seconds)
            # The worker's warm-up calls are in the server's time as well: count them at the measured pace.
            warm_up = min(1.0, float(self.seconds) / 3)
            calls = figures["per_second"] * (float(self.seconds) + (warm_up if concurrency == "1" else 0))
            figures["cpu_us"] = (server.cpu_seconds() - before) / calls * 1e6
            return figures

    def memory(self, address: str) -> None:
        numbers = {"streams": "10000", "connections": "1000", "message": "100000000"}
        if self.short:
            numbers = {"streams": "2000", "connections": "200", "message": "20000000"}
        for work, number in numbers.items():
            works = {
                OURS: partial(run_worker, "memory", "puregrpc", work, address, number),
                "grpc.aio": partial(run_worker, "memory", "grpcio", work, address, number),
            }
            self.measure(f"memory, {number} {'octets in a message' if work == 'message' else f'idle {work}'}", works, 1)

    def start(self, address: str) -> None:
        """Import and a first call, each form beside that of grpcio which is like it. The bytecode is there already."""
        with TemporaryDirectory() as bytecode:
            variables = {"PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}

            def timed(form: str) -> dict[str, float]:
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                begun = time.perf_counter()
                run_worker("start", form, address, variables=variables)
                wall = time.perf_counter() - begun
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                return {"wall_ms": wall * 1e3, "cpu_us": cpu * 1e6}

            for title, ours, theirs in (
                ("Client, a .proto file and dicts", "client", "grpcio-messages"),
                ("blocking channel, bytes", "blocking", "grpcio"),
                ("trio channel, bytes", "trio", "grpcio-aio"),
            ):
                name = f"import and a first call, as a process: {title}"
                if self.only in name:
                    timed(ours), timed(theirs)
                self.measure(name, {OURS: partial(timed, ours), theirs: partial(timed, theirs)})


def streaming_works(*arguments: str) -> Works:
    """A stream of messages by each client: what is done (``receive`` or ``send``), address, size, number."""
    return {
        OURS: partial(run_worker, "client_puregrpc", "trio", "fast", *arguments),
        "puregrpc on asyncio": partial(run_worker, "client_puregrpc", "asyncio", "fast", *arguments),
        "grpc.aio": partial(run_worker, "client_grpcio", "aio", *arguments),
        "grpclib": partial(run_worker, "client_grpclib", *arguments),
    }


def server_command(world: str, engine: str) -> list[str]:
    """How puregrpc's server is started."""
    return [sys.executable, "-m", "benchmarks.server_puregrpc", world, engine]


def call_by_ghz(address: str, concurrency: str, connections: str, seconds: float) -> dict[str, float]:
    """Have ghz make unary calls; gives calls (``count``), calls a second and latencies."""
    command = [
        str(GHZ), "--insecure", "--proto", str(PROTOS / "grpc/testing/test.proto"), "--import-paths", str(PROTOS),
        "--call", "grpc.testing.TestService/UnaryCall", "-d", json.dumps(UNARY_DICT), "-z", f"{seconds:g}s",
        "-c", concurrency, "--connections", connections, "-O", "json", address,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    result = json.loads(done.stdout)
    latencies = {entry["percentage"]: entry["latency"] / 1e6 for entry in result["latencyDistribution"] or ()}
    return {
        "count": (result["statusCodeDistribution"] or {}).get("OK", 0),
        "rps": result["rps"],
        "p50_ms": latencies.get(50, nan),
        "p99_ms": latencies.get(99, nan),
    }


FIGURES = (
    ("per_second", "per s", "{:,.0f}"), ("cpu_us", "CPU µs", "{:.1f}"), ("mb_per_second", "MB/s", "{:,.0f}"),
    ("p50_ms", "p50 ms", "{:.2f}"), ("p99_ms", "p99 ms", "{:.2f}"), ("bytes_each", "octets each", "{:,.0f}"),
    ("times_as_bytes", "× its size", "{:.2f}"), ("times_decoded", "× decoded", "{:.2f}"), ("wall_ms", "ms", "{:.0f}"),
)  # fmt: skip


def render(rows: list[Row]) -> str:
    """One table a kind of work: the medians, and the ratio of ours to each peer's, round by round."""
    lines = []
    for row in rows:
        implementations = list(row.figures)
        keys = [key for key, _, _ in FIGURES if key in row.figures[implementations[0]][0]]
        titles = {key: title for key, title, _ in FIGURES}
        formats = {key: form for key, _, form in FIGURES}
        lines += ["", f"**{row.name}**", ""]
        lines.append("| | " + " | ".join(f"{titles[key]} | ours/its" for key in keys) + " |")
        lines.append("|---" * (2 * len(keys) + 1) + "|")
        for implementation in implementations:
            median = row.median(implementation)
            cells = []
            for key in keys:
                ratio = "" if implementation == OURS else f"{row.ratio(key, OURS, implementation):.2f}×"
                cells += [formats[key].format(median[key]), ratio]
            lines.append(f"| {implementation} | " + " | ".join(cells) + " |")
    return "\n".join(lines).strip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--short", action="store_true", default=bool(os.environ.get("SHORT")))
    parser.add_argument("--only", default="", help="rows whose names contain this")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    if arguments.short:
        arguments.rounds, arguments.seconds = 1, 1
    plan = Plan(arguments.rounds, arguments.seconds, arguments.short, arguments.only)

    def against(server: Server) -> None:
        plan.clients(server.address)
        plan.streams(server.address)
        plan.memory(server.address)
        plan.start(server.address)

    if GO_SERVER.exists():
        peer = "grpc-go 1.82.1's interop server"
        with started_go(GO_SERVER) as server:
            against(server)
    else:
        peer = "the grpc.aio server of benchmarks/server_grpcio.py"
        with started([sys.executable, "-m", "benchmarks.server_grpcio"]) as server:
            against(server)
    plan.sink()
    plan.servers()
    plan.servers_by_ghz()
    plan.servers_of_several_processes()
    head = (
        f"{datetime.now(timezone.utc):%Y-%m-%d}; {versions()}.\nClients call {peer}; servers are called by puregrpc's "
        f"client. {plan.rounds} rounds of {plan.seconds} s; medians. “ours/its”: the median of the rounds' ratios.\n"
        "The sink only adds the messages up: grpc-go's server needs twice the processor time of a client that sends it "
        "large messages, and so is what that row measures.\n\n"
    )
    text = head + render(plan.rows)
    print(text)
    if arguments.output:
        arguments.output.write_text(f"# Calls beside the peers\n\n{text}", encoding="utf-8")
    if arguments.json:
        arguments.json.write_text(json.dumps({row.name: row.figures for row in plan.rows}, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
