"""The explanation as text: two rails, an arrow for every frame, and below it what the frame says.

The text comes as runs with a style name each, so that whoever prints it may colour it; `plain` is without colours.
With a width, what a frame says stands below the arrow, long values are cut, with their length, and notes are wrapped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from puregrpc.trace.recording import Direction
from puregrpc.trace.records import Frame, Part, Representation
from puregrpc.trace.text import escaped, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from puregrpc.trace.records import CallSummary, Explanation, HeaderBlock, HeaderField, Message, Stretch

__all__ = ["LEAST_WIDTH", "Detail", "Ladder", "Line", "Run", "call_lines", "plain"]

ARROW_WIDTH = 34
NARROW_ARROW_WIDTH = 23
TIME_WIDTH = 12
NARROW_TIME_WIDTH = 10
LEAST_WIDTH = 40
VALUE_WIDTH = 60
OCTETS_SHOWN = 16


class Detail(IntEnum):
    """How much is told."""

    FRAMES = 0
    """One line a frame, and what it does."""
    CONTENT = 1
    """Header fields and message fields as well."""
    OCTETS = 2
    """Every octet, with the rule that it serves."""


class Run(NamedTuple):
    """Text in one style: one of ``time rail client server frame event name value note rule octets problem``."""

    text: str
    style: str = ""


Line = tuple[Run, ...]


def plain(lines: Iterable[Line]) -> str:
    """Lines as text without colours."""
    return "".join("".join(run.text for run in line).rstrip() + "\n" for line in lines)


@dataclass(frozen=True, slots=True)
class Ladder:
    """Turns entries into lines."""

    detail: Detail = Detail.CONTENT
    width: int | None = None
    """Columns that no line has more of, 40 at least; None: lines are as long as they are."""

    def beside(self, label: str) -> Ladder:
        """The same, with room for a label in front of each line."""
        return self if self.width is None else replace(self, width=max(self.width - len(label), LEAST_WIDTH))

    def lines(self, explanation: Explanation) -> Iterator[Line]:
        """The whole ladder."""
        recording = explanation.recording
        yield from self.head(recording.client, recording.server)
        for note in recording.notes:
            yield from self._fitted(self._below(Run(escaped(note), "problem")))
        for entry in explanation.entries:
            yield from self.entry(entry, explanation)
        yield from self.calls(explanation.calls)

    def head(self, client: str, server: str) -> Iterator[Line]:
        """The names above the rails."""
        client, server = escaped(client), escaped(server)
        gap = max(self._arrow_width - len(client), 2)
        margin = Run(" " * self._time_width)
        head = (margin, Run(client, "client"), Run(" " * gap), Run(server, "server"))
        if self.width is None or _length(head) <= self.width:
            yield head
            return
        room = self.width - self._time_width - len("to ")
        yield (margin, Run(_short(client, room), "client"))
        yield (margin, Run("to "), Run(_short(server, room), "server"))

    def entry(self, entry: Frame | Stretch, explanation: Explanation | None = None) -> Iterator[Line]:
        """One frame or stretch. Octets can be shown only with the explanation that it is from."""
        for line in self._entry(entry, explanation):
            yield from self._fitted(tuple(Run(escaped(run.text), run.style) for run in line))

    def calls(self, calls: Iterable[CallSummary]) -> Iterator[Line]:
        """A line for each call."""
        for line in call_lines(calls):
            yield from self._fitted(line, begins=0)

    @property
    def _arrow_width(self) -> int:
        return ARROW_WIDTH if self.width is None else NARROW_ARROW_WIDTH

    @property
    def _time_width(self) -> int:
        return TIME_WIDTH if self.width is None else NARROW_TIME_WIDTH

    # -- as wide as there is room

    def _fitted(self, line: Line, *, begins: int | None = None) -> Iterator[Line]:
        """A line, or as many as it takes. ``begins``: how many of its runs are repeated in none of them."""
        if self.width is None or _length(line) <= self.width:
            yield line
            return
        width = max(self.width, LEAST_WIDTH)
        is_arrow = bool(line) and line[0].style == "time"
        if begins is None:
            begins = ARROW_RUNS if is_arrow else BELOW_RUNS
        head, runs = line[:begins], line[begins:]
        if is_arrow or begins == 0:
            rail: Line = (Run(" " * self._time_width), Run("│", "rail"), Run("   ")) if is_arrow else (Run("    "),)
        else:
            rail = (*head, Run("  "))
        told: list[Run] = []
        aside: list[Run] = []
        for run in runs:
            has_value = any(before.style == "value" for before in told)
            is_aside = run.style in ASIDE or (run.style == "value" and has_value)
            (aside if is_aside else told).append(run)
        yield from _wrapped(told if is_arrow else _cut(told, width - _length(head)), head, rail, width)
        for run in aside:
            if run.text.strip():
                yield from _wrapped([Run(run.text.strip(), run.style)], rail, rail, width)

    def _entry(self, entry: Frame | Stretch, explanation: Explanation | None) -> Iterator[Line]:
        yield self._arrow(entry)
        for event in entry.events:
            yield self._below(Run(event, "event"))
        for problem in entry.problems:
            yield self._below(Run(f"! {problem}", "problem"))
        if self.detail is Detail.OCTETS and explanation is not None:
            yield from self._parts(entry.part.parts or (entry.part,), explanation, 1)
        elif self.detail is Detail.CONTENT:
            for part in entry.part.parts:
                if part.parts or part.problem or part.label in SHOWN_PARTS:
                    yield from self._content(part, 1)
        if entry.part.problem:
            yield self._below(Run(f"! {entry.part.problem}", "problem"))
        if entry.header_block is not None:
            yield from self._header_block(entry.header_block, explanation)
        for message in entry.messages:
            yield from self._message(message, explanation)
        if self.detail is Detail.OCTETS and isinstance(entry, Frame):
            yield from self._windows(entry)

    def _windows(self, frame: Frame) -> Iterator[Line]:
        """What flow control allows after the frame."""
        windows = frame.windows
        sides = (
            ("client", windows.client_connection, windows.client_stream),
            ("server", windows.server_connection, windows.server_stream),
        )
        said = []
        for side, connection, stream in sides:
            text = f"the {side} {'?' if connection is None else connection}"
            if frame.stream_id:
                text += f" (on the stream {'?' if stream is None else stream})"
            said.append(text)
        yield self._below(Run(f"may send now: {', '.join(said)}", "note"))

    def _table(self, block: HeaderBlock, explanation: Explanation) -> Iterator[Line]:
        """The dynamic table after a header block."""
        if not block.fields:
            return
        state = block.fields[-1].table
        lost = ", and what came before the recording" if state.lost else ""
        head = f"dynamic table: {state.end - state.first} entries, {state.size} of {state.limit} octets{lost}"
        yield self._below(Run(head, "note"), depth=1)
        for index, entry in enumerate(explanation.table(block.direction, state), 62):
            text = f"{index}  {printable(entry.name)}: {_short(printable(entry.value), VALUE_WIDTH)}"
            yield self._below(Run(text, "note"), depth=2)

    def _arrow(self, entry: Frame | Stretch) -> Line:
        client = entry.direction is Direction.CLIENT
        side = entry.direction.value
        name = entry.type_name if isinstance(entry, Frame) else entry.part.label
        bar = "─" * max(self._arrow_width - len(name) - 5, 2)
        arrow = f" {name} {bar}▶ " if client else f" ◀{bar} {name} "
        about = [f"#{entry.number}"]
        if isinstance(entry, Frame):
            about.append(f"stream {entry.stream_id}" if entry.stream_id else "connection")
            about.append(f"{entry.length} octets")
            about.extend(entry.flag_names)
        elif entry.part.value:
            about.append(entry.part.value)
        return (
            Run(f"{entry.time * 1000:{self._time_width - 3}.1f}ms ", "time"),
            Run("│", "rail"),
            Run(arrow, side),
            Run("│  ", "rail"),
            Run("  ".join(about), "frame"),
        )

    def _below(self, *runs: Run, depth: int = 0) -> Line:
        rails = "│" if self.width is not None else "│" + " " * (self._arrow_width - 1) + "│  "
        return (Run(" " * self._time_width), Run(rails, "rail"), Run("  " * (depth + 1)), *runs)

    def _content(self, part: Part, depth: int) -> Iterator[Line]:
        runs = [Run(f"{part.label:<{24 - 2 * depth}} ", "name"), Run(_short(part.value), "value")]
        if part.note:
            runs.append(Run(f"  ({part.note})", "note"))
        yield self._below(*runs, depth=depth)
        if part.problem:
            yield self._below(Run(f"! {part.problem}", "problem"), depth=depth + 1)

    def _parts(self, parts: tuple[Part, ...], explanation: Explanation, depth: int) -> Iterator[Line]:
        for part in parts:
            data = explanation.octets(part.spans)
            shown = data[:OCTETS_SHOWN].hex(" ") + (" …" if len(data) > OCTETS_SHOWN else "")
            runs = [Run(f"{part.label:<{24 - 2 * depth}} ", "name"), Run(_short(part.value), "value")]
            if part.explained_by:
                runs.append(Run(f"  see {part.explained_by}", "note"))
            if part.note:
                runs.append(Run(f"  ({part.note})", "note"))
            if part.rule is not None:
                runs.append(Run(f"  [{part.rule}]", "rule"))
            if not part.parts:
                runs.insert(0, Run(f"{shown}  ", "octets"))
            yield self._below(*runs, depth=depth)
            if part.problem:
                yield self._below(Run(f"! {part.problem}", "problem"), depth=depth + 1)
            yield from self._parts(part.parts, explanation, depth + 1)

    def _header_block(self, block: HeaderBlock, explanation: Explanation | None) -> Iterator[Line]:
        for problem in block.problems:
            yield self._below(Run(f"! {problem}", "problem"))
        if self.detail is Detail.FRAMES:
            return
        if self.detail is Detail.OCTETS and explanation is not None:
            yield from self._parts((block.part,), explanation, 1)
            for header in block.fields:
                yield from self._parts(tuple(detail.part for detail in header.details), explanation, 2)
            yield from self._table(block, explanation)
            return
        for header in block.fields:
            yield self._below(*self._header(header), depth=1)
            if header.part.problem:
                yield self._below(Run(f"! {header.part.problem}", "problem"), depth=2)
            for detail in header.details:
                yield from self._tree(detail.part, 2)

    def _header(self, header: HeaderField) -> Iterator[Run]:
        if header.representation is Representation.SIZE_UPDATE:
            yield Run("dynamic table size ", "name")
            yield Run(str(header.table.limit), "value")
            return
        if header.representation is Representation.UNTOLD:
            yield Run(f"{header.part.label:<22} ", "name")
            yield Run(header.part.value, "value")
            yield Run(f"  ({header.part.note})", "note")
            return
        name = "(lost)" if header.name is None else printable(header.name)
        value = "(lost)" if header.value is None else _short(printable(header.value), VALUE_WIDTH)
        yield Run(f"{name:<22} ", "name")
        yield Run(value, "value")
        if header.meaning:
            yield Run(f" = {_short(header.meaning)}", "value")
        how = header.representation.value + (f" {header.index}" if header.index else "")
        if header.name_huffman or header.value_huffman:
            how += ", Huffman"
        yield Run(f"  ({how}; {header.octets} {'octet' if header.octets == 1 else 'octets'})", "note")

    def _message(self, message: Message, explanation: Explanation | None) -> Iterator[Line]:
        how = f", {message.encoding}" if message.compressed else ""
        what = f"message {message.index}: {message.type_name or 'no schema'}"
        head = f"{what if message.kind == 'message' else message.kind}, {message.length} octets{how}"
        yield self._below(Run(head, "event"))
        if message.problem:
            yield self._below(Run(f"! {message.problem}", "problem"))
        if self.detail is Detail.FRAMES:
            return
        if self.detail is Detail.OCTETS and explanation is not None:
            yield from self._parts(message.part.parts, explanation, 1)
            if message.content is not None:
                yield from self._parts(message.content.parts, explanation, 2)
            return
        parts = message.content.parts if message.content is not None else message.part.parts[2:]
        for part in parts:
            yield from self._tree(part, 1)

    def _tree(self, part: Part, depth: int) -> Iterator[Line]:
        """A protobuf field without its tags and lengths, which are for Detail.OCTETS."""
        yield from self._content(part, depth)
        for inner in part.parts:
            if inner.label not in MECHANICS:
                yield from self._tree(inner, depth + 1)


ARROW_RUNS = 4
BELOW_RUNS = 3
"""Runs of a line that are time, rails, arrow and indentation."""

ASIDE = {"note", "rule"}
"""Styles of what moves to lines of its own where there is no room."""

LEAST_VALUE = 32

CUT = re.compile(r"… \(\d+ (?:characters|octets)\)$")
"""The end of what was cut before."""


def _length(runs: Iterable[Run]) -> int:
    return sum(len(run.text) for run in runs)


def _cut(runs: list[Run], room: int) -> list[Run]:
    """Runs of which the values are cut to fit, each with its length behind it."""
    over = _length(runs) - room
    cut = []
    for run in runs:
        if over > 0 and run.style in ("value", "octets"):
            text = _short(run.text, max(len(run.text) - over, LEAST_VALUE))
            if len(text) < len(run.text):
                over -= len(run.text) - len(text)
                cut.append(Run(text, run.style))
                continue
        cut.append(run)
    return cut


def _wrapped(runs: Iterable[Run], head: Line, rail: Line, width: int) -> Iterator[Line]:
    """Words of runs on as many lines as they need: the first behind ``head``, the others behind ``rail``."""
    line, room = list(head), width - _length(head)
    is_empty = True
    for run in runs:
        for word in re.findall(r"\s*\S+\s*", run.text) or [run.text]:
            rest = word
            while len(rest.rstrip()) > room:
                if is_empty and len(rest.strip()) > width - _length(rail):
                    line.append(Run(rest[:room], run.style))
                    rest = rest[room:]
                elif is_empty and line != list(head):
                    break
                yield tuple(line)
                line, room, is_empty = list(rail), width - _length(rail), True
                rest = rest.lstrip()
            line.append(Run(rest[:room], run.style))
            room -= len(rest[:room])
            is_empty = False
    if not is_empty or line == list(head):
        yield tuple(line)


MECHANICS = {"Tag", "Length", "Varint", "Text", "Octets", "4 octets", "8 octets", "End of group"}
"""Labels of parts that say how a protobuf field is written, not what it holds."""

SHOWN_PARTS = {"Error code", "Last stream", "Debug data", "Window size increment", "Opaque data", "Padding"}


def call_lines(calls: Iterable[CallSummary]) -> Iterator[Line]:
    """A line for each call."""
    for number, call in enumerate(calls):
        if number == 0:
            yield ()
        took = "" if call.end is None else f" after {(call.end - call.start) * 1000:.1f} ms"
        yield (
            Run(f"stream {call.stream_id:<4} ", "frame"),
            Run(escaped(call.path) or "(method not in the recording)", "name"),
            Run(escaped(f"  {call.outcome}{took}"), "event"),
            Run(f"  {call.sent_messages} sent, {call.received_messages} received", "note"),
        )


def _short(text: str, room: int = 2 * VALUE_WIDTH) -> str:
    """A text, or as much of it as there is room for, with its length."""
    if len(text) <= room:
        return text
    cut = CUT.search(text)
    length = cut[0] if cut is not None else f"… ({len(text)} characters)"
    return text[: max(room - len(length), 0)] + length
