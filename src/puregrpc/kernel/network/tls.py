"""TLS between octets and octets, for all worlds: `ssl.SSLObject` with memory on both of its sides.

Nothing that the peer sent is given to anybody but what came through TLS.
"""

from __future__ import annotations

import ssl
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from puregrpc.kernel.network.addresses import name_of_host
from puregrpc.kernel.network.reasons import TlsError, explain_tls

if TYPE_CHECKING:
    from puregrpc.kernel.network.tls_sessions import TlsSessionCache

__all__ = ["RECORD_SIZE", "TlsError", "TlsLayer", "is_record_whole"]

RECORD_SIZE = 1 << 14
"""The most that a record carries (RFC 8446, section 5.1)."""

MOST_LOOKS_FOR_TICKETS = 8
"""How often a client looks whether a ticket has come, which servers of TLS 1.3 send when they like, most at once."""

RECORD_HEAD = 5
"""What stands before what a record carries: its type, a version and the length."""

HANDSHAKE_RECORD = 22


def is_record_whole(octets: bytes) -> bool:
    """Whether the first record of a handshake is there, or what begins is none, which OpenSSL is to say."""
    if not octets or octets[0] != HANDSHAKE_RECORD:
        return bool(octets)
    if len(octets) < RECORD_HEAD:
        return False
    length = int.from_bytes(octets[3:RECORD_HEAD], "big")
    return length > RECORD_SIZE or len(octets) >= RECORD_HEAD + length


if sys.implementation.name == "pypy":
    # Its module ssl reads the C types of a function when that is first called, and fails where two threads do so.
    _first = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _first.check_hostname = False
    _first.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO()).selected_alpn_protocol()


class TlsLayer:
    """One connection's TLS, without I/O. Give it what came with `feed`, and send what `take_output` gives.

    ``server_name`` is the client's: the name to ask for (SNI) and to find in the certificate; neither the dot of a
    fully qualified name nor the zone of an address is part of it. Raises TlsError if TLS cannot begin with it. A
    client begins with a session of ``sessions`` if there is one, and leaves its own there.

    Not for two threads at once.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_name: str | None = None,
        sessions: TlsSessionCache | None = None,
    ) -> None:
        self.is_server_side = server_side
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        name = None if server_name is None else name_of_host(server_name)
        if context.check_hostname and name is None and not server_side:
            raise TlsError("TLS cannot begin without a name to find in the peer's certificate")
        session = None if sessions is None else sessions.take(context, name)
        try:
            self._object = context.wrap_bio(
                self._incoming, self._outgoing, server_side=server_side, server_hostname=name, session=session
            )
        except (ssl.SSLError, ValueError, TypeError) as error:
            raise TlsError(f"TLS cannot begin with the name {name!r}: {error}") from error
        self._name = name
        self._sessions = sessions
        """Where the session goes; None once it is there."""
        self._looks = 0
        """How often it was looked for."""
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
        """The peer's certificate (DER); None if it gave none, and where nobody knows any more, since TLS has failed."""
        if self._is_established:
            with suppress(ValueError):  # OpenSSL takes the handshake for not done then
                return self._object.getpeercert(binary_form=True)
        return None

    @property
    def peer_chain(self) -> tuple[bytes, ...]:
        """The peer's certificates (DER) as it showed them; before Python 3.13 its own alone."""
        give = getattr(self._object, "get_unverified_chain", None)
        if give is not None and self._is_established:
            return tuple(give() or ())
        own = self.peer_certificate
        return () if own is None else (own,)

    @property
    def is_resumed(self) -> bool:
        """The session is one of an earlier connection."""
        return bool(self._object.session_reused)

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
        if self._sessions is not None and self.version != "TLSv1.3":
            self._keep_session(self._sessions)
        return True

    def _keep_session(self, sessions: TlsSessionCache) -> None:
        """Leave the session to later connections, if it is there: in TLS 1.3 it comes after the handshake, as a ticket
        (RFC 8446, section 4.6.1)."""
        session = self._object.session
        is_for_one = self.version == "TLSv1.3"
        if session is not None and (session.has_ticket or (session.id and not is_for_one)):
            sessions.put(self._object.context, self._name, session, is_for_one=is_for_one)
            self._sessions = None
        self._looks += 1
        if self._looks >= MOST_LOOKS_FOR_TICKETS:
            self._sessions = None

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
        if self._sessions is not None:
            self._keep_session(self._sessions)
        if parts:
            return parts[0] if len(parts) == 1 else b"".join(parts)
        if not self._is_over:
            return None
        if self._error is not None:
            raise self._error
        return b""

    @property
    def is_at_end(self) -> bool:
        """All that the peer sent has been read, or nothing more can be."""
        return self._is_over

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
        return TlsError(explain_tls(error, server_side=self.is_server_side, established=self._is_established))
