"""Between byte streams and asyncio's transports: a stream that a transport serves, and a transport over any stream."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from puregrpc.kernel.network.streams import ByteStream
from puregrpc.transport.amounts import SMALLEST_READ_SIZE, next_read_size, without_first

if TYPE_CHECKING:
    from puregrpc.kernel.loops.asyncio_kernel import AsyncioKernel, AsyncioWaiter

__all__ = ["ServedStream", "StreamTransport", "Transport"]


class Transport(Protocol):
    """What a session asks of a transport (see `asyncio.Transport`)."""

    max_size: int

    def set_write_buffer_limits(self, high: int) -> None: ...

    def write(self, data: bytes) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def abort(self) -> None: ...


class ServedStream(ByteStream):
    """A stream that a transport reads, and writes where the stream does not take all at once.

    The owner hands on what the transport tells it: `put`, ``is_full`` (its ``pause_writing``) and `has_room` (its
    ``resume_writing``).
    """

    __slots__ = (
        "_ends_when_empty", "_has_ended", "_inbox", "_send_nowait", "gathers", "is_full", "local", "peer", "stream",
        "transport",
    )  # fmt: skip

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.local = stream.local
        self.peer = stream.peer
        self.gathers = stream.gathers
        self._send_nowait = stream.send_nowait
        self.transport: Transport | None = None
        self.is_full = True
        """The transport still has something to write: nothing more is taken."""
        self._inbox: deque[bytes] = deque()
        self._has_ended = False
        self._ends_when_empty = False

    def put(self, data: bytes) -> None:
        """The transport has read this; b"" is the end."""
        if data:
            self._inbox.append(data)
        else:
            self._has_ended = True

    def receive_nowait(self, limit: int) -> bytes | None:  # noqa: ARG002 - a transport reads as much as is good
        if self._inbox:
            return self._inbox.popleft()
        return b"" if self._has_ended else None

    def send_nowait(self, data: bytes | memoryview) -> int:
        if self.is_full or self.transport is None:
            return 0
        taken = self._send_nowait(data)
        if taken < len(data):
            self.leave(memoryview(data)[taken:])
        return len(data)

    def send_pieces_nowait(self, pieces: Sequence[bytes | memoryview]) -> int:
        if self.is_full or self.transport is None:
            return 0
        rest = without_first(self.stream.send_pieces_nowait(pieces), list(pieces))
        if rest:
            self.leave(*rest)
        return sum(map(len, pieces))

    def leave(self, *rest: bytes | memoryview) -> None:
        """The transport is to send this, before anything else."""
        assert self.transport is not None
        # Copied, so that the messages can go: their senders make the next ones in the same memory.
        self.transport.write(b"".join(rest))

    def has_room(self) -> None:
        """The transport has written all that was left to it."""
        self.is_full = False
        if self._ends_when_empty:
            self.stream.send_eof()

    def wait_readable(self, until: float = inf) -> Coroutine[Any, Any, bool]:
        return self.stream.wait_readable(until)

    def wait_writable(self, until: float = inf) -> Coroutine[Any, Any, bool]:
        return self.stream.wait_writable(until)

    def send_eof(self) -> None:
        if self.is_full:
            self._ends_when_empty = True
        else:
            self.stream.send_eof()

    def close(self) -> None:
        self.stream.close()


class StreamTransport:
    """What a transport of the loop is for a socket, for any other stream: it reads, and writes what is left to it."""

    def __init__(self, kernel: AsyncioKernel, stream: ByteStream, protocol: asyncio.Protocol) -> None:
        self._kernel = kernel
        self._stream = stream
        self._protocol = protocol
        self._unsent: bytes | memoryview = b""
        self._error: Exception | None = None
        self._pause: AsyncioWaiter | None = None
        self._task = kernel.spawn(self._run)

    def set_write_buffer_limits(self, high: int) -> None:
        """It has no buffer: whatever is left to it makes it full."""

    def abort(self) -> None:
        self._task.cancel()

    def pause_reading(self) -> None:
        self._pause = self._kernel.waiter()

    def resume_reading(self) -> None:
        if self._pause is not None:
            self._pause.wake()
            self._pause = None

    def write(self, data: bytes) -> None:
        self._unsent = data
        self._protocol.pause_writing()
        self._kernel.spawn(self._write)

    async def _run(self) -> None:
        try:
            await self._read()
        except OSError as error:
            self._error = error
        except Exception as error:
            self._error = error
            raise
        finally:
            self._stream.close()  # this ends the writing as well
            self._protocol.connection_lost(self._error)

    async def _read(self) -> None:
        stream = self._stream
        limit = SMALLEST_READ_SIZE
        while True:
            if self._pause is not None:
                await self._pause.wait()
            await stream.wait_readable()
            data = stream.receive_nowait(limit)
            if data:
                self._protocol.data_received(data)
                limit = next_read_size(limit, len(data))
            elif data is not None:
                self._protocol.eof_received()
                await self._kernel.sleep(inf)  # until `abort`

    async def _write(self) -> None:
        try:
            while self._unsent:
                await self._stream.wait_writable()
                taken = self._stream.send_nowait(self._unsent)
                self._unsent = memoryview(self._unsent)[taken:]
        except OSError as error:
            self._error = self._error or error
            self.abort()
        else:
            self._protocol.resume_writing()
