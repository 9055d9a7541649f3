"""Whether a connection is kept up: SETTINGS and PING answered, windows kept and given back, tables as was agreed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.cases.refusals import MOST_SERVED, broken_forms
from puregrpc.fuzz.checks.words import Observation, Profile, violation
from puregrpc.fuzz.connection.link import Link
from puregrpc.fuzz.connection.running import run_case
from puregrpc.fuzz.connection.target import Target
from puregrpc.fuzz.frames.probe import ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PADDED, PING, block, frame, message

__all__ = ["upkeep_cases"]

Observed = tuple[Case, "Observation | None"]

SPENT = 3 * 65535
"""Octets that go through a connection: three times its first window."""
PART = 16000
LONGEST = 4_000_000
PADDING = 255
AT_ONCE = 20
CANCEL = 8
NOT_ASKED = b"\x02fuzzing"
PROTOCOL_ERROR = 1
LEAST_ROOM = 4000
"""Octets of a connection's window that are there again when all that was sent is done with."""
NOWHERE = b"/puregrpc.fuzz.Unknown/Call"
PATIENCE = 2.0
"""Seconds in which windows are opened again, and calls answered."""


def upkeep_cases(target: Target, profiles: Sequence[Profile]) -> Iterator[Observed]:
    """SETTINGS, PING, windows and tables as an ordinary client has them."""
    profile = max(profiles, key=lambda each: len(each.answer.body) if each.answer is not None else 0)
    body = message(profile.octets)
    opening_case = Case("frame", profile.path, (), "any", "SETTINGS and PING", "RFC 9113, section 6.5.3 and 6.7")
    seen: list[str] = []
    for _ in range(2):
        seen = _upkeep_once(target)
        if not seen:
            break
    yield opening_case, violation(seen[0]) if seen else None
    window_case = Case(
        "frame", profile.path, (Step("open", fields=profile.fields), Step("data", octets=body, end=True)), "any",
        "a window of one octet", "RFC 9113, section 6.9.1",
    )  # fmt: skip
    seen = []
    for _ in range(2):
        try:
            with target.link(settings=((2, 0), (4, 1)), takes_windows=False) as link:
                answer = link.call(profile.fields, body)
                link.pump(time.monotonic() + 0.5)
                seen = [text for text in (*link.violations, *answer.violations) if "beyond" in text]
        except OSError:
            seen = []
        if not seen:
            break
    yield window_case, violation(seen[0]) if seen else None
    quickest = min(profiles, key=lambda each: each.seconds)
    for about, reference, spend in (
        ("calls that are reset behind a part of their message", "RFC 9113, section 6.9", _spend_on_resets),
        ("calls of a method that there is not", "RFC 9113, section 6.9", _spend_on_refusals),
        ("calls whose DATA is padded", "RFC 9113, section 6.1", _spend_on_padding),
    ):
        yield _given_back(target, quickest, about, reference, spend)
    yield from _broken_forms(target, quickest)
    yield _table(target, quickest)
    yield _header_list(target, quickest)


def _broken_forms(target: Target, profile: Profile) -> Iterator[Observed]:
    """Whether rules of frames are not looked at, by a server that looks at the most of them."""
    cases = list(broken_forms(profile.path, profile.fields, profile.octets))

    def is_served(case: Case) -> bool:
        outcome = run_case(case, target, deadline=case.seconds)
        answer = outcome.answers.get(outcome.last)
        return answer is not None and answer.code == 0 and bool(answer.body)

    served = [case for case in cases if is_served(case)]
    if len(served) > MOST_SERVED:
        served = []
    for case in cases:
        text = f"{case.about}: was served with OK"
        seen = Observation("accepted-invalid", text, (case.about,), "low", case.reference)
        yield case, seen if case in served and is_served(case) else None


def _upkeep_once(target: Target) -> list[str]:
    try:
        with target.link() as link:
            opaque = b"\x01fuzzing"
            link.send(frame(PING, 0, 0, opaque))
            until = time.monotonic() + 2
            while not (link.pongs and link.has_acknowledgement) and not link.closed and time.monotonic() < until:
                link.turn(until - time.monotonic())
            if link.closed:
                return []
            if not link.has_acknowledgement:
                return ["SETTINGS are not acknowledged (RFC 9113, section 6.5.3)"]
            if opaque not in link.pongs:
                answered = "with other octets" if link.pongs else "at all"
                return [
                    f"PING is not answered {answered} (RFC 9113, section 6.7)".replace(
                        "not answered with", "answered with"
                    )
                ]
            link.send(frame(PING, ACK, 0, NOT_ASKED) + frame(PING, 0, 0, bytes(8)))
            while bytes(8) not in link.pongs and not _is_over(link) and time.monotonic() < until:
                link.turn(until - time.monotonic())
            if NOT_ASKED in link.pongs:
                return ["an acknowledgement of a PING is answered (RFC 9113, section 6.7)"]
    except OSError:
        pass
    return []


def _given_back(
    target: Target, profile: Profile, about: str, reference: str, spend: Callable[[Link, Profile], bool]
) -> Observed:
    """Whether the window of a connection is given back, once calls have spent it that are over."""
    steps: list[Step] = []
    for number in range(SPENT // PART + 1):
        part = b"\0" + LONGEST.to_bytes(4, "big") + bytes(PART)
        steps += [Step("open", number, profile.fields), Step("data", number, octets=part)]
        steps.append(Step("reset", number, code=CANCEL))
    number = len(steps)
    steps += [Step("open", number, profile.fields), Step("message", number, octets=profile.octets, end=True)]
    case = Case("frame", profile.path, tuple(steps), "any", f"a call after {about}", reference)
    for _ in range(2):
        try:
            with target.link() as link:
                until = time.monotonic() + PATIENCE
                while not link.has_settings and not link.closed and time.monotonic() < until:
                    link.turn(0.1)
                if not spend(link, profile) or _is_over(link):
                    return case, None
                until = time.monotonic() + PATIENCE
                while link.room(link.next_stream) < LEAST_ROOM and not _is_over(link) and time.monotonic() < until:
                    link.turn(0.05)
                left = link.room(link.next_stream)
                if left >= LEAST_ROOM or _is_over(link):
                    return case, None
            with target.link() as link:
                begun = time.monotonic()
                answer = link.call(profile.fields, message(profile.octets))
                link.pump(begun + PATIENCE)
                if not answer.ended or answer.seconds > PATIENCE / 4:
                    return case, None
        except OSError:
            return case, None
    text = f"{about}: the window of the connection is not given back, and calls wait for ever ({left} octets are left)"
    return case, Observation("hang", text, ("window", about), "", reference)


def _spend_on_resets(link: Link, profile: Profile) -> bool:
    """Send parts of messages on streams that are reset then, as far as the window goes."""
    sent = 0
    until = time.monotonic() + PATIENCE
    while sent < SPENT and not link.closed:
        answer = link.open(profile.fields)
        room = min(link.room(answer.stream), PART)
        while room < PART // 4 and not _is_over(link) and time.monotonic() < until:
            link.turn(0.05)
            room = min(link.room(answer.stream), PART)
        if room > 5:
            link.spend(answer.stream, room)
            link.send(frame(DATA, 0, answer.stream, b"\0" + LONGEST.to_bytes(4, "big") + bytes(room - 5)))
        sent += room
        link.reset(answer.stream, CANCEL)
        if time.monotonic() > until:
            break
    return True


def _spend_on_refusals(link: Link, profile: Profile) -> bool:
    """Call a method that there is not, with a long message, as long as that is answered."""
    fields = tuple((name, NOWHERE if name == b":path" else value) for name, value in profile.fields)
    sent = 0
    while sent < SPENT and not _is_over(link):
        answer = link.open(fields)
        until = time.monotonic() + PATIENCE / 4
        while (room := min(link.room(answer.stream), PART)) < LEAST_ROOM and not answer.ended and not _is_over(link):
            if time.monotonic() > until:
                return True
            link.turn(0.05)
        if answer.ended or _is_over(link):
            return False  # it does not wait for the message
        link.data(answer.stream, message(bytes(room - 5)), end=True)
        link.pump(time.monotonic() + PATIENCE)
        sent += room
        if not answer.ended:
            return False
    return True


def _spend_on_padding(link: Link, profile: Profile) -> bool:
    """Make ordinary calls whose DATA is padded, as long as they are answered; False if padding is not taken."""
    body = message(profile.octets)
    padded = bytes((PADDING,)) + body + bytes(PADDING)
    head = block(profile.fields)
    if len(padded) > PART or len(head) > PART:
        return False
    sent = 0
    while sent < SPENT and not link.closed:
        out = bytearray()
        for _ in range(AT_ONCE):
            stream = link.next_stream
            link.next_stream += 2
            link.expect(stream)
            if link.room(stream) < len(padded):
                link.unfinished -= 1
                break
            link.spend(stream, len(padded))
            out += frame(HEADERS, END_HEADERS, stream, head) + frame(DATA, END_STREAM | PADDED, stream, padded)
            sent += len(padded)
        if not out:
            return True
        link.send(bytes(out))
        link.pump(time.monotonic() + PATIENCE)
        if _is_over(link) or link.unfinished > 0:
            return False
    return True


def _table(target: Target, profile: Profile) -> Observed:
    """Whether a HEADER_TABLE_SIZE of 0 is kept to, once it was acknowledged (RFC 9113, section 6.5.2)."""
    steps = (Step("open", fields=profile.fields), Step("message", octets=profile.octets, end=True))
    case = Case("frame", profile.path, steps * 2, "any", "a HEADER_TABLE_SIZE of 0", "RFC 9113, section 6.5.2")
    seen: list[str] = []
    for _ in range(2):
        try:
            with target.link(settings=((1, 0), (2, 0))) as link:
                until = time.monotonic() + PATIENCE
                while not link.has_acknowledgement and not link.closed and time.monotonic() < until:
                    link.turn(0.1)
                for _ in range(3 if link.has_acknowledgement else 0):
                    link.call(profile.fields, message(profile.octets))
                    link.pump(time.monotonic() + PATIENCE)
                seen = [text for text in link.violations if "header block" in text]
        except OSError:
            seen = []
        if not seen:
            return case, None
    return case, violation(f"{case.about}: {seen[0]}")


def _header_list(target: Target, profile: Profile) -> Observed:
    """Calls of a client that takes the shortest header lists only: it may be told that there is no answer for it.

    It has broken no rule. Who treats it as if it had, resets each of its calls behind a handler that goes on.
    """
    reference = "RFC 9113, section 6.5.2; CVE-2026-50560 in netty"
    steps = (Step("open", fields=profile.fields), Step("message", octets=profile.octets, end=True))
    case = Case("frame", profile.path, steps, "any", "a MAX_HEADER_LIST_SIZE of 1", reference)
    for _ in range(2):
        try:
            with target.link(settings=((2, 0), (6, 1))) as link:
                until = time.monotonic() + PATIENCE
                while not link.has_acknowledgement and not link.closed and time.monotonic() < until:
                    link.turn(0.1)
                answer = link.call(profile.fields, message(profile.octets))
                link.pump(time.monotonic() + PATIENCE)
                if PROTOCOL_ERROR not in (answer.reset, link.goaway):
                    return case, None
        except OSError:
            return case, None
    return case, violation(f"{case.about}: a call that is right is ended with PROTOCOL_ERROR ({reference})")


def _is_over(link: Link) -> bool:
    return bool(link.closed) or link.goaway is not None
