"""What holds for connecting whoever waits for it: the order of attempts, what ALPN must say, and errors in words."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from itertools import chain, zip_longest

from puregrpc.errors import ConnectError
from puregrpc.transport.addresses import Address, TcpAddress

__all__ = ["ALPN_H2", "CONNECTION_ATTEMPT_DELAY", "check_alpn", "describe", "explain_tls", "interleave_families"]

ALPN_H2 = "h2"

CONNECTION_ATTEMPT_DELAY = 0.25
"""How long an attempt has for itself before the next address is tried beside it (RFC 8305, section 5)."""


def interleave_families(addresses: Sequence[Address]) -> list[Address]:
    """The addresses with their families in turns, the first one's family first (RFC 8305, section 4)."""
    families: dict[object, list[Address]] = {}
    for address in addresses:
        families.setdefault(address.family if isinstance(address, TcpAddress) else "unix", []).append(address)
    return [address for address in chain.from_iterable(zip_longest(*families.values())) if address is not None]


def describe(error: OSError) -> str:
    """An operating system's error in words, without its number."""
    return error.strerror or str(error) or type(error).__name__


def check_alpn(tls: ssl.SSLSocket, peer: str, *, require_alpn: bool) -> None:
    """Close ``tls`` and raise ConnectError if the peer did not agree on HTTP/2 (RFC 9113, section 3.2).

    So too where there was no handshake, because the connection was gone before it: what is read then is plaintext.
    """
    if tls.version() is None:
        tls.close()
        raise ConnectError(f"{peer} closed the connection before the TLS handshake")
    protocol = tls.selected_alpn_protocol()
    if require_alpn and protocol != ALPN_H2:
        tls.close()
        offered = f"chose {protocol!r}" if protocol else "chose no protocol"
        raise ConnectError(f"{peer} {offered} by ALPN: gRPC needs HTTP/2 ('h2')")


def explain_tls(error: OSError) -> str:
    """What a failed handshake means, in words that name the way out."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted: {error.verify_message} "
            "(give the right root_certificates or server_name in TlsOptions)"
        )
    if isinstance(error, ssl.SSLEOFError | ConnectionError):
        return "the connection was closed in the middle of it (a plaintext server, or one that wants something else?)"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"):
            return "the peer does not speak TLS (connect in plaintext?)"
        if "NO_APPLICATION_PROTOCOL" in reason:
            return "the peer does not offer HTTP/2 ('h2') by ALPN"
        if "CERTIFICATE_REQUIRED" in reason:
            return "the peer asks for a client certificate (certificate_chain in TlsOptions)"
        return reason.replace("_", " ").lower() or str(error)
    return describe(error)
