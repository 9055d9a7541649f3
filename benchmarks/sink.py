"""A server for StreamingInputCall that costs as little as it can: it reads past the messages and only adds them up.

Beside grpc-go's server, which needs twice the processor time of its client for large messages and so is what one
measures, this shows what the clients themselves can send. Plain sockets, a thread a connection; the windows are as
large as HTTP/2 allows, the frames as small as it does by default.
"""

from __future__ import annotations

import signal
import socket
import struct
import threading

from benchmarks.work import InputResponse
from puregrpc.wire.fast.octets import ACK, END_HEADERS, END_STREAM, HEAD_SIZE, MAX_WINDOW, frame, unpack_head
from puregrpc.wire.frames import PREFACE, FrameType
from puregrpc.wire.framing import PREFIX_SIZE, prefix

INITIAL_WINDOW_SIZE = 4
READ_SIZE = 1 << 20
MESSAGE_HEAD = 24
"""Octets in which the prefix of a message and the lengths of its payload and its body lie."""

STATUS_200 = b"\x88\x0f\x10\x10application/grpc"
GRPC_STATUS_0 = b"\x00\x0bgrpc-status\x010"


class Adder:
    """Takes the octets of one call's messages and adds up the sizes of their payloads' bodies."""

    def __init__(self) -> None:
        self.total = 0
        self._head = b""
        self._missing = 0

    def add(self, octets: memoryview) -> None:
        while octets:
            if not self._missing:
                wanted = MESSAGE_HEAD - len(self._head)
                self._head += octets[:wanted]
                octets = octets[wanted:]
                if len(self._head) < MESSAGE_HEAD:
                    return
                self._missing = PREFIX_SIZE + int.from_bytes(self._head[1:5], "big") - MESSAGE_HEAD
                _, at = varint(self._head, 6)
                self.total += varint(self._head, at + 1)[0]
                self._head = b""
            skipped = min(self._missing, len(octets))
            self._missing -= skipped
            octets = octets[skipped:]


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        octet = data[at]
        value |= (octet & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if octet < 0x80:
            return value, at


class Connection:
    """One connection: the octets of its frames, cut anywhere."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.calls: dict[int, Adder] = {}
        self.received = 0

    def serve(self) -> None:
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert self.sock.recv(len(PREFACE), socket.MSG_WAITALL) == PREFACE
        settings = struct.pack(">HL", INITIAL_WINDOW_SIZE, MAX_WINDOW)
        self.sock.sendall(frame(FrameType.SETTINGS, 0, 0, settings) + self.window_update(MAX_WINDOW - 65535))
        buffer = bytearray(READ_SIZE)
        view = memoryview(buffer)
        filled = 0
        while size := self.sock.recv_into(view[filled:]):
            filled += size
            at = 0
            while filled - at >= HEAD_SIZE:
                high, low, kind, flags, stream_id = unpack_head(buffer, at)
                end = at + HEAD_SIZE + (high << 16) + low
                if end > filled:
                    break
                self.take(kind, flags, stream_id, view[at + HEAD_SIZE : end])
                at = end
            rest = bytes(view[at:filled])
            view[: len(rest)] = rest
            filled = len(rest)

    def take(self, kind: int, flags: int, stream_id: int, payload: memoryview) -> None:
        if kind == FrameType.DATA:
            self.received += len(payload)
            self.calls[stream_id].add(payload)
        elif kind == FrameType.HEADERS:
            self.calls[stream_id] = Adder()
        elif kind == FrameType.SETTINGS and not flags & ACK:
            self.sock.sendall(frame(FrameType.SETTINGS, ACK, 0))
        elif kind == FrameType.PING and not flags & ACK:
            self.sock.sendall(frame(FrameType.PING, ACK, 0, bytes(payload)))
        if kind in (FrameType.DATA, FrameType.HEADERS) and flags & END_STREAM:
            self.answer(stream_id, self.calls.pop(stream_id).total)

    def answer(self, stream_id: int, total: int) -> None:
        message = InputResponse(aggregated_payload_size=total).SerializeToString()
        octets = frame(FrameType.HEADERS, END_HEADERS, stream_id, STATUS_200)
        octets += frame(FrameType.DATA, 0, stream_id, prefix(len(message)) + message)
        octets += frame(FrameType.HEADERS, END_HEADERS | END_STREAM, stream_id, GRPC_STATUS_0)
        if self.received:
            octets += self.window_update(self.received)
            self.received = 0
        self.sock.sendall(octets)

    @staticmethod
    def window_update(octets: int) -> bytes:
        return frame(FrameType.WINDOW_UPDATE, 0, 0, octets.to_bytes(4, "big"))


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
        try:
            while True:
                sock, _ = listener.accept()
                threading.Thread(target=Connection(sock).serve, daemon=True).start()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
