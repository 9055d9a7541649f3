"""Printing: JSON and text, in colours on a terminal (never with NO_COLOR), and errors in one line."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from puregrpc.codec import Codec
    from puregrpc.errors import RpcError

__all__ = [
    "INTERRUPTED",
    "RPC_EXIT_STATUS",
    "describe_rpc_error",
    "error_line",
    "ignore_output",
    "in_options",
    "note",
    "prepare_streams",
    "print_foreign",
    "print_json",
    "print_line",
    "print_styled",
    "print_styled_lines",
    "progress",
    "shortened",
    "without_controls",
]

INTERRUPTED = 130
"""The exit status after Ctrl-C, as if the signal had ended it: 128 plus SIGINT."""

TLS_OPTIONS = {
    "root_certificates": "--cacert",
    "certificate_chain": "--cert",
    "private_key": "--key",
    "server_name": "--servername",
}
"""What the command line calls the fields of TlsOptions."""

CONTROLS = {number: f"\\u{number:04x}" for number in (*range(0x20), *range(0x7F, 0xA0)) if chr(number) not in "\t\n"}
"""Control characters, which a terminal might obey, and how they are written in JSON, .proto and text format alike."""

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


SGR = {
    "bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36,
}  # fmt: skip
"""The words that styles are made of -> what a terminal calls them (ECMA-48, Select Graphic Rendition)."""

JSON_PARTS = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*"(?=:))|(?P<text>"(?:[^"\\]|\\.)*")|(?P<word>true|false|null)|(?P<number>-?\d[\d.eE+-]*)'
)
JSON_STYLES = {"key": "bold blue", "text": "green", "word": "magenta", "number": "bold cyan"}


def has_colours(stream: IO[str]) -> bool:
    """Whether styles are shown: on a terminal, unless NO_COLOR or TERM=dumb say no; FORCE_COLOR says yes."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    # Windows' old console shows escape sequences as they are; what shows them as colours says so.
    obeys = sys.platform != "win32" or "WT_SESSION" in os.environ or "TERM" in os.environ
    return obeys and os.environ.get("TERM") != "dumb" and is_terminal(stream)


def is_terminal(stream: IO[str]) -> bool:
    """Whether somebody looks at it."""
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def styled(text: str, style: str) -> str:
    """Text in a style, for a terminal."""
    if not style or not text:
        return text
    return f"\x1b[{';'.join(str(SGR[word]) for word in style.split())}m{text}\x1b[0m"


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Shows on a terminal that something is going on, for as long as it does."""
    if not is_terminal(sys.stderr) or os.environ.get("TERM") == "dumb":
        yield
        return
    shown = f"{text} ..."
    sys.stderr.write(styled(shown, "dim") if has_colours(sys.stderr) else shown)
    sys.stderr.flush()
    try:
        yield
    finally:
        sys.stderr.write(f"\r{' ' * len(shown)}\r")
        sys.stderr.flush()


def print_line(text: str = "") -> None:
    """A line on standard output, as it is."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_foreign(text: str, *, error: bool = False) -> None:
    """Lines that a peer or a file may have chosen, without what a terminal would obey."""
    stream = sys.stderr if error else sys.stdout
    stream.write(without_controls(text) + "\n")
    stream.flush()


def without_controls(text: str) -> str:
    """Text with its control characters escaped."""
    return text.replace("\r\n", "\n").translate(CONTROLS)


def print_json(value: object, *, indent: int | None = 2) -> None:
    """A JSON value: over several lines with ``indent``, on one line without."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    if not _fits(text, sys.stdout):
        text = json.dumps(value, indent=indent)
    text = text.translate(CONTROLS)
    if has_colours(sys.stdout):
        text = JSON_PARTS.sub(lambda part: styled(part[0], JSON_STYLES[part.lastgroup or ""]), text)
    print_line(text)


def print_styled(runs: Iterable[tuple[str, str]], *, error: bool = False) -> None:
    """A line made of runs of text with a style each."""
    print_styled_lines([runs], error=error)


def print_styled_lines(lines: Iterable[Iterable[tuple[str, str]]], *, error: bool = False) -> None:
    """Lines made of runs of text with a style each, words of `SGR`; without what a terminal would obey beside these."""
    stream = sys.stderr if error else sys.stdout
    ascii_only = not _fits("│─▶◀", stream)
    coloured = has_colours(stream)
    for runs in lines:
        cleaned = ((without_controls(text), style) for text, style in runs)
        line = "".join(styled(text, style) if coloured else text for text, style in cleaned).rstrip()
        stream.write(f"{line.translate(ASCII) if ascii_only else line}\n")
    stream.flush()


def note(text: str, style: str = "dim") -> None:
    """A line on standard error that is no error."""
    print_styled([(text, style)], error=True)


LONGEST_LINE = 2000
"""Characters of a line of an error."""


def error_line(text: str) -> None:
    """An error in one line on standard error."""
    print_styled([("puregrpc: ", "bold red"), (_one_line(text), "")], error=True)


def shortened(line: str) -> str:
    """A line of which the middle is left out if it is very long."""
    if len(line) <= LONGEST_LINE:
        return line
    half = LONGEST_LINE // 2
    return f"{line[:half]} ... {line[-half:]}"


def _one_line(text: str) -> str:
    """Text that a peer may have chosen, without what a terminal would obey, and no longer than anybody reads.

    Line ends are kept.
    """
    text = "\n".join(map(shortened, text.split("\n")))
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def in_options(text: str) -> str:
    """A local error about connecting with the names that the command line has."""
    text = text.replace("connect in plaintext?", "--plaintext?")
    for name, option in TLS_OPTIONS.items():
        text = text.replace(name, option)
    return text.replace(" in TlsOptions", "")


def describe_rpc_error(error: RpcError, codec: Codec | None = None) -> None:
    """A call's status on standard error, with the details that a google.rpc.Status brings, in types that are known."""
    from puregrpc.wire.status import Status  # who only wants help need not wait for the import

    status = Status(error.code, error.message)
    text = in_options(error.message) if "TlsOptions" in error.message else error.message
    message = f": {_one_line(text)}" if text else ""
    print_styled([("puregrpc: ", "bold red"), (f"{status.name} ({status.code:d})", "bold"), (message, "")], error=True)
    if error.details_bin is None:
        return
    from puregrpc.codec import read_status  # few statuses have details

    for number, detail in enumerate(read_status(error.details_bin, codec)["details"], 1):
        print_styled([(f"  detail {number}: {json.dumps(detail, ensure_ascii=False)}", "")], error=True)
