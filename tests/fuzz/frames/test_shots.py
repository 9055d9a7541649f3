"""Single shots are aimed at a method, and calls in broken frames are refused by who keeps RFC 9113."""

from __future__ import annotations

import pytest

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.conversations import aimed
from puregrpc.fuzz.frames.probe import GRPC_REQUEST, message
from puregrpc.fuzz.frames.single import SINGLE_SHOTS

PATH = b"/shop.v1.Shop/GetItem"
FIELDS = tuple((name, PATH if name == b":path" else value) for name, value in GRPC_REQUEST)


def test_shots_at_the_method_that_there_is_not_stay_as_they_are() -> None:
    for probe in SINGLE_SHOTS:
        octets = b"".join(probe.octets())
        assert aimed(octets, GRPC_REQUEST, b"hello") in (octets, octets.replace(b"HELLO", b"hello"))


def test_shots_call_the_method_that_they_are_aimed_at() -> None:
    changed = 0
    for probe in SINGLE_SHOTS:
        octets = b"".join(probe.octets())
        sent = aimed(octets, FIELDS, b"\x0a\x01a")
        assert b"grpc.testing" not in sent or probe.name == "push-promise"
        changed += sent != octets
        if probe.name == "settings-with-a-frame-size-of-nothing":
            assert PATH in sent
            assert sent.endswith(message(b"\x0a\x01a"))
    assert changed > len(SINGLE_SHOTS) / 2


@pytest.mark.parametrize(("told", "is_found"), [(b"7", False), (b"8", True), (b"x", True)])
def test_a_content_length_is_to_be_true(told: bytes, is_found: bool) -> None:
    answer = Answer(1, 0.0)
    answer.on_fields(((b":status", b"200"), (b"content-length", told)), end=False)
    answer.on_data(b"1234567")
    answer.on_fields(((b"grpc-status", b"0"),), end=True)
    assert bool(answer.violations) == is_found
