"""The forms of an explanation: the ladder, the page, the lines."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hpack.hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.trace.conversations import REQUEST, Script, message
from tests.trace.pages import data_of, rows_of, unpacked, unpacked_json
from tests.trace.snapshots import assert_snapshot
from tests.trace.test_explainer import registry as registry
from tests.trace.test_explainer import whole_conversation

from puregrpc.schema import Registry
from puregrpc.trace import Chunk, Direction, Recording, explain
from puregrpc.trace.showing.json_lines import explanation_lines
from puregrpc.trace.showing.ladder import LEAST_WIDTH, Detail, Ladder, plain
from puregrpc.trace.showing.page import ROW, html_page

HERE = Path(__file__).parent


@pytest.mark.parametrize("detail", Detail)
def test_the_ladder(detail: Detail) -> None:
    explanation = explain(whole_conversation())
    assert_snapshot(HERE / "kept" / f"ladder_{detail.name.lower()}.txt", plain(Ladder(detail).lines(explanation)))


def test_the_ladder_of_a_broken_conversation() -> None:
    script = Script().headers(
        Direction.CLIENT, [(":method", "GET"), *REQUEST[1:], ("X", "\x1b[31m"), (":path", "/\x1b/\x07")]
    )
    script.data(Direction.CLIENT, b"\0\0\0\0\x07\x0a\x05\x1b[31m")
    script.raw(Direction.CLIENT, bytes.fromhex("0000040104 00000003 040a6162"), 7)
    text = plain(Ladder(Detail.OCTETS).lines(explain(script.recording())))
    assert "\x1b" not in text, "what a peer sent cannot reach the terminal as control characters"
    assert_snapshot(HERE / "kept" / "ladder_broken.txt", text)


def test_the_page_needs_nothing_else_and_holds_everything() -> None:
    explanation = explain(whole_conversation())
    page = html_page(explanation, title="a <title> & more")
    assert "<h1>a &lt;title&gt; &amp; more</h1>" in page
    outside = re.sub(r'<script type="application/json".*?</script>', "", page, flags=re.DOTALL)
    assert not re.findall(r"""(?:src|href)=["']?(?!#)[^"'\s>]+""", outside)
    assert "default-src 'none'" in page
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert data["count"] == len(explanation.entries)
    rows = unpacked_json(data, data["rows"])
    assert {len(rows[name]) for name in ROW} == {len(explanation.entries)}
    trees = [tree for block in data["blocks"] for tree in unpacked_json(data, block)]
    assert [tree[0][0] for tree in trees] == [entry.part.label for entry in explanation.entries]
    assert [unpacked(data, buffer["data"]) for buffer in data["buffers"]] == [
        buffer.data for buffer in explanation.buffers
    ]
    assert [buffer["name"] for buffer in data["buffers"]] == ["client", "server", "message 2 inflated"]


def test_every_row_of_the_page_says_what_it_is(registry: Registry) -> None:
    rows = rows_of(explain(whole_conversation(), registry=registry))
    names = [rows["names"][name] for name in rows["name"]]
    said = dict(zip(names, rows["gist"], strict=True))
    assert said["Connection preface"] == "opens the connection"
    first = names.index("DATA")
    assert rows["gist"][first].startswith("message 0: hello.HelloRequest {greeting: bob, lucky: 1}")
    assert any("grpc-status 0 (OK)" in gist for gist in rows["gist"])
    assert all(rows["gist"])
    assert rows["windows"][first][0] == 65535 - 12


def test_a_page_of_many_frames_is_small_and_its_trees_are_in_blocks() -> None:
    script = Script().headers(Direction.CLIENT, REQUEST)
    for number in range(1000):
        script.data(Direction.CLIENT, message(b"\x0a\x0bhello %05d" % number))
    recording = script.recording()
    page = html_page(explain(recording))
    assert len(page) < len(html_page(explain(whole_conversation()))) + 10 * len(recording.octets(Direction.CLIENT))
    data = data_of(explain(recording))
    assert len(data["blocks"]) == -(-data["count"] // data["block"])
    assert unpacked_json(data, data["blocks"][-1])[-1][0][0] == "DATA"


def test_what_a_peer_sent_cannot_become_part_of_the_page() -> None:
    script = Script().headers(Direction.CLIENT, (*REQUEST, ("x", "</script><script>alert(1)</script>")))
    page = html_page(explain(script.recording()))
    assert page.count("<script") == 2
    assert "alert(1)<" not in page


def test_what_a_file_says_of_a_recording_reaches_no_terminal_as_control_characters() -> None:
    recording = replace(whole_conversation(), client="a\x1b[31m", server="b\x9b", notes=("c\x07", "</script>"))
    text = plain(Ladder().lines(explain(recording)))
    assert text.replace("\n", "").isprintable()
    page = html_page(explain(recording), title=recording.client)
    assert page.count("</script") == 2
    assert '"notes":["c\\u0007","\\u003c/script>"]' in page


def keys_of(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_of(inner)


def test_the_page_on_json_lines_names_every_key() -> None:
    page = (HERE.parents[1] / "docs" / "json-lines.md").read_text(encoding="utf-8")
    recordings = [whole_conversation(), replace(whole_conversation(), from_start=False)]
    chunks = whole_conversation().chunks
    recordings.append(Recording((*chunks[:9], replace(chunks[9], lost=3), *chunks[10:]), notes=("n",)))
    for recording in recordings:
        for line in explanation_lines(explain(recording)):
            unknown = {key for key in keys_of(json.loads(line)) if f"`{key}`" not in page and key != "hex"}
            assert not unknown


def test_the_lines_are_json() -> None:
    lines = [json.loads(line) for line in explanation_lines(explain(whole_conversation()))]
    frames = [line for line in lines if line.get("kind") == "frame"]
    assert [frame["type"] for frame in frames[4:7]] == ["HEADERS", "DATA", "HEADERS"]
    assert frames[4]["header_block"]["fields"][2]["name"] == ":path"
    assert frames[5]["messages"][0]["fields"][0]["value"] == "bob"
    assert [line["path"] for line in lines if "call" in line] == ["/hello.HelloService/SayHello"] * 2


@given(st.lists(st.tuples(st.sampled_from(Direction), st.binary(max_size=60)), max_size=6))
def test_every_form_can_be_made_of_any_octets(parts: list[tuple[Direction, bytes]]) -> None:
    explanation = explain(Recording(tuple(Chunk(0.0, direction, data) for direction, data in parts)))
    for detail in Detail:
        assert not re.search(r"[\x00-\x09\x0b-\x1f]", plain(Ladder(detail).lines(explanation)))
    html_page(explanation)
    for line in explanation_lines(explanation):
        json.loads(line)


@given(
    st.lists(st.tuples(st.sampled_from(Direction), st.binary(max_size=60)), max_size=6),
    st.sampled_from(Detail),
    st.integers(LEAST_WIDTH, 140),
)
def test_no_line_of_a_ladder_is_wider_than_it_may_be(
    parts: list[tuple[Direction, bytes]], detail: Detail, width: int
) -> None:
    made = Script().headers(Direction.CLIENT, (*REQUEST, ("x-long", "word " * 90), ("y-long", "z" * 400))).recording()
    chunks = (*made.chunks, *(Chunk(1e6, direction, data) for direction, data in parts))
    explanation = explain(replace(made, chunks=chunks, client="c" * 50, server="s" * 60, notes=("note " * 30,)))
    lines = plain(Ladder(detail, width).lines(explanation)).splitlines()
    assert max(map(len, lines)) <= width


def test_what_is_cut_in_a_ladder_has_its_length_behind_it() -> None:
    script = Script().headers(Direction.CLIENT, (*REQUEST, ("x-long", "z" * 300)))
    text = plain(Ladder(width=80).lines(explain(script.recording())))
    assert re.search(r"x-long +z+… \((300 octets|300 characters)\)", text)
    assert "\n          │      (literal with incremental indexing" in text


@given(st.binary() | st.text().map(str.encode), st.binary(min_size=1) | st.text(min_size=1).map(str.encode))
def test_values_of_headers_are_in_the_lines_as_they_are(value: bytes, name: bytes) -> None:
    block = b"\x40" + b"".join(
        hpack.hpack.encode_integer(len(text), 7) + text  # RFC 7541, section 5.2, without Huffman coding
        for text in (name, value)
    )
    head = len(block).to_bytes(3, "big") + bytes((1, 4)) + (1).to_bytes(4, "big")
    lines = [
        json.loads(line)
        for line in explanation_lines(explain(Script().raw(Direction.CLIENT, head + block).recording()))
    ]
    (field,) = next(line["header_block"]["fields"] for line in lines if "header_block" in line)
    for key, octets in (("name", name), ("value", value)):
        in_base64 = field.get(f"{key}_base64")
        assert octets == (field[key].encode() if in_base64 is None else base64.b64decode(in_base64))
    entries = next(line["entries"] for line in lines if line.get("table") == "client")
    told = [item.encode() if isinstance(item, str) else base64.b64decode(item["base64"]) for item in entries[0]]
    assert told == [name, value]
