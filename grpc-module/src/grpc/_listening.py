"""Where a server listens: an address is bound when it is added, as grpcio does."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from grpc._credentials import ServerCredentials
from puregrpc import TlsOptions, errors

if TYPE_CHECKING:
    from puregrpc.server import BlockingServer, Server

__all__ = ["bind"]

logger = logging.getLogger("grpc")


def bind(
    server: BlockingServer | Server, address: str | bytes, credentials: ServerCredentials | None, *, reuse_port: bool
) -> int:
    """Bind an address; gives its port. Raises RuntimeError, as grpcio does, if that cannot be."""
    target = address.decode() if isinstance(address, bytes) else address
    for prefix in ("ipv4:", "ipv6:", "dns:///", "dns:"):
        target = target.removeprefix(prefix)
    tls = None if credentials is None else _tls(credentials)
    try:
        bound = server.bind(target, tls=tls, reuse_port=reuse_port, both_families=True)
    except (errors.Error, OSError) as error:
        raise RuntimeError(f"Failed to bind to address {target}: {error}") from error
    if target.startswith("unix"):
        return 1
    return int(bound[0].rpartition(":")[2])


def _tls(credentials: ServerCredentials) -> TlsOptions | None:
    accepting = credentials._credentials
    certificates = accepting.certificates
    if certificates is None:
        return None
    key, chain = certificates.pairs[0]
    return TlsOptions(
        certificate_chain=chain,
        private_key=key,
        root_certificates=certificates.roots if accepting.require_client_auth else None,
        require_client_certificate=accepting.require_client_auth,
    )
