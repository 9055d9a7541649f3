"""Few octets that stand for many: told in proportion to what is on the wire, and what is left out is said."""

from __future__ import annotations

import base64
import gzip
import time
import zlib
from collections.abc import Callable

import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st
from tests.trace.conversations import REQUEST, RESPONSE, Script, assert_every_octet_is_explained, message
from tests.trace.pages import rows_of

from puregrpc.trace import Direction, Explanation, explain
from puregrpc.trace.explaining.header_block import MAX_FIELDS, HeaderTableTracer
from puregrpc.trace.explaining.octets import Octets
from puregrpc.trace.records import Representation, Span
from puregrpc.trace.showing.json_lines import explanation_lines
from puregrpc.trace.showing.ladder import Detail, Ladder, plain

CLIENT, SERVER = Direction
SECONDS = 30.0
"""Of processor time, on a slow machine; without limits each takes many times as long."""


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def bomb_in_one_block() -> Script:
    """A field of 4,000 octets, and then the index of it 100,000 times."""
    block = Encoder().encode([*REQUEST, ("x", "y" * 4000)]) + b"\xbe" * 100_000
    pieces = [block[place : place + 16384] for place in range(0, len(block), 16384)]
    script = Script()
    for number, piece in enumerate(pieces):
        flags = 4 if number == len(pieces) - 1 else 0
        script.raw(CLIENT, frame(9 if number else 1, flags, 1, piece))
    return script


def bomb_in_many_blocks() -> Script:
    script = Script().raw(CLIENT, frame(1, 4, 1, Encoder().encode([*REQUEST, ("x", "y" * 4000)])))
    for number in range(100):
        script.raw(CLIENT, frame(1, 4, 2 * number + 3, b"\xbe" * 1000))
    return script


def bomb_of_messages() -> Script:
    """100 messages of a kilobyte that hold 300,000 fields each."""
    script = Script().headers(CLIENT, [*REQUEST, ("grpc-encoding", "gzip")])
    packed = gzip.compress(b"\x08\x01" * 300_000)
    for _ in range(100):
        script.data(CLIENT, message(packed, 1))
    return script


def bomb_of_details() -> Script:
    """Details of a status, of thousands of fields, that the table holds for one octet."""
    details = base64.b64encode(b"\x1a\x00" * 1400).decode()
    trailers = Encoder().encode([("grpc-status-details-bin", details)])
    script = Script().headers(CLIENT, REQUEST).raw(SERVER, frame(1, 4, 1, trailers))
    for _ in range(1000):
        script.raw(SERVER, frame(1, 4, 1, b"\xbe"))
    return script


def records(explanation: Explanation) -> int:
    """About how many records the explanation has."""
    return sum(1 for part in explanation.parts() for _ in part.walk())


@pytest.mark.parametrize("bomb", [bomb_in_one_block, bomb_in_many_blocks, bomb_of_messages, bomb_of_details])
def test_a_bomb_is_told_in_proportion(bomb: Callable[[], Script]) -> None:
    recording = bomb().recording()
    octets = sum(len(chunk.data) for chunk in recording.chunks)
    start = time.process_time()
    explanation = explain(recording)
    assert time.process_time() - start < SECONDS
    assert records(explanation) < 3 * octets + 250_000
    assert sum(len(buffer.data) for buffer in explanation.buffers) < (64 << 20) + 20 * octets
    assert any(
        "not told one by one" in part.note or "too many to be told" in part.problem
        for outer in explanation.parts()
        for part in outer.walk()
    )


def test_the_rest_of_a_large_header_list_is_said_in_every_form() -> None:
    explanation = explain(bomb_in_one_block().recording())
    assert_every_octet_is_explained(explanation)
    block = next(entry.header_block for entry in explanation.entries if entry.header_block is not None)
    rest = block.fields[-1]
    assert rest.representation is Representation.UNTOLD
    assert len(block.fields) <= MAX_FIELDS + 1
    assert rest.part.value.endswith("octets of names and values")
    count = int(rest.part.value.split()[0])
    assert len(block.fields) - 1 + count == 100_009
    for detail in Detail:
        ladder = plain(Ladder(detail).lines(explanation))
        assert ("not told one by one" in ladder) is (detail is not Detail.FRAMES)
    lines = list(explanation_lines(explanation))
    assert sum(map(len, lines)) < 8 << 20
    assert any('"representation": "not told one by one"' in line for line in lines)
    assert any("not told one by one" in text for text in rows_of(explanation)["text"])


def test_a_fault_in_what_is_not_told_is_told() -> None:
    block = b"\x82" * 2000 + b"\xfe"
    script = Script().raw(CLIENT, frame(1, 4, 1, block))
    assert any("index 126 is beyond the table" in problem for problem in explain(script.recording()).problems())


BLOCKS = st.lists(
    st.tuples(
        st.sampled_from(["a", ":path", "x-long-name", ""]),
        st.sampled_from(["", "1", "/", "value" * 20, "\xff\x00"]),
        st.booleans(),
    ),
    max_size=8,
)


@given(st.lists(BLOCKS, max_size=4), st.booleans(), st.binary(max_size=20), st.integers(0, 5))
def test_the_table_is_the_same_whether_fields_are_told_or_not(
    blocks: list[list[tuple[str, str, bool]]], huffman: bool, rest: bytes, told: int
) -> None:
    encoder = Encoder()
    written = [encoder.encode(fields, huffman=huffman) for fields in blocks]
    whole, quick = HeaderTableTracer(), HeaderTableTracer()
    for block in [*written, rest]:
        octets = Octets(block, (Span(0, 0, len(block)),))
        fields, _ = whole.read(octets)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("puregrpc.trace.explaining.header_block.MAX_FIELDS", told)
            few, _ = quick.read(octets)
        assert (quick.inserted, quick.state()) == (whole.inserted, whole.state())
        broken = [any("COMPRESSION_ERROR" in field.part.problem for field in read) for read in (few, fields)]
        assert broken[0] == broken[1]
        assert sum(field.octets for field in few) == len(block)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_messages_in_several_members_are_inflated(coding: str) -> None:
    """gzip allows it (RFC 1952, section 2.2)."""
    pack = gzip.compress if coding == "gzip" else zlib.compress
    data = pack(b"\x0a\x03") + pack(b"bob")
    script = Script().headers(CLIENT, REQUEST).headers(SERVER, [*RESPONSE, ("grpc-encoding", coding)])
    explanation = explain(script.data(SERVER, message(data, 1)).recording())
    (found,) = (m for entry in explanation.entries for m in entry.messages)
    assert found.data == b"\x0a\x03bob"
