"""Options, thresholds, ends and metrics at their edges, which k6 and puregrpc take or refuse alike."""

from __future__ import annotations

from dataclasses import replace

from conformance.load.case import Case

__all__ = ["UNTRIED_CASES"]

NOTHING = "export default function () {}", "def default(): pass"


def options(name: str, text: str, *, compares_counts: bool = True) -> Case:
    """A script that does nothing, with these options."""
    return Case(
        name=name,
        options=text,
        javascript=NOTHING[0],
        python=NOTHING[1],
        compares_counts=compares_counts,
    )


def flags(name: str, *arguments: str, text: str = '{"iterations": 2}') -> Case:
    """A script that does nothing, with these arguments."""
    return Case(name=name, options=text, javascript=NOTHING[0], python=NOTHING[1], arguments=arguments)


def scenario(name: str, text: str, *, compares_counts: bool = True, compares_summary: bool = True) -> Case:
    """One scenario."""
    made = options(name, f'{{"scenarios": {{"a": {text}}}}}', compares_counts=compares_counts)
    return replace(made, compares_summary=compares_summary)


def threshold(name: str, text: str) -> Case:
    """Thresholds on a trend, a counter, a rate and a gauge of the script's."""
    return Case(
        name=f"threshold {name}",
        options=f'{{"iterations": 4, "thresholds": {text}}}',
        javascript="""import { Trend, Counter, Rate, Gauge } from 'k6/metrics';
const tt = new Trend('tt'), cc = new Counter('cc'), rr = new Rate('rr'), gg = new Gauge('gg'), mm = new Trend('mm', true);
export default function () { tt.add(__ITER); cc.add(2); rr.add(__ITER % 2); gg.add(__ITER); mm.add(1500 * __ITER, { k: 'v' }); }""",
        python="""
from puregrpc.metrics import Trend, Counter, Rate, Gauge
tt, cc, rr, gg, mm = Trend('tt'), Counter('cc'), Rate('rr'), Gauge('gg'), Trend('mm', True)
def default(): tt.add(vu.iteration); cc.add(2); rr.add(vu.iteration % 2); gg.add(vu.iteration); mm.add(1500 * vu.iteration, {'k': 'v'})
""",
    )


UNTRIED_CASES = [
    # -- executors
    scenario("iterations each zero", '{"executor": "per-vu-iterations", "vus": 1, "iterations": 0}'),
    scenario("no users for iterations each", '{"executor": "per-vu-iterations", "vus": 0, "iterations": 1}'),
    scenario("no users for shared iterations", '{"executor": "shared-iterations", "vus": 0, "iterations": 1}'),
    scenario("constant users, none", '{"executor": "constant-vus", "vus": 0, "duration": "1s"}'),
    scenario("constant users for no time", '{"executor": "constant-vus", "vus": 1, "duration": "0s"}'),
    scenario("constant users without a duration", '{"executor": "constant-vus", "vus": 1}'),
    scenario("ramp without stages", '{"executor": "ramping-vus", "startVUs": 1}'),
    scenario("ramp with no stage", '{"executor": "ramping-vus", "startVUs": 1, "stages": []}'),
    scenario(
        "ramp to nobody",
        '{"executor": "ramping-vus", "stages": [{"duration": "1s", "target": 0}]}',
        compares_counts=False,
    ),
    scenario(
        "ramp from fewer than none",
        '{"executor": "ramping-vus", "startVUs": -1, "stages": [{"duration": "1s", "target": 1}]}',
    ),
    scenario(
        "ramp without a target", '{"executor": "ramping-vus", "stages": [{"duration": "1s"}]}', compares_counts=False
    ),
    scenario("ramp without a duration", '{"executor": "ramping-vus", "stages": [{"target": 1}]}'),
    scenario(
        "shared iterations for no time",
        '{"executor": "shared-iterations", "vus": 1, "iterations": 1, "maxDuration": "0s"}',
    ),
    scenario("iterations each without a number", '{"executor": "per-vu-iterations"}'),
    scenario("shared iterations without a number", '{"executor": "shared-iterations"}'),
    scenario("arrivals without a duration", '{"executor": "constant-arrival-rate", "rate": 1, "preAllocatedVUs": 1}'),
    scenario(
        "arrivals without a rate", '{"executor": "constant-arrival-rate", "duration": "1s", "preAllocatedVUs": 1}'
    ),
    scenario(
        "arrivals in no time unit",
        '{"executor": "constant-arrival-rate", "rate": 1, "timeUnit": "0s", "duration": "1s", "preAllocatedVUs": 1}',
    ),
    scenario(
        "rising arrivals from below none",
        '{"executor": "ramping-arrival-rate", "startRate": -1, "preAllocatedVUs": 1, "stages": [{"duration": "1s", "target": 1}]}',
    ),
    scenario("controlled without a duration", '{"executor": "externally-controlled", "vus": 1, "maxVUs": 1}'),
    scenario(
        "controlled, with few at most", '{"executor": "externally-controlled", "vus": 2, "maxVUs": 1, "duration": "1s"}'
    ),
    scenario(
        "controlled, later",
        '{"executor": "externally-controlled", "vus": 1, "maxVUs": 1, "duration": "1s", "startTime": "1s"}',
        compares_counts=False,
    ),
    scenario(
        "controlled, with a graceful stop",
        '{"executor": "externally-controlled", "vus": 1, "maxVUs": 1, "duration": "1s", "gracefulStop": "1s"}',
    ),
    scenario("a start below zero", '{"executor": "shared-iterations", "startTime": "-1s"}'),
    scenario("a graceful stop below zero", '{"executor": "shared-iterations", "gracefulStop": "-1s"}'),
    scenario(
        "a graceful ramp-down elsewhere", '{"executor": "constant-vus", "gracefulRampDown": "1s", "duration": "1s"}'
    ),
    scenario("a start that is no time", '{"executor": "shared-iterations", "startTime": "soon"}'),
    scenario("an executor that is a number", '{"executor": 5}'),
    scenario("users as text", '{"executor": "constant-vus", "vus": "1", "duration": "1s"}', compares_counts=False),
    scenario("users in parts", '{"executor": "constant-vus", "vus": 1.5, "duration": "1s"}'),
    scenario("a duration that is true", '{"executor": "constant-vus", "vus": 1, "duration": true}'),
    scenario("tags that are a list", '{"executor": "shared-iterations", "tags": ["a"]}'),
    scenario("exec that is a number", '{"executor": "shared-iterations", "exec": 5}'),
    scenario("exec that is empty", '{"executor": "shared-iterations", "exec": ""}'),
    scenario("exec by the name of default", '{"executor": "shared-iterations", "exec": "default"}'),
    scenario("a scenario that is nothing", "null"),
    scenario("a scenario that is a list", "[]"),
    Case(
        name="two scenarios, one later",
        options='{"scenarios": {"a": {"executor": "shared-iterations", "exec": "one"}, "b": {"executor": "per-vu-iterations", "vus": 2, "iterations": 2, "startTime": "1s", "exec": "two", "tags": {"mine": "x"}}}, "thresholds": {"iterations{scenario:a}": ["count==1"], "iterations{scenario:b}": ["count==4"], "iterations{mine:x}": ["count==4"]}}',
        javascript="export function one() {} export function two() {}",
        python="def one(): pass\ndef two(): pass",
    ),
    Case(
        name="a graceful stop of no time",
        options='{"scenarios": {"a": {"executor": "constant-vus", "vus": 2, "duration": "1s", "gracefulStop": "0s"}}}',
        javascript="export default function () { sleep(5); }",
        python="def default(): sleep(5)",
    ),
    Case(
        name="a graceful ramp-down of no time",
        options='{"scenarios": {"a": {"executor": "ramping-vus", "startVUs": 2, "gracefulRampDown": "0s", "gracefulStop": "0s", "stages": [{"duration": "500ms", "target": 2}, {"duration": "0s", "target": 1}, {"duration": "1s", "target": 1}]}}}',
        javascript="export default function () { sleep(5); }",
        python="def default(): sleep(5)",
    ),
    Case(
        name="the longest time is over",
        options='{"scenarios": {"a": {"executor": "shared-iterations", "vus": 2, "iterations": 10, "maxDuration": "1s", "gracefulStop": "0s"}}}',
        javascript="export default function () { sleep(0.7); }",
        python="def default(): sleep(0.7)",
    ),
    Case(
        name="the most users are busy",
        options='{"scenarios": {"a": {"executor": "constant-arrival-rate", "rate": 5, "duration": "1s", "preAllocatedVUs": 1, "maxVUs": 2, "gracefulStop": "0s"}}}',
        javascript="export default function () { sleep(5); }",
        python="def default(): sleep(5)",
        compares_counts=False,
    ),
    # -- options
    options("users as text at the top", '{"vus": "1", "iterations": 1}'),
    options("users in parts at the top", '{"vus": 1.5, "iterations": 1}'),
    options("iterations as text", '{"iterations": "1"}'),
    options("iterations in parts", '{"iterations": 1.5}'),
    options("iterations below zero", '{"iterations": -1}'),
    options("a duration that is a list", '{"duration": []}'),
    options("stages that are a dict", '{"stages": {}}'),
    options("stages that are text", '{"stages": "1s:1"}'),
    options("no stages", '{"stages": []}'),
    options("scenarios that are a list", '{"scenarios": []}'),
    options("scenarios that are text", '{"scenarios": "a"}'),
    options("thresholds that are a list", '{"iterations": 1, "thresholds": ["iterations: count>0"]}'),
    options("thresholds that are a number", '{"iterations": 1, "thresholds": {"iterations": 5}}'),
    options("no thresholds on a metric", '{"iterations": 1, "thresholds": {"iterations": []}}'),
    options("thresholds that are nothing", '{"iterations": 1, "thresholds": null}'),
    options("tags that are text", '{"iterations": 1, "tags": "a"}'),
    options("system tags", '{"iterations": 1, "systemTags": ["scenario", "group"]}'),
    options("percentiles in parts", '{"iterations": 1, "summaryTrendStats": ["p(99.99)", "p(0)", "p(100)", "count"]}'),
    options(
        "options for HTTP",
        '{"iterations": 1, "userAgent": "x", "batch": 5, "rps": 5, "noConnectionReuse": true, "discardResponseBodies": true, "insecureSkipTLSVerify": true, "dns": {"ttl": "1m"}}',
    ),
    options("setupTimeout that is none", '{"iterations": 1, "setupTimeout": "soon"}'),
    options("iterations and stages", '{"iterations": 1, "stages": [{"duration": "1s", "target": 1}]}'),
    options(
        "scenarios and iterations",
        '{"iterations": 3, "scenarios": {"a": {"executor": "shared-iterations", "iterations": 1}}}',
    ),
    options("users without an end", '{"vus": 2}'),
    options("the parts of a test", '{"iterations": 4, "executionSegment": "0:1/2"}'),
    # -- the command line
    flags("flag: no duration", "--duration", "0"),
    flags("flag: columns", "--summary-trend-stats", "avg,p(99.9),count"),
    flags("flag: an export nowhere", "--summary-export", "/nowhere/at/all.json"),
    flags(
        "flag: no thresholds", "--no-thresholds", text='{"iterations": 1, "thresholds": {"iterations": ["count>5"]}}'
    ),
    flags(
        "flag: users and iterations over scenarios",
        "--vus",
        "2",
        "--iterations",
        "3",
        text='{"scenarios": {"a": {"executor": "shared-iterations"}}}',
    ),
    flags("flag: a longest iteration", "--min-iteration-duration", "200ms"),
    # -- thresholds
    threshold(
        "of all kinds",
        '{"tt": ["avg>=0", "med<10", "min==0", "max==3", "p(95)<=3", "p(99.99)<4"], "cc": ["count==8", "rate>0"], "rr": ["rate==0.5"], "gg": ["value==3"]}',
    ),
    threshold("with a number in parts", '{"tt": ["avg<1.5001", "avg < 1.5e0"]}'),
    threshold("of nothing", '{"tt": [""]}'),
    threshold("of two", '{"tt": ["avg<10 && max<10"]}'),
    threshold("with three signs", '{"tt": ["avg===1.5"]}'),
    threshold("of another sign", '{"tt": ["avg=>1"]}'),
    threshold("of a percentile in parts", '{"tt": ["p(99.9)<1"]}'),
    threshold("with units", '{"tt": ["avg<10ms"]}'),
    threshold("below none", '{"tt": ["avg>-1"]}'),
    threshold("of a gauge's average", '{"gg": ["avg<5"]}'),
    threshold("of a counter's value", '{"cc": ["value<5"]}'),
    threshold("of a rate's count", '{"rr": ["count<5"]}'),
    threshold("of a tag that nobody has", '{"mm{k:w}": ["max<10000"], "cc{nothing:x}": ["count==0"]}'),
    threshold("of a tag without a value", '{"mm{k}": ["max<10000"]}'),
    threshold("of no tags", '{"mm{}": ["max<10000"]}'),
    threshold("of a metric that is none", '{"nothing": ["avg<5"]}'),
    threshold("of a metric with a bad name", '{"a b": ["avg<5"]}'),
    threshold("that are objects", '{"tt": [{"threshold": "avg<10"}, {"threshold": "max<1", "abortOnFail": false}]}'),
    threshold("that are objects without one", '{"tt": [{"abortOnFail": true}]}'),
    threshold("with an odd delay", '{"tt": [{"threshold": "avg<10", "abortOnFail": true, "delayAbortEval": "soon"}]}'),
    threshold("with a delay", '{"tt": [{"threshold": "avg<10", "abortOnFail": true, "delayAbortEval": "10s"}]}'),
    threshold("twice", '{"cc": ["count==8", "count==8"]}'),
    # -- ends
    Case(
        name="abort at the top",
        options='{"iterations": 2}',
        javascript="import exec from 'k6/execution'; exec.test.abort('at the top'); export default function () {}".replace(
            "import exec from 'k6/execution'; ", ""
        ),
        python="abort('at the top')\ndef default(): pass",
    ),
    Case(
        name="abort in handle_summary",
        options='{"iterations": 2}',
        javascript="export default function () {} export function handleSummary() { exec.test.abort('late'); return {}; }",
        python="def default(): pass\ndef handle_summary(data): abort('late')",
    ),
    Case(
        name="abort, then teardown",
        options='{"iterations": 2}',
        javascript="export function setup() { return 5; } export default function () { exec.test.abort('so'); } export function teardown(data) { check(data, { five: (d) => d === 5 }); }",
        python="def setup(): return 5\ndef default(): abort('so')\ndef teardown(data): check(data, {'five': lambda d: d == 5})",
    ),
    Case(
        name="fail in teardown",
        options='{"iterations": 2}',
        javascript="import { fail } from 'k6'; export default function () {} export function teardown() { fail('so'); }",
        python="from puregrpc import fail\ndef default(): pass\ndef teardown(data): fail('so')",
    ),
    Case(
        name="abort crossed with a threshold",
        options='{"iterations": 2, "thresholds": {"iterations": ["count>5"]}}',
        javascript="export default function () { exec.test.abort('so'); }",
        python="def default(): abort('so')",
    ),
    Case(
        name="an iteration raises what is no error",
        options='{"iterations": 3}',
        javascript="export default function () { throw 'text'; }",
        python="def default(): raise Exception",
    ),
    Case(
        name="setup gives nothing",
        options='{"iterations": 1}',
        javascript="export function setup() {} export default function (data) { seen(data === undefined || data === null); }",
        python="def setup(): pass\ndef default(data): check(1, {'true': data is None})",
    ),
    Case(
        name="teardown without setup",
        options='{"iterations": 1}',
        javascript="export default function () {} export function teardown(data) { check(1, { none: () => data === undefined || data === null }); }",
        python="def default(): pass\ndef teardown(data): check(1, {'none': data is None})",
    ),
    Case(
        name="several files and both outputs of handle_summary",
        options='{"iterations": 1}',
        javascript="export default function () {} export function handleSummary(data) { return { stdout: 'out\\n', stderr: 'err\\n', 'a.txt': 'a', './b.json': JSON.stringify(Object.keys(data).sort()), 'stdout2': 'x' }; }",
        python="import json\ndef default(): pass\ndef handle_summary(data): return {'stdout': 'out\\n', 'stderr': 'err\\n', 'a.txt': 'a', './b.json': json.dumps(sorted(data)), 'stdout2': 'x'}",
    ),
    Case(
        name="setup takes too long, with a threshold",
        options='{"iterations": 1, "setupTimeout": "500ms", "thresholds": {"iterations": ["count>0"]}}',
        javascript="export function setup() { sleep(3); } export default function () {}",
        python="def setup(): sleep(3)\ndef default(): pass",
    ),
    # -- metrics
    Case(
        name="metrics with tags of all kinds",
        options='{"iterations": 1, "tags": {"all": "x"}}',
        javascript="import { Counter } from 'k6/metrics'; const c = new Counter('cc'); export default function () { c.add(1, { a: 1, b: true, c: 'text', '': 'empty', d: '' }); }",
        python="from puregrpc.metrics import Counter\nc = Counter('cc')\ndef default(): c.add(1, {'a': 1, 'b': True, 'c': 'text', '': 'empty', 'd': ''})",
    ),
    Case(
        name="metrics that nobody adds to",
        options='{"iterations": 1}',
        javascript="import { Trend, Counter, Rate, Gauge } from 'k6/metrics'; const a = new Trend('aa', true), b = new Rate('bb'), c = new Counter('cc'), g = new Gauge('gg'); export default function () {}",
        python="from puregrpc.metrics import Trend, Counter, Rate, Gauge\na, b, c, g = Trend('aa', True), Rate('bb'), Counter('cc'), Gauge('gg')\ndef default(): pass",
    ),
    Case(
        name="tags of the user in groups and scenarios",
        options='{"scenarios": {"a": {"executor": "per-vu-iterations", "vus": 1, "iterations": 2, "tags": {"k": "scenario"}}}, "tags": {"k": "run", "l": "run"}}',
        javascript="export default function () { exec.vu.metrics.tags.m = 'user'; group('g', () => { exec.vu.metrics.tags.k = 'group'; check(1, { one: true }, { l: 'check' }); }); check(1, { two: true }); }",
        python="def default():\n    vu.tags['m'] = 'user'\n    def inner():\n        vu.tags['k'] = 'group'\n        check(1, {'one': True}, {'l': 'check'})\n    group('g', inner)\n    check(1, {'two': True})",
    ),
]
