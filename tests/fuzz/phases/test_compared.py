"""Answers of several calls that are compared: pages put together, what is counted, and what is set at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.zoo import ROOT

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.headers import request_fields
from puregrpc.fuzz.checks.words import Profile
from puregrpc.fuzz.connection.running import Outcome
from puregrpc.fuzz.frames.probe import message
from puregrpc.fuzz.phases.counted import counted_cases, miscounted, miscounted_streams, unanswered
from puregrpc.fuzz.phases.pages import page_cases, unlike_pages
from puregrpc.fuzz.phases.together import MANY_REFUSED, around, behind_many, moved, refused_again
from puregrpc.fuzz.values.fields import PRESENT, lost_field
from puregrpc.fuzz.values.generate import Generator
from puregrpc.schema import Registry, load_files

REGISTRY = Registry()
load_files(REGISTRY, [ROOT / "conformance" / "fuzz" / "zoo"], "depot.proto")
GENERATOR = Generator(REGISTRY)
SHELVES = 13


def answered(reply: Any) -> Answer:
    answer = Answer(1, 0.0)
    answer.on_data(message(reply.SerializeToString()))
    answer.on_fields(((b"grpc-status", b"0"),), end=True)
    answer.ended = True
    return answer


def class_of(name: str) -> Any:
    return REGISTRY.message_class(REGISTRY.message(f"depot.v1.{name}"))


def profile_of(name: str, answer: Answer) -> Profile:
    method = next(each for each in REGISTRY.service("depot.v1.Depot").methods if each.name == name)
    return Profile(method, fields=request_fields(method.path, "localhost"), answer=answer, is_steady=True)


def shelves_of(octets: bytes, fault: str) -> Answer:
    request = class_of("ListShelvesRequest").FromString(octets)
    begin = int(request.page_token or 0)
    end = begin + request.page_size
    first = begin + 1 if fault == "loses" and begin else begin
    token = end - 1 if fault == "repeats" else end
    shelves = [{"name": f"shelf {number}"} for number in range(first, min(end, SHELVES))]
    return answered(
        class_of("ListShelvesResponse")(shelves=shelves, next_page_token=str(token) if end < SHELVES else "")
    )


@pytest.mark.parametrize(("fault", "is_found"), [("", False), ("loses", True), ("repeats", True)])
def test_pages_of_one_size_are_those_of_another(fault: str, is_found: bool) -> None:
    profile = profile_of("ListShelves", shelves_of(b"", ""))
    cases = list(page_cases([profile], GENERATOR, lambda each: shelves_of(each.octets, fault)))
    assert len(cases) == is_found
    for case in cases:
        outcome = Outcome()
        for step in case.steps:
            if step.kind == "message":
                octets = step.octets
                if step.take is not None:
                    before = outcome.answers[step.take[0]].messages()[0][0][1]
                    token = class_of("ListShelvesResponse").FromString(before).next_page_token
                    octets += class_of("ListShelvesRequest")(page_token=token).SerializeToString()
                outcome.answers[step.stream] = shelves_of(octets, fault)
        assert [each.check for each in unlike_pages(case, outcome)] == ["property"]


PANTRY = Registry()
load_files(PANTRY, [ROOT / "conformance" / "fuzz" / "zoo"], "pantry.proto")


@pytest.mark.parametrize("most", [4, 100])
@pytest.mark.parametrize(("fault", "is_found"), [("", False), ("repeats", True), ("one more", True)])
def test_pages_with_offsets_are_put_together(fault: str, is_found: bool, most: int) -> None:
    method = next(each for each in PANTRY.service("pantry.v1.Pantry").methods if each.name == "ListEntries")
    request, response = (PANTRY.message_class(each) for each in (method.input_type, method.output_type))

    def ask(profile: Profile) -> Answer:
        asked: Any = request.FromString(profile.octets)
        begin = asked.offset - 1 if fault == "repeats" and asked.offset else asked.offset
        end = begin + min(asked.limit, most) + (fault == "one more")
        return answered(response(entries=[{"name": f"{number}"} for number in range(begin, min(end, SHELVES))]))

    profile = Profile(method, fields=request_fields(method.path, "localhost"))
    profile.answer = ask(profile)
    cases = list(page_cases([profile], GENERATOR, ask))
    assert len(cases) == is_found
    for case in cases:
        outcome = Outcome()
        for step in case.steps:
            if step.kind == "message":
                outcome.answers[step.stream] = ask(Profile(method, octets=step.octets))
        assert [each.check for each in unlike_pages(case, outcome)] == ["property"]


def test_tokens_that_lead_nowhere_are_no_pages() -> None:
    reply = class_of("ListShelvesResponse")(shelves=[{"name": "one"}], next_page_token="MTAw")
    profile = profile_of("ListShelves", answered(reply))
    assert list(page_cases([profile], GENERATOR, lambda _: answered(reply))) == []


@given(st.integers(1, 1 << 40), st.integers(1, 3), st.integers(0, 150), st.booleans())
def test_calls_at_once_count_as_much_as_others(first: int, step: int, lost: int, is_capped: bool) -> None:
    reply = class_of("VisitResponse")
    profile = profile_of("Visit", answered(reply(visits=1)))
    profile.is_steady = False
    counts = iter(range(0, 10, step))
    (case,) = counted_cases([profile], GENERATOR, lambda _: answered(reply(visits=next(counts))))
    numbers = [
        number for each in case.steps if each.kind == "burst" for number in range(each.stream, each.stream + each.code)
    ]
    outcome = Outcome()
    for number in numbers:
        value = first + step * (number - (lost if number > 10 else 0))
        outcome.answers[number] = answered(reply(visits=min(value, first + 20 * step) if is_capped else value))
    assert bool(miscounted(case, outcome)) is (lost > 0 and not is_capped)


@pytest.mark.parametrize(
    ("lines", "is_found"),
    [((2, 3, 300, 2, 3), False), ((2, 3, 44, 2, 3), True), ((2, 3, 300, 2, 2), True), ((2, 3, 300, 1, 2), False),
     ((2, 2, 44, 2, 2), False), ((0, 0, 0, 0, 0), False), ((2, 2, 299, 2, 2, 1, 6), True),
     ((2, 3, 300, 2, 3, 1, 7), False), ((2, 3, 300, 1, 1), True)],
)  # fmt: skip
def test_the_messages_of_streams_are_all_counted_or_none(lines: Sequence[int], is_found: bool) -> None:
    reply = class_of("Inventory")
    (case,) = counted_cases([profile_of("TakeInventory", answered(reply(lines=1)))], GENERATOR, lambda _: None)
    outcome = Outcome(dict(enumerate(answered(reply(lines=each, count=7)) for each in lines)))
    assert bool(miscounted_streams(case, outcome)) is is_found


@pytest.mark.parametrize(
    ("counts", "is_found"),
    [((1, 2, 3, 5, 8, 3), False), ((1, 2, 2, 4, 8, 3), True), ((1, 1, 3, 5, 7, 3), True), ((1, 1, 1, 1, 1, 1), False),
     ((1, 2, 3, 5, 8, 1), True), ((1, 2, 3, 5, 8, 2), False), ((2, 4, 6, 10, 16, 6), False),
     ((1, 3, 3, 5, 8, 3), False), ((1, 2, 2, 4, 7, 2), True), ((1, 1, 2, 3, 4, 2), False)],
)  # fmt: skip
def test_each_message_of_a_conversation_has_an_answer_or_none_need_have(counts: Sequence[int], is_found: bool) -> None:
    method = next(each for each in PANTRY.service("pantry.v1.Pantry").methods if each.name == "Converse")
    one = answered(PANTRY.message_class(method.output_type)(text="a"))
    profile = Profile(method, fields=request_fields(method.path, "localhost"), answer=one, is_steady=True)
    (case,) = counted_cases([profile], GENERATOR, lambda _: None)
    outcome = Outcome()
    for number, count in enumerate(counts):
        answer = outcome.answers[number] = answered(PANTRY.message_class(method.output_type)(text="a"))
        answer.body = one.body * count
    assert bool(unanswered(case, outcome)) is is_found


@pytest.mark.parametrize(
    ("texts", "is_found"),
    [("aabbbbaaaa", False), ("aabbbbaaba", True), ("abbbbbaaba", False), ("aabbbbbbbb", True), ("aa----aaaa", False),
     ("aabbbba-aa", False)],
)  # fmt: skip
def test_what_is_unset_is_not_what_it_was_for_another(texts: str, is_found: bool) -> None:
    for case in around("/depot.v1.Depot/GetShelf", (), b"\x0a\x01a"):
        assert len([step for step in case.steps if step.kind == "open"]) == len(texts)
        outcome = Outcome()
        for number, text in enumerate(texts):
            answer = outcome.answers[number] = answered(class_of("Inventory")(lines=ord(text)))
            answer.trailers = ((b"grpc-status", b"8" if text == "-" else b"0"),)
        assert bool(moved(case, outcome)) is is_found


@given(st.one_of(st.none(), st.integers(-5, 5)), st.one_of(st.none(), st.integers(-5, 5)))
def test_a_default_that_is_set_is_not_one_that_is_unset(sent: int | None, got: int | None) -> None:
    one, other = (class_of("Parcel")(**({} if each is None else {"floor": each})) for each in (sent, got))
    path = (6, PRESENT)
    found = lost_field(one.SerializeToString(), other.SerializeToString(), [(path, path)])
    assert (found is not None) is ((sent is None) != (got is None))


@pytest.mark.parametrize(
    ("stands", "code", "is_found"),
    [(MANY_REFUSED + 5, 0, False), (5, 14, True), (5, 9, True), (5, 8, False), (5, 13, False)],
)
def test_an_ordinary_call_is_not_refused_because_many_others_were(stands: int, code: int, is_found: bool) -> None:
    fields = request_fields("/depot.v1.Depot/GetShelf", "localhost")
    case = behind_many("/depot.v1.Depot/GetShelf", fields, b"", (fields, b"\x0a\x01!"))
    outcome = Outcome()
    refused = 0
    for step in case.steps:
        if step.kind == "message":
            answer = outcome.answers[step.stream] = Answer(step.stream, 0.0)
            refused += bool(step.octets)
            ends = 3 if step.octets else code if refused > stands else 0
            answer.on_fields(((b"grpc-status", b"%d" % ends),), end=True)
            answer.ended = True
            outcome.last = step.stream
    assert [each.check for each in refused_again(case, outcome)] == (["state"] if is_found else [])


NUMBERED = """
syntax = "proto3";
package books.v1;
message SearchRequest { int32 page = 1; int32 page_size = 2; }
message Book { string title = 1; }
message SearchResponse { repeated Book books = 1; }
service Books { rpc Search(SearchRequest) returns (SearchResponse); }
"""


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(("fault", "is_found"), [("", False), ("repeats", True), ("loses", True)])
def test_pages_with_numbers_are_put_together(fault: str, is_found: bool, first: int, tmp_path: Path) -> None:
    (tmp_path / "books.proto").write_text(NUMBERED)
    registry = Registry()
    load_files(registry, [tmp_path], "books.proto")
    (method,) = registry.service("books.v1.Books").methods
    request, response = (registry.message_class(each) for each in (method.input_type, method.output_type))

    def ask(profile: Profile) -> Answer:
        asked: Any = request.FromString(profile.octets)
        number = max(asked.page - first, 0)
        size = asked.page_size or SHELVES
        begin = number * size
        begin += {"repeats": -1, "loses": 1}.get(fault, 0) if number else 0
        end = number * size + size
        return answered(response(books=[{"title": f"{number}"} for number in range(begin, min(end, SHELVES))]))

    profile = Profile(method, fields=request_fields(method.path, "localhost"))
    profile.answer = ask(profile)
    cases = list(page_cases([profile], Generator(registry), ask))
    assert len(cases) == is_found
    for case in cases:
        outcome = Outcome()
        for step in case.steps:
            if step.kind == "message":
                outcome.answers[step.stream] = ask(Profile(method, octets=step.octets))
        assert [each.check for each in unlike_pages(case, outcome)] == ["property"]
