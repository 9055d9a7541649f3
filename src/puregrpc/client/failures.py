"""What a client's backends say when a connection or a call fails, and the TLS that params ask for."""

from __future__ import annotations

from puregrpc.client.params import ConnectParams
from puregrpc.errors import ConnectError, NotConnected, RpcError
from puregrpc.transport.tls import TlsOptions
from puregrpc.wire.status import Status, StatusCode

__all__ = ["DEADLINE_PASSED", "connect_error", "not_connected", "reflection_error", "status_of", "tls_options"]

DEADLINE_PASSED = "context deadline exceeded"


def status_of(error: RpcError) -> Status:
    """The status that an exception stands for."""
    return Status(error.code, error.message, error.details)


def tls_options(params: ConnectParams) -> TlsOptions | None:
    """None for plaintext. An authority is also the name that the certificate must have, as in k6."""
    if params.plaintext:
        return None
    options = params.tls or TlsOptions()
    if params.authority:
        host = params.authority.rpartition(":")[0] or params.authority
        return options.with_server_name(host if not host.endswith("]") else host[1:-1])
    return options


def reflection_error(error: RpcError) -> RpcError:
    """How it is told that a server does not answer reflection."""
    hint = " (the server has no reflection: load .proto files)" if error.code == StatusCode.UNIMPLEMENTED else ""
    return RpcError(
        error.code,
        f"error invoking reflect API: {error.message}{hint}",
        details=error.details,
        trailers=error.trailers,
        code_name=Status(error.code).name,
    )


def connect_error(error: ConnectError, *, is_late: bool) -> ConnectError:
    """How it is told that there is no connection; what would help is named as the params of connect name it."""
    said = str(error).replace("root_certificates or server_name in TlsOptions", "tls.cacerts or authority")
    return ConnectError(f"{DEADLINE_PASSED + ': ' if is_late else ''}connection error: {said}")


def not_connected() -> NotConnected:
    return NotConnected("no gRPC connection, you must call connect first")
