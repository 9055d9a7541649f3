"""Looks at the built site: every public name is on a page. Usage: python -m docs.check SITE"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

ROOMS = (
    "puregrpc", "puregrpc.errors", "puregrpc.channel", "puregrpc.server", "puregrpc.services", "puregrpc.wire",
    "puregrpc.proto", "puregrpc.schema", "puregrpc.codec", "puregrpc.metrics", "puregrpc.trace", "puregrpc.transport",
    "puregrpc.testing", "puregrpc.fuzz", "puregrpc.load",
)  # fmt: skip


class Words(HTMLParser):
    """The anchors of a page, and the words that stand alone in it."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.words: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's own
        self.anchors.update(value for name, value in attrs if name == "id" and value)

    def handle_data(self, data: str) -> None:
        self.words.add(data.strip())


def missing_of(room: str, site: Path) -> list[str]:
    """The public names of a room that its page has neither as an entry nor in its text."""
    page = Words()
    page.feed((site / "reference" / f"{room.removeprefix('puregrpc.')}.html").read_text(encoding="utf-8"))
    names: list[str] = import_module(room).__all__
    return [f"{room}.{name}" for name in names if f"{room}.{name}" not in page.anchors and name not in page.words]


def main() -> int:
    missing = [name for room in ROOMS for name in missing_of(room, Path(sys.argv[1]))]
    for full_name in missing:
        print(f"{full_name} is on no page of the reference")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
