"""Huffman decoding against hpack's encoder and decoder."""

from __future__ import annotations

import pytest
from hpack import HPACKDecodingError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman as reference
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.wire.fast.huffman import HuffmanError, decode_huffman

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
