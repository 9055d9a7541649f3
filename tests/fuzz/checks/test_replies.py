"""What comes back of what was sent, and what the same requests are answered with."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from tests.fuzz.zoo import SHOP

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.checks.replies import Replies
from puregrpc.fuzz.checks.words import Profile
from puregrpc.fuzz.connection.running import Outcome
from puregrpc.fuzz.frames.probe import Fields, message
from puregrpc.fuzz.phases.together import bursts, unlike, ways
from puregrpc.schema import Registry, load_files

LIBRARY = SHOP.with_name("library.proto")
ASKED: Fields = ((b"grpc-encoding", b"gzip"),)


@pytest.fixture(scope="module")
def registry() -> Registry:
    registry = Registry()
    load_files(registry, [LIBRARY.parent], LIBRARY.name)
    return registry


def answered(body: bytes, *head: tuple[bytes, bytes]) -> Answer:
    answer = Answer(1, 0.0)
    answer.on_fields(((b":status", b"200"), (b"content-type", b"application/grpc"), *head), end=False)
    answer.on_data(body)
    answer.on_fields(((b"grpc-status", b"0"),), end=True)
    answer.ended = True
    return answer


@pytest.mark.parametrize(
    ("name", "number", "sent", "given", "problem"),
    [
        ("id", 1, 2**53 + 1, 2**53 + 1, ""),
        ("id", 1, 2**53 + 1, 2**53, "digits are lost"),
        ("id", 1, 2**53 + 1, 0, ""),
        ("id", 1, 2**32 + 70_000, 70_000, "only 32 of its bits"),
        ("id", 1, 10**9 * 9, 1000, ""),
        ("title", 2, "caf\u00e9", "caf\u00e9", ""),
        ("title", 2, "caf\u00e9", "caf\u00c3\u00a9", "in another encoding"),
        ("title", 2, "caf\u00e9", "caf\ufffd", "characters are lost"),
        ("title", 2, "caf\u00e9" * 90, "caf\u00e9", ""),
    ],
)
def test_values_that_come_back(
    registry: Registry, name: str, number: int, sent: object, given: object, problem: str
) -> None:
    method = registry.method("library.v1.Library/GetBook")
    request: Any = registry.message_class(method.input_type)(**{name: sent})
    reply: Any = registry.message_class(method.output_type)(**{name: given})
    steps = (Step("open"), Step("message", octets=request.SerializeToString(), end=True))
    case = Case("schema", method.path, steps, path=(number,))
    answer = answered(message(reply.SerializeToString()))
    found = Replies(registry).look(case, answer, Profile(method), is_valid=True, is_whole=True)
    assert [each.summary for each in found] == ([f"{name} comes back, and {problem}"] if problem else [])


def test_compressed_replies_are_read(registry: Registry) -> None:
    method = registry.method("library.v1.Library/GetBook")

    def look(body: bytes, fields: Fields) -> list[str]:
        case = Case("schema", method.path, (Step("open", fields=fields), Step("message", end=True)))
        answer = answered(message(body, 1), (b"grpc-encoding", b"gzip"))
        seen = Replies(registry).look(case, answer, Profile(method), is_valid=True, is_whole=True)
        return [each.check for each in seen]

    assert look(gzip.compress(b"\x08\x01"), ASKED) == []
    assert look(gzip.compress(b"\x08\x01"), ()) == ["protocol-violation"]
    assert look(gzip.compress(b"\xff"), ASKED) == ["bad-reply"]
    assert look(b"no gzip", ASKED) == ["bad-reply"]


def test_the_same_request_is_answered_alike() -> None:
    case = next(bursts("/a.B/C", (), [message(b"a"), message(b"b")], 0.001, 2.0))
    asked = {
        number: step.octets
        for step in case.steps
        if step.kind == "burst"
        for number in range(step.stream, step.stream + step.code)
    }
    assert case.calls == len(asked) == 400
    assert {bytes(octets[5:]) for octets in asked.values()} == {b"a", b"b"}
    answers = {number: answered(octets) for number, octets in asked.items()}
    assert unlike(case, Outcome(answers)) == []
    answers[7] = answered(message(b"c"))
    assert [each.check for each in unlike(case, Outcome(answers))] == ["state"]
    answers[7].ended = False
    assert unlike(case, Outcome(answers)) == []


def test_a_call_that_takes_long_is_not_made_many_times_at_once() -> None:
    assert list(bursts("/a.B/C", (), [message(b"a")], 0.5, 2.0)) == []


def test_who_answers_differently_each_time_is_left_in_peace() -> None:
    (case,) = ways("/a.B/C", (), [b"a", b"b"])
    one, other = answered(message(b"1")), answered(message(b"2"))
    assert unlike(case, Outcome({0: one, 1: one, 2: one, 3: one})) == []
    assert [each.check for each in unlike(case, Outcome({0: one, 1: other, 2: one, 3: one}))] == ["state"]
    assert unlike(case, Outcome({0: one, 1: one, 2: one, 3: other})) == []
