"""The commands that need click, put together; errors become one line and an exit status."""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence

import click

from puregrpc._version import __version__
from puregrpc.cli.output import (
    INTERRUPTED,
    RPC_EXIT_STATUS,
    describe_rpc_error,
    error_line,
    ignore_output,
    in_options,
    prepare_streams,
    shortened,
)
from puregrpc.errors import ConnectError, Error, InvalidArgument, RpcError

__all__ = ["application", "main"]

CORE_COMMANDS = ("serve", "compile")

COMMANDS = {
    "call": ("call", "Call METHOD (pkg.Service/Method) of the server at TARGET."),
    "list": ("list_command", "List the services of the server at TARGET, or the methods of SERVICE."),
    "describe": ("describe", "Describe SYMBOL (a service, method, type or field), or all services."),
    "health": ("health", "Ask the server at TARGET how it is, or how SERVICE is."),
    "run": ("run", "Run the load test in SCRIPT, with k6's options and summary."),
    "trace": ("trace", "Explain every byte of a gRPC conversation: a call, a capture, or others' calls."),
    "fuzz": ("fuzz", "Fuzz the server at TARGET, from its schema to its frames; or a client."),
    "serve": ("serve", "Serve the demo services, or any from .proto files (see serve --help)."),
    "compile": ("compile_command", "Compile .proto files to a descriptor set (see compile --help)."),
    "completion": ("completion", "Print the completion script for SHELL."),
}
"""Command -> its name in ``puregrpc.cli.COMMAND`` (in ``core_commands`` for those that are modules of the core), and
what ``puregrpc --help`` says of it."""


class Application(click.Group):
    """Imports a command when it is needed: a call does not wait for what only traces need."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - likewise
        if cmd_name not in COMMANDS:
            return None
        module = "core_commands" if cmd_name in CORE_COMMANDS else cmd_name
        command: click.Command = getattr(importlib.import_module(f"puregrpc.cli.{module}"), COMMANDS[cmd_name][0])
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - likewise
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Application, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="puregrpc")
def application() -> None:
    """gRPC on the command line: call methods, look at schemas, see every byte on the wire.

    TARGET is host:port, unix:path, or another target that gRPC knows. Connections use TLS unless --plaintext is given
    or TARGET begins with http://.

    Exit status: 0; 1 for errors before or around a call; 2 for a wrong command line; 64 plus the status number for a
    call that ends with another status than OK.
    """


COMPLETING = "_PUREGRPC_COMPLETE"
"""In the environment while a shell asks for completions."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    if COMPLETING in os.environ:
        importlib.import_module("puregrpc.cli.completion").prepare()
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    prepare_streams()
    if sys.stdout is None:
        error_line("standard output is closed")
        return 1
    try:
        status = application.main(arguments, prog_name="puregrpc", standalone_mode=False)
    except click.ClickException as error:
        told = io.StringIO()
        error.show(told)
        click.echo("\n".join(map(shortened, told.getvalue().split("\n"))), err=True, nl=False)
        return error.exit_code
    except BaseException as error:
        if _is_interrupt(error):
            return INTERRUPTED
        alone = _alone(error)
        if isinstance(alone, BrokenPipeError):
            ignore_output()
            return 1
        if not isinstance(alone, (Error, OSError, ModuleNotFoundError)):
            raise
        if debug:
            traceback.print_exc()
        return _tell(alone)
    return status if isinstance(status, int) else 0


def _tell(error: Error | OSError | ModuleNotFoundError) -> int:
    """Say in one line what went wrong; returns the exit status."""
    if isinstance(error, RpcError):
        describe_rpc_error(error)
        return RPC_EXIT_STATUS + error.code
    if isinstance(error, ModuleNotFoundError):
        error_line(f"this needs Python's module {error.name}, which cannot be imported")
    elif not isinstance(error, Error):
        error_line(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))
    else:
        error_line(in_options(str(error)) if isinstance(error, (InvalidArgument, ConnectError)) else str(error))
    return 1


def _alone(error: BaseException) -> BaseException:
    """The one error in the groups that nurseries put it into."""
    while len(inner := tuple(getattr(error, "exceptions", ()))) == 1:
        error = inner[0]
    return error


def _is_interrupt(error: BaseException) -> bool:
    """Whether it is Ctrl-C, alone or in the groups that nurseries put it into."""
    return isinstance(error, (KeyboardInterrupt, click.Abort)) or any(
        map(_is_interrupt, getattr(error, "exceptions", ()))
    )
