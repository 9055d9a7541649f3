"""``serve`` and ``compile`` as they appear among the other commands: their own modules do the work."""

from __future__ import annotations

import importlib

import click

__all__ = ["compile_command", "serve"]


def _core_command(name: str, text: str) -> click.Command:
    def run(arguments: tuple[str, ...]) -> int:
        status: int = importlib.import_module(f"puregrpc.cli.{name}").main(list(arguments))
        return status

    parameters = [click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)]
    return click.Command(
        name,
        callback=run,
        params=list(parameters),
        help=text,
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
    )


serve = _core_command("serve", "Serve the demo services, or any from .proto files (see serve --help).")
compile_command = _core_command("compile", "Compile .proto files to a descriptor set (see compile --help).")
