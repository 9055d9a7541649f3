"""Sinks, series, thresholds, summary and export."""

from __future__ import annotations

import io
import itertools
import json
import math
import random
import statistics
import threading
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.errors import InvalidArgument
from puregrpc.metrics import Counter, Gauge, JsonLines, Metrics, Rate, Trend, active, group, sinks
from puregrpc.metrics import registry as registry_module
from puregrpc.metrics.sinks import RELATIVE_ACCURACY, SINKS, TrendSink
from puregrpc.metrics.thresholds import parse_selector, parse_threshold
from puregrpc.metrics.units import format_duration, format_share, format_size

NAMES = {
    "counter": ["count", "rate"],
    "gauge": ["value", "min", "max"],
    "rate": ["rate", "passes", "fails"],
    "trend": ["avg", "min", "max", "med", "p(90)", "count"],
}
VALUES = st.lists(st.just(0.0) | st.floats(1e-6, 1e9), min_size=1, max_size=200)


def k6_percentile(values: list[float], percent: float) -> tuple[float, float, float]:
    """What k6 tells for p(percent), and the two samples that it lies between."""
    ordered = sorted(values)
    place = percent / 100 * (len(values) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place)), low, high


@pytest.mark.parametrize(
    ("values", "percent", "told"),
    [
        ([1, 100], 95, 95.05),
        ([1, 100], 50, 50.5),
        ([7], 99, 7),
        ([1, 2, 3, 4], 90, 3.7),
        ([3, 1, 2], 50, 2),
        ([], 50, 0),
    ],
)
def test_percentiles_of_few_samples_are_k6s(values: list[float], percent: float, told: float) -> None:
    metrics = Metrics()
    trend = metrics.metric("t", "trend")
    for value in values:
        trend.add(value)
    assert metrics.value("t", f"p({percent})") == pytest.approx(told)
    assert trend.sink().value("med", 1) == (pytest.approx(statistics.median(values)) if values else 0)


SIGNED = st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=200)


@given(VALUES | SIGNED, st.floats(0, 100), st.booleans())
def test_percentiles_of_up_to_some_thousand_samples_are_exactly_k6s(
    values: list[float], percent: float, at_once: bool
) -> None:
    sink = TrendSink()
    if at_once:
        sink.add_all(values)
    else:
        for value in values:
            sink.add(value)
    assert sink.percentile(percent) == k6_percentile(values, percent)[0]
    assert sink.value("avg", 1) == pytest.approx(statistics.fmean(values), abs=1e-9 * max(map(abs, values)))
    assert (sink.value("min", 1), sink.value("max", 1)) == (min(values), max(values))


@given(
    VALUES | st.lists(st.just(0.0) | st.floats(1e-6, 1e9) | st.floats(-1e9, -1e-6), min_size=1, max_size=200),
    st.floats(0, 100),
    st.sampled_from([0, 1, 20]),
    st.lists(st.integers(0, 200), max_size=3),
)
def test_percentiles_of_more_samples_are_within_the_accuracy_of_k6s(
    values: list[float], percent: float, exact: int, cuts: list[int]
) -> None:
    """Whether they came one by one, many at once, or in sinks of their own that were merged."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sinks, "EXACT_SAMPLES", exact)
        one_by_one, merged = TrendSink(), TrendSink()
        for value in values:
            one_by_one.add(value)
        bounds = [0, *sorted(cuts), len(values)]
        for start, end in itertools.pairwise(bounds):
            part = TrendSink()
            part.add_all(values[start:end])
            merged.merge(part)
        told, low, high = k6_percentile(values, percent)
        allowed = RELATIVE_ACCURACY * max(abs(low), abs(high)) * (1 + 1e-9)
        if min(values) >= 0:
            allowed = RELATIVE_ACCURACY * told * (1 + 1e-9)
        for sink in (one_by_one, merged):
            assert abs(sink.percentile(percent) - told) <= allowed + 1e-12
            assert sink.count == len(values)


def test_a_trend_of_many_samples_takes_bounded_memory() -> None:
    sink = TrendSink()
    draw = random.Random(1)
    values = [draw.lognormvariate(3, 1) for _ in range(20_000)]
    sink.add_all(values)
    assert sink.value("p(99.9)", 1) == pytest.approx(k6_percentile(values, 99.9)[0], rel=RELATIVE_ACCURACY)
    assert sink._values == array("d")
    for value in values[: sinks.EXACT_SAMPLES + 1]:
        sink.add(value)
    assert sink.value("p(50)", 1) == pytest.approx(statistics.median(values), rel=0.01)


@pytest.mark.parametrize(
    "name", ["p(101)", "p(-1)", "p(nan)", "p(inf)", "p()", "p(9", "p95", "p(" + "9" * 20_000 + ")"]
)
def test_what_is_not_a_percentile_is_no_value(name: str) -> None:
    with pytest.raises(KeyError):
        TrendSink().value(name, 1)


@given(st.sampled_from(sorted(SINKS)), st.lists(VALUES | st.lists(st.floats(-1e9, 1e300), max_size=20), max_size=5))
def test_many_samples_at_once_are_those_one_by_one(kind: Any, lots: list[list[float]]) -> None:
    at_once, one_by_one = SINKS[kind](), SINKS[kind]()
    for values in lots:
        at_once.add_all(values)
        for value in values:
            one_by_one.add(value)
    assert at_once.count == one_by_one.count
    for name in NAMES[kind]:
        assert at_once.value(name, 2.0) == pytest.approx(one_by_one.value(name, 2.0)), name


@given(st.sampled_from(sorted(SINKS)), VALUES, VALUES)
def test_merged_sinks_are_those_that_took_all(kind: Any, first: list[float], second: list[float]) -> None:
    one, other, both = SINKS[kind](), SINKS[kind](), SINKS[kind]()
    for value in first:
        one.add(value)
        both.add(value)
    for value in second:
        other.add(value)
        both.add(value)
    one.merge(other)
    for name in NAMES[kind]:
        assert one.value(name, 2.0) == pytest.approx(both.value(name, 2.0))


@pytest.mark.parametrize(
    ("text", "method", "operator", "bound"),
    [
        ("p(95)<500", "p(95)", "<", 500),
        (" rate >= 0.99 ", "rate", ">=", 0.99),
        ("p(99.9) <= 1e3", "p(99.9)", "<=", 1000),
        ("count===0", "count", "===", 0),
        ("med!=.5", "med", "!=", 0.5),
        ("value>-1", "value", ">", -1),
        ("p(99.99999)<1", "p(99.99999)", "<", 1),
    ],
)
def test_thresholds_are_read(text: str, method: str, operator: str, bound: float) -> None:
    threshold = parse_threshold(text)
    assert (threshold.method, threshold.operator, threshold.bound) == (method, operator, bound)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "p(95)",
        "p95<1",
        "avg<",
        "avg<x",
        "avg=1",
        "p(101)<1",
        "p()<1",
        "avg < 1 2",
        "avg<1e999",
        "avg<٣",
        "avg<" + "9" * 20_000,
        "p(" + "9" * 20_000 + ")<1",
    ],
)
def test_what_is_not_a_threshold_says_so(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"threshold|percentile") as caught:
        parse_threshold(text)
    assert len(str(caught.value)) < 400


def test_a_threshold_must_suit_its_metric() -> None:
    with pytest.raises(InvalidArgument, match="a counter has count, rate, not avg"):
        parse_threshold("avg<1", "counter")


def test_selectors() -> None:
    assert parse_selector("m{status:0, name:a:b}") == ("m", {"status": "0", "name": "a:b"})
    with pytest.raises(InvalidArgument, match="not tag:value"):
        parse_selector("m{status}")


def test_a_rate_of_nothing_crosses_no_threshold() -> None:
    """As in k6, where every other metric that took nothing is 0."""
    metrics = Metrics()
    metrics.add_thresholds({"checks": ["rate>0.9"], "checks{check:ok}": ["rate==1"], "made": ["count>0"]})
    metrics.metric("checks", "rate")
    metrics.metric("made", "counter")
    assert [result.ok for result in metrics.judge()] == [True, True, False]
    metrics.add("checks", "rate", 0)
    assert [result.ok for result in metrics.judge()] == [False, True, False]


def test_thresholds_on_metrics_and_submetrics() -> None:
    metrics = Metrics()
    metrics.add_thresholds(
        {"t": ["avg<10", {"threshold": "max<5", "abortOnFail": True}], "t{status:1}": "max<2", "t{status:9}": "p(99)<1"}
    )
    with pytest.raises(InvalidArgument, match="there is no such metric"):
        metrics.judge()
    metrics.add("t", "trend", 6.0, {"status": "0"}, contains="time")
    metrics.add("t", "trend", 1.0, {"status": "1"}, contains="time")
    assert [(r.metric, r.threshold.source, r.ok) for r in metrics.judge()] == [
        ("t", "avg<10", True),
        ("t", "max<5", False),
        ("t{status:1}", "max<2", True),
        ("t{status:9}", "p(99)<1", True),
    ]
    text = metrics.summary()
    assert "✗ 'max<5' max=6ms" in text
    assert "{status:1}" in text
    assert "{ status:9 }" in text


def test_tags_that_never_repeat_do_not_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "MAX_SERIES", 10)
    metrics = Metrics()
    metrics.add_thresholds({"n{kind:even}": "count>0"})
    for number in range(100):
        metrics.add("n", "counter", 1, {"id": str(number), "kind": "odd" if number % 2 else "even"})
    assert metrics.value("n", "count") == 100
    assert metrics.value("n{kind:even}", "count") == 50
    assert len(metrics["n"].series) == 10


def test_a_name_means_one_kind() -> None:
    metrics = Metrics()
    metrics.metric("a", "counter")
    with pytest.raises(InvalidArgument, match="is a counter"):
        metrics.metric("a", "trend")
    with pytest.raises(InvalidArgument, match="cannot name a metric"):
        metrics.metric("a b", "counter")


def test_custom_metrics_go_to_the_run_that_is_under_way() -> None:
    with active(Metrics(tags={"scenario": "s"})) as metrics:
        Counter("my_counter").add(2, {"n": 5, "b": True})
        Gauge("my_gauge").add(3)
        Rate("my_rate").add(True)
        trend = Trend("my_trend", True)
        with group("one"):
            group("two", lambda: trend.add(1.5))
        with pytest.raises(InvalidArgument, match="only String, Boolean and Number types"):
            trend.add(1, {"a": {}})
        for wrong in (math.nan, math.inf, "x", None, 10**20_000):
            with pytest.raises(InvalidArgument, match="'my_trend' takes finite numbers, not this"):
                trend.add(wrong)  # type: ignore[arg-type]
    assert metrics["my_counter"].sink({"n": "5", "b": "true", "scenario": "s", "group": ""}).count == 1
    assert metrics["my_trend"].sink({"group": "::one::two"}).count == 1
    assert {s.tags["group"] for s in metrics["group_duration"].series.values()} == {"::one", "::one::two"}
    with pytest.raises(InvalidArgument, match="may not contain '::'"):
        group("a::b")


def test_the_summary_reads_as_k6s() -> None:
    metrics = Metrics()
    for passed in (1, 1, 0):
        metrics.add("checks", "rate", passed, {"check": "status is OK", "group": ""})
    metrics.add("checks", "rate", 1, {"check": "inside", "group": "::g"})
    for value in (0.5, 1.5, 2.5):
        metrics.add("grpc_req_duration", "trend", value, contains="time")
    metrics.add("grpc_streams", "counter", 3)
    metrics.add("data_sent", "counter", 1024, contains="data")
    metrics.add("vus", "gauge", 2)
    metrics.metric("grpc_unused", "trend", "time")
    lines = metrics.summary().splitlines()
    assert "  █ TOTAL RESULTS" in lines
    assert any(line.startswith("    checks_total.......: 4       ") for line in lines)
    assert "    checks_succeeded...: 75.00%  3 out of 4" in lines
    assert "    ✗ status is OK" in lines
    assert "      ↳  66% — ✓ 2 / ✗ 1" in lines
    assert "    █ g" in lines
    assert "      ✓ inside" in lines
    assert any(line.startswith("    grpc_req_duration...: avg=1.5ms min=500µs ") for line in lines)
    assert any(line.startswith("    grpc_streams........: 3 ") for line in lines)
    assert any(line.startswith("    data_sent...........: 1.0 kB ") for line in lines)
    assert not any("grpc_unused" in line for line in lines)
    assert lines.index("    NETWORK") < lines.index("    GRPC")


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0s"),
        (0.0000123, "12ns"),
        (0.41752, "417.52µs"),
        (3.0, "3ms"),
        (1.688, "1.68ms"),
        (1500, "1.5s"),
        (63_000, "1m3s"),
        (3_723_000, "1h2m3s"),
    ],
)
def test_durations(milliseconds: float, text: str) -> None:
    assert format_duration(milliseconds) == text


def test_sizes_and_shares() -> None:
    assert [format_size(n) for n in (0, 9, 830, 1024, 158_000, 2_400_000)] == [
        "0 B", "9 B", "830 B", "1.0 kB", "158 kB", "2.4 MB",
    ]  # fmt: skip
    assert format_share(2 / 3) == "66.66%"
    assert format_duration(1500, "us") == "1500000.00µs"


def test_data_and_lines_for_programs() -> None:
    metrics = Metrics(tags={"scenario": "default"})
    file = io.StringIO()
    stop = metrics.listen(JsonLines(file))
    metrics.add_thresholds({"t{a:b}": "max<1", "t": ["max<9", {"threshold": "min<9", "abortOnFail": True}]})
    metrics.add("t", "trend", 2.5, {"a": "b"}, contains="time")
    metrics.add("t", "trend", 3, {"a": "c"}, contains="time")
    stop()
    metrics.add("t", "trend", 4, {"a": "c"}, contains="time")
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert lines[0] == {
        "type": "Metric",
        "data": {
            "name": "t",
            "type": "trend",
            "contains": "time",
            "thresholds": ["max<9", {"threshold": "min<9", "abortOnFail": True, "delayAbortEval": None}],
            "submetrics": [{"name": "t{a:b}", "suffix": "a:b", "tags": {"a": "b"}}],
        },
        "metric": "t",
    }
    assert [(line["data"]["value"], line["data"]["tags"]) for line in lines[1:]] == [
        (2.5, {"a": "b", "scenario": "default"}),
        (3, {"a": "c", "scenario": "default"}),
    ]
    data = json.loads(json.dumps(metrics.to_dict()))["metrics"]
    assert data["t{a:b}"]["thresholds"] == {"max<1": {"ok": False}}
    assert data["t"]["values"]["max"] == 4


def test_registries_merge_and_include() -> None:
    script, one, other = Metrics(), Metrics(), Metrics()
    script.add("checks", "rate", 1, {"check": "c", "group": ""})
    client = Metrics(include=script)
    one.add("n", "counter", 1, {"a": "1"})
    other.add("n", "counter", 2, {"a": "1"})
    client.merge(one)
    client.merge(other)
    client.add("checks", "rate", 0, {"check": "c", "group": ""})
    assert client.value("n{a:1}", "count") == 3
    assert client.value("checks", "rate") == 0.5
    assert "checks" in client
    assert "    ✗ c" in client.summary()


def test_noted_samples_count_for_whoever_looks_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "MAX_NOTED", 7)
    metrics, other = Metrics(), Metrics()
    trend = metrics.metric("t", "trend").with_tags({"a": "b"})
    told: list[float] = []
    trend.note(1.0)
    assert metrics.value("t{a:b}", "count") == 1
    metrics.listen(lambda sample: told.append(sample.value))
    trend.note(2.0)
    assert told == [2.0]
    other.merge(metrics)
    assert other.value("t", "max") == 2

    def work() -> None:
        for number in range(1000):
            trend.note(number)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert metrics.value("t", "count") <= 8002
    for thread in threads:
        thread.join()
    assert metrics.value("t", "count") == len(told) + 1 == 8002
    monkeypatch.setattr(registry_module, "MAX_SERIES", 1)
    metrics.metric("t", "trend").with_tags({"a": "c"}).note(5000.0)
    assert metrics.value("t", "max") == 5000


def test_a_series_that_follows_has_a_sample_for_each_that_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics()
    heard: list[tuple[str, float]] = []
    durations, failures = metrics.metric("duration", "trend", "time"), metrics.metric("failed", "rate")
    for status, count in (("0", 300), ("5", 100)):
        series = durations.with_tags({"status": status})
        series.followed_by(failures.with_tags({"status": status}), status != "0")
        for number in range(count):
            series.note(number)
    assert failures.sink().value("rate", 1) == 0.25
    assert failures.sink({"status": "5"}).value("passes", 1) == 100
    assert durations.sink().value("count", 1) == 400
    monkeypatch.setattr(registry_module, "MAX_SERIES", 2)
    stop = metrics.listen(lambda sample: heard.append((sample.metric.name, sample.value)))
    beyond = durations.with_tags({"status": "14"})
    beyond.followed_by(failures.with_tags({"status": "14"}), True)
    beyond.note(7)
    series.note(8)
    stop()
    assert heard == [("duration", 7), ("failed", True), ("duration", 8), ("failed", True)]
    assert failures.sink().value("passes", 1) == 102


def test_k6s_summaries_tell_of_groups_in_their_own_ways() -> None:
    metrics = Metrics(tags={"scenario": "s"})
    with active(metrics):
        for name in ("one", "two"):
            with group("outer"):
                metrics.add("checks", "rate", name == "one", {"check": name, "group": "::outer"})
    metrics.end()
    compact = metrics.summary(mode="compact").splitlines()
    assert compact[6:9] == ["    ✓ one", "    ✗ two", "      ↳  0% — ✓ 0 / ✗ 1"]
    assert not any("group_duration" in line for line in compact)
    full = metrics.summary(mode="full").splitlines()
    assert full[: len(compact)] == compact
    assert "  █ SCENARIO: s" in full
    assert "    ↳ GROUP: outer" in full
    legacy = metrics.summary(mode="legacy").splitlines()
    assert "     █ outer" in legacy
    assert "       ✓ one" in legacy
    assert any(line.startswith("     group_duration...: avg=") for line in legacy)


def test_selectors_are_told_as_they_were_written() -> None:
    metrics = Metrics()
    metrics.metric("m", "counter").with_tags({"a": "b", "c": "d"}).note(2)
    metrics.add_thresholds({"m{ a:b , c : d }": " count==2 "})
    (result,) = metrics.judge()
    assert (result.metric, result.threshold.source, result.ok) == ("m{a:b , c : d}", " count==2 ", True)
    summary = metrics.summary(mode="compact")
    assert "{ a:b , c : d }" in summary
    assert "✓ 'count==2' count=2" in summary
    for wrong in ("m{}", "m{a:b,}", "m {a:b}"):
        with pytest.raises(InvalidArgument):
            parse_selector(wrong)


def test_a_gauge_without_a_sample_has_no_infinite_ends() -> None:
    metrics = Metrics()
    metrics.metric("g", "gauge")
    metrics.add_thresholds({"g": "value==0"})
    assert "inf" not in metrics.summary(mode="compact")
