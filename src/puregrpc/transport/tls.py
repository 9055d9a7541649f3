"""TLS for both ends: options as people have them (PEM text or files), the ssl contexts made from them, and its end."""

from __future__ import annotations

import os
import socket
import ssl
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

from puregrpc.errors import InvalidArgument
from puregrpc.transport.connect_rules import ALPN_H2

__all__ = ["InsecureTlsWarning", "TlsOptions", "send_close_notify", "shut_down"]


class InsecureTlsWarning(UserWarning):
    """Certificates are not verified: anyone between the two ends can read and change everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """How one end of a connection does TLS.

    Each piece of PEM is either the text itself (``str`` or ``bytes`` with ``-----BEGIN`` in it) or the path of a file.
    """

    root_certificates: str | bytes | os.PathLike[str] | None = None
    """Client: whom to trust; None: the system's roots. Server: who may sign client certificates."""
    certificate_chain: str | bytes | os.PathLike[str] | None = None
    """This end's certificate, followed by the intermediate ones. A server needs it; a client, for mutual TLS."""
    private_key: str | bytes | os.PathLike[str] | None = None
    """The key of ``certificate_chain``; None if it stands in the same PEM."""
    password: str | bytes | None = field(default=None, repr=False)
    """What an encrypted ``private_key`` is decrypted with."""
    server_name: str | None = None
    """Client: the name to ask for (SNI) and to find in the certificate, in place of the target's host."""
    verify: bool = True
    """Client: False takes any certificate, and warns with InsecureTlsWarning."""
    require_client_certificate: bool = False
    """Server: refuse clients without a certificate signed by ``root_certificates``."""
    require_alpn: bool = True
    """Refuse a peer that does not agree on "h2" by ALPN. False is for intermediaries that know nothing of ALPN."""
    key_log_file: str | os.PathLike[str] | None = None
    """Append the secrets of each connection to this file, in the form that Wireshark reads."""

    def with_server_name(self, name: str) -> TlsOptions:
        return replace(self, server_name=name)

    def client_context(self) -> ssl.SSLContext:
        """The context of a client. Raises InvalidArgument that names the piece that is wrong."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cadata=_pem(self, "root_certificates"))
        if not self.verify:
            warnings.warn(
                "TLS certificates are not verified (verify=False): the connection is open to anyone in between",
                InsecureTlsWarning,
                stacklevel=2,
            )
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._prepare(context)
        return context

    def server_context(self) -> ssl.SSLContext:
        """The context of a server. Raises InvalidArgument that names the piece that is wrong or missing."""
        if self.certificate_chain is None:
            raise InvalidArgument("certificate_chain: a TLS server needs a certificate")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        roots = _pem(self, "root_certificates")
        if roots is not None:
            context.load_verify_locations(cadata=roots)
            context.verify_mode = ssl.CERT_OPTIONAL
        if self.require_client_certificate:
            if roots is None:
                raise InvalidArgument("require_client_certificate needs root_certificates to verify clients against")
            context.verify_mode = ssl.CERT_REQUIRED
        self._prepare(context)
        return context

    def _prepare(self, context: ssl.SSLContext) -> None:
        # RFC 9113, section 9.2: TLS 1.2 or higher, no compression, no renegotiation.
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | getattr(ssl, "OP_NO_RENEGOTIATION", 0)
        context.set_alpn_protocols([ALPN_H2])
        chain = _pem(self, "certificate_chain")
        key = _pem(self, "private_key")
        if chain is not None:
            _load_chain(context, chain, key, self.password)
        elif key is not None:
            raise InvalidArgument("private_key was given without certificate_chain")
        if self.key_log_file is not None:
            try:
                context.keylog_filename = os.fspath(self.key_log_file)
            except OSError as error:
                raise InvalidArgument(f"key_log_file {str(self.key_log_file)!r}: {error.strerror}") from None


def _pem(options: TlsOptions, name: str) -> str | None:
    """The PEM text of a field, read from its file if it is a path, and checked to be PEM."""
    value = getattr(options, name)
    if value is None:
        return None
    where = name
    if isinstance(value, bytes) and b"-----BEGIN" in value:
        value = value.decode("ascii", "replace")
    if not (isinstance(value, str) and "-----BEGIN" in value):
        path = Path(os.fsdecode(value))
        where = f"{name} {str(path)!r}"
        try:
            value = path.read_text("ascii", "replace")
        except OSError as error:
            raise InvalidArgument(f"{where}: {error.strerror} (a path, or PEM text, is expected)") from None
    what = "PRIVATE KEY" if name == "private_key" else "CERTIFICATE"
    if f"{what}-----" not in value:
        raise InvalidArgument(f"{where}: no {what} in PEM form was found in it")
    if what == "CERTIFICATE":
        try:
            ssl.create_default_context(cadata=value)
        except (ssl.SSLError, ValueError) as error:
            raise InvalidArgument(f"{where}: not a valid certificate: {error}") from None
    return str(value)


def _load_chain(context: ssl.SSLContext, chain: str, key: str | None, password: str | bytes | None) -> None:
    """Load certificate and key, which the ssl module takes only as a file: a temporary of mode 0600, always deleted."""
    asked = False

    def give_password() -> str | bytes:
        nonlocal asked
        asked = True
        return b"" if password is None else password

    import tempfile  # seldom needed, and large

    handle, path = tempfile.mkstemp(prefix="puregrpc-", suffix=".pem")
    try:
        with os.fdopen(handle, "w", encoding="ascii", errors="replace") as file:
            file.write(f"{key or ''}\n{chain}")
        context.load_cert_chain(path, password=give_password)
    except (ssl.SSLError, ValueError) as error:
        if asked and password is None:
            raise InvalidArgument("private_key: the key is encrypted and no password was given") from None
        if asked:
            raise InvalidArgument(f"private_key: the password does not decrypt the key: {error}") from None
        raise InvalidArgument(f"certificate_chain and private_key do not go together: {error}") from None
    finally:
        Path(path).unlink()


def send_close_notify(tls: ssl.SSLSocket) -> bool:
    """Say in TLS that nothing more will be sent (RFC 8446, section 6.1). Waits for nothing, never fails.

    True if the peer has said so as well. TLS is over then and its object gone: neither read nor write ``tls`` any
    more, for that would be plaintext.
    """
    try:
        tls.unwrap()
    except (OSError, ValueError):  # it wants to read the peer's close_notify; ValueError: no handshake was done
        return False
    return True


def shut_down(sock: socket.socket, how: int) -> None:
    """Shut down a socket that may be in TLS (``how`` as in `socket.socket.shutdown`). Never fails.

    ``SSLSocket.shutdown`` would drop the TLS object, and what the socket receives from then on be taken for what came
    through TLS, whoever on the way has sent it.
    """
    try:
        socket.socket.shutdown(sock, how)
    except OSError:
        return
