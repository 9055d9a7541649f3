"""One connection that sends whatever it is told, and is strict with what comes back (RFC 9113; PROTOCOL-HTTP2).

It is not a client: it checks nothing of what it sends, keeps every answer as it came, and notes whatever the peer does
that no server may. Reading and writing are by one thread, without waiting longer than it is told to.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Sequence
from functools import lru_cache

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.connection.connecting import LinkOptions
from puregrpc.fuzz.connection.receiving import (
    CONNECTION_WINDOW,
    FIRST_WINDOW,
    MOST_HEADERS,
    STREAM_WINDOW,
    Receiving,
)
from puregrpc.fuzz.frames.probe import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MAX_FRAME_SIZE,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    Fields,
    block,
    frame,
    in_frames,
    message,
    window,
)
from puregrpc.trace import Direction, Recorder
from puregrpc.wire.fast.hpack_decoder import HeaderDecoder
from puregrpc.wire.status import http2_error_name

__all__ = ["Link"]

READ_SIZE = 1 << 18

header_block = lru_cache(maxsize=4096)(block)


class Link(Receiving):
    """A connection. ``settings`` are those it sends; ``raw``: not even a preface is sent, and streams are anybody's."""

    def __init__(
        self,
        options: LinkOptions,
        *,
        timeout: float = 3.0,
        settings: tuple[tuple[int, int], ...] | None = None,
        raw: bool = False,
        recorder: Recorder | None = None,
        takes_windows: bool = True,
    ) -> None:
        super().__init__(raw=raw, recorder=recorder, takes_windows=takes_windows)
        self.next_stream = 1
        self.sent = 0
        self._sock = options.connect(timeout)
        self._is_tls = options.tls is not None
        self._sock.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._sock, select.POLLIN)
        if not raw:
            wanted = ((2, 0), (4, STREAM_WINDOW)) if settings is None else settings
            self._stream_window = dict(wanted).get(4, FIRST_WINDOW)
            if 1 in dict(wanted):
                self._decoder = HeaderDecoder(MOST_HEADERS, dict(wanted)[1])
            payload = b"".join(number.to_bytes(2, "big") + value.to_bytes(4, "big") for number, value in wanted)
            opening = PREFACE + frame(SETTINGS, 0, 0, payload)
            if takes_windows:
                opening += window(0, CONNECTION_WINDOW)
                self._connection_left += CONNECTION_WINDOW
            self.send(opening)

    # -- sending

    def open(self, fields: Fields, *, end: bool = False, more: bytes = b"") -> Answer:
        """A stream with these header fields, and frames behind them in the same octets."""
        stream = self.next_stream
        self.next_stream += 2
        answer = self.expect(stream)
        octets = header_block(fields)
        flags = END_HEADERS | (END_STREAM if end else 0)
        if len(octets) <= MAX_FRAME_SIZE:
            self.send(frame(HEADERS, flags, stream, octets) + more)
        else:
            self.send(in_frames(stream, octets, flags & ~END_HEADERS) + more)
        return answer

    def expect(self, stream: int) -> Answer:
        """Keep what comes on a stream."""
        answer = self.answers[stream] = Answer(stream, time.monotonic())
        self.unfinished += 1
        self._windows[stream] = self._first_window
        self._taken[stream] = self._stream_window
        return answer

    def call(self, fields: Fields, octets: bytes) -> Answer:
        """A call whole at once: HEADERS and DATA with END_STREAM, as far as windows let it."""
        if len(octets) <= min(self._window, self._first_window, MAX_FRAME_SIZE):
            stream = self.next_stream
            self._window -= len(octets)
            answer = self.open(fields, more=frame(DATA, END_STREAM, stream, octets))
            self._windows[stream] -= len(octets)
            return answer
        answer = self.open(fields)
        self.data(answer.stream, octets, end=True)
        return answer

    def burst(self, calls: Sequence[tuple[Fields, bytes]]) -> list[Answer]:
        """Calls whole at once, as `call` makes them, written together as far as the windows let it."""
        found: list[Answer] = []
        out = bytearray()
        for fields, octets in calls:
            head = header_block(fields)
            if max(len(head), len(octets)) > min(self._window, self._first_window, MAX_FRAME_SIZE):
                self.send(bytes(out))
                out.clear()
                found.append(self.call(fields, octets))
                continue
            stream = self.next_stream
            self.next_stream += 2
            found.append(self.expect(stream))
            self.spend(stream, len(octets))
            out += frame(HEADERS, END_HEADERS, stream, head) + frame(DATA, END_STREAM, stream, octets)
        self.send(bytes(out))
        return found

    def message(self, stream: int, octets: bytes, *, flag: int = 0, end: bool = False) -> None:
        """A length-prefixed message."""
        self.data(stream, message(octets, flag), end=end)

    def data(self, stream: int, octets: bytes, *, end: bool = False) -> None:
        """DATA, in frames and when the peer's windows let it."""
        self._waiting.setdefault(stream, []).append((octets, end))
        self._flush(stream)

    def reset(self, stream: int, code: int) -> None:
        """RST_STREAM; what waits on the stream is dropped."""
        self._waiting.pop(stream, None)
        self.send(frame(RST_STREAM, 0, stream, code.to_bytes(4, "big")))
        answer = self.answers.get(stream)
        if answer is not None and not answer.ended:
            answer.cancelled = True
            self._end(answer, "cancelled")

    def room(self, stream: int) -> int:
        """How many octets of DATA the peer takes on a stream now."""
        return min(self._window, self._windows.get(stream, FIRST_WINDOW))

    def spend(self, stream: int, octets: int) -> None:
        """So many octets of DATA have been sent by hand."""
        self._window -= octets
        self._windows[stream] = self._windows.get(stream, FIRST_WINDOW) - octets

    def _flush(self, stream: int) -> None:
        queue = self._waiting.get(stream)
        out = bytearray()
        while queue:
            octets, end = queue[0]
            most = min(self._window, self._windows.get(stream, FIRST_WINDOW), MAX_FRAME_SIZE)
            if octets and most <= 0:
                break
            piece = octets[: max(most, 0)]
            rest = octets[len(piece) :]
            self._window -= len(piece)
            if stream in self._windows:
                self._windows[stream] -= len(piece)
            out += frame(DATA, END_STREAM if end and not rest else 0, stream, piece)
            if rest:
                queue[0] = (rest, end)
            else:
                queue.pop(0)
        if not queue:
            self._waiting.pop(stream, None)
        if out:
            self.send(bytes(out))

    def send(self, octets: bytes, timeout: float = 3.0, *, reads: bool = True) -> bool:
        """Send octets as they are, reading meanwhile what comes; False if the peer does not take them in time."""
        if self.recorder is not None:
            self.recorder.record(Direction.CLIENT, octets, time.monotonic())
        rest = memoryview(octets)
        until = 0.0
        while rest and not self.closed:
            try:
                count = self._sock.send(rest)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                now = time.monotonic()
                until = until or now + timeout
                if now >= until:
                    return False
                self._poll.modify(self._sock, (select.POLLIN if reads else 0) | select.POLLOUT)
                self._poll.poll(min(until - now, 0.1) * 1000)
                self._poll.modify(self._sock, select.POLLIN)
                if reads:
                    self._receive()
                continue
            except OSError as error:
                self._receive()
                self._close(f"the connection is broken: {error.strerror or error}")
                return False
            self.sent += count
            rest = rest[count:]
            until = 0.0
        return not self.closed

    # -- receiving

    def pump(self, until: float, *, idle: bool = False) -> None:
        """Take what comes until every stream has ended, the connection has, or it is ``until`` (monotonic seconds).

        ``idle``: not only until streams have ended.
        """
        while not self.closed and (idle or self.unfinished):
            if self._receive():
                continue
            left = until - time.monotonic()
            if left <= 0:
                return
            self._poll.poll(left * 1000 + 1)

    def turn(self, seconds: float) -> None:
        """Take what comes within some time, but no longer than until something has come."""
        if not self.closed and not self._receive():
            self._poll.poll(seconds * 1000)
            self._receive()

    def _receive(self) -> bool:
        try:
            data = self._sock.recv(READ_SIZE)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError as error:
            self._close(f"the connection is broken: {error.strerror or error}")
            return False
        if not data:
            self._close("the peer closed the connection")
            return False
        if self.recorder is not None:
            self.recorder.record(Direction.SERVER, data, time.monotonic())
        self.received += len(data)
        self._take(self._data + data if self._data else data)
        return True

    # -- ends

    def _close(self, how: str) -> None:
        if not self.closed:
            if self.goaway is not None:
                how = f"GOAWAY {http2_error_name(self.goaway)}"
            self.closed = how
        self._sock.close()

    def close(self, *, abruptly: bool = False) -> None:
        """Close it; ``abruptly`` with a TCP reset."""
        if abruptly and not self.closed:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.closed = self.closed or "closed by the fuzzer"
        self._sock.close()

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
