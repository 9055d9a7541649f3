"""The requests of a call: JSON or text format from the command line, a file, or standard input as it comes."""

from __future__ import annotations

import codecs
import json
import os
import re
import select
import stat
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from puregrpc.cli.output import note
from puregrpc.errors import InvalidArgument

if TYPE_CHECKING:
    from puregrpc.kernel import Kernel

__all__ = ["RECORD_SEPARATOR", "JsonSplitter", "TextSplitter", "is_piped", "read_requests"]

READ_SIZE = 1 << 16
PATIENCE = 1.0
"""After how many seconds it is said that standard input is being waited for."""
RECORD_SEPARATOR = "\x1e"
"""Stands between messages in text format, as grpcurl has it."""
BETWEEN = re.compile(r"[ \t\r\n\x1e]*")
"""What may stand between values; the record separator of RFC 7464 too."""
OF_NUMBERS = re.compile(r"[-+.0-9Ee]*")
"""What a number may go on with."""
MARKS = re.compile(r'\\.?|["\[\]{}]', re.DOTALL)
"""What strings, arrays and objects begin and end with, and escapes within strings."""


class _Unfinished:
    """Where the value ends that a text leaves unfinished, as far as brackets and quotation marks say."""

    def __init__(self, text: str) -> None:
        self._first = text[:1]
        self._depth = 0
        self._is_in_string = self._is_escaped = False
        self._size = 0
        self._looked_at = len(text)
        self.may_end_in(text)

    def may_end_in(self, text: str) -> bool:
        """Whether the value may end in what follows. It is looked at again as well when it is twice as long: it may be
        no JSON."""
        self._size += len(text)
        if self._size >= 2 * self._looked_at:
            return True
        if self._first in "-0123456789":
            return _end_of(OF_NUMBERS, text, 0) < len(text)
        if self._first not in '{["':
            return True
        ends = False
        start = 1 if self._is_escaped else 0
        self._is_escaped = False
        for found in MARKS.finditer(text, start):
            mark = found[0]
            if mark == "\\":  # what it escapes is still to come
                self._is_escaped = self._is_in_string
            elif mark == '"':
                self._is_in_string = not self._is_in_string
            elif mark[0] != "\\" and not self._is_in_string:
                self._depth += 1 if mark in "[{" else -1
            ends = ends or (self._depth <= 0 and not self._is_in_string)
        return ends


class JsonSplitter:
    """Cuts a text into the JSON values it holds one after another. ``name`` is what errors call the text."""

    def __init__(self, name: str) -> None:
        self.name = name
        # Numbers are not made: they may have more digits than Python reads.
        self._decoder = json.JSONDecoder(parse_int=str, parse_float=str)
        self._pieces: list[str] = []
        """Of the value that is not complete."""
        self._unfinished: _Unfinished | None = None
        self._line = 1

    def feed(self, text: str, *, final: bool = False) -> Iterator[str]:
        """Take more text; yields the values that are complete. Raises InvalidArgument where it is not JSON."""
        self._pieces.append(text)
        if not final and self._unfinished is not None and not self._unfinished.may_end_in(text):
            return
        text = "".join(self._pieces)
        at = 0
        try:
            while True:
                start = _end_of(BETWEEN, text, at)
                self._line += text.count("\n", at, start)
                at = start
                if at == len(text):
                    return
                try:
                    _, end = self._decoder.raw_decode(text, at)
                except json.JSONDecodeError as error:
                    if not final and (error.pos >= len(text.rstrip()) - 5 or "Unterminated" in error.msg):
                        return  # the value may go on
                    line = self._line + text.count("\n", at, error.pos)
                    column = error.pos - max(text.rfind("\n", at, error.pos), at - 1)
                    raise InvalidArgument(f"{self.name}: line {line}, column {column}: {error.msg}") from None
                except RecursionError:
                    raise InvalidArgument(f"{self.name}: line {self._line}: JSON that is nested too deep") from None
                if not final and text[at] not in '{["' and _end_of(OF_NUMBERS, text, end) == len(text):
                    return  # a number may go on
                value, at = text[at:end], end
                yield value
                self._line += value.count("\n")
        finally:
            rest = text[at:]
            self._pieces = [rest]
            self._unfinished = _Unfinished(rest) if rest else None


class TextSplitter:
    """Cuts a text into the messages in text format that it holds: a record separator (0x1e) stands between them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._pieces: list[str] = []
        """Of the message that is not complete."""

    def feed(self, text: str, *, final: bool = False) -> Iterator[str]:
        """Take more text; yields the messages that are complete."""
        *complete, rest = text.split(RECORD_SEPARATOR)
        for piece in complete:
            yield self._whole(piece)
        self._pieces.append(rest)
        if final and (last := self._whole()).strip():
            yield last

    def _whole(self, piece: str = "") -> str:
        """The message whose last piece that is."""
        message = "".join((*self._pieces, piece))
        self._pieces.clear()
        return message


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where what stands there ends."""
    match = pattern.match(text, at)
    return at if match is None else match.end()


class Splitter(Protocol):
    """`JsonSplitter` or `TextSplitter`."""

    def feed(self, text: str, *, final: bool = False) -> Iterator[str]: ...


async def read_requests(
    kernel: Kernel,
    data: str | None,
    make_splitter: Callable[[str], Splitter] = JsonSplitter,
    *,
    tells_waiting: bool = False,
) -> AsyncGenerator[str, None]:
    """The texts of ``-d``: the text itself, ``@file``, ``@`` or ``@-``; None is standard input too.

    What may block is done in a thread of the kernel's. Standard input is read as it comes, so that values can be sent
    while others are still being typed. With ``tells_waiting`` it is said that standard input is being waited for, if
    nothing comes for a while.
    """
    if data is not None and not data.startswith("@"):
        for value in make_splitter("-d").feed(_argument(data), final=True):
            yield value
        return
    if data not in (None, "@", "@-"):
        try:
            text = (await kernel.in_thread(Path(data[1:]).read_bytes)).decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidArgument(f"{data[1:]}: not UTF-8 at byte {error.start}") from None
        for value in make_splitter(data[1:]).feed(text, final=True):
            yield value
        return
    splitter = make_splitter("standard input")
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        octets = await kernel.in_thread(_read_standard_input, tells_waiting=tells_waiting)
        tells_waiting = False
        for value in splitter.feed(decoder.decode(octets, not octets), final=not octets):
            yield value
        if not octets:
            return


def is_piped(stream: IO[str] | None) -> bool:
    """Whether standard input comes from a pipe or a file: what is there is meant for this program."""
    if stream is None:
        return False
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):  # replaced by an object that is no file, or closed
        return not getattr(stream, "closed", True)
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _argument(text: str) -> str:
    """An argument of the command line as UTF-8, also where the locale has another encoding."""
    try:
        return os.fsencode(text).decode("utf-8")
    except UnicodeError:
        return text


def _read_standard_input(*, tells_waiting: bool) -> bytes:
    """Some octets of standard input, b"" at its end."""
    try:
        descriptor = sys.stdin.fileno()
    except (OSError, ValueError):  # replaced by an object that is no file
        return sys.stdin.read().encode()
    # On Windows, sockets alone can be waited for.
    if tells_waiting and sys.platform != "win32" and not select.select([descriptor], [], [], PATIENCE)[0]:
        note("waiting for requests on standard input; -d gives them on the command line")
    return os.read(descriptor, READ_SIZE)
