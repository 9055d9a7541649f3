"""Why a connection failed, in words: errors of the operating system and of TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

__all__ = ["TlsError", "describe", "explain_tls", "in_seconds"]

STRICT_FAULTS = range(80, 94)
"""What OpenSSL calls the faults that VERIFY_X509_STRICT alone finds (X509_V_ERR_...)."""

HINTS = {
    9: "this machine's clock, or the certificate is for later",
    10: "this machine's clock, or the certificate needs to be renewed",
    **dict.fromkeys((2, 18, 19, 20, 21), "give the right root_certificates in TlsOptions"),
    **dict.fromkeys((62, 64), "give the right server_name in TlsOptions"),
    **dict.fromkeys(STRICT_FAULTS, "RFC 5280 asks for that; without strict_certificates in TlsOptions it is taken"),
}
"""What helps, by the fault's number."""

NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")

CERTIFICATE_REFUSED = (
    "UNKNOWN_CA",
    "BAD_CERTIFICATE",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_UNKNOWN",
    "UNSUPPORTED_CERTIFICATE",
)
"""Alerts about the certificate of who hears them (RFC 8446, section 6.2)."""

ALERTS = {
    "NO_APPLICATION_PROTOCOL": "the peer does not offer HTTP/2 ('h2') by ALPN",
    "CERTIFICATE_REQUIRED": "the peer asks for a client certificate (certificate_chain in TlsOptions)",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client shows no certificate",
    "PROTOCOL_VERSION": "the peer speaks no version of TLS from 1.2 on",
    "UNSUPPORTED_PROTOCOL": "the peer speaks no version of TLS from 1.2 on",
    "UNRECOGNIZED_NAME": "the peer does not know the name that it was asked for (server_name in TlsOptions)",
}
"""Other alerts, and errors of OpenSSL, with what they mean."""


class TlsError(ConnectionError):
    """TLS failed; the text says why, in words that name the way out."""


def describe(error: OSError) -> str:
    """An operating system's error in words, without its number."""
    return error.strerror or str(error) or type(error).__name__


def in_seconds(time: float) -> str:
    """A time for people: what was left of a time-out of 5 s a moment ago is 5 s."""
    return f"{max(time, 0.0):.2g} s" if time < 100 else f"{time:.0f} s"


def explain_tls(error: ssl.SSLError, *, server_side: bool, established: bool) -> str:
    """What a failure of TLS means, in words that name the way out. ``established``: after the handshake."""
    code = getattr(error, "verify_code", None)
    if code is not None:
        hint = f" ({HINTS[code]})" if code in HINTS else ""
        return f"its certificate is not trusted: {getattr(error, 'verify_message', '')}{hint}"
    reason = error.reason or ""
    if "EOF" in reason or (not reason and "EOF" in str(error)):
        other = (
            "a client in plaintext, or one that does not trust the certificate"
            if server_side
            else ("a plaintext server, or one that wants something else")
        )
        return f"the connection was closed in the middle of it ({other}?)"
    if reason in NOT_TLS:
        return "what the peer sent is not TLS" if established else "the peer does not speak TLS (connect in plaintext?)"
    for words, meaning in ALERTS.items():
        if words in reason:
            return meaning
    words = reason.replace("_", " ").lower() or str(error).partition(" (_ssl.c")[0]
    if "ALERT" in reason and reason.endswith(CERTIFICATE_REFUSED):
        return f"the peer does not take this end's certificate: {words.partition('alert ')[2]}"
    if reason.endswith("ALERT_HANDSHAKE_FAILURE") and not server_side:
        return "the peer refused it: no cipher in common, or no client certificate (certificate_chain in TlsOptions)"
    return words
