"""Exports the metrics of load runs to a collector of OpenTelemetry and to Prometheus, and asks them what came.

``python -m conformance.load.exports COLLECTOR [PROMETHEUS]``. Exit status 1 if something is not there.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

from tests.load.hello import PROTO, hello_server

ITERATIONS = 40

SCRIPT = """
from puregrpc import Client, Counter, check
client = Client()
client.load([], "hello.proto")
large = Counter("large_tags")
options = {{"vus": 4, "iterations": {iterations}, "thresholds": {{"checks": ["rate==1"]}}}}
def default():
    client.connect("{target}", plaintext=True)
    check(client.invoke("hello.HelloService/SayHello", {{}}), {{"ok": lambda r: r.status == 0}})
def teardown(data):
    for number in range({large}):
        large.add(1, {{"number": str(number), "long": "x" * 3000}})
"""

CONFIG = """yaml:
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{grpc}"}}, http: {{endpoint: "127.0.0.1:{http}"}}}}}}}}
exporters: {{debug: {{verbosity: detailed}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [otlp], exporters: [debug]}}}}
"""

NO_SCRAPES = "global: {scrape_interval: 1h}\n"

START_TIMEOUT = 20.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def started(command: list[str], port: int, log: Path) -> Iterator[None]:
    """A program that listens on a port, for as long as this lasts."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=log.parent)
        try:
            until = time.monotonic() + START_TIMEOUT
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > until:
                        raise RuntimeError(f"{command[0]} does not listen: {log.read_text()[-2000:]}") from None
                    time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(20)


def exported(folder: Path, target: str, out: str, large: int = 0) -> list[str]:
    """Run a script whose metrics go somewhere; what is wrong."""
    (folder / "hello.proto").write_text(PROTO)
    (folder / "script.py").write_text(SCRIPT.format(target=target, iterations=ITERATIONS, large=large))
    command = [sys.executable, "-m", "puregrpc", "run", "-q", "--out", out, "script.py"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    problems = [] if result.returncode == 0 else [f"exit status {result.returncode}"]
    return problems + [line for line in result.stderr.splitlines() if "export" in line or "metrics are not" in line]


def until_true(look: Callable[[], bool]) -> bool:
    """Whether something comes to be true, within some seconds."""
    until = time.monotonic() + 10
    while not look():
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


def told(log: Path) -> dict[str, list[str]]:
    """Metric -> the texts of its data points, as the collector's debug exporter prints them."""
    found: dict[str, list[str]] = {}
    for metric in re.split(r"^Metric #\d+\n", log.read_text(), flags=re.MULTILINE)[1:]:
        name = re.search(r"-> Name: (\S+)", metric)
        if name is not None:
            points = re.split(r"^\w*DataPoints #\d+\n", metric, flags=re.MULTILINE)[1:]
            found.setdefault(name.group(1), []).extend(points)
    return found


def with_collector(program: str, target: str, kind: str, large: int) -> list[str]:
    """The problems of OTLP over ``grpc`` or ``http``."""
    with tempfile.TemporaryDirectory() as name:
        folder, ports = Path(name), {"grpc": free_port(), "http": free_port()}
        log = folder / "collector.log"
        where = {"grpc": f"127.0.0.1:{ports['grpc']}", "http": f"http://127.0.0.1:{ports['http']}/v1/metrics"}[kind]
        with started([program, f"--config={CONFIG.format(**ports)}"], ports[kind], log):
            problems = exported(folder, target, f"opentelemetry={where}", large)
            if not until_true(lambda: len(told(log).get("large_tags", [])) >= large and "iterations" in told(log)):
                problems.append("not all has come")
        points = told(log)
        if len({re.findall(r"number: Str\((\d+)\)", point)[0] for point in points.get("large_tags", [])}) != large:
            problems.append("of what has long tags, not all has come")
        if not any(f"Count: {ITERATIONS}" in point for point in points.get("grpc_req_duration", [])):
            problems.append("grpc_req_duration is not there")
        if not any(f"Value: {ITERATIONS}" in point for point in points.get("checks", []) if "nonzero" in point):
            problems.append("checks are not there")
        if not any(f"Value: {ITERATIONS}" in point for point in points.get("iterations", [])):
            problems.append("iterations are not there")
        return problems


def with_prometheus(program: str, target: str) -> list[str]:
    """The problems of remote write."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        (folder / "prometheus.yml").write_text(NO_SCRAPES)
        command = [
            program, "--config.file=prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver",
        ]  # fmt: skip

        def asked(query: str) -> list[float]:
            try:
                with urlopen(f"http://127.0.0.1:{port}/api/v1/query?query={quote(query)}", timeout=5) as answer:
                    found = json.load(answer)
            except URLError:
                return []
            return [float(each["value"][1]) for each in found["data"]["result"]]

        with started(command, port, folder / "prometheus.log"):
            until_true(lambda: bool(asked("vector(1)")))
            problems = exported(folder, target, f"prometheus=http://127.0.0.1:{port}/api/v1/write", 100)
            expected = {
                "puregrpc_iterations_total": ITERATIONS,
                'puregrpc_checks_passes_total{check="ok"}': ITERATIONS,
                'puregrpc_grpc_req_duration_count{method="SayHello",status="0"}': ITERATIONS,
                "count(puregrpc_large_tags_total)": 100,
                'count(puregrpc_grpc_req_duration{quantile="0.95"} > 0)': 1,
            }
            for query, value in expected.items():
                if asked(query) != [value]:
                    problems.append(f"{query}: {asked(query)}, not {value}")
        return problems


def main(collector: str, prometheus: str = "") -> int:
    failed = 0
    with hello_server() as target:
        checks: dict[str, Callable[[], list[str]]] = {
            "OpenTelemetry over gRPC, 9 MB of tags": lambda: with_collector(collector, target, "grpc", 3_000),
            "OpenTelemetry over HTTP": lambda: with_collector(collector, target, "http", 10),
        }
        if prometheus:
            checks["Prometheus' remote write"] = lambda: with_prometheus(prometheus, target)
        for name, check in checks.items():
            problems = check()
            failed += bool(problems)
            print("\n         ".join([f"{'differs' if problems else 'ok':8} {name}", *problems]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
