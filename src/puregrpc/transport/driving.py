"""What trio's sessions and those of blocking callers have in common: sizes of reads, counters, foreign peers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LARGEST_READ_SIZE", "READ_SIZE", "SessionCounters", "describe_foreign_protocol"]

READ_SIZE = 1 << 16
LARGEST_READ_SIZE = 1 << 18
"""A read asks for more once reads come back full: small reads stay cheap, large messages come in few pieces."""


@dataclass(frozen=True, slots=True)
class SessionCounters:
    """What passed through a session, in octets of the byte stream (inside TLS, if there is TLS)."""

    bytes_sent: int
    bytes_received: int

    def __add__(self, other: SessionCounters) -> SessionCounters:
        return SessionCounters(self.bytes_sent + other.bytes_sent, self.bytes_received + other.bytes_received)


FOREIGN_PROTOCOLS = (
    (b"HTTP/1.", "the peer speaks HTTP/1.1, not HTTP/2"),
    (b"\x15\x03", "the peer answered with a TLS alert: it expects TLS, not plaintext"),
    (b"\x16\x03", "the peer began a TLS handshake: it expects TLS, not plaintext"),
    (b"SSH-", "the peer is an SSH server"),
    (b"220 ", "the peer is a mail or file transfer server"),
    (b"* OK", "the peer is an IMAP server"),
)


def describe_foreign_protocol(data: bytes) -> str | None:
    """What a peer speaks instead of HTTP/2, told from the first octets that it sent; None if they tell nothing."""
    for start, meaning in FOREIGN_PROTOCOLS:
        if data.startswith(start):
            line = data.split(b"\r\n", 1)[0][:80].decode("latin-1")
            return f"{meaning} ({line!r})" if line.isprintable() else meaning
    return None
