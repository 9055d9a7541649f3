"""Metadata, status, timeouts and header lists: written, read, and read when damaged."""

from __future__ import annotations

import contextlib
import math
from base64 import b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from puregrpc.errors import InvalidArgument, RemoteProtocolError
from puregrpc.wire.compression import parse_accept_encoding
from puregrpc.wire.connection import Request
from puregrpc.wire.deadline import Deadlines, encode_timeout, parse_timeout
from puregrpc.wire.headers import (
    Refusal,
    foreign_failure,
    parse_request,
    parse_response,
    parse_trailers,
    request_fields,
    response_fields,
    trailer_fields,
)
from puregrpc.wire.limits import MAX_ESCAPED_RUNS, MAX_JOINED_VALUES
from puregrpc.wire.metadata import decode_field, encode_metadata, header_list_size, is_reserved
from puregrpc.wire.status import (
    OK,
    Status,
    StatusCode,
    decode_base64,
    decode_grpc_message,
    encode_grpc_message,
    http2_error_name,
    status_from_http,
    status_from_http2_error,
    status_from_trailers,
)

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=20).filter(
    lambda name: not is_reserved(name) and not name.endswith("-bin")
)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40).map(lambda text: text.strip(" "))
ENTRIES = st.one_of(st.tuples(NAMES, VALUES), st.tuples(NAMES.map(lambda name: name + "-bin"), st.binary(max_size=40)))
METADATA = st.lists(ENTRIES, max_size=6).map(tuple)
FIELDS = st.lists(
    st.tuples(
        st.one_of(
            st.sampled_from(
                [
                    b":method", b":scheme", b":path", b":authority", b":status", b":protocol", b"host", b"te", b"X",
                    b"content-type", b"grpc-timeout", b"grpc-encoding", b"grpc-accept-encoding", b"grpc-status",
                    b"grpc-message", b"grpc-status-details-bin", b"x-bin", b"user-agent", b"connection",
                ]
            ),
            st.binary(max_size=8),
        ),
        st.one_of(
            st.sampled_from(
                [b"", b"POST", b"GET", b"http", b"/a.B/C", b"application/grpc", b"application/grpc+proto", b"trailers",
                 b"gzip", b"200", b"404", b"103", b"0", b"1S", b"%E4%", b"AAE=", b"AAE"]
            ),
            st.binary(max_size=8),
        ),
    ),
    max_size=12,
)  # fmt: skip


# -- metadata


@given(METADATA)
def test_metadata_comes_back_as_it_went(metadata: tuple[tuple[str, str | bytes], ...]) -> None:
    fields = encode_metadata(metadata)
    assert tuple(entry for name, value in fields for entry in decode_field(name, value)) == metadata


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        (("K", "v"), (b"k", b"v")),
        (("k", ""), (b"k", b"")),
        (("k", "  v w  "), (b"k", b"v w")),
        (("k-bin", b""), (b"k-bin", b"")),
        (("k-bin", b"\0"), (b"k-bin", b"AA")),
        (("Trace-Bin", b"\xfb\xff"), (b"trace-bin", b"+/8")),
        (("grpc-trace-bin", b"t"), (b"grpc-trace-bin", b"dA")),
        (("grpc-previous-rpc-attempts", "1"), (b"grpc-previous-rpc-attempts", b"1")),
    ],
)
def test_metadata_is_written(entry: tuple[str, str | bytes], field: tuple[bytes, bytes]) -> None:
    assert encode_metadata([entry]) == [field]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (("", "v"), "name ''"),
        (("ä", "v"), "name 'ä'"),
        (("a b", "v"), "name 'a b'"),
        (("a:b", "v"), "name 'a:b'"),
        ((":path", "v"), "reserved"),
        (("grpc-timeout", "1S"), "reserved"),
        (("TE", "v"), "reserved"),
        (("host", "v"), "reserved"),
        (("k", "a\nb"), "'k'.*printable ASCII"),
        (("k", "ä"), "k-bin"),
        (("k", "\x7f"), "printable ASCII"),
        (("k", b"v"), "ends in '-bin'"),
        (("k-bin", "v"), "must be bytes, not str"),
        (("k", 1), "must be str, not int"),
        ((b"k", "v"), "is not a str"),
    ],
)
def test_metadata_that_cannot_be_sent(entry: tuple[str, str], text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        encode_metadata([entry])


@pytest.mark.parametrize(
    ("field", "entries"),
    [
        ((b"k-bin", b"AAE="), [("k-bin", b"\0\1")]),
        ((b"k-bin", b"AAE"), [("k-bin", b"\0\1")]),
        ((b"k-bin", b"AA, AQ==,"), [("k-bin", b"\0"), ("k-bin", b"\1"), ("k-bin", b"")]),
        ((b"k", b"a,b"), [("k", "a,b")]),
        ((b"k", "ä".encode()), [("k", "ä")]),
        ((b"k", b"\xe4"), [("k", "ä")]),
    ],
)
def test_metadata_is_read(field: tuple[bytes, bytes], entries: list[tuple[str, str | bytes]]) -> None:
    assert decode_field(*field) == entries


@pytest.mark.parametrize("value", [b"?", b"A", b"AAAAA", b"AA A", b"AA,?", b"=A==", b"\xff"])
def test_what_is_not_base64(value: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="'k-bin' is not base64"):
        decode_field(b"k-bin", value)


def test_values_that_are_joined_are_counted() -> None:
    """Each costs as much as a field of its own, and takes one octet."""
    assert len(decode_field(b"k-bin", b"," * (MAX_JOINED_VALUES - 1))) == MAX_JOINED_VALUES
    with pytest.raises(RemoteProtocolError, match="'k-bin' has more than 128 values"):
        decode_field(b"k-bin", b"," * MAX_JOINED_VALUES)
    names = parse_accept_encoding(b"x," * 5000 + b"gzip")
    assert names == ("x",) * MAX_JOINED_VALUES


@given(st.binary(max_size=40))
def test_base64_with_and_without_padding(octets: bytes) -> None:
    encoded = b64encode(octets)
    assert decode_base64(encoded) == decode_base64(encoded.rstrip(b"=")) == octets


def test_the_size_of_a_header_list() -> None:
    assert header_list_size([]) == 0
    assert header_list_size([(b"name", b"value"), (b"", b"")]) == 9 + 64


# -- status


@pytest.mark.slow
@given(st.text())
def test_messages_come_back_as_they_went(message: str) -> None:
    encoded = encode_grpc_message(message)
    assert all(0x20 <= octet <= 0x7E for octet in encoded)
    if not any(0xD800 <= ord(character) < 0xE000 for character in message):
        assert decode_grpc_message(encoded) == message


@pytest.mark.parametrize(
    ("message", "encoded"),
    [
        ("plain text", b"plain text"),
        ("100 %", b"100 %25"),
        ("a\nb\t", b"a%0Ab%09"),
        ("  a b ", b"%20 a b%20"),
        (" ", b"%20"),
        ("", b""),
        ("ü€😀", b"%C3%BC%E2%82%AC%F0%9F%98%80"),
        ("\ud800", b"%EF%BF%BD%EF%BF%BD%EF%BF%BD"),
    ],
)
def test_messages_are_percent_coded(message: str, encoded: bytes) -> None:
    assert encode_grpc_message(message) == encoded


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        (b"%", "%"),
        (b"%4", "%4"),
        (b"%zz%41", "%zzA"),
        (b"%%41", "%A"),
        (b"%c3%bc", "ü"),
        (b"%FF", "\ufffd"),
        (b"\xc3\xbc", "ü"),
        (b"%C3", "\ufffd"),
    ],
)
def test_damaged_messages_are_kept(encoded: bytes, message: str) -> None:
    assert decode_grpc_message(encoded) == message


def test_a_message_of_escapes() -> None:
    """Whoever sends so many single ones has them shown as they came."""
    assert decode_grpc_message(b"%41" * 50_000) == "A" * 50_000
    taken = b"Ab" * MAX_ESCAPED_RUNS
    assert decode_grpc_message(b"%41b" * (MAX_ESCAPED_RUNS + 2)) == taken.decode() + "%41b%41b"


@given(st.binary())
def test_any_octets_are_a_message(encoded: bytes) -> None:
    assert isinstance(decode_grpc_message(encoded), str)


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ((b"0", None, None), OK),
        ((b"00", None, None), OK),
        ((b"0", b"hm", None), Status(0, "hm")),
        ((b"5", b"", None), Status(5)),
        ((b"5", b"%41", b"AAE"), Status(5, "A", b"\0\1")),
        ((b"5", None, b"!"), Status(5)),
        ((b"999999999", None, None), Status(999999999)),
        ((b"1234567890", None, None), Status(2, "malformed grpc-status '1234567890'")),
        ((b"-1", b"x", None), Status(2, "malformed grpc-status '-1': x")),
        ((b"\xff", None, None), Status(2, "malformed grpc-status '\\\\xff'")),
        ((None, None, None), Status(2, "the server ended the call without a grpc-status")),
        ((None, b"m", None), Status(2, "the server ended the call without a grpc-status: m")),
    ],
)
def test_status_of_trailers(values: tuple[bytes | None, bytes | None, bytes | None], status: Status) -> None:
    assert status_from_trailers(*values) == status


def test_names() -> None:
    assert Status(5).name == "NOT_FOUND"
    assert Status(77).name == "CODE_77"
    assert http2_error_name(7) == "REFUSED_STREAM"
    assert http2_error_name(99) == "error code 99"
    assert status_from_http2_error(99) == StatusCode.UNKNOWN
    assert status_from_http2_error(12) == StatusCode.PERMISSION_DENIED
    assert status_from_http(418) == StatusCode.UNKNOWN


# -- timeouts


@pytest.mark.parametrize(
    ("seconds", "encoded"),
    [
        (0, b"1n"),
        (-5, b"1n"),
        (1e-9, b"1n"),
        (0.05, b"50000000n"),
        (0.1, b"100000u"),
        (10.9, b"10900000u"),
        (99.5, b"99500000u"),
        (100, b"100000m"),
        (1e5, b"100000S"),
        (1e9, b"16666666M"),
        (1e11, b"27777777H"),
        (1e300, b"99999999H"),
        (math.inf, b"99999999H"),
    ],
)
def test_timeouts_are_written(seconds: float, encoded: bytes) -> None:
    assert encode_timeout(seconds) == encoded


@given(st.floats(1e-9, 3e11))
@example(99_999_999 * 1e-9)
@example(99.999999)
@example(100.000001)
def test_timeouts_are_never_rounded_up(seconds: float) -> None:
    encoded = encode_timeout(seconds)
    assert len(encoded) <= 9
    parsed = parse_timeout(encoded)
    assert parsed <= seconds * (1 + 1e-12)
    assert parsed >= seconds * 0.9 or seconds < 2e-9 or seconds > 5e9 or parsed >= seconds - 3600


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"0n", 0), (b"1H", 3600), (b"2M", 120), (b"3S", 3), (b"4m", 0.004), (b"5u", 5e-6), (b"99999999H", 359999996400)],
)
def test_timeouts_are_read(value: bytes, seconds: float) -> None:
    assert parse_timeout(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value", [b"", b"1", b"S", b"1s", b"1h", b"-1S", b"+1S", b"1.5S", b" 1S", b"1S ", b"1234567890S", b"\xb2S"]
)
def test_malformed_timeouts(value: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="grpc-timeout"):
        parse_timeout(value)


@given(st.binary(max_size=12))
def test_any_octets_are_a_timeout_or_a_fault(value: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert parse_timeout(value) >= 0


@given(st.lists(st.tuples(st.sampled_from(["add", "discard", "expire"]), st.integers(0, 30), st.floats(0, 100))))
def test_the_heap_is_a_dictionary_with_an_order(steps: list[tuple[str, int, float]]) -> None:
    heap, model = Deadlines(), dict[int, float]()
    for step, key, time in steps:
        if step == "add" and key not in model:
            heap.add(key, time)
            model[key] = time
        elif step == "discard":
            heap.discard(key)
            model.pop(key, None)
        elif step == "expire":
            due = sorted((when, one) for one, when in model.items() if when <= time)
            assert sorted(heap.expire(time)) == sorted(one for _, one in due)
            for _, one in due:
                del model[one]
        assert heap.not_before <= min(model.values(), default=math.inf)
        assert heap.next_time() == min(model.values(), default=None)


def test_the_heap_does_not_keep_the_dead() -> None:
    heap = Deadlines()
    heap.add(0, 10.0)
    heap.add(-1, math.nan)
    for key in range(1, 10_000):
        heap.add(key, 1000.0)
        heap.discard(key)
        heap.discard(key)
    assert len(heap) < 200
    assert heap.next_time() == 10.0
    assert list(heap.expire(9.0)) == []
    assert list(heap.expire(2000.0)) == [0]


# -- header lists


@given(METADATA, st.sampled_from(["", "proto", "json"]), st.sampled_from(["identity", "gzip"]))
def test_requests_come_back_as_they_went(
    metadata: tuple[tuple[str, str | bytes], ...], subtype: str, encoding: str
) -> None:
    request = Request("/a.B/C", "example.org", metadata, encoding=encoding, content_subtype=subtype)
    fields = request_fields(request, scheme="http", user_agent="me", accept_encodings=("identity", "gzip"))
    request.accept_encodings = ("identity", "gzip")
    request.user_agent = "me"
    assert parse_request(fields) == request


@given(METADATA, st.integers(0, 20), st.text(max_size=20), st.none() | st.binary(max_size=20), st.booleans())
def test_trailers_come_back_as_they_went(
    metadata: tuple[tuple[str, str | bytes], ...], code: int, message: str, details: bytes | None, first: bool
) -> None:
    status = Status(code, decode_grpc_message(encode_grpc_message(message)), details)
    read, trailers = parse_trailers(trailer_fields(status, metadata, headers_too=first), first=first)
    assert read == status
    assert trailers == metadata


@given(METADATA)
def test_responses_come_back_as_they_went(metadata: tuple[tuple[str, str | bytes], ...]) -> None:
    head = parse_response(response_fields(metadata, encoding="gzip", content_subtype="", accept_encodings=()))
    assert head is not None
    assert head.failure is None
    assert head.encoding == "gzip"
    assert head.metadata == (("content-type", "application/grpc"), ("grpc-encoding", "gzip"), *metadata)


@given(FIELDS, st.booleans())
def test_any_header_list_is_read_or_refused(fields: list[tuple[bytes, bytes]], first: bool) -> None:
    for read in (parse_request, parse_response, lambda fields: parse_trailers(fields, first=first)):
        with contextlib.suppress(RemoteProtocolError):
            read(fields)


def test_refusals_without_a_text() -> None:
    fields = dict(Refusal(405).header_fields())
    assert fields[b":status"] == b"405"
    assert fields[b"content-length"] == b"0"


def test_several_accept_encoding_fields_are_one() -> None:
    fields = request_fields(Request("/a.B/C"), scheme="http", user_agent="", accept_encodings=("identity",))
    request = parse_request([*fields, (b"grpc-accept-encoding", b"gzip"), (b"te", b"Trailers")])
    assert isinstance(request, Request)
    assert request.accept_encodings == ("identity", "gzip")


def test_content_types_with_parameters() -> None:
    fields = request_fields(Request("/a.B/C"), scheme="http", user_agent="", accept_encodings=())
    fields = [(name, b"application/grpc+proto ; v=1" if name == b"content-type" else value) for name, value in fields]
    request = parse_request(fields)
    assert isinstance(request, Request)
    assert request.content_subtype == "proto"


def test_a_body_in_the_failure() -> None:
    assert foreign_failure(Status(2, "HTTP"), b"") == Status(2, "HTTP")
    assert foreign_failure(Status(2, "HTTP"), b" a\n\xff ").message == "HTTP: a \ufffd"
