"""Length-prefixed messages: reader and writer together, whole, cut anywhere, and damaged."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Generator, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.errors import InvalidArgument, RemoteProtocolError
from puregrpc.wire.compression import (
    CODINGS,
    CompressedMessage,
    MessageTooLarge,
    accept_encoding_value,
    coding_for,
    parse_accept_encoding,
    receiving_coding,
)
from puregrpc.wire.framing import PREFIX_SIZE, MessageReader, encode_message, prefix
from puregrpc.wire.limits import INFLATE_SLICE

LIMIT = 1000

WRITTEN = [
    ("empty", b"", b"\0\0\0\0\0"),
    ("one octet", b"x", b"\0\0\0\0\1x"),
    ("256 octets", bytes(256), b"\0\0\0\1\0" + bytes(256)),
    ("at the limit", bytes(LIMIT), b"\0\0\0\x03\xe8" + bytes(LIMIT)),
]
DAMAGED: list[tuple[str, bytes, str, type[Exception]]] = [
    ("flag 2", b"\2\0\0\0\0", "identity", RemoteProtocolError),
    ("flag 255", b"\xff", "identity", RemoteProtocolError),
    ("compressed without a coding", b"\1\0\0\0\0", "identity", RemoteProtocolError),
    ("above the limit", b"\0\0\0\x03\xe9", "identity", MessageTooLarge),
    ("4 GiB", b"\0\xff\xff\xff\xff", "gzip", MessageTooLarge),
    ("not gzip", b"\1\0\0\0\3abc", "gzip", RemoteProtocolError),
    ("gzip cut short", b"\1\0\0\0\x0a" + gzip.compress(b"hello")[:10], "gzip", RemoteProtocolError),
    ("deflate in gzip's place", b"\1\0\0\0\x0d" + zlib.compress(b"hello"), "gzip", RemoteProtocolError),
    ("empty where gzip should be", b"\1\0\0\0\0", "gzip", RemoteProtocolError),
    ("unknown coding", b"\1\0\0\0\1x", "br", RemoteProtocolError),
]


def fed(reader: MessageReader, data: bytes) -> Iterator[bytes]:
    """The messages that octets complete, inflated."""
    for message in reader.feed(data):
        yield last(reader.inflating(message)) if reader.is_compressed else message


def last(slices: Generator[None, None, bytes]) -> bytes:
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return bytes(end.value)


def pieces_of(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize(("message", "wire"), [row[1:] for row in WRITTEN], ids=[row[0] for row in WRITTEN])
@pytest.mark.parametrize("size", [1, 3, 5, 6, 10_000])
def test_written_and_read(message: bytes, wire: bytes, size: int) -> None:
    assert encode_message(message) == wire
    assert prefix(len(message)) == wire[:PREFIX_SIZE]
    reader = MessageReader(LIMIT)
    read = [one for piece in pieces_of(wire + wire + b"\0\0", size) for one in reader.feed(piece)]
    assert read == [message, message]
    assert reader.wire_size == len(wire)
    assert reader.partial == 2
    with pytest.raises(RemoteProtocolError, match="within a message"):
        reader.finish()


@pytest.mark.parametrize(("wire", "coding", "error"), [row[1:] for row in DAMAGED], ids=[row[0] for row in DAMAGED])
@pytest.mark.parametrize("size", [1, 10_000])
def test_damaged(wire: bytes, coding: str, error: type[Exception], size: int) -> None:
    """What is in front of the damage is still given."""
    reader = MessageReader(LIMIT, receiving_coding(coding))
    read = []
    with pytest.raises(error):
        for piece in pieces_of(encode_message(b"fine") + wire, size):
            for one in fed(reader, piece):
                read.append(one)  # noqa: PERF402 - those in front of the fault are wanted
    assert read == [b"fine"]


def test_a_length_above_the_limit_is_refused_before_the_message_comes() -> None:
    reader = MessageReader(4 << 20)
    with pytest.raises(MessageTooLarge, match=r"4194305 vs\. 4194304"):
        list(reader.feed(b"\0\0\x40\0\x01"))


@given(st.lists(st.binary(max_size=300), max_size=8), st.sampled_from(sorted(CODINGS)), st.data())
def test_any_messages_cut_anywhere(messages: list[bytes], name: str, data: st.DataObject) -> None:
    coding = CODINGS[name]
    wire = b"".join(encode_message(message, coding) for message in messages)
    reader = MessageReader(LIMIT, coding)
    read = []
    position = 0
    while position < len(wire):
        size = data.draw(st.integers(1, len(wire)))
        read += list(fed(reader, wire[position : position + size]))
        position += size
    assert read == messages
    reader.finish()


@given(st.lists(st.binary(max_size=40), max_size=6), st.sampled_from(sorted(CODINGS)))
def test_any_octets_give_messages_or_a_fault(pieces: list[bytes], name: str) -> None:
    reader = MessageReader(LIMIT, CODINGS[name])
    try:
        for piece in pieces:
            for message in fed(reader, piece):
                assert len(message) <= LIMIT
        reader.finish()
    except RemoteProtocolError:
        pass


@given(st.integers(1, 5_000_000), st.lists(st.integers(1, 400_000), min_size=1, max_size=40))
def test_a_message_takes_at_most_eight_times_what_has_come(length: int, sizes: list[int]) -> None:
    """And its parts are in their places, however often its memory was made larger."""
    message = bytes(range(256)) * (length // 256) + bytes(length % 256)
    reader = MessageReader(5_000_000)
    assert list(reader.feed(prefix(length))) == []
    position = 0
    for size in sizes * (length // sum(sizes) + 1):
        part = memoryview(message)[position : position + size]
        position += len(part)
        if position == length:
            assert list(reader.feed(bytes(part))) == [message]
            break
        reader.take_parts((part[:1], part[1:]), len(part))
        assert position + reader._room <= min(length, 8 * position)
        assert reader.missing == length - position
    assert not reader.partial


# -- compression


@pytest.mark.parametrize("name", sorted(CODINGS))
@given(octets=st.binary(max_size=2000))
def test_codings_take_back_what_they_gave(name: str, octets: bytes) -> None:
    coding = CODINGS[name]
    assert coding.decompress(coding.compress(octets), len(octets)) == octets
    if octets:
        with pytest.raises(MessageTooLarge):
            coding.decompress(coding.compress(octets), len(octets) - 1)


@pytest.mark.parametrize("name", sorted(set(CODINGS) - {"identity"}))
def test_a_bomb_is_inflated_to_the_limit_and_no_further(name: str) -> None:
    tracemalloc = pytest.importorskip("tracemalloc")
    bomb = CODINGS[name].compress(bytes(20_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(MessageTooLarge):
            CODINGS[name].decompress(bomb, 10_000)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", sorted(set(CODINGS) - {"identity"}))
@pytest.mark.parametrize("message", [bytes(3 << 20), bytes(range(256)) * 8192, random.Random(1).randbytes(1 << 20)])
def test_large_messages_are_inflated_in_slices(name: str, message: bytes) -> None:
    slices = coding_for(name).inflating
    assert slices is not None
    steps = slices(CODINGS[name].compress(message), len(message))
    assert sum(1 for _ in steps) >= len(message) // INFLATE_SLICE - 1
    waiting = CompressedMessage.of(CODINGS[name].compress(message), CODINGS[name], len(message))
    assert waiting.inflate() == last(waiting.inflating()) == message


def test_gzip_in_several_members() -> None:
    member = gzip.compress(b"part")
    assert CODINGS["gzip"].decompress(member * 3, 100) == b"part" * 3
    with pytest.raises(MessageTooLarge):
        CODINGS["gzip"].decompress(member * 3, 11)
    with pytest.raises(RemoteProtocolError, match="members"):
        CODINGS["gzip"].decompress(gzip.compress(b"") * 10_000, 100)


def test_names_of_codings() -> None:
    assert coding_for("gzip").name == "gzip"
    with pytest.raises(InvalidArgument, match="no compression 'br': there are identity, gzip"):
        coding_for("br")
    assert accept_encoding_value(("identity", "gzip")) == b"identity,gzip"
    assert parse_accept_encoding(b"identity, deflate ,,gzip") == ("identity", "deflate", "gzip")


@given(st.binary(max_size=50))
def test_accept_encoding_of_any_octets(octets: bytes) -> None:
    assert all(parse_accept_encoding(octets))


def test_sending_limits() -> None:
    with pytest.raises(InvalidArgument, match=r"3 vs\. 2"):
        encode_message(b"abc", max_size=2)
    with pytest.raises(InvalidArgument, match="larger than max"):
        encode_message(b"abc", CODINGS["gzip"], max_size=4)
