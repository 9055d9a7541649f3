"""Messages as k6 shows them: defaults, 64-bit integers, enums, floats, well-known types, Any, oneofs, maps."""

from __future__ import annotations

from typing import Any

import pytest

from puregrpc import Client
from puregrpc.errors import EncodeError


def echo(client: Client, request: Any, method: str = "Echo") -> Any:
    response = client.invoke(f"lab.Bench/{method}", request)
    assert response.error is None
    return response.message


DEFAULTS = {
    "aDouble": 0, "aFloat": 0, "anInt32": 0, "anInt64": "0", "aUint32": 0, "aUint64": "0", "aBool": False,
    "aString": "", "someBytes": "", "aColor": "NONE", "anAlias": "ZERO", "anInner": None, "int32s": [], "int64s": [],
    "strings": [], "colors": [], "inners": [], "texts": {}, "byNumber": {}, "byBool": {}, "byLong": {},
}  # fmt: skip
INNER = {"name": "", "value": 0, "child": None}


def test_everything_unset_and_set(client: Client) -> None:
    assert echo(client, {}) == DEFAULTS
    given = {
        "a_double": 1.5, "a_float": 2.5, "an_int32": -3, "an_int64": "-4", "a_uint32": 5, "a_uint64": 6,
        "a_bool": True, "a_string": "s", "some_bytes": "AQ==", "a_color": "RED", "an_alias": 1,
        "an_inner": {"name": "n", "child": {"value": 2}}, "int32s": [1, 2], "strings": ["a", ""], "colors": [1],
        "inners": [{}, {"name": "x"}], "texts": {"k": "v", "": ""}, "by_number": {"-1": {"value": 1}},
        "by_bool": {"true": 1}, "by_long": {5: "AQ=="}, "chosen_number": 0,
    }  # fmt: skip
    assert echo(client, given) == {
        **DEFAULTS,
        "aDouble": 1.5, "aFloat": 2.5, "anInt32": -3, "anInt64": "-4", "aUint32": 5, "aUint64": "6", "aBool": True,
        "aString": "s", "someBytes": "AQ==", "aColor": "RED", "anAlias": "FIRST",
        "anInner": {"name": "n", "value": 0, "child": {**INNER, "value": 2}}, "int32s": [1, 2], "strings": ["a", ""],
        "colors": ["RED"], "inners": [INNER, {**INNER, "name": "x"}], "texts": {"k": "v", "": ""},
        "byNumber": {"-1": {**INNER, "value": 1}}, "byBool": {"true": "RED"}, "byLong": {"5": "AQ=="},
        "chosenNumber": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("an_int64", 5, "5"),
        ("an_int64", "5", "5"),
        ("an_int64", 9007199254740993, "9007199254740993"),
        ("an_int64", "9223372036854775807", "9223372036854775807"),
        ("a_uint64", "18446744073709551615", "18446744073709551615"),
        ("a_uint64", 2**63, "9223372036854775808"),
        ("an_int64", 1e18, "1000000000000000000"),
        ("an_int64", "1e2", "100"),
        ("an_int64", "1.0", "1"),
        ("a_color", "GREEN", "GREEN"),
        ("a_color", 2, "GREEN"),
        ("a_color", -1, "INFRARED"),
        ("a_color", 77, 77),
        ("an_alias", "UNO", "FIRST"),
        ("a_color", None, "NONE"),
        ("int64s", [1, "2"], ["1", "2"]),
    ],
)
def test_integers_and_enums(client: Client, field: str, value: Any, shown: Any) -> None:
    head, *rest = field.split("_")
    assert echo(client, {field: value})[head + "".join(part.title() for part in rest)] == shown


@pytest.mark.parametrize(
    "request_",
    [
        {"an_int64": "9223372036854775808"}, {"an_int64": 2**63}, {"a_uint64": 2**64}, {"an_int64": 1.5},
        {"a_uint64": -1}, {"an_int64": "007"}, {"an_int64": "+7"}, {"an_int64": " 7 "}, {"an_int64": ""},
        {"a_color": "BLUE"}, {"a_color": "green"}, {"a_color": ""}, {"a_color": 1.5}, {"colors": [None]},
        {"a_color": 4294967296}, {"by_number": {" 3": {}}}, {"a_double": "nan"}, {"a_double": "inf"},
        {"a_double": ""}, {"a_double": " 1"}, {"a_double": "1,5"}, {"inners": [5]}, {"a_bool": "true"},
    ],
)  # fmt: skip
def test_values_that_do_not_fit_are_named(client: Client, request_: dict[str, Any]) -> None:
    (field,) = request_
    head, *rest = field.split("_")
    with pytest.raises(EncodeError) as caught:
        client.invoke("lab.Bench/Echo", request_)
    camel = head + "".join(part.title() for part in rest)
    assert caught.value.path.startswith((f"request.{camel}", f"request.{field}"))


def test_enums_that_the_schema_does_not_know(client: Client) -> None:
    message = client.invoke("lab.Bench/UnknownEnum", {}).message
    assert (message["aColor"], message["colors"], message["byBool"]) == (
        77,
        ["NONE", "RED", "INFRARED", 99],
        {"true": 55},
    )


def test_floats(client: Client) -> None:
    def floats(request: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in echo(client, request, "EchoFloats").items() if value}

    assert floats({"d": 0.1, "f": 0.1, "ds": [1, 1e21, 1e-7]}) == {"d": 0.1, "f": 0.1, "ds": [1, 1e21, 1e-7]}
    assert floats({"f": 16777217}) == {"f": 16777216}
    assert floats({"d": float("nan"), "f": float("-inf")}) == {"d": "NaN", "f": "-Infinity"}
    assert floats({"ds": ["NaN", "Infinity", "1.5", "1e3"]}) == {"ds": ["NaN", "Infinity", 1.5, 1000]}
    special = client.invoke("lab.Bench/Special", {}).message
    assert special["ds"] == ["NaN", "Infinity", "-Infinity", -0.0, 1 / 3, 1e21, 1e-7]
    assert special["fs"] == ["NaN", "Infinity", "-Infinity", -0.0, 0.33333334, 1e21, 1e-7]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"moment": "2024-01-02T03:04:05Z"}, {"moment": "2024-01-02T03:04:05Z"}),
        ({"moment": "2024-01-02T03:04:05.1Z"}, {"moment": "2024-01-02T03:04:05.100Z"}),
        ({"moment": "2024-01-02T03:04:05+02:00"}, {"moment": "2024-01-02T01:04:05Z"}),
        ({"moment": "9999-12-31T23:59:59.999999999Z"}, {"moment": "9999-12-31T23:59:59.999999999Z"}),
        ({"span": "1s"}, {"span": "1s"}),
        ({"span": "-1.5s"}, {"span": "-1.500s"}),
        ({"span": "1.12s"}, {"span": "1.120s"}),
        ({"mask": "fooBar,baz.quxQuux"}, {"mask": "fooBar,baz.quxQuux"}),
        ({"struct": {"s": "x", "l": [1, None, {}], "z": None}}, {"struct": {"s": "x", "l": [1, None, {}], "z": None}}),
        ({"value": 5}, {"value": 5}),
        ({"value": False}, {"value": False}),
        ({"value": [1, [2]]}, {"value": [1, [2]]}),
        ({"value": None}, {}),
        ({"list": [1, None, "a", [], {}]}, {"list": [1, None, "a", [], {}]}),
        ({"null": None}, {}),
        ({"empty": {}}, {"empty": {}}),
        ({"w_int64": "5", "w_bool": False, "w_string": ""}, {"wInt64": "5", "wBool": False, "wString": ""}),
        ({"w_double": None}, {}),
        ({"moments": ["1970-01-01T00:00:00Z"]}, {"moments": ["1970-01-01T00:00:00Z"]}),
        ({"spans": {"a": "3s"}}, {"spans": {"a": "3s"}}),
    ],
)
def test_well_known_types(client: Client, given: dict[str, Any], shown: dict[str, Any]) -> None:
    message = echo(client, given, "EchoKnown")
    assert {
        k: v for k, v in message.items() if (v is not None and v not in ([], {})) or (k == "empty" and v == {})
    } == shown


@pytest.mark.parametrize(
    "request_",
    [
        {"moment": "2024-01-02T03:04:05.1234567891Z"}, {"moment": "2024-01-02 03:04:05Z"}, {"moment": ""},
        {"moment": "0000-12-31T23:59:59Z"}, {"moment": "10000-01-01T00:00:00Z"}, {"moment": "2024-02-30T00:00:00Z"},
        {"moment": 5}, {"moment": {"seconds": 5}}, {"span": "1"}, {"span": "1ms"}, {"span": "s"},
        {"span": "315576000001s"}, {"span": 5}, {"mask": "foo_bar"}, {"struct": [1]}, {"list": {}},
        {"empty": {"a": 1}}, {"w_int32": {"value": 5}},
    ],
)  # fmt: skip
def test_well_known_types_that_do_not_fit(client: Client, request_: dict[str, Any]) -> None:
    with pytest.raises(EncodeError, match=r"^request\."):
        client.invoke("lab.Bench/EchoKnown", request_)


def test_any(client: Client) -> None:
    inner = {"@type": "type.googleapis.com/lab.Inner", "name": "n"}
    assert echo(client, {"data": inner}, "EchoAny") == {"data": {**inner, "value": 0, "child": None}, "many": []}
    span = {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.500s"}
    deep = {"@type": "type.googleapis.com/google.protobuf.Any", "value": {**inner, "value": 0, "child": None}}
    assert echo(client, {"many": [span, deep]}, "EchoAny") == {"data": None, "many": [span, deep]}
    assert echo(client, {"data": {"@type": "example.com/x/lab.Inner"}}, "EchoAny")["data"]["@type"].endswith(
        "lab.Inner"
    )
    assert echo(client, {"data": {}}, "EchoAny")["data"] == {}
    for bad in ({"@type": "x/nobody.Knows"}, {"@type": ""}, {"@type": 5}, {"name": "n"}, {**inner, "nope": 1}):
        with pytest.raises(EncodeError, match=r"request\.data"):
            client.invoke("lab.Bench/EchoAny", {"data": bad})
    unknown = {"@type": "type.googleapis.com/nobody.Knows", "@value": "CAE="}
    assert client.invoke("lab.Bench/UnknownAny", {}).message == {"data": unknown, "many": []}
    assert client.invoke("lab.Bench/UnknownAny", {}, discard_response_message=True).message is None


def test_oneofs_and_optional_fields(client: Client) -> None:
    def chosen(request: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in echo(client, request).items() if name.startswith("chosen")}

    assert chosen({}) == {}
    assert chosen({"chosen_text": ""}) == {"chosenText": ""}
    assert chosen({"chosen_number": 0}) == {"chosenNumber": 0}
    assert chosen({"chosen_inner": {}}) == {"chosenInner": INNER}
    assert chosen({"chosen_null": "NULL_VALUE"}) == {"chosenNull": None}
    assert chosen({"chosen_text": None}) == {}
    assert echo(client, {}, "EchoOptional") == {"plain": 0}
    assert echo(client, {"number": 0, "text": "", "inner": {}}, "EchoOptional") == {
        "number": 0,
        "text": "",
        "inner": INNER,
        "plain": 0,
    }
