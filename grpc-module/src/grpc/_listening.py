"""Where a server listens: an address is bound when it is added, as grpcio does."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from grpc._credentials import ServerCertificateConfiguration, ServerCredentials, _Certificates
from puregrpc import DynamicTls, TlsOptions, errors

if TYPE_CHECKING:
    from puregrpc.server import BlockingServer, Server

__all__ = ["bind"]

DEFAULT_PORT = 443
"""Of an address without one, as grpcio has it."""

logger = logging.getLogger("grpc")


def bind(
    server: BlockingServer | Server, address: str | bytes, credentials: ServerCredentials | None, *, reuse_port: bool
) -> int:
    """Bind an address; gives its port. Raises RuntimeError, as grpcio does, if that cannot be."""
    target = address.decode() if isinstance(address, bytes) else address
    for prefix in ("ipv4:", "ipv6:", "dns:///", "dns:"):
        target = target.removeprefix(prefix)
    if target and not target.startswith("unix") and ":" not in target:
        target += f":{DEFAULT_PORT}"
    tls = None if credentials is None else _tls(credentials)
    try:
        if isinstance(tls, TlsOptions):
            tls.server_context()  # a key that is none is told now, not at the start
        bound = server.bind(target, tls=tls, reuse_port=reuse_port, both_families=True)
    except (errors.Error, OSError) as error:
        raise RuntimeError(f"Failed to bind to address {target}: {error}") from error
    if target.startswith("unix"):
        return 1
    return int(bound[0].rpartition(":")[2])


def _tls(credentials: ServerCredentials) -> TlsOptions | DynamicTls | None:
    accepting = credentials._credentials
    certificates = accepting.certificates
    if certificates is None:
        return None
    options, fetch = _options(certificates, accepting.require_client_auth), accepting.fetch
    if fetch is None:
        return options

    def fetch_options() -> TlsOptions | None:
        found = fetch()
        if found is None:
            return None
        if not isinstance(found, ServerCertificateConfiguration):
            raise TypeError(f"the fetcher gives a ServerCertificateConfiguration or None, not {found!r}")
        return _options(found._certificate_configuration, accepting.require_client_auth)

    return DynamicTls(options, fetch_options)


def _options(certificates: _Certificates, require_client_auth: bool) -> TlsOptions:
    (key, chain), *others = certificates.pairs
    return TlsOptions(
        certificate_chain=chain,
        private_key=key,
        more_key_pairs=tuple((chain, key) for key, chain in others),
        root_certificates=certificates.roots if require_client_auth else None,
        require_client_certificate=require_client_auth,
    )
