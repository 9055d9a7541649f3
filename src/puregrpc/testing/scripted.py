"""Peers that follow a script: send this, expect that. What they receive and nobody looks at is a failure.

::

    async with ScriptedServer() as server, open_channel(server.address) as channel, trio.open_nursery() as nursery:
        nursery.start_soon(call, channel)
        async with await server.accept() as peer:
            headers = await peer.expect("HEADERS 1")
            await peer.expect("DATA 1 END_STREAM")
            await peer.send(peer.frames.response(1), peer.frames.data(1, b"not a message"))
            await peer.expect("RST_STREAM 1")
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType

import hpack
from hyperframe.frame import ContinuationFrame, Frame, GoAwayFrame, HeadersFrame, RstStreamFrame

from puregrpc.kernel import Kernel
from puregrpc.kernel.network.addresses import split_host_port
from puregrpc.kernel.network.connecting import connect
from puregrpc.kernel.network.listening import Listener, listen
from puregrpc.kernel.network.streams import ByteStream
from puregrpc.kernel.ownership import open_kernel
from puregrpc.testing.frames import CLIENT_PREFACE, FrameFactory, parse_frame
from puregrpc.wire.status import http2_error_name

__all__ = ["ScriptedClient", "ScriptedConnection", "ScriptedServer", "UnexpectedFrame"]

TIMEOUT = 5.0
"""How long a script waits for the next frame, in seconds."""

HOUSEKEEPING = ("SETTINGS ACK", "WINDOW_UPDATE", "PING ACK")
"""What a script need not account for unless it asks for it: the frames of HTTP/2's own upkeep."""

NAMES = (
    "DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE",
    "CONTINUATION",
)  # fmt: skip


class UnexpectedFrame(AssertionError):  # noqa: N818 - says what came
    """The peer under test sent something that the script does not expect, or nothing."""


class ReceivedFrame:
    """A frame as it came. ``fields`` is the header list that it completes, if it does."""

    def __init__(self, frame: Frame, fields: list[tuple[str, str]] | None) -> None:
        self.frame = frame
        self.fields = fields

    @property
    def data(self) -> bytes:
        """The payload, without padding where the type knows it."""
        return bytes(getattr(self.frame, "data", b""))

    def __str__(self) -> str:
        """``HEADERS 1 END_STREAM``, ``RST_STREAM 3 CANCEL``, ``GOAWAY NO_ERROR``, ``SETTINGS ACK`` ..."""
        frame = self.frame
        kind = frame.type if frame.type is not None else -1
        words = [NAMES[kind] if 0 <= kind < len(NAMES) else f"TYPE_{kind}"]
        if frame.stream_id:
            words.append(str(frame.stream_id))
        if isinstance(frame, RstStreamFrame | GoAwayFrame):
            words.append(http2_error_name(frame.error_code))
        words += sorted(flag for flag in frame.flags if flag in ("ACK", "END_STREAM"))
        return " ".join(words)


class ScriptedConnection:
    """One connection of a script. As a context manager it closes the stream, and fails if frames were not looked at."""

    def __init__(self, stream: ByteStream, *, ignoring: Iterable[str] = HOUSEKEEPING) -> None:
        self.stream = stream
        self.frames = FrameFactory()
        self._ignoring = tuple(ignoring)
        self._decoder = hpack.Decoder()
        self._octets = b""
        self._block = b""
        self._unseen: deque[ReceivedFrame] = deque()

    async def __aenter__(self) -> ScriptedConnection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self.expect_nothing(0.0)
        finally:
            self.stream.close()

    async def send(self, *octets: bytes, piece: int | None = None) -> None:
        """Send frames, as they are; with ``piece`` in pieces of so many octets, a turn of the loop between them."""
        data = memoryview(b"".join(octets))
        while data:
            sent = self.stream.send_nowait(data[: piece or len(data)])
            data = data[sent:]
            if sent == 0:
                await self.stream.wait_writable()
            elif piece:
                await self.stream.kernel.checkpoint()

    async def receive(self, timeout: float = TIMEOUT) -> ReceivedFrame | None:
        """The next frame that is not ignored; None at the end of the stream.

        Raises UnexpectedFrame if none comes within ``timeout`` seconds.
        """
        until = self.stream.kernel.now() + timeout
        while not self._unseen:
            is_over = await self._read(until)
            if is_over is None:
                raise UnexpectedFrame(f"nothing came within {timeout:g} s")
            if is_over:
                return None
        return self._unseen.popleft()

    async def expect(self, *lines: str) -> ReceivedFrame:
        """The next frames must be these: each line is how `ReceivedFrame` shows one, or the beginning of that.

        Gives the last of them. Raises UnexpectedFrame.
        """
        found: ReceivedFrame | None = None
        for line in lines:
            found = await self.receive()
            shown = "the end of the stream" if found is None else str(found)
            if found is None or not f"{shown} ".startswith(f"{line} "):
                raise UnexpectedFrame(f"{line} was expected, and {shown} came")
        if found is None:
            raise ValueError("expect: there is nothing to expect")
        return found

    async def expect_end(self) -> None:
        """The stream must end next."""
        found = await self.receive()
        if found is not None:
            raise UnexpectedFrame(f"the end of the stream was expected, and {found} came")

    async def expect_nothing(self, seconds: float = 0.05) -> None:
        """No frame may come for so long."""
        until = self.stream.kernel.now() + seconds
        while not self._unseen and await self._read(until) is False:
            pass
        if self._unseen:
            raise UnexpectedFrame(f"nothing was expected, and there is {', '.join(map(str, self._unseen))}")

    async def _read(self, until: float) -> bool | None:
        """Take what comes by ``until``: whether that is the end; None if nothing has come."""
        while (data := self.stream.receive_nowait(1 << 16)) is None:
            if not await self.stream.wait_readable(until):
                return None
        self._octets += data
        while (parsed := parse_frame(self._octets)) is not None:
            frame, size = parsed
            self._octets = self._octets[size:]
            received = ReceivedFrame(frame, self._fields(frame))
            line = str(received)
            if not any(f"{line} ".startswith(f"{ignored} ") for ignored in self._ignoring):
                self._unseen.append(received)
        return not data

    def _fields(self, frame: Frame) -> list[tuple[str, str]] | None:
        if not isinstance(frame, HeadersFrame | ContinuationFrame):
            return None
        self._block += frame.data
        if "END_HEADERS" not in frame.flags:
            return None
        block, self._block = self._block, b""
        return [(str(name), str(value)) for name, value in self._decoder.decode(block)]


class ScriptedServer:
    """Listens on a free port of 127.0.0.1 and plays the server, connection by connection. On asyncio and on trio."""

    def __init__(self) -> None:
        self._listener: Listener | None = None
        self._lifetime: AbstractAsyncContextManager[Kernel] | None = None

    async def __aenter__(self) -> ScriptedServer:
        self._lifetime = open_kernel("ScriptedServer")
        kernel = await self._lifetime.__aenter__()
        (self._listener,) = await listen(kernel, "127.0.0.1:0")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if self._listener is not None:
            self._listener.close()
        return None if self._lifetime is None else await self._lifetime.__aexit__(kind, error, traceback)

    @property
    def address(self) -> str:
        """``127.0.0.1:PORT``."""
        return str(self._listening().address)

    def _listening(self) -> Listener:
        if self._listener is None:
            raise RuntimeError("the scripted server does not listen: use it with `async with`")
        return self._listener

    async def accept(
        self, *, shake_hands: bool = True, timeout: float = TIMEOUT, **settings: int
    ) -> ScriptedConnection:
        """The next client. ``shake_hands`` takes its preface and SETTINGS, sends ``settings`` and the ACK.

        Raises UnexpectedFrame if none comes within ``timeout`` seconds.
        """
        listener = self._listening()
        if not await listener.kernel.wait_readable(listener.socket, listener.kernel.now() + timeout):
            raise UnexpectedFrame(f"no client came within {timeout:g} s")
        return await server_side(await listener.accept(), shake_hands=shake_hands, timeout=timeout, **settings)


async def server_side(
    stream: ByteStream, *, shake_hands: bool = True, timeout: float = TIMEOUT, **settings: int
) -> ScriptedConnection:
    """The server's end of a script over any stream."""
    until = stream.kernel.now() + timeout
    preface = b""
    while shake_hands and len(preface) < len(CLIENT_PREFACE):
        data = stream.receive_nowait(len(CLIENT_PREFACE) - len(preface))
        if data is not None:
            preface += data
        if data == b"" or (data is None and not await stream.wait_readable(until)):
            break
    if shake_hands and preface != CLIENT_PREFACE:
        raise UnexpectedFrame(f"the client's preface was expected, and {preface!r} came")
    connection = ScriptedConnection(stream)
    if shake_hands:
        await connection.send(connection.frames.settings(**settings), connection.frames.settings_ack())
        await connection.expect("SETTINGS")
    return connection


@asynccontextmanager
async def ScriptedClient(  # noqa: N802 - goes with ScriptedServer
    address: str, *, shake_hands: bool = True, timeout: float = TIMEOUT, **settings: int
) -> AsyncIterator[ScriptedConnection]:
    """Connect to ``host:port`` and play the client. ``shake_hands`` sends the preface, SETTINGS and the ACK.

    On asyncio and on trio. Raises ConnectError if there is no connection within ``timeout`` seconds.
    """
    host, port = split_host_port(address)
    async with open_kernel("ScriptedClient") as kernel:
        until = kernel.now() + timeout
        stream = await connect(kernel, await kernel.resolve(host, port, until), until)
        async with ScriptedConnection(stream) as connection:
            if shake_hands:
                frames = connection.frames
                await connection.send(CLIENT_PREFACE, frames.settings(**settings), frames.settings_ack())
                await connection.expect("SETTINGS")
            yield connection
