"""Conversations as frames: every legal form of one call, and recorded ones changed by chance."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from puregrpc.fuzz.cases.case import Case, Expectation, Step
from puregrpc.fuzz.frames.probe import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    GRPC_REQUEST,
    HEADERS,
    OPENING,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    SETTINGS_ACK,
    WINDOW_UPDATE,
    Fields,
    block,
    frame,
    indexed,
    message,
    opening,
    plain_integer,
    plain_literal,
    window,
)

__all__ = ["KINDS", "aimed", "legal_forms", "mutations_of", "refused_forms"]

PRIORITY_FLAG = 0x20
PADDING = 2000
"""Octets."""


def legal_forms(path: str, fields: Fields, octets: bytes) -> Iterator[Case]:
    """One call in the forms that RFC 9113 and RFC 7541 allow: each is to be answered as the ordinary one."""
    head = block(fields)
    body = message(octets)
    whole = frame(HEADERS, END_HEADERS, 1, head)
    data = frame(DATA, END_STREAM, 1, body)

    def case(
        about: str, sent: bytes, *, reference: str = "RFC 9113", expects: Expectation = "same", stream: int = 1
    ) -> Case:
        steps = (Step("raw", octets=sent), Step("wait", stream, until="end"))
        return Case("frame", path, steps, expects, about, reference)

    yield case(
        "a header block in two frames",
        OPENING + frame(HEADERS, 0, 1, head[:20]) + frame(CONTINUATION, END_HEADERS, 1, head[20:]) + data,
        reference="RFC 9113, section 6.10",
    )
    yield case(
        "a header block whose HEADERS frame is empty",
        OPENING + frame(HEADERS, 0, 1) + frame(CONTINUATION, END_HEADERS, 1, head) + data,
    )
    for padding in (0, 1, 255):
        padded = bytes((padding,)) + head + bytes(padding)
        yield case(
            f"HEADERS with {padding} octets of padding",
            OPENING + frame(HEADERS, END_HEADERS | PADDED, 1, padded) + data,
            expects="any",
        )  # grpcio takes no padding
        padded = bytes((padding,)) + body + bytes(padding)
        yield case(
            f"DATA with {padding} octets of padding",
            OPENING + whole + frame(DATA, END_STREAM | PADDED, 1, padded),
            expects="any",
        )
    yield case(
        "a DATA frame of nothing but padding",
        OPENING + whole + frame(DATA, PADDED, 1, b"\x03\0\0\0") + data,
        expects="any",
    )
    yield case(
        "HEADERS with a priority",
        OPENING + frame(HEADERS, END_HEADERS | PRIORITY_FLAG, 1, b"\0\0\0\0\x0f" + head) + data,
    )
    yield case("a PRIORITY frame before the call", OPENING + frame(PRIORITY, 0, 1, b"\0\0\0\0\x0f") + whole + data)
    yield case("a PING inside the call", OPENING + whole + frame(PING, 0, 0, b"12345678") + data)
    yield case(
        "a frame of an unknown type inside the call",
        OPENING + whole + frame(0xFA, 0, 0, b"abc") + frame(0xFA, 0xFF, 1) + data,
        reference="RFC 9113, section 4.1",
    )
    # As long as PRIORITY_UPDATE (RFC 9218), which is the last of them, wants it.
    later = b"".join(frame(kind, 0, 0, b"\0\0\0\1u=3") for kind in range(CONTINUATION + 1, 0x11))
    yield case(
        "frames of the types behind those of RFC 9113 inside the call", OPENING + whole + later + data,
        reference="RFC 9113, section 4.1; CVE-2026-27141 (golang.org/x/net)",
    )  # fmt: skip
    yield case(
        "DATA octet by octet",
        OPENING
        + whole
        + b"".join(frame(DATA, 0, 1, body[at : at + 1]) for at in range(min(len(body), 300)))
        + frame(DATA, END_STREAM, 1, body[300:]),
    )
    yield case(
        "DATA that ends with an empty frame", OPENING + whole + frame(DATA, 0, 1, body) + frame(DATA, END_STREAM, 1)
    )
    yield case("a reserved bit in a stream's number", OPENING + frame(HEADERS, END_HEADERS, 1 | 1 << 31, head) + data)
    yield case(
        "a setting that is unknown",
        PREFACE + frame(SETTINGS, 0, 0, b"\xff\xff\0\0\0\1") + SETTINGS_ACK + whole + data,
        reference="RFC 9113, section 6.5.2",
    )
    yield case("SETTINGS twice", OPENING + frame(SETTINGS, 0, 0, b"\0\3\0\0\0\x64") + whole + data)
    yield case(
        "a HEADER_TABLE_SIZE of 0", opening(HEADER_TABLE_SIZE=0) + whole + data, reference="RFC 7541, section 4.2"
    )
    yield case("a large MAX_FRAME_SIZE", opening(MAX_FRAME_SIZE=(1 << 24) - 1) + whole + data)
    yield case(
        "windows that open late",
        opening(INITIAL_WINDOW_SIZE=0) + whole + data + frame(SETTINGS, 0, 0, b"\0\4\0\0\xff\xff"),
        reference="RFC 9113, section 6.9.2",
    )
    yield case(
        "a window of one octet after the other",
        opening(INITIAL_WINDOW_SIZE=0) + whole + data + window(1, 1) * 20 + window(1, 65535),
        reference="RFC 9113, section 6.9",
    )
    first, following = indexed(fields)
    yield case(
        "fields by Huffman code and index", OPENING + frame(HEADERS, END_HEADERS, 1, first) + data, reference="RFC 7541"
    )
    yield case(
        "fields from the dynamic table",
        OPENING
        + frame(HEADERS, END_HEADERS | END_STREAM, 1, first)
        + frame(RST_STREAM, 0, 1, b"\0\0\0\x08")
        + frame(HEADERS, END_HEADERS, 3, following)
        + frame(DATA, END_STREAM, 3, body),
        stream=3,
        reference="RFC 7541, section 2.3.2",
    )
    yield case(
        "a table size update",
        OPENING + frame(HEADERS, END_HEADERS, 1, b"\x20\x3f\xe1\x1f" + head) + data,
        reference="RFC 7541, section 6.3",
    )
    yield case(
        "fields that are never indexed",
        OPENING + frame(HEADERS, END_HEADERS, 1, _never_indexed(fields)) + data,
        reference="RFC 7541, section 6.2.3",
    )
    yield case(
        "a stream whose number is not the next",
        OPENING + frame(HEADERS, END_HEADERS, 101, head) + frame(DATA, END_STREAM, 101, body),
        stream=101,
        reference="RFC 9113, section 5.1.1",
    )
    yield case("WINDOW_UPDATE before anything else", OPENING + window(0, 1000) + whole + window(1, 1000) + data)


def refused_forms(path: str, fields: Fields, octets: bytes) -> Iterator[Case]:
    """One call in forms that nobody may take, though who counts nothing can read them."""
    value = b"a" * 130
    # The octets of a length that is larger than its prefix of 7 bits, with many that add nothing to it.
    length = b"\x7f" + bytes((len(value) - 127 | 128,)) + b"\x80" * PADDING + b"\0"
    head = block(fields) + b"\0" + plain_literal(b"x-padded") + length + value
    sent = OPENING + frame(HEADERS, END_HEADERS, 1, head) + frame(DATA, END_STREAM, 1, message(octets))
    yield Case(
        "frame", path, (Step("raw", octets=sent), Step("wait", 1, until="end")), "refusal",
        f"an integer of HPACK in {PADDING + 3} octets", "RFC 7541, section 5.1; CVE-2023-33953 (grpc)", "high",
    )  # fmt: skip


def _never_indexed(fields: Fields) -> bytes:
    out = b""
    for name, value in fields:
        out += b"\x10" + plain_integer(len(name), 7) + name + plain_integer(len(value), 7) + value
    return out


def split(octets: bytes) -> list[bytes]:
    """The frames of a conversation, the preface as the first of them."""
    frames = [octets[: len(PREFACE)]] if octets.startswith(PREFACE) else []
    at = len(frames[0]) if frames else 0
    while len(octets) - at >= 9:
        end = at + 9 + int.from_bytes(octets[at : at + 3], "big")
        frames.append(octets[at:end])
        at = end
    return frames


def aimed(octets: bytes, fields: Fields, request: bytes) -> bytes:
    """A probe's octets with its call of a method that there is not made one of ``fields`` and ``request``."""
    names = dict(fields)
    known = [
        (plain_literal(value), plain_literal(names[name])) for name, value in GRPC_REQUEST
        if name in (b":path", b":authority") and name in names
    ]  # fmt: skip
    out = []
    for one in split(octets):
        kind, payload = one[3:4], one[9:]
        for old, new in known if kind in (bytes((HEADERS,)), bytes((CONTINUATION,))) else ():
            payload = payload.replace(old, new)
        if kind == bytes((DATA,)) and payload in (message(b"hello"), message(b"HELLO")):
            payload = message(request)
        out.append(one if payload == one[9:] else len(payload).to_bytes(3, "big") + one[3:9] + payload)
    return b"".join(out) + octets[sum(map(len, split(octets))) :]


KINDS = (
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION,
    0x0A,
    0x0F,
    0xFF,
)


def mutations_of(conversation: bytes, random: Random) -> bytes:
    """A conversation with some of its frames changed: cut, of another size, type, flags or stream, moved, doubled."""
    frames = split(conversation)
    for _ in range(1 + int(random.random() * 3)):
        at = 1 + int(random.random() * (len(frames) - 1)) if len(frames) > 1 else 0
        one = bytearray(frames[at])
        kind = int(random.random() * 11)
        if kind == 0 and len(one) > 9:
            del one[9 + int(random.random() * (len(one) - 9)) :]
            if random.random() < 0.5:
                one[:3] = (len(one) - 9).to_bytes(3, "big")
        elif kind == 1 and len(one) >= 9:
            one[:3] = random.choice((0, 1, 5, 9, 16384, 16385, (1 << 24) - 1, len(one))).to_bytes(3, "big")
        elif kind == 2 and len(one) >= 9:
            one[3] = random.choice(KINDS)
        elif kind == 3 and len(one) >= 9:
            one[4] = int(random.random() * 256)
        elif kind == 4 and len(one) >= 9:
            one[5:9] = random.choice((0, 1, 2, 3, 5, 0x7FFFFFFF, 0x80000001)).to_bytes(4, "big")
        elif kind == 5 and len(one) > 9:
            place = 9 + int(random.random() * (len(one) - 9))
            one[place] ^= 1 << int(random.random() * 8)
        elif kind == 6:
            frames.insert(at, bytes(one))
        elif kind == 7:
            other = int(random.random() * len(frames))
            frames[at], frames[other] = frames[other], frames[at]
            continue
        elif kind == 8:
            one += random.randbytes(int(random.random() * 20))
        elif kind == 9:
            payload = random.randbytes(int(random.random() * 12))
            frames.insert(
                at, frame(random.choice(KINDS), int(random.random() * 256), int(random.random() * 4), payload)
            )
        elif len(frames) > 2:
            del frames[at]
            continue
        frames[at] = bytes(one)
    return b"".join(frames)
