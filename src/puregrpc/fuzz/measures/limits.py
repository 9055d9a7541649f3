"""Limits on connections: streams, crowds and floods, with a second client beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.checks.words import Observation, Profile
from puregrpc.fuzz.connection.running import Outcome, run_case
from puregrpc.fuzz.connection.target import Target
from puregrpc.fuzz.frames.catalogue import PROBES
from puregrpc.fuzz.frames.probe import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    OPENING,
    PREFACE,
    SETTINGS,
    block,
    frame,
    message,
)
from puregrpc.fuzz.measures.backlog import backlog_cases
from puregrpc.fuzz.measures.usage import MEBIBYTE, UsageWatch

__all__ = ["flood_observation", "limit_cases", "stream_limit_cases"]

MORE_STREAMS = 20
MOST_STREAMS = 4000
FLOOD_MEMORY = 64 * MEBIBYTE
FLOOD_FACTOR = 12
CALL_MEMORY = 48 << 10
"""What a call may cost a server until it has come to it."""
SAMPLE = 100_000
"""So many octets of a probe tell what it is made of."""
FLOOD_CPU = 4.0
"""Processor seconds for a megabyte of flood."""
CROWD = 60
PATIENCE = 3.0
"""Seconds in which another connection is served beside a crowd."""
MOST_FILES = 2500
"""A process that may have more files open is left in peace: so many connections are more than others can stand."""

Observed = tuple[Case, "Observation | None"]


def limit_cases(
    target: Target, profiles: Sequence[Profile], deadline: float, watch: UsageWatch,
    answers: Callable[[float], bool], fresh: Callable[[], object],
) -> Iterator[Observed]:  # fmt: skip
    """Each case with what it showed, twice where it showed something. ``answers``: a second client is served.

    ``fresh`` begins the target again if that is possible: memory that was given back to it before, hides what it keeps.
    """
    if not profiles:
        return
    if watch.is_possible:
        fresh()
        yield from backlog_cases(target, profiles)
    yield from _crowds(target, profiles[0], deadline, answers)


def stream_limit_cases(target: Target, profiles: Sequence[Profile], deadline: float) -> Iterator[Observed]:
    """Whether more streams are open at once than SETTINGS allows; each case as `limit_cases` has it."""
    by_openness = sorted(profiles, key=lambda each: (not each.method.is_client_stream, each.seconds))
    for profile in by_openness[:1]:
        yield _streams(target, profile, deadline)
        yield _streams_at_once(target, profile)


def _crowds(target: Target, profile: Profile, deadline: float, answers: Callable[[float], bool]) -> Iterator[Observed]:
    for about, octets, how in (
        ("connections that say nothing", b"", "hold"),
        ("connections with half a preface", PREFACE[:10], "hold"),
        ("connections with a preface and no more", OPENING, "hold"),
        ("connections that end at once", b"", "reset"),
        ("connections that end after their preface", OPENING, "reset"),
        ("connections that speak HTTP/1.1", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", "hold"),
        ("connections that speak TLS", bytes.fromhex("16030100050100000100"), "reset"),
        ("connections that speak nonsense", bytes(range(256)), "reset"),
        ("connections that end inside a header block", _half_a_block(profile), "reset"),
    ):
        yield _crowd(target, CROWD, about, octets, how, deadline, answers)
    files = target.most_files()
    if files and files <= MOST_FILES:
        yield _crowd(target, files + 20, "connections, more than it may have files", OPENING, "hold", deadline, None)


def _crowd(
    target: Target, count: int, about: str, octets: bytes, how: str, deadline: float,
    answers: Callable[[float], bool] | None,
) -> Observed:  # fmt: skip
    steps = (Step("crowd", octets=octets, code=count, until=how, seconds=0.2 + (count - CROWD) / 300),)
    case = Case("frame", "", steps, "any", f"{count} {about}", "CVE-2023-4785 (grpc), CVE-2024-47609 (tonic)")
    served: list[bool] = []

    def meanwhile() -> bool:
        served.append(answers is None or answers(PATIENCE))
        return True

    looks = meanwhile if answers is not None and how == "hold" else None
    for _ in range(2):
        run_case(case, target, deadline=deadline, while_flooding=looks)
        if any(served) or not served or answers is None or not answers(PATIENCE):
            return case, None
    return case, Observation("not-served", f"{case.about}: another one is not served meanwhile", ("crowd",))


def _half_a_block(profile: Profile) -> bytes:
    fields = block(profile.fields)
    return (
        OPENING
        + frame(HEADERS, 0, 1, fields[:9])
        + frame(CONTINUATION, 0, 1, fields[9:])
        + frame(CONTINUATION, 0, 1, b"\x82")
    )


def _streams(target: Target, profile: Profile, deadline: float) -> Observed:
    """More calls at once than SETTINGS_MAX_CONCURRENT_STREAMS allows (RFC 9113, section 5.1.2)."""
    try:
        with target.link() as link:
            until = time.monotonic() + 2
            while not (link.has_settings and link.has_acknowledgement) and not link.closed and time.monotonic() < until:
                link.turn(0.1)
            allowed = link.settings.get(3, 1 << 31)
    except OSError:
        allowed = 1 << 31
    if allowed > MOST_STREAMS:
        return Case("frame", profile.path, (), "any", "as many streams as are allowed"), None
    count = allowed + MORE_STREAMS
    body = message(profile.octets)
    steps = [Step("pause", seconds=0.1), *(Step("open", number, profile.fields) for number in range(count))]
    steps += [
        Step("pause", seconds=0.3),
        Step("data", count - 1, octets=body, end=True),
        Step("wait", count - 1, until="end", seconds=1.0),
    ]
    case = Case(
        "frame",
        profile.path,
        tuple(steps),
        "any",
        f"{count} streams at once, where {allowed} are allowed",
        "RFC 9113, section 5.1.2",
        seconds=1.5,
    )
    observation = None
    for _ in range(2):
        outcome = _quick(case, target, deadline, count)
        answer = outcome.answers.get(count - 1)
        still_open = sum(
            1
            for each in outcome.answers.values()
            if each.finished > (answer.finished if answer else 0) or not each.ended
        )
        served = (
            answer is not None
            and answer.code is not None
            and answer.reset is None
            and answer.code != 8
            and answer.code != 14
        )
        if not served or still_open < allowed or outcome.goaway is not None:
            return case, None
        assert answer is not None
        observation = Observation(
            "limit-exceeded",
            f"{still_open} streams are open beside one that is answered; the server allows {allowed}",
            ("streams",),
            "",
            "RFC 9113, section 5.1.2",
        )
    return case, observation


def _streams_at_once(target: Target, profile: Profile) -> Observed:
    """More calls than are allowed, by a client that does not acknowledge SETTINGS (CVE-2026-47244 and its like)."""
    reference = "CVE-2026-47244 (netty); RFC 9113, section 5.1.2"
    case = Case("frame", profile.path, (), "any", "streams of who does not acknowledge SETTINGS", reference, "high")
    head = block(profile.fields)
    for _ in range(2):
        try:
            with target.link(raw=True) as link:
                link.send(PREFACE + frame(SETTINGS, 0, 0))
                until = time.monotonic() + 2
                while not link.settings and not link.closed and time.monotonic() < until:
                    link.turn(0.1)
                allowed = link.settings.get(3, 1 << 31)
                if allowed > MOST_STREAMS:
                    return case, None
                last = 1 + 2 * (allowed + MORE_STREAMS)
                out = b"".join(frame(HEADERS, END_HEADERS, number, head) for number in range(1, last + 1, 2))
                out += frame(DATA, END_STREAM, last, message(profile.octets))
                case = replace(case, steps=(Step("raw", octets=PREFACE + frame(SETTINGS, 0, 0) + out, seconds=1.0),))
                link.send(out)
                answer = link.expect(last)
                link.pump(time.monotonic() + 2.0)
                others = sum(each.ended for number, each in link.answers.items() if number != last)
                if answer.code in (None, 8, 14) or link.goaway is not None or others > MORE_STREAMS // 2:
                    return case, None
        except OSError:
            return case, None
    text = (
        f"{allowed + MORE_STREAMS - others} streams are open beside one that is answered; the server allows {allowed}"
    )
    return case, Observation(
        "limit-exceeded", f"{text}, and its SETTINGS are not acknowledged", ("early",), "", reference
    )


def _quick(case: Case, target: Target, deadline: float, count: int) -> Outcome:
    """The same without waiting for the calls that are left open."""
    resets = tuple(Step("reset", number, code=8) for number in range(count - 1))
    return run_case(
        Case(case.level, case.method, case.steps + resets, case.expects, case.about, seconds=2.0),
        target,
        deadline=deadline,
    )


@lru_cache
def calls_in(name: str) -> float:
    """How many calls the probe of this name begins with each octet that it sends."""
    probe = next((each for each in PROBES if each.name == name), None)
    calls, at, octets = 0, len(PREFACE), bytearray()
    for piece in probe.octets() if probe is not None else ():
        octets += piece
        if len(octets) > SAMPLE:
            break
    while at + 9 <= len(octets):
        calls += octets[at + 3] == HEADERS
        at += 9 + int.from_bytes(octets[at : at + 3], "big")
    return calls / max(len(octets), 1)


def flood_observation(
    case: Case, target: Target, deadline: float, watch: UsageWatch, answers: Callable[[float], bool]
) -> Observation | None:
    """What one probe of the catalogue does to the target and to a second client; twice, where it does something."""
    first = _flood_once(case, target, deadline, watch, answers)
    if first is None:
        return None
    # A heap that is collected late grows with what is let go as well, but not again and again.
    for _ in range(3 if first.check == "memory" and target.is_collected() else 1):
        if target.has_ended():
            return None
        again = _flood_once(case, target, deadline, watch, answers)
        if again is None or again.check != first.check:
            return None
    return first


def _flood_once(
    case: Case, target: Target, deadline: float, watch: UsageWatch, answers: Callable[[float], bool]
) -> Observation | None:
    is_watched = watch.is_possible
    if is_watched:
        target.forget_peak()
    before = target.usage() if is_watched else None
    last = time.monotonic()
    waited = 0.0

    def beside() -> bool:
        nonlocal last, waited
        now = time.monotonic()
        if now - last < 0.4:
            return True
        last = now
        if not answers(1.5):
            waited += time.monotonic() - now
        last = time.monotonic()
        return waited < 2.5

    outcome = run_case(case, target, deadline=deadline, while_flooding=beside)
    if waited >= 2.5:
        return Observation("not-served", f"{case.about}: a second connection is not served meanwhile", ("beside",))
    after = target.usage() if is_watched else None
    if before is None or after is None:
        return None
    sent = max(outcome.sent, 1)
    grown = after.peak - before.memory
    if grown > max(FLOOD_MEMORY, FLOOD_FACTOR * sent, CALL_MEMORY * int(sent * calls_in(case.steps[0].until))):
        return Observation("memory", f"{case.about}: {grown >> 20} MiB of memory for {sent >> 10} KiB", ("flood",))
    cpu = after.cpu - before.cpu
    if sent < 3 * MEBIBYTE:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            usage = target.usage()
            time.sleep(0.1)
            later = target.usage()
            if usage is None or later is None or later.cpu - usage.cpu < 0.05:
                break
            cpu = later.cpu - before.cpu
            if cpu > FLOOD_CPU * max(sent / MEBIBYTE, 1):
                return Observation(
                    "cpu",
                    f"{case.about}: {cpu:.1f} s of processor time for {sent >> 10} KiB, and it goes on",
                    ("flood",),
                )
    return None
