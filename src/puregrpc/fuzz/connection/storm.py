"""Many frame cases in little time: calls with odd frames on one connection, and conversations on one each.

What comes back is taken and not looked at: what counts is whether the server stands.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from random import Random

from puregrpc.fuzz.cases.conversations import KINDS, mutations_of
from puregrpc.fuzz.checks.words import Profile
from puregrpc.fuzz.connection.connecting import LinkOptions
from puregrpc.fuzz.frames.probe import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    OPENING,
    PADDED,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    Fields,
    block,
    frame,
    indexed,
    message,
    window,
)

__all__ = ["Storm", "volley"]

AT_ONCE = 32
"""Connections that are open at once, so that each has the time it takes to serve so many others."""
PIECE = 64
"""Calls that are written together."""
SEND_TIMEOUT = 1.0
QUIET = 0.05
"""Seconds without an octet in which the peer has come to an end."""


class Storm:
    """Makes and sends frame cases for one method."""

    def __init__(self, options: LinkOptions, profile: Profile, random: Random) -> None:
        self._options = options
        self._random = random
        self.path = profile.path
        fields: Fields = profile.fields
        self._block = block(fields)
        self._body = message(profile.octets)[:4096]
        self._conversation = OPENING
        for stream in (1, 3):
            self._conversation += frame(HEADERS, END_HEADERS, stream, self._block)
            self._conversation += frame(DATA, END_STREAM, stream, self._body)
        self._conversation += frame(PING, 0, 0, bytes(8)) + window(0, 1000) + frame(RST_STREAM, 0, 3, b"\0\0\0\x08")

    def shared(self, count: int) -> tuple[bytes, int]:
        """Calls on one connection until it ends or there are so many: what was sent, and how many calls that is."""
        sent = bytearray(OPENING)
        try:
            sock = self._options.connect(SEND_TIMEOUT)
        except OSError:
            return b"", 0
        done = 0
        with sock:
            sock.setblocking(False)
            if not _pass(sock, OPENING):
                return bytes(sent), 0
            while done < count:
                piece = b"".join([self._odd_call(1 + 2 * number) for number in range(done, done + PIECE)])
                sent += piece
                done += PIECE
                if not _pass(sock, piece):
                    break
        return bytes(sent), done

    def single(self, count: int) -> list[bytes]:
        """So many conversations that are changed by chance, each on a connection of its own."""
        sent: list[bytes] = []
        waiting: deque[socket.socket] = deque()
        try:
            for _ in range(count):
                octets = mutations_of(self._conversation, self._random)
                try:
                    sock = self._options.connect(SEND_TIMEOUT)
                except OSError:
                    break
                waiting.append(sock)
                sent.append(octets)
                sock.setblocking(False)
                try:
                    sock.send(octets)
                except OSError:
                    continue
                if len(waiting) >= AT_ONCE:
                    _finish(waiting.popleft())
        finally:
            for sock in waiting:
                _finish(sock)
        return sent

    def _odd_call(self, stream: int) -> bytes:
        random = self._random.random
        roll = int(random() * 20)
        head = frame(HEADERS, END_HEADERS, stream, self._block)
        body = self._body
        if roll < 4:
            return head + frame(DATA, END_STREAM, stream, body)
        if roll == 4:
            return head + frame(RST_STREAM, 0, stream, int(random() * 20).to_bytes(4, "big"))
        if roll == 5:
            return head + window(stream, 1 + int(random() * 0x3FFFFFFF)) + frame(DATA, END_STREAM, stream, body)
        if roll == 6:
            return frame(PRIORITY, 0, stream, bytes(4) + b"\x10") + head + frame(DATA, END_STREAM, stream, body)
        if roll == 7:
            cut = int(random() * len(body))
            return head + frame(DATA, 0, stream, body[:cut]) + frame(DATA, END_STREAM, stream, body[cut:])
        if roll == 8:
            return frame(HEADERS, END_HEADERS | END_STREAM, stream, self._block)
        if roll == 9:
            return head + frame(DATA, END_STREAM | PADDED, stream, b"\x05" + body + bytes(5))
        if roll == 10:
            return head + frame(DATA, 0, stream, body) + frame(HEADERS, END_HEADERS | END_STREAM, stream, b"")
        if roll == 11:
            return head + frame(PING, int(random() * 2), 0, bytes(8)) + frame(DATA, END_STREAM, stream, body)
        if roll == 12:
            setting = int(random() * 10).to_bytes(2, "big") + int(random() * 70000).to_bytes(4, "big")
            return head + frame(SETTINGS, 0, 0, setting) + frame(DATA, END_STREAM, stream, body)
        if roll == 13:
            return (
                head
                + frame(0x0A + int(random() * 200), int(random() * 256), stream, body)
                + frame(DATA, END_STREAM, stream, body)
            )
        if roll == 14:
            broken = bytearray(body)
            broken[int(random() * len(broken))] ^= 1 << int(random() * 8)
            return head + frame(DATA, END_STREAM, stream, bytes(broken))
        if roll == 15:
            return head + frame(DATA, END_STREAM, stream, body) * 2
        if roll == 16:
            return head + frame(DATA, 0, stream, body) + frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
        if roll == 17:
            return head + frame(DATA, 0, stream) * 3 + frame(DATA, END_STREAM, stream, body)
        if roll == 18:
            kind = KINDS[int(random() * len(KINDS))]
            return (
                head
                + (frame(kind, int(random() * 256), stream, body) if random() < 0.05 else b"")
                + frame(DATA, 1, stream)
            )
        return head + frame(DATA, END_STREAM, stream, body[: int(random() * len(body))])


def volley(options: LinkOptions, fields: Fields, body: bytes, count: int) -> None:
    """Ordinary calls on one connection as fast as they are taken; what comes back is not looked at."""
    first, following = indexed(fields)
    try:
        sock = options.connect(SEND_TIMEOUT)
    except OSError:
        return
    with sock:
        sock.setblocking(False)
        if not _pass(sock, OPENING + window(0, 1 << 30)):
            return
        for start in range(0, count, PIECE):
            piece = b"".join(
                frame(HEADERS, END_HEADERS, 1 + 2 * number, following if number else first)
                + frame(DATA, END_STREAM, 1 + 2 * number, body)
                for number in range(start, min(start + PIECE, count))
            )
            if not _pass(sock, piece):
                return
        until = time.monotonic() + SEND_TIMEOUT
        while time.monotonic() < until and select.select([sock], [], [], QUIET)[0]:
            if not _pass(sock, window(0, 1)):
                return


def _pass(sock: socket.socket, octets: bytes) -> bool:
    """Send octets, taking what comes meanwhile; False at the end of the connection."""
    rest = memoryview(octets)
    while rest:
        try:
            while True:
                if not sock.recv(1 << 18):
                    return False
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            if type(error).__name__ not in ("SSLWantReadError", "SSLWantWriteError"):
                return False
        try:
            rest = rest[sock.send(rest) :]
        except OSError as error:
            if not isinstance(error, BlockingIOError) and type(error).__name__ not in (
                "SSLWantReadError",
                "SSLWantWriteError",
            ):
                return False
            if not any(select.select([sock], [sock], [], SEND_TIMEOUT)):
                return False
    return True


def _finish(sock: socket.socket) -> None:
    """Take what has come, and close."""
    try:
        sock.recv(1 << 16)
    except OSError:
        pass
    finally:
        sock.close()
