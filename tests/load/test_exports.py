"""Metrics of a run on their way to OpenTelemetry and Prometheus."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.errors import Error, InvalidArgument
from puregrpc.load import OpenTelemetryExporter, PrometheusRemoteWrite, run
from puregrpc.load.outputs import exporter as exporters
from puregrpc.load.outputs.exporter import Exporter, Taken
from puregrpc.load.outputs.opentelemetry import BOUNDS, LARGEST, explicit, exponential
from puregrpc.load.outputs.snappy import snappy_block
from puregrpc.metrics import Metrics, Sample
from puregrpc.metrics.sinks import TrendSink
from tests.load.conftest import Write, command
from tests.load.receivers import (
    data_points,
    grpc_receiver,
    http_receiver,
    otlp_request,
    remote_series,
    unsnapped,
)

SCRIPT = """
from puregrpc import Client, check
client = Client()
client.load([], "hello.proto")
options = {"vus": 2, "iterations": 6, "tags": {"build": "7"}}
def default():
    client.connect(TARGET, plaintext=True)
    check(client.invoke("hello.HelloService/SayHello", {}), {"ok": lambda r: r.status == 0})
"""


def some_metrics() -> Metrics:
    metrics = Metrics()
    metrics.add("made", "counter", 2.5, {"odd name": "a"})
    metrics.add("size", "gauge", 7, contains="data")
    for value in (1, 1, 0):
        metrics.add("checks", "rate", value, {"check": "ok"})
    for took in (0.05, 1.0, 3.0, 1e6):
        metrics.add("took", "trend", took, contains="time")
    return metrics


def test_opentelemetry_over_grpc() -> None:
    with grpc_receiver() as (address, requests):
        exporter = OpenTelemetryExporter(address, headers={"X-Key": "k"}, resource={"service.name": "mine"})
        with exporter.exporting(some_metrics()):
            pass
    (headers, body) = requests[-1]
    assert headers["x-key"] == "k"
    (resource,) = otlp_request(body)["resourceMetrics"]
    assert {"key": "service.name", "value": {"stringValue": "mine"}} in resource["resource"]["attributes"]
    found = data_points(body)
    assert found["made"][0]["asDouble"] == 2.5
    assert found["made"][0]["attributes"] == {"odd name": "a"}
    assert found["size"][0]["asDouble"] == 7
    rates = {each["attributes"]["condition"]: int(each["asInt"]) for each in found["checks"]}
    assert rates == {"nonzero": 2, "zero": 1}
    (took,) = found["took"]
    counts = list(map(int, took["bucketCounts"]))
    assert int(took["count"]) == sum(counts) == 4
    assert took["explicitBounds"] == list(BOUNDS)
    assert [counts[0], counts[BOUNDS.index(1.0)], counts[BOUNDS.index(5.0)], counts[-1]] == [1, 1, 1, 1]
    assert (took["min"], took["max"], took["sum"]) == (0.05, 1e6, 1000004.05)
    by_name = {metric["name"]: metric for metric in resource["scopeMetrics"][0]["metrics"]}
    assert by_name["took"]["unit"] == "ms"
    assert by_name["size"]["unit"] == "By"
    assert by_name["made"]["sum"]["isMonotonic"]
    assert by_name["made"]["sum"]["aggregationTemporality"] == "AGGREGATION_TEMPORALITY_CUMULATIVE"


def test_what_is_large_goes_in_parts() -> None:
    metrics = Metrics()
    for number in range(3_000):
        metrics.add("made", "counter", 1, {"number": str(number), "long": "x" * 3_000})
    with grpc_receiver() as (address, requests), OpenTelemetryExporter(address).exporting(metrics):
        pass
    bodies = [body for _, body in requests]
    assert len(bodies) > 2
    assert max(map(len, bodies)) <= LARGEST
    numbers = [each["attributes"]["number"] for body in bodies for each in data_points(body)["made"]]
    assert sorted(map(int, numbers)) == list(range(3_000))


def test_only_what_has_changed_is_sent_in_between_and_everything_at_the_end() -> None:
    metrics = some_metrics()
    with http_receiver() as (address, requests):
        exporter = OpenTelemetryExporter(f"http://{address}/v1/metrics", interval=0.05)
        with exporter.exporting(metrics):
            wait_for(lambda: requests)
            metrics.add("size", "gauge", 8, contains="data")
            wait_for(lambda: len(requests) > 1)
    assert set(data_points(requests[0][1])) == {"made", "size", "checks", "took"}
    assert set(data_points(requests[1][1])) == {"size"}
    assert set(data_points(requests[-1][1])) == {"made", "size", "checks", "took"}
    assert requests[0][0]["Content-Type"] == "application/x-protobuf"
    assert requests[0][0]["path"] == "/v1/metrics"


def wait_for(look: object) -> None:
    import time

    until = time.monotonic() + 20
    while not look():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.01)


def test_failures_are_told_once_and_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    with http_receiver() as (address, requests), caplog.at_level(logging.WARNING, "puregrpc.load"):
        requests.status, requests.answer = 503, b"too busy"
        exporter = PrometheusRemoteWrite(f"http://a:b@{address}/write", interval=0.01)
        metrics = some_metrics()
        with exporter.exporting(metrics):
            wait_for(lambda: len(requests) > 2)
        assert [each.levelname for each in caplog.records] == ["WARNING", "ERROR"]
        assert "HTTP 503 Service Unavailable: too busy" in caplog.text
        assert f"http://{address}/write" in caplog.text
        assert "a:b" not in caplog.text


def test_rejected_points_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with grpc_receiver() as (address, requests), caplog.at_level(logging.WARNING, "puregrpc.load"):
        requests.status = 0
        with OpenTelemetryExporter(address).exporting(some_metrics()):
            pass
    assert "2 of 5 data points were rejected: too many" in caplog.text


def test_nobody_there(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "puregrpc.load"):
        with OpenTelemetryExporter("127.0.0.1:1", timeout=1).exporting(some_metrics()):
            pass
    assert "metrics are not at 127.0.0.1:1" in caplog.text


def test_remote_write() -> None:
    with http_receiver() as (address, requests):
        with PrometheusRemoteWrite(f"http://me:p%40ss@{address}/api/v1/write").exporting(some_metrics()):
            pass
    ((headers, body),) = requests
    assert headers["Authorization"] == "Basic bWU6cEBzcw=="
    assert headers["X-Prometheus-Remote-Write-Version"] == "0.1.0"
    assert headers["Content-Encoding"] == "snappy"
    found = remote_series(body)
    assert found[("__name__", "puregrpc_made_total"), ("odd_name", "a")] == 2.5
    assert found[("__name__", "puregrpc_checks_passes_total"), ("check", "ok")] == 2
    assert found[("__name__", "puregrpc_took_count"),] == 4
    assert found[("__name__", "puregrpc_took"), ("quantile", "0.5")] == 2.0


def test_a_run_is_exported_to_both(write: Write, tmp_path: Path) -> None:
    script = write(SCRIPT)
    with grpc_receiver() as (otlp, exported), http_receiver() as (address, written):
        outs = ("--out", f"opentelemetry={otlp}", "-o", f"prometheus=http://{address}/api/v1/write")
        found = command(script, *outs, folder=tmp_path)
    assert found.returncode == 0, found.stderr
    (duration,) = data_points(exported[-1][1])["grpc_req_duration"]
    assert int(duration["count"]) == 6
    assert duration["attributes"]["build"] == "7"
    assert duration["attributes"]["method"] == "SayHello"
    series = {dict(labels)["__name__"]: value for labels, value in remote_series(written[-1][1]).items()}
    assert series["puregrpc_iterations_total"] == 6
    assert series["puregrpc_grpc_req_duration_count"] == 6


def test_the_results_of_workers_are_exported(write: Write) -> None:
    with http_receiver() as (address, written):
        result = run(write(SCRIPT), workers=2, outputs=(PrometheusRemoteWrite(f"http://{address}/"),))
    assert result.exit_status == 0
    series = {dict(labels)["__name__"]: value for labels, value in remote_series(written[-1][1]).items()}
    assert series["puregrpc_iterations_total"] == 6


@pytest.mark.parametrize("where", ["ftp://a", "localhost:port", "http://a/b"])
def test_endpoints_that_are_none(where: str) -> None:
    with pytest.raises(InvalidArgument):
        OpenTelemetryExporter(where)


def test_a_url_that_is_none(write: Write, tmp_path: Path) -> None:
    found = command(write(SCRIPT), "--out", "prometheus=localhost:9090", folder=tmp_path)
    assert found.returncode == 2
    assert "no URL such as http://localhost:9090/api/v1/write" in found.stderr


def test_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    with http_receiver() as (address, requests):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{address}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
        monkeypatch.setenv(
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram"
        )
        with OpenTelemetryExporter.from_environment().exporting(some_metrics()):
            pass
    headers, body = requests[-1]
    assert headers["path"] == "/v1/metrics"
    assert headers["Api-Key"] == "a b"
    (took,) = data_points(body)["took"]
    assert sum(map(int, took["positive"]["bucketCounts"])) == 4


@given(st.lists(st.floats(-1e12, 1e12)))
def test_buckets_hold_every_sample(values: list[float]) -> None:
    sink = TrendSink()
    sink.add_all(values)
    assert sum(explicit(sink)["bucketCounts"]) == len(values)
    made = exponential(sink)
    sides = [made.get(side, {"offset": 0, "bucketCounts": []}) for side in ("positive", "negative")]
    assert sum(sum(side["bucketCounts"]) for side in sides) + made["zeroCount"] == len(values)
    for side, sign in zip(sides, (1, -1), strict=True):
        assert len(side["bucketCounts"]) <= 160
        base = 2.0 ** (2.0 ** -made["scale"])
        for place, count in enumerate(side["bucketCounts"], side["offset"]):
            low, high = base**place * (1 - 1e-9), base ** (place + 1) * (1 + 1e-9)
            inside = sum(low < value * sign <= high for value in values)
            assert not count or inside >= 1


def test_many_samples_are_in_the_buckets_of_few() -> None:
    sink = TrendSink()
    sink.add_all([1.5] * 4_000 + [-3.0] * 2_000 + [0.0] * 1_000 + [700.0] * 3_000)
    found = dict(sink.distribution())
    assert sum(found.values()) == 10_000
    counts = explicit(sink)["bucketCounts"]
    assert counts[0] == 3_000
    assert counts[BOUNDS.index(2.0)] == 4_000
    assert counts[BOUNDS.index(1000.0)] == 3_000
    assert math.isclose(max(found), 700.0, rel_tol=0.005)


@given(st.binary(max_size=300_000))
def test_snappy(data: bytes) -> None:
    assert unsnapped(snappy_block(data)) == data


def test_snappy_of_long_data() -> None:
    data = bytes(range(256)) * 1_000
    assert unsnapped(snappy_block(data)) == data


class Failing(Exporter):
    tries = 0

    def open(self) -> None:
        pass

    def export(self, taken: list[Taken], moment: float) -> None:
        self.tries += 1
        raise Error("nobody takes it")

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("seconds", "tries"), [(math.inf, 3), (-1.0, 1)])
def test_the_last_export_is_tried_again_as_long_as_that_takes_no_time(
    monkeypatch: pytest.MonkeyPatch, seconds: float, tries: int
) -> None:
    monkeypatch.setattr(exporters, "LONGEST_END", seconds)
    failing = Failing("nowhere", interval=1000)
    with failing.exporting(some_metrics()):
        pass
    assert failing.tries == tries


def test_an_output_that_raises_gets_no_more_and_the_run_goes_on(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    taken: list[Sample] = []

    def take(sample: Sample) -> None:
        taken.append(sample)
        raise OSError(28, "No space left on device")

    script = write("from puregrpc.load import vu\ndef default(): pass")
    result = run(script, {"iterations": 5}, outputs=(take,))
    assert result.metrics.value("iterations", "count") == 5
    assert len(taken) == 1
    (told,) = [each.getMessage() for each in caplog.records if "no more samples" in each.getMessage()]
    assert told == "no more samples are written to function: No space left on device"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_ends_no_run(write: Write, tmp_path: Path) -> None:
    write("def default(): pass")
    files = ["--out", "json=/dev/full", "--html", "/dev/full", "--summary-export", "/dev/full"]
    ran = command("script.py", "-q", "-i", "3", *files, folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "iterations" in ran.stdout
    for option in ("--out", "--html", "--summary-export"):
        assert f"{option}: /dev/full: No space left on device" in ran.stderr
