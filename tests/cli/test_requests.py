"""JSON values cut out of a text that comes in pieces."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.cli.requests import JsonSplitter, TextSplitter
from puregrpc.errors import InvalidArgument

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.lists(VALUES, max_size=5),
    st.sampled_from([" ", "\n", "\n\n", "\x1e"]),
    st.integers(1, 20),
    st.sampled_from([None, 1]),
)
def test_values_come_out_as_they_went_in(values: list[object], between: str, size: int, indent: int | None) -> None:
    text = between.join(json.dumps(value, indent=indent) for value in values)
    splitter = JsonSplitter("x")
    found: list[str] = []
    for place in range(0, len(text), size):
        found.extend(splitter.feed(text[place : place + size]))
    found.extend(splitter.feed("", final=True))
    assert [json.loads(value) for value in found] == values


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{]", "x: line 1, column 2: "),
        ('{}\n{"a": 1}\n}', "x: line 3, column 1: "),
        ('{"a": "b', "x: line 1, column 7: "),
        ("{", "x: line 1, column 2: "),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_where_it_is_not_json(text: str, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        list(JsonSplitter("x").feed(text, final=True))


def test_a_value_is_there_as_soon_as_it_is_complete() -> None:
    splitter = JsonSplitter("x")
    assert list(splitter.feed('{"a"')) == []
    assert list(splitter.feed(": 1}")) == ['{"a": 1}']
    assert list(splitter.feed("12")) == [], "more digits may come"
    assert list(splitter.feed(" ")) == ["12"]


@pytest.mark.parametrize(
    "value",
    [
        "[" + "[],{}," * 20_000 + "0]",
        '{"a": "' + r"\\\"\n[{" * 20_000 + '"}',
        '"' + "]}" * 50_000 + '"',
        "9" * 100_000,
        "[" * 500 + "1, " * 30_000 + "1" + "]" * 500,
    ],
    ids=["array", "string in an object", "string", "number", "depth"],
)
def test_a_value_in_pieces_is_not_decoded_for_each(value: str) -> None:
    """It costs as if it came at once, but for a few times."""
    splitter = JsonSplitter("x")
    decoded = 0
    raw_decode = splitter._decoder.raw_decode

    def counting(text: str, at: int) -> tuple[object, int]:
        nonlocal decoded
        decoded += len(text) - at
        return raw_decode(text, at)

    splitter._decoder.raw_decode = counting  # type: ignore[method-assign, assignment]
    found: list[str] = []
    for place in range(0, len(value), 7):
        assert not found
        found += splitter.feed(value[place : place + 7])
    found += splitter.feed(" ")
    assert found == [value]
    assert decoded < 4 * len(value)


def test_a_long_value_that_is_not_json_is_said_before_its_end() -> None:
    splitter = JsonSplitter("x")
    with pytest.raises(InvalidArgument, match="line 1, column 5"):
        for _ in range(100):
            list(splitter.feed("[1, x, ["))


def test_numbers_may_have_more_digits_than_python_reads() -> None:
    """What becomes of one is a matter of its field."""
    number = "9" * 10_000
    assert list(JsonSplitter("x").feed(f'{{"a": {number}}} {number}', final=True)) == [f'{{"a": {number}}}', number]


def test_messages_in_text_format_come_in_pieces() -> None:
    splitter = TextSplitter("x")
    assert list(splitter.feed("a: 1 ")) == []
    assert list(splitter.feed("b: 2\x1ec: 3\x1ed")) == ["a: 1 b: 2", "c: 3"]
    assert list(splitter.feed(": 4", final=True)) == ["d: 4"]
