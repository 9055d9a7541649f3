"""``puregrpc completion``: the script that completes command lines in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from puregrpc.cli.output import print_line

__all__ = ["completion"]

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print the completion script for SHELL.

    \b
    bash: eval "$(puregrpc completion bash)"   in ~/.bashrc
    zsh:  eval "$(puregrpc completion zsh)"    in ~/.zshrc
    fish: puregrpc completion fish > ~/.config/fish/completions/puregrpc.fish
    """
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"no completion for {shell}")
    print_line(made(context.find_root().command, {}, "puregrpc", "_PUREGRPC_COMPLETE").source())
    return 0
