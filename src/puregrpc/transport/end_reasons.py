"""Why a connection ended, in words: the same ones in all worlds."""

from __future__ import annotations

from puregrpc.kernel.network.reasons import TlsError, describe

__all__ = [
    "CLOSED_HERE",
    "PEER_CLOSED",
    "broken",
    "describe",
    "describe_foreign_protocol",
    "failed_here",
    "no_settings",
]

PEER_CLOSED = "the peer closed the connection"
CLOSED_HERE = "the connection was closed by this side"


def broken(error: OSError, write_error: str | None = None) -> str:
    """Reading or writing failed; ``write_error``: after writing had failed for this reason, which is the one that
    counts, unless the peer has said in TLS why it does not go on."""
    if write_error is not None and not isinstance(error, TlsError):
        return write_error
    return f"the connection broke: {describe(error)}"


def failed_here(error: BaseException) -> str:
    """Something went wrong here that must not."""
    return f"the connection was given up after an error of this side: {type(error).__name__}: {error}"


def no_settings(handshake_timeout: float) -> str:
    """The peer did not say in time what RFC 9113, section 3.4, has it say first."""
    return (
        f"the peer sent no HTTP/2 SETTINGS frame within {handshake_timeout:g} s: "
        "it does not speak HTTP/2, or not in plaintext"
    )


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
