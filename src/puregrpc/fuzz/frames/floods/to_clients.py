"""Floods from a server to a client."""

from __future__ import annotations

from collections.abc import Iterator

from puregrpc.fuzz.frames.floods.making import Floods, on_streams, repeated
from puregrpc.fuzz.frames.probe import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    GRPC_RESPONSE,
    HEADERS,
    PING,
    SETTINGS,
    SETTINGS_ACK,
    block,
    frame,
    message,
    plain_integer,
    plain_literal,
    window,
)

__all__ = ["FLOODS"]

_FLOODS = Floods()


RESPONSE_OPENING = frame(SETTINGS, 0, 0) + SETTINGS_ACK


@_FLOODS.flood("RFC 9113, section 8.1", "any", to_client=True, limits=("INFORMATIONAL_RESPONSES",))
def informational_responses() -> Iterator[bytes]:
    yield from repeated(frame(HEADERS, END_HEADERS, 1, block(((b":status", b"103"),))), first=RESPONSE_OPENING)


@_FLOODS.flood("RFC 9113, section 8.1", "any", to_client=True, limits=("FOREIGN_BODY_SIZE",))
def a_body_that_is_not_grpc() -> Iterator[bytes]:
    head = block(((b":status", b"200"), (b"content-type", b"text/html")))
    yield from repeated(frame(DATA, 0, 1, b"<p>" * 5000), first=RESPONSE_OPENING + frame(HEADERS, END_HEADERS, 1, head))


@_FLOODS.flood("RFC 9113, section 6.5.3", "closes", to_client=True, limits=("SETTINGS_ACKNOWLEDGEMENTS",))
def settings_acknowledgements_to_a_client() -> Iterator[bytes]:
    yield from repeated(SETTINGS_ACK, first=RESPONSE_OPENING)


@_FLOODS.flood("CVE-2019-9518", "closes", to_client=True, limits=("EMPTY_FRAMES",))
def empty_data_to_a_client() -> Iterator[bytes]:
    first = RESPONSE_OPENING + frame(HEADERS, END_HEADERS, 1, block(GRPC_RESPONSE))
    yield from repeated(frame(DATA, 0, 1), first=first)


@_FLOODS.flood("RFC 9113, section 6.9", "closes", to_client=True, limits=("MAX_WINDOW_UPDATES",))
def window_updates_to_a_client() -> Iterator[bytes]:
    yield from repeated(window(1, 1), first=RESPONSE_OPENING)


@_FLOODS.flood("RFC 9113, section 10.5", "any", to_client=True, limits=("TURN_MESSAGES",))
def tiny_messages_to_a_client() -> Iterator[bytes]:
    first = RESPONSE_OPENING + frame(HEADERS, END_HEADERS, 1, block(GRPC_RESPONSE))
    yield from repeated(frame(DATA, 0, 1, message(b"") * 3200), first=first)


@_FLOODS.flood("CVE-2019-9512", "closes", to_client=True, limits=("PINGS",))
def pings_to_a_client() -> Iterator[bytes]:
    yield from repeated(frame(PING, 0, 0, bytes(8)), first=RESPONSE_OPENING)


@_FLOODS.flood("CVE-2019-9515", "closes", to_client=True, limits=("SETTINGS_FRAMES",))
def settings_that_allow_calls_and_do_not() -> Iterator[bytes]:
    allowed, refused = b"\0\3\0\0\0\x64", b"\0\3\0\0\0\0"
    yield from repeated(frame(SETTINGS, 0, 0, refused) + frame(SETTINGS, 0, 0, allowed), first=RESPONSE_OPENING)


@_FLOODS.flood("RFC 7838, section 4; RFC 8336", "closes", to_client=True, limits=("UNKNOWN_FRAMES",))
def alternative_services_and_origins() -> Iterator[bytes]:
    yield from repeated(
        frame(0x0A, 0, 0, b'\0\1ah2=":443"') + frame(0x0C, 0, 0, b"\0\x0ehttps://a.test"), first=RESPONSE_OPENING
    )


@_FLOODS.flood("RFC 9113, section 6.8", "closes", to_client=True, limits=("GOAWAY_FRAMES",))
def goaways_that_take_the_call() -> Iterator[bytes]:
    yield from repeated(frame(GOAWAY, 0, 0, b"\0\0\0\1" + bytes(4)), first=RESPONSE_OPENING)


@_FLOODS.flood("RFC 9113, section 10.5", "any", to_client=True, limits=("SMALL_PARTS",))
def one_octet_data_to_a_client() -> Iterator[bytes]:
    first = RESPONSE_OPENING + frame(HEADERS, END_HEADERS, 1, block(GRPC_RESPONSE))
    yield from repeated(frame(DATA, 0, 1, b"\0"), first=first)


@_FLOODS.flood("RFC 9113, section 6.1", "closes", to_client=True)
def data_of_streams_that_there_are_not() -> Iterator[bytes]:
    yield from on_streams(lambda stream_id: frame(DATA, 0, stream_id, b"\0"), first=RESPONSE_OPENING, start=3)


@_FLOODS.flood("RFC 9113, section 10.5.1", "any", to_client=True)
def heads_of_many_fields() -> Iterator[bytes]:
    """Informational ones, of a few thousand fields each."""
    fields = b"".join(b"\0" + plain_literal(b"x%d" % number) + plain_literal(b"") for number in range(2000))
    parts = [fields[at : at + 16384] for at in range(0, len(fields), 16384)]
    head = frame(HEADERS, 0, 1, block(((b":status", b"103"),)))
    more = b"".join(frame(CONTINUATION, 0, 1, part) for part in parts[:-1])
    yield from repeated(head + more + frame(CONTINUATION, END_HEADERS, 1, parts[-1]), first=RESPONSE_OPENING)


def _informational(field: bytes, size: int) -> Iterator[bytes]:
    """Informational responses with blocks of so many octets, which are a field again and again."""
    octets = block(((b":status", b"103"),)) + field * (size // len(field))
    parts = [octets[at : at + 16384] for at in range(0, len(octets), 16384)]
    more = b"".join(frame(CONTINUATION, 0, 1, part) for part in parts[1:-1])
    whole = frame(HEADERS, 0, 1, parts[0]) + more + frame(CONTINUATION, END_HEADERS, 1, parts[-1])
    yield from repeated(whole, first=RESPONSE_OPENING)


@_FLOODS.flood("RFC 7541, section 5.2", "any", to_client=True)
def heads_of_huffman_code() -> Iterator[bytes]:
    """One value of eight hundred kilobytes."""
    value = b"\x18\xc6\x31\x8c\x63" * 160_000  # 'a' again and again
    yield from _informational(b"\0" + plain_literal(b"x") + plain_integer(len(value), 7, 0x80) + value, 1 << 20)


@_FLOODS.flood("RFC 7541, section 6.2.2", "any", to_client=True)
def heads_of_the_smallest_fields() -> Iterator[bytes]:
    """As many as a block of half a megabyte has."""
    yield from _informational(b"\0" + plain_literal(b"x") + plain_literal(b""), 1 << 19)


@_FLOODS.flood("RFC 7541, section 6.2.2", "any", to_client=True)
def heads_of_coded_fields() -> Iterator[bytes]:
    """Five thousand, each Huffman-coded."""
    field = b"\0" + plain_literal(b"x") + b"\x85" + b"\x18\xc6\x31\x8c\x63"
    yield from _informational(field, 5_000 * len(field))


@_FLOODS.flood("gRPC compression", "any", to_client=True)
def compressed_messages_of_nothing_to_a_client() -> Iterator[bytes]:
    """Each costs an inflater."""
    import zlib  # where there is none, there is no gzip

    deflater = zlib.compressobj(9, wbits=31)
    nothing = message(deflater.compress(b"") + deflater.flush(), 1)
    head = frame(HEADERS, END_HEADERS, 1, block((*GRPC_RESPONSE, (b"grpc-encoding", b"gzip"))))
    yield from repeated(frame(DATA, 0, 1, nothing * 500), first=RESPONSE_OPENING + head)


@_FLOODS.flood("RFC 9113, section 6.9.2", "closes", to_client=True, limits=("SETTINGS_FRAMES",))
def windows_that_close_and_open_to_a_client() -> Iterator[bytes]:
    wide, shut = b"\0\4\x7f\xff\xff\xff", b"\0\4\0\0\0\0"
    yield from repeated(frame(SETTINGS, 0, 0, shut) + frame(SETTINGS, 0, 0, wide), first=RESPONSE_OPENING)


FLOODS = tuple(_FLOODS.probes)
