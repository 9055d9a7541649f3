"""What becomes of things: which methods change them and take them away, and what of their answers is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.fuzz.zoo import ROOT

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import Case, case_from_json, case_to_json
from puregrpc.fuzz.cases.headers import request_fields
from puregrpc.fuzz.checks.words import Profile
from puregrpc.fuzz.connection.running import Outcome, _taken
from puregrpc.fuzz.frames.probe import message
from puregrpc.fuzz.phases.flows import Flow, flows_of
from puregrpc.fuzz.phases.lives import crossed, linked_cases, lives, mixed_up, still_there
from puregrpc.fuzz.values.fields import lost_field
from puregrpc.fuzz.values.generate import Generator
from puregrpc.schema import Registry, load_files

REGISTRY = Registry()
load_files(REGISTRY, [ROOT / "conformance" / "fuzz" / "zoo"], "bookings.proto")
GENERATOR = Generator(REGISTRY)
NAMES = ("CreateBooking", "GetBooking", "UpdateBooking", "DeleteBooking", "ListBookings")


def message_class(name: str) -> Any:
    return REGISTRY.message_class(REGISTRY.message(f"bookings.v1.{name}"))


class Rooms:
    """A server of bookings; ``fault`` names what is wrong with it."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.kept: dict[str, Any] = {}
        self.got = 0

    def answer(self, name: str, octets: bytes) -> tuple[int, bytes]:
        request = message_class(f"{name}Request").FromString(octets)
        if name == "CreateBooking":
            request.booking.id = f"made-{len(self.kept)}"
            self.kept[request.booking.id] = request.booking
            return 0, request.booking.SerializeToString()
        if name == "ListBookings":
            return 0, message_class("ListBookingsResponse")(bookings=self.kept.values()).SerializeToString()
        key = request.booking.id if name == "UpdateBooking" else request.id
        if key not in self.kept:
            return 5, b""
        self.got += name == "GetBooking"
        if self.fault == "crossed" and self.got % 10 == 9:
            key = next(other for other in self.kept if other != key)
        if name == "DeleteBooking":
            if self.fault == "stays":
                return 0, b""
            if self.fault == "is listed":
                self.kept[key] = message_class("Booking")(id=key)
                return 0, b""
            del self.kept[key]
            if self.fault == "takes the first":
                self.kept.pop(next(iter(self.kept), ""), None)
            return 0, b""
        if name == "UpdateBooking" and self.fault != "is lost":
            if self.fault == "merges":
                self.kept[key].MergeFrom(request.booking)
            else:
                self.kept[key] = request.booking
        found = request.booking if name == "UpdateBooking" else self.kept[key]
        if name == "GetBooking" and self.fault == "is listed" and not found.room:
            return 5, b""
        return 0, found.SerializeToString()

    def run(self, case: Case) -> Outcome:
        outcome = Outcome()
        for step in case.steps:
            if step.kind == "open":
                name = dict(step.fields)[b":path"].decode().rpartition("/")[2]
            elif step.kind == "message":
                octets = step.octets + (_taken(step.take, outcome) if step.take is not None else b"")
                code, reply = self.answer(name, octets)
                answer = outcome.answers[step.stream] = Answer(step.stream, 0.0)
                if not code:
                    answer.on_data(message(reply))
                answer.on_fields(((b"grpc-status", b"%d" % code),), end=True)
                answer.ended = True
                outcome.last = step.stream
        return outcome


def profiles(run: Rooms) -> list[Profile]:
    found = []
    for method in REGISTRY.service("bookings.v1.Bookings").methods:
        if method.name in NAMES:
            profile = Profile(method, fields=request_fields(method.path, "localhost"))
            code, reply = run.answer(method.name, b"")
            profile.answer = Answer(1, 0.0)
            profile.answer.on_data(message(reply))
            profile.answer.on_fields(((b"grpc-status", b"%d" % code),), end=True)
            found.append(profile)
    run.kept.clear()
    return found


def flow_of(rooms: Rooms) -> Flow:
    flow = next(each for each in flows_of(profiles(rooms), GENERATOR) if each.put.method.name == "CreateBooking")
    flow = flow.otherwise or flow
    assert flow.key == ()
    case = flow.ordinary(GENERATOR)
    replies = [rooms.run(case).answers[1].messages()[0][0][1] for _ in range(2)]
    assert flow.confirm(case, replies)
    return flow


def of(rooms: Rooms) -> Iterator[Case]:
    return lives(flow_of(rooms), profiles(rooms), GENERATOR, rooms.run)


def shown(case: Case, rooms: Rooms) -> bool:
    outcome = rooms.run(case)
    if case.expects != "stored":
        return bool(still_there(case, outcome))
    last = outcome.answers[outcome.last]
    sent = case.messages[case.stored_by]
    return last.code == 5 or lost_field(sent, last.messages()[0][0][1], case.stored) is not None


@pytest.mark.parametrize(
    ("fault", "which"),
    [("", ""), ("stays", "what was taken away, by CreateBooking and DeleteBooking"),
     ("is listed", "listed by ListBookings"), ("takes the first", "beside a thing"), ("is lost", "what was changed"),
     ("merges", "what was changed")],
)  # fmt: skip
def test_what_is_wrong_with_the_life_of_a_thing_is_shown(fault: str, which: str) -> None:
    rooms = Rooms(fault)
    cases = list(of(rooms))
    assert len(cases) == 5
    rooms.kept.clear()
    wrong = [case.about for case in cases if shown(case, rooms)]
    assert bool(wrong) is bool(fault)
    assert any(which in about for about in wrong) or not fault


def test_cases_go_through_files_as_they_are() -> None:
    for case in of(Rooms("")):
        again = case_from_json(json.loads(json.dumps(case_to_json(case))))
        assert (again.steps, again.stored, again.stored_by) == (case.steps, case.stored, case.stored_by)


def test_methods_that_find_nothing_are_called_about_what_was_made() -> None:
    rooms = Rooms("")
    linked = [case for cases in linked_cases(profiles(rooms), GENERATOR, rooms.run) for case in cases]
    assert len(linked) > 50
    assert {case.method.rpartition("/")[2] for case in linked} == {"UpdateBooking"}  # the others have a key alone
    assert {rooms.run(case).answers[1].code for case in linked} == {0}


@pytest.mark.parametrize("fault", ["", "crossed"])
def test_one_of_two_things_that_is_answered_for_the_other_is_shown(fault: str) -> None:
    rooms = Rooms(fault)
    (case,) = crossed(flow_of(rooms), GENERATOR)
    rooms.kept.clear()
    rooms.got = 0
    seen = mixed_up(case, rooms.run(case))
    assert [each.check for each in seen] == (["state"] if fault else [])
