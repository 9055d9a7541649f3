"""What the playground does, without a browser."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from docs.wire.conversation import lesson_conversation
from docs.wire.exercises import EXERCISES
from hypothesis import given
from hypothesis import strategies as st
from playground.bench import Bench, explain_file, explain_octets, write_message

from puregrpc.trace.recording import Direction
from puregrpc.trace.showing.pcapng import write_pcapng

PROTO = """syntax = "proto3"; package h;
message Q { string greeting = 1; int32 n = 2; } message R { string greeting = 1; }
service S { rpc Say(Q) returns (R); }"""


def test_a_message_is_its_bytes_and_what_they_say() -> None:
    told = json.loads(write_message(PROTO, "h.Q", '{"greeting": "Bert", "n": 300}'))
    assert told["hex"] == "0a 04 42 65 72 74 10 ac 02"
    assert told["types"] == ["h.Q", "h.R"]
    assert "greeting" in told["page"]


def test_a_message_that_no_method_takes_is_shown_too() -> None:
    told = json.loads(write_message('syntax = "proto3"; message M { bool b = 1; }', "", '{"b": true}'))
    assert (told["type"], told["hex"]) == ("M", "08 01")
    assert json.loads(write_message("", "", ""))["types"] == []


@pytest.mark.parametrize(
    ("source", "text", "error"),
    [
        ("syntax = proto", "{}", "playground.proto:1:10"),
        (PROTO, '{"greetin": 1}', "did you mean 'greeting'"),
        (PROTO, "{", "request"),
    ],
)
def test_what_is_wrong_is_said(source: str, text: str, error: str) -> None:
    assert error in json.loads(write_message(source, "h.Q", text))["error"]


def test_bytes_of_every_form_are_explained() -> None:
    recording = lesson_conversation()
    client = recording.octets(Direction.CLIENT)
    settings = bytes.fromhex("000006040000000000000300000064")
    for text in (client.hex(" "), base64.b64encode(client).decode(), settings.hex(), EXERCISES[0].hexdump()):
        told = json.loads(explain_octets(text, PROTO))
        assert told["connections"] == 1, told
    capture = base64.b64encode(write_pcapng(recording)).decode()
    assert "LotsOfReplies" in json.loads(explain_file(capture, "", "lesson.pcapng"))["page"]
    assert "error" in json.loads(explain_octets("what is this?", ""))


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_every_exercise_opens(exercise: Any) -> None:
    told = json.loads(explain_octets(exercise.hexdump(), ""))
    assert told["entry"] > 0


def test_a_call_frame_by_frame() -> None:
    bench = Bench()
    begun = json.loads(bench.start(PROTO, "", '{"greeting": "Bert"}'))
    assert begun["methods"] == ["/h.S/Say"]
    assert begun["pending"]["client"][0].startswith("preface, SETTINGS")
    while (state := json.loads(bench.step("client", "deliver")))["pending"]["client"]:
        assert "a request" not in str(state["said"]["server"])
    assert 'a request: {"greeting":"Bert"' in str(state["said"]["server"])
    done = json.loads(bench.step("server", "all"))
    assert done["said"]["client"][-1] == "the call ends with OK"


def test_a_frame_that_is_lost_or_harmed() -> None:
    for action, number, said in (("drop", 0, ""), ("flip", 3 * 8 + 4, "ERROR"), ("cut", 5, "over"), ("swap", 0, "")):
        bench = Bench()
        bench.start(PROTO, "", "{}")
        bench.step("client", "deliver")
        bench.step("client", "deliver")
        state = json.loads(bench.step("client", action, number))
        assert "error" not in state, state
        state = json.loads(bench.step("client", "all"))
        assert said in str(state["said"])


def test_a_setting_that_is_changed_on_its_way() -> None:
    bench = Bench()
    bench.start(PROTO, "", "{}")
    state = json.loads(bench.change_setting("server", "MAX_CONCURRENT_STREAMS", 0))
    assert "SETTINGS" in state["pending"]["server"][0]
    state = json.loads(bench.change_setting("client", "MAX_FRAME_SIZE", 1))
    state = json.loads(bench.step("client", "deliver"))
    assert "MAX_FRAME_SIZE" in str(state["said"]["server"])
    assert "no setting" in json.loads(bench.change_setting("server", "SPEED", 1))["error"]
    assert "32 bits" in json.loads(bench.change_setting("server", "ENABLE_PUSH", -1))["error"]
    bench.step("server", "deliver")
    bench.step("server", "deliver")
    bench.step("client", "all")
    assert "no SETTINGS" in json.loads(bench.change_setting("server", "ENABLE_PUSH", 1))["error"]


def test_steps_that_cannot_be_taken_are_refused() -> None:
    bench = Bench()
    bench.step("client", "all")
    assert "nothing" in json.loads(bench.step("client", "deliver"))["error"]
    bench.start(PROTO, "", "{}")
    assert "bits 0 to" in json.loads(bench.step("client", "flip", 10**6))["error"]
    assert "cut it after" in json.loads(bench.step("client", "cut", 10**6))["error"]
    assert "no action" in json.loads(bench.step("client", "fold"))["error"]
    assert "no service" in json.loads(bench.start("", "", "{}"))["error"]


@given(st.lists(st.tuples(
    st.sampled_from(["client", "server"]), st.sampled_from(["deliver", "drop", "cut", "flip", "swap", "all", "end"]),
    st.integers(0, 400)), max_size=12))  # fmt: skip
def test_whatever_is_done_the_bench_tells_of_it(steps: list[tuple[str, str, int]]) -> None:
    bench = Bench()
    bench.start(PROTO, "", "{}")
    for side, action, number in steps:
        state = json.loads(bench.step(side, action, number))
        assert "error" in state or state["page"]
