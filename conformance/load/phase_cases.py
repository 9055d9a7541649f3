"""Scripts that are interrupted, in each phase of a run. MARK in what one prints has it sent SIGINT."""

from __future__ import annotations

from conformance.load.case import MARK, Case

__all__ = ["PHASE_CASES"]

JS_NOW = f"console.log('{MARK}');"
PY_NOW = f"print('{MARK}', flush=True)"
TEARDOWN_JS = "export function teardown() { check(1, {'torn down': () => true}); }"
TEARDOWN_PY = "\ndef teardown(): check(1, {'torn down': True})"
IN_SETUP_JS = f"export default function () {{}} export function setup() {{ {JS_NOW} sleep(3); }}"
IN_SETUP_PY = f"def default(): pass\ndef setup():\n    {PY_NOW}; sleep(3)"
SECOND_JS = f"export default function () {{ if (__ITER == 1 && __VU == 1) {JS_NOW} sleep(1); }} {TEARDOWN_JS}"
SECOND_PY = f"def default():\n    if vu.iteration == 1 and vu.id == 1: {PY_NOW}\n    sleep(1){TEARDOWN_PY}"
SCENARIO = '{"scenarios": {"a": {%s}}}'

PHASE_CASES = [
    Case(name="interrupted in setup", javascript=IN_SETUP_JS, python=IN_SETUP_PY),
    Case(
        name="interrupted in teardown",
        javascript=f"export default function () {{}} export function teardown() {{ {JS_NOW} sleep(2); check(1, {{'a': () => true}}); }}",
        python=f"def default(): pass\ndef teardown():\n    {PY_NOW}; sleep(2); check(1, {{'a': True}})",
    ),
    Case(
        name="interrupted while users are constant",
        options='{"vus": 2, "duration": "20s"}',
        javascript=SECOND_JS,
        python=SECOND_PY,
        compares_counts=False,
    ),
    Case(
        name="interrupted while users on a loop are constant",
        options='{"vus": 2, "duration": "20s"}',
        javascript=SECOND_JS,
        python="import asyncio\n"
        + SECOND_PY.replace("def default", "async def default").replace(" sleep(", " await asyncio.sleep("),
        compares_counts=False,
    ),
    Case(
        name="interrupted in a ramp",
        options='{"stages": [{"duration": "3s", "target": 4}, {"duration": "20s", "target": 0}]}',
        javascript=SECOND_JS,
        python=SECOND_PY,
        compares_counts=False,
    ),
    Case(
        name="interrupted while iterations arrive",
        options=SCENARIO % '"executor": "constant-arrival-rate", "rate": 5, "duration": "20s", "preAllocatedVUs": 5',
        javascript=f"export default function () {{ if (exec.scenario.iterationInTest == 5) {JS_NOW} sleep(0.5); }}",
        python=f"from puregrpc.load import scenario\ndef default():\n    if scenario.iteration == 5: {PY_NOW}\n    sleep(0.5)",
        compares_counts=False,
    ),
    Case(
        name="interrupted, iterations for each user",
        options=SCENARIO % '"executor": "per-vu-iterations", "vus": 2, "iterations": 20',
        javascript=SECOND_JS,
        python=SECOND_PY,
        compares_counts=False,
    ),
    Case(
        name="interrupted, controlled from outside",
        options=SCENARIO % '"executor": "externally-controlled", "vus": 2, "maxVUs": 5, "duration": "20s"',
        javascript=SECOND_JS,
        python=SECOND_PY,
        compares_counts=False,
    ),
    Case(
        name="interrupted with a threshold that is crossed",
        options='{"iterations": 2000, "thresholds": {"checks": ["rate>0.9"]}}',
        javascript=f"export default function () {{ check(1, {{'no': () => false}}); if (__ITER == 2) {JS_NOW} sleep(0.3); }}",
        python=f"def default():\n    check(1, {{'no': False}})\n    if vu.iteration == 2: {PY_NOW}\n    sleep(0.3)",
        compares_counts=False,
    ),
]
