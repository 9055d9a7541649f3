"""What the playground does, as functions from text to text, so that its page only shows it. It needs no sockets.

Each gives JSON; ``{"error": ...}`` for input that is wrong, with what would be right.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from puregrpc.codec import Codec
from puregrpc.errors import Error
from puregrpc.proto import compile as compile_proto
from puregrpc.proto.descriptors import MethodDescriptor
from puregrpc.schema import Registry
from puregrpc.trace import Chunk, Direction, Recording, explain
from puregrpc.trace.explaining.frames import SETTING_NAMES, Head, type_name
from puregrpc.trace.reading import read_recordings
from puregrpc.trace.showing.page import html_page
from puregrpc.wire import client_connection, server_connection
from puregrpc.wire.connection import Call, ConnectionConfig, Metadata, Request, ServerCall
from puregrpc.wire.frames import PREFACE
from puregrpc.wire.status import Status

__all__ = ["Bench", "explain_file", "explain_octets", "write_message"]

FILE = "playground.proto"
STREAM = 1
HEAD_SIZE = 9
DATA = 0
MOST_STEPS = 10_000


def answering(function: Callable[..., dict[str, Any]]) -> Callable[..., str]:
    """Results as JSON, and errors of the library's as their text."""

    @wraps(function)
    def answer(*arguments: Any) -> str:
        try:
            return json.dumps(function(*arguments))
        except (Error, ValueError) as error:
            return json.dumps({"error": str(error)})

    return answer


def registry_of(source: str) -> Registry:
    """The schema that a .proto text declares. Raises CompileError."""
    registry = Registry()
    if source.strip():
        for file in compile_proto([FILE], sources={FILE: source}):
            registry.add_file(file)
    return registry


@answering
def write_message(source: str, type_name: str, text: str) -> dict[str, Any]:
    """A message given as JSON, as its bytes, and what each of them says: the page of a DATA frame that carries it."""
    registry = registry_of(source)
    types = [message.full_name for file in registry.files.values() for message in file.messages]
    name = type_name if type_name in types else next(iter(types), "")
    if not name:
        return {"types": types, "hex": "", "page": "", "type": ""}
    descriptor = registry.message(name)
    codec = Codec(registry)
    data = codec.from_json(descriptor, text.strip() or "{}")
    method = next((m for s in registry.services for m in s.methods if m.input_type.full_name == name), None)
    path = method.path if method is not None else f"/{name}/…"
    if method is None:
        helper = f'syntax = "proto3"; import "{FILE}"; service Shown {{ rpc It(.{name}) returns (.{name}); }}'
        for file in compile_proto(["shown.proto"], sources={FILE: source, "shown.proto": helper}):
            registry.add_file(file)
        path = "/Shown/It"
    bench = _Bench(registry)
    bench.open(registry.method(path), data)
    bench.settle()
    page, entry = bench.page(DATA)
    return {"types": types, "type": name, "hex": data.hex(" "), "page": page, "entry": entry}


@answering
def explain_octets(text: str, source: str, name: str = "paste") -> dict[str, Any]:
    """The page of what was pasted: a hex dump, bytes in hex or base64 of either side, or a capture's text."""
    registry = registry_of(source)
    return _pasted(_recordings(text, name), registry, "What was pasted")


@answering
def explain_file(encoded: str, source: str, name: str) -> dict[str, Any]:
    """The page of a capture file, given in base64."""
    registry = registry_of(source)
    return _pasted(read_recordings(base64.b64decode(encoded), name), registry, name)


def _pasted(recordings: list[Recording], registry: Registry, title: str) -> dict[str, Any]:
    """The page of the first connection, at what is wrong in it, or at its first headers."""
    explanation = explain(recordings[0], registry=registry)
    wrong = [int(problem[1:].partition(":")[0]) for problem in explanation.problems() if problem.startswith("#")]
    headers = [entry.number for entry in explanation.entries if entry.header_block is not None]
    entry = next(iter((*wrong, *headers, 0)))
    return {"page": html_page(explanation, title=title), "entry": entry, "connections": len(recordings)}


def _recordings(text: str, name: str) -> list[Recording]:
    squeezed = re.sub(r"\s+", "", text)
    data = b""
    if re.fullmatch(r"(?:[0-9a-fA-F]{2})+", squeezed):
        data = bytes.fromhex(squeezed)
    elif re.fullmatch(r"[A-Za-z0-9+/_-]+={0,2}", squeezed) and not text.lstrip().startswith("{"):
        try:
            data = base64.b64decode(squeezed.replace("-", "+").replace("_", "/"), validate=True)
        except binascii.Error:
            data = b""
    if not data:
        return read_recordings(text.encode(), name)
    if data.startswith(PREFACE[:3]):
        return [Recording((Chunk(0.0, Direction.CLIENT, data),))]
    if len(data) >= HEAD_SIZE and int.from_bytes(data[:3], "big") <= len(data) - HEAD_SIZE and data[3] < 10:
        return [Recording((Chunk(0.0, Direction.SERVER, data),), from_start=data[3] == 4)]
    return read_recordings(data, name)


# -- a client and a server in memory, frame by frame


@dataclass
class Piece:
    """What one side has sent and the other has not received: a frame, or the preface in front of the first."""

    data: bytes
    name: str


@dataclass
class End:
    """A client or a server, and what it said."""

    said: list[str] = field(default_factory=list)
    pending: list[Piece] = field(default_factory=list)
    unsplit: bytes = b""
    is_over: bool = False


class _Owner:
    """What a connection tells."""

    def __init__(self, end: End, on_call: Callable[[Request], ServerCall] | None = None) -> None:
        self.end = end
        self.answer = on_call

    def on_output(self) -> None: ...

    def on_ready(self) -> None:
        self.end.said.append("the other side's SETTINGS have come")

    def on_call(self, request: Request) -> ServerCall | None:
        self.end.said.append(f"a call of {request.path}")
        return self.answer(request) if self.answer is not None else None

    def on_going_away(self, reason: str) -> None:
        self.end.said.append(f"going away: {reason}")

    def on_closed(self, reason: str) -> None:
        self.end.is_over = True
        self.end.said.append(f"the connection is over: {reason}")


class _ClientCall(Call):
    def __init__(self, end: End, show: Callable[[bytes], str]) -> None:
        super().__init__()
        self.end = end
        self.show = show

    def on_headers(self, metadata: Metadata) -> None:  # noqa: ARG002 - they are on the page
        self.end.said.append("the response begins")

    def on_message(self, message: bytes) -> None:
        self.end.said.append(f"a response: {self.show(message)}")

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:  # noqa: ARG002
        text = f"{status.name}{': ' + status.message if status.message else ''}"
        self.end.said.append(f"the call ends with {text}")


class _ServerCall(ServerCall):
    def __init__(self, bench: _Bench, request: Request) -> None:
        super().__init__()
        self.bench = bench
        self.request = request
        self.messages: list[bytes] = []

    def on_message(self, message: bytes) -> None:
        self.messages.append(message)

    def on_half_close(self) -> None:
        self.bench.respond(self, self.messages)

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:  # noqa: ARG002
        self.bench.ends[Direction.SERVER].said.append(f"the call is cancelled: {status.name}: {status.message}")


class _Bench:
    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.codec = Codec(registry)
        self.ends = {side: End() for side in Direction}
        self.chunks: list[Chunk] = []
        self.time = 0.0
        self.method: MethodDescriptor | None = None
        config = ConnectionConfig(user_agent="playground")
        server = self.ends[Direction.SERVER]
        self.client = client_connection(_Owner(self.ends[Direction.CLIENT]), config)
        self.server = server_connection(_Owner(server, lambda request: _ServerCall(self, request)), config)
        self.client.start(0.0)
        self.server.start(0.0)
        self._take_output()

    def open(self, method: MethodDescriptor, message: bytes) -> None:
        """The client makes a call with one request."""
        self.method = method
        call = _ClientCall(self.ends[Direction.CLIENT], lambda data: self.codec.to_json(method.output_type, data))
        request = Request(method.path, "localhost", timeout=10.0)
        self.client.open_call(call, request, deadline=self.time + 10.0, message=message, end=True, now=self.time)
        self._take_output()

    def respond(self, call: _ServerCall, messages: list[bytes]) -> None:
        """The server answers with what the request has in fields of the same name, as an echo does."""
        method = self.method
        assert method is not None
        said = self.ends[Direction.SERVER].said
        for data in messages:
            said.append(f"a request: {self.codec.to_json(method.input_type, data)}")
        request = self.codec.decode(method.input_type, messages[0] if messages else b"")
        names = {found.json_name: found for found in method.output_type.fields}
        echo = {name: value for name, value in request.items() if name in names}
        try:
            answer = self.codec.encode(method.output_type, echo)
        except Error:
            answer = b""
        self.server.send_headers(call)
        self.server.send_message(call, answer)
        self.server.send_trailers(call, Status(0), ())

    # -- octets

    def _take_output(self) -> None:
        for side, connection in ((Direction.CLIENT, self.client), (Direction.SERVER, self.server)):
            end = self.ends[side]
            while data := connection.data_to_send():
                end.unsplit += data
            while piece := _next_piece(end):
                end.pending.append(piece)

    def deliver(self, side: Direction, data: bytes) -> None:
        """The other side receives octets; b"" is the end of the connection."""
        self.time += 0.001
        if data:
            self.chunks.append(Chunk(self.time, side, data))
        sink, end = (
            (self.server, self.ends[Direction.SERVER])
            if side is Direction.CLIENT
            else (self.client, self.ends[Direction.CLIENT])
        )
        if not end.is_over:
            sink.receive(data, self.time)
        self._take_output()

    def settle(self) -> None:
        """Deliver everything, until neither side has more to say."""
        for _ in range(MOST_STEPS):
            side = next((side for side in Direction if self.ends[side].pending), None)
            if side is None:
                return
            self.deliver(side, self.ends[side].pending.pop(0).data)

    def page(self, kind: int | None = None) -> tuple[str, int]:
        """The page of what was delivered, and the entry to look at: the first frame of a kind, else the last entry."""
        recording = Recording(tuple(self.chunks), "client", "server")
        explanation = explain(recording, registry=self.registry)
        entries = explanation.entries
        found = (entry.number for entry in entries if kind is not None and getattr(entry, "type", None) == kind)
        return html_page(explanation, title="On the bench"), next(found, max(len(entries) - 1, 0))


def _next_piece(end: End) -> Piece | None:
    data, start = end.unsplit, 0
    if data.startswith(PREFACE):
        start = len(PREFACE)
    if len(data) < start + HEAD_SIZE:
        return None
    head = Head.parse(data, start)
    size = start + HEAD_SIZE + head.length
    end.unsplit = data[size:]
    name = type_name(head.type) + (f", stream {head.stream_id}" if head.stream_id else "")
    return Piece(data[:size], ("preface, " if start else "") + f"{name}, {size} bytes")


def _changed(piece: Piece, identifier: int, value: int) -> Piece:
    """A SETTINGS frame with another value of a setting, which it may not have had (RFC 9113, section 6.5.1)."""
    start = len(PREFACE) if piece.data.startswith(PREFACE) else 0
    head = piece.data[start : start + HEAD_SIZE]
    settings = dict(struct.iter_unpack("!HI", piece.data[start + HEAD_SIZE :]))
    settings[identifier] = value
    payload = b"".join(struct.pack("!HI", *setting) for setting in settings.items())
    data = piece.data[:start] + len(payload).to_bytes(3, "big") + head[3:] + payload
    return Piece(data, f"{piece.name.rpartition(', ')[0]}, {len(data)} bytes")


class Bench:
    """A client and a server back to back; each frame between them waits until it is let through, or harmed."""

    def __init__(self) -> None:
        self._bench = _Bench(Registry())

    @answering
    def start(self, source: str, method: str, text: str) -> dict[str, Any]:
        """Begin anew, with one call of a method of the schema."""
        registry = registry_of(source)
        methods = [found.path for service in registry.services for found in service.methods]
        if not methods:
            raise ValueError("the .proto text has no service with a method: add one to call it")
        path = method if method in methods else methods[0]
        found = registry.method(path)
        bench = _Bench(registry)
        bench.open(found, bench.codec.from_json(found.input_type, text.strip() or "{}"))
        self._bench = bench
        return {**self._state(), "methods": methods, "method": path}

    @answering
    def step(self, side: str, action: str, number: int = 0) -> dict[str, Any]:
        """Do something with the next frame of ``client`` or ``server``.

        Actions: ``deliver`` it; ``drop`` it; ``cut`` it, so that ``number`` bytes of it arrive and then the connection
        ends; ``flip`` bit ``number`` of it, counted from its first, and deliver it; ``swap`` it with the one behind it;
        ``all``: deliver everything there is on both sides; ``end``: the connection ends.
        """
        bench = self._bench
        direction = Direction(side)
        pending = bench.ends[direction].pending
        if action == "all":
            bench.settle()
        elif action == "end":
            bench.deliver(direction, b"")
        elif not pending:
            raise ValueError(f"the {side} has sent nothing that is still on its way")
        elif action == "deliver":
            bench.deliver(direction, pending.pop(0).data)
        elif action == "drop":
            pending.pop(0)
        elif action == "cut":
            data = pending.pop(0).data
            if not 0 <= number < len(data):
                raise ValueError(f"the frame has {len(data)} bytes: cut it after 0 to {len(data) - 1}")
            bench.deliver(direction, data[:number])
            bench.deliver(direction, b"")
            pending.clear()
        elif action == "flip":
            harmed = bytearray(pending[0].data)
            if not 0 <= number < 8 * len(harmed):
                raise ValueError(f"the frame has the bits 0 to {8 * len(harmed) - 1}")
            harmed[number // 8] ^= 0x80 >> number % 8
            pending.pop(0)
            bench.deliver(direction, bytes(harmed))
        elif action == "swap":
            if len(pending) < 2:
                raise ValueError("there is no frame behind it")
            pending[0], pending[1] = pending[1], pending[0]
        else:
            raise ValueError(f"no action {action!r}: deliver, drop, cut, flip, swap, all, end")
        return self._state()

    @answering
    def change_setting(self, side: str, name: str, value: int) -> dict[str, Any]:
        """Have the SETTINGS frame that ``client`` or ``server`` sends next say something else of a setting."""
        direction = Direction(side)
        pending = self._bench.ends[direction].pending
        if not pending or "SETTINGS" not in pending[0].name:
            raise ValueError(f"the next frame of the {side} is no SETTINGS frame")
        identifiers = {known: number for number, known in SETTING_NAMES.items()}
        if name not in identifiers:
            raise ValueError(f"no setting {name!r}: {', '.join(identifiers)}")
        if not 0 <= value < 1 << 32:
            raise ValueError(f"a setting has 32 bits: 0 to {(1 << 32) - 1}")
        pending[0] = _changed(pending[0], identifiers[name], value)
        return self._state()

    def _state(self) -> dict[str, Any]:
        bench = self._bench
        page, entry = bench.page()
        return {
            "pending": {side.value: [piece.name for piece in bench.ends[side].pending] for side in Direction},
            "said": {side.value: bench.ends[side].said for side in Direction},
            "settings": list(SETTING_NAMES.values())[:6],
            "page": page,
            "entry": entry,
        }
