"""Options, thresholds and metrics that are odd, and what scripts do around their calls."""

from __future__ import annotations

from conformance.load.case import Case

__all__ = ["OPTION_CASES"]

NOTHING = {"javascript": "export default function () {}", "python": "def default(): pass"}
CHECKS = {
    "javascript": "export default function () { check(1, {x: () => true, y: () => __ITER % 2 == 1}, {a: 'b', c: 'd e'}); }",
    "python": "def default(): check(1, {'x': True, 'y': lambda _: vu.iteration % 2 == 1}, {'a': 'b', 'c': 'd e'})",
}


def refused(name: str, options: str = '{"iterations": 1}', *arguments: str) -> Case:
    """A case of options that may be refused."""
    return Case(
        name=name,
        options=options,
        arguments=arguments,
        javascript=NOTHING["javascript"],
        python=NOTHING["python"],
        compares_counts='"duration"' not in options and "-s" not in arguments,
    )


def scenario(name: str, text: str, javascript: str, python: str, more: str = "", **rest: object) -> Case:
    """A case of one scenario."""
    options = f'{{"scenarios": {{"a": {{{text}}}}}{more}}}'
    return Case(name=name, options=options, javascript=javascript, python=python, **rest)  # type: ignore[arg-type]


def thresholds(name: str, text: str) -> Case:
    """A case of thresholds on checks and what there always is."""
    options = f'{{"iterations": 4, "thresholds": {text}}}'
    return Case(name=name, options=options, javascript=CHECKS["javascript"], python=CHECKS["python"])


OPTION_CASES = [
    thresholds(
        "selectors with blanks and quotes",
        """{"checks{ a : b , c:d e }": ["rate>=0"], "checks{a:'b'}": ["rate>=0"], "checks{check:x}": ["rate==1"], "checks{check:y}": ["rate==0.5"]}""",
    ),
    thresholds("a selector without tags", '{"checks{}": ["rate>=0"]}'),
    thresholds("a selector that ends with a comma", '{"checks{a:b,}": ["rate>=0"]}'),
    thresholds("a selector after a blank", '{"checks {a:b}": ["rate>=0"]}'),
    thresholds(
        "a threshold on time that has not been",
        '{"grpc_req_duration": ["p(95)<1", "avg>5", "max==0", "min<0"], "grpc_req_duration{a:b}": ["med>=0"]}',
    ),
    thresholds(
        "thresholds on what was sent and dropped",
        '{"data_sent": ["count==0"], "data_received": ["rate<1"], "iterations": ["rate>0"], "vus": ["value>=0"]}',
    ),
    thresholds("a threshold on dropped iterations", '{"dropped_iterations": ["count==0"]}'),
    thresholds(
        "numbers of all kinds in thresholds",
        '{"iterations": ["count>=4.0", "count<1e3", "count===4", "count > -1", " count<=4 "], "checks": ["rate>.5"]}',
    ),
    thresholds("a threshold with a comma", '{"checks": ["rate<0,5"]}'),
    thresholds("a threshold with one sign", '{"checks": ["rate=1"]}'),
    thresholds("a percentile without brackets", '{"iteration_duration": ["p95<500"]}'),
    thresholds("percentiles at the ends", '{"iteration_duration": ["p(0)>=0", "p(100)<60000", "p(99.99)<60000"]}'),
    thresholds("no threshold", '{"checks": []}'),
    thresholds("an empty threshold", '{"checks": [""]}'),
    thresholds(
        "a threshold's delay that is nonsense",
        '{"checks": [{"threshold": "rate>0.1", "abortOnFail": 1, "delayAbortEval": "soon"}]}',
    ),
    Case(
        name="thresholds on metrics that nobody added to",
        options='{"iterations": 1, "thresholds": {"cc": ["count==0"], "rr": ["rate==0"], "gg": ["value==0"], "tt": ["p(95)==0"], "tt{a:b}": ["avg<1"]}}',
        javascript="import { Counter, Gauge, Rate, Trend } from 'k6/metrics'; const c = new Counter('cc'), g = new Gauge('gg'), r = new Rate('rr'), t = new Trend('tt'); export default function () {}",
        python="from puregrpc import Counter, Gauge, Rate, Trend\nc, g, r, t = Counter('cc'), Gauge('gg'), Rate('rr'), Trend('tt')\ndef default(): pass",
    ),
    Case(
        name="odd values for metrics",
        options='{"iterations": 1}',
        javascript="import { Counter, Gauge, Rate, Trend } from 'k6/metrics'; const c = new Counter('cc'), g = new Gauge('gg'), r = new Rate('rr'), t = new Trend('tt'); export default function () { for (const m of [c, g, r, t]) for (const v of [true, '5']) { try { m.add(v); seen(m.name, typeof v, 'ok'); } catch (e) { seen(m.name, typeof v, 'no'); } } r.add(0); r.add(2); c.add(1, {a: 5, b: true}); }",
        python="""
from puregrpc import Counter, Gauge, Rate, Trend
c, g, r, t = Counter('cc'), Gauge('gg'), Rate('rr'), Trend('tt')
def default():
    for m in [c, g, r, t]:
        for v, kind in [(True, 'boolean'), ('5', 'string')]:
            try: m.add(v); seen(m.name, kind, 'ok')
            except Exception: seen(m.name, kind, 'no')
    r.add(0); r.add(2); c.add(1, {'a': 5, 'b': True})
""",
    ),
    Case(
        name="names of metrics",
        options='{"iterations": 1}',
        javascript="import { Counter } from 'k6/metrics'; for (const n of ['1a', 'a.b', 'ü', '', 'a'.repeat(128), '_a', 'checks', 'my-x']) { let said = 'ok'; try { new Counter(n); } catch (e) { said = 'no'; } globalThis['said' + n] = said; } export default function () { for (const n of ['1a', 'a.b', 'ü', '', 'a'.repeat(128), '_a', 'checks', 'my-x']) seen(n.length, n.substr(0, 5), globalThis['said' + n]); }",
        python="""
from puregrpc import Counter
NAMES = ['1a', 'a.b', 'ü', '', 'a' * 128, '_a', 'checks', 'my-x']
SAID = {}
for name in NAMES:
    try: Counter(name); SAID[name] = 'ok'
    except Exception: SAID[name] = 'no'
def default():
    for n in NAMES: seen(len(n), n[:5], SAID[n])
""",
    ),
    Case(
        name="groups of odd names",
        options='{"iterations": 1}',
        javascript="export default function () { group('', () => check(1, {a: () => true})); group(' x ', () => check(1, {b: () => true})); group('ü \"q\" {z:1}', () => check(1, {c: () => true})); seen(group('v', () => 5)); }",
        python="""
def default():
    group('', lambda: check(1, {'a': True})); group(' x ', lambda: check(1, {'b': True})); group('ü "q" {z:1}', lambda: check(1, {'c': True}))
    seen(group('v', lambda: 5))
""",
    ),
    Case(
        name="a group without a function",
        options='{"iterations": 1}',
        javascript="export default function () { group('x', null); }",
        python="def default(): group('x', None)",
    ),
    Case(
        name="what check returns",
        options='{"iterations": 1}',
        javascript="export default function () { seen(check(1, {}), check(1, {a: () => true}), check(1, {a: () => true, b: () => 0}), check(null, {c: (v) => v === null})); }",
        python="""
def default():
    said = check(1, {}), check(1, {'a': True}), check(1, {'a': True, 'b': lambda _: 0}), check(None, {'c': lambda v: v is None})
    seen(*(str(each).lower() for each in said))
""",
    ),
    Case(
        name="check without a dict",
        options='{"iterations": 1}',
        javascript="export default function () { check(1, null); }",
        python="def default(): check(1, None)",
    ),
    Case(
        name="sleep below zero",
        options='{"iterations": 1}',
        javascript="export default function () { sleep(-1); sleep(0); sleep('0.1'); seen('here'); }",
        python="def default(): sleep(-1); sleep(0); sleep(0.1); seen('here')",
    ),
    Case(
        name="fail in a group",
        options='{"iterations": 2}',
        javascript="import { fail } from 'k6'; export default function () { group('g', () => { group('h', () => { check(1, {a: () => true}); fail('no'); }); }); }",
        python="""
from puregrpc import fail
def inner(): check(1, {'a': True}); fail('no')
def default(): group('g', lambda: group('h', inner))
""",
    ),
    Case(
        name="fail without a text",
        options='{"iterations": 2}',
        javascript="import { fail } from 'k6'; export default function () { fail(); }",
        python="from puregrpc import fail\ndef default(): fail()",
    ),
    Case(
        name="the run is marked as failed",
        options='{"iterations": 3}',
        javascript="export default function () { exec.test.fail('a reason'); seen(__ITER); }",
        python="def default(): test.fail('a reason'); seen(vu.iteration)",
    ),
    Case(
        name="the run is marked as failed, and a threshold is crossed",
        options='{"iterations": 3, "thresholds": {"checks": ["rate<0.5"]}}',
        javascript="export default function () { exec.test.fail('a reason'); seen(__ITER); }",
        python="def default(): test.fail('a reason'); seen(vu.iteration)",
    ),
    Case(
        name="the run is marked as failed in setup",
        options='{"iterations": 3}',
        javascript="export function setup() { exec.test.fail('a reason'); } export default function () { seen(__ITER); }",
        python="def setup(): test.fail('a reason')\ndef default(): seen(vu.iteration)",
    ),
    Case(
        name="what is known of a user and its scenario",
        options='{"scenarios": {"one": {"executor": "per-vu-iterations", "vus": 2, "iterations": 2}, "two": {"executor": "shared-iterations", "iterations": 2, "startTime": "1s"}}}',
        javascript="export default function () { const s = exec.scenario; seen(s.name, s.executor, s.iterationInTest >= 0, exec.vu.idInTest > 0, exec.vu.iterationInScenario, exec.instance.vusActive > 0, s.progress >= 0 && s.progress <= 1); sleep(0.1); }",
        python="""
def default():
    told = scenario.iteration >= 0, vu.id > 0, vu.iteration, test.vus_active > 0, 0 <= scenario.progress <= 1
    seen(scenario.name, scenario.executor, *(str(each).lower() for each in told)); sleep(0.1)
""",
    ),
    Case(
        name="a user's tags",
        options='{"iterations": 3, "thresholds": {"checks{mine:1}": ["rate==1"], "iterations{mine:0}": ["count==1"]}}',
        javascript="export default function () { exec.vu.metrics.tags['mine'] = __ITER; check(1, {a: () => true}); }",
        python="def default(): vu.tag(mine=vu.iteration); check(1, {'a': True})",
    ),
    Case(
        name="a user's tag is taken away",
        options='{"iterations": 2}',
        javascript="export default function () { exec.vu.metrics.tags['mine'] = 'x'; check(1, {a: () => true}); delete exec.vu.metrics.tags['mine']; check(1, {b: () => true}); }",
        python="def default(): vu.tag(mine='x'); check(1, {'a': True}); vu.tag(mine=None); check(1, {'b': True})",
    ),
    Case(
        name="the user in setup",
        options='{"iterations": 1}',
        javascript="export function setup() { try { seen(exec.scenario.name); } catch (e) { seen('none'); } } export default function () {}",
        python="""
def setup():
    try: seen(scenario.name)
    except Exception: seen('none')
def default(): pass
""",
    ),
    Case(
        name="setup's data of odd kinds",
        options='{"iterations": 1}',
        javascript="export function setup() { return [1.5, 'ü', null, {a: [true]}]; } export default function (d) { seen(JSON.stringify(d)); } export function teardown(d) { seen(JSON.stringify(d)); }",
        python="""
import json
def setup(): return [1.5, 'ü', None, {'a': [True]}]
def default(d): seen(json.dumps(d, ensure_ascii=False, separators=(',', ':')))
teardown = default
""",
    ),
    Case(
        name="setup raises what is no error",
        options='{"iterations": 1}',
        javascript="export function setup() { throw 'text'; } export default function () {}",
        python="def setup(): raise SystemExit('text')\ndef default(): pass",
    ),
    Case(
        name="setup takes too long",
        options='{"iterations": 1, "setupTimeout": "500ms"}',
        javascript="export function setup() { sleep(3); } export default function () {} export function teardown() { seen('torn'); }",
        python="def setup(): sleep(3)\ndef default(): pass\ndef teardown(): seen('torn')",
    ),
    Case(
        name="environment of the command line and of the scenario",
        options='{"scenarios": {"a": {"executor": "shared-iterations", "env": {"X": "scenario"}}, "b": {"executor": "shared-iterations", "startTime": "1s"}}}',
        javascript="export default function () { seen(exec.scenario.name, __ENV.X, __ENV.Y); }",
        python="def default(): seen(scenario.name, scenario.env('X'), scenario.env('Y'))",
        arguments=("-e", "X=command", "-e", "Y=a=b c"),
    ),
    refused("stages of the command line", "{}", "-s", "300ms:2", "-s", "300ms:0"),
    refused("stages of the command line in one", "{}", "-s", "300ms:2,300ms:0"),
    refused("more users than iterations", "{}", "-u", "5", "-i", "3"),
    refused("a duration of more than a thousand", '{"vus": 1, "duration": "1200ms"}'),
    refused("a duration of several units", '{"vus": 1, "duration": "0h0m1.2s5ms10us"}'),
    refused("users as text", '{"vus": "2", "iterations": "4"}'),
    refused("half a user", '{"vus": 1.5, "iterations": 4}'),
    refused("thresholds that are none", '{"iterations": 1, "thresholds": 5}'),
    refused("tags of the options", '{"iterations": 1, "tags": {"a": "b", "c": "1"}}'),
    refused("a start before zero", '{"scenarios": {"a": {"executor": "shared-iterations", "startTime": "-1s"}}}'),
    refused(
        "controlled from outside with a start",
        '{"scenarios": {"a": {"executor": "externally-controlled", "vus": 1, "maxVUs": 3, "duration": "1s", "startTime": "1s"}}}',
    ),
    scenario(
        "no grace",
        '"executor": "constant-vus", "vus": 2, "duration": "1s", "gracefulStop": "0s"',
        "export default function () { sleep(2); }",
        "def default(): sleep(2)",
    ),
    scenario(
        "no grace for a ramp",
        '"executor": "ramping-vus", "startVUs": 3, "stages": [{"duration": "500ms", "target": 1}, {"duration": "700ms", "target": 1}], "gracefulRampDown": "0s", "gracefulStop": "0s"',
        "export default function () { sleep(5); }",
        "def default(): sleep(5)",
    ),
    scenario(
        "a function that is none",
        '"executor": "shared-iterations", "exec": "other"',
        "export const other = 5; export default function () {}",
        "other = 5\ndef default(): pass",
    ),
    scenario(
        "another function, and no default",
        '"executor": "shared-iterations", "exec": "other"',
        "export function other() { seen('other'); }",
        "def other(): seen('other')",
    ),
    scenario(
        "ten arrivals in a tenth",
        '"executor": "constant-arrival-rate", "rate": 1, "timeUnit": "100ms", "duration": "1s", "preAllocatedVUs": 2',
        **NOTHING,
        compares_counts=False,
    ),
    scenario(
        "arrivals up and down",
        '"executor": "ramping-arrival-rate", "startRate": 0, "preAllocatedVUs": 3, "stages": [{"target": 20, "duration": "1s"}, {"target": 20, "duration": "500ms"}, {"target": 0, "duration": "1s"}]',
        **NOTHING,
    ),
    scenario(
        "shared iterations that take too long",
        '"executor": "shared-iterations", "vus": 2, "iterations": 50, "maxDuration": "1s", "gracefulStop": "1s"',
        "export default function () { sleep(0.3); }",
        "def default(): sleep(0.3)",
        ', "thresholds": {"dropped_iterations": ["count>0"]}',
        compares_counts=False,
    ),
    Case(
        name="what handle_summary is given",
        options='{"iterations": 2, "thresholds": {"checks": ["rate>0.1"], "iterations": ["count>5"]}}',
        javascript="export function setup() { return {s: 1}; } export default function () { group('g', () => check(1, {a: () => true})); } export function handleSummary(data) { const c = data.root_group.groups[0].checks[0]; return { stdout: [Object.keys(data).sort(), JSON.stringify(data.setup_data), c.name, c.path, c.passes, c.fails, JSON.stringify(data.metrics.checks.thresholds), JSON.stringify(data.metrics.iterations.thresholds), data.metrics.checks.type, data.metrics.iteration_duration.contains, data.state.testRunDurationMs > 0, JSON.stringify(data.options.summaryTrendStats)].map(String).join(' ') + '\\n' }; }",
        python="""
import json
def setup(): return {'s': 1}
def default(): group('g', lambda: check(1, {'a': True}))
def dumped(value): return json.dumps(value, separators=(',', ':'))
def handle_summary(data):
    c, m = data['root_group']['groups'][0]['checks'][0], data['metrics']
    said = [','.join(sorted(data)), dumped(data['setup_data']), c['name'], c['path'], c['passes'], c['fails'], dumped(m['checks']['thresholds']), dumped(m['iterations']['thresholds']), m['checks']['type'], m['iteration_duration']['contains'], str(data['state']['testRunDurationMs'] > 0).lower(), dumped(data['options']['summaryTrendStats'])]
    return {'stdout': ' '.join(map(str, said)) + '\\n'}
""",
    ),
    Case(
        name="handle_summary writes where nothing is",
        options='{"iterations": 1}',
        javascript="export default function () {} export function handleSummary() { return {'nothing/x.txt': 'a', 'y.txt': 'b'}; }",
        python="def default(): pass\ndef handle_summary(data): return {'nothing/x.txt': 'a', 'y.txt': 'b'}",
    ),
    Case(
        name="a file that is not there",
        options='{"iterations": 1}',
        javascript="const x = open('nothing.txt'); export default function () {}",
        python="x = open('nothing.txt')\ndef default(): pass",
        compares_summary=False,
    ),
    Case(
        name="a file that is opened in an iteration",
        options='{"iterations": 1}',
        javascript="export default function () { open('nothing.txt'); }",
        python="def default(): open('nothing.txt')",
    ),
    Case(
        name="a module that is not there",
        options='{"iterations": 1}',
        javascript="import x from './nothing.js'; export default function () {}",
        python="import nothing_that_is_there\ndef default(): pass",
        compares_summary=False,
    ),
    Case(
        name="the shortest iteration, and one that fails",
        options='{"iterations": 2, "minIterationDuration": "500ms"}',
        javascript="export default function () { throw new Error('x'); }",
        python="def default(): raise ValueError('x')",
    ),
    Case(
        name="an iteration that never ends",
        options='{"vus": 1, "duration": "1s"}',
        javascript="export default function () { const until = Date.now() + 2000; while (Date.now() < until) ; }",
        python="import time\ndef default(): time.sleep(2)",
        compares_counts=False,
    ),
]
