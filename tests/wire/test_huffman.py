"""Huffman decoding against hpack's encoder and decoder."""

from __future__ import annotations

import pytest
from hpack import HPACKDecodingError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman as reference
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.wire.huffman import HuffmanError, LongStrings, NotDecodedError, decode_huffman
from puregrpc.wire.limits import LONG_CODED_STRING

encoder = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


@given(st.binary())
def test_every_string_comes_back(text: bytes) -> None:
    assert decode_huffman(encoder.encode(text)) == text


@given(st.binary(max_size=12))
def test_any_octets_get_the_verdict_of_hpack(octets: bytes) -> None:
    try:
        expected = bytes(reference(octets))
    except HPACKDecodingError:
        with pytest.raises(HuffmanError):
            decode_huffman(octets)
    else:
        assert decode_huffman(octets) == expected


@pytest.mark.parametrize(
    "octets",
    [b"\xff\xff\xff\xff", b"\xff", b"\x1f\xff", b"\x00", b"\x18"],
    ids=["EOS", "eight bits of padding", "a, then eight of padding", "0 padded with zeros", "a padded with zeros"],
)
def test_faults(octets: bytes) -> None:
    with pytest.raises(HuffmanError):
        decode_huffman(octets)


@given(st.binary(min_size=1), st.integers(1, 5))
def test_a_long_string_is_decoded_in_steps(text: bytes, times: int) -> None:
    coded = encoder.encode(text * (1 + times * LONG_CODED_STRING // len(encoder.encode(text))))
    strings = LongStrings()
    if len(coded) > LONG_CODED_STRING:
        with pytest.raises(NotDecodedError):
            strings.get(coded)
        assert sum(1 for _ in strings.decoding()) == -(-len(coded) // LONG_CODED_STRING)
    assert strings.get(coded) == decode_huffman(coded)
    strings.forget()


@pytest.mark.parametrize("end", [b"\xff" * 4, b"\xff", b"\x00"], ids=["EOS", "eight bits of padding", "zeros"])
def test_faults_of_long_strings(end: bytes) -> None:
    strings = LongStrings()
    with pytest.raises(NotDecodedError):
        strings.get(bytes(5 * LONG_CODED_STRING) + end)
    with pytest.raises(HuffmanError):
        for _ in strings.decoding():
            pass
