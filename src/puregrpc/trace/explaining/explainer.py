"""Follows both directions of a connection and explains every octet: from chunks to frames, calls and messages.

The octets are never trusted: what is wrong with them is said in the records, and the explanation goes on as far as it
can. What cannot be known (the compression table before the recording began) is said to be unknown, not guessed.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

from puregrpc.trace.explaining import frames, rules
from puregrpc.trace.explaining.conversation import Conversation
from puregrpc.trace.explaining.frames import HEADER_SIZE, is_plausible
from puregrpc.trace.explaining.methods import KnownMethods
from puregrpc.trace.explaining.octets import Octets
from puregrpc.trace.http1 import MAX_HEAD, Head, begins_request, begins_response, read_head
from puregrpc.trace.recording import PREFACE, Chunk, Direction, Recording
from puregrpc.trace.records import Buffer, Explanation, Frame, Part, Rule, Span, Stretch
from puregrpc.trace.text import printable

if TYPE_CHECKING:
    from puregrpc.schema import Registry

__all__ = ["Explainer", "explain"]

BELIEVED_AFTER = 3
"""So many frame heads in a row, each where the one before says, are taken for a real place in the stream."""

MAX_ENTRIES = 250_000
"""So many frames are told; each takes some kilobytes of memory, and a peer can send millions of them."""

EAGER_SEARCH = 4096
"""So many octets are searched for the beginning of a frame whenever more come."""


def explain(recording: Recording, *, registry: Registry | None = None) -> Explanation:
    """Explain a recording. With a ``registry``, messages of its methods are told with names and types.

    So are those of health and reflection, and those of methods that reflection's answers in the recording describe.
    Never raises because of what is in the recording.
    """
    methods = KnownMethods(registry)
    explanation, is_all = _explained(recording, methods)
    if not is_all:  # reflection told later of methods that were called before
        explanation, _ = _explained(recording, methods)
    return explanation


def _explained(recording: Recording, methods: KnownMethods) -> tuple[Explanation, bool]:
    """An explanation, and whether every method in it that is known at its end was known when it was called."""
    explainer = Explainer(methods=methods, from_start=recording.from_start, start_seen=recording.start_seen)
    for chunk in recording.chunks:
        explainer.feed(chunk)
    explanation = explainer.finish(recording)
    unknown = {call.path.partition("?")[0] for call in explainer.conversation.calls.values() if call.method is None}
    return explanation, not any(map(methods.has, unknown))


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
    counted_from: int = 0
    """In what is foreign: where the octets begin that the entry of it has still to count."""
    entry: int | None = None
    """The number of that entry."""
    time: float = 0.0

    def octets(self, start: int, end: int) -> Octets:
        return Octets(bytes(self.data[start:end]), (Span(self.number, start, end),))


class Explainer:
    """Takes chunks as they come and tells the frames that they complete; `finish` gives the whole explanation."""

    def __init__(
        self,
        *,
        registry: Registry | None = None,
        methods: KnownMethods | None = None,
        from_start: bool = True,
        start_seen: bool = False,
        max_entries: int = MAX_ENTRIES,
    ) -> None:
        self.max_entries = max_entries
        self.inbound = {
            Direction.CLIENT: _Inbound(Direction.CLIENT, 0),
            Direction.SERVER: _Inbound(Direction.SERVER, 1),
        }
        self.entries: list[Frame | Stretch] = []
        self.unpacked: list[Buffer] = []
        self.conversation = Conversation(self, methods or KnownMethods(registry))
        self.from_start = from_start
        self.start_seen = start_seen
        self.chunks: list[Chunk] = []
        self._requests: list[Head] = []
        """Requests of HTTP/1.1 that would lead to HTTP/2, and are not answered."""

    # -- what the conversation uses

    def join(self, spans: tuple[Span, ...]) -> Octets:
        """The octets of spans, put together."""
        data = b"".join(self._buffer(span.buffer)[span.start : span.end] for span in spans)
        return Octets(data, spans)

    def _buffer(self, number: int) -> bytes | bytearray:
        directions = (self.inbound[Direction.CLIENT], self.inbound[Direction.SERVER])
        return directions[number].data if number < len(directions) else self.unpacked[number - len(directions)].data

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
        self._count()
        time = max((chunk.time for chunk in self.chunks), default=0.0)
        self.conversation.finish(time)
        return self.so_far(recording)

    def so_far(self, recording: Recording | None = None) -> Explanation:
        """The explanation of what was fed, without what is left unfinished."""
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
                    note = f"more than {self.max_entries} frames: the rest of this direction is only counted"
                    self._uncounted(inbound, Part("More frames", note))
                    continue
                self._next_frame(inbound)
            elif inbound.mode is _Mode.SEARCHING:
                self._search(inbound, final=final)
            else:
                inbound.position = len(inbound.data)
            if before == (inbound.position, inbound.mode):
                return

    # -- the beginning

    def _start(self, inbound: _Inbound, *, final: bool) -> None:
        begins = bytes(inbound.data[inbound.position : inbound.position + len(PREFACE)])
        client = inbound.direction is Direction.CLIENT
        if client and begins_request(begins) and self._request(inbound, final=final):
            return
        if not client and self._requests and begins_response(begins) and self._response(inbound, final=final):
            return
        other = self.inbound[inbound.direction.other]
        if other.mode is _Mode.FOREIGN and not begins.startswith(b"PRI"):
            inbound.mode = _Mode.FOREIGN
            inbound.counted_from = inbound.position
        elif protocol := foreign_protocol(begins):
            self._is_foreign(inbound, protocol)
        elif client:
            self._client_start(inbound, begins, final=final)
        elif len(begins) >= HEADER_SIZE or final:
            self._server_start(inbound)

    def _client_start(self, inbound: _Inbound, data: bytes, *, final: bool) -> None:
        if PREFACE.startswith(data) and len(data) < len(PREFACE) and not final:
            return
        if not data.startswith(b"PRI"):
            if self.start_seen and not PREFACE.startswith(data):
                self._is_foreign(inbound, "not a protocol that is known here")
                return
            self._begun_before()
            inbound.mode = _Mode.SEARCHING
            return
        problem = ""
        if data != PREFACE:
            if len(data) < len(PREFACE) and not PREFACE.startswith(data) and not final:
                return
            place = next((i for i, (a, b) in enumerate(zip(data, PREFACE, strict=False)) if a != b), len(data))
            problem = f"PROTOCOL_ERROR: the preface is wrong at octet {place}; a server closes the connection"
        start = inbound.position
        octets = inbound.octets(start, start + len(data))
        part = octets.part("Connection preface", 0, len(data), "PRI * HTTP/2.0 SM", rules.h2("3.4"), problem=problem)
        inbound.position += len(data)
        inbound.mode = _Mode.FRAMES
        self.stretch(inbound.direction, inbound.time, part, events=("opens the connection",))

    def _server_start(self, inbound: _Inbound) -> None:
        data, start = inbound.data, inbound.position
        client = self.inbound[Direction.CLIENT]
        if len(data) - start >= HEADER_SIZE:
            head = frames.Head.parse(data, start)
            settings = head.type == frames.SETTINGS and not head.flags & frames.ACK
            if not (settings and is_plausible(head, frames.MAX_WINDOW)):
                if self.start_seen and client.mode is not _Mode.FRAMES:
                    self._is_foreign(inbound, "not a protocol that is known here")
                    return
                if not self.from_start or client.mode not in (_Mode.FRAMES, _Mode.START):
                    self._begun_before()
                    inbound.mode = _Mode.SEARCHING
                    return
        inbound.mode = _Mode.FRAMES

    def _is_foreign(self, inbound: _Inbound, protocol: str) -> None:
        """What one side sends is not HTTP/2: so it is with the other one, unless it has begun as HTTP/2 does."""
        part = Part(
            "Not HTTP/2", protocol, (), rules.h2("3.4"), problem=f"{protocol}: what is in it cannot be explained"
        )
        self._uncounted(inbound, part)

    # -- HTTP/1.1 before it

    def _request(self, inbound: _Inbound, *, final: bool) -> bool:
        """Whether the client may come to HTTP/2 by a request of HTTP/1.1."""
        head = read_head(inbound.data, inbound.position)
        if head is None:
            return len(inbound.data) - inbound.position < MAX_HEAD and not final
        if head.method != "CONNECT" and not head.asks_for_h2c:
            return False
        size = head.size + (head.body or 0)
        if inbound.position + size > len(inbound.data):
            return not final
        if head.method == "CONNECT":
            event, rule = f"asks a proxy for a tunnel to {head.target}", rules.http_connect()
        else:
            event, rule = f"asks in HTTP/1.1 for {head.target}, and to go on in HTTP/2", rules.http_upgrade()
        self._requests.append(head)
        self._http1(inbound, size, f"{head.method} {head.target}", event, rule)
        return True

    def _response(self, inbound: _Inbound, *, final: bool) -> bool:
        """Whether a response of HTTP/1.1 leads to HTTP/2, or to another request."""
        head = read_head(inbound.data, inbound.position)
        if head is None:
            return len(inbound.data) - inbound.position < MAX_HEAD and not final
        request = self._requests[0]
        tunnel = request.method == "CONNECT"
        size, event = head.size, f"HTTP/1.1 {head.status}"
        if tunnel and 200 <= head.status < 300:
            event = "the tunnel is open"
            self._requests.pop(0)
        elif not tunnel and head.status == 101:
            event = "goes on in HTTP/2; the answer comes on stream 1"
            self._requests.pop(0)
            settings = request.value("http2-settings")
            self.conversation.upgraded(inbound.time, request, _from_base64url(settings))
        elif head.status >= 200:
            if head.body is None:
                return False
            size += head.body
            if inbound.position + size > len(inbound.data):
                return not final
            event = f"refuses: HTTP/1.1 {head.status}"
            self._requests.pop(0)
        rule = rules.http_connect() if tunnel else rules.http_upgrade()
        self._http1(inbound, size, f"status {head.status}", event, rule)
        return True

    def _http1(self, inbound: _Inbound, size: int, value: str, event: str, rule: Rule) -> None:
        start = inbound.position
        part = inbound.octets(start, start + size).part("HTTP/1.1", 0, size, printable(value.encode("latin-1")), rule)
        inbound.position += size
        self.stretch(inbound.direction, inbound.time, part, events=(event,))

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
                head = frames.Head.parse(inbound.data, inbound.position)
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
        likely: int | None = None
        for place in frames.likely_heads(data, max(inbound.searched, inbound.position)):
            count, end = _frames_from(data, place, limit)
            if count >= BELIEVED_AFTER or (count and end == len(data)):
                break
            if end is None:
                continue
            if possible is None:
                possible = place
            if likely is None and (count or place == inbound.position):
                likely = place
        else:
            if not final:
                # A head may be cut at the end.
                inbound.searched = max(len(data) - HEADER_SIZE + 1, 0) if possible is None else possible
                # What might be a long frame is waited for, and the octets in it are not searched with every chunk.
                inbound.search_again_at = 2 * waiting if waiting > EAGER_SEARCH else 0
                return
            place = len(data) if likely is None else likely
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

    def _uncounted(self, inbound: _Inbound, part: Part) -> None:
        """From here on the octets of a direction are only counted, in one entry that begins with ``part``."""
        inbound.mode = _Mode.FOREIGN
        inbound.counted_from = inbound.position
        inbound.entry = len(self.entries)
        self.stretch(inbound.direction, inbound.time, part)

    def _count(self) -> None:
        """Put what was only counted into the entries that say so: of both directions into one, where one is foreign."""
        told = [inbound for inbound in self.inbound.values() if inbound.entry is not None]
        for inbound in self.inbound.values():
            if inbound.mode is not _Mode.FOREIGN or inbound.counted_from >= len(inbound.data):
                continue
            number = inbound.entry if inbound.entry is not None else told[0].entry if told else None
            if number is None:
                continue
            entry = self.entries[number]
            size = len(inbound.data) - inbound.counted_from
            said = f"{size} octets of the {inbound.direction.value}"
            part = replace(
                entry.part,
                value=f"{entry.part.value}, {said}",
                spans=(*entry.part.spans, Span(inbound.number, inbound.counted_from, len(inbound.data))),
            )
            self.entries[number] = replace(entry, part=part)
            inbound.position = inbound.counted_from = len(inbound.data)

    def _flush(self, inbound: _Inbound, why: str) -> None:
        """What is there of a frame that will not become whole."""
        held = len(inbound.data) - inbound.position
        if not held:
            return
        if held >= HEADER_SIZE and inbound.mode is _Mode.FRAMES:
            head = frames.Head.parse(inbound.data, inbound.position)
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
        head = frames.Head.parse(inbound.data, inbound.position)
        wanted = HEADER_SIZE + head.length - inbound.missing
        if held >= wanted:
            self._frame(inbound, head, wanted)

    def _frame(self, inbound: _Inbound, head: frames.Head, size: int) -> None:
        octets = inbound.octets(inbound.position, inbound.position + size)
        missing = inbound.missing
        inbound.position += size
        inbound.missing = 0
        number = len(self.entries)
        self.entries.append(self.conversation.frame(number, inbound.time, inbound.direction, head, octets, missing))


def _frames_from(data: bytearray, place: int, max_frame_size: int) -> tuple[int, int | None]:
    """How many whole frames are at a place in a row, and where they end; None for the end if something else follows.

    Only as many are looked at as are needed to believe in the place.
    """
    count = 0
    while count < BELIEVED_AFTER and len(data) - place >= HEADER_SIZE:
        head = frames.Head.parse(data, place)
        if not is_plausible(head, max_frame_size):
            return count, None
        if place + HEADER_SIZE + head.length > len(data):
            break
        place += HEADER_SIZE + head.length
        count += 1
    return count, place


_FOREIGN = (
    ((b"HTTP/1.", b"GET ", b"POST ", b"HEAD ", b"OPTIONS ", b"CONNECT ", b"PUT ", b"DELETE ", b"PATCH "), "HTTP/1"),
    ((b"SSH-",), "SSH"),
    ((b"EHLO ", b"HELO ", b"MAIL FROM"), "SMTP"),
    ((b"* OK", b"+OK"), "IMAP or POP3"),
    ((b"USER ", b"220 ", b"220-"), "FTP or SMTP"),
)


def foreign_protocol(data: bytes) -> str:
    """What a stream is that begins with these octets, if it is something well known that is not HTTP/2."""
    if len(data) >= 3 and 0x14 <= data[0] <= 0x17 and data[1] == 3 and data[2] <= 4:
        return "TLS records without the keys for them"
    return next((name for beginnings, name in _FOREIGN if data.startswith(beginnings)), "")


def _from_base64url(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""
