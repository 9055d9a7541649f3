"""The explanation as one HTML page that needs nothing else: octets and their meaning, side by side, to click through.

What the peers sent goes into the page as JSON and is only ever set as text, so it cannot become part of the page.
"""

from __future__ import annotations

import base64
import html
import json
from typing import TYPE_CHECKING

from puregrpc._data import resource
from puregrpc.trace.recording import Direction
from puregrpc.trace.records import Frame, Part, TableState
from puregrpc.trace.text import printable

if TYPE_CHECKING:
    from puregrpc.trace.records import Explanation, HeaderBlock, Rule, Stretch

__all__ = ["html_page"]


def html_page(explanation: Explanation, *, title: str = "gRPC on the wire") -> str:
    """The page as text. It has no external resources and a Content-Security-Policy that forbids them."""
    template = resource("puregrpc.trace.showing", "page.html").decode()
    # "<" inside JSON strings only: no text can end the script element.
    data = json.dumps(_Page(explanation).data(), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return template.replace("__TITLE__", html.escape(title)).replace("__DATA__", data)


class _Page:
    def __init__(self, explanation: Explanation) -> None:
        self.explanation = explanation
        self.rules: dict[Rule, int] = {}

    def data(self) -> dict[str, object]:
        explanation = self.explanation
        entries = [self.entry(entry) for entry in explanation.entries]
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
            "buffers": [
                {"name": buffer.name, "data": base64.b64encode(buffer.data).decode()} for buffer in explanation.buffers
            ],
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
            "entries": entries,
            "rules": [[str(rule), rule.says, rule.url] for rule in self.rules],
            "tables": tables,
        }

    def entry(self, entry: Frame | Stretch) -> dict[str, object]:
        trees = [self.node(entry.part)]
        problems = list(entry.problems)
        if entry.header_block is not None:
            problems += entry.header_block.problems
            trees.append(self.header_block(entry.header_block))
            trees += [self.node(detail.part) for header in entry.header_block.fields for detail in header.details]
        for message in entry.messages:
            trees.append(self.node(message.part))
            if message.content is not None:
                trees.append(self.node(message.content))
        problems += [
            f"{part.label}: {part.problem}" for root in self.roots(entry) for part in root.walk() if part.problem
        ]
        told: dict[str, object] = {
            "time": entry.time,
            "from": entry.direction.value,
            "name": entry.type_name if isinstance(entry, Frame) else entry.part.label,
            "about": "",
            "stream": 0,
            "events": list(entry.events),
            "problems": problems,
            "trees": trees,
        }
        if isinstance(entry, Frame):
            about = [f"stream {entry.stream_id}"] if entry.stream_id else []
            told["about"] = "  ".join([*about, f"{entry.length} octets", *entry.flag_names])
            told["stream"] = entry.stream_id
            told["windows"] = _windows(entry)
        return told

    def roots(self, entry: Frame | Stretch) -> list[Part]:
        roots = [entry.part]
        if entry.header_block is not None:
            roots.append(entry.header_block.part)
        for message in entry.messages:
            roots.append(message.part)
            if message.content is not None:
                roots.append(message.content)
        return roots

    def header_block(self, block: HeaderBlock) -> list[object]:
        node = self.node(block.part)
        node[6] = [self.node(header.part, header.table) for header in block.fields]
        return node

    def node(self, part: Part, table: TableState | None = None) -> list[object]:
        rule = -1 if part.rule is None else self.rules.setdefault(part.rule, len(self.rules))
        note = "; ".join(filter(None, (part.note, f"see {part.explained_by}" if part.explained_by else "")))
        inner: list[object] = [self.node(child) for child in part.parts]
        node: list[object] = [
            part.label,
            part.value,
            [list(span) for span in part.spans],
            rule,
            note,
            part.problem,
            inner,
        ]
        if table is not None:
            node.append([table.first, table.end, table.size, table.limit, table.lost])
        return node


def _windows(frame: Frame) -> str:
    windows = frame.windows
    if windows.client_connection is None or windows.server_connection is None:
        return "Flow-control windows: not known, because the recording has not everything."
    said = (
        f"Flow control after this frame: the client may send {windows.client_connection} octets of DATA on the "
        f"connection, the server {windows.server_connection}"
    )
    if windows.client_stream is not None and windows.server_stream is not None:
        said += f"; on stream {frame.stream_id} {windows.client_stream} and {windows.server_stream}"
    return said + "."
