"""The parser's view of the tokens: what stands here, consume it, complain that it should be something else.

Over quick tokens any complaint ends the parse with NotQuick; over exact tokens it is noted and the parse goes on
where protoc's does, so that one run finds the same errors at the same places.
"""

from __future__ import annotations

import re
import sys
from typing import NoReturn

from puregrpc.proto.diagnostics import MAX_DIAGNOSTICS
from puregrpc.proto.parse.lexer import END, ExactTokens
from puregrpc.proto.parse.literals import parse_float, parse_integer, unescape

__all__ = [
    "LARGEST_INT32",
    "LARGEST_UINT64",
    "QUOTES",
    "SMALL_INTEGERS",
    "NotQuick",
    "SkipStatement",
    "TokenStream",
    "TooManyErrors",
]

INTEGER_TOKEN = re.compile(r"0[xX]\w*|[0-9]+")
QUOTES = ('"', "'")
SMALL_INTEGERS = {sys.intern(str(value)): value for value in range(1000)}
"""Nearly all the integers that sources have. (Threads without the GIL look interned names up without a lock.)"""

LARGEST_INT32 = (1 << 31) - 1
LARGEST_UINT64 = (1 << 64) - 1


class NotQuick(Exception):  # noqa: N818 - not a fault: the exact way has to look at this source
    """The quick tokens do not decide what is meant here, or it is an error."""


class SkipStatement(Exception):  # noqa: N818 - how a rule that failed gets back to the statement loop
    """The statement cannot be parsed; its error is noted."""


class TooManyErrors(Exception):  # noqa: N818 - not a fault: how the parse ends
    """So many errors were found that nobody wants more of them."""


class TokenStream:
    """A list of tokens and the place in it."""

    def __init__(self, tokens: list[str] | ExactTokens) -> None:
        self.exact = tokens if isinstance(tokens, ExactTokens) else None
        self.tokens = tokens.texts if isinstance(tokens, ExactTokens) else tokens
        self.at = 0
        self.errors: list[tuple[int, str]] = []
        """(token, message), in the order found."""
        self.warnings: list[tuple[int, str]] = []

    def error(self, message: str, token: int | None = None) -> None:
        """Note an error at a token, the current one unless told, and go on."""
        if not self.exact:
            raise NotQuick
        self.errors.append((self.at if token is None else token, message))
        if len(self.errors) >= MAX_DIAGNOSTICS:
            raise TooManyErrors

    def fail(self, message: str) -> NoReturn:
        """Note an error at the current token and give up on the statement."""
        self.error(message)
        raise SkipStatement

    def at_end(self) -> bool:
        """Whether no token is left."""
        return self.tokens[self.at] == END

    def consume(self, text: str, problem: str = "") -> None:
        """Go past a token that must be ``text``."""
        if self.tokens[self.at] != text:
            self.fail(problem or f'Expected "{text}".')
        self.at += 1

    def try_consume(self, text: str) -> bool:
        """Go past the token if it is ``text``."""
        if self.tokens[self.at] == text:
            self.at += 1
            return True
        return False

    def identifier(self, problem: str) -> str:
        """Go past an identifier without dots."""
        token = self.tokens[self.at]
        if not token.isidentifier():
            self.fail(problem)
        self.at += 1
        return token

    def at_string(self) -> bool:
        """Whether the current token is a string."""
        return self.tokens[self.at][:1] in QUOTES

    def at_integer(self) -> bool:
        """Whether the current token is an integer, in range or not."""
        return INTEGER_TOKEN.fullmatch(self.tokens[self.at]) is not None

    def integer(self, problem: str, largest: int = LARGEST_INT32) -> int:
        """Go past an integer from 0 to ``largest``."""
        token = self.tokens[self.at]
        value = SMALL_INTEGERS.get(token)
        if value is None:
            value = parse_integer(token)
        if value is None or value > largest:
            if not self.at_integer():
                self.fail(problem)
            if not self.exact or self.tokens[self.at] not in ("0x", "0X"):  # for which the scan has an error of its own
                self.error("Integer out of range.")
            value = 0
        self.at += 1
        return value

    def signed_integer(self, problem: str) -> int:
        """Go past a 32-bit integer with or without a minus sign."""
        if self.try_consume("-"):
            return -self.integer(problem, LARGEST_INT32 + 1)
        return self.integer(problem)

    def number(self, problem: str) -> float:
        """Go past an integer, a floating point number, ``inf`` or ``nan``."""
        token = self.tokens[self.at]
        value: float | None = parse_float(token)
        if value is None:
            integer = parse_integer(token)
            if integer is not None:
                value = float(integer)
            elif token in ("inf", "nan"):
                value = float(token)
            elif not self.at_integer():
                if not self.exact or not token[:1].isdigit():
                    self.fail(problem)
                value = 0.0
            elif token[0] == "0" or not token.isdigit():
                self.error("Integer out of range.")
                value = 0.0
            else:
                value = float(token)
        self.at += 1
        return value

    def string(self, problem: str) -> str:
        """Go past adjacent string literals, joined."""
        tokens = self.tokens
        token = tokens[self.at]
        if token[:1] not in QUOTES:
            self.fail(problem)
        if "\\" not in token and tokens[self.at + 1][:1] not in QUOTES:
            self.at += 1
            return token[1:-1]
        value = self._string_value()
        while tokens[self.at][:1] in QUOTES:
            value += self._string_value()
        return value

    def _string_value(self) -> str:
        value = unescape(self.tokens[self.at])
        if value is None:
            if not self.exact:
                raise NotQuick
            value = ""  # the scan has reported the escape sequence
        self.at += 1
        return value

    def skip_statement(self) -> None:
        """Go behind the next ``;`` or block, or to the closing brace of this one."""
        tokens = self.tokens
        while (token := tokens[self.at]) != END:
            if token == "}":
                return
            self.at += 1
            if token == ";":
                return
            if token == "{":
                self._skip_rest_of_block()
                return

    def _skip_rest_of_block(self) -> None:
        """Go behind the closing brace. As protoc does, one token after each brace is not looked at."""
        tokens = self.tokens
        depth = 1
        while (token := tokens[self.at]) != END:
            if token == "}":
                self.at += 1
                depth -= 1
                if depth == 0:
                    return
            elif token == "{":
                self.at += 1
                depth += 1
            if tokens[self.at] != END:
                self.at += 1
