"""The tracing HPACK decoder against the hpack package: the same fields, the same table."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder, HeaderTuple, NeverIndexedHeaderTuple
from hpack.exceptions import HPACKError
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.trace.explaining.header_block import HeaderTableTracer
from puregrpc.trace.explaining.octets import Octets
from puregrpc.trace.records import Representation, Span

NAMES = st.sampled_from([":path", "te", "x-a", "x-b", "grpc-timeout", "authorization", "a-name-of-some-length"])
HEADERS = st.lists(
    st.tuples(NAMES, st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=40), st.booleans()),
    max_size=10,
)


def whole(block: bytes) -> Octets:
    return Octets(block, (Span(0, 0, len(block)),))


@given(st.lists(HEADERS, max_size=6), st.booleans(), st.sampled_from([4096, 0, 100, 300]))
def test_it_reads_what_hpack_reads(blocks: list[list[tuple[str, str, bool]]], huffman: bool, table_size: int) -> None:
    encoder, decoder, tracer = Encoder(), Decoder(), HeaderTableTracer()
    encoder.header_table_size = table_size
    for headers in blocks:
        tuples = [NeverIndexedHeaderTuple(n, v) if secret else HeaderTuple(n, v) for n, v, secret in headers]
        block = encoder.encode(tuples, huffman=huffman)
        expected = [tuple(header) for header in decoder.decode(block, raw=True)]
        fields, part = tracer.read(whole(block))
        found = [f for f in fields if f.representation is not Representation.SIZE_UPDATE]
        assert [(f.name, f.value) for f in found] == expected
        for header, (_, _, secret) in zip(found, headers, strict=True):
            # hpack writes a field that is in a table by its index, secret or not.
            assert not secret or header.representation in (Representation.NEVER, Representation.INDEXED)
        table = tracer.inserted[tracer.first :][::-1]
        assert [tuple(entry) for entry in table] == list(decoder.header_table.dynamic_entries)
        assert sum(f.octets for f in fields) == part.size == len(block)
        assert tracer.size == sum(entry.size for entry in table) <= tracer.limit


@given(st.binary(max_size=60))
def test_it_finds_fault_with_what_hpack_finds_fault_with(block: bytes) -> None:
    decoder = Decoder(max_header_list_size=1 << 20)
    try:
        expected = [tuple(header) for header in decoder.decode(block, raw=True)]
        wrong = False
    except HPACKError:
        expected = []
        wrong = True
    fields, _ = HeaderTableTracer().read(whole(block))
    problems = [f.part.problem for f in fields if f.part.problem]
    if wrong:
        assert problems
    else:
        assert [(f.name, f.value) for f in fields if f.representation is not Representation.SIZE_UPDATE] == expected


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        ("82", (Representation.INDEXED, b":method", b"GET", 2)),
        ("40 0a637573746f6d2d6b6579 0d637573746f6d2d686561646572",
         (Representation.INCREMENTAL, b"custom-key", b"custom-header", 0)),
        ("04 0c2f73616d706c652f70617468", (Representation.WITHOUT, b":path", b"/sample/path", 4)),
        ("10 0870617373776f7264 06736563726574", (Representation.NEVER, b"password", b"secret", 0)),
        ("41 8cf1e3c2e5f23a6ba0ab90f4ff", (Representation.INCREMENTAL, b":authority", b"www.example.com", 1)),
    ],
)  # fmt: skip
def test_the_examples_of_rfc_7541_appendix_c(octets: str, expected: tuple[Representation, bytes, bytes, int]) -> None:
    (field,), _ = HeaderTableTracer().read(whole(bytes.fromhex(octets)))
    assert (field.representation, field.name, field.value, field.index) == expected
    assert field.value_huffman in (None, octets.startswith("41"))


def test_what_the_lost_table_hides() -> None:
    tracer = HeaderTableTracer(lost=True)
    block = bytes.fromhex("be 7f00 0161 be 7f01 0162")
    fields, _ = tracer.read(whole(block))
    assert [(f.name, f.value) for f in fields] == [(None, None), (None, b"a"), (None, b"a"), (None, b"b")]
    assert all("lost" in f.part.problem for f in fields if f.index != 62 or f.value is None)
