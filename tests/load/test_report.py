"""The report over time, and the page of a run that goes on."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from puregrpc.load import Observer, run
from puregrpc.load.timeline import MOST_METHODS, MOST_POINTS, Timeline
from puregrpc.metrics import Metrics
from tests.load.conftest import Write
from tests.load.test_running import ASYNC


def test_each_second_is_a_point() -> None:
    metrics = Metrics()
    timeline = Timeline(metrics)
    calls = metrics.metric("grpc_req_duration", "trend", "time")
    for value in (1.0, 2.0, 3.0):
        calls.with_tags({"name": "/s/A", "status": "0"}).note(value)
    calls.with_tags({"name": "/s/B", "status": "14"}).note(9.0)
    metrics.add("iterations", "counter", 2)
    timeline.tick(1.0, 5)
    calls.with_tags({"name": "/s/A", "status": "0"}).note(4.0)
    other = Metrics()
    other.metric("grpc_req_duration", "trend", "time").with_tags({"name": "/s/A", "status": "0"}).note(6.0)
    metrics.absorb(other.drain())
    timeline.tick(2.0, 6)
    first, second = timeline.points
    assert (first["calls"], first["max"], first["vus"], first["iterations"]) == (4, 9.0, 5, 2)
    assert first["statuses"] == {"0": 3, "14": 1}
    assert first["methods"] == {"/s/A": [3, 2.9], "/s/B": [1, 9.0]}
    assert (second["calls"], second["p50"], second["seconds"]) == (2, 5.0, 1.0)


def test_long_runs_have_coarser_points_and_the_same_sums() -> None:
    metrics = Metrics()
    timeline = Timeline(metrics)
    calls = metrics.metric("grpc_req_duration", "trend", "time").with_tags({"name": "m", "status": "0"})
    seconds = 3 * MOST_POINTS
    for second in range(1, seconds + 1):
        calls.note(1.0)
        timeline.tick(float(second), 1)
    timeline.finish(seconds + 0.1)
    assert len(timeline.points) <= MOST_POINTS + 1
    assert sum(point["calls"] for point in timeline.points) == seconds
    assert sum(point["seconds"] for point in timeline.points) == pytest.approx(seconds, abs=2)


def test_points_tell_some_methods_apart_and_the_rest_together() -> None:
    metrics = Metrics()
    timeline = Timeline(metrics)
    for second in (1, 2):
        for number in range(3 * MOST_METHODS):
            metrics.add("grpc_req_duration", "trend", 1.0, {"name": f"{number}", "status": "0"}, contains="time")
        timeline.tick(float(second), 1)
    for point in timeline.points:
        assert len(point["methods"]) == MOST_METHODS + 1
        assert point["methods"]["0"] == [1, 1.0]
        assert sum(count for count, _ in point["methods"].values()) == point["calls"] == 3 * MOST_METHODS


def test_points_have_the_times_of_messages() -> None:
    metrics = Metrics()
    timeline = Timeline(metrics)
    for name, value in (("first_message", 5.0), ("msg_interval", 2.0), ("msg_latency", 7.0)):
        metrics.add(f"grpc_streams_{name}", "trend", value, contains="time")
    timeline.tick(1.0, 1)
    timeline.tick(2.0, 1)
    first, second = timeline.points
    assert (first["first_p99"], first["interval_p99"], first["way_p99"]) == (5.0, 2.0, 7.0)
    assert "first_p99" not in second


def test_the_page_holds_the_results(write: Write) -> None:
    result = run(write(ASYNC), {"iterations": 5, "thresholds": {"checks": ["rate>0.5"]}})
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', result.page, re.DOTALL)
    assert found is not None
    data = json.loads(found[1].replace("<\\/", "</"))
    assert data["is_over"] is True
    assert data["checks"] == [{"name": "status is OK", "passes": 5, "fails": 0}]
    assert data["thresholds"] == [{"metric": "checks", "source": "rate>0.5", "actual": 1.0, "ok": True}]
    assert data["summary"] == result.summary
    assert sum(point["calls"] for point in data["points"]) == 5
    assert "http" not in result.page.replace("http://www.w3.org/2000/svg", "").replace(data["summary"], "")


CONTROLLED: dict[str, Any] = {
    "scenarios": {"s": {"executor": "externally-controlled", "vus": 1, "maxVUs": 10, "duration": "60s"}}
}


def test_a_run_is_controlled_over_http(write: Write) -> None:
    told: list[Any] = []
    script = write("import asyncio\nasync def default():\n    await asyncio.sleep(0.01)")

    def ask(address: str, path: str, body: dict[str, Any] | None = None, host: str | None = None) -> Any:
        request = urllib.request.Request(address + path, method="GET" if body is None else "PATCH")
        if host is not None:
            request.add_header("Host", host)
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps({"data": {"attributes": body}}).encode()
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                text = answer.read().decode()
                return json.loads(text) if "json" in answer.headers["Content-Type"] else text
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    class Controlling(Observer):
        def serves(self, address: str) -> None:
            threading.Thread(target=self.control, args=(address,)).start()

        def control(self, address: str) -> None:
            while not ask(address, "v1/status")["data"]["attributes"]["vus"]:
                pass
            told.append(ask(address, "v1/status", {"vus": 11}))
            told.append(ask(address, "", host="example.com:80"))
            told.append("<title>" in ask(address, ""))
            ask(address, "v1/status", {"vus": 4})
            while ask(address, "v1/status")["data"]["attributes"]["vus"] != 4:
                pass
            told.append(ask(address, "data.json")["controls"])
            until = time.monotonic() + 10
            named = 'puregrpc_iterations_total{group="",scenario="s"} '
            while not (is_told := named in ask(address, "metrics")) and time.monotonic() < until:
                time.sleep(0.02)
            told.append(is_told)
            told.append(ask(address, "v1/status", {"paused": True})["data"]["attributes"]["paused"])
            while ask(address, "v1/status")["data"]["attributes"]["vus"]:
                pass
            told.append(ask(address, "data.json")["is_paused"])
            told.append(ask(address, "v1/status", {"vus": 20, "paused": False}))
            ask(address, "v1/status", {"vus-max": 20, "paused": False})
            while ask(address, "v1/status")["data"]["attributes"]["vus"] != 4:
                pass
            ask(address, "v1/status", {"vus": 12})
            while ask(address, "v1/status")["data"]["attributes"]["vus"] != 12:
                pass
            told.append(ask(address, "v1/status")["data"]["attributes"]["vus-max"])
            ask(address, "v1/status", {"stopped": True})

    result = run(script, CONTROLLED, observer=Controlling(), web=0)
    assert result.exit_status == 0
    assert told == [400, 403, True, True, True, True, True, 400, 20]
    assert result.completed > 4
