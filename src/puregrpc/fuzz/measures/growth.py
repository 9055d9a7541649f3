"""What is not given back: memory, threads and files that grow with calls, cancelled calls and connections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from operator import itemgetter

from puregrpc.fuzz.cases.case import STALLED, Case, Level, Step
from puregrpc.fuzz.checks.words import Observation, Profile
from puregrpc.fuzz.connection.running import NO_WINDOW
from puregrpc.fuzz.connection.target import Target
from puregrpc.fuzz.frames.probe import Fields, message
from puregrpc.fuzz.measures.frames_again import frames_again
from puregrpc.fuzz.measures.usage import MEBIBYTE

__all__ = ["broken_off", "cancelling", "growing_cases", "left_behind"]

LEAST = 32 * MEBIBYTE
COLLECTED = 6
"""So many times as much where a heap is collected late: Java, .NET, JavaScript."""
LONG, LONG_COLLECTED = 9, 12
"""So many times its time it may go on, as long as it looks like a leak."""
PER_TIME = 5000
SUSPICIOUS = 4096
"""Octets that each time takes of what is looked at closely."""
LOOKS = 3
SLOW = 1.0
MOST_FOR_ONE = 0.25
"""Of the time that is left, for one thing that takes longer than that many seconds."""
ALWAYS = 2
"""So many are looked at closely however late it is."""
LEAST_MARKS = 9
UNSTEADY = 4
"""So often it may look uneven, as a heap does that grows by steps."""
QUARTER = 0.12
"""A leak grows in each quarter of the time, by at least this part of all."""
CANCEL = 8
MOMENTS = (0.0003, 0.001, 0.003, 0.008)
"""Seconds after which calls are cancelled, some at a time, so that there are handlers under way."""
TOGETHER = 5
AT_ONCE = 20
PIECE = 60
STREAMED, MOST_STREAMED = 6, 8000
"""Messages of a stream of requests: what is kept of each is kept so many times."""
LAST = 10_000
"""The number of a call behind all others."""
LATE = (b"1m", b"2m", b"3m", b"5m")
"""Deadlines that pass while handlers are under way."""
MARKS = (
    (b"x-request-id", b"x-session-id", b"traceparent"),
    (
        b"x-request-id", b"x-session-id", b"x-user-id", b"x-user", b"x-tenant-id", b"x-client-id", b"x-device-id",
        b"x-correlation-id", b"accept-language", b"x-locale", b"user-agent", b"x-forwarded-for", b"idempotency-key",
    ),
)  # fmt: skip
"""Metadata that is another one with each call: what any server takes, and in turn by what callers are told."""
CONNECTIONS = 40
MOST_FILES = 15
"""More files than that are left open of 120 connections or 180 calls by who leaves them open."""
MOST_THREADS = 40
DROP = 8 * MEBIBYTE
BEYOND_DROP = 2
STAYS = 0.7
"""Of what a leak has taken, so much is there still when nothing is to be done."""
GONE = 1.5
"""Seconds in which what has ended is given back."""

UNIQUE = count(1)

Vary = Callable[[Profile, int], bytes]
"""The ordinary message of a method with values of its own for each number."""
Do = Callable[[Target, Profile], int]
"""Does a thing some times, and says how often it was done; 0 if the target does not take it."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """One thing that is done again and again."""

    about: str
    do: Do
    profile: Profile
    steps: tuple[Step, ...]
    parts: tuple[Repeated, ...] = ()
    """What it is made of, where that is looked at closely in place of it."""
    level: Level = "sequence"

    def case(self) -> Case:
        """As it can be carried out again."""
        return Case(self.level, self.profile.path, self.steps, "any", f"{self.about} again and again", "CWE-401")


def growing_cases(
    target: Target, profiles: Sequence[Profile], vary: Vary, seconds: float, until: float
) -> Iterator[tuple[Case, Observation | None]]:
    """Each thing that is done again and again, with what grew by it.

    All are done some times first, as far as the time goes until that moment. What took memory is looked at closely
    then, ``seconds`` and more for each, who took most first.
    """
    suspects: list[tuple[int, int, Repeated]] = []
    for number, each in enumerate(_repeated(profiles, vary)):
        if time.monotonic() > until:
            break
        seen, taken = _looked_at(target, each, until)
        yield each.case(), seen
        if seen is None and taken >= SUSPICIOUS * (COLLECTED if target.is_collected() else 1):
            suspects += [(-taken, number, part) for part in each.parts or (each,)]
    for number, (_, _, each) in enumerate(sorted(suspects, key=itemgetter(0, 1))):
        if number >= ALWAYS and time.monotonic() > until:
            return
        yield each.case(), _grown(target, each, seconds)


def _repeated(profiles: Sequence[Profile], vary: Vary) -> Iterator[Repeated]:
    """Connections and broken calls of one method, calls and cancelled calls of all, one of each shape first."""
    shapes = {(each.method.is_client_stream, each.method.is_server_stream): each for each in reversed(profiles)}
    for profile in profiles[:1]:
        yield Repeated("a connection with a call", _connections, profile, (*_call(profile), Step("close")))
        cut = (Step("open", fields=profile.fields), Step("data", octets=b"\0\0\0\0\4\xff", end=True))
        yield Repeated("a call whose message is cut", _failed, profile, cut)
        unknown = replace(profile, fields=_at(profile, b"/puregrpc.fuzz.Unknown/Call"))
        yield Repeated("a call of a method that there is not, each another", _unknown, profile, _call(unknown))
        for frames in frames_again():
            yield Repeated(frames.about, frames, profile, frames.steps(profile), level="frame")
    others, several = partial(_others, vary=vary), partial(_several, vary=vary)
    for profile in sorted(profiles, key=lambda each: each not in shapes.values()):
        late = replace(profile, fields=_timed(profile, LATE[0]))
        parts = (
            Repeated("calls, most of them with values of their own", others, profile, _call(profile)),
            Repeated("a call whose deadline passes", _late, profile, _call(late)),
        )
        yield Repeated("calls, some with a deadline that passes", several, profile, _call(profile), parts)
        # A stream that is over at once has nothing that could go on.
        is_longer = profile.method.is_server_stream and profile.amplifier
        yield _cancels(replace(profile, octets=profile.amplifier) if is_longer else profile)


def _call(profile: Profile) -> tuple[Step, ...]:
    return (Step("open", fields=profile.fields), Step("message", octets=profile.octets, end=True))


def _cancels(profile: Profile, times: int = (LOOKS + 1) * PIECE // TOGETHER) -> Repeated:
    # A stream whose answers are not taken is under way however late it is cancelled.
    steps: list[Step] = [Step("connect", until=STALLED)] if profile.method.is_server_stream else []
    for number in range(times):
        first = number * TOGETHER
        steps.append(Step("burst", first, profile.fields, message(profile.octets), code=TOGETHER))
        steps.append(Step("pause", seconds=MOMENTS[number % len(MOMENTS)]))
        steps += [Step("reset", first + at, code=CANCEL) for at in range(TOGETHER)]
    return Repeated("a call that is cancelled", _cancelled, profile, tuple(steps))


def cancelling(profile: Profile) -> Case:
    """Ordinary calls of a method that are cancelled, at several moments."""
    return _cancels(profile).case()


def broken_off(profile: Profile) -> Iterator[Case]:
    """Some ordinary calls that are cancelled, at several moments, and some whose deadlines pass."""
    yield _cancels(profile, len(MOMENTS)).case()
    steps = tuple(_lates(profile, len(LATE)))
    yield Case("sequence", profile.path, steps, "any", "calls whose deadlines pass", "CWE-667")


def _lates(profile: Profile, times: int) -> Iterator[Step]:
    for number in range(times):
        fields = _timed(profile, LATE[number % len(LATE)])
        yield Step("burst", number * TOGETHER, fields, message(profile.octets), code=TOGETHER)
        yield Step("wait", until="all")


def left_behind(profile: Profile) -> Iterator[Case]:
    """An ordinary call behind many that were cancelled, or whose deadlines have passed."""
    late = _lates(profile, PIECE // TOGETHER)
    behind = (Step("open", LAST, profile.fields), Step("message", LAST, octets=profile.octets, end=True))
    for about, steps in (("were cancelled", _cancels(profile).steps), ("came to their deadline", tuple(late))):
        yield Case(
            "sequence", profile.path, (*steps, Step("connect"), *behind, Step("wait", LAST, until="end")), "follows",
            f"an ordinary call behind many that {about}",
        )  # fmt: skip


def _looked_at(target: Target, repeated: Repeated, until: float) -> tuple[Observation | None, int]:
    """Do a thing some times: the threads or files that it leaves, or the octets of memory that each time took.

    What takes so long that nothing else would have its time is done once.
    """
    do, profile = repeated.do, repeated.profile
    begun = time.monotonic()
    if not do(target, profile):
        return None, 0
    now = time.monotonic()
    if now - begun > SLOW and (now - begun) * LOOKS > (until - now) * MOST_FOR_ONE:
        return None, 0
    files, before = target.open_files(), target.usage()
    done = sum(do(target, profile) for _ in range(LOOKS))
    after = target.usage()
    if before is None or after is None or not done:
        return None, 0
    seen = None
    if target.open_files() - files >= MOST_FILES or after.threads - before.threads >= MOST_THREADS:
        seen = _kept(target, repeated)
    return seen, (after.memory - before.memory) // done


def _kept(target: Target, repeated: Repeated) -> Observation | None:
    """Whether threads or files are left, each time."""
    about, do, profile = repeated.about, repeated.do, repeated.profile
    shown: list[Observation] = []
    for _ in range(2):
        files, before = target.open_files(), target.usage()
        done = sum(do(target, profile) for _ in range(LOOKS))
        after = target.usage()
        if before is None or after is None or not done:
            return None
        threads = after.threads - before.threads
        if target.open_files() - files < MOST_FILES and threads < MOST_THREADS:
            return None
        time.sleep(GONE)
        after = target.usage()
        threads = after.threads - before.threads if after is not None else 0
        more = target.open_files() - files
        if more >= max(MOST_FILES, done // 16):
            text = f"{about} {done} times: {more} files are left open"
            shown.append(Observation("limit-exceeded", text, ("files",), "", "CWE-775"))
        elif threads >= max(MOST_THREADS, done // 16):
            text = f"{about} {done} times: {threads} threads are left"
            shown.append(Observation("limit-exceeded", text, ("threads",), "", "CWE-772"))
        else:
            return None
    return shown[-1] if shown[0].key == shown[-1].key else None


def _grown(target: Target, repeated: Repeated, seconds: float) -> Observation | None:
    """Whether memory grows with each, stays when there is nothing to do, and grows again."""
    before = target.usage()
    first = _growth(target, repeated, seconds)
    grown = target.usage()
    if first is None or before is None or grown is None:
        return None
    time.sleep(GONE)
    after = target.usage()
    if after is None or after.memory - before.memory < (grown.memory - before.memory) * STAYS:
        return None
    return _growth(target, repeated, seconds)


def _growth(target: Target, repeated: Repeated, seconds: float) -> Observation | None:
    """Whether memory grows with each; it goes on as long as it looks like that."""
    about, do, profile = repeated.about, repeated.do, repeated.profile
    marks: list[int] = []
    least = LEAST * (COLLECTED if target.is_collected() else 1)
    times = unsteady = dropped = 0
    begun = time.monotonic()
    until = begun + seconds
    # A heap that is collected late is to grow much more, which takes its time.
    most = seconds * (LONG_COLLECTED if target.is_collected() else LONG)
    while True:
        usage = target.usage()
        if usage is None:
            return None
        if not dropped and marks and marks[-1] - usage.memory > DROP:
            # What others had left was given back. What grows from there is to come beyond that.
            dropped = marks[-1] - usage.memory
            least = max(least, BEYOND_DROP * dropped)
            marks.clear()
            times = 0
        marks.append(usage.memory)
        now = time.monotonic()
        total = marks[-1] - marks[0]
        if now > until and (len(marks) >= LEAST_MARKS or now > begun + most):
            is_steady = _is_steady(marks)
            unsteady += not is_steady
            if unsteady > UNSTEADY or total < 8 * MEBIBYTE or now > begun + most:
                break
            if is_steady and total >= least and total / max(times, 1) >= PER_TIME:
                break
            until = now + seconds
        done = do(target, profile)
        if not done:
            return None
        times += done
    each = total / max(times, 1)
    if total < least or each < max(PER_TIME, 4 * len(profile.octets)) or not _is_steady(marks):
        return None
    text = f"{about} {times} times: {total >> 20} MiB more, {each / 1024:.0f} KiB with each"
    return Observation("memory", text, ("leak",), "", "CWE-401")


def _is_steady(marks: Sequence[int]) -> bool:
    total = marks[-1] - marks[0]
    quarter = max(len(marks) // 4, 1)
    points = [marks[min(index * quarter, len(marks) - 1)] for index in range(4)] + [marks[-1]]
    return total > 0 and all(points[index + 1] - points[index] >= QUARTER * total for index in range(4))


Calls = list[tuple[Fields, bytes]]


def _others(target: Target, profile: Profile, *, vary: Vary) -> int:
    """Calls with another message and other metadata, never the same ones again, and ordinary ones between them."""
    return _made(target, _various(profile, PIECE // 2, vary))


def _several(target: Target, profile: Profile, *, vary: Vary) -> int:
    """Such calls, and some whose deadlines pass."""
    return _made(target, _various(profile, PIECE // 3, vary) + _short(profile, PIECE // 3))


def _various(profile: Profile, count: int, vary: Vary) -> Calls:
    calls: Calls = []
    for number in (next(UNIQUE) for _ in range(2 * count)):
        mark = b"%08x" % number
        if number % 4 == 0:
            calls.append((profile.fields, _body(profile, profile.octets)))
        else:
            fields = (*profile.fields, *((name, mark) for name in MARKS[number % 2]))
            calls.append((fields, _body(profile, vary(profile, number))))
    return calls


def _body(profile: Profile, octets: bytes) -> bytes:
    """A message, or so many of a stream as do no harm."""
    one = message(octets)
    return one * STREAMED if profile.method.is_client_stream and len(one) * STREAMED <= MOST_STREAMED else one


def _short(profile: Profile, count: int) -> Calls:
    body = message(profile.octets)
    return [(_timed(profile, LATE[number % len(LATE)]), body) for number in range(count)]


def _failed(target: Target, profile: Profile) -> int:
    return _on_a_connection(target, profile, b"\0\0\0\0\4\xff")


def _cancelled(target: Target, profile: Profile) -> int:
    return _on_a_connection(target, profile, message(profile.octets), cancel=True)


def _late(target: Target, profile: Profile) -> int:
    return _made(target, _short(profile, PIECE))


def _unknown(target: Target, profile: Profile) -> int:
    paths = (b"/puregrpc.fuzz.Unknown/Call%d" % next(UNIQUE) for _ in range(PIECE))
    return _made(target, [(_at(profile, path), message(profile.octets)) for path in paths])


def _timed(profile: Profile, timeout: bytes) -> Fields:
    return tuple((name, timeout if name == b"grpc-timeout" else value) for name, value in profile.fields)


def _at(profile: Profile, path: bytes) -> Fields:
    return tuple((name, path if name == b":path" else value) for name, value in profile.fields)


def _on_a_connection(target: Target, profile: Profile, body: bytes, *, cancel: bool = False) -> int:
    is_stream = profile.method.is_server_stream
    return _made(target, [(profile.fields, body)] * PIECE, cancel=cancel, is_stream=is_stream)


def _made(
    target: Target, calls: Sequence[tuple[Fields, bytes]], *, cancel: bool = False, is_stream: bool = False
) -> int:
    """Make calls on a connection of its own, some at a time; how many have ended."""
    try:
        is_stalled = cancel and is_stream
        with target.link(settings=NO_WINDOW, takes_windows=False) if is_stalled else target.link() as link:
            until = time.monotonic() + 3
            while not link.has_settings and not link.closed and time.monotonic() < until:
                link.turn(0.1)
            step = TOGETHER if cancel else AT_ONCE
            begun = time.monotonic()
            for done in range(0, len(calls), step):
                answers = link.burst(calls[done : done + step])
                if cancel:
                    stop = time.monotonic() + MOMENTS[done // step % len(MOMENTS)]
                    while not link.closed and (left := stop - time.monotonic()) > 0:
                        link.turn(left)
                for answer in answers if cancel else ():
                    if not answer.ended:
                        link.reset(answer.stream, CANCEL)
                link.pump(time.monotonic() + 3)
                if link.closed or link.unfinished:
                    return done
                if time.monotonic() - begun > SLOW:
                    return done + len(answers)
            return len(calls)
    except OSError:
        return 0


def _connections(target: Target, profile: Profile) -> int:
    for done in range(CONNECTIONS):
        try:
            with target.link() as link:
                link.call(profile.fields, message(profile.octets))
                link.pump(time.monotonic() + 3)
                if link.unfinished:
                    return done
        except OSError:
            return done
    return CONNECTIONS
