"""Recordings and their explanations as JSON lines, which docs/json-lines.md describes.

The first line says what the file is. ``octets`` lines hold what was recorded, and are all that reading it again needs;
the other lines tell the explanation: one line per frame (or stretch), one per call, one per dynamic table, and one for
what was unpacked.
"""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING

from puregrpc.trace.recording import LINES_FORM, LINES_VERSION, Direction, Recording
from puregrpc.trace.records import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from puregrpc.trace.records import Explanation, Field, HeaderBlock, Message, Part, Stretch

__all__ = ["describe_entry", "explanation_lines", "recording_lines"]


def recording_lines(recording: Recording) -> Iterator[str]:
    """The recording, without an explanation."""
    head = {
        "form": LINES_FORM,
        "version": LINES_VERSION,
        "client": recording.client,
        "server": recording.server,
        "start_time": recording.start_time,
        "from_start": recording.from_start,
        "start_seen": recording.start_seen,
        "notes": list(recording.notes),
    }
    yield json.dumps(head)
    for chunk in recording.chunks:
        line: dict[str, object] = {"octets": chunk.data.hex(), "from": chunk.direction.value, "time": chunk.time}
        if chunk.lost != 0:
            line["lost"] = chunk.lost
        yield json.dumps(line)


def explanation_lines(explanation: Explanation) -> Iterator[str]:
    """The recording and its explanation."""
    yield from recording_lines(explanation.recording)
    for entry in explanation.entries:
        yield json.dumps(describe_entry(entry), ensure_ascii=False)
    for buffer in explanation.buffers[len(Direction) :]:
        yield json.dumps({"buffer": buffer.number, "name": buffer.name, "data": buffer.data.hex()}, ensure_ascii=False)
    for direction, entries in explanation.tables.items():
        shown = [[_text(entry.name), _text(entry.value)] for entry in entries]
        yield json.dumps({"table": direction.value, "entries": shown}, ensure_ascii=False)
    for call in explanation.calls:
        yield json.dumps(
            {
                "call": call.stream_id,
                "path": call.path,
                "authority": call.authority,
                "start": call.start,
                "end": call.end,
                "timeout": call.timeout,
                "status": call.status,
                "status_message": call.status_message,
                "outcome": call.outcome,
                "sent_messages": call.sent_messages,
                "received_messages": call.received_messages,
                "problems": list(call.problems),
            },
            ensure_ascii=False,
        )


def describe_entry(entry: Frame | Stretch) -> dict[str, object]:
    """A frame or stretch as JSON values."""
    told: dict[str, object] = {
        "number": entry.number,
        "time": entry.time,
        "from": entry.direction.value,
        "kind": "frame" if isinstance(entry, Frame) else "stretch",
        "events": list(entry.events),
        "problems": list(entry.problems),
        "part": _part(entry.part),
    }
    if isinstance(entry, Frame):
        told.update(
            type=entry.type_name,
            flags=list(entry.flag_names),
            stream=entry.stream_id,
            length=entry.length,
            missing=entry.missing,
            windows={name: getattr(entry.windows, name) for name in entry.windows.__slots__},
        )
    if entry.header_block is not None:
        told["header_block"] = _header_block(entry.header_block)
    if entry.messages:
        told["messages"] = [_message(message) for message in entry.messages]
    return told


def _part(part: Part) -> dict[str, object]:
    told: dict[str, object] = {"label": part.label, "value": part.value, "spans": part.spans}
    if part.rule is not None:
        told["rule"] = str(part.rule)
    for name in ("note", "problem", "explained_by"):
        if text := getattr(part, name):
            told[name] = text
    if part.parts:
        told["parts"] = [_part(inner) for inner in part.parts]
    return told


def _header_block(block: HeaderBlock) -> dict[str, object]:
    return {
        "number": block.number,
        "role": block.role,
        "problems": list(block.problems),
        "part": _part(block.part),
        "fields": [
            {
                **_named("name", header.name),
                **_named("value", header.value),
                "representation": header.representation.value,
                "index": header.index,
                "name_huffman": header.name_huffman,
                "value_huffman": header.value_huffman,
                "octets": header.octets,
                "meaning": header.meaning,
                "table": {"first": header.table.first, "end": header.table.end, "size": header.table.size,
                          "limit": header.table.limit, "lost": header.table.lost},
                "details": [_field(detail) for detail in header.details],
            }
            for header in block.fields
        ],
    }  # fmt: skip


def _text(data: bytes) -> str | dict[str, str]:
    """Octets as text, or what says that they are none."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _named(name: str, data: bytes | None) -> dict[str, str | None]:
    """Octets as text under ``name``, or under a name that says that they are none."""
    text = None if data is None else _text(data)
    return {name: None, f"{name}_base64": text["base64"]} if isinstance(text, dict) else {name: text}


def _message(message: Message) -> dict[str, object]:
    return {
        "number": message.number,
        "kind": message.kind,
        "stream": message.stream_id,
        "index": message.index,
        "compressed": message.compressed,
        "encoding": message.encoding,
        "length": message.length,
        "type": message.type_name,
        "problem": message.problem,
        "fields": [_field(field) for field in message.fields],
        "part": _part(message.part),
        **({"content": _part(message.content)} if message.content is not None else {}),
    }


def _field(field: Field) -> dict[str, object]:
    told: dict[str, object] = {"number": field.number, "wire_type": field.wire_type, "type": field.type_name}
    if field.name:
        told["name"] = field.name
    if field.value is not None:
        told["value"] = _value(field.value)
    if field.fields:
        told["fields"] = [_field(inner) for inner in field.fields]
    return told


def _value(value: object) -> object:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, tuple):
        return [_value(item) for item in value]
    return value
