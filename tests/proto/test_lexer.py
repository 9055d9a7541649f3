"""Tokens, literals and comments, one by one."""

from __future__ import annotations

import math

import pytest

from puregrpc.proto.locate.comments import collect_comments
from puregrpc.proto.parse.lexer import END, LOOKAHEAD, TokenKind, scan, tokenize
from puregrpc.proto.parse.literals import c_escape, format_double, format_float, parse_float, parse_integer, unescape


def test_quick_tokens() -> None:
    text = 'a.b .c d . e "x\\"y" \'z\' 1.5e-3 0x1F - { } /* c */ // d\n [;] \xe9'
    assert tokenize(text) == [
        "a.b", ".c", "d", ".", "e", '"x\\"y"', "'z'", "1.5e-3", "0x1F", "-", "{", "}", "[", ";", "]", "",
        *[END] * LOOKAHEAD,
    ]  # fmt: skip


def test_exact_tokens_have_places() -> None:
    tokens = scan('a.b\t= 1.5;\n  "x"')
    assert tokens.texts == ["a", ".", "b", "=", "1.5", ";", '"x"', END]
    kinds = TokenKind
    assert tokens.kinds == [
        kinds.IDENTIFIER, kinds.SYMBOL, kinds.IDENTIFIER, kinds.SYMBOL, kinds.FLOAT, kinds.SYMBOL, kinds.STRING,
        kinds.END,
    ]  # fmt: skip
    assert [tokens.start(index) for index in range(8)] == [
        (0, 0), (0, 1), (0, 2), (0, 8), (0, 10), (0, 13), (1, 2), (1, 5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("token", "value"),
    [("0", 0), ("10", 10), ("010", 8), ("0x1f", 31), ("0X1F", 31), ("18446744073709551615", (1 << 64) - 1)],
)
def test_integers(token: str, value: int) -> None:
    assert parse_integer(token) == value


@pytest.mark.parametrize("token", ["", "-1", "08", "0x", "1.5", "a", "18446744073709551616", "9" * 40, "1a", "0o7"])
def test_no_integers(token: str) -> None:
    assert parse_integer(token) is None


@pytest.mark.parametrize(("token", "value"), [("1.", 1.0), (".5", 0.5), ("1e3", 1000.0), ("1.5E-3", 0.0015)])
def test_floats(token: str, value: float) -> None:
    assert parse_float(token) == value


@pytest.mark.parametrize("token", ["1", "", ".", "e5", "1e", "1.5f", "inf", "0x1.5"])
def test_no_floats(token: str) -> None:
    assert parse_float(token) is None


@pytest.mark.parametrize(
    ("token", "value"),
    [
        ('"plain"', b"plain"),
        (r'"\a\b\f\n\r\t\v\\\?\'\""', b"\a\b\f\n\r\t\v\\?'\""),
        (r'"\1\12\101\477"', b"\1\nA?"),
        (r'"\x4\x41\XfF"', b"\x04A\xff"),
        (r'"\u00e9\U0001F600"', "é😀".encode()),
        (r'"\ud83d\ude00\ud83d"', "😀".encode() + b"\xed\xa0\xbd"),
        (r'"\U001FFFFF"', rb"\U001fffff"),
    ],
)
def test_strings(token: str, value: bytes) -> None:
    unescaped = unescape(token)
    assert unescaped is not None
    assert unescaped.encode("latin-1") == (b"\1\nA\x3f" if b"?" in value and len(value) == 4 else value)


@pytest.mark.parametrize("token", [r'"\q"', r'"\x"', r'"\u12"', r'"\U0011"', r'"\8"'])
def test_bad_escapes(token: str) -> None:
    assert unescape(token) is None


def test_c_escape() -> None:
    assert c_escape("a\n\r\t\"'\\\x00\xff?") == r"a\n\r\t\"\'\\\000\377?"


@pytest.mark.parametrize(
    ("value", "double", "single"),
    [
        (0.1, "0.1", "0.1"),
        (1e10, "10000000000", "1e+10"),
        (1 / 3, "0.33333333333333331", "0.333333343"),
        (math.inf, "inf", "inf"),
        (-math.inf, "-inf", "-inf"),
        (math.nan, "nan", "nan"),
        (1e300, "1e+300", "inf"),
        (-1e300, "-1e+300", "-inf"),
    ],
)
def test_float_texts(value: float, double: str, single: str) -> None:
    assert (format_double(value), format_float(value)) == (double, single)


@pytest.mark.parametrize(
    ("text", "following", "trailing", "detached", "leading"),
    [
        ("; // t\nx", "x", " t\n", [], ""),
        (";\n// l\nx", "x", "", [], " l\n"),
        ("; // t\n// l\nx", "x", " t\n", [], " l\n"),
        (";\n// t\n\n// l\nx", "x", " t\n", [], " l\n"),
        (";\n\n// d\n\n// l\nx", "x", "", [" d\n"], " l\n"),
        ("; /* d */ x", "x", "", [" d "], ""),
        ("; /* t */\n/* l */ x", "x", " t ", [], " l "),
        (";\n/* a\n * b\n **/\nx", "x", "", [], " a\n b\n"),
        (";\n// e\n}", "}", " e\n", [], ""),
        (";\n\n// e\n", "", "", [" e\n"], ""),
        (";", "", "", [], ""),
    ],
)
def test_comments(text: str, following: str, trailing: str, detached: list[str], leading: str) -> None:
    end = len(text) - len(following)
    comments = collect_comments(text, 1, end, following, at_file_start=False)
    assert (comments.trailing, comments.detached, comments.leading) == (trailing, detached, leading)
