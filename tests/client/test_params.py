"""Params: every kind of value for every name, with k6's messages; durations."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.client.params.call import call_params
from puregrpc.client.params.connect import connect_params
from puregrpc.client.params.durations import milliseconds
from puregrpc.errors import InvalidArgument

PREFIX = "invalid grpc.connect() parameters: "
ODD: dict[str, tuple[Any, str]] = {
    "true": (True, "true"),
    "false": (False, "false"),
    "text": ("s", '"s"'),
    "empty text": ("", '""'),
    "zero": (0, "0"),
    "one": (1, "1"),
    "fraction": (1.5, "1.5"),
    "negative": (-1, "-1"),
    "none": (None, "None"),
    "list": (["a"], "['a']"),
    "dict": ({"a": 1}, "{'a': 1}"),
    "nan": (math.nan, "NaN"),
    "huge": (1e20, "1e+20"),
    "bytes": (b"x", "b'x'"),
    "date": (datetime(1970, 1, 1), "datetime.datetime(1970, 1, 1, 0, 0)"),
}


def problem(name: str, value: object) -> str:
    with pytest.raises(InvalidArgument) as caught:
        connect_params({name: value}, {})
    return str(caught.value)


@pytest.mark.parametrize("kind", ODD)
def test_booleans(kind: str) -> None:
    value, shown = ODD[kind]
    for name in ("plaintext", "reflect"):
        if isinstance(value, bool):
            assert getattr(connect_params({name: value}, {}), name) is value
        else:
            assert problem(name, value) == f"{PREFIX}invalid {name} value: '{shown}', it needs to be boolean"


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize(("name", "default"), [("maxReceiveSize", 4 << 20), ("maxSendSize", 2**31 - 1)])
def test_sizes(name: str, default: int, kind: str) -> None:
    value, shown = ODD[kind]
    if kind == "negative":
        assert problem(name, value) == f"{PREFIX}invalid {name} value: '-1, it needs to be a positive integer"
    elif kind in ("zero", "one"):
        checked = connect_params({name: value}, {})
        assert (checked.max_receive_size if "Receive" in name else checked.max_send_size) == (value or default)
    else:
        assert problem(name, value) == f"{PREFIX}invalid {name} value: '{shown}', it needs to be an integer"


@pytest.mark.parametrize("kind", ODD)
def test_authority(kind: str) -> None:
    value, shown = ODD[kind]
    if isinstance(value, str):
        assert connect_params({"authority": value}, {}).authority == (value or None)
    else:
        assert problem("authority", value) == f"{PREFIX}invalid authority value: '{shown}', it needs to be a string"


@pytest.mark.parametrize("value", ["a b", "é", "a\n"])
def test_an_authority_that_cannot_be_sent(value: str) -> None:
    assert problem("authority", value).startswith(f"{PREFIX}invalid authority value: ")


def test_certificates_are_not_looked_at_in_plaintext() -> None:
    for tls in ({"cacerts": "x"}, {"cert": "x", "key": "y"}, {"password": "x"}):
        assert connect_params({"tls": tls, "plaintext": True}, {}).tls is None
        with pytest.raises(InvalidArgument):
            connect_params({"tls": tls, "plaintext": False}, {})
        with pytest.raises(InvalidArgument):
            connect_params({"tls": tls}, {})
    with pytest.raises(InvalidArgument, match="invalid tls cert value: '5', it needs to be a PEM formatted string"):
        connect_params({"plaintext": True, "tls": {"cert": 5}}, {})


@pytest.mark.parametrize("kind", ODD)
def test_tls(kind: str) -> None:
    value, shown = ODD[kind]
    if isinstance(value, dict):
        assert connect_params({"tls": value}, {}).tls is not None
    else:
        assert problem("tls", value) == (
            f"{PREFIX}invalid tls value: '{shown}', expected (optional) keys: cert, key, password, and cacerts"
        )


@pytest.mark.parametrize("kind", ODD)
def test_reflect_metadata(kind: str) -> None:
    value, _ = ODD[kind]
    if value is None:
        assert connect_params({"reflectMetadata": value}, {}).reflect_metadata == ()
    elif isinstance(value, dict):
        assert problem("reflectMetadata", value) == f'{PREFIX}invalid reflectMetadata param: "a" value must be a string'
    else:
        assert problem("reflectMetadata", value) == (
            f"{PREFIX}invalid reflectMetadata param: must be an object with key-value pairs"
        )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (True, "unable to use type bool as a duration value"),
        (None, "unable to use type NoneType as a duration value"),
        ([], "unable to use type list as a duration value"),
        ({}, "unable to use type dict as a duration value"),
        ("s", 'time: invalid duration "s"'),
        ("", 'time: invalid duration ""'),
        ("k6", 'time: invalid duration "k6"'),
        ("ms", 'time: invalid duration "ms"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("1 s", 'time: unknown unit " s" in duration "1 s"'),
        ("\u0661s", 'time: invalid duration "\u0661s"'),
        ("0x10", 'time: unknown unit "x" in duration "0x10"'),
        ("5m5", 'time: missing unit in duration "5m5"'),
        ("1.5d", 'time: the number of days in duration "1.5d" is not an integer'),
    ],
)
def test_what_is_no_duration(value: object, said: str) -> None:
    assert problem("timeout", value) == f"{PREFIX}invalid timeout value: {said}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (300, 300),
        (300.7, 300.7),
        ("300", 300),
        ("300.5", 300.5),
        ("1e3", 1000),
        ("300ms", 300),
        ("0.3s", 300),
        ("1m30s", 90_000),
        ("1h42m", 6_120_000),
        ("1d", 86_400_000),
        ("1d2h", 93_600_000),
        ("-1s", -1000),
        ("-1d", -86_400_000),
        ("0", 0),
        ("0s", 0),
        ("1ns", 1e-6),
        ("5µs", 0.005),
        ("+1s", 1000),
        (math.nan, 0),
        (1e-7, 0),
        (-1e-9, 0),
        ("NaN", 0),
        ("Infinity", math.inf),
    ],
)
def test_durations(value: object, expected: float) -> None:
    assert milliseconds(value) == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 999), st.sampled_from(["h", "m", "s", "ms", "us"])), min_size=1, max_size=4))
def test_durations_add_up(parts: list[tuple[int, str]]) -> None:
    factors = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1, "us": 0.001}
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert milliseconds(text) == pytest.approx(sum(number * factors[unit] for number, unit in parts))


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_invalid(text: str) -> None:
    with suppress(InvalidArgument):
        assert isinstance(milliseconds(text), float)


def test_busy_polling() -> None:
    assert connect_params(None, {}).busy_poll is None
    assert connect_params({"busy_poll": 0}, {}).busy_poll == 0
    assert connect_params({"busyPoll": "50us"}, {}).busy_poll == pytest.approx(50e-6)
    assert problem("busy_poll", 101) == f"{PREFIX}invalid busy_poll value: '101', it needs to be 0 to 100 ms"
    assert problem("busy_poll", "-1ms") == f"{PREFIX}invalid busy_poll value: '\"-1ms\"', it needs to be 0 to 100 ms"
    assert problem("busy_poll", []) == f"{PREFIX}invalid busy_poll value: unable to use type list as a duration value"


def test_unknown_names_and_names_given_twice() -> None:
    assert problem("nope", None) == f'{PREFIX}unknown connect param: "nope"'
    with pytest.raises(InvalidArgument, match="given twice"):
        connect_params({"plaintext": True}, {"plaintext": True})
    with pytest.raises(InvalidArgument, match="in both spellings"):
        connect_params({"maxSendSize": 1, "max_send_size": 1}, {})
    with pytest.raises(InvalidArgument, match="params are a dict or keyword arguments, not int"):
        connect_params(5, {})


def test_both_spellings_and_keywords() -> None:
    one = connect_params({"plaintext": True, "maxReceiveSize": 5, "reflectMetadata": {"A": "b"}}, {})
    assert one == connect_params(None, {"plaintext": True, "max_receive_size": 5.0, "reflect_metadata": {"a": "b"}})
    assert one.reflect_metadata == (("a", "b"),)


WHERE = "invalid GRPC's client.invoke() parameters"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"void": True}, 'unknown param: "void"'),
        ({"headers": {}}, 'unknown param: "headers"'),
        ({"nope": None}, 'unknown param: "nope"'),
        ({"timeout": "please"}, 'invalid timeout value: time: invalid duration "please"'),
        ({"timeout": "x", "void": 1}, 'invalid timeout value: time: invalid duration "x"'),
        ({"metadata": "lorem"}, "invalid metadata param: must be an object with key-value pairs"),
        ({"metadata": ["a"]}, "invalid metadata param: must be an object with key-value pairs"),
        ({"metadata": {"a": 1}}, 'invalid metadata param: "a" value must be a string'),
        ({"metadata": {"a": None}}, 'invalid metadata param: "a" value must be a string'),
        ({"metadata": {"a": ["1", "2"]}}, 'invalid metadata param: "a" value must be a string'),
        ({"metadata": {"a": b"x"}}, 'invalid metadata param: "a" value must be a string'),
        ({"metadata": {"a-bin": "x"}}, 'invalid metadata param: "a-bin" value must be binary'),
        ({"metadata": {"a-bin": [1, 2]}}, 'invalid metadata param: "a-bin" value must be binary'),
    ],
)
def test_call_params_that_are_wrong(params: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        call_params(params, {}, WHERE)
    assert str(caught.value) == f"{WHERE}: {said}"


@pytest.mark.parametrize("value", [None, {}, ["x"]])
def test_tags_are_text_numbers_and_booleans(value: object) -> None:
    with pytest.raises(InvalidArgument, match="metric tags: invalid value for metric tag 'c': only String, Boolean"):
        call_params({"tags": {"a": 1, "b": True, "c": value}}, {}, WHERE)
    assert call_params({"tags": {"a": 1, "b": True, "c": 1.5, "d": 2.0}}, {}, WHERE).tags == {
        "a": "1",
        "b": "true",
        "c": "1.5",
        "d": "2",
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e-6, "0.000001"),
        (1.5e-5, "0.000015"),
        (1e-7, "1e-7"),
        (-2.5e-10, "-2.5e-10"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
    ],
)
def test_numbers_in_tags_are_written_as_k6_writes_them(value: float, text: str) -> None:
    assert call_params({"tags": {"a": value}}, {}, WHERE).tags == {"a": text}


def test_tags_that_are_no_dict_as_in_k6() -> None:
    assert call_params({"tags": "x"}, {}, WHERE).tags == {"0": "x"}
    assert call_params({"tags": ["a"]}, {}, WHERE).tags == {"0": "a"}
    assert call_params({"tags": None}, {}, WHERE).tags == {}


@pytest.mark.parametrize("value", [True, False, 1, 0, "x", "", None, "false"])
def test_discarding_goes_by_truth(value: object) -> None:
    for name in ("discardResponseMessage", "discard_response_message"):
        assert call_params({name: value}, {}, WHERE).discard_response_message is bool(value)
