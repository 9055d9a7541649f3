"""``python -m puregrpc COMMAND``: finds the command's module and runs it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

COMMANDS = ("serve",)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] not in COMMANDS:
        print(f"usage: puregrpc {{{','.join(COMMANDS)}}} ...", file=sys.stderr)
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    command = importlib.import_module(f"puregrpc.cli.{arguments[0]}")
    status: int = command.main(arguments[1:])
    return status


if __name__ == "__main__":
    sys.exit(main())
