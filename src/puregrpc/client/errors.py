"""Exceptions of calls that are not given as a response, in grpc-go's words."""

from __future__ import annotations

from collections.abc import Sequence

from puregrpc.client.constants import StatusName
from puregrpc.errors import RpcError
from puregrpc.wire.status import Status

__all__ = ["failed_call"]


def failed_call(
    status: Status,
    before: str = "",
    *,
    headers: Sequence[tuple[str, str | bytes]] = (),
    trailers: Sequence[tuple[str, str | bytes]] = (),
) -> RpcError:
    """An RpcError that reads ``rpc error: code = NotFound desc = …``."""
    error = RpcError(
        status.code, status.message, details=status.details, headers=headers, trailers=trailers, code_name=status.name
    )
    error.args = (f"{before}rpc error: code = {StatusName(status.code)} desc = {status.message}",)
    return error
