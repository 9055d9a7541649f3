"""TLS between octets and octets, for all worlds: `ssl.SSLObject` with memory on both of its sides.

Nothing that the peer sent is given to anybody but what came through TLS.
"""

from __future__ import annotations

import ssl
from collections.abc import Coroutine
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any

from puregrpc.kernel.addresses import name_of_host
from puregrpc.kernel.guard import guard_of
from puregrpc.kernel.reasons import TlsError, explain_tls
from puregrpc.kernel.streams import ByteStream

if TYPE_CHECKING:
    from puregrpc.kernel.base import Kernel

__all__ = ["TlsError", "TlsLayer", "TlsStream"]

RECORD_SIZE = 1 << 14
"""The most that a record carries (RFC 8446, section 5.1)."""

MOST_WRITTEN = 4 * RECORD_SIZE
"""How much is encrypted before it is sent: enough for few calls of the system, and little enough for the caches."""

MOST_ANSWERED = 1 << 16
"""How many octets of TLS's own answers (KeyUpdate) may wait for a peer that does not take them."""


class TlsLayer:
    """One connection's TLS, without I/O. Give it what came with `feed`, and send what `take_output` gives.

    ``server_name`` is the client's: the name to ask for (SNI) and to find in the certificate; neither the dot of a
    fully qualified name nor the zone of an address is part of it. Raises TlsError if TLS cannot begin with it.

    Not for two threads at once.
    """

    def __init__(self, context: ssl.SSLContext, *, server_side: bool = False, server_name: str | None = None) -> None:
        self._server_side = server_side
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        name = None if server_name is None else name_of_host(server_name)
        if context.check_hostname and name is None and not server_side:
            raise TlsError("TLS cannot begin without a name to find in the peer's certificate")
        try:
            self._object = context.wrap_bio(
                self._incoming, self._outgoing, server_side=server_side, server_hostname=name
            )
        except (ssl.SSLError, ValueError, TypeError) as error:
            raise TlsError(f"TLS cannot begin with the name {name!r}: {error}") from error
        self._early: list[bytes] = []
        """What was decrypted before it was asked for."""
        self._is_established = False
        self._is_over = False
        self._error: TlsError | None = None

    # -- what is known of it after the handshake

    @property
    def version(self) -> str | None:
        """``TLSv1.2`` or ``TLSv1.3``."""
        return self._object.version()

    @property
    def cipher(self) -> str | None:
        """The cipher suite's name, as OpenSSL writes it."""
        cipher = self._object.cipher()
        return None if cipher is None else cipher[0]

    @property
    def alpn(self) -> str | None:
        """The protocol that both agreed on by ALPN (RFC 7301)."""
        return self._object.selected_alpn_protocol()

    @property
    def peer_certificate(self) -> bytes | None:
        """The peer's certificate (DER); None if it gave none."""
        return self._object.getpeercert(binary_form=True) if self._is_established else None

    # -- work

    def handshake(self) -> bool:
        """Go on with the handshake; True once it is done. Send the output in either case, and if it raises TlsError."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise self._broken(error) from error
        self._is_established = True
        return True

    def feed(self, data: bytes) -> None:
        """These octets came from the peer; b"" if none will come any more."""
        if self._is_over:
            return
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def read(self, limit: int) -> bytes | None:
        """Up to about ``limit`` bytes; None if there are none yet; b"" if there will be none any more.

        The end is the end whether or not the peer announced it (close_notify, RFC 8446, section 6.1): HTTP/2 knows
        what is incomplete. Raises TlsError after the last byte before what is wrong.
        """
        parts: list[bytes] = []
        size = 0
        if self._early:
            parts, self._early = self._early, []
            size = sum(map(len, parts))
        incoming = self._incoming
        read = self._object.read
        while size < limit and (incoming.pending or self._object.pending() or incoming.eof) and not self._is_over:
            try:
                data = read(RECORD_SIZE)
            except ssl.SSLWantReadError:
                break
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                data = b""
            except ssl.SSLError as error:
                self._error = self._broken(error)
                data = b""
            if not data:
                self._is_over = True
                break
            parts.append(data)
            size += len(data)
        if parts:
            return parts[0] if len(parts) == 1 else b"".join(parts)
        if not self._is_over:
            return None
        if self._error is not None:
            raise self._error
        return b""

    def write(self, data: bytes | memoryview) -> None:
        """Encrypt data, all of it."""
        write = self._object.write
        try:
            if len(data) <= RECORD_SIZE:
                write(data)
                return
            view = memoryview(data)
            while view:
                view = view[write(view) :]
        except ssl.SSLError as error:
            raise self._broken(error) from error

    @property
    def has_output(self) -> bool:
        """There is something for `take_output`: after `handshake`, `write`, `close_notify`, and at times `read`."""
        return self._outgoing.pending > 0

    def take_output(self) -> bytes:
        """What is to be sent to the peer now."""
        return self._outgoing.read()

    def close_notify(self) -> None:
        """Tell the peer that nothing more will be written (RFC 8446, section 6.1). Reading goes on. Never fails."""
        # OpenSSL would drop what it reads while it looks for the peer's own close_notify.
        early = []
        with suppress(TlsError):
            while data := self.read(RECORD_SIZE):
                early.append(data)
        self._early = early
        with suppress(ssl.SSLError, ValueError):  # it wants to read the peer's now; or the handshake was never done
            self._object.unwrap()

    def _broken(self, error: ssl.SSLError) -> TlsError:
        return TlsError(explain_tls(error, server_side=self._server_side, established=self._is_established))


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
                is_over = layer.handshake()
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
        self._has_more = data is not None and not 0 < len(data) < limit
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
