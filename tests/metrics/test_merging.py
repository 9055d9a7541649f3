"""What several processes measured, put together: as if one had measured all of it."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.metrics import Kind, Metrics
from puregrpc.metrics import registry as registry_module

NAMES: dict[Kind, list[str]] = {
    "counter": ["count"],
    "rate": ["rate", "passes", "fails"],
    "gauge": ["min", "max"],
    "trend": ["avg", "min", "max", "med", "p(1)", "p(90)", "p(99.9)", "count"],
}
SAMPLE = st.tuples(
    st.integers(0, 3),
    st.sampled_from(list(NAMES)),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([0.0, 0.5, 1.0, 3.25, 1e-3, 12345.0]),
)


@given(st.lists(SAMPLE, max_size=80), st.sets(st.integers(0, 80), max_size=4), st.sampled_from([2, 5, 10_000]))
def test_parts_make_the_whole(samples: list[tuple[int, Kind, str, float]], drained_after: set[int], few: int) -> None:
    whole, together = Metrics(), Metrics()
    parts = [Metrics() for _ in range(4)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("puregrpc.metrics.sinks.EXACT_SAMPLES", few)
        for number, (part, kind, tag, value) in enumerate(samples):
            for metrics in (whole, parts[part]):
                metrics.metric(kind, kind).with_tags({"tag": tag}).note(value)
            if number in drained_after:
                together.absorb(pickle.loads(pickle.dumps(parts[part].drain())))
        for each in parts:
            together.absorb(pickle.loads(pickle.dumps(each.drain())))
        assert {metric.name for metric in together} == {metric.name for metric in whole if metric.sink().count}
        for metric in together:
            for tags in (None, {"tag": "a"}, {"tag": "b"}):
                ours, theirs = metric.sink(tags), whole[metric.name].sink(tags)
                assert ours.count == theirs.count
                for name in NAMES[metric.kind]:
                    # The bins are the same; where few samples lie between two of them the sums are floats all the same.
                    assert ours.value(name, 1) == pytest.approx(theirs.value(name, 1), rel=1e-9)


def test_what_follows_is_drained_too() -> None:
    metrics, other = Metrics(), Metrics()
    durations = metrics.metric("duration", "trend").with_tags({})
    durations.followed_by(metrics.metric("failed", "rate").with_tags({}), 1.0)
    for _ in range(2):
        durations.note(5.0)
        durations.note(7.0)
        other.absorb(metrics.drain())
    assert other.value("duration", "count") == other.value("failed", "passes") == 4


def test_what_is_beyond_the_most_series_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "MAX_SERIES", 2)
    metrics, other = Metrics(), Metrics()
    for each in (metrics, other):
        each.add_thresholds({"c{kind:late}": ["count<10"]})
    for number in range(5):
        metrics.add("c", "counter", 1, {"number": str(number), "kind": "late"})
    other.absorb(metrics.drain())
    assert other.value("c", "count") == other.value("c{kind:late}", "count") == 5
