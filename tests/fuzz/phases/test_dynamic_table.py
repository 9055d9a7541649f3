"""Calls behind refused ones: what is sent for them, and which answers are findings."""

from __future__ import annotations

import hpack
import pytest

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import Case
from puregrpc.fuzz.cases.conversations import split
from puregrpc.fuzz.cases.headers import request_fields
from puregrpc.fuzz.connection.running import Outcome
from puregrpc.fuzz.frames.probe import CONTINUATION, HEADERS, Fields
from puregrpc.fuzz.phases.dynamic_table import BEFORE, BEHIND, LAST_FIELD, ODD_FIELDS, behind_refused, told_apart

FIELDS = request_fields("/shop.v1.Shop/GetItem", "localhost", timeout="2S")
CASES = list(behind_refused("/shop.v1.Shop/GetItem", FIELDS, b"\x0a\x01a"))


@pytest.mark.parametrize(("case", "odd"), list(zip(CASES, ODD_FIELDS, strict=True)), ids=lambda each: str(each)[:30])
def test_the_last_call_has_the_fields_of_the_ordinary_one(case: Case, odd: tuple[str, bytes, bytes]) -> None:
    blocks: dict[int, bytes] = {}
    for each in split(case.steps[0].octets)[1:]:
        if each[3] in (HEADERS, CONTINUATION):
            stream = int.from_bytes(each[5:9], "big")
            blocks[stream] = blocks.get(stream, b"") + each[9:]
    decoder = hpack.Decoder(max_header_list_size=1 << 20)
    before, refused, behind = (fields_in(decoder, block) for block in blocks.values())
    assert before == FIELDS
    assert refused == (*FIELDS, odd[1:], LAST_FIELD)
    assert behind == (*FIELDS, LAST_FIELD)
    if len(odd[2]) < 4096:  # else the table holds nothing of before
        assert len(blocks[BEHIND]) < 30  # indexes


def fields_in(decoder: hpack.Decoder, block: bytes) -> Fields:
    return tuple((bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True))


def answer(code: int | None = None, reset: int | None = None) -> Answer:
    made = Answer(1, 0.0)
    if code is not None:
        made.on_fields(((b":status", b"200"), (b"grpc-status", b"%d" % code)), end=True)
    made.reset = reset
    made.ended = code is not None or reset is not None
    return made


@pytest.mark.parametrize(
    ("before", "behind", "closed", "goaway", "is_found"),
    [
        (answer(0), answer(0), "", None, False),
        (answer(0), answer(reset=2), "", None, True),
        (answer(0), answer(2), "", None, True),
        (answer(0), answer(), "", None, True),
        (answer(0), None, "", None, True),
        (answer(0), answer(8), "", None, False),
        (answer(0), answer(reset=2), "closed by the peer", None, False),
        (answer(0), None, "", 1, False),
        (answer(), answer(reset=2), "", None, False),
        (answer(reset=2), answer(reset=1), "", None, False),
        (None, None, "", None, False),
    ],
)
def test_which_answers_are_findings(
    before: Answer | None, behind: Answer | None, closed: str, goaway: int | None, is_found: bool
) -> None:
    answers = {number: each for number, each in ((BEFORE, before), (BEHIND, behind)) if each is not None}
    outcome = Outcome(answers=answers, closed=closed, goaway=goaway, last=BEHIND)
    assert bool(told_apart(CASES[0], outcome)) == is_found
