"""The fast engine held against the h2 engine: random octets and calls into both, and the same must come of them.

`DIFFERENCES` is the list of what they do not agree on, with the section that decides. A run ends at the first of them,
since the two are in different states from there on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import example, given, note, settings
from hypothesis import strategies as st
from tests.wire.fast.differential import Observation, Peer, Subject, frame

from puregrpc.wire.connection import Request
from puregrpc.wire.frames import FrameType
from puregrpc.wire.status import OK, Status

Step = tuple[Any, ...]
Fields = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Difference:
    """Something that the engines do not agree on."""

    what: str
    source: str
    matches: Callable[[Step, Observation, Observation], bool]


def frames_of(step: Step) -> list[Step]:
    frames: list[Step] = step[1] if step[0] == "peer" else []
    return frames


def error_codes(reference: int, fast: int) -> Callable[[Step, Observation, Observation], bool]:
    """Both end the connection, each with its own error code."""

    def matches(step: Step, expected: Observation, got: Observation) -> bool:
        verdicts = (f"connection error {reference}", f"connection error {fast}")
        return (expected.verdict, got.verdict) == verdicts and expected.callbacks == got.callbacks

    return matches


def only_h2_resets_again(step: Step, expected: Observation, got: Observation) -> bool:
    again = [reset for reset in expected.resets if reset not in got.resets]
    same = (expected.closed, expected.callbacks) == (got.closed, got.callbacks)
    return same and bool(again) and all(code == 5 for _, code in again)


def frame_on_closed_stream(step: Step, expected: Observation, got: Observation) -> bool:
    return any(code == 5 for _, code in expected.resets) and got.verdict == "connection error 5"


def window_update_of_nothing(step: Step, expected: Observation, got: Observation) -> bool:
    return any(
        (what[0] == "window" and what[2] % 2**31 == 0)
        or (what[0] == "raw" and what[1] == FrameType.WINDOW_UPDATE and what[4][:4] in (bytes(4), b"\x80\0\0\0"))
        for what in frames_of(step)
    )


def setting_twice(step: Step, expected: Observation, got: Observation) -> bool:
    names = [[name for name, _ in what[1]] for what in frames_of(step) if what[0] == "settings"]
    return any(len(set(frame_names)) < len(frame_names) for frame_names in names)


def informational_end(step: Step, expected: Observation, got: Observation) -> bool:
    return any(what[0] == "headers" and what[3] and (b":status", b"100") in what[2] for what in frames_of(step))


def unfinished_headers(step: Step, expected: Observation, got: Observation) -> bool:
    return _has_unfinished_headers(step) and got.verdict == "connection error 1"


def unfinished_trailers(step: Step, expected: Observation, got: Observation) -> bool:
    return _has_unfinished_headers(step) and expected.verdict.startswith("stream errors") and got.verdict == "ok"


def _has_unfinished_headers(step: Step) -> bool:
    return any(what[0] == "raw" and what[1] == FrameType.HEADERS and not what[2] & 4 for what in frames_of(step))


def both_end_the_connection(step: Step, expected: Observation, got: Observation) -> bool:
    return expected.closed and got.closed and expected.goaways == got.goaways


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "padding that leaves no room for the rest of HEADERS: two faults in one, and each engine names another",
        "RFC 9113, section 6.2",
        error_codes(6, 1),
    ),
    Difference(
        "HEADERS that cannot be decoded on a stream that cannot be: two faults in one, and each engine names another",
        "RFC 9113, sections 4.3 and 5.1",
        error_codes(9, 1),
    ),
    Difference(
        "h2 resets some streams again for each frame that comes on them; here what was on its way is ignored",
        "RFC 9113, section 5.4.2",
        only_h2_resets_again,
    ),
    Difference(
        "DATA on a stream that the peer closed: h2 resets it, which the section allows as well",
        "RFC 9113, section 5.1",
        frame_on_closed_stream,
    ),
    Difference(
        "h2 ends the connection for WINDOW_UPDATE of nothing on a stream, which is a stream error",
        "RFC 9113, section 6.9",
        window_update_of_nothing,
    ),
    Difference(
        "the h2 engine looks at the last value only of a setting that a frame has twice",
        "RFC 9113, section 6.5.3",
        setting_twice,
    ),
    Difference(
        "h2 ends the connection for an informational response that ends the stream, which makes one response malformed",
        "RFC 9113, section 8.1",
        informational_end,
    ),
    Difference(
        "h2 looks at the stream of a header block when the block is complete, not when it begins",
        "RFC 9113, section 5.1.1",
        unfinished_headers,
    ),
    Difference(
        "the h2 engine resets a stream whose trailers do not end it when their block begins, not when it is complete",
        "RFC 9113, section 8.1",
        unfinished_trailers,
    ),
    Difference(
        "the call whose frame ends the connection is told INTERNAL by one, UNAVAILABLE by the other",
        "none: both are true",
        both_end_the_connection,
    ),
)


# -- what the peer sends

REQUEST: Fields = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/a.B/C"),
    (b":authority", b"example.org"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
]
REQUESTS: tuple[Fields, ...] = (
    REQUEST,
    REQUEST,
    [*REQUEST, (b"grpc-timeout", b"5S")],
    [*REQUEST, (b"grpc-timeout", b"5S"), (b"x-id", b"1"), (b"x-bin", b"AAEC"), (b"x-id", b"2")],
    [*REQUEST, (b"grpc-timeout", b"later")],
    [*REQUEST, (b"grpc-encoding", b"gzip"), (b"grpc-accept-encoding", b"gzip")],
    [*REQUEST, (b"grpc-encoding", b"br")],
    [*REQUEST, (b"x-bin", b"=")],
    [*REQUEST, (b"X-Upper", b"1")],
    [*REQUEST, (b"connection", b"close")],
    [*REQUEST, (b"te", b"gzip")],
    [*REQUEST, (b"x", b" 1")],
    [*REQUEST, (b"x", b"\xff")],
    [*REQUEST, (b":late", b"1")],
    [*REQUEST, (b"content-length", b"7")],
    [*REQUEST, (b"content-length", b"seven")],
    [*REQUEST, (b"x-large", b"y" * 1500)],
    [*REQUEST[1:]],
    [(b":method", b"GET"), *REQUEST[1:]],
    [*REQUEST[:5]],
    [*REQUEST[:5], (b"content-type", b"text/html")],
    [*REQUEST[:2], (b":path", b""), *REQUEST[3:]],
    [],
)
RESPONSE: Fields = [(b":status", b"200"), (b"content-type", b"application/grpc")]
RESPONSES: tuple[Fields, ...] = (
    RESPONSE,
    RESPONSE,
    RESPONSE,
    [*RESPONSE, (b"x-id", b"1"), (b"x-bin", b"AAEC,AAED")],
    [*RESPONSE, (b"grpc-encoding", b"gzip")],
    [*RESPONSE, (b"grpc-encoding", b"br")],
    [*RESPONSE, (b"x-bin", b"=")],
    [*RESPONSE, (b"X-Upper", b"1")],
    [*RESPONSE, (b"x-large", b"y" * 1500)],
    [*RESPONSE, (b"content-length", b"7")],
    [*RESPONSE, (b"content-length", b"seven")],
    [(b":status", b"404"), (b"content-type", b"text/html")],
    [(b":status", b"100")],
    [(b":status", b"no")],
    [*RESPONSE, (b"grpc-status", b"0")],
    [*RESPONSE, (b"grpc-status", b"5"), (b"grpc-message", b"na%C3%AFve")],
    [],
)
TRAILERS: tuple[Fields, ...] = (
    [(b"grpc-status", b"0")],
    [(b"grpc-status", b"0")],
    [(b"grpc-status", b"0"), (b"x-id", b"1")],
    [(b"grpc-status", b"5"), (b"grpc-message", b"na%C3%AFve"), (b"grpc-status-details-bin", b"CAU")],
    [(b"grpc-status", b"x")],
    [(b"x-id", b"1")],
    [(b":status", b"200"), (b"grpc-status", b"0")],
    [(b"connection", b"close")],
    [],
)


def message(payload: bytes, flag: int = 0) -> bytes:
    return bytes((flag,)) + len(payload).to_bytes(4, "big") + payload


BODIES: tuple[bytes, ...] = (
    message(b"hello"),
    message(b"hello"),
    message(b""),
    message(b"one") + message(b"two"),
    message(b"a" * 1500)[:700],
    b"a" * 805,
    message(b"x")[:3],
    message(b"x")[3:],
    b"",
    message(b"hello", 1),
    message(b"hello", 2),
    message(b"b" * 2001),
    b"\x00\xff\xff\xff\xff",
    message(b"c" * 1990) * 5,
)


def framed(peer: Peer, what: Step) -> bytes:
    """The octets of one thing that the peer sends."""
    kind = what[0]
    if kind == "headers":
        _, stream_id, fields, end, shape = what
        block = peer.encoder.encode(fields)
        flags = 1 if end else 0
        if shape == "whole":
            return frame(FrameType.HEADERS, flags | 4, stream_id, block)
        if shape == "padded":
            return frame(FrameType.HEADERS, flags | 4 | 8, stream_id, b"\x03" + block + b"\0\0\0")
        if shape == "priority":
            return frame(FrameType.HEADERS, flags | 4 | 32, stream_id, b"\0\0\0\0\x10" + block)
        middle = len(block) // 2
        between = frame(FrameType.PING, 0, 0, bytes(8)) if shape == "interrupted" else b""
        return (
            frame(FrameType.HEADERS, flags, stream_id, block[:middle])
            + between
            + frame(FrameType.CONTINUATION, 4, stream_id, block[middle:])
        )
    if kind == "data":
        _, stream_id, body, end, padding = what
        flags = 1 if end else 0
        if padding is None:
            return frame(FrameType.DATA, flags, stream_id, body)
        return frame(FrameType.DATA, flags | 8, stream_id, bytes((padding,)) + body + bytes(min(padding, 20)))
    if kind == "settings":
        _, pairs, ack = what
        payload = b"".join(name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in pairs)
        return frame(FrameType.SETTINGS, ack, 0, payload)
    if kind == "window":
        return frame(FrameType.WINDOW_UPDATE, 0, what[1], what[2].to_bytes(4, "big"))
    if kind == "reset":
        return frame(FrameType.RST_STREAM, 0, what[1], what[2].to_bytes(4, "big"))
    if kind == "goaway":
        return frame(FrameType.GOAWAY, 0, 0, what[1].to_bytes(4, "big") + what[2].to_bytes(4, "big") + b"why")
    _, frame_type, flags, stream_id, payload = what
    return frame(frame_type, flags, stream_id, payload)


stream_ids = st.sampled_from([1, 1, 1, 3, 3, 5, 7, 9, 0, 2, 101])
shapes = st.sampled_from(["whole", "whole", "whole", "whole", "padded", "priority", "continued", "interrupted"])
increments = st.sampled_from([0, 1, 100, 65535, 2**31 - 1, 2**31])
codes = st.sampled_from([0, 1, 7, 8, 11, 99])
data_frames = st.tuples(
    st.just("data"), stream_ids, st.sampled_from(BODIES), st.booleans(), st.sampled_from([None, None, None, 0, 5, 200])
)
control_frames = st.one_of(
    st.tuples(
        st.just("settings"),
        st.lists(
            st.tuples(
                st.sampled_from([1, 2, 3, 4, 4, 5, 6, 99]),
                st.sampled_from([0, 1, 2, 100, 4096, 16384, 65535, 100_000, 2**31 - 1, 2**31, 2**32 - 1]),
            ),
            max_size=2,
        ),
        st.sampled_from([0, 0, 0, 1]),
    ),
    st.tuples(st.just("window"), stream_ids, increments),
    st.tuples(st.just("reset"), stream_ids, codes),
    st.tuples(st.just("goaway"), st.sampled_from([0, 1, 3, 2**31 - 1]), codes),
    st.tuples(
        st.just("raw"),
        st.integers(0, 11),
        st.sampled_from([0, 1, 4, 5, 8, 32, 0xFF]),
        st.one_of(stream_ids, st.just(2**31 + 1)),
        st.one_of(st.binary(max_size=12), st.just(bytes(8)), st.just(bytes(5)), st.just(bytes(4))),
    ),
)


def peer_steps(heads: tuple[Fields, ...]) -> st.SearchStrategy[Step]:
    """What a peer sends: some frames in one piece or cut in two."""
    header_frames = st.tuples(st.just("headers"), stream_ids, st.sampled_from(heads), st.booleans(), shapes)
    frames = st.one_of(header_frames, header_frames, data_frames, data_frames, control_frames)
    return st.tuples(st.just("peer"), st.lists(frames, min_size=1, max_size=4), st.integers(0, 200))


# -- what the owner does

numbers = st.integers(0, 4)
sizes = st.sampled_from([0, 5, 1000, 16379, 16380, 30_000, 90_000, 100_001])
metadata = st.sampled_from(
    [
        (),
        (),
        (("x-id", "1"), ("x-bin", b"\x00\xff")),
        (("X-Id", " 1 "),),
        (("te", "x"),),
        (("x", "ü"),),
        (("a" * 1200, "x"),),
    ]
)
statuses = st.sampled_from([OK, Status(5, "naïve"), Status(13, "", b"\x08\x0d"), Status(99)])

waits = st.tuples(st.just("wait"), st.sampled_from([0.0, 1.0, 5.0, 6.0]))
both_steps = st.one_of(
    st.tuples(st.just("send"), numbers, sizes, st.booleans()),
    st.tuples(st.just("consume"), numbers, st.sampled_from([5, 1500, 4000])),
    st.tuples(st.just("reset call"), numbers, codes),
    st.tuples(st.just("go away"), st.booleans()),
    waits,
    waits,
)
client_steps = st.one_of(
    st.tuples(
        st.just("open"),
        metadata,
        st.sampled_from(["identity", "identity", "identity", "gzip"]),
        st.one_of(st.none(), sizes),
        st.booleans(),
        st.sampled_from([None, None, 0.0, 5.0]),
    ),
    st.tuples(st.just("half-close"), numbers),
    both_steps,
)
server_steps = st.one_of(
    st.tuples(st.just("headers of"), numbers, metadata, st.sampled_from(["identity", "gzip"])),
    st.tuples(st.just("trailers of"), numbers, statuses, metadata),
    st.tuples(st.just("respond"), numbers, sizes, metadata),
    both_steps,
)


def act(subject: Subject, step: Step, octets: bytes) -> None:
    """Do a step with one of the two."""
    kind = step[0]
    if kind == "peer":
        cut = step[2] % (len(octets) + 1)
        subject.receive(octets[:cut])
        subject.receive(octets[cut:])
    elif kind == "open":
        _, entries, encoding, size, end, deadline = step
        request = Request("/a.B/C", "example.org", entries, encoding=encoding)
        payload = None if size is None else bytes(size)
        subject.open_call(request, payload, end=end, deadline=deadline)
    elif kind == "send":
        options = {"end": True} if step[3] and subject.asked else {}
        subject.with_call(step[1], "send_message", bytes(step[2]), **options)
    elif kind == "consume":
        subject.with_call(step[1], "consume", step[2])
    elif kind == "reset call":
        subject.with_call(step[1], "reset", step[2])
    elif kind == "go away":
        subject.connection.go_away(immediately=step[1])
    elif kind == "wait":
        subject.wait(step[1])
    elif kind == "half-close":
        subject.with_call(step[1], "half_close")
    elif kind == "headers of":
        subject.with_call(step[1], "send_headers", step[2], encoding=step[3])
    elif kind == "trailers of":
        subject.with_call(step[1], "send_trailers", step[2], step[3])
    else:
        subject.with_call(step[1], "send_response", bytes(step[2]), step[3])


def run(side: str, steps: list[Step], *, auto_consume: bool) -> None:
    reference, fast = Subject("h2", side, auto_consume=auto_consume), Subject("fast", side, auto_consume=auto_consume)
    peer = Peer(side)
    steps = [("peer", [("octets", peer.opening)], 0), *steps]
    for step in steps:
        octets = b""
        if step[0] == "peer":
            octets = b"".join(what[1] if what[0] == "octets" else framed(peer, what) for what in step[1])
        expected, got = (subject.observe(lambda s, o=octets, t=step: act(s, t, o)) for subject in (reference, fast))
        note(f"{step}\n   h2   {expected}\n   fast {got}")
        if (expected.verdict, expected.raised, expected.callbacks) == (got.verdict, got.raised, got.callbacks):
            if got.closed:
                return
            continue
        for difference in DIFFERENCES:
            if difference.matches(step, expected, got):
                return
        assert (got.verdict, got.raised, got.callbacks) == (expected.verdict, expected.raised, expected.callbacks)
    open_windows = [
        frame(FrameType.WINDOW_UPDATE, 0, stream_id, (1 << 20).to_bytes(4, "big")) for stream_id in (0, *fast.sent)
    ]
    for subject in (reference, fast):
        subject.observe(lambda s: s.receive(b"".join(open_windows)))
    for stream_id in {*reference.sent, *fast.sent}:
        assert fast.sent.get(stream_id) == reference.sent.get(stream_id), stream_id


@given(st.lists(st.one_of(peer_steps(REQUESTS), peer_steps(REQUESTS), server_steps), max_size=12), st.booleans())
@settings(max_examples=150)
def test_servers_agree(steps: list[Step], auto_consume: bool) -> None:
    run("server", steps, auto_consume=auto_consume)


OPENED: Step = ("open", (), "identity", 5, False, None)
CANCELLED: Step = ("reset call", 0, 8)
INFORMATIONAL: Fields = [(b":status", b"103")]


def from_peer(*what: Step) -> Step:
    return ("peer", list(what), 0)


# What comes on a stream that was reset here is ignored, whatever it is (RFC 9113, section 5.1).
@example([OPENED, CANCELLED, from_peer(("headers", 1, INFORMATIONAL, False, "whole"))], False)
@example([OPENED, CANCELLED, from_peer(("headers", 1, INFORMATIONAL, True, "padded"))], False)
@example([OPENED, CANCELLED, from_peer(("headers", 1, [], False, "priority"))], False)
@example([OPENED, CANCELLED, from_peer(("headers", 1, INFORMATIONAL, False, "continued"))], False)
@example([OPENED, OPENED, from_peer(("goaway", 1, 0)), from_peer(("headers", 3, RESPONSE, False, "whole"))], False)
# A client that is going away resets a stream whose DATA come before its HEADERS, and ignores these.
@example(
    [
        OPENED,
        OPENED,
        ("go away", False),
        from_peer(("data", 1, message(b"hello"), False, None), ("headers", 1, INFORMATIONAL, False, "padded")),
        from_peer(("headers", 3, RESPONSE, False, "whole")),
    ],
    False,
)
# Padding that is longer than its frame is the connection's fault, before any of the stream's (section 6.1).
@example([OPENED, from_peer(("goaway", 1, 0), ("data", 1, message(b"hello"), False, 200))], False)
@given(
    st.lists(st.one_of(peer_steps(RESPONSES), peer_steps(TRAILERS), client_steps, client_steps), max_size=12),
    st.booleans(),
)
@settings(max_examples=150)
def test_clients_agree(steps: list[Step], auto_consume: bool) -> None:
    run("client", steps, auto_consume=auto_consume)
