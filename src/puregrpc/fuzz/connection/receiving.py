"""What comes back on a connection, frame by frame, and what of it no server may send (RFC 9113)."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.frames.probe import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    MAX_FRAME_SIZE,
    PADDED,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    SETTINGS_ACK,
    WINDOW_UPDATE,
    frame,
    window,
)
from puregrpc.trace import Recorder
from puregrpc.wire.fast.hpack_decoder import HeaderDecoder, HeaderDecodingError, HeaderListTooLargeError
from puregrpc.wire.status import http2_error_name

__all__ = ["Receiving"]

CANCEL = 8
"""Where a deadline passes while an answer is written, some servers (grpc-java) reset the call and finish the frame."""
STREAM_WINDOW = 1 << 20
MOST_WINDOW = (1 << 31) + (64 << 20)
"""More than a window may be, and what may be on its way."""
CONNECTION_WINDOW = 1 << 30
FIRST_WINDOW = 65535
PRIORITY_FLAG = 0x20
MOST_HEADERS = 1 << 20
NOT_SETTINGS = "the first frame is not SETTINGS (RFC 9113, section 3.4)"
MOST_KEPT = 64 << 20
"""Octets of answers that are kept on one connection."""


class Receiving(ABC):
    """The state of a connection as its frames tell it; who sends is the subclass."""

    def __init__(self, *, raw: bool, recorder: Recorder | None, takes_windows: bool) -> None:
        self.raw = raw
        self.recorder = recorder
        self.answers: dict[int, Answer] = {}
        self.violations: list[str] = []
        self.closed = ""
        """How the connection ended, empty as long as it has not."""
        self.goaway: int | None = None
        self.goaway_text = b""
        self.last_stream = 0
        self.has_settings = False
        self.has_acknowledgement = False
        self.settings: dict[int, int] = {}
        self.pongs: list[bytes] = []
        self.received = 0
        self.unfinished = 0
        """Streams that have not ended yet, of those that it opened."""
        self._kept = 0
        self._began = time.monotonic()
        """When streams began that others than it have opened, as far as anybody knows."""
        self._window = FIRST_WINDOW
        self._first_window = FIRST_WINDOW
        self._windows: dict[int, int] = {}
        self._waiting: dict[int, list[tuple[bytes, bool]]] = {}
        self._stream_window = STREAM_WINDOW
        self._taken: dict[int, int] = {}
        self._takes_windows = takes_windows
        self._connection_left = FIRST_WINDOW
        self._decoder = HeaderDecoder(MOST_HEADERS)
        self._data = b""
        self._headers: tuple[int, int, list[bytes]] | None = None

    @abstractmethod
    def send(self, octets: bytes, timeout: float = 3.0, *, reads: bool = True) -> bool:
        """Send octets as they are."""

    @abstractmethod
    def _flush(self, stream: int) -> None:
        """Send what has waited for windows."""

    @abstractmethod
    def _close(self, how: str) -> None:
        """The connection is over."""

    def _take(self, data: bytes) -> None:
        at = 0
        size = len(data)
        while size - at >= 9 and not self.closed:
            length = int.from_bytes(data[at : at + 3], "big")
            if length > MAX_FRAME_SIZE:
                self._break(f"a frame of {length} octets; {MAX_FRAME_SIZE} were allowed (RFC 9113, section 4.2)")
                return
            end = at + 9 + length
            if end > size:
                break
            stream = int.from_bytes(data[at + 5 : at + 9], "big") & 0x7FFFFFFF
            self._frame(data[at + 3], data[at + 4], stream, data[at + 9 : end])
            at = end
        self._data = data[at:]

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if not self.has_settings and not self.raw:
            if kind == SETTINGS and not flags & ACK:
                self.has_settings = True
            elif kind not in (PING, WINDOW_UPDATE, SETTINGS):
                self._break(NOT_SETTINGS)
                return
            elif NOT_SETTINGS not in self.violations:
                # A server that says no more than this too early can be talked to.
                self.violations.append(NOT_SETTINGS)
        if self._headers is not None and (kind != CONTINUATION or stream != self._headers[0]):
            self._break("a frame between HEADERS and its CONTINUATION (RFC 9113, section 6.10)")
            return
        if kind == HEADERS:
            self._on_headers(flags, stream, payload)
        elif kind == DATA:
            self._on_data(flags, stream, payload)
        elif kind == SETTINGS:
            self._on_settings(flags, stream, payload)
        elif kind == WINDOW_UPDATE:
            self._on_window(stream, payload)
        elif kind == RST_STREAM:
            self._on_reset(stream, payload)
        elif kind == PING:
            if len(payload) != 8 or stream:
                self._break("a PING that is malformed (RFC 9113, section 6.7)")
            elif flags & ACK:
                self.pongs.append(payload)
            else:
                self.send(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            if len(payload) < 8 or stream:
                self._break("a GOAWAY that is malformed (RFC 9113, section 6.8)")
            else:
                self.last_stream = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
                self.goaway = int.from_bytes(payload[4:8], "big")
                self.goaway_text = payload[8:]
        elif kind == CONTINUATION:
            if self._headers is None:
                self._break("a CONTINUATION without HEADERS (RFC 9113, section 6.10)")
                return
            self._headers[2].append(payload)
            if flags & END_HEADERS:
                self._finish_headers()
        elif kind == PUSH_PROMISE:
            self._break("a PUSH_PROMISE, which was not allowed (RFC 9113, section 6.6)")
        elif kind == PRIORITY and len(payload) != 5:
            self.violations.append("a PRIORITY of a wrong size (RFC 9113, section 6.3)")

    def _stream(self, stream: int, what: str) -> Answer | None:
        answer = self.answers.get(stream)
        if answer is None:
            if self.raw and stream:
                self.answers[stream] = answer = Answer(stream, self._began)
                self._taken[stream] = FIRST_WINDOW
                self.unfinished += 1
                return answer
            self._break(f"{what} on stream {stream}, which was never opened (RFC 9113, section 5.1)")
        return answer

    def _on_headers(self, flags: int, stream: int, payload: bytes) -> None:
        if flags & PADDED:
            padding = payload[0] if payload else 0
            if padding >= len(payload):
                self._break("padding larger than its frame (RFC 9113, section 6.2)")
                return
            payload = payload[1 : len(payload) - padding]
        if flags & PRIORITY_FLAG:
            payload = payload[5:]
        if flags & END_HEADERS:
            self._on_block(stream, flags, payload)
        else:
            self._headers = (stream, flags, [payload])

    def _finish_headers(self) -> None:
        assert self._headers is not None
        stream, flags, pieces = self._headers
        self._headers = None
        self._on_block(stream, flags, b"".join(pieces))

    def _on_block(self, stream: int, flags: int, octets: bytes) -> None:
        try:
            run, rest = self._decoder.decode(octets)
        except HeaderListTooLargeError:
            self.violations.append("more than a megabyte of header fields")
            return
        except HeaderDecodingError as error:
            self._break(f"a header block that cannot be decoded: {error} (RFC 9113, section 4.3)")
            return
        answer = self._stream(stream, "HEADERS")
        if answer is None or answer.cancelled:
            return
        if answer.ended and answer.reset == CANCEL:
            return
        if answer.ended:
            self.violations.append(f"HEADERS on stream {stream} after its end (RFC 9113, section 5.1)")
            return
        answer.on_fields(run.fields + rest if rest else run.fields, end=bool(flags & END_STREAM))
        if flags & END_STREAM:
            self._end(answer, "")

    def _on_data(self, flags: int, stream: int, payload: bytes) -> None:
        counted = len(payload)
        if flags & PADDED:
            padding = payload[0] if payload else 0
            if padding >= len(payload):
                self._break("padding larger than its frame (RFC 9113, section 6.1)")
                return
            payload = payload[1 : len(payload) - padding]
        self._connection_left -= counted
        if self._connection_left < 0:
            self._break("DATA beyond the window of the connection (RFC 9113, section 6.9.1)")
            return
        answer = self._stream(stream, "DATA")
        if self._takes_windows and self._connection_left < CONNECTION_WINDOW // 2:
            self.send(window(0, CONNECTION_WINDOW // 2))
            self._connection_left += CONNECTION_WINDOW // 2
        if answer is None or answer.cancelled:
            return
        if answer.ended and answer.reset == CANCEL:
            return
        if answer.ended:
            self.violations.append(f"DATA on stream {stream} after its end (RFC 9113, section 5.1)")
            return
        left = self._taken[stream] = self._taken[stream] - counted
        if left < 0:
            answer.violations.append("DATA beyond the window of the stream (RFC 9113, section 6.9.1)")
            self._taken[stream] = 1 << 30
        elif left < self._stream_window // 2 and self._takes_windows and not flags & END_STREAM:
            self.send(window(stream, self._stream_window - left))
            self._taken[stream] = self._stream_window
        if self._kept < MOST_KEPT:
            self._kept += len(payload)
            answer.on_data(payload)
            answer.last_data = time.monotonic()
        if flags & END_STREAM:
            answer.has_no_trailers = True
            self._end(answer, "END_STREAM with DATA")

    def _on_settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream or len(payload) % 6 or (flags & ACK and payload):
            self._break("a SETTINGS frame that is malformed (RFC 9113, section 6.5)")
            return
        if flags & ACK:
            self.has_acknowledgement = True
            return
        for at in range(0, len(payload), 6):
            number = int.from_bytes(payload[at : at + 2], "big")
            value = int.from_bytes(payload[at + 2 : at + 6], "big")
            self.settings[number] = value
            if number == 4:
                if value > 0x7FFFFFFF:
                    self._break("an INITIAL_WINDOW_SIZE beyond 2^31-1 (RFC 9113, section 6.5.2)")
                    return
                for each in self._windows:
                    self._windows[each] += value - self._first_window
                self._first_window = value
            elif number == 5 and not MAX_FRAME_SIZE <= value <= 0xFFFFFF:
                self._break("a MAX_FRAME_SIZE out of its range (RFC 9113, section 6.5.2)")
                return
            elif number == 2 and value:
                self.violations.append("a server's ENABLE_PUSH is not 0 (RFC 9113, section 6.5.2)")
        if not self.raw:
            self.send(SETTINGS_ACK)
        for each in list(self._waiting):
            self._flush(each)

    def _on_window(self, stream: int, payload: bytes) -> None:
        if len(payload) != 4:
            self._break("a WINDOW_UPDATE of a wrong size (RFC 9113, section 6.9)")
            return
        octets = int.from_bytes(payload, "big") & 0x7FFFFFFF
        if not octets:
            self.violations.append("a WINDOW_UPDATE of 0 octets (RFC 9113, section 6.9)")
        if stream:
            if stream in self._windows:
                self._windows[stream] += octets
            elif not self.raw:
                self._break(f"WINDOW_UPDATE on stream {stream}, which was never opened (RFC 9113, section 5.1)")
                return
            self._flush(stream)
        else:
            self._window += octets
            if self._window > MOST_WINDOW and not self.raw:
                self._break("a window beyond 2^31-1 octets (RFC 9113, section 6.9.1)")
                return
            for each in list(self._waiting):
                self._flush(each)

    def _on_reset(self, stream: int, payload: bytes) -> None:
        if len(payload) != 4:
            self._break("a RST_STREAM of a wrong size (RFC 9113, section 6.4)")
            return
        answer = self._stream(stream, "RST_STREAM")
        if answer is not None and not answer.ended:
            answer.reset = int.from_bytes(payload, "big")
            self._end(answer, f"RST_STREAM {http2_error_name(answer.reset)}")

    # -- ends

    def _end(self, answer: Answer, how: str) -> None:
        answer.ended = True
        answer.how = how
        answer.finished = time.monotonic()
        self.unfinished -= 1
        self._waiting.pop(answer.stream, None)

    def _break(self, violation: str) -> None:
        self.violations.append(violation)
        self._close(f"given up: {violation}")
