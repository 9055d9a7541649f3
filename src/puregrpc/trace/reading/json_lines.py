"""Reading recordings back from JSON lines that `puregrpc.trace.showing.json_lines` wrote."""

from __future__ import annotations

import json

from puregrpc.errors import InvalidArgument
from puregrpc.trace.recording import LINES_FORM, LINES_VERSION, Chunk, Direction, Recording

__all__ = ["read_json_lines"]

MAX_SECONDS = 2**34
"""Times are up to the year 2514."""


def read_json_lines(text: str, name: str = "<recording>") -> list[Recording]:
    """Read what `recording_lines` or `explanation_lines` wrote, any number of recordings one after another.

    Raises InvalidArgument, with the line, where it is not that.
    """
    recordings: list[Recording] = []
    chunks: list[Chunk] = []
    head: dict[str, object] = {}
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{name}:{number}"
        values = _object(line, where) if line.strip() else {}
        if number == 1 or "form" in values:
            if number > 1:
                recordings.append(_recording(head, chunks))
            head, chunks = _head(values, where), []
        elif "octets" in values:
            try:
                chunks.append(_chunk(values))
            except (KeyError, TypeError, ValueError) as error:
                raise InvalidArgument(f"{where}: not octets of a recording: {error}") from None
    recordings.append(_recording(_head(head, f"{name}:1"), chunks))
    return recordings


def _head(values: dict[str, object], where: str) -> dict[str, object]:
    if values.get("form") != LINES_FORM:
        raise InvalidArgument(f'{where}: not a recording: the first line has no "form": "{LINES_FORM}"')
    if values.get("version") != LINES_VERSION:
        raise InvalidArgument(f"{where}: version {values.get('version')!r} is not known, only {LINES_VERSION}")
    start = values.get("start_time", 0)
    if not isinstance(start, int | float) or not -MAX_SECONDS < start < MAX_SECONDS:
        raise InvalidArgument(f"{where}: start_time is not a number of seconds since 1970")
    return values


def _recording(head: dict[str, object], chunks: list[Chunk]) -> Recording:
    notes = head.get("notes", [])
    return Recording(
        tuple(chunks),
        str(head.get("client", "client")),
        str(head.get("server", "server")),
        from_start=head.get("from_start") is not False,
        start_seen=head.get("start_seen") is True,
        start_time=float(start) if isinstance(start := head.get("start_time", 0), int | float) else 0.0,
        notes=tuple(str(note) for note in notes) if isinstance(notes, list) else (),
    )


def _seconds(value: float) -> float:
    if not -MAX_SECONDS < value < MAX_SECONDS:
        raise ValueError("more seconds than any recording has")
    return float(value)


def _chunk(values: dict[str, object]) -> Chunk:
    time, octets, lost = values["time"], values["octets"], values.get("lost", 0)
    if not isinstance(time, int | float):
        raise TypeError(f"time is {time!r}, not a number of seconds")
    if not isinstance(octets, str):
        raise TypeError("octets are not hexadecimal digits")
    if lost is not None and (not isinstance(lost, int) or lost < 0):
        raise ValueError(f"lost is {lost!r}, not a number of octets")
    return Chunk(_seconds(time), Direction(values["from"]), bytes.fromhex(octets), lost)


def _object(line: str, where: str) -> dict[str, object]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):  # numbers of thousands of digits are a ValueError of their own
        raise InvalidArgument(f"{where}: not a line of JSON") from None
    if not isinstance(values, dict):
        raise InvalidArgument(f"{where}: not a JSON object")
    return values
