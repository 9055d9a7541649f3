"""From TCP segments to the octets of connections: reassembly with loss, repetition and reordering (RFC 9293).

A hole is waited for until it is clear that the capture does not have it: the receiver has acknowledged what lies
behind it, or the capture is over. Then the recording says how many octets are missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from puregrpc.errors import InvalidArgument
from puregrpc.trace.http1 import behind_tunnels
from puregrpc.trace.reading.packets import Endpoint, PacketReader, Segment
from puregrpc.trace.reading.tls import decrypt, is_tls
from puregrpc.trace.recording import Chunk, Direction, Recording

if TYPE_CHECKING:
    from puregrpc.trace.reading.capture_file import Capture

__all__ = ["read_connections"]

HALF = 1 << 31
PATIENCE = 16
"""Captures from several queues show packets in another order than they were sent in: an acknowledgement may come
before what it acknowledges."""

UNSETTLED = 8
"""Where the beginning of a connection is not in the capture, so many segments of each side are looked at before the
first of them is known: they may have come in another order, too."""

MAX_WAITING = 4 << 20
"""So many octets may wait behind a hole before it counts as lost."""

MAX_NOTES = 10
"""So many notes of the file are told with each connection."""

MAX_WAITING_SEGMENTS = 1 << 14
"""So many segments may: those without octets, or with few, take memory as well."""


@dataclass(slots=True)
class _Stream:
    """One direction of a TCP connection. Places in it are sequence numbers that do not wrap."""

    next: int | None = None
    """The place that comes next; None before anything was seen."""
    begun: bool = False
    """Something was handed on."""
    waiting: dict[int, Segment] = field(default_factory=dict)
    """Segments behind a hole, by place."""
    places: list[int] = field(default_factory=list)
    """A heap of the places where something waits."""
    held: int = 0
    patience: int = PATIENCE
    """How many acknowledgements of what lies behind a hole are still waited for."""
    unsettled: int = 0
    """So many segments are still looked at before ``next`` is known."""
    cut: int = 0
    """Octets at ``next`` that were sent but not kept by the capture."""

    def place(self, sequence: int) -> int:
        """The place with this sequence number that is nearest to the next one."""
        return sequence if self.next is None else self.next + _distance(self.next & 0xFFFFFFFF, sequence)

    def begin(self, segment: Segment) -> int:
        """Where the octets of a segment belong; SYN takes a number itself (RFC 9293, section 3.4)."""
        place = self.place((segment.sequence + 1) & 0xFFFFFFFF if segment.syn else segment.sequence)
        if self.next is None or (segment.syn and not self.begun):
            self.unsettled = UNSETTLED if self.next is None and not segment.syn else 0
            self.next = place
        return place

    def wait(self, place: int, segment: Segment) -> None:
        """Keep a segment until its place comes."""
        held = self.waiting.get(place)
        if held is None:
            heappush(self.places, place)
        elif len(held.payload) >= len(segment.payload):
            return
        self.held += len(segment.payload) - (len(held.payload) if held is not None else 0)
        self.waiting[place] = segment


@dataclass(slots=True)
class _Connection:
    client: Endpoint
    server: Endpoint
    sure: bool
    """Who is the client is known and not guessed."""
    saw_start: bool = False
    first: dict[Endpoint, int] = field(default_factory=dict)
    """The number of the first octet that was seen of each end, less one: that of SYN."""
    streams: dict[Endpoint, _Stream] = field(default_factory=dict)
    pieces: list[tuple[int, Endpoint, bytes, int]] = field(default_factory=list)
    """Time, sender, octets, how many octets are missing before them."""
    notes: list[str] = field(default_factory=list)
    reset: bool = False
    has_settled: bool = False

    @property
    def has_data(self) -> bool:
        """Whether any octets of it were seen."""
        return bool(self.pieces) or any(stream.waiting for stream in self.streams.values())

    def begins_with(self, segment: Segment) -> bool:
        """Whether a SYN is of this connection, late or repeated, and not of a later one with the same ports."""
        if self.first.get(segment.source) != segment.sequence:
            return False
        self.client, self.server = segment.source, segment.destination
        self.sure = self.saw_start = True
        return True

    def take(self, segment: Segment) -> None:
        self.first.setdefault(segment.source, (segment.sequence - (not segment.syn)) & 0xFFFFFFFF)
        stream = self.streams.setdefault(segment.source, _Stream())
        peer = self.streams.setdefault(segment.destination, _Stream())
        place = stream.begin(segment)
        if segment.payload or segment.missing:
            stream.wait(place, segment)
            if stream.unsettled > 1:
                stream.unsettled -= 1
            else:
                self.settle(stream, segment.source)
                self.drain(stream, segment.source, segment.time)
        if segment.acknowledged is not None and peer.waiting and not peer.unsettled:
            self.acknowledge(peer, segment)
        if stream.held > MAX_WAITING or len(stream.places) > MAX_WAITING_SEGMENTS:
            self.settle(stream, segment.source)
            self.skip(stream, segment.source, segment.time, None)
        if segment.rst and not self.reset:
            self.reset = True
            self.notes.append(f"{_name(segment.source)} reset the TCP connection")

    def settle(self, stream: _Stream, sender: Endpoint) -> None:
        """The first of the segments that wait is where the capture begins; each is told with its own time."""
        if not stream.unsettled:
            return
        stream.unsettled = 0
        stream.next = stream.places[0] if stream.places else stream.next
        self.has_settled = True
        time = 0
        while stream.places and stream.next is not None and stream.places[0] <= stream.next:
            time = max(time, stream.waiting[stream.places[0]].time)
            self.drain(stream, sender, time, most=1)

    def acknowledge(self, peer: _Stream, segment: Segment) -> None:
        """The receiver has what the capture has not: unless it comes soon, out of order, it never will."""
        if peer.next is None or segment.acknowledged is None:
            return
        acknowledged = peer.place(segment.acknowledged)
        if acknowledged <= peer.next:
            return
        peer.patience -= 1
        while peer.patience < 0 and acknowledged > peer.next:
            if not self.skip(peer, segment.destination, segment.time, acknowledged):
                break

    def drain(self, stream: _Stream, sender: Endpoint, time: int, most: int = MAX_WAITING_SEGMENTS + 1) -> None:
        """Hand on what comes next, as far as there is no hole, and ``most`` segments at most."""
        while most > 0 and stream.next is not None and stream.places and stream.places[0] <= stream.next:
            most -= 1
            place = heappop(stream.places)
            segment = stream.waiting.pop(place)
            stream.held -= len(segment.payload)
            stream.patience = PATIENCE
            known = stream.next - place
            fresh = segment.payload[known:]
            if fresh:
                self.pieces.append((time, sender, fresh, stream.cut))
                stream.begun = True
                stream.cut = 0
                stream.next += len(fresh)
            if segment.missing and known <= len(segment.payload):
                stream.begun = True
                stream.cut += segment.missing
                stream.next += segment.missing

    def skip(self, stream: _Stream, sender: Endpoint, time: int, acknowledged: int | None) -> bool:
        """Give up a hole; False if nothing behind it is there yet (or was acknowledged)."""
        if stream.next is None or not stream.places:
            return False
        nearest = stream.places[0]
        if acknowledged is not None and acknowledged < nearest:
            return False
        stream.cut += nearest - stream.next
        stream.next = nearest
        self.drain(stream, sender, time)
        return True

    def finish(self, time: int) -> None:
        for sender, stream in self.streams.items():
            self.settle(stream, sender)
        if self.has_settled:
            self.order()
        for sender, stream in self.streams.items():
            while self.skip(stream, sender, time, None):
                pass
            if stream.cut:
                self.notes.append(f"{stream.cut} octets that {_name(sender)} sent at the end are missing")

    def order(self) -> None:
        """Put what both sides sent into the order of its times, without changing that of either side."""
        latest: dict[Endpoint, int] = {}
        keyed = []
        for piece in self.pieces:
            latest[piece[1]] = max(latest.get(piece[1], 0), piece[0])
            keyed.append((latest[piece[1]], piece))
        self.pieces = [piece for _, piece in sorted(keyed, key=lambda item: item[0])]

    def recording(self, start: int) -> Recording:
        chunks = []
        lost = 0
        for time, sender, data, cut in self.pieces:
            direction = Direction.CLIENT if sender == self.client else Direction.SERVER
            chunks.append(Chunk((time - start) / 1e9, direction, data, cut))
            lost += cut
        notes = list(self.notes)
        if lost:
            notes.append(f"the capture has lost {lost} octets of this connection")
        if not self.sure:
            notes.append("who is the client is a guess: the beginning of the connection is not in the capture")
        return Recording(
            tuple(chunks),
            _name(self.client),
            _name(self.server),
            from_start=self.saw_start,
            start_seen=self.saw_start,
            start_time=start / 1e9,
            notes=tuple(notes),
        )


def read_connections(capture: Capture, name: str = "<capture>", *, key_log: str = "") -> list[Recording]:
    """The TCP connections of a capture that carry anything, decrypted where the key log has their keys.

    Raises InvalidArgument if there are none.
    """
    connections: dict[frozenset[Endpoint], _Connection] = {}
    finished: list[_Connection] = []
    unknown_links: set[int] = set()
    reader = PacketReader()
    for packet in capture.packets:
        if not reader.reads(packet.link_type):
            unknown_links.add(packet.link_type)
            continue
        segment = reader.segment(packet)
        if segment is None:
            continue
        ends = frozenset((segment.source, segment.destination))
        connection = connections.get(ends)
        fresh = segment.syn and segment.acknowledged is None
        if connection is None or (fresh and connection.has_data and not connection.begins_with(segment)):
            if connection is not None:
                finished.append(connection)
            connection = connections[ends] = _begin(segment)
        connection.take(segment)
    last = capture.packets[-1].nanoseconds if capture.packets else 0
    found = [*finished, *connections.values()]
    for connection in found:
        connection.finish(last)
        _look_again(connection)
    found = [connection for connection in found if connection.pieces]
    if not found:
        links = f"; link types {sorted(unknown_links)} are not known" if unknown_links else ""
        raise InvalidArgument(f"{name}: no TCP connection with data in {len(capture.packets)} packets{links}")
    found.sort(key=lambda connection: connection.pieces[0][0])
    keys = "\n".join([*capture.key_logs, key_log])
    recordings = []
    for connection in found:
        connection.notes[:0] = [*capture.notes[:MAX_NOTES], *reader.fragments.notes()]
        recordings.append(_without_tls(connection.recording(connection.pieces[0][0]), keys))
    return recordings


def _without_tls(recording: Recording, keys: str) -> Recording:
    """The recording decrypted, where it is TLS at once or behind a tunnel."""
    before, inner = behind_tunnels(recording)
    if not is_tls(inner):
        return recording
    decrypted = decrypt(inner, keys)
    encrypted = recording.chunks if decrypted.encrypted else ()
    return replace(decrypted, chunks=(*before, *decrypted.chunks), encrypted=encrypted)


def _begin(segment: Segment) -> _Connection:
    """A new connection; who is the client is told by SYN, or guessed from the ports."""
    if segment.syn and segment.acknowledged is None:
        return _Connection(segment.source, segment.destination, sure=True, saw_start=True)
    if segment.syn:
        return _Connection(segment.destination, segment.source, sure=True, saw_start=True)
    if segment.source[1] < segment.destination[1]:
        return _Connection(segment.destination, segment.source, sure=False)
    return _Connection(segment.source, segment.destination, sure=False)


def _look_again(connection: _Connection) -> None:
    """The preface of HTTP/2 and the hello of TLS tell who is the client, where the handshake is not there."""
    if connection.sure:
        return
    for end in (connection.client, connection.server):
        first = next((data for _, sender, data, _ in connection.pieces if sender == end), b"")
        if first.startswith((b"PRI * HTTP/2", b"\x16\x03\x01")) and (first[:1] == b"P" or first[5:6] == b"\x01"):
            other = connection.server if end == connection.client else connection.client
            connection.client, connection.server = end, other
            connection.sure = connection.saw_start = True
            return


def _distance(start: int, end: int) -> int:
    """How far ``end`` is behind ``start`` in sequence numbers; negative if it is before it."""
    return ((end - start + HALF) & 0xFFFFFFFF) - HALF


def _name(end: Endpoint) -> str:
    host, port = end
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
