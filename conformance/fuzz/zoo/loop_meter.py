"""A meter on plain sockets, all in one loop: ``python -m conformance.fuzz.zoo.loop_meter PORT FAULT``.

What a device does without a library: no threads, one selector, blocks of headers by ``hpack``. ``sound`` for no fault.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import selectors
import socket
import struct
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import hpack

from puregrpc import protos
from puregrpc.fuzz.frames.probe import PREFACE, frame, message, plain_integer

pb: Any = protos(Path(__file__).with_name("meter.proto"))
PATH = "/meter.v1.Meter/Read"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 1
END_HEADERS, PADDED, HAS_PRIORITY = 4, 8, 32
MOST_STREAMS, MOST_HEADERS, MOST_MESSAGE, MOST_UNSENT = 20, 16 << 10, 1 << 20, 256 << 10
MOST_CONTROL = 2000
MOST_IDLE = 60
"""Seconds."""
UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


CALLS: list[bytes] = []


class Broken(Exception):  # noqa: N818 - the connection is given up, for a reason of RFC 9113, section 7
    """The peer broke the protocol."""


class Stream:
    """One call."""

    def __init__(self, window: int) -> None:
        self.fields: dict[str, str] = {}
        self.body = bytearray()
        self.window = window
        self.ends: float | None = None
        self.answer = b""
        self.trailers: bytes | None = None
        self.is_ended = False


class Connection:
    """One connection: what came, what is to go, and its calls."""

    def __init__(self, sock: socket.socket, fault: str) -> None:
        self.sock = sock
        self.fault = fault
        self.decoder = hpack.Decoder(max_header_list_size=MOST_HEADERS)
        if fault == "table-without-end":
            self.decoder.max_allowed_table_size = 1 << 30
        self.come = bytearray()
        self.unsent = bytearray()
        self.has_preface = False
        self.has_settings = False
        self.streams: dict[int, Stream] = {}
        self.parents: dict[int, int] = {}
        self.over: deque[int] = deque(maxlen=100)
        self.windows: dict[int, int] = {0: 65535}
        self.kept: list[bytes] = []
        self.first_window = 65535
        self.most_in_frame = 16384
        self.last = 0
        self.block: tuple[int, int, bytearray] | None = None
        self.blocks = 0
        self.control = 0
        self.heard = time.monotonic()
        opening = frame(SETTINGS, 0, 0, struct.pack(">HIHI", 3, MOST_STREAMS, 6, MOST_HEADERS))
        if fault == "settings-come-second":
            self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1000)))
        self.send(opening)

    def send(self, octets: bytes) -> None:
        if self.fault == "writes-wait":
            self.sock.setblocking(True)
            self.sock.sendall(octets)
            self.sock.setblocking(False)
            return
        self.unsent += octets

    def read(self) -> None:
        piece = self.sock.recv(65536)
        if not piece:
            raise EOFError
        self.heard = time.monotonic()
        self.come += piece
        if not self.has_preface:
            if not PREFACE.startswith(self.come[: len(PREFACE)]):
                raise Broken(1)
            if len(self.come) < len(PREFACE):
                return
            del self.come[: len(PREFACE)]
            self.has_preface = True
        while len(self.come) >= 9:
            length = int.from_bytes(self.come[:3], "big")
            if length > 16384:
                raise Broken(6)
            if len(self.come) < 9 + length:
                return
            kind, flags = self.come[3], self.come[4]
            number = int.from_bytes(self.come[5:9], "big") & 0x7FFFFFFF
            payload = bytes(self.come[9 : 9 + length])
            del self.come[: 9 + length]
            self.on_frame(kind, flags, number, payload)

    def on_frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if not self.has_settings and (kind != SETTINGS or flags & ACK):
            raise Broken(1)
        if self.block is not None and (kind != CONTINUATION or number != self.block[0]):
            raise Broken(1)
        if kind not in (DATA, HEADERS, CONTINUATION, WINDOW_UPDATE) or not payload:
            self.control += 1
            if self.control > MOST_CONTROL:
                raise Broken(11)
        if kind == HEADERS:
            self.on_headers(flags, number, payload)
        elif kind == CONTINUATION:
            if self.block is None:
                raise Broken(1)
            self.block[2].extend(payload)
            self.blocks += 1
            if len(self.block[2]) > MOST_HEADERS * 2 or self.blocks > 32:
                raise Broken(11)
            if flags & END_HEADERS:
                self.on_block()
        elif kind == DATA:
            self.on_data(flags, number, payload)
        elif kind == SETTINGS:
            self.on_settings(flags, number, payload)
        elif kind == PING:
            if len(payload) != 8:
                raise Broken(6)
            if number:
                raise Broken(1)
            if not flags & ACK or self.fault == "answers-to-answers":
                self.send(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            self.on_window_update(number, payload)
        elif kind == PRIORITY:
            if len(payload) != 5:
                raise Broken(6)
            self.on_priority(number, payload)
        elif kind == RST_STREAM:
            if len(payload) != 4:
                raise Broken(6)
            if not number or number > self.last:
                raise Broken(1)
            self.drop(number)
        elif kind == GOAWAY:
            if len(payload) < 8:
                raise Broken(6)
            raise EOFError
        elif kind == PUSH_PROMISE:
            raise Broken(1)

    def on_priority(self, number: int, payload: bytes) -> None:
        parent = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
        if self.fault != "ring-of-priorities":
            return
        self.parents[number] = parent
        at, depth = number, 0
        while at in self.parents:
            at, depth = self.parents[at], depth + 1

    def on_settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise Broken(1)
        if len(payload) % 6 or (flags & ACK and payload):
            raise Broken(6)
        self.has_settings = True
        if flags & ACK:
            return
        for at in range(0, len(payload), 6):
            name, value = struct.unpack_from(">HI", payload, at)
            if name == 4:
                if value > 0x7FFFFFFF:
                    raise Broken(3)
                for stream in self.streams.values():
                    stream.window += value - self.first_window
                self.first_window = value
            elif name == 5:
                if self.fault != "frames-of-nothing" and not 16384 <= value <= 16777215:
                    raise Broken(1)
                self.most_in_frame = min(value, 16384)
            elif name == 2 and value > 1:
                raise Broken(1)
        self.send(frame(SETTINGS, ACK, 0))
        self.flush()

    def on_window_update(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Broken(6)
        amount = int.from_bytes(payload, "big") & 0x7FFFFFFF
        if self.fault == "windows-of-idle-streams":
            self.windows[number] = self.windows.get(number, 65535) + amount
            self.kept.append(bytes(200))
        elif not number:
            self.windows[0] += amount
        elif number > self.last:
            raise Broken(1)
        elif number in self.streams:
            self.streams[number].window += amount
        if (not number and not amount) or self.windows[0] > 0x7FFFFFFF:
            raise Broken(3)
        if number in self.streams and (not amount or self.streams[number].window > 0x7FFFFFFF):
            self.reset(number, 3)
        self.flush()

    def on_headers(self, flags: int, number: int, payload: bytes) -> None:
        if not number:
            raise Broken(1)
        if flags & PADDED:
            if not payload or payload[0] >= len(payload):
                raise Broken(1)
            payload = payload[1 : len(payload) - payload[0]]
        if flags & HAS_PRIORITY:
            if len(payload) < 5:
                raise Broken(6)
            self.on_priority(number, payload[:5])
            payload = payload[5:]
        self.block = (number, flags, bytearray(payload))
        self.blocks = 0
        if flags & END_HEADERS:
            self.on_block()

    def on_block(self) -> None:
        assert self.block is not None
        number, flags, block = self.block
        self.block = None
        fields = self.decoder.decode(bytes(block), raw=True)
        if number in self.streams:
            if self.streams[number].is_ended or not flags & END_STREAM:
                raise Broken(5)
            self.on_end(number)
            return
        if self.fault not in ("numbers-go-back", "even-numbers") and (number <= self.last or not number % 2):
            raise Broken(1)
        if self.fault == "even-numbers" and number <= self.last:
            raise Broken(1)
        if self.fault == "numbers-go-back" and not number % 2:
            raise Broken(1)
        self.last = max(number, self.last)
        if len(self.streams) >= MOST_STREAMS:
            self.control += 1
            self.send(frame(RST_STREAM, 0, number, struct.pack(">I", 7)))
            return
        stream = self.streams[number] = Stream(self.first_window)
        coding = "utf-8" if self.fault == "texts-end-process" else "latin-1"
        for name, value in fields:
            stream.fields[bytes(name).decode(coding)] = bytes(value).decode(coding)
        if self.fault == "texts-end-process-later" and not stream.fields.get(":path", "").isascii():
            Loop.ends = time.monotonic() + 0.15
        if any(name != name.lower() for name in stream.fields):
            self.reset(number, 1)
            return
        timeout = stream.fields.get("grpc-timeout", "")
        if timeout:
            if not re.fullmatch(r"[0-9]{1,8}[HMSmun]", timeout):
                self.end(number, 13, b"grpc-timeout")
                return
            stream.ends = time.monotonic() + int(timeout[:-1]) * UNITS[timeout[-1]]
        if flags & END_STREAM:
            self.on_end(number)

    def on_data(self, flags: int, number: int, payload: bytes) -> None:
        if not number or number > self.last:
            raise Broken(1)
        size = len(payload)
        if flags & PADDED:
            if not payload or payload[0] >= len(payload):
                raise Broken(1)
            payload = payload[1 : len(payload) - payload[0]]
        if size or self.fault == "windows-of-nothing":
            self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", size)))
        stream = self.streams.get(number)
        if stream is None:
            self.control += 1
            return
        if stream.is_ended:
            self.reset(number, 5)
            return
        stream.body += payload
        if len(stream.body) > MOST_MESSAGE + 5:
            self.end(number, 8, b"too large")
            return
        if size and not flags & END_STREAM:
            self.send(frame(WINDOW_UPDATE, 0, number, struct.pack(">I", size)))
        if flags & END_STREAM:
            self.on_end(number)

    def on_end(self, number: int) -> None:
        stream = self.streams[number]
        stream.is_ended = True
        fields, body = stream.fields, bytes(stream.body)
        is_grpc = re.fullmatch(r"application/grpc(\+proto)?(;.*)?", fields.get("content-type", "")) is not None
        if fields.get(":method") != "POST":
            self.refuse(number, b"405")
            return
        if not is_grpc:
            self.refuse(number, b"415")
            return
        if fields.get(":path") != PATH:
            self.end(number, 12, b"no such method")
            return
        length = int.from_bytes(body[1:5], "big")
        if len(body) < 5 or body[0] or len(body) - 5 != length:
            self.end(number, 13, b"not one message")
            return
        try:
            request = pb.ReadRequest.FromString(body[5 : 5 + length])
        except Exception:
            self.end(number, 13, b"cannot be parsed")
            return
        if len(request.meter) > 1000:
            self.end(number, 3, b"meter: at most 1000 characters")
            return
        if self.fault == "calls-are-kept":
            CALLS.append(os.urandom(20_000))
        reply = pb.Reading(meter=request.meter, value=1.5, notes=["as it was"] * max(0, min(request.digits, 5)))
        head = [(b":status", b"200"), (b"content-type", b"application/grpc")]
        if self.fault == "status-comes-last":
            head.reverse()
        if self.fault == "keeps-alive":
            head.append((b"connection", b"keep-alive"))
        if self.fault == "length-of-content":
            head.append((b"content-length", b"%d" % reply.ByteSize()))
        if self.fault == "coding-of-its-own":
            head.append((b"grpc-encoding", b"zstd"))
        self.send(frame(HEADERS, END_HEADERS, number, literal(head)))
        stream.answer = message(reply.SerializeToString())
        if self.fault == "coding-of-its-own":
            stream.answer = b"\1" + stream.answer[1:]
        stream.trailers = literal([(b"grpc-status", b"0")])
        self.flush()

    def refuse(self, number: int, status: bytes) -> None:
        self.send(frame(HEADERS, END_HEADERS | END_STREAM, number, literal([(b":status", status)])))
        self.drop(number)

    def flush(self) -> None:
        for number, stream in list(self.streams.items()):
            if stream.trailers is None:
                continue
            while stream.answer and min(stream.window, self.windows[0]) > 0:
                most = min(self.most_in_frame, stream.window, self.windows[0])
                piece, stream.answer = stream.answer[:most], stream.answer[most:]
                stream.window -= len(piece)
                self.windows[0] -= len(piece)
                self.send(frame(DATA, 0, number, piece))
            if not stream.answer:
                flags = END_HEADERS if self.fault == "trailers-are-not-the-end" else END_HEADERS | END_STREAM
                self.send(frame(HEADERS, flags, number, stream.trailers))
                self.drop(number)

    def end(self, number: int, code: int, text: bytes) -> None:
        fields = [(b":status", b"200"), (b"content-type", b"application/grpc"), (b"grpc-status", b"%d" % code)]
        fields.append((b"grpc-message", text))
        if self.fault == "details-in-no-base64":
            fields.append((b"grpc-status-details-bin", b"{}"))
        self.send(frame(HEADERS, END_HEADERS | END_STREAM, number, literal(fields)))
        self.drop(number)

    def reset(self, number: int, code: int) -> None:
        self.send(frame(RST_STREAM, 0, number, struct.pack(">I", code)))
        self.control += 1
        self.drop(number)

    def drop(self, number: int) -> None:
        self.streams.pop(number, None)
        self.over.append(number)

    def look(self, now: float) -> None:
        """End what is late."""
        for number, stream in list(self.streams.items()):
            if stream.ends is not None and now > stream.ends:
                self.end(number, 4, b"too late") if stream.trailers is None else self.reset(number, 8)
        if now - self.heard > MOST_IDLE:
            raise EOFError


def literal(fields: list[tuple[bytes, bytes]]) -> bytes:
    """A header block of literals."""
    return b"".join(b"\0" + plain_integer(len(n), 7) + n + plain_integer(len(v), 7) + v for n, v in fields)


class Loop:
    """All connections."""

    ends: float = math.inf
    """When the watchdog ends the process."""

    def __init__(self, port: int, fault: str) -> None:
        self.fault = fault
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.connections: dict[socket.socket, Connection] = {}

    def run(self) -> None:
        """Serve for ever."""
        looked = time.monotonic()
        while True:
            for key, events in self.selector.select(0.05):
                if key.data is None:
                    self.accept()
                else:
                    self.serve(key.data, events)
            now = time.monotonic()
            if now - looked > 0.02:
                looked = now
                if now > self.ends:
                    raise SystemExit(1)
                for connection in list(self.connections.values()):
                    self.serve(connection, 0, now)

    def accept(self) -> None:
        try:
            sock, _ = self.listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = self.connections[sock] = Connection(sock, self.fault)
        self.selector.register(sock, selectors.EVENT_READ, connection)
        self.serve(connection, 0)

    def serve(self, connection: Connection, events: int, now: float | None = None) -> None:
        """What is there to do for a connection."""
        gone: tuple[type[BaseException], ...] = (EOFError, BlockingIOError, OSError)
        if self.fault == "resets-end-process":
            gone = (EOFError, BlockingIOError, TimeoutError)
        broken: tuple[type[BaseException], ...] = (Broken, hpack.HPACKError)
        if self.fault == "bad-blocks-end-process":
            broken = (Broken, UnicodeError)
        try:
            if events & selectors.EVENT_READ:
                connection.read()
            if now is not None:
                connection.look(now)
            self.write(connection)
        except broken as fault:
            code = fault.args[0] if isinstance(fault, Broken) else 9
            with contextlib.suppress(OSError):
                connection.sock.send(frame(GOAWAY, 0, 0, struct.pack(">II", connection.last, code)))
            self.close(connection)
        except gone:
            self.close(connection)

    def write(self, connection: Connection) -> None:
        if connection.unsent:
            try:
                sent = connection.sock.send(connection.unsent)
            except BlockingIOError:
                sent = 0
            del connection.unsent[:sent]
        if len(connection.unsent) > MOST_UNSENT:
            raise Broken(11)
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.unsent else 0)
        self.selector.modify(connection.sock, wanted, connection)

    def close(self, connection: Connection) -> None:
        if self.connections.pop(connection.sock, None) is None:
            return
        self.selector.unregister(connection.sock)
        connection.sock.close()


if __name__ == "__main__":
    Loop(int(sys.argv[1]), sys.argv[2]).run()
