"""Uses the playground as a pupil would, in headless Chromium: python -m conformance.playground FOLDER [SCREENSHOTS]."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

from conformance.trace.browser import Browser, browser
from puregrpc._loopback import serving

READY = """new Promise((done, fail) => {
  const look = () => document.documentElement.dataset.ready ? done(performance.now()) : setTimeout(look, 20);
  setTimeout(() => fail(new Error(document.getElementById("state").textContent)), 60000);
  look();
})"""
PAUSE = "new Promise(done => setTimeout(done, 900))"
INSIDE = "document.getElementById('page').contentWindow"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - http.server's name
        """Nobody reads it."""


def served(folder: Path) -> AbstractContextManager[str]:
    return serving(partial(Quiet, directory=str(folder)), 0, "playground")


def type_into(page: Browser, field: str, text: str) -> None:
    page.js(f"byId = id => document.getElementById(id); byId({field!r}).value = {text!r}")
    page.js(f"byId({field!r}).dispatchEvent(new Event('input'))")
    page.js(PAUSE)


def press(page: Browser, selector: str) -> None:
    page.js(f"document.querySelector({selector!r}).click()")
    page.js(PAUSE)


def checks(page: Browser, address: str) -> Iterator[tuple[str, bool]]:
    page.open(address)
    page.js(READY)
    page.js(PAUSE)
    hexadecimal = "document.getElementById('hex').textContent"
    problem = "document.getElementById('problem').textContent"
    meaning = f"{INSIDE}.document.getElementById('meaning').textContent"
    found = f"{INSIDE}.document.getElementById('found').textContent"
    yield "a message is written as bytes", page.js(hexadecimal).startswith("0a 04 42 65 72 74")
    yield "and explained", "greeting" in page.js(meaning)
    type_into(page, "message", '{"greeting": "Ernie"}')
    yield "the bytes change as one types", page.js(hexadecimal) == "0a 05 45 72 6e 69 65"
    yield "and what they say", "Ernie" in page.js(meaning)
    type_into(page, "message", '{"greetin": 1}')
    yield "what is wrong is named, with what is right", "did you mean 'greeting'" in page.js(problem)
    type_into(page, "message", '{"greeting": "Bert"}')
    press(page, "#tab-paste")
    yield "bytes of a server are frames", "MAX_CONCURRENT_STREAMS" in page.js(meaning)
    page.js("(e => { e.value = 'status'; e.dispatchEvent(new Event('change')); })(document.getElementById('exercise'))")
    page.js(PAUSE)
    yield "an exercise opens", int(page.js(found).split()[0]) > 5
    yield "with its question", len(page.js("document.getElementById('question').textContent")) > 20
    press(page, "#tab-bench")
    said = "document.querySelector('.side[data-side={}]').textContent"
    yield "a call waits on the bench", "preface" in page.js(said.format("client"))
    for _ in range(3):
        press(page, ".side[data-side=client] [data-action=deliver]")
    yield "frame by frame it arrives", "a call of /hello.HelloService/SayHello" in page.js(said.format("server"))
    press(page, "#all")
    yield "and is answered", "the call ends with OK" in page.js(said.format("client"))
    press(page, "#start")
    for _ in range(2):
        press(page, ".side[data-side=client] [data-action=deliver]")
    page.js("document.querySelector('.side[data-side=client] input').value = 3 * 8 + 7")
    press(page, ".side[data-side=client] [data-action=flip]")
    press(page, "#all")
    ends = page.js(said.format("client")) + page.js(said.format("server"))
    yield "a bit that is flipped breaks a rule", "_ERROR" in ends or "the call ends with" in ends
    yield "which the page names", "problems" in page.js(found)
    press(page, "#start")
    page.js("document.querySelector('.side[data-side=server] select').value = 'MAX_FRAME_SIZE'")
    press(page, ".side[data-side=server] [data-action=change]")
    press(page, "#all")
    yield "a setting that is changed breaks a rule", "MAX_FRAME_SIZE" in page.js(said.format("client"))
    names = "performance.getEntriesByType('resource').map(e => new URL(e.name).host)"
    yield "nothing came from elsewhere", page.js(f"new Set({names}).size") == 1
    page.open(f"{address}?exercise=flag")
    page.js(READY)
    page.js(PAUSE)
    yield "an address opens an exercise", page.js("document.getElementById('exercise').value") == "flag"
    for width, height in ((390, 844), (1024, 768), (1440, 900)):
        page.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        page.js(PAUSE)
        wide = page.js("document.documentElement.scrollWidth")
        yield f"{width} px: no sideways scrolling", wide <= width
        if len(sys.argv) > 2:
            page.screenshot(Path(sys.argv[2]) / f"playground-{width}.png")


def main() -> int:
    failed = 0
    with served(Path(sys.argv[1])) as address, browser() as page:
        for what, holds in checks(page, address):
            print(f"playground: {what:<45} {'ok' if holds else 'FAILED'}", flush=True)
            failed += not holds
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
