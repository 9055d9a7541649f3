"""The params of connect."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from puregrpc.client.params.durations import milliseconds
from puregrpc.client.params.reading import (
    Metadata,
    Reader,
    boolean,
    merged,
    metadata_reader,
    read_all,
    read_timeout,
    shown,
    size,
)
from puregrpc.client.params.tls import PemError, TlsParams, check_types_of_tls, read_tls
from puregrpc.errors import InvalidArgument
from puregrpc.transport.busy_poll import LONGEST_BUSY_POLL
from puregrpc.wire.limits import CLIENT_MAX_HEADER_LIST_SIZE

if TYPE_CHECKING:
    from puregrpc.channel import ServiceConfig
    from puregrpc.kernel.network.tap import Tap
    from puregrpc.transport import TlsOptions

__all__ = ["MAX_SEND_SIZE", "ConnectKeywords", "ConnectParams", "connect_params"]

CONNECT_TIMEOUT = 60_000.0
"""Milliseconds, where none is given."""

MAX_RECEIVE_SIZE = 4 << 20
MAX_SEND_SIZE = 2**31 - 1

_AUTHORITY = re.compile("[!-~]*")


class ConnectKeywords(TypedDict, total=False):
    """The params of `Client.connect`. Times: a number is milliseconds, text has units. Sizes are bytes."""

    plaintext: bool
    reflect: bool
    reflect_metadata: Mapping[str, str | bytes] | None
    reflectMetadata: Mapping[str, str | bytes] | None
    timeout: float | str
    max_receive_size: int
    maxReceiveSize: int
    max_send_size: int
    maxSendSize: int
    max_header_list_size: int
    maxHeaderListSize: int
    tls: TlsParams
    authority: str
    trace: Tap | None
    busy_poll: float | str
    service_config: ServiceConfig | Mapping[str, Any] | str | None
    serviceConfig: ServiceConfig | Mapping[str, Any] | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectParams:
    """Checked params of `Client.connect`."""

    plaintext: bool = False
    reflect: bool = False
    reflect_metadata: Metadata = ()
    timeout: float = CONNECT_TIMEOUT
    """Milliseconds."""
    max_receive_size: int = MAX_RECEIVE_SIZE
    max_send_size: int = MAX_SEND_SIZE
    max_header_list_size: int = CLIENT_MAX_HEADER_LIST_SIZE
    tls: TlsOptions | None = None
    authority: str | None = None
    trace: Tap | None = None
    """Hears every octet of the connection, such as a `puregrpc.trace.Recorder`."""
    busy_poll: float | None = None
    """Seconds; None: the default of `puregrpc.channel.BlockingChannel`."""
    service_config: ServiceConfig | None = None
    """What holds for the calls of methods: timeouts, other attempts (gRFC A2, A6)."""

    def tls_options(self) -> TlsOptions | None:
        """None for plaintext. An authority is also the name that the certificate must have, as in k6."""
        if self.plaintext:
            return None
        from puregrpc.transport import TlsOptions

        options = self.tls or TlsOptions()
        if self.authority:
            host = self.authority.rpartition(":")[0] or self.authority
            return options.with_server_name(host if not host.endswith("]") else host[1:-1])
        return options


def connect_params(params: object, keywords: Mapping[str, Any]) -> ConnectParams:
    """Check the params of connect; the first that is wrong decides. Raises InvalidArgument."""
    try:
        given = merged(params, keywords)
        readers = CONNECT_READERS
        if given.get("plaintext") is True:  # certificates that are not used are not looked at
            readers = {**readers, "tls": check_types_of_tls}
        return ConnectParams(**read_all(given, readers, "connect param"))
    except PemError as error:
        raise InvalidArgument(str(error)) from None
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid grpc.connect() parameters: {error}") from None


def read_busy_poll(value: object) -> float:
    try:
        seconds = milliseconds(value) / 1000
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid busy_poll value: {error}") from None
    if not 0 <= seconds <= LONGEST_BUSY_POLL:
        longest = LONGEST_BUSY_POLL * 1000
        raise InvalidArgument(f"invalid busy_poll value: '{shown(value)}', it needs to be 0 to {longest:g} ms")
    return seconds


def read_authority(value: object) -> str | None:
    if not isinstance(value, str):
        raise InvalidArgument(f"invalid authority value: '{shown(value)}', it needs to be a string")
    if not _AUTHORITY.fullmatch(value):
        raise InvalidArgument(
            f"invalid authority value: '{shown(value)}', it needs to be a host, with or without a port"
        )
    return value or None


def read_trace(value: object) -> object:
    if value is not None and not (
        callable(getattr(value, "sent", None)) and callable(getattr(value, "received", None))
    ):
        raise InvalidArgument(f"invalid trace value: '{shown(value)}', it needs to be a puregrpc.trace.Recorder")
    return value


def read_service_config(value: object) -> ServiceConfig | None:
    from puregrpc.channel.service_config.config import ServiceConfig
    from puregrpc.channel.service_config.reading import parse_service_config

    if value is None or isinstance(value, ServiceConfig):
        return value
    if not isinstance(value, str | Mapping):
        raise InvalidArgument(
            f"invalid serviceConfig value: '{shown(value)}', it needs to be an object or JSON text that holds one"
        )
    return parse_service_config(value)


CONNECT_READERS: dict[str, Reader] = {
    "plaintext": boolean("plaintext"),
    "reflect": boolean("reflect"),
    "reflect_metadata": metadata_reader("reflectMetadata"),
    "timeout": read_timeout,
    "max_receive_size": size("maxReceiveSize", MAX_RECEIVE_SIZE),
    "max_send_size": size("maxSendSize", MAX_SEND_SIZE),
    "max_header_list_size": size("maxHeaderListSize", CLIENT_MAX_HEADER_LIST_SIZE),
    "tls": read_tls,
    "authority": read_authority,
    "trace": read_trace,
    "busy_poll": read_busy_poll,
    "service_config": read_service_config,
}
