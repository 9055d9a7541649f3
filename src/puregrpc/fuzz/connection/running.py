"""Cases carried out: alone on a fresh connection step by step, or many at a time on one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from puregrpc.codec.wire_format.tags_and_varints import varint
from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import STALLED, Case, Step, Take
from puregrpc.fuzz.connection.link import Link
from puregrpc.fuzz.connection.storm import volley
from puregrpc.fuzz.connection.target import Target
from puregrpc.fuzz.frames.catalogue import PROBES
from puregrpc.fuzz.frames.probe import PING, frame, message
from puregrpc.fuzz.values.fields import raw_value
from puregrpc.trace import Recorder

__all__ = ["Outcome", "is_simple", "run_case"]

SLACK = 1.0
"""Seconds beyond its deadline that a call's end may take."""
NO_WINDOW = ((2, 0), (4, 0))
"""SETTINGS of who takes no octet of an answer."""
MOST_BODY = 16_000
"""Octets of the messages of a volley."""
FLOOD_SECONDS = 2.5
"""How long a flood goes on at most."""
OWN_FILES = 64
"""Beside the connections of a crowd."""
TRIES, SOON = 6, 0.25
"""How often a connection of a crowd is begun, and for how many seconds."""
SETTLING_SECONDS = 2.5
"""How long its end is waited for."""


@dataclass(slots=True)
class Outcome:
    """What came of a case."""

    answers: dict[int, Answer] = field(default_factory=dict)
    """By the case's own number of the stream."""
    violations: list[str] = field(default_factory=list)
    closed: str = ""
    """How the last connection ended, where it was the peer that ended it."""
    goaway: int | None = None
    refused: str = ""
    """Why no connection could be made."""
    last: int = 0
    """The stream that the case is about."""
    sent: int = 0
    is_taken_whole: bool = False
    """All that was to be sent was taken."""


def is_simple(case: Case) -> bool:
    """Whether it is one call, sent whole at once."""
    steps = case.steps
    return (
        len(steps) == 2
        and steps[0].kind == "open"
        and steps[1].kind in ("message", "data")
        and steps[1].end
        and not steps[0].end
    )


def body_of(step: Step) -> bytes:
    """The octets of DATA that a step sends."""
    return message(step.octets, step.code) if step.kind == "message" else step.octets


def run_case(
    case: Case,
    target: Target,
    *,
    deadline: float,
    recorder: Recorder | None = None,
    while_flooding: Callable[[], bool] | None = None,
) -> Outcome:
    """Carry out a case on fresh connections. ``while_flooding`` is called now and then in a flood; False ends it."""
    outcome = Outcome(last=max((step.stream for step in case.steps if step.kind == "open"), default=0))
    is_raw = any(step.kind in ("raw", "flood", "crowd", "volley") for step in case.steps)
    seconds = (case.seconds or deadline) + SLACK
    # A case is pieces, each of which has a connection of its own.
    pieces: list[list[Step]] = [[]]
    stalled: list[bool] = [False]
    for step in case.steps:
        if step.kind == "connect":
            pieces.append([])
            stalled.append(step.until == STALLED)
        else:
            pieces[-1].append(step)
    for piece, is_stalled in zip(pieces, stalled, strict=True):
        if not piece and piece is not pieces[-1]:
            continue
        try:
            if is_stalled:
                link = target.link(settings=NO_WINDOW, takes_windows=False, recorder=recorder)
            else:
                link = target.link(raw=is_raw, recorder=recorder)
        except OSError as error:
            outcome.refused = str(error)
            return outcome
        _on_connection(piece, link, target, outcome, seconds, while_flooding, is_last=piece is pieces[-1])
    kinds = {step.kind for step in case.steps}
    if not is_raw and "burst" in kinds and "open" not in kinds:
        # What had no end is what the case is about.
        outcome.last = min((n for n, answer in outcome.answers.items() if not answer.ended), default=0)
    return outcome


def _on_connection(
    steps: Sequence[Step], link: Link, target: Target, outcome: Outcome, seconds: float,
    while_flooding: Callable[[], bool] | None, *, is_last: bool,
) -> None:  # fmt: skip
    """Take the steps on a connection, and close it; what came of it is the outcome's.

    What has begun on the last one of a case is waited for.
    """
    until = time.monotonic() + seconds
    opened: dict[int, int] = {}
    is_raw = link.raw
    if not is_raw and steps and steps[0].kind == "burst":
        while not (link.has_settings or link.closed) and time.monotonic() < until:
            link.turn(0.5)
    elif not is_raw and steps and steps[0].kind == "open":
        link.pump(min(until, time.monotonic() + 1.0), idle=False)
    try:
        for step in steps:
            if step.kind == "close":
                link.close(abruptly=bool(step.code))
                continue
            if link.closed and step.kind != "wait":
                break
            if step.kind == "open":
                # Each call has its time, however long those before it took.
                until = time.monotonic() + seconds
            _step(step, link, target, outcome, opened, until, while_flooding)
        if is_raw:
            outcome.answers = dict(link.answers)
        elif is_last:
            link.pump(until)
    finally:
        if not is_raw:
            # A peer that is told nonsense may answer in another protocol.
            outcome.violations += link.violations
        outcome.goaway = link.goaway
        outcome.closed = "" if link.closed == "closed by the fuzzer" else link.closed
        outcome.sent = link.sent
        link.close()


def _step(
    step: Step, link: Link, target: Target, outcome: Outcome, opened: dict[int, int], until: float,
    while_flooding: Callable[[], bool] | None,
) -> None:  # fmt: skip
    kind = step.kind
    if kind == "open":
        answer = link.open(step.fields, end=step.end)
        opened[step.stream] = answer.stream
        outcome.answers[step.stream] = answer
    elif kind in ("message", "data"):
        stream = opened.get(step.stream)
        if stream is not None:
            body = body_of(step) if step.take is None else message(step.octets + _taken(step.take, outcome))
            link.data(stream, body, end=step.end)
    elif kind == "reset":
        stream = opened.get(step.stream)
        if stream is not None:
            link.reset(stream, step.code)
    elif kind == "pause":
        stop = time.monotonic() + step.seconds
        while not link.closed and time.monotonic() < stop:
            link.turn(max(stop - time.monotonic(), 0))
    elif kind == "wait" and link.raw:
        while not link.closed and time.monotonic() < until:
            answer_or_none = link.answers.get(step.stream)
            if answer_or_none is not None and answer_or_none.ended:
                break
            link.turn(max(until - time.monotonic(), 0))
        outcome.last = step.stream
    elif kind == "wait":
        if step.until == "all":
            link.pump(until)
            return
        answer_or_none = outcome.answers.get(step.stream)
        stop = min(until, time.monotonic() + step.seconds) if step.seconds else until
        while answer_or_none is not None and not link.closed and not _is_at(answer_or_none, step.until):
            left = stop - time.monotonic()
            if left <= 0:
                break
            link.turn(left)
    elif kind == "volley":
        volley(target.options, step.fields, message(step.octets)[:MOST_BODY], step.code)
    elif kind == "burst":
        _burst(step, link, outcome, opened)
    elif kind == "raw":
        link.send(step.octets)
        if step.seconds:
            link.pump(time.monotonic() + step.seconds, idle=True)
    elif kind == "crowd":
        _crowd(step, target, while_flooding)
    else:
        outcome.is_taken_whole = _flood(step.until, link, while_flooding)


def _burst(step: Step, link: Link, outcome: Outcome, opened: dict[int, int]) -> None:
    """Calls at once, no more than the server allows."""
    room = link.settings.get(3, 1 << 31) - link.unfinished
    for number, answer in enumerate(link.burst([(step.fields, step.octets)] * min(step.code, room)), step.stream):
        opened[number] = answer.stream
        outcome.answers[number] = answer


def _taken(take: Take, outcome: Outcome) -> bytes:
    """A field whose value is that of a field in the answer to another stream."""
    stream, path, tags = take
    answer = outcome.answers.get(stream)
    messages = answer.messages()[0] if answer is not None else []
    value = raw_value(messages[0][1], path) if messages else None
    if value is None:
        return b""
    for tag in reversed(tags):
        value = varint(tag) + (varint(len(value)) if tag & 7 == 2 else b"") + value
    return value


def _crowd(step: Step, target: Target, meanwhile: Callable[[], bool] | None) -> None:
    """Connections at once."""
    links: list[Link] = []
    before = _more_files(step.code)
    try:
        for _ in range(step.code):
            link = _connected(target)
            if step.octets:
                link.send(step.octets, 0.5)
            if step.until == "reset":
                link.close(abruptly=True)
            else:
                links.append(link)
        if meanwhile is not None:
            meanwhile()
        time.sleep(step.seconds)
    except OSError:
        pass
    finally:
        for link in links:
            link.close()
        _more_files(0, before)


def _connected(target: Target) -> Link:
    """One of many connections: the queue of who listens may be full for a moment, and what comes then is dropped."""
    for _ in range(TRIES):
        with contextlib.suppress(TimeoutError):
            return target.link(SOON, raw=True)
    return target.link(1.0, raw=True)


def _more_files(count: int, wanted: int = 0) -> int:
    """Let this process have so many more files open, or ``wanted`` ones, as far as it may; how many it might before."""
    try:
        import resource
    except ImportError:
        return 0
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = wanted or max(most, count + OWN_FILES)
    if most != resource.RLIM_INFINITY and wanted != most:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(
                resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
            )
    return most


def _is_at(answer: Answer, until: str) -> bool:
    if answer.ended:
        return True
    return (until == "headers" and answer.headers is not None) or (until == "message" and len(answer.body) >= 5)


def _flood(name: str, link: Link, while_flooding: Callable[[], bool] | None) -> bool:
    probe = next((each for each in PROBES if each.name == name), None)
    if probe is None:
        return False
    stop = time.monotonic() + FLOOD_SECONDS
    for piece in probe.octets():
        if not link.send(piece, 1.0, reads=probe.takes_output):
            return False
        if probe.takes_output:
            link.turn(0)
        if time.monotonic() > stop or (while_flooding is not None and not while_flooding()):
            return False
    return _settle(link, while_flooding)


def _settle(link: Link, while_flooding: Callable[[], bool] | None) -> bool:
    """Wait until the peer has come to the end of what it was sent, which may all have been taken by the kernel."""
    mark = b"the end."
    link.send(frame(PING, 0, 0, mark), 0.5)
    stop = time.monotonic() + SETTLING_SECONDS
    while not link.closed and link.goaway is None and mark not in link.pongs and time.monotonic() < stop:
        link.turn(0.05)
        if while_flooding is not None and not while_flooding():
            return False
    return True


def answers_of(outcome: Outcome, streams: Sequence[int] | None = None) -> list[Answer]:
    """The answers in the order of the streams."""
    return [outcome.answers[each] for each in sorted(outcome.answers) if streams is None or each in streams]
