"""What a transport of asyncio's is for a socket, in a loop that has its sockets read by whom they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.kernel.loops.reading_loop import READABLE, WRITABLE, ReadingLoop
from puregrpc.transport.amounts import SMALLEST_READ_SIZE

if TYPE_CHECKING:
    import asyncio

    from puregrpc.kernel.network.streams import SocketStream

__all__ = ["ReadingTransport"]


class ReadingTransport:
    """Reads a socket where the loop waits for it, and writes what is left to it. See `asyncio.Transport`."""

    __slots__ = (
        "_descriptor", "_error", "_is_ending", "_is_reading", "_loop", "_protocol", "_receive", "_received", "_stream",
        "_unsent", "max_size",
    )  # fmt: skip

    def __init__(self, loop: ReadingLoop, stream: SocketStream, protocol: asyncio.Protocol) -> None:
        self._loop = loop
        self._stream = stream
        self._protocol = protocol
        self._descriptor = stream.socket.fileno()
        self._receive = stream.socket.recv
        self._received = protocol.data_received
        self._unsent: memoryview | None = None
        self._is_reading = True
        self._is_ending = False
        self._error: Exception | None = None
        self.max_size = SMALLEST_READ_SIZE
        loop.read(self._descriptor, READABLE, self._ready)

    def set_write_buffer_limits(self, high: int) -> None:
        """It has no buffer: whatever is left to it makes it full."""

    def pause_reading(self) -> None:
        self._is_reading = False
        self._watch()

    def resume_reading(self) -> None:
        self._is_reading = True
        self._watch()

    def write(self, data: bytes) -> None:
        self._unsent = memoryview(data)
        self._protocol.pause_writing()
        self._watch()

    def abort(self) -> None:
        if not self._is_ending:
            self._is_ending = True
            self._loop.read_no_more(self._descriptor)
            self._loop.call_soon(self._protocol.connection_lost, self._error)

    def _watch(self) -> None:
        mask = (READABLE if self._is_reading else 0) | (0 if self._unsent is None else WRITABLE)
        if self._is_ending:
            return
        if mask:
            self._loop.read(self._descriptor, mask, self._ready)
        else:
            self._loop.read_no_more(self._descriptor)  # else it would be told of errors again and again

    def _ready(self, event: int) -> None:
        if event & ~READABLE and self._unsent is not None:
            self._write()
        if not self._is_reading or self._is_ending:
            return
        try:
            data = self._receive(self.max_size)
            if data:
                self._received(data)
            else:
                self._is_reading = False
                self._watch()
                self._protocol.eof_received()
        except (BlockingIOError, InterruptedError):
            pass
        except Exception as error:
            self._fail(error)

    def _write(self) -> None:
        assert self._unsent is not None
        try:
            taken = self._stream.send_nowait(self._unsent)
        except OSError as error:
            self._fail(error)
            return
        self._unsent = self._unsent[taken:]
        if not self._unsent:
            self._unsent = None
            self._watch()
            self._protocol.resume_writing()

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, OSError):
            self._loop.call_exception_handler({"message": "a fault of a connection's own", "exception": error})
        self._error = self._error or error
        self.abort()
