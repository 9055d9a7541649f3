"""Thresholds on parts of metrics, and in every spelling."""

from __future__ import annotations

import json
from typing import Any

from conformance.load.case import Case

__all__ = ["SELECTOR_CASES"]

GROUPS_JS = """
export default function () {
  group('outer', () => { group('inner', () => { check(1, { 'in: side': () => true, 'never': () => false }); }); });
}
"""
GROUPS_PY = """
def default():
    with group("outer"):
        with group("inner"):
            check(1, {"in: side": lambda one: True, "never": lambda one: False})
"""
OWN_JS = """
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';
const made = new Counter('made'), size = new Gauge('size'), good = new Rate('good'), took = new Trend('took');
export default function () {
  for (let i = 0; i < 10; i++) {
    const tags = { a: String(i % 2), 'b c': 'x y', d: 'p:q' };
    made.add(i, tags); size.add(i, tags); good.add(i > 4, tags); took.add(i, tags);
  }
}
"""
OWN_PY = """
from puregrpc.metrics import Counter, Gauge, Rate, Trend
made, size, good, took = Counter("made"), Gauge("size"), Rate("good"), Trend("took")
def default():
    for i in range(10):
        tags = {"a": str(i % 2), "b c": "x y", "d": "p:q"}
        made.add(i, tags); size.add(i, tags); good.add(i > 4, tags); took.add(i, tags)
"""
TWO_JS = """
export function one() { check(1, { c: () => true }); }
export function two() { check(1, { c: () => false }); }
"""
TWO_PY = """
def one(): check(1, {"c": lambda one: True})
def two(): check(1, {"c": lambda one: False})
"""


def options(thresholds: dict[str, Any], **more: Any) -> str:
    return json.dumps({"vus": 1, "iterations": 2, **more, "thresholds": thresholds})


def own(name: str, thresholds: dict[str, Any]) -> Case:
    return Case(name=name, options=options(thresholds), javascript=OWN_JS, python=OWN_PY)


SCENARIOS = {
    "first": {"executor": "shared-iterations", "vus": 1, "iterations": 2, "exec": "one", "tags": {"kind": "x"}},
    "second": {"executor": "shared-iterations", "vus": 1, "iterations": 2, "exec": "two", "startTime": "500ms"},
}

SELECTOR_CASES = [
    Case(
        name="thresholds on groups",
        options=options(
            {
                "checks{group:::outer::inner}": ["rate>0.4"],
                "checks{group:::outer}": ["rate>0.9"],
                "group_duration{group:::outer}": ["max<10000"],
            }
        ),
        javascript=GROUPS_JS,
        python=GROUPS_PY,
    ),
    Case(
        name="thresholds on checks by name",
        options=options({"checks{check:in: side}": ["rate==1"], "checks{check:never}": ["rate==0"]}),
        javascript=GROUPS_JS,
        python=GROUPS_PY,
    ),
    Case(
        name="thresholds on scenarios and their tags",
        options=json.dumps(
            {
                "scenarios": SCENARIOS,
                "thresholds": {
                    "checks{scenario:first}": ["rate==1"],
                    "checks{scenario:second}": ["rate==1"],
                    "iterations{kind:x}": ["count==2"],
                    "iterations{scenario:third}": ["count>5"],
                },
            }
        ),
        javascript=TWO_JS,
        python=TWO_PY,
    ),
    own(
        "thresholds on several tags",
        {
            "made{a:1,d:p:q}": ["count==50"],
            "made{a:0, b c:x y}": ["count<1"],
            "took{a:1}": ["avg==5", "min==1", "max==9", "med==5", "p(90)<=9"],
        },
    ),
    own("thresholds without spaces and with many", {"took": ["avg<5", "  avg   <   5  ", "p(99.99)<=9", "p(0)==0"]}),
    own(
        "thresholds with every sign",
        {"made": ["count>89", "count>=90", "count==90", "count===90", "count<91", "count<=90"]},
    ),
    own("thresholds with numbers of all sorts", {"made": ["count>-1", "count<1e3", "count<1.5e2", "count>0.5"]}),
    own("a threshold on a rate's count", {"good": ["count>1"]}),
    own("a threshold on a gauge", {"size": ["value==9"], "size{a:0}": ["value<9"]}),
    own("a threshold with a number that begins with a point", {"made": ["count>.5"]}),
    own("a threshold with a plus", {"made": ["count>+1"]}),
    own("a threshold of two", {"made": ["count>1 && count<3"]}),
    own("a percentile without a number", {"took": ["p()<1"]}),
    own("a selector without an end", {"made{a:1": ["count>1"]}),
    own("a selector without tags", {"made{}": ["count==90"]}),
    own("a selector with a tag that has no value", {"made{a}": ["count>1"]}),
    own("a selector with spaces", {"made{ a : 1 }": ["count==50"]}),
    own("a selector in quotes", {'made{a:"1"}': ["count==50"]}),
    own("no thresholds on a metric", {"made": []}),
    own("a threshold as an object", {"made": [{"threshold": "count>1"}, {"threshold": "count>100"}]}),
    own("a threshold as an object without one", {"made": [{"abortOnFail": True}]}),
    own("a delay that is none", {"made": [{"threshold": "count>1", "abortOnFail": True, "delayAbortEval": "soon"}]}),
    own("a delay as a number", {"made": [{"threshold": "count>1", "abortOnFail": True, "delayAbortEval": 10}]}),
    own("thresholds that are a list", ["made"]),  # type: ignore[arg-type]
    own("a threshold that is a number", {"made": [5]}),
]
