"""More scripts for k6 and puregrpc: options that cannot be, ends of all kinds, submetrics, setup's data."""

from __future__ import annotations

from conformance.load.case import Case

__all__ = ["ODD_CASES"]

ODD_CASES = [
    Case(
        name="setup's data is each user's own",
        options='{"vus": 2, "iterations": 4}',
        javascript="""
export function setup() { return { n: 1, list: [1, 2] }; }
export default function (data) { data.n += 1; data.list.push(3); check(data, { 'own': (d) => d.n <= 4 }); sleep(0.05); }
export function teardown(data) { check(data, { 'untouched': (d) => d.n === 1 && d.list.length === 2 }); }
""",
        python="""
def setup(): return {"n": 1, "list": [1, 2]}
def default(data):
    data["n"] += 1; data["list"].append(3); check(data, {"own": lambda d: d["n"] <= 4}); sleep(0.05)
def teardown(data): check(data, {"untouched": lambda d: d["n"] == 1 and len(d["list"]) == 2})
""",
    ),
    Case(
        name="checks and metrics in setup and teardown",
        options='{"iterations": 2}',
        javascript="""
import { Counter } from 'k6/metrics';
const c = new Counter('made');
export function setup() { check(1, { 'in setup': (v) => v == 1 }); c.add(2, { kind: 'a' }); group('g', () => { check(1, { 'in g': (v) => v == 2 }); }); }
export default function () { c.add(1, { kind: 'b' }); }
export function teardown() { check(1, { 'in teardown': (v) => v == 1 }); c.add(5); }
""",
        python="""
from puregrpc import Counter
c = Counter("made")
def setup():
    check(1, {"in setup": lambda v: v == 1}); c.add(2, {"kind": "a"}); group("g", lambda: check(1, {"in g": lambda v: v == 2}))
def default(): c.add(1, {"kind": "b"})
def teardown(): check(1, {"in teardown": lambda v: v == 1}); c.add(5)
""",
    ),
    Case(
        name="thresholds on own metrics and submetrics",
        options="""{"iterations": 6, "thresholds": {
   "made{kind:a}": ["count==3"], "made{kind:b}": ["count<2"], "size": ["value>5"], "good": ["rate>=0.5"], "good{kind:a}": ["rate==1"],
   "took": ["med<100", "p(99.9)<1", "min>=0", "max>1000"], "made{none:x}": ["count>0"]}}""",
        javascript="""
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';
const c = new Counter('made'), g = new Gauge('size'), r = new Rate('good'), t = new Trend('took');
export default function () { const kind = __ITER % 2 ? 'a' : 'b'; c.add(1, { kind }); g.add(__ITER); r.add(kind === 'a', { kind }); t.add(__ITER * 10); }
""",
        python="""
from puregrpc import Counter, Gauge, Rate, Trend
c, g, r, t = Counter("made"), Gauge("size"), Rate("good"), Trend("took")
def default():
    kind = "a" if vu.iteration % 2 else "b"
    c.add(1, {"kind": kind}); g.add(vu.iteration); r.add(kind == "a", {"kind": kind}); t.add(vu.iteration * 10)
""",
    ),
    Case(
        name="a threshold of another kind",
        options='{"iterations": 1, "thresholds": {"checks": ["p(95)<1"]}}',
        javascript="export default function () {}",
        python="def default(): pass",
        compares_summary=False,
    ),
    Case(
        name="a gauge has no count",
        options='{"iterations": 1, "thresholds": {"vus": ["count<1"]}}',
        javascript="export default function () {}",
        python="def default(): pass",
        compares_summary=False,
    ),
    Case(
        name="abort on fail",
        options="""{"vus": 2, "duration": "8s", "thresholds": {"checks": [{"threshold": "rate>0.9", "abortOnFail": 1 == 1}]}}""",
        javascript="export default function () { check(1, { 'no': (v) => v == 2 }); sleep(0.2); }",
        python="def default():\n    check(1, {'no': lambda v: v == 2}); sleep(0.2)",
        compares_counts=False,
    ),
    Case(
        name="abort on fail with a delay that is longer",
        options="""{"vus": 1, "duration": "3s", "thresholds": {"checks": [{"threshold": "rate>0.9", "abortOnFail": 1 == 1, "delayAbortEval": "1m"}]}}""",
        javascript="export default function () { check(1, { 'no': (v) => v == 2 }); sleep(0.5); }",
        python="def default():\n    check(1, {'no': lambda v: v == 2}); sleep(0.5)",
    ),
    Case(
        name="fail",
        options='{"iterations": 3}',
        javascript="import { fail } from 'k6'; export default function () { check(1, {'a': (v) => v == 1}); fail('so'); }",
        python="from puregrpc import fail\ndef default():\n    check(1, {'a': lambda v: v == 1}); fail('so')",
    ),
    Case(
        name="fail in setup",
        javascript="import { fail } from 'k6'; export function setup() { fail('so'); } export default function () {}",
        python="from puregrpc import fail\ndef setup(): fail('so')\ndef default(): pass",
    ),
    Case(
        name="abort in setup",
        javascript="export function setup() { exec.test.abort('so'); } export default function () {} export function teardown() { check(1, {'t': (v) => v == 1}); }",
        python="def setup(): abort('so')\ndef default(): pass\ndef teardown(): check(1, {'t': lambda v: v == 1})",
    ),
    Case(
        name="abort in teardown",
        javascript="export default function () {} export function teardown() { exec.test.abort('so'); }",
        python="def default(): pass\ndef teardown(): abort('so')",
    ),
    Case(
        name="the script raises at its top",
        javascript="throw new Error('top'); export default function () {}",
        python="raise ValueError('top')\ndef default(): pass",
        compares_summary=False,
    ),
    Case(name="not a script", javascript="export default function ( {", python="def default(", compares_summary=False),
    Case(
        name="exec that is not there",
        options='{"scenarios": {"s": {"executor": "per-vu-iterations", "exec": "nothing"}}}',
        javascript="export default function () {}",
        python="def default(): pass",
        compares_summary=False,
    ),
    Case(
        name="no duration",
        options='{"scenarios": {"s": {"executor": "constant-vus", "vus": 1}}}',
        javascript="export default function () {}",
        python="def default(): pass",
        compares_summary=False,
    ),
    Case(
        name="fewer iterations than users",
        options='{"vus": 5, "iterations": 2}',
        javascript="export default function () {}",
        python="def default(): pass",
        compares_summary=False,
    ),
    Case(
        name="no executor",
        options='{"scenarios": {"s": {"vus": 1}}}',
        javascript="export default function () {}",
        python="def default(): pass",
        compares_summary=False,
    ),
    Case(
        name="an option of another executor",
        options='{"scenarios": {"s": {"executor": "constant-vus", "vus": 1, "duration": "1s", "stages": []}}}',
        javascript="export default function () {}",
        python="def default(): pass",
        compares_summary=False,
    ),
    Case(
        name="a scenario's bad name",
        options='{"scenarios": {"a b": {"executor": "per-vu-iterations"}}}',
        javascript="export default function () {}",
        python="def default(): pass",
        compares_summary=False,
    ),
    Case(
        name="the last iteration may end",
        options='{"scenarios": {"s": {"executor": "constant-vus", "vus": 2, "duration": "1s", "gracefulStop": "3s"}}}',
        javascript="export default function () { sleep(1.6); }",
        python="def default(): sleep(1.6)",
    ),
    Case(
        name="max duration",
        options='{"scenarios": {"s": {"executor": "shared-iterations", "vus": 2, "iterations": 100, "maxDuration": "1s", "gracefulStop": "0s"}}}',
        javascript="export default function () { sleep(0.4); }",
        python="def default(): sleep(0.4)",
    ),
    Case(
        name="per user with max duration",
        options='{"scenarios": {"s": {"executor": "per-vu-iterations", "vus": 2, "iterations": 10, "maxDuration": "1s"}}}',
        javascript="export default function () { sleep(0.4); }",
        python="def default(): sleep(0.4)",
    ),
    Case(
        name="tags of scenarios and of the run",
        options="""{"tags": {"build": "7"}, "scenarios": {
   "a": {"executor": "per-vu-iterations", "tags": {"kind": "x"}, "env": {"WHO": "A"}},
   "b": {"executor": "per-vu-iterations", "tags": {"kind": "y", "build": "8"}, "env": {"WHO": "B"}, "startTime": "300ms"}},
   "thresholds": {"iterations{kind:x}": ["count==1"], "iterations{build:8}": ["count==1"], "checks{kind:y}": ["rate==1"]}}""",
        javascript="export default function () { check(__ENV.WHO, { 'A': (v) => v == 'A', 'B': (v) => v == 'B' }); }",
        python="from puregrpc.load import scenario\ndef default(): check(scenario.env('WHO'), {'A': lambda v: v == 'A', 'B': lambda v: v == 'B'})",
    ),
    Case(
        name="environment",
        options='{"iterations": 1}',
        arguments=("-e", "WHO=me", "-e", "EMPTY="),
        javascript="export default function () { check(__ENV, { 'me': (v) => v.WHO == 'me', 'empty': (v) => v.EMPTY === '' }); }",
        python="import os\ndef default(): check(os.environ, {'me': lambda v: v['WHO'] == 'me', 'empty': lambda v: v['EMPTY'] == ''})",
    ),
    Case(
        name="the shortest iteration",
        options='{"iterations": 2, "minIterationDuration": "400ms"}',
        javascript="export default function () {}",
        python="def default(): pass",
    ),
    Case(
        name="command line's stages over options",
        options='{"vus": 1, "iterations": 1}',
        arguments=("--stage", "1s:2", "--stage", "500ms:0"),
        javascript="export default function () { sleep(0.1); }",
        python="def default(): sleep(0.1)",
        compares_counts=False,
    ),
    Case(
        name="command line's iterations over scenarios",
        options='{"scenarios": {"a": {"executor": "constant-vus", "vus": 1, "duration": "5s"}}}',
        arguments=("-i", "3", "-u", "2"),
        javascript="export default function () { }",
        python="def default(): pass",
    ),
    Case(
        name="duration and iterations",
        options='{"vus": 2, "iterations": 1000, "duration": "1s"}',
        javascript="export default function () { sleep(0.3); }",
        python="def default(): sleep(0.3)",
        compares_counts=False,
    ),
    Case(
        name="ramping arrivals",
        options="""{"scenarios": {"s": {"executor": "ramping-arrival-rate", "startRate": 10, "timeUnit": "1s", "preAllocatedVUs": 5, "maxVUs": 10, "stages": [{"duration": "1s", "target": 30}, {"duration": "0s", "target": 5}, {"duration": "1s", "target": 5}]}}}""",
        javascript="export default function () { }",
        python="def default(): pass",
        compares_counts=False,
    ),
    Case(
        name="groups in full mode with thresholds",
        options="""{"iterations": 2, "thresholds": {"group_duration{group:::outer}": ["max<60000"], "checks{group:::outer::inner}": ["rate==1"], "checks{check:in outer}": ["rate==1"]}}""",
        arguments=("--summary-mode", "full"),
        javascript="export default function () { group('outer', () => { check(1, {'in outer': (v) => v == 1}); group('inner', () => check(1, {'in inner': (v) => v == 1})); }); }",
        python="def default():\n    with group('outer'):\n        check(1, {'in outer': lambda v: v == 1})\n        with group('inner'): check(1, {'in inner': lambda v: v == 1})",
    ),
    Case(
        name="nobody listens",
        options='{"iterations": 2}',
        javascript="export default function () { client.connect('127.0.0.1:1', {plaintext: true, timeout: '1s'}); }",
        python="def default(): client.connect('127.0.0.1:1', plaintext=True, timeout='1s')",
    ),
    Case(
        name="invoke without connect",
        options='{"iterations": 2}',
        javascript="export default function () { client.invoke('hello.HelloService/SayHello', {}); }",
        python="def default(): client.invoke('hello.HelloService/SayHello', {})",
    ),
]
