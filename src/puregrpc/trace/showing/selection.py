"""Some of the connections of a capture, and some of the calls of a connection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from puregrpc.errors import InvalidArgument
from puregrpc.trace.recording import PREFACE, Direction, Recording
from puregrpc.trace.records import Explanation, Frame, Stretch
from puregrpc.trace.text import escaped, printable

__all__ = ["Selection", "describe_recording"]


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a capture is to be shown; empty: everything. Connections count from 1."""

    connections: tuple[int, ...] = ()
    ports: tuple[int, ...] = ()
    streams: tuple[int, ...] = ()
    methods: tuple[str, ...] = ()
    """As ``package.Service/Method``, ``Method``, or ``package.Service`` for all of its methods."""

    @property
    def selects_calls(self) -> bool:
        """Whether not all calls of a connection are shown."""
        return bool(self.streams or self.methods)

    def of_recordings(self, recordings: Sequence[Recording]) -> list[tuple[int, Recording]]:
        """The connections that are chosen, with their numbers. Raises InvalidArgument if there are none."""
        for number in self.connections:
            if not 1 <= number <= len(recordings):
                raise InvalidArgument(f"there is no connection {number}: the capture has {len(recordings)}")
        chosen = [
            (number, recording)
            for number, recording in enumerate(recordings, 1)
            if (not self.connections or number in self.connections)
            and (not self.ports or any(port in self.ports for port in _ports(recording)))
        ]
        if not chosen:
            ports = sorted({port for recording in recordings for port in _ports(recording)})
            raise InvalidArgument(f"no connection has this port; there are {_some(ports)}")
        return chosen

    def of(self, explanation: Explanation) -> Explanation:
        """Only the entries and calls that are chosen."""
        if not self.selects_calls:
            return explanation
        calls = tuple(
            call
            for call in explanation.calls
            if (not self.streams or call.stream_id in self.streams)
            and (not self.methods or any(_is_method(method, call.path) for method in self.methods))
        )
        streams = {call.stream_id for call in calls}
        entries = tuple(entry for entry in explanation.entries if _stream_of(entry) in streams)
        return replace(explanation, entries=entries, calls=calls)

    def refuse_nothing(self, explanations: Iterable[Explanation]) -> None:
        """Raise InvalidArgument, with what there is, for calls that no connection has."""
        calls = [call for explanation in explanations for call in explanation.calls]
        paths = sorted({printable(call.path.encode("latin-1", "replace")) for call in calls if call.path})
        streams = sorted({call.stream_id for call in calls})
        there = f"streams {_some(streams)}; methods {_some(paths)}" if calls else "none at all"
        raise InvalidArgument(f"no call is of this stream and method; there are {there}")


def _some(values: Sequence[object]) -> str:
    return ", ".join(map(str, values[:10])) + (", …" if len(values) > 10 else "")


def _is_method(wanted: str, path: str) -> bool:
    path = path.partition("?")[0]
    wanted = "/" + wanted.strip("/")
    return path.endswith(wanted) or path.startswith(f"{wanted}/")


def _stream_of(entry: Frame | Stretch) -> int | None:
    if isinstance(entry, Frame):
        return entry.stream_id
    if entry.header_block is not None:
        return entry.header_block.stream_id
    return entry.messages[0].stream_id if entry.messages else None


def _ports(recording: Recording) -> list[int]:
    ports = [end.rpartition(":")[2] for end in (recording.client, recording.server)]
    return [int(port) for port in ports if port.isdecimal() and len(port) <= 5]


def describe_recording(number: int, recording: Recording) -> str:
    """A connection in one line: who, how much, how long, and whether it begins as HTTP/2 does."""
    sent, received = (sum(len(c.data) for c in recording.chunks if c.direction is side) for side in Direction)
    seconds = recording.chunks[-1].time - recording.chunks[0].time if recording.chunks else 0.0
    begins = recording.octets(Direction.CLIENT)[: len(PREFACE)] == PREFACE
    kind = "HTTP/2" if begins else "no HTTP/2 at its beginning"
    who = f"{escaped(recording.client)} → {escaped(recording.server)}"
    return f"{number:>4}  {who}  {sent} + {received} octets in {seconds:.3f} s  {kind}"
