"""Scripts for k6 and the same for puregrpc, with what is to be compared."""

from __future__ import annotations

from conformance.load.case import Case

__all__ = ["CASES"]


UNARY_JS = """
export default function () {
  if (__ITER == 0) client.connect(TARGET, { plaintext: true });
  const response = client.invoke('hello.HelloService/SayHello', { greeting: 'Bert' }, { tags: { mine: 'yes' } });
  check(response, { 'status is OK': (r) => r.status === grpc.StatusOK, 'is odd': (r) => __ITER % 2 == 1 });
}
"""
UNARY_PY = """
def default():
    if vu.iteration == 0:
        client.connect(TARGET, {"plaintext": True})
    response = client.invoke("hello.HelloService/SayHello", {"greeting": "Bert"}, {"tags": {"mine": "yes"}})
    check(response, {"status is OK": lambda r: r.status == StatusOK, "is odd": lambda r: vu.iteration % 2 == 1})
"""
PER_VU = '{"scenarios": {"s": {"executor": "per-vu-iterations", "vus": 2, "iterations": 4}}, "thresholds": %s}'
SLEEP_JS = "export default function () { sleep(%s); }"
SLEEP_PY = "def default():\n    sleep(%s)"

GROUPS_JS = """
export default function () {
  group('outer', () => {
    check(1, { 'in outer': (v) => v == 1 });
    group('inner', () => { check(2, { 'in inner': (v) => v == 1 }); });
  });
  check(1, { 'outside': (v) => v == 1 });
}
export function second() { check(1, { 'second': (v) => v == 1 }); }
"""
GROUPS_PY = """
def inner():
    check(2, {"in inner": lambda v: v == 1})
def outer():
    check(1, {"in outer": lambda v: v == 1})
    group("inner", inner)
def default():
    group("outer", outer)
    check(1, {"outside": lambda v: v == 1})
def second():
    check(1, {"second": lambda v: v == 1})
"""
TWO = """{"scenarios": {
    "one": {"executor": "per-vu-iterations", "iterations": 3},
    "two": {"executor": "shared-iterations", "iterations": 2, "exec": "second", "startTime": "200ms"}},
    "thresholds": {"iteration_duration{scenario:one}": ["max<60000"], "checks": ["rate>0.99"]}}"""

CASES = [
    Case(name="unary", options=PER_VU % "{}", javascript=UNARY_JS, python=UNARY_PY),
    Case(
        name="thresholds",
        options=PER_VU
        % """{"checks": ["rate>0.4"], "iterations": ["count>=5"], "iteration_duration{scenario:s}": ["max<60000"],
        "grpc_req_duration": ["p(95)<60000", "avg<0.0001"], "grpc_req_duration{method:SayHello}": ["max<60000"],
        "grpc_req_duration{name:nothing}": ["p(99)<500"]}""",
        javascript=UNARY_JS,
        python=UNARY_PY,
    ),
    Case(
        name="trend stats",
        options=PER_VU % "{}",
        javascript=UNARY_JS,
        python=UNARY_PY,
        arguments=("--summary-trend-stats", "avg,p(99),p(99.9),count", "--summary-time-unit", "us"),
    ),
    Case(
        name="full summary",
        options='{"iterations": 2}',
        javascript=GROUPS_JS,
        python=GROUPS_PY,
        arguments=("--summary-mode", "full"),
    ),
    Case(
        name="full summary of two scenarios",
        options=TWO,
        javascript=GROUPS_JS,
        python=GROUPS_PY,
        arguments=("--summary-mode", "full"),
    ),
    Case(
        name="legacy summary",
        options=TWO,
        javascript=GROUPS_JS,
        python=GROUPS_PY,
        arguments=("--summary-mode", "legacy"),
    ),
    Case(
        name="groups and own metrics",
        options='{"iterations": 4}',
        javascript="""
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';
const counter = new Counter('my_counter'), gauge = new Gauge('my_gauge');
const rate = new Rate('my_rate'), trend = new Trend('my_trend', true);
export default function () {
  group('outer', () => {
    check(1, { 'in outer': (v) => v == 1 });
    group('inner', () => { check(2, { 'in inner': (v) => v == 1 }); });
  });
  counter.add(3); gauge.add(7); rate.add(true); trend.add(12.5);
}
""",
        python="""
from puregrpc import Counter, Gauge, Rate, Trend
counter, gauge, rate, trend = Counter("my_counter"), Gauge("my_gauge"), Rate("my_rate"), Trend("my_trend", True)
def inner():
    check(2, {"in inner": lambda v: v == 1})
def outer():
    check(1, {"in outer": lambda v: v == 1})
    group("inner", inner)
def default():
    group("outer", outer)
    counter.add(3); gauge.add(7); rate.add(True); trend.add(12.5)
""",
    ),
    Case(
        name="a server's stream",
        options='{"iterations": 3}',
        javascript="""
export default async function () {
  client.connect(TARGET, { plaintext: true });
  const stream = new grpc.Stream(client, 'hello.HelloService/LotsOfReplies');
  let seen = 0;
  await new Promise((resolve) => {
    stream.on('data', () => { seen += 1; });
    stream.on('end', () => resolve());
    stream.write({ greeting: 'Bert' });
    stream.end();
  });
  check(seen, { 'several came': (n) => n > 1 });
}
""",
        python="""
async def default():
    await client.connect(TARGET, {"plaintext": True})
    stream = client.stream("hello.HelloService/LotsOfReplies")
    await stream.write({"greeting": "Bert"})
    await stream.end()
    seen = 0
    async for _ in stream:
        seen += 1
    check(seen, {"several came": lambda n: n > 1})
""",
    ),
    Case(
        name="a script that raises",
        options='{"iterations": 3}',
        javascript="export default function () { throw new Error('no'); }",
        python="def default():\n    raise ValueError('no')",
    ),
    Case(
        name="setup raises",
        javascript="export function setup() { throw new Error('no'); } export default function () {}",
        python="def setup():\n    raise ValueError('no')\ndef default(): pass",
    ),
    Case(
        name="teardown raises",
        javascript="export function teardown() { throw new Error('no'); } export default function () {}",
        python="def teardown():\n    raise ValueError('no')\ndef default(): pass",
    ),
    Case(
        name="abort",
        javascript="export default function () { exec.test.abort('no'); }",
        python="def default():\n    abort('no')",
    ),
    Case(name="no default", javascript="export const x = 1;", python="x = 1", compares_summary=False),
    Case(
        name="a threshold that is none",
        options='{"thresholds": {"checks": ["rate>>1"]}}',
        javascript="export default function () {}",
        python="def default(): pass",
        compares_summary=False,
    ),
    Case(
        name="a threshold on nothing",
        options='{"thresholds": {"nothing": ["rate>1"]}}',
        javascript="export default function () {}",
        python="def default(): pass",
        compares_summary=False,
    ),
    Case(
        name="users for a time",
        options='{"vus": 2, "duration": "1500ms"}',
        javascript=SLEEP_JS % 0.4,
        python=SLEEP_PY % 0.4,
    ),
    Case(
        name="a ramp",
        options='{"scenarios": {"s": {"executor": "ramping-vus", "startVUs": 1, "gracefulRampDown": "0s", "stages": '
        '[{"duration": "1s", "target": 4}, {"duration": "500ms", "target": 0}]}}}',
        javascript=SLEEP_JS % 0.1,
        python=SLEEP_PY % 0.1,
        compares_counts=False,
    ),
    Case(
        name="a rate",
        options='{"scenarios": {"s": {"executor": "constant-arrival-rate", "rate": 50, "duration": "1s", '
        '"preAllocatedVUs": 20}}}',
        javascript=SLEEP_JS % 0.05,
        python=SLEEP_PY % 0.05,
        compares_counts=False,
    ),
    Case(
        name="a rate that is too much",
        options='{"scenarios": {"s": {"executor": "constant-arrival-rate", "rate": 20, "duration": "1s", '
        '"preAllocatedVUs": 2}}}',
        javascript=SLEEP_JS % 0.6,
        python=SLEEP_PY % 0.6,
        compares_counts=False,
    ),
]
