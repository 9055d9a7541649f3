"""What one method puts and another gives back: which methods and fields are found, and what counts as lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.zoo import ROOT, fuzz

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import case_from_json, case_to_json
from puregrpc.fuzz.cases.headers import request_fields
from puregrpc.fuzz.checks.words import Profile
from puregrpc.fuzz.connection.running import Outcome
from puregrpc.fuzz.frames.probe import message
from puregrpc.fuzz.phases.flows import Flow, flows_of
from puregrpc.fuzz.phases.together import given_twice
from puregrpc.fuzz.values.choices import Directed
from puregrpc.fuzz.values.fields import ALL, ENTRIES, lists, lost_field, raw_value, with_field
from puregrpc.fuzz.values.generate import Generator
from puregrpc.schema import Registry, load_files

REGISTRY = Registry()
load_files(REGISTRY, [ROOT / "conformance" / "fuzz" / "zoo"], "store.proto")
GENERATOR = Generator(REGISTRY)
NOTE = REGISTRY.message("store.v1.PutNoteRequest")
PUT: Any = REGISTRY.message_class(NOTE)


def flows() -> dict[str, Flow]:
    profiles = [Profile(method) for method in REGISTRY.service("store.v1.Store").methods]
    for profile in profiles:
        profile.fields = request_fields(profile.path, "localhost")
    return {flow.put.method.name: flow for flow in flows_of(profiles, GENERATOR)}


def test_methods_and_fields_are_found_by_their_names_and_types() -> None:
    found = flows()
    assert {name: flow.get.method.name for name, flow in found.items()} == {
        "PutNote": "GetNote", "CreateTask": "GetTask",
    }  # fmt: skip
    assert found["PutNote"].key == (1, 1)
    assert [(path, other) for path, other, _ in found["PutNote"].fields] == [
        ((1, number), (number,)) for number in (2, 3, 4, 5)
    ]
    assert found["CreateTask"].key == ()
    assert found["CreateTask"].reply_key == (1,)


def test_a_case_goes_through_a_file_as_it_is() -> None:
    for flow in flows().values():
        for case in flow.cases(GENERATOR):
            again = case_from_json(json.loads(json.dumps(case_to_json(case))))
            assert (again.steps, again.stored, again.stored_by) == (case.steps, case.stored, case.stored_by)


def test_keys_that_are_nearly_the_same_are_two() -> None:
    found = flows()
    near = [case for case in found["PutNote"].cases(GENERATOR) if case.about.startswith("one of two things")]
    assert len(near) > 5
    for case in near:
        one, other, wanted = case.messages
        assert raw_value(one, (1, 1)) == raw_value(wanted, (1,)) != raw_value(other, (1, 1))
        assert case.stored_by == 0


@pytest.mark.parametrize(
    ("ids", "is_found"), [("abcd", False), ("abcc", True), ("aabb", False), ("", False), ("abca", True)]
)
def test_ids_that_were_given_at_once_are_to_differ(ids: str, is_found: bool) -> None:
    case = next(case for case in flows()["CreateTask"].cases(GENERATOR) if case.expects == "distinct")
    assert [step.kind for step in case.steps[:5]] == ["burst", "wait", "pause", "burst", "wait"]
    outcome = Outcome()
    for number, each in enumerate(ids):
        answer = outcome.answers[number] = Answer(number, 0.0)
        answer.on_data(message(b"\x0a\x01" + each.encode()))
        answer.on_fields(((b"grpc-status", b"0"),), end=True)
    assert bool(given_twice(case, outcome)) is is_found


@given(st.text(), st.integers(-(1 << 63), (1 << 63) - 1), st.binary(), st.text())
def test_a_field_that_is_set_is_what_a_parser_sees(text: str, weight: int, picture: bytes, later: str) -> None:
    made = PUT(note={"text": text, "weight": weight, "picture": picture}).SerializeToString()
    assert raw_value(made, (1, 2)) == (text.encode() or None)
    encoded = later.encode()
    changed = with_field(NOTE, made, (1, 2), PUT(note={"text": later}).note.SerializeToString() or b"\x12\x00")
    assert PUT.FromString(changed).note.text == later
    assert (raw_value(changed, (1, 2)) or b"") == encoded
    assert PUT.FromString(changed).note.weight == weight


@pytest.mark.parametrize(
    ("sent", "got", "is_lost"),
    [("a", "a", False), (" Ab ", "ab", False), ("e\u0301", "é", False), ("a", "", True),
     ("abc", "ab", True), ("a", "b", True)],
)  # fmt: skip
def test_what_is_put_into_order_is_not_lost(sent: str, got: str, is_lost: bool) -> None:
    reply = PUT(note={"text": got}).note.SerializeToString()
    found = lost_field(PUT(note={"text": sent}).SerializeToString(), reply, [((1, 2), (2,))])
    assert (found == (1, 2)) is is_lost


PANTRY = Registry()
load_files(PANTRY, [ROOT / "conformance" / "fuzz" / "zoo"], "pantry.proto")


def pantry() -> tuple[Flow, Any]:
    methods = [each for each in PANTRY.service("pantry.v1.Pantry").methods if each.name in ("PutEntry", "GetEntry")]
    (flow,) = flows_of([Profile(each, fields=request_fields(each.path, "localhost")) for each in methods], GENERATOR)
    return flow, PANTRY.message_class(PANTRY.message("pantry.v1.PutEntryRequest"))


def test_lists_of_messages_and_maps_are_compared() -> None:
    flow, request = pantry()
    assert {path for path, _, _ in flow.fields} >= {(1, 5, ALL, 1), (1, 5, ALL, 2), (1, 4, ENTRIES)}
    cases = list(flow.cases(GENERATOR))
    parts = [request.FromString(each.messages[0]).entry.parts for each in cases if "entry.parts" in each.about]
    assert max(len(each) for each in parts) > 100
    assert all(len({part.name for part in each}) == len(each) for each in parts)
    (less,) = (each for each in cases if "less in its maps" in each.about)
    first, second = (set(request.FromString(octets).entry.labels) for octets in less.messages[:2])
    assert less.stored_by == 1
    assert first > second
    (between,) = (each for each in cases if "got between" in each.about)
    assert between.stored_by == 1
    opened = [dict(step.fields)[b":path"].decode() for step in between.steps if step.kind == "open"]
    assert [path.rpartition("/")[2] for path in opened] == ["PutEntry", "GetEntry", "PutEntry", "GetEntry"]


@pytest.mark.parametrize(
    ("reply", "is_lost"),
    [
        ({}, False), ({"parts": [{"name": "b", "weight": 2}, {"name": "a", "weight": 1}]}, True),
        ({"parts": [{"name": "a", "weight": 1}]}, True), ({"parts": [{"name": "a"}, {"name": "b"}]}, True),
        ({"labels": {"x": "1", "y": "2", "z": "3"}}, True), ({"labels": {"y": "2", "x": "1"}}, False),
        ({"labels": {"x": "2", "y": "1"}}, True),
    ],
)  # fmt: skip
def test_messages_of_lists_and_entries_of_maps_are_to_come_back(reply: Any, is_lost: bool) -> None:
    flow, request = pantry()
    entry = {"parts": [{"name": "a", "weight": 1}, {"name": "b", "weight": 2}], "labels": {"x": "1", "y": "2"}}
    octets = request(entry=entry | reply).entry.SerializeToString()
    where = [(path, other) for path, other, _ in flow.fields]
    assert (lost_field(request(entry=entry).SerializeToString(), octets, where) is not None) is is_lost


def test_defaults_that_are_written_are_as_those_that_are_not() -> None:
    """As protobuf.js writes them."""
    flow, request = pantry()
    sent = request(entry={"parts": [{"name": "a"}]}).SerializeToString()
    where = [(path, other) for path, other, _ in flow.fields]
    assert lost_field(sent, b"\x2a\x05\x0a\x01a\x10\x00", where) is None


def test_a_version_that_grows_is_the_servers() -> None:
    flow, request = pantry()
    case = flow.ordinary(GENERATOR)
    reply = request.FromString(case.messages[0]).entry
    replies = []
    for reply.version in (1, 2):
        replies.append(reply.SerializeToString())
    assert flow.confirm(case, replies)
    assert (1, 3) not in [path for path, _, _ in flow.fields]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "check"),
    [("sound", ""), ("text-is-cut", "property"), ("priority-in-a-byte", "property"), ("one-for-all", "state")],
)
def test_a_store_that_gives_back_something_else_is_found_out(fault: str, check: str) -> None:
    report = fuzz("grpcio_store", fault, "--level", "sequence", "--max-cases", "320", seconds=20)
    assert {finding["check"] for finding in report["findings"]} == ({check} if check else set())


@pytest.mark.slow
def test_a_check_of_the_users_says_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "checks.py"
    file.write_text(
        "from puregrpc.fuzz import check\n\n\n"
        "@check\n"
        "def prices_are_round(case, answer, reply):\n"
        "    if case.method.endswith('/GetItem') and reply is not None and reply.price != int(reply.price):\n"
        "        return f'a price of {reply.price}'\n"
    )
    report = fuzz(
        "grpcio_shop", "sound", "--checks", str(file), "--level", "schema", "--method", "*GetItem", "--max-cases", "60",
        seconds=15, expected=1,
    )  # fmt: skip
    (finding,) = report["findings"]
    assert (finding["check"], finding["method"]) == ("property", "/shop.v1.Shop/GetItem")
    assert "prices_are_round: a price of 1.5" in finding["summary"]


@given(st.lists(st.text(max_size=20)), st.lists(st.text(max_size=20)))
def test_a_list_is_lost_where_not_all_of_it_comes_back(sent: list[str], back: list[str]) -> None:
    descriptor = REGISTRY.message("store.v1.Sample")
    sample: Any = REGISTRY.message_class(descriptor)
    (path,) = [path for path, plan in lists(GENERATOR, descriptor) if plan.field.name == "words"]
    assert path == (4, ALL)
    octets = sample(words=sent).SerializeToString()
    assert (raw_value(octets, path) or b"") == "".join(sent).encode()
    lost = lost_field(octets, sample(words=back).SerializeToString(), ((path, path),))
    if "".join(sent) == "".join(back):
        assert lost is None
    more = with_field(descriptor, octets, path, b"\x22\x01z")
    assert list(sample.FromString(more).words) == [*sent, "z"]


def test_a_switch_that_is_put_is_the_callers_unless_it_tells_what_has_become_of_the_thing() -> None:
    flow = flows()["PutNote"]
    case = flow.ordinary(GENERATOR)
    note = PUT.FromString(case.messages[0]).note
    assert note.pinned
    note.pinned = False
    assert flow.confirm(case, [note.SerializeToString()] * 2)
    assert (1, 4) in [path for path, _, _ in flow.fields]


def test_a_list_that_grows_when_it_is_put_again_is_compared() -> None:
    flow, request = pantry()
    case = flow.ordinary(GENERATOR)
    once = request.FromString(case.messages[0]).entry
    twice = type(once).FromString(once.SerializeToString())
    twice.parts.extend(once.parts)
    assert flow.confirm(case, [once.SerializeToString(), twice.SerializeToString()])
    assert (1, 5, ALL, 1) in [path for path, _, _ in flow.fields]


def test_an_entry_without_a_name_is_put_into_maps() -> None:
    flow, request = pantry()
    labels = [request.FromString(each.messages[0]).entry.labels for each in flow.cases(GENERATOR)]
    assert any("" in each and each[""] for each in labels)
    assert any("" in each.values() for each in labels)


@pytest.mark.parametrize(("name", "is_left_empty"), [("idempotency_key", True), ("title", False)])
def test_ordinary_calls_are_not_taken_for_one_another(name: str, is_left_empty: bool, tmp_path: Path) -> None:
    (tmp_path / "a.proto").write_text(f'syntax = "proto3"; message A {{ string {name} = 1; }}')
    registry = Registry()
    load_files(registry, [tmp_path], "a.proto")
    message_class: Any = registry.message_class(registry.message("A"))
    made = message_class.FromString(Generator(registry).message(registry.message("A"), Directed({}, fill=True)))
    assert (getattr(made, name) == "") is is_left_empty
