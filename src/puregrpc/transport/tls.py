"""TLS for both ends: options as people have them (PEM text or files) and the ssl contexts made from them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from puregrpc.errors import InvalidArgument
from puregrpc.kernel.network.connecting import ALPN_H2
from puregrpc.kernel.network.tls_sessions import TlsSessionCache
from puregrpc.transport.certificates import Certificate, read_certificate
from puregrpc.transport.pem import CLIENT_AUTH, SERVER_AUTH, Block, blocks

if TYPE_CHECKING:
    import ssl
    from typing import TypeGuard

__all__ = ["InsecureTlsWarning", "TlsOptions", "TlsSessionCache"]

ROOTS_VARIABLE = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
"""The variable of the environment that names the roots for clients that are given none (gRPC's
environment_variables.md)."""

Pem = str | bytes | os.PathLike[str]


class InsecureTlsWarning(UserWarning):
    """Certificates are not verified: anyone between the two ends can read and change everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """How one end of a connection does TLS.

    Each piece of PEM is either the text itself (``str`` or ``bytes`` with ``-----BEGIN`` in it) or the path of a file.
    What stands outside of its blocks is ignored (RFC 7468, section 2), in whatever encoding.
    """

    root_certificates: Pem | None = None
    """Client: whom to trust; None: those in the file that the environment's GRPC_DEFAULT_SSL_ROOTS_FILE_PATH names, or
    else the system's roots. Server: who may sign client certificates."""
    certificate_chain: Pem | None = None
    """This end's certificate, followed by the intermediate ones. A server needs it; a client, for mutual TLS.

    Where it and ``private_key`` are files, they are used as they are. Text goes through a temporary file, since
    Python's ssl module takes files alone."""
    private_key: Pem | None = None
    """The key of ``certificate_chain``; None if it stands in the same PEM."""
    password: str | bytes | None = field(default=None, repr=False)
    """What an encrypted ``private_key`` is decrypted with."""
    server_name: str | None = None
    """Client: the name to ask for (SNI) and to find in the certificate, in place of the target's host."""
    verify: bool = True
    """Client: False takes any certificate, and warns with InsecureTlsWarning."""
    more_key_pairs: Sequence[tuple[Pem, Pem | None]] = ()
    """Server: other certificate chains with their private keys, for clients that ask (SNI) for a name that is theirs;
    all others get ``certificate_chain``."""
    strict_certificates: bool = False
    """Refuse certificates that RFC 5280 does not allow, common as they are: a CA without key usage, a certificate that
    does not identify its issuer's key (OpenSSL's X509_V_FLAG_X509_STRICT, which Python sets by default from 3.13 on).
    """
    require_client_certificate: bool = False
    """Server: refuse clients without a certificate signed by ``root_certificates``."""
    require_alpn: bool = True
    """Refuse a peer that does not agree on "h2" by ALPN. False is for intermediaries that know nothing of ALPN."""
    key_log_file: str | os.PathLike[str] | None = None
    """Append the secrets of each connection to this file, in the form that Wireshark reads."""
    session_cache: TlsSessionCache | None = field(default=None, repr=False)
    """Client: where sessions are kept for later connections; None does a whole handshake each time. Files that have
    changed, the roots of the environment and of the system too, are looked at for each channel."""

    changes: ClassVar[bool] = False
    """The options of a server do not change; see `DynamicTls`."""

    def files(self) -> list[str]:
        """The paths among the pieces."""
        pieces = [self.root_certificates, self.certificate_chain, self.private_key]
        for pair in self.more_key_pairs:
            pieces += pair
        return [os.fsdecode(piece) for piece in pieces if piece is not None and not _is_text(piece)]

    def with_server_name(self, name: str) -> TlsOptions:
        return replace(self, server_name=name)

    def client_context(self) -> ssl.SSLContext:
        """The context of a client. Raises InvalidArgument that names the piece that is wrong."""
        _check_ssl()
        if not self.verify:
            warnings.warn(
                "TLS certificates are not verified (verify=False): the connection is open to anyone in between",
                InsecureTlsWarning,
                stacklevel=2,
            )
        if self.session_cache is None and (self.certificate_chain is not None or self.key_log_file is not None):
            return self._client_context()  # a private key is not kept
        own = replace(self, server_name=None, session_cache=None)
        roots = os.environ.get(ROOTS_VARIABLE) if self.root_certificates is None else None
        files = [*self.files(), *(_system_roots() if roots is None else [roots])]
        contexts = _contexts if self.session_cache is None else self.session_cache
        return contexts.context_for((own, roots, versions_of(files)), self._client_context)

    def _client_context(self) -> ssl.SSLContext:
        import ssl

        roots = self._roots(SERVER_AUTH)
        if roots is None and (path := os.environ.get(ROOTS_VARIABLE)):
            roots = _trusted(_Piece(ROOTS_VARIABLE, os.fsencode(path)), SERVER_AUTH)
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cadata=roots)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._prepare(context)
        return context

    def server_context(self) -> ssl.SSLContext:
        """The context of a server. Raises InvalidArgument that names the piece that is wrong or missing."""
        _check_ssl()
        import ssl

        if self.certificate_chain is None:
            raise InvalidArgument("certificate_chain: a TLS server needs a certificate")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        roots = self._roots(CLIENT_AUTH)
        if roots is not None:
            context.load_verify_locations(cadata=roots)
            context.verify_mode = ssl.CERT_OPTIONAL
        if self.require_client_certificate:
            if roots is None:
                raise InvalidArgument("require_client_certificate needs root_certificates to verify clients against")
            context.verify_mode = ssl.CERT_REQUIRED
        self._prepare(context)
        if self.more_key_pairs:
            self._choose_by_name(context)
        return context

    def _choose_by_name(self, context: ssl.SSLContext) -> None:
        """Have the certificate chosen by the name that the client asks for (RFC 6066, section 3)."""

        first = _first_certificate(self)
        others: list[tuple[Certificate, ssl.SSLContext]] = []
        for number, (chain, key) in enumerate(self.more_key_pairs):
            other = replace(self, certificate_chain=chain, private_key=key, more_key_pairs=())
            try:
                others.append((_first_certificate(other), other.server_context()))
            except InvalidArgument as error:
                raise InvalidArgument(f"more_key_pairs[{number}]: {error}") from None

        def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
            if name is not None and not first.covers(name):
                for certificate, other in others:
                    if certificate.covers(name):
                        connection.context = other
                        return

        context.sni_callback = choose

    def _prepare(self, context: ssl.SSLContext) -> None:
        import ssl

        # RFC 9113, section 9.2: TLS 1.2 or higher, no compression, no renegotiation.
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | getattr(ssl, "OP_NO_RENEGOTIATION", 0)
        # The same on every Python. A certificate that is given as a root is one, whoever signed it.
        context.verify_flags |= getattr(ssl, "VERIFY_X509_PARTIAL_CHAIN", 0)
        if self.strict_certificates:
            context.verify_flags |= ssl.VERIFY_X509_STRICT
        else:
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.set_alpn_protocols([ALPN_H2])
        if self.certificate_chain is not None:
            self._load_chain(context)
        elif self.private_key is not None:
            raise InvalidArgument("private_key was given without certificate_chain")
        if self.key_log_file is not None:
            try:
                context.keylog_filename = os.fspath(self.key_log_file)
            except OSError as error:
                raise InvalidArgument(f"key_log_file {str(self.key_log_file)!r}: {error.strerror}") from None

    def _roots(self, usage: bytes) -> bytes | None:
        """The DER of `root_certificates`, those that may be trusted for a usage."""
        if self.root_certificates is None:
            return None
        return _trusted(_Piece("root_certificates", self.root_certificates), usage)

    def _load_chain(self, context: ssl.SSLContext) -> None:
        if self.certificate_chain is None:
            return
        chain = _Piece("certificate_chain", self.certificate_chain)
        certificates = chain.certificates()
        key = chain if self.private_key is None else _Piece("private_key", self.private_key)
        found = next((block for block in key.blocks if block.is_key), None)
        if found is None:
            if key is chain:
                raise InvalidArgument(f"private_key: none was given, and {chain.where} holds none")
            raise InvalidArgument(f"{key.where}: no PRIVATE KEY in PEM form was found in it")
        if chain.path is not None and key.path is not None:
            self._load_files(context, chain.path, key.path)
            return
        text = [found.pem, *(_certificate_pem(der) for _, der in certificates)]
        with _temporary_file(b"\n".join(text)) as path:
            self._load_files(context, path, path)

    def _load_files(self, context: ssl.SSLContext, chain: str, key: str) -> None:
        asked = False

        def give_password() -> str | bytes:
            nonlocal asked
            asked = True
            return b"" if self.password is None else self.password

        try:
            context.load_cert_chain(chain, key, password=give_password)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            if asked and self.password is None:
                raise InvalidArgument("private_key: the key is encrypted and no password was given") from None
            if asked:
                raise InvalidArgument(f"private_key: the password does not decrypt the key: {error}") from None
            fault = "do not go together" if "MISMATCH" in (getattr(error, "reason", "") or "") else "cannot be used"
            raise InvalidArgument(f"certificate_chain and private_key {fault}: {error}") from None


class _Piece:
    """One of the pieces of PEM in the options, read from its file if it is a path."""

    def __init__(self, name: str, value: Pem) -> None:
        self.where = name
        self.path: str | None = None
        """The file, if it can be read again."""
        if _is_text(value):
            pem = value.encode("utf-8", "replace") if isinstance(value, str) else bytes(value)
        else:
            path = os.fsdecode(value)
            self.where = f"{name} {path!r}"
            try:
                pem = Path(path).read_bytes()
                if Path(path).is_file():  # a pipe can be read but once
                    self.path = path
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                raise InvalidArgument(f"{self.where}: {reason} (a path, or PEM text, is expected)") from None
        try:
            self.blocks = blocks(pem)
        except ValueError as error:
            raise InvalidArgument(f"{self.where}: {error}") from None

    def certificates(self) -> list[tuple[Block, bytes]]:
        """Its certificates, each with its DER. Raises InvalidArgument if there are none, or one is not valid."""
        import ssl

        scratch = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        found = []
        for number, block in enumerate((block for block in self.blocks if block.is_certificate), 1):
            try:
                block.is_trusted_for(SERVER_AUTH)
                der = block.der()
                scratch.load_verify_locations(cadata=der)
            except (OSError, ValueError) as error:
                which = f" {number}" if number > 1 else ""
                raise InvalidArgument(f"{self.where}: not a valid certificate{which}: {error}") from None
            found.append((block, der))
        if not found:
            raise InvalidArgument(f"{self.where}: no CERTIFICATE in PEM form was found in it")
        return found


_contexts = TlsSessionCache()
"""The contexts of clients with equal options: reading the roots takes 20 ms. No session is kept in it."""


def _system_roots() -> list[str]:
    import ssl

    paths = ssl.get_default_verify_paths()
    return [paths.cafile or "", paths.capath or ""]


def versions_of(paths: Sequence[str]) -> list[object]:
    """What tells files that have changed: of each its number, size and time; None for one that is not there."""
    versions: list[object] = []
    for path in paths:
        try:
            found = Path(path).stat()
            versions.append((found.st_ino, found.st_size, found.st_mtime_ns))
        except (OSError, ValueError):  # ValueError: no path can be like that
            versions.append(None)
    return versions


def _is_text(value: Pem) -> TypeGuard[str | bytes]:
    """Whether a piece is PEM itself, and not a path."""
    return (isinstance(value, str) and "-----BEGIN" in value) or (isinstance(value, bytes) and b"-----BEGIN" in value)


def _first_certificate(options: TlsOptions) -> Certificate:
    if options.certificate_chain is None:
        raise InvalidArgument("certificate_chain: a TLS server needs a certificate")
    _, der = _Piece("certificate_chain", options.certificate_chain).certificates()[0]
    return read_certificate(der)


def _trusted(roots: _Piece, usage: bytes) -> bytes:
    """The DER of those that may be trusted for a usage."""
    trusted = [der for block, der in roots.certificates() if block.is_trusted_for(usage)]
    if not trusted:
        raise InvalidArgument(f"{roots.where}: none of its certificates is trusted for this use")
    return b"".join(trusted)


def _certificate_pem(der: bytes) -> bytes:
    import ssl

    return ssl.DER_cert_to_PEM_cert(der).encode()


@contextmanager
def _temporary_file(content: bytes) -> Iterator[str]:
    """The path of a file of mode 0600, which is always deleted."""
    import tempfile  # seldom needed, and large

    path: str | None = None
    try:
        try:
            handle, path = tempfile.mkstemp(prefix="puregrpc-", suffix=".pem")
            with os.fdopen(handle, "wb") as file:
                file.write(content)
        except OSError as error:
            raise InvalidArgument(
                "certificate_chain and private_key: text goes through a temporary file, and none can be written "
                f"({error.strerror or error}); give the paths of files"
            ) from None
        yield path
    finally:
        if path is not None:
            Path(path).unlink()


def _check_ssl() -> None:
    try:
        import_module("ssl")
    except ImportError as error:
        raise InvalidArgument(f"TLS needs Python's module ssl, which cannot be imported: {error}") from None
