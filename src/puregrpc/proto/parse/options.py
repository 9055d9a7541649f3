"""The option half of the grammar: ``option name = value;`` and ``[name = value, ...]``, not interpreted yet."""

from __future__ import annotations

import math
import re
from functools import lru_cache

from puregrpc.proto.parse import ast
from puregrpc.proto.parse.lexer import END, ExactTokens
from puregrpc.proto.parse.literals import parse_float, parse_integer, unescape
from puregrpc.proto.parse.token_stream import QUOTES, NotQuick, TokenStream

__all__ = ["OptionParser"]

SMALLEST_INT64_MAGNITUDE = 1 << 63


class OptionParser(TokenStream):
    """Parses names in dots and options."""

    def __init__(self, tokens: list[str] | ExactTokens) -> None:
        super().__init__(tokens)
        self.option_starts: dict[int, int] = {}
        """id of an option -> the token its name starts with; kept in exact parses."""

    def dotted_name(self, problem: str) -> str:
        """A name with dots; a leading dot makes it fully qualified."""
        tokens = self.tokens
        token = tokens[self.at]
        if not self.exact:
            self.at += 1
            if not token.removeprefix(".").replace(".", "_").isidentifier():
                raise NotQuick
            while tokens[self.at][:1] == ".":  # the name goes on behind a blank or a comment
                part = tokens[self.at][1:]
                if not part.replace(".", "_").isidentifier():
                    raise NotQuick
                token += f".{part}"
                self.at += 1
            return token
        name = ""
        if token == ".":
            name = "."
            self.at += 1
        name += self.identifier(problem)
        while self.try_consume("."):
            name += "." + self.identifier("Expected identifier.")
        return name

    def option_statement(self, options: list[ast.Option]) -> None:
        """``option name = value;``."""
        at = self.at
        if not self.exact and self.tokens[at] == "option" and self.plain_option(options, at + 1):
            self.consume(";")
            return
        self.consume("option")
        self.option(options)
        self.consume(";")

    def bracketed_options(self, options: list[ast.Option]) -> list[ast.Option]:
        """``[name = value, ...]``."""
        self.at += 1
        while True:
            self.option(options)
            if not self.try_consume(","):
                break
        self.consume("]")
        return options

    def option(self, options: list[ast.Option]) -> None:
        """``name = value``, appended to ``options`` when its value has been read."""
        start = self.at
        if not self.exact and self.plain_option(options, start):
            return
        name = self.option_name()
        if self.tokens[self.at] != "=":
            self.fail('Expected "=".')
        self.at += 1
        kind, value = self.option_value()
        option = ast.Option(name, kind, value)
        options.append(option)
        if self.exact:
            self.option_starts[id(option)] = start

    def plain_option(self, options: list[ast.Option], at: int) -> bool:
        """Parse an option as most are: one name, one token or braces. False, and nothing done, for all others."""
        tokens = self.tokens
        token = tokens[at]
        name: tuple[tuple[str, bool], ...] | None
        if token == "(":
            name = _plain_extension_name(tokens[at + 1])
            if name is None or tokens[at + 2] != ")" or tokens[at + 3] != "=":
                return False
            at += 4
        else:
            name = _plain_name(token)
            if name is None or tokens[at + 1] != "=":
                return False
            at += 2
        token = tokens[at]
        if token[:1] in QUOTES:
            value = unescape(token) if "\\" in token else token[1:-1]
            if value is None or tokens[at + 1][:1] in QUOTES:
                return False
            self.at = at + 1
            options.append(ast.Option(name, ast.ValueKind.STRING, value))
        elif token == "{":
            self.at = at
            options.append(ast.Option(name, ast.ValueKind.AGGREGATE, self.aggregate()))
        elif token.isidentifier():
            self.at = at + 1
            options.append(ast.Option(name, ast.ValueKind.IDENTIFIER, token))
        else:
            return False
        return True

    def option_name(self) -> tuple[tuple[str, bool], ...]:
        """The parts of a name: identifiers, and extension names in parentheses."""
        tokens = self.tokens
        parts = []
        while True:
            token = tokens[self.at]
            if token == "(":
                self.at += 1
                parts.append((self.extension_name(), True))
                self.consume(")")
            elif self.exact:
                parts.append((self.identifier("Expected identifier."), False))
            else:
                is_joined = bool(parts) and token[:1] == "." and tokens[self.at - 1] != "."
                self.at += 1
                for part in (token[1:] if is_joined else token).split("."):
                    if not part.isidentifier():
                        raise NotQuick
                    parts.append((part, False))
            following = tokens[self.at]
            if following == ".":
                self.at += 1
            elif following[:1] != ".":
                return tuple(parts)

    def extension_name(self) -> str:
        if not self.exact:
            return self.dotted_name("")
        name = ""
        if self.tokens[self.at].isidentifier():
            name = self.identifier("")
        while self.try_consume("."):
            name += "." + self.identifier("Expected identifier.")
        return name

    def option_value(self) -> tuple[int, ast.OptionValue]:
        """A single token, adjacent strings, or an aggregate in braces."""
        token = self.tokens[self.at]
        if token.isidentifier():
            self.at += 1
            return ast.ValueKind.IDENTIFIER, token
        if token == "{":
            return ast.ValueKind.AGGREGATE, self.aggregate()
        if self.at_string():
            return ast.ValueKind.STRING, self.string("Expected string.")
        is_negative = self.try_consume("-")
        token = self.tokens[self.at]
        if is_negative and token.isidentifier():
            self.at += 1
            if token in ("inf", "nan"):
                return ast.ValueKind.DOUBLE, -math.inf if token == "inf" else math.nan
            self.fail("Identifier after '-' symbol must be inf or nan.")
        if token == "{":
            return ast.ValueKind.AGGREGATE, self.aggregate()
        integer = parse_integer(token)
        if integer is not None:
            if not is_negative:
                self.at += 1
                return ast.ValueKind.POSITIVE_INTEGER, integer
            if integer <= SMALLEST_INT64_MAGNITUDE:
                self.at += 1
                return ast.ValueKind.NEGATIVE_INTEGER, -integer
        if integer is not None or self.at_integer() or parse_float(token) is not None or token[:1].isdigit():
            value = self.number("Expected number.")
            return ast.ValueKind.DOUBLE, -value if is_negative else value
        if self.at_end():
            self.fail("Unexpected end of stream while parsing option value.")
        if is_negative and self.at_string():
            self.fail("Invalid '-' symbol before string.")
        return self.fail("Expected option value.")

    def aggregate(self) -> tuple[str, ...]:
        """The tokens between a brace and its partner."""
        tokens = self.tokens
        self.at += 1
        start = self.at
        depth = 1
        while True:
            token = tokens[self.at]
            if token == "{":
                depth += 1
            elif token == "}":
                depth -= 1
                if depth == 0:
                    break
            elif token == END:
                self.fail("Unexpected end of stream while parsing aggregate value.")
            elif not self.exact and token in ("", "#"):
                raise NotQuick
            self.at += 1
        self.at += 1
        value = tokens[start : self.at - 1]
        if not self.exact:
            _check_plain(value)
        elif "#" in value:
            value = _without_comments(self.exact, start, self.at - 1)
        return tuple(value)


@lru_cache(maxsize=4096)
def _plain_name(token: str) -> tuple[tuple[str, bool], ...] | None:
    """A quick token as the name of an option, if it is one by itself."""
    parts = token.split(".")
    return tuple((part, False) for part in parts) if all(map(str.isidentifier, parts)) else None


@lru_cache(maxsize=4096)
def _plain_extension_name(token: str) -> tuple[tuple[str, bool], ...] | None:
    """A quick token as the name of an extension, if it is one by itself."""
    return ((token, True),) if all(map(str.isidentifier, token.removeprefix(".").split("."))) else None


def _without_comments(tokens: ExactTokens, start: int, end: int) -> list[str]:
    """Tokens of an aggregate without text format's comments, from ``#`` to the end of the line."""
    kept = []
    comment_line = -1
    for index in range(start, end):
        line = tokens.start(index)[0]
        if tokens.texts[index] == "#":
            comment_line = line
        if line != comment_line:
            kept.append(tokens.texts[index])
    return kept


DOUBTFUL = re.compile(r"^\.?[0-9]|\\", re.MULTILINE)


def _check_plain(tokens: list[str]) -> None:
    """Leave to the exact way an aggregate in which the scan would find fault: nothing else looks at these tokens."""
    if DOUBTFUL.search("\n".join(tokens)) is None:
        return
    for index, token in enumerate(tokens):
        first = token[0]
        if first in "\"'":
            if "\\" in token and unescape(token) is None:
                raise NotQuick
        elif (first.isdigit() or (first == "." and token[1:2].isdigit())) and (
            (parse_integer(token) is None and parse_float(token) is None)
            or (first == "." and index > 0 and tokens[index - 1].isidentifier())
        ):
            raise NotQuick
