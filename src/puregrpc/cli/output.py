"""Printing: JSON and text, in colours on a terminal (never with NO_COLOR), and errors in one line."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.text import Text

from puregrpc.codec import read_status
from puregrpc.wire.status import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from puregrpc.codec import Codec
    from puregrpc.errors import RpcError

__all__ = [
    "RPC_EXIT_STATUS",
    "describe_rpc_error",
    "error_line",
    "ignore_output",
    "in_options",
    "note",
    "prepare_streams",
    "print_json",
    "print_line",
    "print_styled",
    "print_styled_lines",
    "progress",
]


TLS_OPTIONS = {
    "root_certificates": "--cacert",
    "certificate_chain": "--cert",
    "private_key": "--key",
    "server_name": "--servername",
}
"""What the command line calls the fields of TlsOptions."""

CONTROLS = {octet: f"\\u{octet:04x}" for octet in range(0x7F, 0xA0)}
"""Control characters that JSON text may have as they are, and that a terminal might obey."""

RPC_EXIT_STATUS = 64
"""A call that ends with a status exits with 64 plus its number, as grpcurl does."""


ASCII = str.maketrans({"│": "|", "─": "-", "▶": ">", "◀": "<", "…": "...", "×": "x", "–": "-", "→": "->"})
"""What stands for the characters of a ladder where the encoding has none of them."""


def prepare_streams() -> None:
    """Characters that the encoding of a stream does not have are escaped, not an error."""
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open as long as the program runs
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def ignore_output() -> None:
    """Nobody reads standard output any more: what is still buffered goes nowhere, without a complaint at the exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _fits(text: str, stream: IO[str]) -> bool:
    """Whether the stream's encoding has all of the characters."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _console(*, error: bool = False) -> Console:
    # Made anew each time: tests and callers may have replaced the streams.
    plain = bool(os.environ.get("NO_COLOR"))
    return Console(
        file=sys.stderr if error else sys.stdout,
        highlight=False,
        soft_wrap=True,
        emoji=False,
        markup=False,
        color_system=None if plain else "auto",
        force_terminal=False if plain else None,
    )


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Shows on a terminal that something is going on, for as long as it does."""
    console = _console(error=True)
    if not console.is_terminal:
        yield
        return
    with console.status(Text(text)):
        yield


def print_line(text: str = "") -> None:
    """A line on standard output, as it is."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_json(value: object, *, indent: int | None = 2) -> None:
    """A JSON value: over several lines with ``indent``, on one line without."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    if not _fits(text, sys.stdout):
        text = json.dumps(value, indent=indent)
    text = text.translate(CONTROLS)
    console = _console()
    if console.is_terminal:
        console.print(JSONHighlighter()(Text(text)))
    else:
        print_line(text)


def print_styled(runs: Iterable[tuple[str, str]], *, error: bool = False) -> None:
    """A line made of runs of text with a rich style each."""
    print_styled_lines([runs], error=error)


def print_styled_lines(lines: Iterable[Iterable[tuple[str, str]]], *, error: bool = False) -> None:
    """Lines made of runs of text with a rich style each."""
    console = _console(error=error)
    ascii_only = not _fits("│─▶◀", console.file)
    for runs in lines:
        if ascii_only:
            runs = [(text.translate(ASCII), style) for text, style in runs]
        if not console.color_system:  # the same without rich's work: traces have hundreds of thousands of lines
            console.file.write("".join(text for text, _ in runs).rstrip() + "\n")
            continue
        line = Text()
        for text, style in runs:
            line.append(text, style or None)
        line.rstrip()
        console.print(line)
    console.file.flush()


def note(text: str, style: str = "dim") -> None:
    """A line on standard error that is no error."""
    print_styled([(text, style)], error=True)


def error_line(text: str) -> None:
    """An error in one line on standard error."""
    print_styled([("puregrpc: ", "bold red"), (_one_line(text), "")], error=True)


def _one_line(text: str) -> str:
    """Text that a peer may have chosen, without what a terminal would obey; line ends are kept."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def in_options(text: str) -> str:
    """A local error about TLS with the names that the command line has."""
    for name, option in TLS_OPTIONS.items():
        text = text.replace(name, option)
    return text.replace(" in TlsOptions", "")


def describe_rpc_error(error: RpcError, codec: Codec | None = None) -> None:
    """A call's status on standard error, with the details that a google.rpc.Status brings, in types that are known."""
    status = Status(error.code, error.message)
    text = in_options(error.message) if "TlsOptions" in error.message else error.message
    message = f": {_one_line(text)}" if text else ""
    print_styled([("puregrpc: ", "bold red"), (f"{status.name} ({status.code:d})", "bold"), (message, "")], error=True)
    details = () if error.details_bin is None else read_status(error.details_bin, codec)["details"]
    for number, detail in enumerate(details, 1):
        print_styled([(f"  detail {number}: {json.dumps(detail, ensure_ascii=False)}", "")], error=True)
