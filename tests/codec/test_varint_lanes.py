"""Many varints at once: the same bytes and numbers as one at a time, in lists shorter and longer than a block."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.codec.lab import codec, message

from puregrpc.codec.wire_format.tags_and_varints import varint
from puregrpc.codec.wire_format.varint_lanes import FIRST_TOO_LARGE, join_varints, split_varints
from puregrpc.errors import DecodeError, EncodeError

NUMBERS = st.one_of(
    st.integers(0, FIRST_TOO_LARGE - 1), st.integers(0, 56).map(lambda bits: min(1 << bits, FIRST_TOO_LARGE - 1))
)


@given(st.lists(NUMBERS), st.sampled_from([1, 40, 1100]), st.booleans())
def test_as_one_at_a_time(values: list[int], times: int, has_zeros: bool) -> None:
    values = (values if has_zeros else [value or 1 for value in values])[:100] * times
    body = b"".join(map(varint, values))
    joined = join_varints(values)
    assert joined == body or (joined is None and 0 in values)
    assert split_varints(body) == values


@pytest.mark.parametrize("zero", [0, 1, 1023, 1024, 1025, 2999])
def test_a_zero_anywhere(zero: int) -> None:
    values = [1 << n % 56 for n in range(3000)]
    values[zero] = 0
    assert join_varints(values) == b"".join(map(varint, values))


@given(st.lists(st.integers(0, (1 << 64) - 1), min_size=32))
def test_long_varints_are_left_to_others(values: list[int]) -> None:
    split = split_varints(b"".join(map(varint, values)))
    assert split == (values if max(values) < FIRST_TOO_LARGE else None)


def test_varints_across_the_pieces_of_a_large_body() -> None:
    values = [1 << n % 56 for n in range(20_000)]
    assert split_varints(b"".join(map(varint, values))) == values
    assert split_varints(b"\x01" * 8190 + b"\xff" * 1_000_000 + b"\x01") is None


def test_varints_with_more_bytes_than_they_need() -> None:
    assert split_varints(b"\x80\x00\x81\x80\x80\x00\x05\xff\xff\xff\xff\xff\xff\xff\x7f") == [0, 1, 5, (1 << 56) - 1]


@given(
    st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=80),
    st.sampled_from(["rInt64", "rSint64", "rInt32"]),
    st.integers(1, 63),
)
def test_packed_fields_of_any_length(values: list[int], key: str, bits: int) -> None:
    limit = 1 << (min(bits, 31) if key == "rInt32" else bits)
    values = [value % (2 * limit) - limit for value in values]
    shown = values if key == "rInt32" else [str(value) for value in values]
    data = codec().encode(message("lab.All"), {key: values})
    assert codec().encode(message("lab.All"), {key: [str(value) for value in values]}) == data
    assert codec().decode(message("lab.All"), data)[key] == shown


TEXTS = ["", " ", " 1", "1\n", "1,2", "[1", "1]", "-0", "-", "01", "+1", "1_0", "1.0", "1e1", "1.5", "true", "null"]
TEXTS += ["NaN", '"1"', "٣", "9223372036854775808", "-9223372036854775808", "9" * 5000, "[" * 19, "0x1", "{}"]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_among_many_is_taken_as_it_is_alone(text: str) -> None:
    def result(value: dict[str, object]) -> bytes | str:
        try:
            return codec().encode(message("lab.All"), value)
        except EncodeError as error:
            return str(error).partition(": ")[2]

    alone, number = result({"fInt64": text}), codec().encode(message("lab.All"), {"fInt64": 7})
    among = result({"rInt64": ["7"] * 40 + [text] + ["7"] * 40})
    if isinstance(alone, str):
        assert among == alone
    else:
        assert isinstance(among, bytes)
        assert among[3:43] == among[-40:] == number[-1:] * 40
        assert among[43:-40] == (alone[1:] or b"\0")


@pytest.mark.parametrize("last", [b"\x80", b"\xff" * 10 + b"\x01", b"\xff" * 9 + b"\x02"])
def test_the_last_of_many_varints_is_not_one(last: bytes) -> None:
    body = b"\x81\x01" * 40 + last
    with pytest.raises(DecodeError, match=r"message\.rInt64"):
        codec().decode(message("lab.All"), b"\xca\x01" + varint(len(body)) + body)
