"""The explanation as one HTML page that needs nothing else: octets and their meaning, side by side, to click through.

What the peers sent goes into the page as JSON and is only ever set as text, so it cannot become part of the page. The
list of entries is one packed piece, which is unpacked when the page opens; their trees are in blocks, each unpacked
when one of its entries is looked at. So a page of 100,000 frames opens at once.
"""

from __future__ import annotations

import base64
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from puregrpc._pages import as_json, filled_page
from puregrpc.trace.recording import Direction
from puregrpc.trace.records import Frame, Part, TableState, problems_of
from puregrpc.trace.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from puregrpc.trace.records import Explanation, Field, HeaderBlock, Message, Rule, Stretch, TableEntry

__all__ = ["LiveEntries", "html_page", "live_page"]

BLOCK = 128
"""Entries whose trees are unpacked together."""

MOST_AT_ONCE = 5_000
"""Entries that a live page is told in one answer."""

FIELDS_SHOWN = 3
"""Of a message, in the list of entries."""

GIST_LENGTH = 160

FRAME_HEAD = 4
"""Parts of a frame before its payload: length, type, flags, stream."""

PACKED_LEVEL = 6


def html_page(explanation: Explanation, *, title: str = "gRPC on the wire") -> str:
    """The page as text. It has no external resources and a Content-Security-Policy that forbids them."""
    return _page(_Page().data(explanation), title, fetches="'none'")


def live_page(*, title: str = "gRPC on the wire") -> str:
    """The page of what is going on: it asks the server that it came from for `LiveEntries`, again and again."""
    return _page({"live": True, "packing": ""}, title, fetches="'self'")


def _page(data: object, title: str, *, fetches: str) -> str:
    return filled_page("puregrpc.trace.showing", title, data).replace("__FETCHES__", fetches, 1)


def _compressor() -> Callable[[bytes], bytes] | None:
    try:
        import zlib
    except ImportError:  # a Python without it
        return None
    return partial(zlib.compress, level=PACKED_LEVEL)


class _Page:
    """What the entries of a page have in common, as far as they were told."""

    def __init__(self) -> None:
        self.rules: dict[Rule, int] = {}
        self.rule_names: list[str] = []
        self.names: dict[str, int] = {}
        """What entries are called: their frame types, mostly."""
        self.shapes: dict[str, int] = {}
        """The labels and rules of entries' trees: few, beside their values."""

    def data(self, explanation: Explanation) -> dict[str, object]:
        """Everything that a page shows."""
        entries = explanation.entries
        # A small page can be read as it is, and is the same whichever zlib made it.
        compress = _compressor() if len(entries) > BLOCK else None

        def pack(data: bytes) -> str:
            return base64.b64encode(data if compress is None else compress(data)).decode()

        def pack_json(value: object) -> object:
            return value if compress is None else pack(as_json(value).encode())

        blocks, rows = [], []
        remaining = iter(entries)
        while block := list(islice(remaining, BLOCK)):
            trees, told = self.describe(block)
            rows += told
            blocks.append(pack_json(trees))
        return {
            **self.about(explanation),
            "packing": "" if compress is None else "deflate",
            "block": BLOCK,
            "count": len(entries),
            "rows": pack_json(self.columns(rows)),
            "blocks": blocks,
            "buffers": [{"name": buffer.name, "data": pack(buffer.data)} for buffer in explanation.buffers],
            "tables": {side.value: _table_entries(explanation.tables.get(side, ())) for side in Direction},
        }

    def about(self, explanation: Explanation) -> dict[str, object]:
        """The connection as a whole, and the rules that were named."""
        return {
            "client": explanation.recording.client,
            "server": explanation.recording.server,
            "notes": list(explanation.recording.notes),
            "calls": [
                {
                    "stream": call.stream_id,
                    "path": call.path or "(unknown method)",
                    "outcome": call.outcome,
                    "start": call.start,
                    "end": call.end,
                    "status": call.status,
                    "problems": len(call.problems),
                }
                for call in explanation.calls
            ],
            "rules": [[name, rule.says, rule.url] for name, rule in zip(self.rule_names, self.rules, strict=True)],
        }

    def describe(self, entries: Iterable[Frame | Stretch]) -> tuple[list[list[list[object]]], list[dict[str, object]]]:
        """The trees and the rows of entries."""
        trees = [self.trees(entry) for entry in entries]
        return trees, [self.row(entry, tree) for entry, tree in zip(entries, trees, strict=True)]

    def columns(self, rows: Sequence[Mapping[str, object]]) -> dict[str, object]:
        """Rows, each of their values in a list of its own."""
        columns: dict[str, object] = {name: [row[name] for row in rows] for name in ROW}
        return {**columns, "names": list(self.names), "shapes": list(self.shapes)}

    # -- the list

    def row(self, entry: Frame | Stretch, trees: Sequence[Any]) -> dict[str, object]:
        """What the list and the filters need of an entry."""
        name = entry.type_name if isinstance(entry, Frame) else entry.part.label
        problems = problems_of(entry)
        about, stream, windows = entry.part.value, 0, None
        if isinstance(entry, Frame):
            about = "  ".join([f"{entry.length} bytes", *entry.flag_names])
            stream = entry.stream_id
            told = entry.windows
            windows = [told.client_connection, told.server_connection, told.client_stream, told.server_stream]
        gist = _gist(entry, problems)
        labels: dict[str, None] = {}
        values: dict[str, None] = dict.fromkeys((about, *entry.events, *problems, *map(_summary, entry.messages)))
        for tree in trees:
            self._collect(tree, labels, values)
        start = entry.part.spans[0] if entry.part.spans else (-1, 0, 0)
        return {
            "time": round(entry.time, 9),
            "side": int(entry.direction is Direction.SERVER),
            "name": self.names.setdefault(name, len(self.names)),
            "about": about,
            "stream": stream,
            "gist": gist,
            "bad": len(problems),
            "shape": self.shapes.setdefault("\n".join(labels), len(self.shapes)),
            "text": "\n".join(filter(None, values)),
            "windows": windows,
            "at": [start[0], start[1]],
            "table": self._table(entry),
        }

    def _collect(self, node: Sequence[Any], labels: dict[str, None], values: dict[str, None]) -> None:
        waiting = [node]
        while waiting:
            label, value, _, rule, note, problem, parts, *_ = waiting.pop()
            labels[label] = None
            if rule >= 0:
                labels[self.rule_names[rule]] = None
            values[value] = values[note] = values[problem] = None
            waiting.extend(parts)

    def _table(self, entry: Frame | Stretch) -> list[object] | None:
        """The dynamic table after the header block that ends in an entry."""
        block = entry.header_block
        return _state(block.fields[-1].table) if block is not None and block.fields else None

    # -- the trees

    def trees(self, entry: Frame | Stretch) -> list[list[object]]:
        trees = [self.node(entry.part)]
        if entry.header_block is not None:
            trees.append(self.header_block(entry.header_block))
            trees += [self.node(detail.part) for header in entry.header_block.fields for detail in header.details]
        for message in entry.messages:
            trees.append(self.node(message.part))
            if message.content is not None:
                trees.append(self.node(message.content))
        return trees

    def header_block(self, block: HeaderBlock) -> list[object]:
        node = self.node(block.part)
        node[6] = [self.node(header.part, header.table) for header in block.fields]
        return node

    def _number_of(self, rule: Rule) -> int:
        number = self.rules.setdefault(rule, len(self.rules))
        if number == len(self.rule_names):
            self.rule_names.append(str(rule))
        return number

    def node(self, part: Part, table: TableState | None = None) -> list[object]:
        rule = -1 if part.rule is None else self._number_of(part.rule)
        note = "; ".join(filter(None, (part.note, f"see {part.explained_by}" if part.explained_by else "")))
        inner: list[object] = [self.node(child) for child in part.parts]
        node: list[object] = [part.label, part.value, list(map(list, part.spans)), rule, note, part.problem, inner]
        if table is not None:
            node.append(_state(table))
        return node


class LiveEntries:
    """Tells a `live_page` of a connection what it does not have yet."""

    def __init__(self) -> None:
        self._page = _Page()

    def since(self, explanation: Explanation, entries: int, octets: Sequence[int], tables: Sequence[int]) -> str:
        """What there is beyond so many entries, octets of each buffer, and entries of both dynamic tables, as JSON."""
        page = self._page
        trees, rows = page.describe(explanation.entries[entries : entries + MOST_AT_ONCE])
        buffers = []
        for number, buffer in enumerate(explanation.buffers):
            start = octets[number] if number < len(octets) else 0
            buffers.append({"name": buffer.name, "data": base64.b64encode(buffer.data[start:]).decode()})
        told = {
            side.value: _table_entries(explanation.tables.get(side, ())[start:])
            for side, start in zip(Direction, tables, strict=True)
        }
        more = {"rows": page.columns(rows), "trees": trees, "buffers": buffers, "tables": told}
        return as_json({**page.about(explanation), **more})


def _table_entries(entries: Iterable[TableEntry]) -> list[list[str]]:
    return [[printable(entry.name), printable(entry.value)] for entry in entries]


ROW = ("time", "side", "name", "about", "stream", "gist", "bad", "shape", "text", "windows", "at", "table")


def _state(table: TableState) -> list[object]:
    return [table.first, table.end, table.size, table.limit, table.lost]


def _gist(entry: Frame | Stretch, problems: Sequence[str]) -> str:
    """What an entry says, in one line."""
    said = [*(f"✗ {problem}" for problem in problems[:1]), *map(_summary, entry.messages), *entry.events]
    if entry.header_block is not None and (status := entry.header_block.value(b"grpc-status")) is not None:
        field = next(field for field in entry.header_block.fields if field.name == b"grpc-status")
        said.append(f"grpc-status {printable(status)}" + (f" ({field.meaning})" if field.meaning else ""))
    if not said:  # such as a frame in the middle of a header block or of a message
        payload = entry.part.parts[FRAME_HEAD:] if isinstance(entry, Frame) else (entry.part,)
        said = [f"{part.label}: {part.value}" + (f" ({part.note})" if part.note else "") for part in payload]
    gist = " · ".join(said) or "empty"
    return gist if len(gist) <= GIST_LENGTH else f"{gist[:GIST_LENGTH]}…"


def _summary(message: Message) -> str:
    """A message and its first fields."""
    if message.kind != "message":
        return f"{message.kind}, {message.length} bytes"
    fields = [_field(field) for field in message.fields[:FIELDS_SHOWN]]
    more = ", …" if len(message.fields) > FIELDS_SHOWN else ""
    held = f" {{{', '.join(fields)}{more}}}" if message.fields else f", {message.length} bytes"
    return f"message {message.index}: {message.type_name or 'no schema'}{held}"


def _field(field: Field) -> str:
    value = field.part.value
    return f"{field.name or field.number}: {value[:40] + '…' if len(value) > 40 else value or '{…}'}"
