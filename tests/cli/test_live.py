"""The live page of a trace: what it is told, and whom."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest
from tests.trace.test_explainer import whole_conversation

from puregrpc.cli.live import LivePages
from puregrpc.trace import Explainer, explain


def get(address: str, path: str, host: str | None = None) -> tuple[int, str]:
    place = address.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(place, timeout=20)
    try:
        connection.request("GET", path, headers={"Host": host or place})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def more(address: str, rows: int = 0, octets: str = "", tables: str = "", of: str = "") -> dict[str, Any]:
    status, text = get(address, f"/more?entries={rows}&octets={octets}&tables={tables}&of={of}")
    assert status == 200
    told: dict[str, Any] = json.loads(text)
    return told


def test_each_answer_has_what_the_page_lacks() -> None:
    recording = whole_conversation()
    pages = LivePages("a <title>")
    with pages.serving(0) as address:
        status, page = get(address, "/")
        assert status == 200
        assert "connect-src 'self'" in page
        assert "a &lt;title&gt;" in page
        assert more(address) == {}
        recorder = pages.watch(Explainer(start_seen=True), "c", "s")
        for chunk in recording.chunks[:5]:
            recorder.record(chunk.direction, chunk.data, chunk.time)
        first = more(address)
        rows = len(first["rows"]["time"])
        assert rows > 0
        assert not first["ended"]
        octets = ",".join(str(len(recorder.so_far().buffers[n].data)) for n in (0, 1))
        nothing = more(address, rows, octets, ",".join(str(len(first["tables"][s])) for s in ("client", "server")))
        assert (nothing["trees"], nothing["rows"]["time"]) == ([], [])
        assert all(buffer["data"] == "" for buffer in nothing["buffers"])
        assert nothing["tables"] == {"client": [], "server": []}
        for chunk in recording.chunks[5:]:
            recorder.record(chunk.direction, chunk.data, chunk.time)
        recorder.end()
        rest = more(address, rows, octets)
        assert rest["ended"]
        assert rows + len(rest["trees"]) == len(explain(recording).entries)
        pages.watch(Explainer(), "c2", "s2")
        assert more(address)["client"] == "c2", "the newest, where none is named"
        assert more(address, of="1")["client"] == "c"
        assert more(address, of="9") == {}


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [("/", "evil.example:80", 403), ("/more", "evil.example", 403), ("/x", None, 404), ("/1", None, 200),
     ("/more?entries=x&octets=-1,999999999999999999999&tables=", None, 200)],
)  # fmt: skip
def test_only_this_machine_gets_to_see_it(path: str, host: str | None, status: int) -> None:
    with LivePages("t").serving(0) as address:
        assert get(address, path, host)[0] == status
