"""The explanation as one HTML page that needs nothing else: octets and their meaning, side by side, to click through.

What the peers sent goes into the page as JSON and is only ever set as text, so it cannot become part of the page. The
list of entries is one packed piece, which is unpacked when the page opens; their trees are in blocks, each unpacked
when one of its entries is looked at. So a page of 100,000 frames opens at once.
"""

from __future__ import annotations

import base64
import html
import json
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from puregrpc._data import resource
from puregrpc.trace.recording import Direction
from puregrpc.trace.records import Frame, Part, TableState
from puregrpc.trace.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from puregrpc.trace.records import Explanation, Field, HeaderBlock, Message, Rule, Stretch

__all__ = ["html_page"]

BLOCK = 128
"""Entries whose trees are unpacked together."""

FIELDS_SHOWN = 3
"""Of a message, in the list of entries."""

GIST_LENGTH = 160

FRAME_HEAD = 4
"""Parts of a frame before its payload: length, type, flags, stream."""

PACKED_LEVEL = 6


def html_page(explanation: Explanation, *, title: str = "gRPC on the wire") -> str:
    """The page as text. It has no external resources and a Content-Security-Policy that forbids them."""
    template = resource("puregrpc.trace.showing", "page.html").decode()
    # "<" inside JSON strings only: no text can end the script element.
    data = _json(_Page(explanation).data()).replace("<", "\\u003c")
    return template.replace("__TITLE__", html.escape(title)).replace("__DATA__", data)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _compressor() -> Callable[[bytes], bytes] | None:
    try:
        import zlib
    except ImportError:  # a Python without it
        return None
    return partial(zlib.compress, level=PACKED_LEVEL)


class _Page:
    def __init__(self, explanation: Explanation) -> None:
        self.explanation = explanation
        self.rules: dict[Rule, int] = {}
        self.names: dict[str, int] = {}
        """What entries are called: their frame types, mostly."""
        self.shapes: dict[str, int] = {}
        """The labels and rules of entries' trees: few, beside their values."""
        # A small page can be read as it is, and is the same whichever zlib made it.
        self.compress = _compressor() if len(explanation.entries) > BLOCK else None

    def pack(self, data: bytes) -> str:
        """Octets as base64, compressed before if the page is large."""
        return base64.b64encode(data if self.compress is None else self.compress(data)).decode()

    def pack_json(self, value: object) -> object:
        return value if self.compress is None else self.pack(_json(value).encode())

    def data(self) -> dict[str, object]:
        explanation = self.explanation
        entries = explanation.entries
        blocks, rows = [], []
        remaining = iter(entries)
        while block := list(islice(remaining, BLOCK)):
            trees = []
            for entry in block:
                tree = self.trees(entry)
                trees.append(tree)
                rows.append(self.row(entry, tree))
            blocks.append(self.pack_json(trees))
        columns: dict[str, object] = {name: [row[name] for row in rows] for name in ROW}
        columns |= {"names": list(self.names), "shapes": list(self.shapes)}
        tables = {
            direction.value: [
                [printable(entry.name), printable(entry.value)] for entry in explanation.tables.get(direction, ())
            ]
            for direction in Direction
        }
        return {
            "client": explanation.recording.client,
            "server": explanation.recording.server,
            "notes": list(explanation.recording.notes),
            "problems": len(explanation.problems()),
            "packing": "" if self.compress is None else "deflate",
            "block": BLOCK,
            "count": len(entries),
            "rows": self.pack_json(columns),
            "blocks": blocks,
            "buffers": [{"name": buffer.name, "data": self.pack(buffer.data)} for buffer in explanation.buffers],
            "calls": [
                {
                    "stream": call.stream_id,
                    "path": call.path or "(unknown method)",
                    "outcome": call.outcome,
                    "start": call.start,
                    "end": call.end,
                    "status": call.status,
                }
                for call in explanation.calls
            ],
            "rules": [[str(rule), rule.says, rule.url] for rule in self.rules],
            "tables": tables,
        }

    # -- the list

    def row(self, entry: Frame | Stretch, trees: Sequence[Any]) -> dict[str, object]:
        """What the list and the filters need of an entry."""
        name = entry.type_name if isinstance(entry, Frame) else entry.part.label
        problems = self.problems(entry)
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
        names = [*self.rules]
        while waiting:
            label, value, _, rule, note, problem, parts, *_ = waiting.pop()
            labels[label] = None
            if rule >= 0:
                labels[str(names[rule])] = None
            values[value] = values[note] = values[problem] = None
            waiting.extend(parts)

    def _table(self, entry: Frame | Stretch) -> list[object] | None:
        """The dynamic table after the header block that ends in an entry."""
        block = entry.header_block
        return _state(block.fields[-1].table) if block is not None and block.fields else None

    def problems(self, entry: Frame | Stretch) -> list[str]:
        found = list(entry.problems)
        if entry.header_block is not None:
            found += entry.header_block.problems
        found += [f"{part.label}: {part.problem}" for root in self.roots(entry) for part in root.walk() if part.problem]
        return found

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

    def roots(self, entry: Frame | Stretch) -> Iterator[Part]:
        yield entry.part
        if entry.header_block is not None:
            yield entry.header_block.part
        for message in entry.messages:
            yield message.part
            if message.content is not None:
                yield message.content

    def header_block(self, block: HeaderBlock) -> list[object]:
        node = self.node(block.part)
        node[6] = [self.node(header.part, header.table) for header in block.fields]
        return node

    def node(self, part: Part, table: TableState | None = None) -> list[object]:
        rule = -1 if part.rule is None else self.rules.setdefault(part.rule, len(self.rules))
        note = "; ".join(filter(None, (part.note, f"see {part.explained_by}" if part.explained_by else "")))
        inner: list[object] = [self.node(child) for child in part.parts]
        node: list[object] = [part.label, part.value, list(map(list, part.spans)), rule, note, part.problem, inner]
        if table is not None:
            node.append(_state(table))
        return node


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
