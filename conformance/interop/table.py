"""Runs every interoperability case between every pair of peers, with both engines on trio and on asyncio, in
plaintext and over TLS.

Usage: python -m conformance.interop.table [--without-go] [--output FILE]; prints a table, exits 1 if a case failed.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import trustme

from conformance.interop.cases import CASES, COMPRESSED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
BIN = ROOT / "conformance" / ".work" / "bin"
NAMES = [case.__name__ for case in CASES]
ENGINES = ("h2", "fast")
VARIANTS = {"h2": ("h2", "trio"), "fast": ("fast", "trio"), "asyncio": ("fast", "asyncio")}
"""What is tested of puregrpc, by its name in the table: the engine, and the world of client and server."""
TCP_LISTEN = "0A"
"""A socket's state in /proc/net/tcp."""
BOUND = 600.0
"""How long a client may take for all of its cases (seconds). Each has a bound of its own; a loaded machine is slow."""
GO_CASE_BOUND = 120.0
STOP_BOUND = 60.0
START_BOUND = 60.0
GO_SOAK_LATENCY_MS = 60_000
"""What the soak cases call too slow: what is measured here is whether calls succeed, on machines that may be loaded."""

GO_CLIENT_LACKS = COMPRESSED
"""What grpc-go's client lacks."""
GRPCIO_SERVER_LACKS = {"client_compressed_unary", "client_compressed_streaming"}
"""grpcio does not show a handler whether a message came compressed, so its server cannot refuse the probe."""
GRPCIO_CLIENT_LACKS = {"client_compressed_streaming", "orca_per_rpc"}
"""grpc.aio cannot send a single message of a compressed stream uncompressed, and keeps load reports to itself."""


@dataclass(frozen=True)
class Tls:
    """The files of a certificate for localhost and 127.0.0.1."""

    ca: str
    cert: str
    key: str


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}


@contextmanager
def server(command: list[str]) -> Iterator[str]:
    """Start a server that prints its address as the last word of its first line."""
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"did not start: {' '.join(command)}")
        yield line.split()[-1]
        process.stdout.close()
    finally:
        process.terminate()
        process.wait(STOP_BOUND)


def start_on_free_port(command_for: Callable[[int], list[str]]) -> tuple[subprocess.Popen[bytes], str]:
    """Start a server that takes a port and says nothing: look for a free port, and wait until it listens there.

    Between the look and the listening another process may take the port; then the server ends, and another is tried.
    """
    end = time.monotonic() + START_BOUND
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = subprocess.Popen(command_for(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            if port in listening_ports(process.pid):
                return process, f"127.0.0.1:{port}"
            if time.monotonic() > end:
                process.kill()
                process.wait()
                raise RuntimeError(f"{command_for(port)[0]} did not listen within {START_BOUND:g} s")
            time.sleep(0.05)
        if time.monotonic() > end:
            raise RuntimeError(f"{command_for(port)[0]} ends with {process.returncode} when it is started")


def listening_ports(pid: int) -> set[int]:
    """The TCP ports that a process listens on (proc_pid_fd(5), proc_pid_net(5))."""
    inodes, ports = set(), set()
    with suppress(OSError):  # the process has ended
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            inodes.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == TCP_LISTEN and fields[9] in inodes:
                    ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


@contextmanager
def go_server(tls: Tls | None) -> Iterator[str]:
    """grpc-go's server."""

    def command_for(port: int) -> list[str]:
        command = [str(BIN / "grpc-go-interop-server"), f"--port={port}"]
        if tls:
            command += ["--use_tls=true", f"--tls_cert_file={tls.cert}", f"--tls_key_file={tls.key}"]
        return command

    process, address = start_on_free_port(command_for)
    try:
        yield address
    finally:
        process.terminate()
        process.wait(STOP_BOUND)


def python_server(module: str, tls: Tls | None, *arguments: str) -> list[str]:
    command = [sys.executable, "-m", f"conformance.interop.{module}", *arguments]
    if tls:
        command += ["--tls-cert", tls.cert, "--tls-key", tls.key]
    return command


def python_client(module: str, address: str, names: list[str], tls: Tls | None, *arguments: str) -> dict[str, str]:
    command = [sys.executable, "-m", f"conformance.interop.{module}", address, *names, *arguments]
    if tls:
        command += ["--tls-ca", tls.ca]
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        returncode: int | None = None
        with suppress(subprocess.TimeoutExpired):  # then the cases without an outcome have failed
            returncode = subprocess.run(
                command, cwd=ROOT, env=environment(), stdout=output, stderr=errors, timeout=BOUND, check=False
            ).returncode
        output.seek(0)
        errors.seek(0)
        found = dict(line.split(" ", 1) for line in output.read().splitlines() if line.split(" ", 1)[0] in NAMES)
        if returncode != 0:
            print(f"{module} ended with {returncode}: {errors.read()[-1500:]}", file=sys.stderr)
    return found


def go_client(address: str, names: list[str], tls: Tls | None) -> dict[str, str]:
    host, port = address.rsplit(":", 1)
    found = {}
    for name in names:
        command = [str(BIN / "grpc-go-interop-client"), f"--server_host={host}", f"--server_port={port}"]
        command += [f"--test_case={name}"]
        if name.startswith("orca_"):  # its client looks at reports only in a balancer made for that
            command += ['--service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}']
        if name.endswith("_soak"):
            command += [f"--soak_per_iteration_max_acceptable_latency_ms={GO_SOAK_LATENCY_MS}"]
            command += [f"--soak_overall_timeout_seconds={GO_CASE_BOUND:.0f}"]
        if tls:
            command += ["--use_tls=true", "--use_test_ca=true", f"--ca_file={tls.ca}"]
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=GO_CASE_BOUND, check=False)
        except subprocess.TimeoutExpired:
            found[name] = f"failed: not over after {GO_CASE_BOUND:g} s"
            continue
        found[name] = "ok" if result.returncode == 0 else f"failed: {result.stderr.strip()[-200:]}"
    return found


def certificate(folder: Path) -> Tls:
    ca = trustme.CA()
    issued = ca.issue_cert("localhost", "127.0.0.1")
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return Tls(str(folder / "ca.pem"), str(folder / "cert.pem"), str(folder / "key.pem"))


def run(*, with_go: bool, tls: Tls, short: bool) -> dict[str, dict[str, str]]:
    """Column -> case -> "ok", "-" where the peer lacks the case, or "failed: why"; short: TLS on asyncio alone."""
    table: dict[str, dict[str, str]] = {}

    def column(title: str, lacking: set[str], results: dict[str, str]) -> None:
        table[title] = {name: "-" if name in lacking else results.get(name, "failed: no result") for name in NAMES}

    for secure in (None, tls):
        over = "TLS" if secure else "plaintext"
        with ExitStack() as stack:
            options = {name: ("--engine", engine, "--world", world) for name, (engine, world) in VARIANTS.items()}
            ours = {
                name: stack.enter_context(server(python_server("puregrpc_server", secure, *option)))
                for name, option in options.items()
            }
            grpcio = stack.enter_context(server(python_server("grpcio_server", secure)))
            go = stack.enter_context(go_server(secure)) if with_go else ""
            for title in ["asyncio"] if short and secure else VARIANTS:
                option = options[title]
                names = [name for name in NAMES if name not in GRPCIO_SERVER_LACKS]
                column(
                    f"{title} → grpcio, {over}", GRPCIO_SERVER_LACKS,
                    python_client("puregrpc_client", grpcio, names, secure, *option),
                )  # fmt: skip
                names = [name for name in NAMES if name not in GRPCIO_CLIENT_LACKS]
                column(
                    f"grpcio → {title}, {over}", GRPCIO_CLIENT_LACKS,
                    python_client("grpcio_client", ours[title], names, secure),
                )  # fmt: skip
                column(
                    f"{title} → {title}, {over}", set(),
                    python_client("puregrpc_client", ours[title], NAMES, secure, *option),
                )  # fmt: skip
                if with_go:
                    names = [name for name in NAMES if name not in COMPRESSED]
                    column(
                        f"{title} → grpc-go, {over}", COMPRESSED,
                        python_client("puregrpc_client", go, names, secure, *option),
                    )  # fmt: skip
                    lacking = GO_CLIENT_LACKS | {"long_lived_channel"}
                    names = [name for name in NAMES if name not in lacking]
                    column(f"grpc-go → {title}, {over}", lacking, go_client(ours[title], names, secure))
    return table


def render(table: dict[str, dict[str, str]]) -> str:
    columns = list(table)
    lines = ["| case | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in NAMES:
        cells = [cell if (cell := table[column][name]) in ("ok", "-") else "FAILED" for column in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--without-go", action="store_true")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = run(
            with_go=not arguments.without_go, tls=certificate(Path(folder)), short=bool(os.environ.get("SHORT"))
        )
    go = "" if arguments.without_go else ", grpc-go 1.82.1"
    text = f"Peers: grpcio {version('grpcio')}{go}. “-”: the peer does not implement the case.\n\n{render(table)}\n"
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    failures = [
        f"{column}: {name} {cell}"
        for column, cells in table.items()
        for name, cell in cells.items()
        if cell not in ("ok", "-")
    ]
    for failure in failures:
        print(failure)
    passed = sum(cell == "ok" for cells in table.values() for cell in cells.values())
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
