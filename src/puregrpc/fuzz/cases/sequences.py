"""Calls as programs: opened, sent, half-closed and cancelled at each point, and a look at what is left behind."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from dataclasses import replace

from puregrpc.fuzz.cases.case import Case, Expectation, Step
from puregrpc.fuzz.frames.probe import Fields, message

__all__ = ["MARK", "auth_cases", "sequence_cases", "stream_cases", "unending_cases"]

CANCEL = 8
QUICK = 0.02
"""Seconds in which a handler has begun."""
DEADLINE = "200m"
CALLERS = (
    b"x-user", b"x-user-id", b"x-tenant-id", b"tenant", b"x-request-id", b"x-session-id", b"accept-language", b"x-role",
    b"x-locale", b"x-api-key", b"x-trace-id", b"x-client-id",
)  # fmt: skip
"""By which servers tell callers."""
HEXADECIMAL = re.compile(rb"[0-9A-Fa-f-]*")
UNSIGNED_JWT = urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=")
MARK = b"leak1234"
"""What another caller is called."""
TOO_SHORT = (b"1m", b"2m", b"3m", b"5m", b"10m", b"20m")
"""Deadlines that pass while handlers are under way."""
LENGTHS = (0, 2, 3, 300)
IN_A_FRAME = 20
UNENDING = 80
"""Calls, more than a server has threads for."""
UNENDING_SECONDS = 2.5
MANY = 300
"""Calls, more than a server has places for."""


def sequence_cases(
    path: str,
    fields: Fields,
    octets: bytes,
    *,
    client_stream: bool,
    server_stream: bool,
    deadline_fields: Fields,
    unusual: bytes,
    longer: bytes,
) -> Iterator[Case]:
    """The sequences of one method, whose ordinary call has these fields and this message.

    ``deadline_fields`` are the fields of a call with the deadline `DEADLINE`; ``unusual`` is a message that nobody has
    sent before, ``longer`` one with long texts in which `MARK` is.
    """
    body = message(octets)

    def case(
        about: str, steps: Sequence[Step], expects: Expectation, *, seconds: float = 0.0, severity: str = ""
    ) -> Case:
        return Case("sequence", path, tuple(steps), expects, about, seconds=seconds, severity=severity)

    def follow(stream: int) -> list[Step]:
        return [
            Step("open", stream, fields),
            Step("data", stream, octets=body, end=True),
            Step("wait", stream, until="end"),
        ]

    begun = Step("open", 0, fields)
    sent = Step("data", 0, octets=body)
    half_closed = Step("data", 0, octets=body, end=True)
    cancelled = Step("reset", 0, code=CANCEL)
    ways: list[tuple[str, list[Step]]] = [
        ("its HEADERS", [begun]),
        ("a part of its prefix", [begun, Step("data", 0, octets=b"\0\0")]),
        ("its prefix", [begun, Step("data", 0, octets=body[:5])]),
        ("a part of its message", [begun, Step("data", 0, octets=body[:-1])]) if len(octets) > 1 else ("", []),
        ("its message", [begun, sent]),
        ("its message, a moment later", [begun, sent, Step("pause", seconds=QUICK)]),
        ("its half-close", [begun, half_closed]),
        ("its half-close, at once", [begun, half_closed, Step("pause", seconds=0.002)]),
        ("its half-close, a moment later", [begun, half_closed, Step("pause", seconds=QUICK)]),
    ]  # fmt: skip
    if server_stream:
        ways.append(("its first answer", [begun, half_closed, Step("wait", 0, until="message", seconds=0.5)]))
    if client_stream and server_stream:
        ways.append(("its first answer, half open", [begun, sent, Step("wait", 0, until="message", seconds=0.3)]))
    yield case("half-closed with HEADERS", [Step("open", 0, fields, end=True), Step("wait", 0, until="end")], "any")
    yield case(
        "half-closed by an empty DATA frame",
        [begun, sent, Step("data", 0, end=True), Step("wait", 0, until="end")],
        "same",
    )
    others = (*fields, *((name, MARK) for name in CALLERS))
    yield case(
        "a call after one of another caller",
        [Step("open", 0, others), half_closed, Step("wait", 0, until="end"), Step("connect"), *follow(1)],
        "follows",
    )
    yield case(
        "a call after one of another caller on its connection",
        [Step("open", 0, others), half_closed, Step("wait", 0, until="end"), *follow(1)],
        "follows",
    )
    if longer != octets:
        yield case(
            "a call after one with longer texts",
            [begun, Step("data", 0, octets=message(longer), end=True), Step("wait", 0, until="end"), *follow(1)],
            "follows",
        )
        yield case(
            "a call with nothing in it after one with long texts",
            [begun, Step("data", 0, octets=message(longer), end=True), Step("wait", 0, until="end"), Step("connect"),
             Step("open", 1, fields), Step("data", 1, octets=message(b""), end=True), Step("wait", 1, until="end")],
            "any",
        )  # fmt: skip
    asked = Step("data", 0, octets=message(unusual), end=True)
    yield case(
        "a call after another caller's with the same message",
        [Step("open", 0, others), asked, Step("wait", 0, until="end"), Step("connect"), Step("open", 1, fields),
         replace(asked, stream=1), Step("wait", 1, until="end")],
        "any",
    )  # fmt: skip
    late: list[Step] = []
    for number, timeout in enumerate(TOO_SHORT * 2):
        short = tuple((name, timeout if name == b"grpc-timeout" else value) for name, value in fields)
        late += [
            Step("open", number, short), replace(half_closed, stream=number),
            Step("wait", number, until="end", seconds=0.3),
        ]  # fmt: skip
    yield case("a call after some whose deadlines have passed", [*late, *follow(len(TOO_SHORT) * 2)], "follows")
    moments: list[Step] = []
    for number in range(12):
        moments += [
            Step("open", number, fields), Step("data", number, octets=body, end=True),
            Step("pause", seconds=0.001 * 1.5**number), Step("reset", number, code=CANCEL),
        ]  # fmt: skip
    yield case("a call after some that were cancelled at different moments", [*moments, *follow(12)], "follows")
    slots: list[Step] = []
    for number in range(MANY):
        slots += [
            Step("open", number, fields), Step("data", number, octets=body, end=True), Step("pause", seconds=0.002),
            Step("reset", number, code=CANCEL),
        ]  # fmt: skip
    yield case(
        f"a call after {MANY} that were cancelled one after the other",
        [*slots, Step("pause", seconds=0.2), *follow(MANY)],
        "follows",
    )
    for about, broken in (("a message that is cut", body[:5] + b"\xff\xff"), ("a prefix that lies", b"\0\0\0\1\0")):
        yield case(
            f"a call after {about}",
            [begun, Step("data", 0, octets=broken, end=True), Step("wait", 0, until="end", seconds=1.0), *follow(1)],
            "follows",
        )
    if not client_stream:
        yield case(
            "a call beside one that is not half-closed",
            [begun, sent, Step("pause", seconds=QUICK), *follow(1)],
            "follows",
        )
    yield case(
        "half-closed a while after its message",
        [begun, sent, Step("pause", seconds=0.1), Step("data", 0, end=True), Step("wait", 0, until="end")],
        "same",
    )
    yield case(
        "its message octet by octet",
        [begun, *(Step("data", 0, octets=body[at : at + 1]) for at in range(min(len(body), 400))),
         *([Step("data", 0, octets=body[400:])] if len(body) > 400 else []), Step("data", 0, end=True),
         Step("wait", 0, until="end")],
        "same",
    )  # fmt: skip
    yield case(
        "DATA behind the half-close",
        [begun, half_closed, sent, Step("wait", 0, until="end", seconds=1.0)],
        "nothing",
        seconds=1.0,
    )
    yield case(
        "two calls at once",
        [begun, Step("open", 1, fields), sent, Step("data", 1, octets=body, end=True), Step("data", 0, end=True),
         Step("wait", 0, until="end"), Step("wait", 1, until="end")],
        "same",
    )  # fmt: skip
    if client_stream and server_stream:
        turns: list[Step] = []
        for _ in range(3):
            turns += [Step("message", 0, octets=octets), Step("wait", 0, until="message", seconds=0.1)]
        yield case(
            "messages by turns", [begun, *turns, Step("data", 0, end=True), Step("wait", 0, until="end")], "answer"
        )
    if not server_stream:
        # The response of a stream may go on beyond its deadline where servers keep it for the response's head alone.
        for about, first in (("", []), (", after its message", [sent])):
            yield case(
                f"a deadline of {DEADLINE} for a call that is not half-closed{about}",
                [Step("open", 0, deadline_fields), *first, Step("wait", 0, until="end", seconds=3.0)],
                "any",
                seconds=0.2,
            )
    for about, steps in reversed(ways):
        if not steps:
            continue
        yield case(f"a call after one that was cancelled after {about}", [*steps, cancelled, *follow(1)], "follows")
        for how in ("closed", "broken"):
            yield case(
                f"a call after a connection that was {how} after {about}",
                [*steps, Step("close", code=int(how == "broken")), Step("connect"), *follow(1)],
                "follows",
            )
    for count in (10, 50):
        many: list[Step] = []
        for number in range(count):
            many += [
                Step("open", number, fields), Step("data", number, octets=body, end=number % 2 == 0),
            ]  # fmt: skip
        resets = [Step("reset", number, code=CANCEL) for number in range(count)]
        yield case(
            f"a call after {count} that were cancelled together",
            [*many, Step("pause", seconds=QUICK), *resets, *follow(count)],
            "follows",
        )
        yield case(
            f"a call after a connection with {count} of them was broken",
            [*many, Step("pause", seconds=QUICK), Step("close", code=1), Step("connect"), *follow(count)],
            "follows",
        )


def unending_cases(path: str, fields: Fields, octets: bytes, canary: tuple[str, Fields, bytes]) -> Iterator[Case]:
    """An ordinary call of another method (path, fields, message) behind many that have no end and were cancelled."""
    steps: list[Step] = []
    for number in range(UNENDING):
        steps += [Step("open", number, fields), Step("data", number, octets=message(octets), end=True)]
    steps.append(Step("pause", seconds=0.2))
    steps += [Step("reset", number, code=CANCEL) for number in range(UNENDING)]
    # Who asks now and then whether its client is there still has time to do so.
    steps += [Step("pause", seconds=UNENDING_SECONDS), Step("connect")]
    other, other_fields, other_octets = canary
    steps += [
        Step("open", UNENDING, other_fields), Step("data", UNENDING, octets=message(other_octets), end=True),
        Step("wait", UNENDING, until="end"),
    ]  # fmt: skip
    about = f"an ordinary call behind {UNENDING} of {path.rpartition('/')[2]} that were cancelled"
    yield Case("sequence", other, tuple(steps), "follows", about, "CWE-404")


def stream_cases(path: str, fields: Fields, messages: Sequence[bytes]) -> Iterator[Case]:
    """A stream of requests of every length, each message the same, and then the given ones in turn."""
    for count in LENGTHS:
        for kinds in (messages[:1], messages):
            if len(kinds) > 1 and count < 2:
                continue
            steps = [Step("open", 0, fields)]
            bodies = [message(kinds[at % len(kinds)]) for at in range(count)]
            # Servers may find many small frames too much, however many messages are in them.
            size = 1 if count < IN_A_FRAME else IN_A_FRAME
            steps += [Step("data", 0, octets=b"".join(bodies[at : at + size])) for at in range(0, count, size)]
            steps += [Step("data", 0, end=True), Step("wait", 0, until="end")]
            about = f"{count} messages{' that differ' if len(kinds) > 1 else ''}, then half-closed"
            yield Case("sequence", path, tuple(steps), "answer", about)
            if len(messages) == 1:
                break


AUTH_VARIANTS: tuple[tuple[str, bytes | None], ...] = (
    ("without the credentials", None), ("with empty credentials", b""), ("with other credentials", b"x"),
    ("with Bearer alone", b"Bearer"), ("with Bearer and nothing", b"Bearer "), ("with Bearer null", b"Bearer null"),
    ("with Bearer undefined", b"Bearer undefined"), ("with Basic and nothing", b"Basic Og=="), ("with a space", b" "),
    ("with a comma", b","), ("with JSON", b"{}"), ("with true", b"true"), ("with 0", b"0"), ("with *", b"*"),
    ("with admin", b"admin"),
)  # fmt: skip


def _turned(octets: bytes) -> bytes:
    """As long, and of the same kinds of characters, none of them the same."""
    return bytes(
        b"bcdefghijklmnopqrstuvwxyza"[each - 97] if 97 <= each <= 122
        else b"BCDEFGHIJKLMNOPQRSTUVWXYZA"[each - 65] if 65 <= each <= 90
        else b"1234567890"[each - 48] if 48 <= each <= 57 else each
        for each in octets
    )  # fmt: skip


def auth_cases(path: str, fields: Fields, octets: bytes, credentials: Fields) -> Iterator[Case]:
    """Calls of a method without what would let them in. ``fields`` are those of a call without credentials."""
    bare = path.removeprefix("/")
    service, _, method = bare.rpartition("/")
    body = (Step("data", octets=message(octets), end=True),)

    def case(about: str, changed: Fields) -> Case:
        return Case("header", path, (Step("open", fields=changed), *body), "auth", about, "OWASP API2", "critical")

    def at(other: str) -> Fields:
        return tuple((name, other.encode() if name == b":path" else value) for name, value in fields)

    for about, value in AUTH_VARIANTS:
        if value is None:
            yield case(f"a call {about}", fields)
            continue
        for name, real in credentials or ((b"authorization", b""),):
            if value != real:
                yield case(f"a call {about}", (*fields, (name, value)))
    for name, real in credentials:
        wrong = [real[:-1], real + b"x", real.swapcase(), real[:1], b"Bearer " + real[:3], real.split(b" ")[0] + b" "]
        prefixless = real.split(b" ")[-1]
        wrong += [prefixless[:1], b"Bearer " + prefixless[:1], b"Bearer x", b"bearer x", real[: len(real) // 2]]
        for value in dict.fromkeys(wrong):
            if value not in (real, prefixless) and value.lower() != real.lower():
                yield case("a call with a part of the credentials", (*fields, (name, value)))
        scheme = real[: len(real) - len(prefixless)]
        yield case("a call with other credentials of that length", (*fields, (name, scheme + _turned(prefixless))))
        if prefixless.count(b".") == 2:
            unsigned = b".".join((UNSIGNED_JWT, prefixless.split(b".")[1], b""))
            yield case("a call with a token that is not signed", (*fields, (name, scheme + unsigned)))
        # What is a number of sixteen digits a place may be written either way.
        if not HEXADECIMAL.fullmatch(prefixless) and prefixless.swapcase() != prefixless:
            yield case("a call with the credentials in another case", (*fields, (name, scheme + prefixless.swapcase())))
        yield case("a call with wrong credentials twice", (*fields, (name, b"x"), (name, b"y")))
        yield case("a call with the credentials' name in -bin", (*fields, (name + b"-bin", b"YQ")))
    own = Step("open", 0, (*fields, *credentials))
    answered = (replace(body[0], stream=0), Step("wait", 0, until="end"))
    later = (Step("open", 1, fields), replace(body[0], stream=1), Step("wait", 1, until="end"))
    if credentials:
        for about, between in (("on the same connection", ()), ("on another connection", (Step("connect"),))):
            about = f"a call without the credentials after one with them, {about}"
            yield Case("header", path, (own, *answered, *between, *later), "auth", about, "OWASP API2", "critical")
    for other in (
        bare, "//" + bare, path + "/", f"/{service}//{method}", f"/{service}/{method}?x", f"/./{bare}", path.lower(),
        f"/{service}/{method} ", f"/{service}%2F{method}", f"/a/../{bare}", f"{path}#", path.upper(),
        f"/{bare}/../{method}",
        f"{path};", f"/grpc.health.v1.Health/../{bare}",
    ):  # fmt: skip
        yield case(f"a call without the credentials by the path {other}", at(other))
    for name, value in (
        (b"x-forwarded-for", b"127.0.0.1"), (b"x-real-ip", b"127.0.0.1"), (b"x-internal", b"true"),
        (b"x-admin", b"true"),
        (b"x-user", b"admin"), (b"x-user-id", b"1"), (b"x-role", b"admin"), (b"x-debug", b"1"), (b"debug", b"true"),
        (b"x-test", b"true"), (b"x-skip-auth", b"true"), (b"x-original-url", b"/grpc.health.v1.Health/Check"),
        (b"x-authenticated", b"true"), (b"x-forwarded-user", b"admin"), (b"x-envoy-internal", b"true"),
        (b"x-service", b"internal"), (b"user-agent", b"grpc-health-probe"), (b"user-agent", b"kube-probe/1.2"),
    ):  # fmt: skip
        yield case(f"a call without the credentials, with {name.decode()}: {value.decode()}", (*fields, (name, value)))
    for content_type in (b"application/grpc+json", b"application/grpc-web", b"application/grpc+proto"):
        changed = tuple((name, content_type if name == b"content-type" else value) for name, value in fields)
        yield case(f"a call without the credentials of {content_type.decode()}", changed)
    for authority in (b"localhost", b"127.0.0.1", b""):
        changed = tuple((name, authority if name == b":authority" else value) for name, value in fields)
        yield case(f"a call without the credentials to the authority {authority.decode()!r}", changed)
