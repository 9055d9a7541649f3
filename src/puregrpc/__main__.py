"""``puregrpc COMMAND`` and ``python -m puregrpc COMMAND``: finds the command's module and runs it.

``serve`` and ``compile`` work with the core alone; the other commands need the extra ``puregrpc[cli]`` (click).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from puregrpc._version import __version__

CORE_COMMANDS = ("serve", "compile")
"""Commands that are modules of their own, with a ``main(argv)``, and need nothing but the core."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] and arguments[0] in CORE_COMMANDS:
        command = importlib.import_module(f"puregrpc.cli.{arguments[0]}")
        return int(command.main(arguments[1:]))
    if arguments == ["--version"]:
        print(f"puregrpc, version {__version__}")
        return 0
    try:
        application = importlib.import_module("puregrpc.cli.app")
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        asked = arguments in ([], ["-h"], ["--help"])
        print(
            f"puregrpc: {'all other commands need' if asked else 'this needs'} the package click: "
            f"pip install 'puregrpc[cli]'\nwithout it there are: puregrpc {', puregrpc '.join(CORE_COMMANDS)}",
            file=sys.stderr,
        )
        return 0 if arguments and asked else 2
    return int(application.main(arguments))


if __name__ == "__main__":
    sys.exit(main())
