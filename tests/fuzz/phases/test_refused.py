"""Calls that are refused: what credentials are tried, and what is left of room behind refusals."""

from __future__ import annotations

import pytest

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.headers import request_fields
from puregrpc.fuzz.cases.sequences import auth_cases
from puregrpc.fuzz.connection.running import Outcome
from puregrpc.fuzz.phases.together import FULL, MANY_REFUSED, behind_many, refused_again

PATH = "/a.A/B"
FIELDS = request_fields(PATH, "localhost")
JWT = b"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmVk"


def values_of(credentials: bytes) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for case in auth_cases(PATH, FIELDS, b"", ((b"authorization", credentials),)):
        for name, value in case.steps[0].fields:
            if name == b"authorization":
                found.setdefault(case.about, []).append(value)
    return found


@pytest.mark.parametrize(
    ("credentials", "other"), [(b"Bearer letmein", b"Bearer LETMEIN"), (b"k-Xyz", b"K-xYZ"), (b"Bearer 0aF-9", None)]
)
def test_credentials_in_another_case_are_others_unless_they_are_numbers(
    credentials: bytes, other: bytes | None
) -> None:
    found = values_of(credentials).get("a call with the credentials in another case", [])
    assert found == ([] if other is None else [other])


def test_credentials_of_the_same_length_have_no_character_in_common() -> None:
    (found,) = values_of(b"Bearer a-9Zz")["a call with other credentials of that length"]
    assert found == b"Bearer b-0Aa"


@pytest.mark.parametrize("credentials", [JWT, b"Bearer letmein"])
def test_a_token_without_its_signature_is_tried_where_there_is_one(credentials: bytes) -> None:
    found = values_of(credentials).get("a call with a token that is not signed", [])
    assert bool(found) is (credentials == JWT)
    assert all(each.endswith(b".eyJzdWIiOiJhIn0.") and each != JWT for each in found)


@pytest.mark.parametrize(("times", "last", "is_found"), [
    (FULL, 8, True), (FULL, 14, True), (FULL, 0, False), (MANY_REFUSED, 8, False), (MANY_REFUSED, 7, True),
])  # fmt: skip
def test_room_that_is_lost_with_refusals_is_told_from_a_busy_server(times: int, last: int, is_found: bool) -> None:
    case = behind_many(PATH, FIELDS, b"", (FIELDS, b"x"), times)
    outcome = Outcome()
    for step in case.steps:
        if step.kind == "open":
            code = 3
            answer = outcome.answers[step.stream] = Answer(step.stream, 0.0)
            outcome.last = step.stream
            if step.stream == 0:
                code = 0
            elif step.stream == times + 1:
                code = last
            answer.on_fields(((b"grpc-status", b"%d" % code),), end=True)
    assert bool(refused_again(case, outcome)) is is_found
