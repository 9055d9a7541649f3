"""What is said of answers: each oracle with an answer that is wrong and one that is right."""

from __future__ import annotations

import pytest
from tests.fuzz.zoo import SHOP

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import Case, Expectation, Level, Step, case_from_json, case_to_json
from puregrpc.fuzz.checks.judge import Judge
from puregrpc.fuzz.checks.words import Profile
from puregrpc.fuzz.frames.probe import Fields, message
from puregrpc.schema import Registry, load_files

HEAD: Fields = ((b":status", b"200"), (b"content-type", b"application/grpc"))


@pytest.fixture(scope="module")
def registry() -> Registry:
    registry = Registry()
    load_files(registry, [SHOP.parent], SHOP.name)
    return registry


def answered(*trailers: tuple[bytes, bytes], body: bytes = b"", head: Fields = HEAD, seconds: float = 0.01) -> Answer:
    answer = Answer(1, 100.0)
    answer.on_fields(head, end=False)
    answer.on_data(body)
    answer.on_fields(trailers, end=True)
    answer.ended = True
    answer.finished = 100.0 + seconds
    return answer


def checks(registry: Registry, answer: Answer, expects: Expectation = "answer", *, sent: bytes = b"") -> list[str]:
    method = registry.method("shop.v1.Shop/GetItem")
    profile = Profile(method)
    profile.answer = answered((b"grpc-status", b"0"), body=message(b"\x0a\x01a"))
    profile.is_steady = True
    profile.seconds = 0.01
    steps = (Step("open", fields=HEAD), Step("message", octets=sent, end=True))
    case = Case("schema", method.path, steps, expects, "a case")
    return [seen.check for seen in Judge(registry, deadline=2.0).judge(case, answer, profile)]


OK = (b"grpc-status", b"0")


@pytest.mark.parametrize(
    ("answer", "expects", "check"),
    [
        (answered(OK, body=message(b"\x0a\x01a")), "answer", None),
        (answered((b"grpc-status", b"13")), "answer", "internal-status"),
        (answered((b"grpc-status", b"2")), "any", None),
        (answered((b"grpc-status", b"3")), "answer", None),
        (answered((b"grpc-status", b"3"), (b"grpc-message", b'File "/srv/x.py", line 3')), "any", "leak-of-internals"),
        (answered((b"grpc-status", b"5"), (b"grpc-message", b"no item 0x12 in /shop/items")), "any", None),
        (answered((b"grpc-status", b"13"), (b"grpc-message", b"panic: runtime error")), "any", "leak-of-internals"),
        (answered(OK, body=message(b"\xff")), "answer", "bad-reply"),
        (answered(OK, body=message(b"\x0a\x02\xc3\x28")), "answer", "bad-reply"),
        (answered(OK, body=message(b"\xfa\x01\x01a")), "answer", "bad-reply"),
        (answered(OK), "answer", "bad-reply"),
        (answered(OK, body=message(b"") + b"\0"), "answer", "protocol-violation"),
        (answered((b"x", b"y"), body=message(b"")), "answer", "protocol-violation"),
        (answered(OK, body=message(b""), head=(*HEAD, (b"Upper", b"1"))), "answer", "protocol-violation"),
        (answered(OK, body=message(b"")), "refusal", "accepted-invalid"),
        (answered((b"grpc-status", b"12")), "refusal", None),
        (answered(OK, body=message(b"\x0a\x01a")), "auth", "ignored-auth"),
        (answered((b"grpc-status", b"16")), "auth", None),
        (answered(OK, body=message(b"\x0a\x01b")), "follows", "state"),
        (answered(OK, body=message(b"\x0a\x01a")), "follows", None),
        (answered((b"grpc-status", b"4"), seconds=2.0), "answer", "hang"),
        (answered((b"grpc-status", b"5"), (b"grpc-status", b"0")), "answer", "protocol-violation"),
        (answered((b"grpc-status", b"5"), (b"grpc-message", b"caf\xc3\xa9")), "answer", "protocol-violation"),
        (answered((b"grpc-status", b"5"), (b"grpc-message", b"caf%C3%A9")), "answer", None),
        (answered(OK, body=message(b""), head=HEAD[:1]), "answer", "protocol-violation"),
        (answered((b"grpc-status", b"5"), head=((b":status", b"500"), HEAD[1])), "answer", "protocol-violation"),
        (answered((b"grpc-status", b"5"), (b"grpc-status-details-bin", b"CAU")), "answer", None),
        (answered((b"grpc-status", b"5"), (b"grpc-status-details-bin", b"CAM")), "answer", "bad-reply"),
        (answered((b"grpc-status", b"5"), (b"grpc-status-details-bin", b"!")), "answer", "bad-reply"),
        (answered(OK, body=message(b"", 1)), "answer", "protocol-violation"),
        (answered(OK, body=message(b"\x0a\x15root:x:0:0:root:/root")), "any", "leak-of-internals"),
        (answered((b"grpc-status", b"4"), seconds=0.1), "answer", None),
    ],
)  # fmt: skip
def test_an_answer_is_judged(registry: Registry, answer: Answer, expects: Expectation, check: str | None) -> None:
    assert checks(registry, answer, expects) == ([check] if check else [])


def test_what_the_request_said_is_no_leak(registry: Registry) -> None:
    answer = answered((b"grpc-status", b"5"), (b"grpc-message", b"no file /etc/passwd"))
    assert checks(registry, answer, "any") == ["leak-of-internals"]
    assert checks(registry, answer, "any", sent=b"\x0a\x0b/etc/passwd") == []


def test_a_malformed_field_may_be_quoted_but_not_come_from_elsewhere(registry: Registry) -> None:
    answer = answered((b"grpc-status", b"13"), (b"grpc-message", b"illegal key a\0"))
    method = registry.method("shop.v1.Shop/GetItem")
    judge = Judge(registry, deadline=2.0)
    for fields, found in (((b"a\0", b"b"),), []), ((), ["protocol-violation"]):
        steps = (Step("open", fields=(*HEAD, *fields)), Step("message", octets=b"", end=True))
        case = Case("header", method.path, steps, "any", "a case")
        assert [seen.check for seen in judge.judge(case, answer, Profile(method))] == found


def test_no_answer_is_a_hang(registry: Registry) -> None:
    assert checks(registry, Answer(1, 100.0)) == ["hang"]


def test_a_case_is_kept_as_json() -> None:
    steps = (
        Step("open", fields=((b"a", b"\xff"),)),
        Step("message", octets=b"\0\xff", end=True),
        Step("reset", code=8),
    )
    case = Case("sequence", "/a.B/C", steps, "follows", "about", "RFC", seconds=0.5)
    assert case_from_json(case_to_json(case)) == case


def test_a_deadline_has_not_passed_long_before_its_time(registry: Registry) -> None:
    method = registry.method("shop.v1.Shop/GetItem")
    profile = Profile(method)
    profile.answer = answered(OK, body=message(b"\x0a\x01a"))
    profile.seconds = 0.01
    judge = Judge(registry, deadline=2.0)
    for timeout, seconds, found in (
        (b"99999999H", 0.01, ["protocol-violation"]), (b"1S", 0.01, ["protocol-violation"]), (b"1S", 0.3, []),
        (b"5m", 0.01, []), (b"later", 0.01, []),
    ):  # fmt: skip
        steps = (Step("open", fields=(*HEAD, (b"grpc-timeout", timeout))), Step("message", octets=b"", end=True))
        answer = answered((b"grpc-status", b"4"), seconds=seconds)
        case = Case("header", method.path, steps, "answer", "a case")
        assert [seen.check for seen in judge.judge(case, answer, profile)] == found


@pytest.mark.parametrize(
    ("code", "seconds", "level", "check"),
    [(8, 0.01, "schema", ["internal-status"]), (8, 1.9, "schema", ["hang"]), (8, 0.01, "header", []),
     (2, 0.01, "schema", ["internal-status"]), (1, 0.01, "schema", ["protocol-violation"])],
)  # fmt: skip
def test_a_call_that_is_reset_at_once_was_dropped(
    registry: Registry, code: int, seconds: float, level: Level, check: list[str]
) -> None:
    """As hyper resets the calls of handlers that panic."""
    answer = Answer(1, 0.0)
    answer.reset, answer.ended, answer.finished = code, True, seconds
    profile = Profile(registry.method("shop.v1.Shop/GetItem"))
    profile.seconds = 0.01
    case = Case(level, profile.path, (), "answer", "an ordinary message")
    assert [each.check for each in Judge(registry, deadline=2.0).judge(case, answer, profile)] == check
