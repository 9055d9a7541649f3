"""One method of the shop on a plain socket: ``python -m conformance.fuzz.zoo.raw_shop PORT FAULT``, ``sound`` for none.

A small HTTP/2 server by hand, as people write them for devices and gateways; the faults are in its frames.
"""

from __future__ import annotations

import gzip
import os
import re
import socket
import struct
import sys
import threading
import time
from itertools import count
from pathlib import Path
from typing import Any

import hpack

from puregrpc import protos
from puregrpc.fuzz.frames.probe import PREFACE, frame, message, plain_integer

pb: Any = protos(Path(__file__).with_name("shop.proto"))
PATH = b"/shop.v1.Shop/GetItem"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 1
END_HEADERS = 4
MOST_STREAMS = 50
MOST_HEADERS = 16 << 10
UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


class Broken(Exception):  # noqa: N818 - the connection is given up
    """The peer broke the protocol."""


class Stream:
    """One call."""

    def __init__(self, fields: dict[bytes, bytes], window: int) -> None:
        self.fields = fields
        self.body = bytearray()
        self.window = window
        self.timer: threading.Timer | None = None
        self.has_head = False
        self.room = b""


class Connection:
    """One connection in its thread."""

    def __init__(self, sock: socket.socket, fault: str) -> None:
        self.sock = sock
        self.fault = fault
        self.decoder = hpack.Decoder(max_header_list_size=(1 << 30) if fault == "header-bomb" else MOST_HEADERS)
        self.encoder = hpack.Encoder()
        self.streams: dict[int, Stream] = {}
        self.lock = threading.Lock()
        self.window = 65535
        self.first_window = 65535
        self.last = 0
        self.waiting: list[tuple[int, bytes]] = []
        self.control = 0
        self.kept: list[Any] = []
        self.least_headers = 1 << 32
        self.calls = 0
        self.ready: set[int] = set()

    def read(self, count: int) -> bytes:
        out = b""
        while len(out) < count:
            piece = self.sock.recv(count - len(out))
            if not piece:
                raise EOFError
            out += piece
        return out

    def send(self, octets: bytes) -> None:
        with self.lock:
            self.sock.sendall(octets)

    def serve(self) -> None:
        if self.read(len(PREFACE)) != PREFACE:
            raise Broken
        self.send(frame(SETTINGS, 0, 0, struct.pack(">HIHI", 3, MOST_STREAMS, 6, MOST_HEADERS)))
        while True:
            head = self.read(9)
            length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            number = int.from_bytes(head[5:], "big") & 0x7FFFFFFF
            if length > 16384:
                raise Broken
            self.on_frame(kind, flags, number, self.read(length))

    def on_frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == HEADERS:
            self.on_headers(flags, number, payload)
        elif kind == DATA:
            self.on_data(flags, number, payload)
        elif kind == SETTINGS:
            if self.fault == "settings-size-ends-process" and len(payload) % 6:
                os._exit(3)
            if len(payload) % 6 or number or (flags & ACK and payload):
                raise Broken
            if not flags & ACK:
                self.count()
                for at in range(0, len(payload), 6):
                    name, value = struct.unpack_from(">HI", payload, at)
                    if name == 4 and self.fault == "new-window-for-new-streams":
                        self.first_window = value
                    elif name == 4:
                        if value > 0x7FFFFFFF:
                            raise Broken
                        for stream in self.streams.values():
                            stream.window += value - self.first_window
                        self.first_window = value
                    elif name == 6:
                        self.least_headers = value
                if self.fault != "settings-not-acknowledged":
                    self.send(frame(SETTINGS, ACK, 0))
                self.flush()
        elif kind == PING:
            if len(payload) != 8 or number:
                raise Broken
            if self.fault == "pings-are-kept":
                self.kept.append(os.urandom(4096))
                self.control = 0
            if not flags & ACK and self.fault != "ping-not-answered":
                self.count()
                self.send(frame(PING, ACK, 0, bytes(8) if self.fault == "wrong-pong" else payload))
        elif kind == WINDOW_UPDATE:
            if len(payload) != 4:
                raise Broken
            amount = int.from_bytes(payload, "big") & 0x7FFFFFFF
            if number in self.streams:
                self.streams[number].window += amount
            elif not number:
                self.window += amount
                if self.window > 0x7FFFFFFF:
                    raise Broken
            self.flush()
        elif kind == RST_STREAM:
            if self.fault == "reset-unknown-ends-process" and number not in self.streams and number:
                os._exit(4)
            if len(payload) != 4 or not number:
                raise Broken
            self.count()
            self.drop(number)
        elif kind == GOAWAY:
            if self.fault == "goaway-ends-process" and len(payload) < 9:
                os._exit(9)
            raise EOFError
        elif kind in (PUSH_PROMISE, CONTINUATION):
            raise Broken
        elif kind == PRIORITY:
            if self.fault == "priority-ends-connection":
                raise Broken
            self.count()
        elif kind > CONTINUATION:
            if self.fault == "unknown-frame-ends-process":
                os._exit(5)
            if self.fault == "many-unknown-frames-end-process" and self.control > 300:
                os._exit(12)
            if self.fault == "unknown-frame-ends-connection":
                raise Broken
            self.count()

    def count(self) -> None:
        self.control += 1
        if self.control > 5000:
            raise Broken

    def on_headers(self, flags: int, number: int, payload: bytes) -> None:
        if flags & 8:
            if self.fault == "padding-ends-process" and payload and payload[0] >= len(payload):
                os._exit(6)
            payload = payload[1 : len(payload) - payload[0]]
        depends = -1
        if flags & 0x20:
            depends = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
            payload = payload[5:]
        block = [payload]
        size, count = len(payload), 0
        while not flags & END_HEADERS:
            head = self.read(9)
            if head[3] != CONTINUATION or int.from_bytes(head[5:], "big") != number:
                raise Broken
            flags |= head[4] & END_HEADERS
            block.append(self.read(int.from_bytes(head[:3], "big")))
            size, count = size + len(block[-1]), count + 1
            if self.fault != "header-block-without-end" and (size > 64 << 10 or count > 64):
                raise Broken
        fields = self.decoder.decode(b"".join(block), raw=True)
        if self.fault == "header-bomb":
            self.kept.append([bytes(value) + b"x" for _, value in fields])
        if number in self.streams and self.fault == "request-trailers-end-process":
            os._exit(10)
        if number in self.streams and flags & END_STREAM and number not in self.ready:
            # Trailers of a request.
            self.on_end(number)
            return
        if number in self.streams:
            raise Broken
        if number <= self.last or not number % 2:
            raise Broken
        if self.fault == "sixty-four-fields" and sum(1 for _ in fields) > 64:
            os._exit(12)
        if self.fault == "value-of-4096" and any(len(value) >= 4096 for _, value in fields):
            os._exit(13)
        if self.fault == "path-of-255" and any(name == b":path" and len(value) > 255 for name, value in fields):
            os._exit(14)
        if self.fault == "numbers-of-16-bits" and number > 0xFFFF:
            os._exit(15)
        if self.fault == "no-body-ends-process" and flags & END_STREAM:
            os._exit(16)
        if self.fault == "coding-is-known" and any(
            name == b"grpc-encoding" and value not in (b"gzip", b"identity", b"deflate") for name, value in fields
        ):
            os._exit(17)
        if self.fault == "dependency-of-itself" and depends == number:
            os._exit(18)
        if self.fault == "length-is-believed":
            said = next((value for name, value in fields if name == b"content-length"), b"0")
            self.kept.append(b"x" * min(int(said), 1 << 28))
        self.last = number
        self.calls += 1
        if self.fault == "closes-behind-two-hundred-calls" and self.calls > 200:
            raise EOFError
        if self.fault == "table-of-600-streams" and number >= 1200:
            os._exit(7)
        most = 10_000 if self.fault == "too-many-streams" else MOST_STREAMS
        if len(self.streams) >= most:
            self.send(frame(RST_STREAM, 0, number, struct.pack(">I", 7)))
            self.count()
            return
        stream = self.streams[number] = Stream({bytes(n): bytes(v) for n, v in fields}, self.first_window)
        timeout = stream.fields.get(b"grpc-timeout", b"").decode("latin-1")
        if timeout and self.fault != "deadline-ignored":
            if not re.fullmatch(r"[0-9]{1,8}[HMSmun]", timeout):
                self.end(number, 13, b"bad timeout")
                return
            seconds = int(timeout[:-1]) * UNITS[timeout[-1]]
            if self.fault == "long-timeouts-overflow" and seconds >= 1 << 31:
                seconds = 0.0
            stream.timer = threading.Timer(min(seconds, 3600), self.end, (number, 4, b"too late"))
            stream.timer.daemon = True
            stream.timer.start()
        if self.fault == "thread-for-each-reset":
            threading.Thread(target=time.sleep, args=(20,), daemon=True).start()
        if flags & END_STREAM:
            self.on_end(number)

    def on_data(self, flags: int, number: int, payload: bytes) -> None:
        if not number or number > self.last:
            raise Broken
        size = len(payload)
        if flags & 8:
            if not payload or payload[0] >= len(payload):
                raise Broken
            payload = payload[1 : len(payload) - payload[0]]
        stream = self.streams.get(number)
        given_back = len(payload) if self.fault == "padding-is-kept" else size
        if self.fault == "room-lost-with-resets" and stream is None:
            given_back = 0
        if given_back and self.fault != "windows-not-opened":
            if self.fault == "room-lost-with-errors" and stream is not None and stream.fields.get(b":path") != PATH:
                given_back = 0
            if self.fault == "room-lost-with-resets" and stream is not None:
                # Given back once the message is there.
                given_back = given_back + len(stream.body) if flags & END_STREAM else 0
            if self.fault == "window-beyond":
                given_back = (1 << 31) - 1
            if given_back:
                self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", given_back)))
        else:
            self.count()
        if stream is None:
            if self.fault == "late-data-ends-process":
                os._exit(8)
            self.count()
            return
        if self.fault == "prefix-in-one-frame" and not stream.body and 0 < len(payload) < 5:
            self.end(number, 13, b"no prefix")
            return
        stream.body += payload
        if self.fault == "room-for-its-prefix" and len(stream.body) >= 5 and not stream.room:
            stream.room = bytes(bytearray(min(int.from_bytes(stream.body[1:5], "big"), 1 << 29)))
        if self.fault == "second-message-ends-process" and int.from_bytes(stream.body[1:5], "big") + 5 < len(
            stream.body
        ):
            os._exit(11)
        if len(stream.body) > 1 << 22:
            self.end(number, 8, b"too large")
            return
        if size and not flags & END_STREAM and self.fault != "windows-not-opened":
            self.send(frame(WINDOW_UPDATE, 0, number, struct.pack(">I", size)))
        if flags & END_STREAM and not (self.fault == "half-close-not-noticed" and not payload):
            self.on_end(number)
            if self.fault == "one-stream-at-a-time":
                self.behind()

    def behind(self) -> None:
        """What has waited for the first stream to be over."""
        while self.ready and min(self.streams, default=0) in self.ready:
            number = min(self.streams)
            self.ready.discard(number)
            self.on_end(number)

    def on_end(self, number: int) -> None:
        stream = self.streams[number]
        if self.fault == "one-stream-at-a-time" and number != min(self.streams):
            self.ready.add(number)
            return
        fields, body = stream.fields, bytes(stream.body)
        path = fields.get(b":path", b"")
        if self.fault == "paths-in-any-case" and path.lower() == PATH.lower():
            path = PATH
        if self.fault == "path-without-slash" and not path.startswith(b"/"):
            path = b"/" + path
        if fields.get(b":method") != b"POST" or not fields.get(b"content-type", b"").startswith(b"application/grpc"):
            self.streams.pop(number)
            self.send(frame(HEADERS, END_HEADERS | END_STREAM, number, literal([(b":status", b"415")])))
            return
        if path != PATH:
            self.end(number, 12, b"no such method")
            return
        if (
            len(body) < 5
            or (body[0] and self.fault != "flag-is-ignored")
            or (len(body) - 5 != int.from_bytes(body[1:5], "big") and self.fault != "short-message")
        ):
            self.end(number, 13, b"not one message")
            return
        try:
            request = pb.GetItemRequest.FromString(body[5:])
        except Exception:
            self.end(number, 13, b"cannot be parsed")
            return
        if len(request.id) > 100 and self.fault in ("http-500", "message-not-coded", "no-trailers-of-errors"):
            self.end(number, 3, b"id")
            return
        most = 100_000 if self.fault == "frames-too-long" else 100
        reply = pb.Item(id=request.id[:most], title="rose", color=request.color).SerializeToString()
        if self.fault == "window-ignored":
            reply = pb.Item(id="x" * 200_000).SerializeToString()
        self.answer(number, reply)

    def answer(self, number: int, reply: bytes) -> None:
        head = frame(
            HEADERS, END_HEADERS, number, literal([(b":status", b"200"), (b"content-type", b"application/grpc")])
        )
        plain = [(b":status", b"200"), (b"content-type", b"application/grpc"), (b"grpc-encoding", b"gzip")]
        if self.fault == "compressed-anyway":
            head = frame(HEADERS, END_HEADERS, number, literal(plain))
        if self.fault == "table-is-kept":
            head = frame(HEADERS, END_HEADERS, number, self.encoder.encode(plain[:2]))
        if self.fault == "no-content-type":
            head = frame(HEADERS, END_HEADERS, number, literal(plain[:1]))
        if self.fault == "upper-case-field":
            head = frame(
                HEADERS, END_HEADERS, number, literal([(b":status", b"200"), (b"Content-Type", b"application/grpc")])
            )
        if self.fault == "data-on-other-stream":
            self.send(head + frame(DATA, 0, number + 2, message(reply)))
            return
        stream = self.streams.get(number)
        if stream is None:
            return
        if self.fault == "short-header-lists-are-faults" and self.least_headers < 100:
            self.drop(number)
            self.send(frame(RST_STREAM, 0, number, struct.pack(">I", 1)))
            return
        self.send(head)
        stream.has_head = True
        if self.fault == "two-heads":
            self.send(head)
        if self.fault == "no-trailers":
            self.drop(number)
            self.send(frame(DATA, END_STREAM, number, message(reply)))
            return
        if self.fault == "compressed-anyway":
            self.waiting.append((number, b"\1" + message(gzip.compress(reply))[1:]))
        elif self.fault == "no-message-with-ok" and len(reply) > 90:
            self.waiting.append((number, b""))
        elif self.fault == "two-messages" and len(reply) > 90:
            self.waiting.append((number, message(reply) * 2))
        elif self.fault == "wrong-length":
            reply += b"\x12\x01"
            self.waiting.append((number, b"\0" + struct.pack(">I", len(reply) + 1) + reply))
        else:
            self.waiting.append((number, message(reply)))
        self.flush()

    def flush(self) -> None:
        left: list[tuple[int, bytes]] = []
        for number, octets in self.waiting:
            stream = self.streams.get(number)
            if stream is None:
                continue
            while octets:
                largest = 1 << 20 if self.fault == "frames-too-long" else 16384
                most = largest if self.fault == "window-ignored" else max(min(largest, stream.window, self.window), 0)
                while self.fault == "spins-without-a-window" and not most and number in self.streams:
                    time.sleep(0)
                piece, octets = octets[:most], octets[most:]
                if not piece:
                    break
                stream.window -= len(piece)
                self.window -= len(piece)
                self.send(frame(DATA, 0, number, piece))
            if octets and most == 0:
                left.append((number, octets))
            else:
                self.end(number, 0, b"", has_head=True)
        self.waiting = left

    def end(self, number: int, code: int, text: bytes, *, has_head: bool = False) -> None:
        stream = self.streams.get(number)
        if not self.drop(number):
            return
        has_head = has_head or (stream is not None and stream.has_head)
        said = b"OK" if self.fault == "status-in-words" and not code else b"%d" % code
        fields = [(b"grpc-status", said), *([(b"grpc-message", text)] if text else [])]
        if self.fault == "two-statuses":
            fields.append((b"grpc-status", b"0"))
        if self.fault == "message-not-coded" and code:
            fields[1:] = [(b"grpc-message", "refus\xe9".encode())]
        if self.fault == "no-trailers-of-errors" and code and not has_head:
            fields = [(b":status", b"200"), (b"content-type", b"application/grpc")]
        elif not has_head:
            if self.fault == "http-500":
                fields = [(b":status", b"500"), (b"content-type", b"application/grpc"), *fields]
                self.send(frame(HEADERS, END_HEADERS | END_STREAM, number, literal(fields)))
                return
            fields = [(b":status", b"200"), (b"content-type", b"application/grpc"), *fields]
        try:
            self.send(frame(HEADERS, END_HEADERS | END_STREAM, number, literal(fields)))
            if self.fault == "data-behind-trailers":
                self.send(frame(DATA, END_STREAM, number, b""))
        except OSError:
            return

    def drop(self, number: int) -> bool:
        stream = self.streams.pop(number, None)
        if stream is not None and stream.timer is not None:
            stream.timer.cancel()
        return stream is not None


def literal(fields: list[tuple[bytes, bytes]]) -> bytes:
    """A header block of literals."""
    return b"".join(b"\0" + plain_integer(len(n), 7) + n + plain_integer(len(v), 7) + v for n, v in fields)


NOT_CLOSED: list[socket.socket] = []


def talk(sock: socket.socket, fault: str) -> None:
    """Serve one connection to its end."""
    connection = Connection(sock, fault)
    try:
        sock.settimeout(20)
        connection.serve()
    except (Broken, hpack.HPACKError, IndexError):
        try:
            connection.send(frame(GOAWAY, 0, 0, struct.pack(">II", connection.last, 1)))
        except OSError:
            return
    except ConnectionResetError:
        while fault == "spins-behind-a-reset":
            try:
                sock.recv(1)
            except OSError:
                continue
        return
    except (OSError, EOFError):
        while fault == "spins-behind-an-end":
            try:
                sock.recv(1)
            except OSError:
                break
        return
    finally:
        for number in list(connection.streams):
            connection.drop(number)
        if fault == "sockets-not-closed":
            NOT_CLOSED.append(sock)
        else:
            sock.close()


def main(port: int, fault: str) -> None:
    """Serve for ever."""
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    for number in count():
        sock, _ = listener.accept()
        if fault == "two-hundred-connections" and number > 200:
            raise SystemExit(1)
        if fault == "accept-loop-ends" and sock.recv(3, socket.MSG_PEEK) == b"GET":
            raise SystemExit(1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if fault == "forty-connections" and threading.active_count() > 40:
            sock.close()
            continue
        if fault == "waits-for-the-preface":
            sock.settimeout(20)
            try:
                sock.recv(len(PREFACE), socket.MSG_PEEK | socket.MSG_WAITALL)
            except OSError:
                continue
        if fault == "one-connection-at-a-time":
            talk(sock, fault)
        else:
            threading.Thread(target=talk, args=(sock, fault), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
