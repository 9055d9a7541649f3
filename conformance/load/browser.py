"""The report of a load run in headless Chromium: laptop and phone, light and dark; screenshots to look at.

``python -m conformance.load.browser WORK_FOLDER``
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from conformance.trace.browser import Browser, browser
from puregrpc import Metrics
from puregrpc.load.page import page, page_data
from puregrpc.load.timeline import Timeline

SIZES = {"laptop": (1366, 900), "phone": (390, 844)}
SHAPE = """({tiles: document.querySelectorAll('#tiles .card').length,
  charts: document.querySelectorAll('#charts svg').length,
  lines: document.querySelectorAll('#charts svg path').length,
  wide: document.documentElement.scrollWidth - innerWidth,
  rows: document.querySelectorAll('#methods tr').length,
  back: getComputedStyle(document.body).backgroundColor})"""


def report() -> str:
    """The page of two minutes that somebody made up."""
    random.seed(7)
    metrics = Metrics(tags={"scenario": "default"})
    timeline = Timeline(metrics)
    metrics.add_thresholds({"grpc_req_duration": ["p(95)<5", "max<1"], "checks": ["rate>0.9"]})
    durations = metrics.metric("grpc_req_duration", "trend", "time")
    for second in range(1, 121):
        for method in ("SayHello", "LotsOfReplies"):
            for status in ("0", "0", "0", "14" if second % 40 < 4 else "0"):
                series = durations.with_tags({"name": f"/hello.HelloService/{method}", "status": status})
                for _ in range(20):
                    series.note(random.lognormvariate(0.3, 0.5))
        metrics.add("checks", "rate", second % 9, {"check": "status is OK"})
        metrics.add("grpc_streams_msgs_received", "counter", 90)
        metrics.add("iterations", "counter", 160)
        timeline.tick(float(second), min(second, 50))
    data = page_data(
        metrics, timeline, script="script.py", scenarios=["default: 50 looping VUs for 2m0s (gracefulStop: 30s)"],
        state="it went well, after 2m0s", summary=metrics.summary(mode="compact"), is_over=True,
    )  # fmt: skip
    return page(data, "script.py")


def odd_report() -> str:
    """The page of a run with long names, hundreds of methods, and streams."""
    metrics = Metrics(tags={"scenario": "s" * 200})
    timeline = Timeline(metrics)
    for second in range(1, 21):
        for number in range(400):
            tags = {"name": f"/com.example.{'package.' * 20}Service/{'Method' * 30}{number}", "status": "0"}
            metrics.add("grpc_req_duration", "trend", 1.5, tags, contains="time")
        metrics.add("grpc_streams_first_message", "trend", 2.0, contains="time")
        metrics.add("checks", "rate", 1, {"check": "</script><script>document.title = 'run';</script>" * 9})
        timeline.tick(float(second), 5)
    scenarios = [f"{'name' * 50}{number}: 5 looping VUs" for number in range(30)]
    data = page_data(
        metrics, timeline, script="x" * 300, scenarios=scenarios,
        state="it went well, after 20s", summary=metrics.summary(mode="compact"), is_over=True,
    )  # fmt: skip
    return page(data, "odd")


def look_at_odd(shown: Browser, work: Path) -> None:
    """It is no wider than the screen, of a length that one can look through, and runs nothing out of names."""
    file = work / "odd.html"
    file.write_text(odd_report(), encoding="utf-8")
    shown.open(file.absolute().as_uri())
    for name, (width, height) in SIZES.items():
        shown.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        shown.js("new Promise(done => setTimeout(done, 200))")
        page = "document.documentElement"
        found = shown.js(
            f"({{wide: {page}.scrollWidth - innerWidth, long: {page}.scrollHeight, title: document.title}})"
        )
        assert found["wide"] <= 0, f"{name}: the page is wider than the screen: {found}"
        assert found["long"] < 10_000, found
        assert found["title"] == "odd", found
        shown.screenshot(work / f"odd-{name}.png")
        print(f"long names and many methods, {name}: {found['long']} px long")


def look(shown: Browser, name: str, dark: bool, work: Path) -> None:
    """One size, in light or dark."""
    width, height = SIZES[name]
    shown.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
    scheme = "dark" if dark else "light"
    shown.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    shown.js("new Promise(done => setTimeout(done, 200))")
    found = shown.js(SHAPE)
    assert found["tiles"] >= 6, found
    assert found["charts"] >= 8, found
    assert found["lines"] > found["charts"], found
    assert found["wide"] <= 0, f"{name}: the page is wider than the screen: {found}"
    assert found["rows"] == 3, found
    assert (found["back"] == "rgb(18, 21, 27)") == dark, found
    shown.screenshot(work / f"report-{name}-{scheme}.png")
    print(f"{name}, {scheme}: {found['charts']} charts, {found['tiles']} tiles")


def main() -> int:
    """See above."""
    work = Path(sys.argv[1])
    work.mkdir(parents=True, exist_ok=True)
    file = work / "report.html"
    file.write_text(report(), encoding="utf-8")
    with browser() as shown:
        shown.open(file.absolute().as_uri())
        for name in SIZES:
            for dark in (False, True):
                look(shown, name, dark, work)
        before = shown.js("document.querySelector('.legend').textContent")
        shown.js(
            "(() => { const s = document.querySelector('#charts svg'), b = s.getBoundingClientRect();"
            "s.dispatchEvent(new PointerEvent('pointermove', {clientX: b.x + b.width / 3, clientY: b.y + 50})); })()"
        )
        after = shown.js("document.querySelector('.legend').textContent")
        assert before != after, "pointing at a chart shows the values there"
        look_at_odd(shown, work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
