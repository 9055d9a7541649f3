"""The short ways of the fast engine around header lists, held against the modules that hold the rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.errors import InvalidArgument, RemoteProtocolError
from puregrpc.wire.fast import custom_metadata
from puregrpc.wire.fast.custom_metadata import MetadataEncoder, read_custom
from puregrpc.wire.fast.hpack_decoder import FieldRun
from puregrpc.wire.fast.hpack_table import Fields
from puregrpc.wire.fast.requests import read_request
from puregrpc.wire.headers import check_fields, parse_request, read_content_length
from puregrpc.wire.metadata import decode_field, encode_metadata, is_reserved

NAMES = ["x-id", "X-Id", "authorization", "x-bin", "te", ":path", "grpc-timeout", "a b", "", "n" * 200, "café"]
VALUES: list[Any] = [
    "",
    "1",
    " padded ",
    "tab\t",
    "ümlaut",
    "v" * 126,
    "v" * 127,
    "v" * 300,
    "\x7f",
    b"",
    b"\x00\xff",
    5,
]


def outcome(function: Callable[[], Any]) -> Any:
    """What a function returns, or the text of the error that it raises."""
    try:
        return function()
    except (InvalidArgument, RemoteProtocolError) as error:
        return str(error)


metadata = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=4).map(tuple)


@given(metadata)
def test_metadata_is_written_as_its_rules_say(entries: Any) -> None:
    encoder = MetadataEncoder(("Authorization",))
    for _ in range(2):  # names are found out the first time and looked up the second
        expected = outcome(lambda: encode_metadata(entries))
        if isinstance(expected, str):
            assert outcome(lambda: encoder.encode(entries)) == expected
            return
        got = list(hpack.Decoder().decode(encoder.encode(entries), raw=True))
        assert [tuple(field) for field in got] == expected
        assert [field.indexable for field in got] == [name != b"authorization" for name, _ in expected]


FIELD_NAMES = [b"x-id", b"x-bin", b"X-Upper", b"te", b":path", b"grpc-status", b"a b", b"", b"n" * 200, b"\xc3\xa9"]
FIELD_VALUES = [b"", b"1", b" padded ", b"AAEC", b"AAEC,AAED", b"=", b"\xc3\xbc", b"\xff", b"a\nb", b"\t", b"\x7f"]
fields = st.lists(st.tuples(st.sampled_from(FIELD_NAMES), st.sampled_from(FIELD_VALUES)), max_size=4).map(tuple)


@given(fields)
def test_custom_fields_are_read_as_their_rules_say(received: Fields) -> None:
    for _ in range(2):
        got = read_custom(received)
        expected = outcome(lambda: check_fields(received, frozenset()) or [decode_field(*field) for field in received])
        if isinstance(expected, str) or any(is_reserved(name.decode("latin-1")) for name, _ in received):
            assert got is None
        else:
            assert got == tuple(entry for entries in expected for entry in entries)


def test_names_are_remembered_within_bounds() -> None:
    encoder = MetadataEncoder()
    for number in range(3 * custom_metadata.MAX_KNOWN_NAMES):
        encoder.encode(((f"x-{number}", "1"),))
        read_custom(((b"x-%d" % number, b"1"),))
    assert len(encoder._heads) <= custom_metadata.MAX_KNOWN_NAMES
    assert len(custom_metadata._names) <= custom_metadata.MAX_KNOWN_NAMES


REQUEST: Fields = (
    (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a.B/C"), (b":authority", b"example.org"),
    (b"te", b"trailers"), (b"content-type", b"application/grpc+proto"), (b"user-agent", b"test"),
)  # fmt: skip
MORE: list[tuple[bytes, bytes]] = [
    (b"grpc-timeout", b"5S"), (b"grpc-timeout", b"soon"), (b"x-id", b"1"), (b"x-bin", b"AAEC"), (b"x-bin", b"="),
    (b"grpc-encoding", b"gzip"), (b"grpc-encoding", b"br"), (b"grpc-accept-encoding", b"gzip"), (b":path", b"/late"),
    (b"content-length", b"5"), (b"content-length", b"x"), (b"X-Upper", b"1"), (b"host", b"example.org"),
    (b"host", b"elsewhere"), (b"connection", b"close"), (b"te", b"gzip"),
]  # fmt: skip


@given(st.lists(st.sampled_from(MORE), max_size=4), st.integers(0, 11), st.integers(0, 8))
def test_a_request_is_the_same_wherever_its_run_ends(more: list[tuple[bytes, bytes]], cut: int, missing: int) -> None:
    received = tuple(field for number, field in enumerate(REQUEST) if number != missing) + tuple(more)
    run = FieldRun(received[:cut], 0)
    for _ in range(2):  # what the run says is found out the first time and kept for the second
        request = read_request(run, received[cut:])
        if request is not None:
            assert request == parse_request(received)
            assert read_content_length(received) is None


def test_the_usual_request_is_read_the_short_way() -> None:
    run = FieldRun(REQUEST, 0)
    more = ((b"grpc-timeout", b"5S"), (b"x-id", b"1"), (b"authorization", b"Bearer token"))
    for _ in range(2):
        assert read_request(run, more) == parse_request(REQUEST + more)


def test_each_request_is_its_owners_own() -> None:
    run = FieldRun(REQUEST, 0)
    first, second = read_request(run, ()), read_request(run, ())
    assert first == second
    assert first is not second


@pytest.mark.parametrize(
    ("more", "length"),
    [((), None), (((b"content-length", b"12"),), 12), (((b"content-length", b"1"), (b"content-length", b"1")), 1)],
)
def test_content_length(more: Fields, length: int | None) -> None:
    assert read_content_length(REQUEST + more) == length


@pytest.mark.parametrize("values", [(b"x",), (b"-1",), (b"9" * 30,), (b"1", b"2"), (b"",)])
def test_malformed_content_length(values: tuple[bytes, ...]) -> None:
    with pytest.raises(RemoteProtocolError):
        read_content_length(tuple((b"content-length", value) for value in values))
