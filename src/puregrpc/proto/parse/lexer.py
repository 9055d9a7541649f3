"""Lexical analysis of .proto sources, twice over: quick, for sources that are right, and exact, for positions.

The quick way is one pattern and one ``findall``: a list of token texts, comments and blanks left out, dotted names
in one piece, numbers and strings only roughly bounded. It never accepts less than the language and never decides
what an error is: whatever looks odd becomes a token that no rule expects. The exact way gives the tokens of the
language specification (https://protobuf.dev/reference/protobuf/edition-2023-spec/#lexical_elements) with their
positions and the lexical errors, in protoc's words; it runs when something has to be reported or located.

Sources are bytes, decoded as Latin-1: one character is one byte, as columns are counted, and strings come back as
the bytes they were.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field

from puregrpc.proto.diagnostics import MAX_DIAGNOSTICS

__all__ = ["END", "LOOKAHEAD", "ExactTokens", "TokenKind", "decode_source", "is_identifier", "scan", "tokenize"]

END = "\0"
"""The token after the last one."""

NOT_ASCII = "\x80"
"""The text of the exact token for a character outside ASCII: no identifier, whatever Unicode says of it."""

TAB_WIDTH = 8

BLOCK_COMMENT = r"/\*[^*/\0]*(?:(?:\*(?!/)|/(?!\*))[^*/\0]*)*\*/"

QUICK_TOKEN = re.compile(
    rf"\s*(?:(?://.*|{BLOCK_COMMENT})\s*)*"
    r"(?:("
    r"\.?[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"  # a name, dotted or not
    r'|"[^"\\\n\0]*(?:\\[^\n\0][^"\\\n\0]*)*"'
    r"|'[^'\\\n\0]*(?:\\[^\n\0][^'\\\n\0]*)*'"
    r"|\.?\d[\w.]*(?:(?<=[eE])[+-][\w.]*)?"  # a number, or what looks like one
    r"|[!#-&(-/:-@\[-`{-~]"
    r"|\0"
    r")|[\"'].*|[\s\S])",
    re.ASCII,
)
"""One group: the token; empty for what cannot be part of a source, as a string that does not end."""

LOOKAHEAD = 6
"""How many tokens the parser looks at in one go."""


def decode_source(data: bytes) -> str:
    """The text of a source, one character per byte. A byte order mark stays in: the exact scan judges it."""
    return data.decode("latin-1")


def tokenize(text: str) -> list[str]:
    """The tokens of ``text``, quickly, and LOOKAHEAD times END. An empty token stands for an illegal character."""
    if END in text:  # which ends comments, too: the quick pattern leaves that to the exact scan
        return ["", *END_TOKENS]
    tokens: list[str] = QUICK_TOKEN.findall(text.removeprefix("\xef\xbb\xbf") + END_OF_TEXT)
    return tokens


END_TOKENS = [END] * LOOKAHEAD
END_OF_TEXT = "\n" + END * LOOKAHEAD


class TokenKind:
    """The kinds of exact tokens, one character each so that they pack into a string."""

    IDENTIFIER = "a"
    INTEGER = "1"
    FLOAT = "f"
    STRING = "s"
    SYMBOL = "+"
    END = "$"


IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_identifier(text: str) -> bool:
    """Whether ``text`` is an identifier of the language."""
    return IDENTIFIER.fullmatch(text) is not None


@dataclass(slots=True)
class ExactTokens:
    """The tokens of one source with their places. Token ``i`` is ``text[starts[i]:ends[i]]``."""

    text: str
    texts: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    errors: list[tuple[int, int, str]] = field(default_factory=list)
    """(token that was being read, offset, message)."""
    line_starts: list[int] = field(default_factory=list)
    has_tabs: bool = False
    tabs: list[int] = field(default_factory=list)
    """The offsets of tabs, once a position has been asked for."""
    columns_behind_tabs: list[int] = field(default_factory=list)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both from 0; a tab goes on to the next multiple of eight."""
        line = bisect_right(self.line_starts, offset) - 1
        start = self.line_starts[line]
        if not self.has_tabs:
            return line, offset - start
        if not self.tabs:
            self.find_tabs()
        tab = bisect_right(self.tabs, offset - 1) - 1
        if tab < 0 or self.tabs[tab] < start:
            return line, offset - start
        return line, self.columns_behind_tabs[tab] + offset - self.tabs[tab] - 1

    def find_tabs(self) -> None:
        """Work out the columns behind tabs, each from the tab before it: of one long line there may be many."""
        line = 0
        last = column = -1
        for match in re.finditer("\t", self.text):
            offset = match.start()
            line = bisect_right(self.line_starts, offset, line) - 1
            start = self.line_starts[line]
            column = column + offset - last - 1 if last >= start else offset - start
            column += TAB_WIDTH - column % TAB_WIDTH
            last = offset
            self.tabs.append(offset)
            self.columns_behind_tabs.append(column)

    def start(self, index: int) -> tuple[int, int]:
        """Line and column, from 0, at which token ``index`` begins."""
        return self.position(self.starts[index])


BLANKS = re.compile(r"[ \t\r\v\f\n]+")
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]+")
NUMBER = re.compile(
    r"0[xX](?P<hex>[0-9A-Fa-f]*)"
    r"|0(?=[0-9])(?P<octal>[0-7]*)(?P<not_octal>[0-9]*)"
    r"|(?P<float>\.[0-9]*|[0-9]+(?P<point>\.[0-9]*)?)(?P<exponent>[eE][+-]?(?P<digits>[0-9]*))?"
)
VALID_ESCAPE = r"(?:[abfnrtv\\?'\"0-7]|[xX][0-9A-Fa-f]|u[0-9A-Fa-f]{4}|U00[01][0-9A-Fa-f]{5})"
ESCAPE = re.compile(r"[abfnrtv\\?'\"]|[0-7]|[xX][0-9A-Fa-f]|u[0-9A-Fa-f]{4}|U00[01][0-9A-Fa-f]{5}")
STRING_PART = {'"': re.compile(r'[^"\\\n\0]*'), "'": re.compile(r"[^'\\\n\0]*")}
LINE_COMMENT = re.compile(r"[^\n\0]*\n?")


EXACT_TOKEN = re.compile(
    rf"\s*(?:(?://[^\n\0]*|{BLOCK_COMMENT})\s*)*"
    r"(?:([A-Za-z_][A-Za-z0-9_]*)"
    r"|((?:0[xX][0-9A-Fa-f]+|0[0-7]+|[1-9][0-9]*|0)(?![\w.]))"
    r"|((?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][+-]?[0-9]+)?(?![\w.]))"
    rf"|(\"[^\"\\\n\0]*(?:\\{VALID_ESCAPE}[^\"\\\n\0]*)*\"|'[^'\\\n\0]*(?:\\{VALID_ESCAPE}[^'\\\n\0]*)*')"
    r"|([!#-&(-.:-@\[-`{-~]|/(?![/*]))|(\Z)|([\s\S]))",
    re.ASCII,
)
"""One group for each kind of token, the last two for the end and for what is not right and plain."""

KINDS = (
    TokenKind.IDENTIFIER,
    TokenKind.INTEGER,
    TokenKind.FLOAT,
    TokenKind.STRING,
    TokenKind.SYMBOL,
    TokenKind.END,
)


def scan(text: str) -> ExactTokens:
    """The tokens of ``text`` with their positions; lexical errors are collected and the scan goes on behind them."""
    return _scan_plain(text) or _Scanner(text).run()


def _scan_plain(text: str) -> ExactTokens | None:
    """The tokens of a text without lexical errors or oddities; None for others."""
    result = ExactTokens(text)
    texts, kinds, starts, ends = result.texts, result.kinds, result.starts, result.ends
    at = 3 if text.startswith("\xef\xbb\xbf") else 0
    while (match := EXACT_TOKEN.match(text, at)) is not None:
        group = match.lastindex or 0
        start, end = match.span(group)
        if group > len(KINDS) or (
            group == 3 and text[start] == "." and kinds and kinds[-1] == TokenKind.IDENTIFIER and ends[-1] == start
        ):
            return None
        kind = KINDS[group - 1]
        texts.append(match[group])
        kinds.append(kind)
        starts.append(start)
        ends.append(end)
        if kind == TokenKind.END:
            texts[-1] = END
            break
        at = end
    result.line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
    result.has_tabs = "\t" in text
    return result


class _Scanner:
    """One exact scan."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.result = ExactTokens(text)

    def run(self) -> ExactTokens:
        result = self.result
        text = self.text
        bom = 0
        if text.startswith("\xef\xbb\xbf"):
            bom = 3
        elif text.startswith("\xef"):
            self.error(1, "Proto file starts with 0xEF but not UTF-8 BOM. Only UTF-8 is accepted for proto file.")
            self.add(TokenKind.SYMBOL, 0, 0)  # protoc then takes the beginning of the file for a token
            bom = 1
        result.line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        result.has_tabs = "\t" in text
        offset = self.skip_trivia(bom)
        while offset < len(text) and len(result.errors) < MAX_DIAGNOSTICS:
            offset = self.skip_trivia(self.token(offset))
        self.add(TokenKind.END, len(text), len(text))
        result.texts[-1] = END
        return result

    def error(self, offset: int, message: str) -> None:
        self.result.errors.append((len(self.result.texts), offset, message))

    def add(self, kind: str, start: int, end: int) -> None:
        result = self.result
        result.texts.append(self.text[start:end])
        result.kinds.append(kind)
        result.starts.append(start)
        result.ends.append(end)

    def skip_trivia(self, offset: int) -> int:
        """Go past blanks, comments and control characters."""
        text = self.text
        while offset < len(text):
            if match := BLANKS.match(text, offset):
                offset = match.end()
            elif text.startswith("//", offset):
                comment = LINE_COMMENT.match(text, offset)
                offset = comment.end() if comment else len(text)
            elif text.startswith("/*", offset):
                offset = self.skip_block_comment(offset)
            elif match := CONTROL.match(text, offset):
                self.error(offset, "Invalid control characters encountered in text.")
                offset = match.end()
            else:
                break
        return offset

    def skip_block_comment(self, start: int) -> int:
        text = self.text
        offset = start + 2
        while True:
            match = re.compile(r"[*/\0]").search(text, offset)
            if match is None or match.group() == "\0":
                end = match.start() if match else len(text)
                self.error(end, "End-of-file inside block comment.")
                self.error(start, "  Comment started here.")
                return end
            if text.startswith("*/", match.start()):
                return match.start() + 2
            if text.startswith("/*", match.start()):
                self.error(match.start() + 1, '"/*" inside block comment.  Block comments cannot be nested.')
            offset = match.end()

    def token(self, offset: int) -> int:
        text = self.text
        character = text[offset]
        if match := IDENTIFIER.match(text, offset):
            self.add(TokenKind.IDENTIFIER, offset, match.end())
            return match.end()
        if (character.isdigit() and character.isascii()) or (
            character == "." and text[offset + 1 : offset + 2].isdigit() and text[offset + 1].isascii()
        ):
            return self.number(offset)
        if character in STRING_PART:
            return self.string(offset)
        if character > "\x7f":
            self.error(offset, f"Interpreting non ascii codepoint {ord(character)}.")
        self.add(TokenKind.SYMBOL, offset, offset + 1)
        if character > "\x7f":
            self.result.texts[-1] = NOT_ASCII
        return offset + 1

    def number(self, start: int) -> int:
        text = self.text
        result = self.result
        if (
            text[start] == "."
            and result.kinds
            and result.kinds[-1] == TokenKind.IDENTIFIER
            and result.ends[-1] == start
        ):
            self.error(start, "Need space between identifier and decimal point.")
        match = NUMBER.match(text, start)
        if match is None:
            raise AssertionError("a number starts with a digit or a dot and a digit")
        end = match.end()
        is_float = match["float"] is not None and (
            text[start] == "." or match["point"] is not None or match["exponent"] is not None
        )
        if match["hex"] == "":
            self.error(end, '"0x" must be followed by hex digits.')
        elif match["not_octal"]:
            self.error(match.start("not_octal"), "Numbers starting with leading zero must be in octal.")
        elif match["exponent"] is not None and not match["digits"]:
            self.error(end, '"e" must be followed by exponent.')
        after = text[end : end + 1]
        if after and IDENTIFIER.match(after):
            self.error(end, "Need space between number and identifier.")
        elif after == ".":
            self.error(
                end,
                "Already saw decimal point or exponent; can't have another one."
                if is_float
                else "Hex and octal numbers must be integers.",
            )
        self.add(TokenKind.FLOAT if is_float else TokenKind.INTEGER, start, end)
        return end

    def string(self, start: int) -> int:
        text = self.text
        quote = text[start]
        part = STRING_PART[quote]
        offset = start + 1
        while True:
            match = part.match(text, offset)
            offset = match.end() if match else offset
            character = text[offset : offset + 1]
            if character == quote:
                offset += 1
                break
            if character in ("", "\0"):
                self.error(offset, "Unexpected end of string.")
                break
            if character == "\n":
                self.error(offset, 'Multiline strings are not allowed. Did you miss a "?.')
                break
            offset = self.escape(offset + 1)
        self.add(TokenKind.STRING, start, offset)
        return offset

    def escape(self, offset: int) -> int:
        """Go past one escape sequence, whose backslash is behind us."""
        if match := ESCAPE.match(self.text, offset):
            return match.end()
        kind = self.text[offset : offset + 1]
        if kind in ("x", "X"):
            offset += 1
            self.error(offset, "Expected hex digits for escape sequence.")
        elif kind == "u":
            offset = _longest(r"u[0-9A-Fa-f]{0,4}", self.text, offset)
            self.error(offset, "Expected four hex digits for \\u escape sequence.")
        elif kind == "U":
            offset = _longest(r"U(?:0(?:0(?:[01][0-9A-Fa-f]{0,5})?)?)?", self.text, offset)
            self.error(offset, "Expected eight hex digits up to 10ffff for \\U escape sequence")
        else:
            self.error(offset, "Invalid escape sequence in string literal.")
        return offset


def _longest(pattern: str, text: str, offset: int) -> int:
    match = re.compile(pattern).match(text, offset)
    return match.end() if match else offset
