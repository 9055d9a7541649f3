"""What a client says when there is no connection."""

from __future__ import annotations

from puregrpc.client.results.constants import StatusName
from puregrpc.client.results.wording import DEADLINE
from puregrpc.errors import ConnectError, RpcError
from puregrpc.wire.status import StatusCode

__all__ = ["connect_error", "reflection_error"]

PARAMS = {
    "root_certificates in TlsOptions": "tls.cacerts",
    "server_name in TlsOptions": "authority",
    "certificate_chain in TlsOptions": "tls.cert",
}
"""What would help, as a channel names it -> as the params of connect do."""


def reflection_error(error: RpcError, address: str) -> RpcError | ConnectError:
    """How it is told that a server does not answer reflection."""
    if error.code == StatusCode.DEADLINE_EXCEEDED:
        return ConnectError(f"{DEADLINE.message}: {address} did not describe itself by server reflection in time")
    hint = " (the server has no reflection: load .proto files)" if error.code == StatusCode.UNIMPLEMENTED else ""
    return RpcError(
        StatusName(error.code),
        f"error invoking reflect API: {error.message}{hint}",
        details_bin=error.details_bin,
        trailers=error.trailers,
    )


def connect_error(error: ConnectError, *, is_late: bool) -> ConnectError:
    """How it is told that there is no connection; what would help is named as the params of connect name it."""
    said = str(error)
    for ours, theirs in PARAMS.items():
        said = said.replace(ours, theirs)
    return ConnectError(f"{DEADLINE.message + ': ' if is_late else ''}connection error: {said}")
