"""Strange scripts and options, which k6 and puregrpc take or refuse alike."""

from __future__ import annotations

from conformance.load.case import Case

__all__ = ["STRANGE_CASES"]

STRANGE_CASES = [
    Case(
        name="rate below one a second",
        options='{"scenarios": {"a": {"executor": "constant-arrival-rate", "rate": 1, "timeUnit": "2s", "duration": "5s", "preAllocatedVUs": 1}}}',
        javascript="export default function () {}",
        python="def default(): pass",
    ),
    Case(
        name="rate by the minute",
        options='{"scenarios": {"a": {"executor": "constant-arrival-rate", "rate": 90, "timeUnit": "1m", "duration": "3s", "preAllocatedVUs": 1}}}',
        javascript="export default function () {}",
        python="def default(): pass",
    ),
    Case(
        name="too few users",
        options='{"scenarios": {"a": {"executor": "constant-arrival-rate", "rate": 10, "duration": "2s", "preAllocatedVUs": 1, "maxVUs": 3}}}',
        javascript="export default function () { sleep(2); }",
        python="def default(): sleep(2)",
        compares_counts=False,
    ),
    Case(
        name="maxVUs below preAllocatedVUs",
        options='{"scenarios": {"a": {"executor": "constant-arrival-rate", "rate": 10, "duration": "2s", "preAllocatedVUs": 5, "maxVUs": 3}}}',
        javascript="export default function () {}",
        python="def default(): pass",
    ),
    Case(
        name="no preAllocatedVUs",
        options='{"scenarios": {"a": {"executor": "constant-arrival-rate", "rate": 10, "duration": "2s"}}}',
        javascript="export default function () {}",
        python="def default(): pass",
    ),
    Case(
        name="rate zero",
        options='{"scenarios": {"a": {"executor": "constant-arrival-rate", "rate": 0, "duration": "2s", "preAllocatedVUs": 1}}}',
        javascript="export default function () {}",
        python="def default(): pass",
    ),
    Case(
        name="rate fraction",
        options='{"scenarios": {"a": {"executor": "constant-arrival-rate", "rate": 1.5, "duration": "2s", "preAllocatedVUs": 1}}}',
        javascript="export default function () {}",
        python="def default(): pass",
    ),
    Case(
        name="arrivals down to none",
        options='{"scenarios": {"a": {"executor": "ramping-arrival-rate", "startRate": 10, "timeUnit": "1s", "preAllocatedVUs": 2, "stages": [{"target": 10, "duration": "1s"}, {"target": 0, "duration": "1s"}, {"target": 0, "duration": "500ms"}]}}}',
        javascript="export default function () {}",
        python="def default(): pass",
    ),
    Case(
        name="arrivals without stages",
        options='{"scenarios": {"a": {"executor": "ramping-arrival-rate", "preAllocatedVUs": 2, "stages": []}}}',
        javascript="export default function () {}",
        python="def default(): pass",
    ),
    Case(
        name="stages down to zero and up",
        options='{"stages": [{"duration": "0s", "target": 3}, {"duration": "1s", "target": 3}, {"duration": "0s", "target": 0}, {"duration": "1s", "target": 0}, {"duration": "0s", "target": 2}, {"duration": "1s", "target": 2}]}',
        javascript="export default function () { sleep(0.4); }",
        python="def default(): sleep(0.4)",
        compares_counts=False,
    ),
    Case(
        name="check names",
        options='{"iterations": 1}',
        javascript="""export default function () { check(1, {'': (v) => v == 1, 'ü ✓ "q" <b>': (v) => v == 1, 'a\\nb': (v) => v == 1, 'x{y:z}': (v) => true, ' sp ': () => true, 'val': 1, 'nul': null, 'str': 'x', 'emp': ''}); }""",
        python="""def default(): check(1, {'': lambda v: v == 1, 'ü ✓ "q" <b>': lambda v: v == 1, 'a\\nb': lambda v: v == 1, 'x{y:z}': lambda v: True, ' sp ': lambda v: True, 'val': 1, 'nul': None, 'str': 'x', 'emp': ''})""",
    ),
    Case(
        name="check name with colons",
        options='{"iterations": 2}',
        javascript="export default function () { check(1, {'a::b': (v) => v == 1}); }",
        python="def default(): check(1, {'a::b': lambda v: v == 1})",
    ),
    Case(
        name="group name with colons",
        options='{"iterations": 2}',
        javascript="export default function () { group('a::b', () => 1); }",
        python="def default(): group('a::b', lambda: 1)",
    ),
    Case(
        name="check raises",
        options='{"iterations": 2}',
        javascript="export default function () { check(1, {'ok': () => true, 'bad': (v) => { throw new Error('x'); }, 'after': () => true }); }",
        python="""
def bad(v): raise ValueError('x')
def default(): check(1, {'ok': lambda v: True, 'bad': bad, 'after': lambda v: True})
""",
    ),
    Case(
        name="group raises",
        options='{"iterations": 2}',
        javascript="export default function () { group('g', () => { throw new Error('x'); }); }",
        python="""
def bad(): raise ValueError('x')
def default(): group('g', bad)
""",
    ),
    Case(
        name="nested groups, thresholds",
        options='{"iterations": 2, "thresholds": {"checks{group:::a::b}": ["rate==1"], "group_duration{group:::a}": ["max<10000"]}}',
        javascript="export default function () { group('a', () => group('b', () => group('c', () => check(1, {'k': (v) => v == 1}, {mine: 'x'})))); group('a', () => group('b', () => check(1, {'k': (v) => v == 1}))); }",
        python="""
def default():
    group('a', lambda: group('b', lambda: group('c', lambda: check(1, {'k': lambda v: v == 1}, {'mine': 'x'}))))
    group('a', lambda: group('b', lambda: check(1, {'k': lambda v: v == 1})))
""",
    ),
    Case(
        name="metric name bad",
        options='{"iterations": 1}',
        javascript="import { Counter } from 'k6/metrics'; const c = new Counter('a b-c'); export default function () {}",
        python="""
from puregrpc import Counter
c = Counter('a b-c')
def default(): pass
""",
        compares_summary=False,
    ),
    Case(
        name="metric twice",
        options='{"iterations": 1}',
        javascript="import { Counter, Trend } from 'k6/metrics'; const c = new Counter('abc'), d = new Trend('abc'); export default function () {}",
        python="""
from puregrpc import Counter, Trend
c = Counter('abc'); d = Trend('abc')
def default(): pass
""",
        compares_summary=False,
    ),
    Case(
        name="metric twice the same",
        options='{"iterations": 1}',
        javascript="import { Counter, Trend } from 'k6/metrics'; const c = new Counter('abc'), d = new Counter('abc'); export default function () { c.add(1); d.add(2); }",
        python="""
from puregrpc import Counter, Trend
c = Counter('abc'); d = Counter('abc')
def default(): c.add(1); d.add(2)
""",
    ),
    Case(
        name="counter below zero",
        options='{"iterations": 1}',
        javascript="import { Counter, Trend, Gauge } from 'k6/metrics'; const c = new Counter('cc'), t = new Trend('tt'), g = new Gauge('gg'); export default function () { c.add(-5); c.add(1.5); t.add(-3); g.add(-1); }",
        python="""
from puregrpc import Counter, Trend, Gauge
c, t, g = Counter('cc'), Trend('tt'), Gauge('gg')
def default():
    c.add(-5); c.add(1.5); t.add(-3); g.add(-1)
""",
    ),
    Case(
        name="odd columns of trends",
        options='{"iterations": 5, "summaryTrendStats": ["p(99.9)", "count", "p(0)", "p(100)", "avg", "p(50)"]}',
        javascript="export default function () { sleep(0.01); }",
        python="def default(): sleep(0.01)",
    ),
    Case(
        name="times in seconds",
        options='{"iterations": 2}',
        javascript="export default function () { sleep(0.2); }",
        python="def default(): sleep(0.2)",
        arguments=("--summary-time-unit", "s"),
    ),
    Case(
        name="times in microseconds",
        options='{"iterations": 2}',
        javascript="export default function () { sleep(0.2); }",
        python="def default(): sleep(0.2)",
        arguments=("--summary-time-unit", "us", "--summary-trend-stats", "p(99.9),count,med"),
    ),
    Case(
        name="summary disabled",
        options='{"iterations": 2}',
        javascript="export default function () {}",
        python="def default(): pass",
        arguments=("--summary-mode", "disabled"),
    ),
    Case(
        name="not connected",
        options='{"iterations": 2}',
        javascript="export default function () { client.invoke('hello.HelloService/SayHello', {}); }",
        python="def default(): client.invoke('hello.HelloService/SayHello', {})",
    ),
    Case(
        name="nobody listens",
        options='{"iterations": 2}',
        javascript="export default function () { client.connect('127.0.0.1:1', { plaintext: true, timeout: '500ms' }); }",
        python="def default(): client.connect('127.0.0.1:1', {'plaintext': True, 'timeout': '500ms'})",
    ),
    Case(
        name="tls where there is none",
        options='{"iterations": 1}',
        javascript="export default function () { client.connect(TARGET, { timeout: '1s' }); }",
        python="def default(): client.connect(TARGET, {'timeout': '1s'})",
    ),
    Case(
        name="stream without end",
        options='{"scenarios": {"a": {"executor": "per-vu-iterations", "vus": 1, "iterations": 1, "maxDuration": "2s", "gracefulStop": "1s"}}}',
        javascript="export default function () { if (__ITER == 0) client.connect(TARGET, { plaintext: true }); const s = new grpc.Stream(client, 'hello.HelloService/LotsOfReplies'); s.on('data', () => {}); s.on('end', () => {}); s.write({greeting: 'x'}); }",
        python="""
def default():
    if vu.iteration == 0: client.connect(TARGET, {'plaintext': True})
    s = client.stream('hello.HelloService/LotsOfReplies')
    s.on('data', lambda m: None); s.on('end', lambda: None); s.write({'greeting': 'x'})
""",
        compares_counts=False,
    ),
    Case(
        name="stream handler raises",
        options='{"iterations": 1}',
        javascript="export default function () { if (__ITER == 0) client.connect(TARGET, { plaintext: true }); const s = new grpc.Stream(client, 'hello.HelloService/LotsOfReplies'); s.on('data', () => { throw new Error('x'); }); s.on('end', () => {}); s.write({greeting: 'x'}); s.end(); }",
        python="""
def default():
    if vu.iteration == 0: client.connect(TARGET, {'plaintext': True})
    def bad(m): raise ValueError('x')
    s = client.stream('hello.HelloService/LotsOfReplies')
    s.on('data', bad); s.on('end', lambda: None); s.write({'greeting': 'x'}); s.end()
""",
        compares_counts=False,
    ),
    Case(
        name="setup is left out",
        options='{"iterations": 1}',
        javascript="export function setup() { return 1; } export default function (d) { check(d, {'undef': (d) => d === undefined || d === null}); } export function teardown(d) { check(d, {'t': () => true}); }",
        python="""
def setup(): return 1
def default(d): check(d, {'undef': lambda d: d is None})
def teardown(d): check(d, {'t': True})
""",
        arguments=("--no-setup",),
    ),
    Case(
        name="teardown and thresholds are left out",
        options='{"iterations": 1, "thresholds": {"checks": ["rate<0.5"]}}',
        javascript="export default function (d) { check(d, {'undef': (d) => true}); } export function teardown(d) { check(d, {'t': () => true}); }",
        python="""
def default(d): check(d, {'undef': True})
def teardown(d): check(d, {'t': True})
""",
        arguments=("--no-teardown", "--no-thresholds"),
    ),
    Case(
        name="teardown too slow",
        options='{"iterations": 1, "teardownTimeout": "1s"}',
        javascript="export function teardown() { sleep(5); } export default function () {}",
        python="""
def teardown(): sleep(5)
def default(): pass
""",
    ),
    Case(
        name="zero users",
        options='{"vus": 0, "duration": "1s"}',
        javascript="export default function () {}",
        python="def default(): pass",
    ),
    Case(
        name="duration below zero",
        options='{"vus": 1, "duration": "-1s"}',
        javascript="export default function () {}",
        python="def default(): pass",
    ),
    Case(
        name="duration zero",
        options='{"vus": 1, "duration": "0s"}',
        javascript="export default function () {}",
        python="def default(): pass",
    ),
    Case(
        name="duration nonsense",
        options='{"vus": 1, "duration": "soon"}',
        javascript="export default function () {}",
        python="def default(): pass",
    ),
    Case(
        name="iterations zero",
        options='{"vus": 1, "iterations": 0}',
        javascript="export default function () {}",
        python="def default(): pass",
        compares_counts=False,
    ),
    Case(
        name="stage below zero",
        options='{"stages": [{"duration": "1s", "target": -1}]}',
        javascript="export default function () {}",
        python="def default(): pass",
    ),
    Case(
        name="unknown option of a scenario",
        options='{"scenarios": {"a": {"executor": "shared-iterations", "nothing": 5}}}',
        javascript="export default function () {}",
        python="def default(): pass",
    ),
    Case(
        name="unknown executor",
        options='{"scenarios": {"a": {"executor": "nothing"}}}',
        javascript="export default function () {}",
        python="def default(): pass",
    ),
    Case(
        name="no scenarios",
        options='{"scenarios": {}}',
        javascript="export default function () {}",
        python="def default(): pass",
    ),
    Case(
        name="handle_summary",
        options='{"iterations": 1, "thresholds": {"checks": ["rate>0.5"]}}',
        javascript="export default function () { check(1, {'a': () => true}); } export function handleSummary(data) { return { stdout: 'mine ' + data.metrics.checks.values.passes + ' ' + Object.keys(data).sort().join() + ' ' + Object.keys(data.metrics.checks).sort().join() + '\\n', 'file.txt': 'x', stderr: 'e' }; }",
        python="""
def default(): check(1, {'a': True})
def handle_summary(data): return {'stdout': 'mine ' + str(data['metrics']['checks']['values']['passes']) + ' ' + ','.join(sorted(data)) + ' ' + ','.join(sorted(data['metrics']['checks'])) + '\\n', 'file.txt': 'x', 'stderr': 'e'}
""",
    ),
    Case(
        name="handle_summary raises",
        options='{"iterations": 1}',
        javascript="export default function () {} export function handleSummary(data) { throw new Error('x'); }",
        python="""
def default(): pass
def handle_summary(data): raise ValueError('x')
""",
    ),
    Case(
        name="handle_summary gives nothing",
        options='{"iterations": 1}',
        javascript="export default function () {} export function handleSummary(data) { }",
        python="""
def default(): pass
def handle_summary(data): pass
""",
    ),
    Case(
        name="handle_summary gives an empty one",
        options='{"iterations": 1}',
        javascript="export default function () {} export function handleSummary(data) { return {}; }",
        python="""
def default(): pass
def handle_summary(data): return {}
""",
    ),
    Case(
        name="handle_summary and disabled",
        options='{"iterations": 1}',
        javascript="export default function () {} export function handleSummary(data) { return {stdout: 'mine\\n'}; }",
        python="""
def default(): pass
def handle_summary(data): return {'stdout': 'mine\\n'}
""",
        arguments=("--summary-mode", "disabled"),
    ),
    Case(
        name="command line's users over scenarios",
        options='{"scenarios": {"a": {"executor": "shared-iterations", "iterations": 5, "exec": "other"}}}',
        javascript="export default function () { check(1, {'d': () => true}); } export function other() { check(1, {'o': () => true}); }",
        python="""
def default(): check(1, {'d': True})
def other(): check(1, {'o': True})
""",
        arguments=("-u", "2"),
    ),
    Case(
        name="command line's duration over stages",
        options='{"stages": [{"duration": "1s", "target": 1}]}',
        javascript="export default function () { sleep(0.5); }",
        python="def default(): sleep(0.5)",
        arguments=("-u", "2", "-d", "1500ms"),
        compares_counts=False,
    ),
    Case(
        name="tags by command line",
        options='{"iterations": 1, "tags": {"a": "1"}}',
        javascript="export default function () { check(1, {'a': () => true}); }",
        python="def default(): check(1, {'a': True})",
        arguments=("--tag", "b=2", "--tag", "a=3"),
    ),
    Case(
        name="abort in an iteration of one of two",
        options='{"scenarios": {"a": {"executor": "constant-vus", "vus": 2, "duration": "10s"}, "b": {"executor": "shared-iterations", "exec": "b", "startTime": "1s"}}}',
        javascript="export default function () { sleep(0.2); } export function b() { exec.test.abort('enough'); }",
        python="""
def default(): sleep(0.2)
def b(): abort('enough')
""",
        compares_counts=False,
    ),
]
