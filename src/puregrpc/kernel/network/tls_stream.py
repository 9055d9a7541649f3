"""A byte stream of TLS over any other byte stream."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any

from puregrpc.kernel.guard import guard_of
from puregrpc.kernel.network.streams import ByteStream
from puregrpc.kernel.network.tls import RECORD_SIZE, TlsError, TlsLayer

if TYPE_CHECKING:
    from puregrpc.kernel.base import Kernel

__all__ = ["TlsStream"]

MOST_WRITTEN = 4 * RECORD_SIZE
"""How much is encrypted before it is sent: enough for few calls of the system, and little enough for the caches."""

MOST_ANSWERED = 1 << 16
"""How many octets of TLS's own answers (KeyUpdate) may wait for a peer that does not take them."""


class TlsStream(ByteStream):
    """TLS over any byte stream, which it owns. `shake_hands` comes first.

    What was encrypted but not taken by the stream below counts as not sent: it is offered again, and is not encrypted
    again.
    """

    tls: TlsLayer

    def __init__(self, kernel: Kernel, inner: ByteStream, layer: TlsLayer) -> None:
        self.kernel = kernel
        self.inner = inner
        self.tls = layer
        self.local = inner.local
        self.peer = inner.peer
        self._guard = guard_of(kernel)
        self._unsent: bytes | memoryview = b""
        """Octets that the stream below has not taken yet."""
        self._ahead = 0
        """How many bytes of what will be offered next are in ``_unsent`` already."""
        self._has_more = True
        """There may be something in the layer already: behind the handshake, where a read ended at its limit, the end.
        """
        self._is_ended = False

    async def shake_hands(self, until: float = inf) -> bool:
        """Do the handshake; False if it is not over by ``until``. Raises TlsError, or OSError if the stream breaks."""
        inner, layer = self.inner, self.tls
        while True:
            try:
                is_over = await self._go_on_with_handshake()
            except TlsError:
                with suppress(OSError):
                    self._flush()  # the alert that says why
                raise
            try:
                while not self._flush():
                    if not await inner.wait_writable(until):
                        return False
            except OSError:
                # A peer that refuses has said why, in an alert, before it broke the stream.
                layer.feed(inner.receive_nowait(RECORD_SIZE) or b"")
                layer.handshake()
                raise
            if is_over:
                return True
            while (data := inner.receive_nowait(RECORD_SIZE)) is None:
                if not await inner.wait_readable(until):
                    return False
            layer.feed(data)

    async def _go_on_with_handshake(self) -> bool:
        layer = self.tls
        if layer.is_server_side and self.kernel.world == "threads":
            # What OpenSSL takes of a stack is not given back: a few threads have it, not that of each connection.
            return await self.kernel.in_thread(layer.handshake)
        return layer.handshake()

    # -- reading

    def receive_nowait(self, limit: int) -> bytes | None:
        return self._guard(self._receive, limit)

    def _receive(self, limit: int) -> bytes | None:
        layer = self.tls
        if not self._has_more:
            encrypted = self.inner.receive_nowait(limit)
            if encrypted is None:
                return None
            layer.feed(encrypted)
        self._has_more = True  # an error stays
        data = layer.read(limit)
        self._has_more = data is not None and (layer.is_at_end or not 0 < len(data) < limit)
        if self._unsent or layer.has_output:
            self._answer()
        return data

    def _answer(self) -> None:
        """Send what reading has brought about: the answer to KeyUpdate (RFC 8446, section 4.6.3), or an alert."""
        with suppress(OSError):  # writing and reading break apart from each other
            self._flush()
        if len(self._unsent) > MOST_WRITTEN + MOST_ANSWERED:
            raise TlsError("the peer asks for new keys again and again, and takes none")

    async def wait_readable(self, until: float = inf) -> bool:
        if self._has_more:
            await self.kernel.checkpoint()
            return True
        return await self.inner.wait_readable(until)

    # -- writing

    def send_nowait(self, data: bytes | memoryview) -> int:
        return self._guard(self._send, data)

    def _send(self, data: bytes | memoryview) -> int:
        if not self._flush():
            return 0
        size = len(data)
        taken = min(self._ahead, size)
        self._ahead -= taken
        view = memoryview(data)
        while taken < size:
            chunk = view[taken : taken + MOST_WRITTEN]
            self.tls.write(chunk)
            if not self._flush():
                self._ahead = len(chunk)
                break
            taken += len(chunk)
        return taken

    def _flush(self) -> bool:
        """Send what has been encrypted; False if the stream below does not take all of it."""
        if self.tls.has_output:
            output = self.tls.take_output()
            self._unsent = b"".join((self._unsent, output)) if self._unsent else output
        if self._unsent:
            taken = self.inner.send_nowait(self._unsent)
            self._unsent = memoryview(self._unsent)[taken:] if taken < len(self._unsent) else b""
        return not self._unsent

    def wait_writable(self, until: float = inf) -> Coroutine[Any, Any, bool]:
        return self.inner.wait_writable(until)

    # -- the end

    def send_eof(self) -> None:
        self._guard(self._send_eof)

    def _send_eof(self) -> None:
        if self._is_ended:
            return
        self._is_ended = True
        self.tls.close_notify()
        self._has_more = True
        if self._try_to_flush():
            self.inner.send_eof()  # there are peers that do not answer close_notify before TCP's FIN
        else:
            self.kernel.spawn(self._end)

    def _try_to_flush(self) -> bool:
        try:
            return self._flush()
        except OSError:
            return True  # whoever reads is told

    async def _end(self) -> None:
        while not self._guard(self._try_to_flush):
            await self.inner.wait_writable()
        self.inner.send_eof()

    def close(self) -> None:
        self.inner.close()
