"""Hex dumps as people paste them: xxd, hexdump -C, Wireshark's "Follow stream", or bare digits.

A line may say who sent it: ``>`` or ``client:`` in front for the client, ``<`` or ``server:`` for the server. In a dump
of Wireshark's, the server's lines are indented. A line that begins with ``#`` is a comment.
"""

from __future__ import annotations

import re

from puregrpc.errors import InvalidArgument
from puregrpc.trace.recording import Chunk, Direction, Recording

__all__ = ["NO_TIMES", "read_hexdump"]

NO_TIMES = "a hex dump has no times: they are made up"

SENDER = re.compile(r"\s*(?:(>|client:?|c:)|(<|server:?|s:))\s*", re.IGNORECASE)
OFFSET = re.compile(r"\s*(?:0x)?[0-9a-f]{4,16}(?::\s*|\s\s+|\s*\t\s*)", re.IGNORECASE)
OCTETS = re.compile(r"[0-9a-f]{2}(?:[ :,-]?[0-9a-f]{2})*", re.IGNORECASE)
INDENT = ("    ", "\t")
PREFACE_BEGINS = b"PRI * HTTP/2"


def read_hexdump(text: str, name: str = "<hex dump>") -> Recording:
    """Read a hex dump. Raises InvalidArgument, with the line, where there are no octets to be read."""
    runs: list[tuple[Direction | None, bytearray]] = []
    sender: Direction | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        said = SENDER.match(line)
        if said is not None:
            sender = Direction.CLIENT if said[1] else Direction.SERVER
            line = line[said.end() :]
            if not line.strip():
                continue
        elif sender is None and line.startswith(INDENT) and runs and OFFSET.match(line):
            runs.append((Direction.SERVER, bytearray(_octets(line, f"{name}:{number}"))))
            continue
        octets = _octets(line, f"{name}:{number}")
        if runs and runs[-1][0] is sender:
            runs[-1][1].extend(octets)
        else:
            runs.append((sender, bytearray(octets)))
    if not runs:
        raise InvalidArgument(f"{name}: there is not a single octet in it")
    default = _who(runs)
    chunks = tuple(
        Chunk(place / 1000, direction or default, bytes(data)) for place, (direction, data) in enumerate(runs)
    )
    return Recording(chunks, notes=(NO_TIMES,))


def _who(runs: list[tuple[Direction | None, bytearray]]) -> Direction:
    """Who sent the lines that do not say it."""
    first = next((bytes(data) for direction, data in runs if direction is None), b"")
    if first.startswith(PREFACE_BEGINS) or any(direction is Direction.SERVER for direction, _ in runs):
        return Direction.CLIENT
    # A server's first frame is SETTINGS; without a preface before it, that is not a client.
    settings = len(first) >= 9 and first[3] == 4 and first[5:9] == bytes(4) and not first[4] & 1
    return Direction.SERVER if settings else Direction.CLIENT


def _octets(line: str, where: str) -> bytes:
    offset = OFFSET.match(line)
    rest = line[offset.end() :] if offset is not None else line.lstrip()
    # The text beside the octets stands behind a bar or at least two blanks; hexdump -C has two blanks in the middle.
    rest = rest.split("|")[0].rstrip()
    groups = re.split(r"\s{2,}", rest)
    found = bytearray()
    for place, group in enumerate(groups):
        if not OCTETS.fullmatch(group):
            if place == 0:
                raise InvalidArgument(f"{where}: not octets in hexadecimal: {line.strip()[:40]!r}")
            break
        if len(found) >= 16:
            break
        found += bytes.fromhex(re.sub(r"[:,-]", " ", group))
    return bytes(found)
