"""The requests of a call: JSON from the command line, a file, or standard input as it comes."""

from __future__ import annotations

import codecs
import json
import os
import stat
import sys
from collections.abc import AsyncGenerator, Iterator

import trio

from puregrpc.errors import InvalidArgument

__all__ = ["JsonSplitter", "read_requests"]

READ_SIZE = 1 << 16
WHITESPACE = " \t\r\n\x1e"
"""What may stand between values; the record separator of RFC 7464 too."""


class JsonSplitter:
    """Cuts a text into the JSON values it holds one after another. ``name`` is what errors call the text."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._line = 1

    def feed(self, text: str, *, final: bool = False) -> Iterator[str]:
        """Take more text; yields the values that are complete. Raises InvalidArgument where it is not JSON."""
        self._text += text
        while True:
            start = len(self._text) - len(self._text.lstrip(WHITESPACE))
            self._line += self._text.count("\n", 0, start)
            self._text = self._text[start:]
            if not self._text:
                return
            try:
                _, end = self._decoder.raw_decode(self._text)
            except json.JSONDecodeError as error:
                if not final and (error.pos >= len(self._text.rstrip()) - 5 or "Unterminated" in error.msg):
                    return  # the value may go on
                line = self._line + error.lineno - 1
                raise InvalidArgument(f"{self.name}: line {line}, column {error.colno}: {error.msg}") from None
            except RecursionError:
                raise InvalidArgument(f"{self.name}: line {self._line}: JSON that is nested too deep") from None
            if not final and self._text[0] not in '{["' and not self._text[end:].strip("+-.0123456789Ee"):
                return  # a number may go on
            value, self._text = self._text[:end], self._text[end:]
            yield value
            self._line += value.count("\n")


async def read_requests(data: str | None) -> AsyncGenerator[str, None]:
    """The JSON texts of ``-d``: the text itself, ``@file``, ``@-``; None is standard input too.

    Standard input is read as it comes, so that values can be sent while others are still being typed.
    """
    if data is not None and not data.startswith("@"):
        for value in JsonSplitter("-d").feed(_argument(data), final=True):
            yield value
        return
    if data is not None and data != "@-":
        try:
            text = (await trio.Path(data[1:]).read_bytes()).decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidArgument(f"{data[1:]}: not UTF-8 at octet {error.start}") from None
        for value in JsonSplitter(data[1:]).feed(text, final=True):
            yield value
        return
    splitter = JsonSplitter("standard input")
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        octets = await _read_standard_input()
        for value in splitter.feed(decoder.decode(octets, not octets), final=not octets):
            yield value
        if not octets:
            return


def _argument(text: str) -> str:
    """An argument of the command line as UTF-8, also where the locale has another encoding."""
    try:
        return os.fsencode(text).decode("utf-8")
    except UnicodeError:
        return text


async def _read_standard_input() -> bytes:
    """Some octets of standard input, b"" at its end."""
    try:
        descriptor = sys.stdin.fileno()
    except (OSError, ValueError):  # replaced by an object that is no file
        return sys.stdin.read().encode()
    if sys.platform == "win32":
        # Windows cannot wait for a console or a pipe; the thread is let go if the call ends first.
        return await trio.to_thread.run_sync(os.read, descriptor, READ_SIZE, abandon_on_cancel=True)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        try:
            await trio.lowlevel.wait_readable(descriptor)
        except PermissionError:  # /dev/null and its like are always ready
            await trio.lowlevel.checkpoint()
    return os.read(descriptor, READ_SIZE)
