"""The reference of the command line, from the same texts as --help."""

from __future__ import annotations

import argparse
import importlib

import click

from puregrpc.cli.app import CORE_COMMANDS, application

__all__ = ["commands_page"]


def commands_page() -> str:
    """The page as Markdown."""
    lines = [
        "# Commands",
        "",
        "This page is made from the texts of `--help` (`python -m docs.wire.generate`).",
        "",
        "```",
        _help(_root()),
        "```",
    ]
    for name in application.list_commands(_root()):
        lines += ["", f"## puregrpc {name}", "", "```"]
        if name in CORE_COMMANDS:
            parser: argparse.ArgumentParser = importlib.import_module(f"puregrpc.cli.{name}").parser()
            parser.formatter_class = _Steady
            parser.usage = f"puregrpc {name} [options]" + (" FILE..." if name == "compile" else "")
            lines.append(parser.format_help().rstrip())
        else:
            root = _root()
            command = application.get_command(root, name)
            if command is not None:
                lines.append(_help(click.Context(command, parent=root, info_name=name)))
        lines.append("```")
    return "\n".join(lines) + "\n"


class _Steady(argparse.HelpFormatter):
    """The same on every machine and in every version of Python."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return ", ".join(action.option_strings) or str(action.metavar or action.dest)
        choices = f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.dest.upper()
        return f"{', '.join(action.option_strings)} {action.metavar or choices}"


def _root() -> click.Context:
    # As click makes it itself: commands take -h and --help from here.
    return application.make_context("puregrpc", ["list"], resilient_parsing=True, terminal_width=100)


def _help(context: click.Context) -> str:
    return context.command.get_help(context).rstrip()
