"""What each type takes and shows: ProtoJSON as Go's protojson, and with it k6, has it."""

# ruff: noqa: E501 - a table of cases reads best with a case to a line
from __future__ import annotations

import math
import re
from collections import OrderedDict
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from tests.codec.lab import codec, message

from puregrpc.codec import json_text
from puregrpc.codec.faults import TooDeep
from puregrpc.errors import EncodeError


def echo(type_name: str, value: object) -> Any:
    """What is left of a message after it was encoded and decoded, without what is not set."""
    descriptor = message(type_name)
    shown = codec().decode(descriptor, codec().encode(descriptor, value))  # type: ignore[arg-type]  # any value at all
    return {key: item for key, item in shown.items() if item not in (None, [], {}, 0, "", "0", False) or key == "null"}


ZONE_AHEAD, ZONE_BEHIND = timezone(timedelta(hours=14)), timezone(timedelta(hours=-1))


class bool_:  # noqa: N801 - another library's name for its bools
    def __init__(self, value: bool) -> None:
        self.value = value

    def __bool__(self) -> bool:
        return self.value

    def __float__(self) -> float:
        return float(self.value)

    def __repr__(self) -> str:
        return "bool_"


class Numbers(list[float]):
    """An array, which looks like a number until it is asked for it."""

    def __index__(self) -> int:
        raise TypeError("only arrays of one element are")

    def __int__(self) -> int:
        raise TypeError("only arrays of one element are")

    def __float__(self) -> float:
        raise TypeError("only arrays of one element are")

    def __repr__(self) -> str:
        return f"Numbers({len(self)})"


def released(data: bytes) -> memoryview:
    view = memoryview(data)
    view.release()
    return view


ECHOES: list[tuple[str, object, dict[str, object]]] = [
    # 64-bit integers: numbers or text in, text out
    ("lab.All", {"f_int64": 5, "fUint64": "6", "f_sint64": -7}, {"fInt64": "5", "fUint64": "6", "fSint64": "-7"}),
    ("lab.All", {"f_int64": "9007199254740993"}, {"fInt64": "9007199254740993"}),
    ("lab.All", {"f_int64": "-9223372036854775808"}, {"fInt64": "-9223372036854775808"}),
    ("lab.All", {"f_uint64": "18446744073709551615"}, {"fUint64": "18446744073709551615"}),
    ("lab.All", {"f_int64": "1e2"}, {"fInt64": "100"}),
    ("lab.All", {"f_int64": "1.0"}, {"fInt64": "1"}),
    ("lab.All", {"f_int64": 1e18}, {"fInt64": "1000000000000000000"}),
    ("lab.All", {"f_int64": -0.0}, {}),
    ("lab.All", {"r_int64": [1, "2", 3.0, "-4"]}, {"rInt64": ["1", "2", "3", "-4"]}),
    ("lab.All", {"f_int32": 2.0, "f_fixed32": "7"}, {"fInt32": 2, "fFixed32": 7}),
    # floats
    ("lab.All", {"f_double": 0.1, "f_float": 0.1}, {"fDouble": 0.1, "fFloat": 0.1}),
    ("lab.All", {"f_float": 16777217}, {"fFloat": 16777216.0}),
    ("lab.All", {"f_float": 1e-45}, {"fFloat": 1.4013e-45}),
    ("lab.All", {"f_float": 1 / 3}, {"fFloat": 0.33333334}),
    ("lab.All", {"f_float": 3.4028235e38}, {"fFloat": 3.4028235e38}),
    ("lab.All", {"f_double": "NaN", "f_float": "-Infinity"}, {"fDouble": "NaN", "fFloat": "-Infinity"}),
    ("lab.All", {"f_double": math.inf, "f_float": math.nan}, {"fDouble": "Infinity", "fFloat": "NaN"}),
    ("lab.All", {"r_double": ["1.5", "1e3", "Infinity", 2]}, {"rDouble": [1.5, 1000.0, "Infinity", 2.0]}),
    ("lab.All", {"f_double": Decimal("1.5"), "f_float": Fraction(1, 2), "f_int32": Decimal("7.0")}, {"fDouble": 1.5, "fFloat": 0.5, "fInt32": 7}),
    ("lab.All", {"r_double": [Decimal("Infinity")], "f_bool": bool_(True)}, {"rDouble": ["Infinity"], "fBool": True}),
    # enums
    ("lab.All", {"f_color": "GREEN", "f_alias": "UNO"}, {"fColor": "GREEN", "fAlias": "FIRST"}),
    ("lab.All", {"f_color": 2, "r_color": ["RED", 2, "NEGATIVE"]}, {"fColor": "GREEN", "rColor": ["RED", "GREEN", "NEGATIVE"]}),
    ("lab.All", {"f_color": 77}, {"fColor": 77}),
    ("lab.All", {"f_color": None}, {"fColor": "COLOR_UNSPECIFIED"}),
    # bytes: base64, standard or web-safe, padded or not; bytes as they are
    ("lab.All", {"f_bytes": "AQI="}, {"fBytes": "AQI="}),
    ("lab.All", {"f_bytes": "-_8"}, {"fBytes": "+/8="}),
    ("lab.All", {"f_bytes": b"\x01\x02"}, {"fBytes": "AQI="}),
    ("lab.All", {"r_bytes": ["AQ==", bytearray(b"\x02"), ""]}, {"rBytes": ["AQ==", "Ag==", ""]}),
    # maps
    ("lab.All", {"m_is": {1: {}, "-2": {"value": 1}}}, {"mIs": {"1": {"name": "", "value": 0, "child": None}, "-2": {"name": "", "value": 1, "child": None}}}),
    ("lab.All", {"m_bc": {"true": "RED", False: 2}}, {"mBc": {"true": "RED", "false": "GREEN"}}),
    ("lab.All", {"m_lb": {"-9223372036854775808": "AQ=="}}, {"mLb": {"-9223372036854775808": "AQ=="}}),
    ("lab.All", {"m_ss": OrderedDict(a="b")}, {"mSs": {"a": "b"}}),
    # oneofs
    ("lab.All", {"c_null": None}, {"cNull": None}),
    ("lab.All", {"c_string": None, "c_int32": 5}, {"cInt32": 5}),
    ("lab.All", {"c_sub": {}}, {"cSub": {"name": "", "value": 0, "child": None}}),
    ("lab.All", {"r_sub": ({}, {"name": "x"})}, {"rSub": [{"name": "", "value": 0, "child": None}, {"name": "x", "value": 0, "child": None}]}),
    # well-known types
    ("lab.Wkt", {"ts": "2024-01-02T03:04:05.1Z"}, {"ts": "2024-01-02T03:04:05.100Z"}),
    ("lab.Wkt", {"ts": "2024-01-02T03:04:05+02:00"}, {"ts": "2024-01-02T01:04:05Z"}),
    ("lab.Wkt", {"ts": "0001-01-01T00:00:00Z"}, {"ts": "0001-01-01T00:00:00Z"}),
    ("lab.Wkt", {"ts": "9999-12-31T23:59:59.999999999Z"}, {"ts": "9999-12-31T23:59:59.999999999Z"}),
    ("lab.Wkt", {"ts": "1969-12-31T23:59:59.5Z"}, {"ts": "1969-12-31T23:59:59.500Z"}),
    ("lab.Wkt", {"dur": "-1.5s"}, {"dur": "-1.500s"}),
    ("lab.Wkt", {"dur": "-0.5s"}, {"dur": "-0.500s"}),
    ("lab.Wkt", {"dur": ".5s"}, {"dur": "0.500s"}),
    ("lab.Wkt", {"dur": "+1.s"}, {"dur": "1s"}),
    ("lab.Wkt", {"dur": "315576000000s"}, {"dur": "315576000000s"}),
    ("lab.Wkt", {"mask": "fooBar,baz.quxQuux"}, {"mask": "fooBar,baz.quxQuux"}),
    ("lab.Wkt", {"mask": "*"}, {"mask": "*"}),
    ("lab.Wkt", {"mask": "fooBar.*,items.*.fullName,*.a"}, {"mask": "fooBar.*,items.*.fullName,*.a"}),
    ("lab.Wkt", {"mask": "labels.`Foo.b_A r`.lastName,1st,größe"}, {"mask": "labels.`Foo.b_A r`.lastName,1st,größe"}),
    ("lab.Wkt", {"struct": {"s": "x", "n": 1.5, "l": [1, None, {}], "o": {"deep": {}}}}, {"struct": {"s": "x", "n": 1.5, "l": [1, None, {}], "o": {"deep": {}}}}),
    ("lab.Wkt", {"value": [1, [True, "a"]]}, {"value": [1, [True, "a"]]}),
    ("lab.Wkt", {"value": [Decimal("1.5"), bool_(True)], "list": (2, Fraction(1, 4))}, {"value": [1.5, True], "list": [2, 0.25]}),
    ("lab.Wkt", {"w_int64": "5", "w_bytes": "AQI=", "w_double": "NaN"}, {"wInt64": "5", "wBytes": "AQI=", "wDouble": "NaN"}),
    ("lab.Wkt", {"r_ts": ["1970-01-01T00:00:00Z"], "m_dur": {"a": "3s"}}, {"rTs": ["1970-01-01T00:00:00Z"], "mDur": {"a": "3s"}}),
    ("lab.Wkt", {"null": "NULL_VALUE"}, {}),
    ("lab.Wkt", {"any": {"@type": "type.googleapis.com/lab.Sub", "name": "n"}}, {"any": {"@type": "type.googleapis.com/lab.Sub", "name": "n", "value": 0, "child": None}}),
    ("lab.Wkt", {"any": {"plain": 1, "@type": "/lab.Opt"}}, {"any": {"@type": "/lab.Opt", "plain": 1}}),
    ("lab.Wkt", {"any": {"@type": "x/google.protobuf.Duration", "value": "1.5s"}}, {"any": {"@type": "x/google.protobuf.Duration", "value": "1.500s"}}),
    ("lab.Wkt", {"any": {"@type": "x/google.protobuf.Any", "value": {"@type": "x/google.protobuf.Int64Value", "value": "5"}}}, {"any": {"@type": "x/google.protobuf.Any", "value": {"@type": "x/google.protobuf.Int64Value", "value": "5"}}}),
    ("lab.Wkt", {"any": {"@type": "x/google.protobuf.Empty", "value": {}}}, {"any": {"@type": "x/google.protobuf.Empty"}}),
    # names
    ("lab.Names", {"snake_case_name": "a", "PascalName": "b", "custom": "c", "@weird 'name\"": "d"}, {"snakeCaseName": "a", "PascalName": "b", "myCustom": "c", "@weird 'name\"": "d"}),
    ("lab.Names", {"trailing_": "a", "_leading": "b"}, {"trailing": "a", "Leading": "b"}),
    ("lab.Keywords", {"class": 1, "__class__": 2, "None": 3, "lambda": 4, "d": 5, "V": 6}, {"class": 1, "Class": 2, "None": 3, "lambda": 4, "d": 5, "V": 6}),
    # presence
    ("lab.Opt", {"o_int32": 1}, {"oInt32": 1}),
    ("lab2.Old", {"rString": "x", "mygroup": {"inside": "y"}, "[lab2.ext_string]": "e"}, {"rString": "x", "mygroup": {"inside": "y"}, "[lab2.ext_string]": "e"}),
    ("lab2.Old", {"r_string": "x"}, {"rString": "x"}),
    ("lab2.Old", {"r_string": "x", "o_int": 5}, {"rString": "x", "oInt": 5}),
    ("lab2.Old", {"rString": "x", "[lab2.ext_ints]": [1, 2], "kind": "A"}, {"rString": "x", "[lab2.ext_ints]": [1, 2], "kind": "A"}),
    ("lab2.Holder", {"set": {"[lab2.InSet.in_set]": {"text": "t"}}}, {"set": {"[lab2.InSet.in_set]": {"text": "t"}}}),
]  # fmt: skip


@pytest.mark.parametrize(("type_name", "value", "expected"), ECHOES, ids=lambda part: str(part)[:60])
def test_what_is_taken_and_shown(type_name: str, value: object, expected: dict[str, object]) -> None:
    shown = echo(type_name, value)
    if type_name == "lab.All":
        expected = {"fColor": "COLOR_UNSPECIFIED", "fAlias": "ALIAS_ZERO", **expected}
    if "cNull" in expected:
        descriptor = message(type_name)
        shown["cNull"] = codec().decode(descriptor, codec().encode(descriptor, {"cNull": None}))["cNull"]
    shown.pop("null", None)
    assert shown == expected


REFUSED: list[tuple[str, object, str]] = [
    ("lab.All", {"f_int64": "9223372036854775808"}, "request.fInt64: int64 out of range: '9223372036854775808'"),
    ("lab.All", {"f_int64": 1.5}, "request.fInt64: int64 expected, not 1.5"),
    ("lab.All", {"f_int64": "007"}, "request.fInt64: int64 expected, not '007'"),
    ("lab.All", {"f_int64": "+7"}, "request.fInt64: int64 expected, not '+7'"),
    ("lab.All", {"f_int64": " 7 "}, "request.fInt64: int64 expected, not ' 7 '"),
    ("lab.All", {"f_int64": ""}, "request.fInt64: int64 expected, not ''"),
    ("lab.All", {"f_int64": "1e999999999"}, "request.fInt64: int64 out of range: '1e999999999'"),
    ("lab.All", {"f_int64": "1e-999999999"}, "request.fInt64: int64 expected, not '1e-999999999'"),
    ("lab.All", {"f_uint64": -1}, "request.fUint64: uint64 out of range: -1"),
    ("lab.All", {"f_int32": True}, "request.fInt32: int32 expected, not True"),
    ("lab.All", {"r_int32": [1, None]}, "request.rInt32[1]: int32 expected, not None"),
    ("lab.All", {"r_int32": [1, 4294967296]}, "request.rInt32[1]: int32 out of range: 4294967296"),
    ("lab.All", {"r_int32": [True]}, "request.rInt32[0]: int32 expected, not True"),
    ("lab.All", {"r_int64": ["1", "x"]}, "request.rInt64[1]: int64 expected, not 'x'"),
    ("lab.All", {"r_sint64": [0, 1 << 63]}, f"request.rSint64[1]: int64 out of range: {1 << 63}"),
    ("lab.All", {"r_float": [0.0, 1e39]}, "request.rFloat[1]: float out of range: 1e+39"),
    ("lab.All", {"r_bool": [True, 1]}, "request.rBool[1]: bool expected, not 1"),
    ("lab.All", {"r_string": ["a", 5]}, "request.rString[1]: string expected, not 5"),
    ("lab.All", {"r_string": ["a"] * 20 + [5]}, "request.rString[20]: string expected, not 5"),
    ("lab.All", {"r_bytes": ["AQ==", "!"]}, "request.rBytes[1]: base64 expected, not '!'"),
    ("lab.All", {"r_sub": [{}, {"child": {"value": "x"}}]}, "request.rSub[1].child.value: int32 expected, not 'x'"),
    ("lab.All", {"r_sub": [None]}, "request.rSub[0]: object expected for lab.Sub, not None"),
    ("lab.All", {"r_int32": "12"}, "request.rInt32: list expected, not '12'"),
    ("lab.All", {"r_sub": {"a": 1}}, "request.rSub: list expected, not {'a': 1}"),
    ("lab.All", {"m_is": {"x": {}}}, "request.mIs['x']: int32 expected, not 'x'"),
    ("lab.All", {"m_is": {"1": {}, "1.0": {}}}, "request.mIs['1.0']: int32 expected, not '1.0'"),
    ("lab.All", {"m_lb": {"-0": ""}}, "request.mLb['-0']: int64 expected, not '-0'"),
    ("lab.All", {"m_fs": {"4294967296": ""}}, "request.mFs['4294967296']: uint32 out of range: '4294967296'"),
    ("lab.All", {"m_is": {1: {"value": []}}}, "request.mIs[1].value: int32 expected, not []"),
    ("lab.All", {"m_ss": {"a": 1}}, "request.mSs['a']: string expected, not 1"),
    ("lab.All", {"m_ss": [1]}, "request.mSs: object expected for a map, not [1]"),
    ("lab.All", {"m_bc": {"yes": 1}}, "request.mBc['yes']: bool expected, not 'yes'"),
    ("lab.All", {"f_double": "nan"}, "request.fDouble: double expected, not 'nan'"),
    ("lab.All", {"f_double": " 1"}, "request.fDouble: double expected, not ' 1'"),
    ("lab.All", {"f_double": "1e400"}, "request.fDouble: double out of range: '1e400'"),
    ("lab.All", {"f_double": 10**400}, "request.fDouble: double out of range: "),
    ("lab.All", {"f_float": 3.5e38}, "request.fFloat: float out of range: 3.5e+38"),
    ("lab.All", {"f_double": Decimal("1e400")}, "request.fDouble: double out of range: Decimal('1E+400')"),
    ("lab.All", {"f_double": Fraction(10**400)}, "request.fDouble: double out of range: Fraction(1000"),
    ("lab.All", {"r_double": [0.0, Decimal("sNaN")]}, "request.rDouble[1]: double expected, not Decimal('sNaN')"),
    ("lab.All", {"f_int32": Decimal("5.5")}, "request.fInt32: int32 expected, not Decimal('5.5')"),
    ("lab.All", {"f_int32": Decimal("Infinity")}, "request.fInt32: int32 expected, not Decimal('Infinity')"),
    ("lab.All", {"f_int32": Decimal("NaN")}, "request.fInt32: int32 expected, not Decimal('NaN')"),
    ("lab.All", {"f_int32": Numbers([1, 2])}, "request.fInt32: int32 expected, not Numbers(2)"),
    ("lab.All", {"f_double": Numbers([1, 2])}, "request.fDouble: double expected, not Numbers(2)"),
    ("lab.All", {"f_int32": bool_(True)}, "request.fInt32: int32 expected, not bool_"),
    ("lab.All", {"f_double": bool_(True)}, "request.fDouble: double expected, not bool_"),
    ("lab.All", {"f_bytes": released(b"x")}, "request.fBytes: bytes expected, not a memoryview that was released"),
    ("lab.All", {"f_double": []}, "request.fDouble: double expected, not []"),
    ("lab.All", {"f_bool": 1}, "request.fBool: bool expected, not 1"),
    ("lab.All", {"f_bool": "true"}, "request.fBool: bool expected, not 'true'"),
    ("lab.All", {"f_string": 5}, "request.fString: string expected, not 5"),
    ("lab.All", {"f_string": "\ud800"}, "request.fString: not a valid Unicode string: it has a lone surrogate"),
    ("lab.All", {"f_bytes": "A"}, "request.fBytes: base64 expected, not 'A'"),
    ("lab.All", {"f_bytes": "AQ=="[::-1]}, "request.fBytes: base64 expected, not '==QA'"),
    ("lab.All", {"f_bytes": "AQ\n=="}, "request.fBytes: base64 expected, not 'AQ\\n=='"),
    ("lab.All", {"f_color": "BLUE"}, "request.fColor: no enum value 'BLUE'; known are COLOR_UNSPECIFIED, RED,"),
    ("lab.All", {"f_color": "2"}, "request.fColor: no enum value '2'"),
    ("lab.All", {"f_color": 1.5}, "request.fColor: enum name or number expected, not 1.5"),
    ("lab.All", {"f_color": True}, "request.fColor: enum name or number expected, not True"),
    ("lab.All", {"f_color": 4294967296}, "request.fColor: int32 out of range: 4294967296"),
    ("lab.All", {"r_color": ["RED", None]}, "request.rColor[1]: enum name or number expected, not None"),
    ("lab.All", {"f_sub": []}, "request.fSub: object expected for lab.Sub, not []"),
    ("lab.All", {"nope": 1}, "request: no field 'nope' in lab.All"),
    ("lab.All", {"f_int33": 1}, "request: no field 'f_int33' in lab.All; did you mean 'f_int32'?"),
    ("lab.All", {5: 1}, "request: no field 5 in lab.All"),
    ("lab.All", {"f_sub": {"valeu": 1}}, "request.fSub: no field 'valeu' in lab.Sub; did you mean 'value'?"),
    ("lab.All", {"f_int32": 1, "fInt32": 2}, "request: the field 'fInt32' is there twice, by both of its names"),
    ("lab.All", {"c_string": "", "c_int32": 0}, "request.cInt32: another field of the oneof 'choice' is set, too"),
    ("lab.All", {"c_int32": 0, "c_null": None}, "request.cNull: another field of the oneof 'choice' is set, too"),
    ("lab.All", [], "request: object expected for lab.All, not []"),
    ("lab.All", None, "request: object expected for lab.All, not None"),
    ("lab.Wkt", {"ts": "2024-01-02T03:04:05.1234567891Z"}, "request.ts: RFC 3339 timestamp expected"),
    ("lab.Wkt", {"ts": "2024-01-02t03:04:05z"}, "request.ts: RFC 3339 timestamp expected"),
    ("lab.Wkt", {"ts": "2024-01-02 03:04:05Z"}, "request.ts: RFC 3339 timestamp expected"),
    ("lab.Wkt", {"ts": "0000-12-31T23:59:59Z"}, "request.ts: timestamp out of range"),
    ("lab.Wkt", {"ts": "0001-01-01T00:00:00+01:00"}, "request.ts: timestamp out of range"),
    ("lab.Wkt", {"ts": "2024-02-30T00:00:00Z"}, "request.ts: no such day: 2024-02-30"),
    ("lab.Wkt", {"ts": "2024-06-30T23:59:60Z"}, "request.ts: RFC 3339 timestamp expected"),
    ("lab.Wkt", {"ts": 5}, "request.ts: RFC 3339 timestamp expected"),
    ("lab.Wkt", {"ts": datetime(9999, 12, 31, 23, tzinfo=ZONE_BEHIND)}, "request.ts: timestamp out of range: 9999-12-"),
    ("lab.Wkt", {"ts": datetime(1, 1, 1, tzinfo=ZONE_AHEAD)}, "request.ts: timestamp out of range: 0001-01-01T00"),
    ("lab.Wkt", {"r_ts": ["now"]}, "request.rTs[0]: RFC 3339 timestamp expected"),
    ("lab.Wkt", {"dur": "1.1234567891s"}, "request.dur: duration expected, as in 1.5s, not '1.1234567891s'"),
    ("lab.Wkt", {"dur": "315576000001s"}, "request.dur: duration out of range: '315576000001s'"),
    ("lab.Wkt", {"dur": "s"}, "request.dur: duration expected"),
    ("lab.Wkt", {"dur": "1e3s"}, "request.dur: duration expected"),
    ("lab.Wkt", {"m_dur": {"a": 5}}, "request.mDur['a']: duration expected"),
    ("lab.Wkt", {"mask": "foo_bar"}, "request.mask: no such path in a field mask: 'foo_bar'"),
    ("lab.Wkt", {"mask": "a,,b"}, "request.mask: no such path in a field mask: ''"),
    ("lab.Wkt", {"mask": "a, b"}, "request.mask: no such path in a field mask: ' b'"),
    ("lab.Wkt", {"mask": "a.`b"}, "request.mask: no such path in a field mask: 'a.`b'"),
    ("lab.Wkt", {"struct": [1]}, "request.struct: object expected for google.protobuf.Struct, not [1]"),
    ("lab.Wkt", {"struct": {"a": [1, {"b": math.nan}]}}, "request.struct['a'][1]['b']: a google.protobuf.Value cannot"),
    ("lab.Wkt", {"value": object}, "request.value: a JSON value expected"),
    ("lab.Wkt", {"list": {}}, "request.list: list expected for google.protobuf.ListValue, not {}"),
    ("lab.Wkt", {"null": 1.5}, "request.null: null expected, not 1.5"),
    ("lab.Wkt", {"empty": {"a": 1}}, "request.empty: no field 'a' in google.protobuf.Empty"),
    ("lab.Wkt", {"w_int32": {"value": 5}}, "request.wInt32: int32 expected, not {'value': 5}"),
    ("lab.Wkt", {"any": {"@type": "x/nobody.Knows"}}, "request.any: unable to resolve 'x/nobody.Knows'"),
    ("lab.Wkt", {"any": {"@type": ""}}, 'request.any: "@type" is empty'),
    ("lab.Wkt", {"any": {"@type": 5}}, 'request.any: "@type" is not a string: 5'),
    ("lab.Wkt", {"any": {"name": "n"}}, 'request.any: missing "@type"'),
    ("lab.Wkt", {"any": {"@type": "x/lab.Sub", "nope": 1}}, "request.any: no field 'nope' in lab.Sub"),
    ("lab.Wkt", {"any": {"@type": "x/google.protobuf.Duration"}}, 'request.any: missing "value"'),
    ("lab.Wkt", {"any": {"@type": "x/google.protobuf.Duration", "value": 1}}, "request.any.value: duration expected"),
    ("lab2.Old", {}, "request.rString: a required field is not set"),
    ("lab2.Old", {"o_int": 5}, "request.rString: a required field is not set"),
    ("lab2.Old", {"nope": 5}, "request: no field 'nope' in lab2.Old"),
    ("lab2.Old", {"rString": "", "kind": 7}, "request.kind: no enum value has the number 7"),
    ("lab2.Old", {"rString": "", "[lab2.ext_old]": {}}, "request[lab2.ext_old].rString: a required field is not set"),
    ("lab2.Holder", {"set": {"[lab2.nobody]": {}}}, "request.set: no extension '[lab2.nobody]' of lab2.Set"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("type_name", "value", "problem"), REFUSED, ids=lambda part: re.sub(r" at 0x\w+", "", str(part))[:60]
)
def test_what_is_refused_and_where(type_name: str, value: object, problem: str) -> None:
    with pytest.raises(EncodeError) as caught:
        codec().encode(message(type_name), value)  # type: ignore[arg-type]  # wrong on purpose
    assert str(caught.value).startswith(problem)
    assert caught.value.path == problem.partition(": ")[0]
    assert "\n" not in str(caught.value)


def test_numbers_that_python_will_not_write() -> None:
    for name, problem in {"f_double": "request.fDouble: double", "f_int32": "request.fInt32: int32"}.items():
        with pytest.raises(EncodeError, match=f"{problem} out of range: "):
            codec().encode(message("lab.All"), {name: 10**5000})


def test_a_value_of_any_size_is_named_shortly() -> None:
    with pytest.raises(EncodeError, match=r"request.fInt32: int32 expected, not \[\[\[") as caught:
        codec().encode(message("lab.All"), {"f_int32": [[[[[1]] * 100] * 100] * 100] * 100})
    assert len(str(caught.value)) < 200


def test_unset_fields_are_shown_as_k6_shows_them() -> None:
    assert codec().default(message("lab.Opt")) == {"plain": 0}
    assert codec().default(message("lab2.Old")) == {
        "oString": None,
        "oInt": None,
        "rString": None,
        "rep": [],
        "mygroup": None,
        "kind": None,
        "kinds": [],
        "packedKinds": [],
        "kindMap": {},
        "child": None,
    }
    shown = codec().default(message("lab.All"))
    assert list(shown)[:3] == ["fDouble", "fFloat", "fInt32"]
    assert (shown["fInt64"], shown["fColor"], shown["fBytes"], shown["fSub"]) == ("0", "COLOR_UNSPECIFIED", "", None)
    assert "cString" not in shown
    assert codec().default(message("lab.All"))["rInt32"] is not shown["rInt32"]


def test_a_small_stack_is_spared_what_is_nested_too_deeply(monkeypatch: pytest.MonkeyPatch) -> None:
    """In WebAssembly the parser of the standard library would run over the stack's end."""
    monkeypatch.setattr(json_text, "HAS_SMALL_STACK", True)
    monkeypatch.setattr(json_text, "MAX_NESTING", 5)
    assert json_text.parse("[[[[[1]]]]]") == [[[[[1]]]]]
    assert json_text.parse('[[1], [2], [3], {"a[[[[\\\\\\"{{{{": ["}}"]}, []]') == [
        [1],
        [2],
        [3],
        {'a[[[[\\"{{{{': ["}}"]},
        [],
    ]
    for text in ("[[[[[[1]]]]]]", '{"a":[{"b":[{"c":[1]}]}]}', "[" * 100, "[1]" * 5 + "{" * 6):
        with pytest.raises(TooDeep):
            json_text.parse(text)
