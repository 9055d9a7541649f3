"""What a server keeps of a message that does not come to its end: frames that cost it more than they bring."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.cases.headers import without_deadline
from puregrpc.fuzz.checks.words import Observation, Profile
from puregrpc.fuzz.connection.link import Link
from puregrpc.fuzz.connection.target import Target
from puregrpc.fuzz.frames.probe import DATA, END_HEADERS, HEADERS, PING, block, frame, message, opening
from puregrpc.fuzz.measures.usage import MEBIBYTE

__all__ = ["backlog_cases"]

PIECE = 1000
COUNT = 600
"""So many pieces of so many frames."""
TIMES = 3
PART = 4
"""Who keeps nothing of the first quarter is left in peace."""
LONGEST = 4_000_000
"""What the prefix says: servers take messages of up to 4 MiB."""
LEAST = 24 * MEBIBYTE
FACTOR = 6
"""So many times the octets that were sent, frames included, are out of proportion."""
SECONDS = 6.0


def backlog_cases(target: Target, profiles: Sequence[Profile]) -> Iterator[tuple[Case, Observation | None]]:
    """Messages in frames of one octet, and of none. Where a heap is collected late, nothing can be said of them."""
    if target.is_collected():
        return
    both = sorted(profiles, key=lambda each: -int(each.method.is_client_stream) - int(each.method.is_server_stream))
    for about, octets, reference in (
        ("a message in frames of one octet", b"a", "CVE-2026-84304 (grpc-go)"),
        ("frames without an octet", b"", "RUSTSEC-2026-0258 (h2)"),
    ):
        for profile in {each.path: each for each in (both[0], both[-1])}.values():
            yield _measured(target, profile, f"{about}, again and again", frame(DATA, 0, 1, octets) * PIECE, reference)


def _measured(
    target: Target, profile: Profile, about: str, piece: bytes, reference: str
) -> tuple[Case, Observation | None]:
    first = message(profile.octets) + (b"\0" + LONGEST.to_bytes(4, "big"))
    if not profile.method.is_client_stream:
        first = b"\0" + LONGEST.to_bytes(4, "big")
    head = (
        opening(INITIAL_WINDOW_SIZE=0)
        + frame(HEADERS, END_HEADERS, 1, block(without_deadline(profile.fields)))
        + frame(DATA, 0, 1, first)
    )
    case = Case(
        "frame", profile.path, (Step("raw", octets=head + piece, seconds=0.1),), "any", about, reference, "high"
    )
    held: list[Link] = []
    begun = target.usage()
    kept = sent = 0
    try:
        # What the first one holds cannot be taken again for the others; what was garbage of the first, can.
        for number in range(TIMES):
            link = target.link(raw=True)
            held.append(link)
            answer = _begin(link, head, len(first))
            _send(link, piece, COUNT // PART)
            early = target.usage()
            if begun is None or early is None:
                return case, None
            if not number and early.memory - begun.memory < LEAST // PART // 2:
                return case, None
            _send(link, piece, COUNT - COUNT // PART)
            after = target.usage()
            if after is None or target.has_ended() or answer.ended:
                return case, None
            sent += link.sent
            kept = after.memory - begun.memory
            if kept < max(LEAST, FACTOR * sent):
                return case, None
    except OSError:
        return case, None
    finally:
        for link in held:
            link.close()
    return case, Observation(
        "memory", f"{about}: {kept >> 20} MiB are kept of {sent >> 10} KiB, on {TIMES} connections", ("backlog", about)
    )


def _begin(link: Link, head: bytes, size: int) -> Answer:
    answer = link.expect(1)
    link.send(head)
    link.spend(1, size)
    return answer


def _send(link: Link, piece: bytes, count: int) -> None:
    """Send the piece so many times, as far as the windows let it, and wait until the peer has come to the end."""
    size = PIECE * int.from_bytes(piece[:3], "big")
    until = time.monotonic() + SECONDS
    for _ in range(count):
        while link.room(1) < size and not link.closed and time.monotonic() < until:
            link.turn(0.05)
        if not link.send(piece, 1.0) or link.goaway is not None or time.monotonic() > until:
            break
        link.spend(1, size)
        link.turn(0)
    mark = b"end %04d" % count
    link.send(frame(PING, 0, 0, mark), 0.5)
    until = time.monotonic() + 2
    while mark not in link.pongs and not link.closed and link.goaway is None and time.monotonic() < until:
        link.turn(0.05)
