"""``python -m puregrpc_grpc``: the stub of grpcio, and what is wrong with an installation."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from puregrpc_grpc.doctor import examine
from puregrpc_grpc.stub import DEFAULT_VERSION, write_stub


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m puregrpc_grpc", description="puregrpc-grpc in the place of grpcio")
    commands = parser.add_subparsers(dest="command", required=True)
    stub = commands.add_parser("stub", help="write a wheel named grpcio that has no code and asks for puregrpc-grpc")
    stub.add_argument("--version", default=DEFAULT_VERSION, help=f"its version ({DEFAULT_VERSION})")
    stub.add_argument("-o", "--output", type=Path, default=Path(), metavar="FOLDER", help="where to write it (here)")
    commands.add_parser("doctor", help="which package grpc is loaded, who claims it, and how to mend a mixture")
    given = parser.parse_args(arguments)
    if given.command == "stub":
        try:
            print(write_stub(given.output, given.version))
        except (OSError, ValueError) as error:
            print(f"puregrpc_grpc stub: {error}", file=sys.stderr)
            return 2
        return 0
    finding = examine()
    print(finding.report())
    return 0 if finding.is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
