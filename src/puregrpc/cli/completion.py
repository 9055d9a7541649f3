"""``puregrpc completion``: the script that completes command lines in a shell."""

from __future__ import annotations

import os

import click
from click.shell_completion import BashComplete, add_completion_class, get_completion_class, split_arg_string

from puregrpc.cli.options import Command
from puregrpc.cli.output import print_line

__all__ = ["completion", "prepare"]

SHELLS = ("bash", "zsh", "fish")


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print the completion script for SHELL.

    Services and methods are completed too: they come from --proto or --protoset, or from the server at TARGET.

    \b
    bash: eval "$(puregrpc completion bash)"   in ~/.bashrc
    zsh:  eval "$(puregrpc completion zsh)"    in ~/.zshrc
    fish: puregrpc completion fish > ~/.config/fish/completions/puregrpc.fish
    """
    prepare()
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"no completion for {shell}")
    print_line(made(context.find_root().command, {}, "puregrpc", "_PUREGRPC_COMPLETE").source())
    return 0


def prepare() -> None:
    """Let click know of what is completed in another way here."""
    add_completion_class(Bash)


class Bash(BashComplete):
    """For bash the words of a line end at colons, too: here the line is split as the shell does, host:port whole."""

    source_template = """\
%(complete_func)s() {
    local reply type value
    reply=$(env COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" %(complete_var)s=bash_complete $1)
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            nospace) compopt -o nospace; COMPREPLY+=("$value") ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done <<< "$reply"
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def source(self) -> str:
        return self.source_template % self.source_vars()

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ["COMP_LINE"]
        line = line.encode()[: int(os.environ.get("COMP_POINT", len(line)))].decode(errors="ignore")
        words = split_arg_string(line)
        incomplete = "" if line[-1:].isspace() or len(words) < 2 else words.pop()
        return words[1:], incomplete
