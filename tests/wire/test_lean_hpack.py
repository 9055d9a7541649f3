"""hpack as the h2 engine uses it: what comes out is what hpack says, and no field takes the square of a block."""

from __future__ import annotations

from typing import Any

import hpack
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.fuzz.frames.probe import plain_integer, plain_literal
from puregrpc.wire.fast.hpack_decoder import HeaderDecoder, HeaderDecodingError, HeaderListTooLargeError
from puregrpc.wire.h2_engine.lean import LeanDecoder, LeanEncoder

LIST_SIZE = 1 << 16

names = st.sampled_from([b":path", b"te", b"x", b"content-type", b"n" * 200])
values = st.sampled_from([b"", b"trailers", b"v" * 100, b"w" * 600, b"\xff\0"])
lists = st.lists(st.tuples(names, values), min_size=1, max_size=8)


def outcome(decoder: Any, block: bytes) -> Any:
    """What a decoder makes of a block."""
    try:
        return [(bytes(name), bytes(value), type(field)) for field in decoder.decode(block, raw=True)
                for name, value in [field]]  # fmt: skip
    except hpack.HPACKError as error:
        return type(error)


@given(st.lists(st.tuples(lists, st.booleans()), max_size=6))
def test_blocks_are_read_as_hpack_reads_them(sent: list[tuple[list[tuple[bytes, bytes]], bool]]) -> None:
    encoder, reference, lean = hpack.Encoder(), hpack.Decoder(LIST_SIZE), LeanDecoder(LIST_SIZE)
    for fields, is_coded in sent:
        block = encoder.encode([hpack.NeverIndexedHeaderTuple(*fields[0]), *fields[1:]], huffman=is_coded)
        assert outcome(lean, block) == outcome(reference, block)
        assert list(lean.header_table.dynamic_entries) == list(reference.header_table.dynamic_entries)


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_any_octets_are_read_as_hpack_reads_them(blocks: list[bytes]) -> None:
    reference, lean = hpack.Decoder(LIST_SIZE), LeanDecoder(LIST_SIZE)
    for block in blocks:
        expected = outcome(reference, block)
        assert outcome(lean, block) == expected
        if isinstance(expected, type):
            return


@given(st.lists(lists, max_size=6))
def test_blocks_are_written_to_be_read(sent: list[list[tuple[bytes, bytes]]]) -> None:
    encoder, reader = LeanEncoder(), hpack.Decoder()
    for fields in sent:
        assert [tuple(field) for field in reader.decode(encoder.encode(fields), raw=True)] == fields


class Copied:
    """A block that notes how much of it is copied."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self.copied = 0

    def __getitem__(self, at: Any) -> Any:
        found = self._octets[at]
        if isinstance(at, slice):
            self.copied += len(found)
        return found


def test_a_field_copies_nothing_of_what_follows_it() -> None:
    block = Copied(b"\0" + plain_literal(b"x") + plain_literal(b"y") + bytes(100_000))
    field, size = LeanDecoder()._decode_literal(block, should_index=False)  # type: ignore[arg-type]
    assert (tuple(field), size) == ((b"x", b"y"), 5)
    assert block.copied < 100


def test_a_string_that_no_list_has_room_for_is_not_decoded() -> None:
    """It counts as long as it comes."""
    coded = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(b"a" * 8) * 3000
    block = b"\0" + plain_literal(b"x") + plain_integer(len(coded), 7, 0x80) + coded
    fast = HeaderDecoder(len(coded) - 1)
    with pytest.raises(HeaderListTooLargeError):
        fast.decode(block)
    assert fast.decode(b"\0" + plain_literal(b"x") + b"\x85" + coded[:5])[1] == ((b"x", b"a" * 8),)
    lean = LeanDecoder(4 * (len(coded) - 1))
    assert lean.decode(block, raw=True) == [(b"x", coded)]
    lean.max_header_list_size = 4 * len(coded)
    assert lean.decode(block, raw=True) == [(b"x", b"a" * 24_000)]


@given(st.lists(st.tuples(lists, st.booleans(), st.integers(1, 300)), max_size=3), st.binary(max_size=4))
def test_blocks_are_read_in_steps_as_at_once(
    sent: list[tuple[list[tuple[bytes, bytes]], bool, int]], more: bytes
) -> None:
    encoder, reference, lean = hpack.Encoder(), hpack.Decoder(LIST_SIZE), LeanDecoder(LIST_SIZE)
    at_once, in_steps = HeaderDecoder(LIST_SIZE // 4), HeaderDecoder(LIST_SIZE // 4)
    for fields, is_coded, times in sent:
        long = (b"long", b"\xff" * 3000) if times == 1 else (b"l", b"")
        block = encoder.encode([*fields * times, long], huffman=is_coded) + more
        for _ in lean.preparing(block):
            pass
        expected = outcome(reference, block)
        assert outcome(lean, block) == expected
        assert list(lean.header_table.dynamic_entries) == list(reference.header_table.dynamic_entries)
        expected = decoded(at_once, block)
        assert decoded(in_steps, block, is_in_steps=True) == expected
        assert in_steps.table == at_once.table
        if isinstance(expected, type):
            return


def decoded(decoder: HeaderDecoder, block: bytes, *, is_in_steps: bool = False) -> Any:
    """What the fast engine's decoder makes of a block."""
    try:
        if not is_in_steps:
            run, fields = decoder.decode(block)
            return run.fields + fields
        steps = decoder.decoding(block)
        while True:
            next(steps)
    except StopIteration as end:
        run, fields = end.value
        return run.fields + fields
    except HeaderListTooLargeError as error:
        return {type(error)}
    except HeaderDecodingError as error:
        return type(error)
