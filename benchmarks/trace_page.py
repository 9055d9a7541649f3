"""The page of a trace of 10,000 and of 100,000 frames: its size, how soon it opens, how long a search takes.

Usage: ``python -m benchmarks.trace_page``. Needs Chromium.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from conformance.trace.browser import READY, browser

from puregrpc.trace import Chunk, Direction, Recording, explain
from puregrpc.trace.showing.page import html_page
from puregrpc.wire.fast.octets import END_HEADERS, frame
from puregrpc.wire.frames import PREFACE, FrameType
from puregrpc.wire.framing import prefix

SEARCH = "(async begun => { await filter(); return [performance.now() - begun, shown.length]; })(performance.now())"
SEARCHES = ("reply 0004", "data", "0a0c7265", "not there")


def recording(frames: int) -> Recording:
    """A stream of small messages in both directions."""
    settings = frame(FrameType.SETTINGS, 0, 0, b"")
    chunks = [
        Chunk(0.0, Direction.CLIENT, PREFACE + settings),
        Chunk(0.0, Direction.SERVER, settings),
        Chunk(0.0, Direction.CLIENT, frame(FrameType.HEADERS, END_HEADERS, 1, b"\x83\x86\x44\x04/s/m")),
        Chunk(0.0, Direction.SERVER, frame(FrameType.HEADERS, END_HEADERS, 1, b"\x88")),
    ]
    for number in range(frames // 2):
        for side, word in ((Direction.CLIENT, "hello"), (Direction.SERVER, "reply")):
            message = b"\x0a\x0c" + f"{word} {number:06}".encode()
            chunks.append(Chunk(number / 1000, side, frame(FrameType.DATA, 0, 1, prefix(len(message)) + message)))
    return Recording(tuple(chunks))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, browser() as page:
        for frames in (10_000, 100_000):
            recorded = recording(frames)
            explanation = explain(recorded)
            begun = time.process_time()
            text = html_page(explanation)
            made = time.process_time() - begun
            file = Path(folder) / f"{frames}.html"
            file.write_text(text, encoding="utf-8")
            octets = sum(len(chunk.data) for chunk in recorded.chunks)
            page.session = None
            page.open(file.as_uri())
            opened = page.js(READY)
            print(
                f"{frames} frames, {len(explanation.entries)} entries: made in {made:.1f} s, {len(text)} bytes, ",
                end="",
            )
            print(f"{len(text) / octets:.1f} x the capture; opens in {opened:.0f} ms", flush=True)
            for wanted in SEARCHES:
                page.js(f"byId('search').value = {wanted!r}")
                took, found = page.js(SEARCH)
                print(f"  search for {wanted!r}: {took:.0f} ms, {found} found", flush=True)


if __name__ == "__main__":
    main()
