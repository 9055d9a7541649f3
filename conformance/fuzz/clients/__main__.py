"""The table of clients against the misbehaving server: ``python -m conformance.fuzz.clients [CLIENT ...]``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from puregrpc.fuzz.misbehaving.clients import fuzz_client
from puregrpc.fuzz.misbehaving.misbehaviours import MISBEHAVIOURS

HERE = Path(__file__).parent
CLIENTS = {
    "puregrpc": "conformance.fuzz.clients.puregrpc_client",
    "grpcio": "conformance.fuzz.clients.grpcio_client",
    "grpclib 0.4.9": "grpclib@0.4.9",
    "grpc-go 1.85.0": "go@v1.85.0",
    "grpc-js 1.14.7": "node@1.14.7",
    "tonic 0.14.9": "rust@0.14.9",
}


def command_of(client: str) -> str:
    """The command that makes the call, with {address}; the client is built if it is not there."""
    what = CLIENTS[client]
    if "@" not in what:
        return f"{sys.executable} -m {what} {{address}}"
    done = subprocess.run(
        [str(HERE / "get"), what], env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{client} cannot be built:\n{done.stderr[-2000:]}")
    return f"{done.stdout.splitlines()[-1]} {{address}}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m conformance.fuzz.clients")
    parser.add_argument("clients", nargs="*")
    arguments = parser.parse_args()
    print("| client | findings | what they are |\n|---|---|---|")
    for client in arguments.clients or CLIENTS:
        # Raw bytes are a message whatever they are.
        cases = tuple(name for name in MISBEHAVIOURS if name != "not-protobuf")
        report = fuzz_client(command_of(client), time_limit=1800, cases=cases)
        kinds: dict[str, list[str]] = {}
        for finding in report.findings:
            kinds.setdefault(finding.check, []).append(finding.case.steps[0].until)
        shown = "; ".join(f"`{check}`: {', '.join(names)}" for check, names in kinds.items())
        print(f"| {client} | {len(report.findings)} of {report.cases} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
