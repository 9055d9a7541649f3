"""Follows both directions of a connection and explains every octet: from chunks to frames, calls and messages.

The octets are never trusted: what is wrong with them is said in the records, and the explanation goes on as far as it
can. What cannot be known (the compression table before the recording began) is said to be unknown, not guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from puregrpc.trace.explaining import frames, rules
from puregrpc.trace.explaining.conversation import Conversation
from puregrpc.trace.explaining.frames import HEADER_SIZE, Head, is_plausible
from puregrpc.trace.explaining.octets import Octets
from puregrpc.trace.recording import Chunk, Direction, Recording
from puregrpc.trace.records import Buffer, Explanation, Frame, Part, Span, Stretch

if TYPE_CHECKING:
    from puregrpc.schema import Registry

__all__ = ["Explainer", "explain"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
BELIEVED_AFTER = 3
"""So many frame heads in a row, each where the one before says, are taken for a real place in the stream."""

MAX_ENTRIES = 250_000
"""So many frames are told; each takes some kilobytes of memory, and a peer can send millions of them."""

EAGER_SEARCH = 4096
"""So many octets are searched for the beginning of a frame whenever more come."""


def explain(recording: Recording, *, registry: Registry | None = None) -> Explanation:
    """Explain a recording. With a ``registry``, messages of its methods are told with names and types.

    Never raises because of what is in the recording.
    """
    explainer = Explainer(registry=registry, from_start=recording.from_start)
    for chunk in recording.chunks:
        explainer.feed(chunk)
    return explainer.finish(recording)


class _Mode(Enum):
    START = "start"
    FRAMES = "frames"
    SEARCHING = "searching"
    FOREIGN = "foreign"


@dataclass(slots=True)
class _Inbound:
    """One direction's octets, and how far they are understood."""

    direction: Direction
    number: int
    data: bytearray = field(default_factory=bytearray)
    position: int = 0
    mode: _Mode = _Mode.START
    missing: int = 0
    """Octets of the frame at ``position`` that were lost."""
    searched: int = 0
    search_again_at: int = 0
    time: float = 0.0

    def octets(self, start: int, end: int) -> Octets:
        return Octets(bytes(self.data[start:end]), (Span(self.number, start, end),))


class Explainer:
    """Takes chunks as they come and tells the frames that they complete; `finish` gives the whole explanation."""

    def __init__(
        self, *, registry: Registry | None = None, from_start: bool = True, max_entries: int = MAX_ENTRIES
    ) -> None:
        self.max_entries = max_entries
        self.inbound = {
            Direction.CLIENT: _Inbound(Direction.CLIENT, 0),
            Direction.SERVER: _Inbound(Direction.SERVER, 1),
        }
        self.entries: list[Frame | Stretch] = []
        self.unpacked: list[Buffer] = []
        self.conversation = Conversation(self, registry)
        self.from_start = from_start
        self.chunks: list[Chunk] = []

    # -- what the conversation uses

    def join(self, spans: tuple[Span, ...]) -> Octets:
        """The octets of spans of the two directions, put together."""
        directions = (self.inbound[Direction.CLIENT], self.inbound[Direction.SERVER])
        data = b"".join(directions[span.buffer].data[span.start : span.end] for span in spans)
        return Octets(data, spans)

    def unpack(self, name: str, data: bytes) -> Octets:
        """Octets that were inflated or decoded, as a buffer of their own."""
        buffer = Buffer(len(self.unpacked) + 2, name, data)
        self.unpacked.append(buffer)
        return Octets(data, (Span(buffer.number, 0, len(data)),))

    # -- octets in, entries out

    def feed(self, chunk: Chunk) -> list[Frame | Stretch]:
        """Take octets; returns what they complete."""
        before = len(self.entries)
        self.chunks.append(chunk)
        inbound = self.inbound[chunk.direction]
        inbound.time = chunk.time
        if chunk.lost is None or chunk.lost > 0:
            self._gap(inbound, chunk.lost)
        inbound.data += chunk.data
        self._advance(inbound)
        return self.entries[before:]

    def finish(self, recording: Recording | None = None) -> Explanation:
        """Tell what is left unfinished; the explanation of all that was fed."""
        for inbound in self.inbound.values():
            self._advance(inbound, final=True)
            self._flush(inbound, "the recording ends inside a frame")
        time = max((chunk.time for chunk in self.chunks), default=0.0)
        self.conversation.finish(time)
        buffers = (
            Buffer(0, "client", bytes(self.inbound[Direction.CLIENT].data)),
            Buffer(1, "server", bytes(self.inbound[Direction.SERVER].data)),
            *self.unpacked,
        )
        tables = {direction: tuple(self.conversation.tables[direction].inserted) for direction in Direction}
        calls = tuple(call.summary() for call in self.conversation.calls.values())
        recording = recording or Recording(tuple(self.chunks), from_start=self.from_start)
        return Explanation(recording, tuple(self.entries), calls, buffers, tables)

    def stretch(self, direction: Direction, time: float, part: Part, **kept: object) -> None:
        """Add an entry that is no frame."""
        self.entries.append(Stretch(len(self.entries), time, direction, part, **kept))  # type: ignore[arg-type] # checked by the fields of Stretch

    def _advance(self, inbound: _Inbound, *, final: bool = False) -> None:
        while inbound.position < len(inbound.data):
            before = (inbound.position, inbound.mode)
            if inbound.mode is _Mode.START:
                self._start(inbound, final=final)
            elif inbound.mode is _Mode.FRAMES:
                if len(self.entries) >= self.max_entries:
                    inbound.mode = _Mode.FOREIGN
                    note = f"more than {self.max_entries} frames: the rest of this direction is only counted"
                    self.stretch(inbound.direction, inbound.time, Part("More frames", note))
                    continue
                self._next_frame(inbound)
            elif inbound.mode is _Mode.SEARCHING:
                self._search(inbound, final=final)
            else:
                self._foreign(inbound)
            if before == (inbound.position, inbound.mode):
                return

    # -- the beginning

    def _start(self, inbound: _Inbound, *, final: bool) -> None:
        data = inbound.data
        if foreign := _foreign_protocol(bytes(data[:16])):
            inbound.mode = _Mode.FOREIGN
            part = Part(
                "Not HTTP/2", foreign, (), rules.h2("3.4"), problem=f"{foreign}: what is in it cannot be explained"
            )
            self.stretch(inbound.direction, inbound.time, part)
        elif inbound.direction is Direction.CLIENT:
            self._client_start(inbound, final=final)
        elif len(data) >= HEADER_SIZE or final:
            self._server_start(inbound)

    def _client_start(self, inbound: _Inbound, *, final: bool) -> None:
        data = bytes(inbound.data[: len(PREFACE)])
        if PREFACE.startswith(data) and len(data) < len(PREFACE) and not final:
            return
        if not data.startswith(b"PRI"):
            self._begun_before()
            inbound.mode = _Mode.SEARCHING
            return
        problem = ""
        if data != PREFACE:
            if len(data) < len(PREFACE) and not PREFACE.startswith(data) and not final:
                return
            place = next((i for i, (a, b) in enumerate(zip(data, PREFACE, strict=False)) if a != b), len(data))
            problem = f"PROTOCOL_ERROR: the preface is wrong at octet {place}; a server closes the connection"
        octets = inbound.octets(0, len(data))
        part = octets.part("Connection preface", 0, len(data), "PRI * HTTP/2.0 SM", rules.h2("3.4"), problem=problem)
        inbound.position = len(data)
        inbound.mode = _Mode.FRAMES
        self.stretch(inbound.direction, inbound.time, part, events=("opens the connection",))

    def _server_start(self, inbound: _Inbound) -> None:
        inbound.mode = _Mode.FRAMES
        data = inbound.data
        if len(data) < HEADER_SIZE:
            return
        head = Head.parse(data)
        if head.type == frames.SETTINGS and not head.flags & frames.ACK and is_plausible(head, frames.MAX_WINDOW):
            return
        if self.from_start and self.inbound[Direction.CLIENT].mode in (_Mode.FRAMES, _Mode.START):
            return
        self._begun_before()
        inbound.mode = _Mode.SEARCHING

    def _begun_before(self) -> None:
        """The recording began after the connection did."""
        self.from_start = False
        self.conversation.begun_before()

    # -- gaps, and finding the next frame

    def _gap(self, inbound: _Inbound, lost: int | None) -> None:
        amount = "an unknown number of" if lost is None else str(lost)
        note = f"{amount} octets of this direction are missing here"
        if inbound.mode is _Mode.FRAMES and lost is not None:
            held = len(inbound.data) - inbound.position
            if held >= HEADER_SIZE:
                head = Head.parse(inbound.data, inbound.position)
                if lost <= HEADER_SIZE + head.length - inbound.missing - held:
                    inbound.missing += lost
                    part = Part("Lost octets", note, (), problem="the recording is not complete")
                    self.stretch(inbound.direction, inbound.time, part)
                    self._advance(inbound)
                    return
        self._flush(inbound, "octets are missing behind it")
        part = Part("Lost octets", note, (), problem="the recording is not complete")
        self.stretch(inbound.direction, inbound.time, part)
        if inbound.mode is _Mode.START:
            self._begun_before()
        if inbound.mode is not _Mode.FOREIGN:
            inbound.mode = _Mode.SEARCHING
            inbound.searched = inbound.position
            self.conversation.lost(inbound.direction, inbound.time)

    def _search(self, inbound: _Inbound, *, final: bool) -> None:
        data = inbound.data
        waiting = len(data) - inbound.position
        if waiting < inbound.search_again_at and not final:
            return
        limit = self.conversation.max_frame_size(inbound.direction)
        possible: int | None = None
        for place in range(max(inbound.searched, inbound.position), len(data)):
            verdict = _frames_from(data, place, limit)
            if verdict:
                break
            if verdict is None and possible is None:
                possible = place
        else:
            if not final:
                inbound.searched = len(data) if possible is None else possible
                # What might be a long frame is waited for, and the octets in it are not searched with every chunk.
                inbound.search_again_at = 2 * waiting if waiting > EAGER_SEARCH else 0
                return
            place = len(data) if possible is None or len(data) - possible < HEADER_SIZE else possible
        self._skipped(inbound, place)
        inbound.search_again_at = 0
        if place < len(data):
            inbound.mode = _Mode.FRAMES

    def _skipped(self, inbound: _Inbound, end: int) -> None:
        start = inbound.position
        if start == end:
            return
        octets = inbound.octets(start, end)
        part = octets.part(
            "Before the first whole frame",
            0,
            end - start,
            f"{end - start} octets",
            rules.h2("4.1"),
            note="the frame that they belong to began where the recording has nothing",
        )
        inbound.position = end
        inbound.searched = end
        self.stretch(inbound.direction, inbound.time, part)

    def _foreign(self, inbound: _Inbound) -> None:
        start, end = inbound.position, len(inbound.data)
        part = inbound.octets(start, end).part("Not told", 0, end - start, f"{end - start} octets")
        inbound.position = end
        self.stretch(inbound.direction, inbound.time, part)

    def _flush(self, inbound: _Inbound, why: str) -> None:
        """What is there of a frame that will not become whole."""
        held = len(inbound.data) - inbound.position
        if not held:
            return
        if held >= HEADER_SIZE and inbound.mode is _Mode.FRAMES:
            head = Head.parse(inbound.data, inbound.position)
            inbound.missing = HEADER_SIZE + head.length - held
            self._frame(inbound, head, held)
            return
        part = inbound.octets(inbound.position, len(inbound.data)).part(
            "Incomplete frame", 0, held, f"{held} octets", rules.h2("4.1"), problem=why
        )
        inbound.position = len(inbound.data)
        self.stretch(inbound.direction, inbound.time, part)

    # -- frames

    def _next_frame(self, inbound: _Inbound) -> None:
        held = len(inbound.data) - inbound.position
        if held < HEADER_SIZE:
            return
        head = Head.parse(inbound.data, inbound.position)
        wanted = HEADER_SIZE + head.length - inbound.missing
        if held >= wanted:
            self._frame(inbound, head, wanted)

    def _frame(self, inbound: _Inbound, head: Head, size: int) -> None:
        octets = inbound.octets(inbound.position, inbound.position + size)
        missing = inbound.missing
        inbound.position += size
        inbound.missing = 0
        number = len(self.entries)
        self.entries.append(self.conversation.frame(number, inbound.time, inbound.direction, head, octets, missing))


def _frames_from(data: bytearray, place: int, max_frame_size: int) -> bool | None:
    """Whether frames begin at a place: True, False, or None if more octets are needed to tell."""
    count = 0
    while True:
        if place == len(data) and count:
            return True
        if len(data) - place < HEADER_SIZE:
            return None
        head = Head.parse(data, place)
        if not is_plausible(head, max_frame_size):
            return False
        count += 1
        if count == BELIEVED_AFTER:
            return True
        place += HEADER_SIZE + head.length
        if place > len(data):
            return None


def _foreign_protocol(data: bytes) -> str:
    """What a stream is that begins with these octets, if it is something well known that is not HTTP/2."""
    if len(data) >= 3 and 0x14 <= data[0] <= 0x17 and data[1] == 3 and data[2] <= 4:
        return "TLS records without the keys for them"
    if data.startswith((b"HTTP/1.", b"GET ", b"POST ", b"HEAD ", b"OPTIONS ", b"CONNECT ")):
        return "HTTP/1"
    if data.startswith(b"SSH-"):
        return "SSH"
    return ""
