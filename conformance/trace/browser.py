"""The page of a trace in headless Chromium: clicks on octets and meanings, search, and a screenshot to look at.

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

from puregrpc.trace import explain
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


def checks(page: Browser, entries: int) -> Iterator[tuple[str, bool]]:
    """What a reader does with the page, and whether it does what it should."""
    lit = "[...document.querySelectorAll('#octets .lit')].map(e => e.textContent).join(' ')"
    meaning = "(document.querySelector('#meaning .lit') || {}).textContent"
    yield "every frame has a row", page.js("document.querySelectorAll('.entry').length") == entries
    yield "the timeline has every frame", page.js("document.querySelectorAll('.tick').length") == entries
    headers = page.js("[...document.querySelectorAll('.entry')].findIndex(e => e.textContent.includes('HEADERS'))")
    page.click(f".entry[data-entry='{headers}']")
    yield "a click chooses a frame", page.js("document.querySelector('.entry.chosen').dataset.entry") == str(headers)
    first = page.js("document.querySelector('#octets .o').dataset.octet")
    buffer, at = first.split(":")
    page.click(f".o[data-octet='{buffer}:{int(at) + 3}']")
    yield "octets to meaning: the type", "Type HEADERS" in page.js(meaning)
    yield "only that octet is lit", page.js(lit).split()[:1] == ["01"]
    path = page.js("[...document.querySelectorAll('.node')].findIndex(e => e.textContent.startsWith(':path'))")
    page.click(f".node[data-node='{path}']")
    yield "meaning to octets: the path's", len(page.js(lit).split()) > 4
    detail = page.js("document.getElementById('detail').textContent")
    yield "its rule is told", "PROTOCOL-HTTP2" in detail
    yield "the dynamic table is told", "Dynamic table after it" in detail
    page.js("const s = document.getElementById('search'); s.value = 'grpc-status'; s.dispatchEvent(new Event('input'))")
    shown = "[...document.querySelectorAll('.entry')].filter(e => !e.hidden).length"
    yield "search finds the trailers", 0 < page.js(shown) < entries
    page.js("const t = document.getElementById('search'); t.value = '50 52 49'; t.dispatchEvent(new Event('input'))")
    yield "search finds octets", page.js(shown) == 1
    page.js("const u = document.getElementById('search'); u.value = ''; u.dispatchEvent(new Event('input'))")
    yield "and lets all come back", page.js(shown) == entries
    page.js("location.hash = '#0'")
    page.js("new Promise(done => setTimeout(done, 50))")
    yield "a link chooses a frame", page.js("document.querySelector('.entry.chosen').dataset.entry") == "0"
    yield "nothing was loaded from elsewhere", page.js("performance.getEntriesByType('resource').length") == 0
    page.js(f"location.hash = '#{headers}.{path}'")
    page.js("new Promise(done => setTimeout(done, 50))")


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
        for what, holds in checks(page, len(explanation.entries)):
            print(f"page: {what:<40} {'ok' if holds else 'FAILED'}")
            failed += not holds
        page.screenshot(work / "page.png")
    print(f"screenshot: {os.path.relpath(work / 'page.png')}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
