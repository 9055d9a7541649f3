"""What a google.protobuf.Any holds, on the command line: types come by reflection, and look the same everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from tests.cli.conftest import Ran, serve_in_thread
from tests.services.boxes import DETAILS, SECRET, STRUCT, UNKNOWN, WRAPPED, add_boxes

from puregrpc.server import Server

DETAILS_WITHOUT_DEFAULTS = [{key: value for key, value in detail.items() if value != ""} for detail in DETAILS]


def boxes() -> Server:
    server = Server("127.0.0.1:0")
    add_boxes(server)
    return server


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    yield from serve_in_thread(boxes)


@pytest.mark.parametrize("content", [SECRET, WRAPPED, STRUCT, UNKNOWN])
def test_requests_and_responses(run: Callable[..., Ran], server: str, content: object) -> None:
    box = {"content": content}
    ran = run("call", "-p", server, "box.Boxes/Echo", "-d", json.dumps(box))
    assert (ran.status, ran.err) == (0, "")
    assert json.loads(ran.out) == box
    ran = run("call", "-p", server, "box.Boxes/Repeat", "--json", stdin=json.dumps(box) * 2)
    messages = [
        line["message"] for line in map(json.loads, ran.out.splitlines()) if "status" not in line and "message" in line
    ]
    assert messages == [box] * 2


def test_error_details(run: Callable[..., Ran], server: str) -> None:
    ran = run("call", "-p", server, "box.Boxes/Fail")
    assert ran.status == 64 + 9
    told = [json.loads(line.partition(": ")[2]) for line in ran.err.splitlines() if line.startswith("  detail ")]
    assert told == DETAILS_WITHOUT_DEFAULTS
    ran = run("call", "-p", server, "box.Boxes/Fail", "--json")
    assert json.loads(ran.out.splitlines()[-1])["details"] == DETAILS_WITHOUT_DEFAULTS


@pytest.mark.parametrize("form", ["--json", "--detail=content"])
def test_traces(run: Callable[..., Ran], server: str, form: str) -> None:
    ran = run("trace", "-p", server, "box.Boxes/Echo", form, "-d", json.dumps({"content": WRAPPED}))
    assert ran.status == 0, ran.err
    assert "hidden.Secret" in ran.out
    assert "grain" in ran.out
    ran = run("trace", "-p", server, "box.Boxes/Fail", form)
    assert ran.status == 64 + 9
    assert "grain" in ran.out
