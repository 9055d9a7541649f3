"""The page of a trace in headless Chromium: clicks, keys, search, filters, widths, and screenshots to look at.

Speaks the Chrome DevTools protocol over a pipe (--remote-debugging-pipe), so that nothing but Chromium is needed.
Usage: browser.py WORK_FOLDER
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from docs.wire.conversation import lesson_conversation

from puregrpc.cli.live import LivePages
from puregrpc.trace import Explainer, explain
from puregrpc.trace.reading import read_recordings
from puregrpc.trace.showing.page import html_page

COMMAND = (
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--window-size=1600,1000", "--remote-debugging-pipe", "--no-first-run",
)  # fmt: skip


class Browser:
    """A page in Chromium."""

    def __init__(self, to: int, back: int) -> None:
        self.to = to
        self.back = back
        self.number = 0
        self.rest = b""
        self.session: str | None = None

    def ask(self, method: str, **parameters: Any) -> Any:
        """One command; returns its result. Raises RuntimeError if Chromium refuses it."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                data = os.read(self.back, 1 << 16)
                if not data:
                    raise RuntimeError("Chromium has gone")
                self.rest += data
            line, _, self.rest = self.rest.partition(b"\0")
            answer = json.loads(line)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def open(self, url: str) -> None:
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Page.enable")
        self.ask("Page.navigate", url=url)
        self.ask("Runtime.enable")
        self.js("new Promise(done => document.readyState === 'complete' ? done(1) : addEventListener('load', done))")

    def js(self, expression: str) -> Any:
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"])
        return result["result"].get("value")

    def click(self, selector: str) -> None:
        place = self.js(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'});"
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def browser() -> Iterator[Browser]:
    command_read, command_write = os.pipe()
    answer_read, answer_write = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:

        def place_pipes() -> None:
            # Chromium reads commands from descriptor 3 and writes answers to 4.
            read, write = os.dup(command_read), os.dup(answer_write)
            os.dup2(read, 3)
            os.dup2(write, 4)

        process = subprocess.Popen(
            [*COMMAND, f"--user-data-dir={profile}"], preexec_fn=place_pipes, close_fds=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(command_read)
        os.close(answer_write)
        try:
            yield Browser(command_write, answer_read)
        finally:
            process.terminate()
            process.wait(20)
            os.close(command_write)
            os.close(answer_read)


READY = """new Promise(done => {
  const look = () => document.documentElement.dataset.ready ? done(performance.now()) : setTimeout(look, 5);
  look();
})"""
"""Milliseconds until the page shows its entries."""

PAUSE = "new Promise(done => setTimeout(done, 120))"
SHOWN = "shown.length"
CHOSEN = "(document.querySelector('.entry[aria-selected=true]') || {dataset: {}}).dataset.entry"


def filtered(page: Browser, **values: str) -> int:
    """How many entries are left by a filter, which is then taken back."""
    for name, value in values.items():
        page.js(f"byId({json.dumps(name)}).value = {json.dumps(value)}; filter()")
    page.js(PAUSE)
    left = int(page.js(SHOWN))
    for name in values:
        page.js(f"byId({json.dumps(name)}).value = ''; filter()")
    page.js(PAUSE)
    return left


def key(page: Browser, name: str, code: str = "") -> None:
    text = {"text": name} if len(name) == 1 else {}
    for kind in ("keyDown", "keyUp"):
        page.ask(
            "Input.dispatchKeyEvent", type=kind, key=name, code=code or name, **(text if kind == "keyDown" else {})
        )
    page.js(PAUSE)


def checks(page: Browser, entries: int) -> Iterator[tuple[str, bool]]:
    """What a reader does with the page, and whether it does what it should."""
    lit = "[...document.querySelectorAll('#octets .lit')].map(e => e.textContent).join(' ')"
    meaning = "(document.querySelector('#meaning .lit') || {}).textContent"
    yield "every frame has a row", page.js("rows.time.length") == entries and page.js(SHOWN) == entries
    yield "every row says what it is", page.js("rows.gist.every(gist => gist.length > 0)")
    headers = page.js("rows.name.indexOf(rows.names.indexOf('HEADERS'))")
    page.js(f"bringIntoView({headers}); drawList()")
    page.click(f".entry[data-entry='{headers}']")
    page.js(PAUSE)
    yield "a click chooses a frame", page.js(CHOSEN) == str(headers)
    yield "and sets the address", page.js("location.hash") == f"#{headers}"
    first = page.js("document.querySelector('#octets .o').dataset.octet")
    buffer, at = first.split(":")
    page.click(f".o[data-octet='{buffer}:{int(at) + 3}']")
    yield "bytes to meaning: the type", "Type HEADERS" in page.js(meaning)
    yield "only that byte is lit", page.js(lit).split()[:1] == ["01"]
    path = page.js("nodes.findIndex(n => n.node[0] === ':path')")
    page.click(f".node[data-node='{path}']")
    yield "meaning to bytes: the path's", len(page.js(lit).split()) > 4
    detail = page.js("byId('detail').textContent")
    yield "its rule is told", "PROTOCOL-HTTP2" in detail
    yield "the dynamic table is told", "Dynamic table after it" in detail
    page.js("pinned = null; pin(nodes.find(n => n.node[0] === 'Flags'))")
    bits = page.js("[...document.querySelectorAll('.bits b')].map(e => e.textContent).join('')")
    yield "flags are shown as bits", len(bits) == 8 and "1" in bits
    page.js("pin(nodes.find(n => n.node[0] === 'Literal 01'))")
    yield "a prefix of HPACK is shown", page.js("document.querySelector('.bits .set b').textContent") == "01"
    columns = "[...document.querySelectorAll('.dump')].flatMap(d => d.textContent.trimEnd().split('\\n'))"
    lengths = page.js(f"{columns}.map(line => line.search(/ {{2}}[^ ]*$/))")
    yield "the dump's texts stand below each other", len(set(lengths)) == 1
    yield "search finds the trailers", 0 < filtered(page, search="grpc-status") < entries
    yield "search finds bytes", filtered(page, search="50 52 49") == 1
    yield "a stream alone", 0 < filtered(page, stream="1") < entries
    yield "a method alone", 0 < filtered(page, method=page.js("data.calls[0].path")) < entries
    yield "a direction alone", filtered(page, side="0") + filtered(page, side="1") == entries
    yield (
        "a frame type alone",
        filtered(page, type="SETTINGS") == page.js("rows.name.filter(n => rows.names[n] === 'SETTINGS').length"),
    )
    yield "and all come back", page.js(SHOWN) == entries
    page.js("location.hash = '#0'")
    page.js(PAUSE)
    yield "an address chooses a frame", page.js(CHOSEN) == "0"
    page.js("byId('list').focus()")
    key(page, "ArrowDown")
    yield "the arrows go through the frames", page.js(CHOSEN) == "1"
    key(page, "/", "Slash")
    yield "a slash goes to the search", page.js("document.activeElement.id") == "search"
    page.js("byId('search').value = 'grpc-status'; filter()")
    page.js(PAUSE)
    key(page, "Enter")
    yield "Enter goes to the first that is found", page.js(CHOSEN) == page.js("String(shown[0])")
    page.js("byId('search').focus()")
    key(page, "Escape")
    yield "Esc takes the search back", page.js(SHOWN) == entries
    key(page, "Escape")
    key(page, "Enter")
    yield "Enter goes to the meaning", page.js("document.activeElement.className.includes('node')")
    key(page, "ArrowDown")
    yield "where the arrows go on", page.js("document.activeElement.dataset.node") == "1"
    page.js("byId('overview').open = true; drawOverview()")
    yield "flow control is drawn", "may send" in page.js("byId('windows').querySelector('canvas').ariaLabel")
    yield "nothing was loaded from elsewhere", page.js("performance.getEntriesByType('resource').length") == 0
    page.js(f"location.hash = '#{headers}.{path}'")
    page.js(PAUSE)
    yield "an address chooses a part", ":path" in page.js(meaning)


def at_each_width(page: Browser, work: Path) -> Iterator[tuple[str, bool]]:
    """On a phone, a tablet, a laptop and at 200 %, light and dark: nothing is wider than the screen."""
    overflow = (
        "[document.documentElement, byId('list'), byId('octets'), byId('meaning'), byId('detail')]"
        ".every(e => e.scrollWidth <= e.clientWidth + 1)"
    )
    for width, height in ((360, 740), (390, 844), (720, 450), (1024, 768), (1440, 900)):
        page.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        page.js(PAUSE)
        for scheme in ("light", "dark"):
            page.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            page.js("drawOverview()")
            yield f"{width} px, {scheme}: no sideways scrolling", page.js(overflow)
            page.screenshot(work / f"page-{width}-{scheme}.png")
    page.ask("Emulation.clearDeviceMetricsOverride")


def a_live_page(page: Browser) -> Iterator[tuple[str, bool]]:
    """Frames appear as they come, and can be looked at like any others."""
    pages = LivePages("live")
    chunks = lesson_conversation().chunks
    with pages.serving(0) as address:
        page.session = None
        page.open(address)
        page.js(READY)
        yield "a live page waits", "waiting" in page.js("byId('found').textContent")
        recorder = pages.watch(Explainer(start_seen=True), "client", "server")
        for chunk in chunks[:4]:
            recorder.record(chunk.direction, chunk.data, chunk.time)
        page.js("new Promise(done => setTimeout(done, 700))")
        before = page.js("rows.time.length")
        yield "shows what has come", before > 0
        for chunk in chunks[4:]:
            recorder.record(chunk.direction, chunk.data, chunk.time)
        recorder.end()
        page.js("new Promise(done => setTimeout(done, 1200))")
        whole = explain(lesson_conversation())
        yield "and what comes then", page.js("rows.time.length") == len(whole.entries) > before
        page.js("choose(rows.time.length - 2)")
        page.js(PAUSE)
        yield "with its bytes", page.js("document.querySelectorAll('#octets .o').length") > 0
        yield "and says when it has ended", "ended" in page.js("byId('found').textContent")


def main() -> int:
    work = Path(sys.argv[1])
    capture = work / "tls" / "tls.pcapng"
    (recording,) = read_recordings(capture.read_bytes(), capture.name)
    explanation = explain(recording)
    page_file = work / "page.html"
    page_file.write_text(html_page(explanation), encoding="utf-8")
    failed = 0
    with browser() as page:
        page.open(page_file.resolve().as_uri())
        page.js(READY)
        for what, holds in (*checks(page, len(explanation.entries)), *at_each_width(page, work)):
            print(f"page: {what:<40} {'ok' if holds else 'FAILED'}")
            failed += not holds
        for what, holds in a_live_page(page):
            print(f"page: {what:<40} {'ok' if holds else 'FAILED'}")
            failed += not holds
    print(f"screenshots: {os.path.relpath(work)}/page-WIDTH-SCHEME.png")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
