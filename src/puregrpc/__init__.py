"""gRPC for Python without native code.

Every public name is loaded when it is first used, so that a script that calls loads no server, and a server no client.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from puregrpc._version import __version__ as __version__

if TYPE_CHECKING:
    from puregrpc import errors as errors
    from puregrpc.channel import BlockingChannel as BlockingChannel
    from puregrpc.channel import Channel as Channel
    from puregrpc.channel import open_channel as open_channel
    from puregrpc.client.async_client import AsyncClient as AsyncClient
    from puregrpc.client.check import check as check
    from puregrpc.client.check import fail as fail
    from puregrpc.client.check import sleep as sleep
    from puregrpc.client.client import Client as Client
    from puregrpc.client.results.constants import HealthCheckNotServing as HealthCheckNotServing
    from puregrpc.client.results.constants import HealthCheckServiceUnknown as HealthCheckServiceUnknown
    from puregrpc.client.results.constants import HealthCheckServiceUnkown as HealthCheckServiceUnkown
    from puregrpc.client.results.constants import HealthCheckServing as HealthCheckServing
    from puregrpc.client.results.constants import HealthCheckUnknown as HealthCheckUnknown
    from puregrpc.client.results.constants import StatusAborted as StatusAborted
    from puregrpc.client.results.constants import StatusAlreadyExists as StatusAlreadyExists
    from puregrpc.client.results.constants import StatusCanceled as StatusCanceled
    from puregrpc.client.results.constants import StatusDataLoss as StatusDataLoss
    from puregrpc.client.results.constants import StatusDeadlineExceeded as StatusDeadlineExceeded
    from puregrpc.client.results.constants import StatusFailedPrecondition as StatusFailedPrecondition
    from puregrpc.client.results.constants import StatusInternal as StatusInternal
    from puregrpc.client.results.constants import StatusInvalidArgument as StatusInvalidArgument
    from puregrpc.client.results.constants import StatusNotFound as StatusNotFound
    from puregrpc.client.results.constants import StatusOK as StatusOK
    from puregrpc.client.results.constants import StatusOutOfRange as StatusOutOfRange
    from puregrpc.client.results.constants import StatusPermissionDenied as StatusPermissionDenied
    from puregrpc.client.results.constants import StatusResourceExhausted as StatusResourceExhausted
    from puregrpc.client.results.constants import StatusUnauthenticated as StatusUnauthenticated
    from puregrpc.client.results.constants import StatusUnavailable as StatusUnavailable
    from puregrpc.client.results.constants import StatusUnimplemented as StatusUnimplemented
    from puregrpc.client.results.constants import StatusUnknown as StatusUnknown
    from puregrpc.client.results.records import Response as Response
    from puregrpc.client.streams.async_stream import AsyncStream as AsyncStream
    from puregrpc.client.streams.stream import Stream as Stream
    from puregrpc.errors import Error as Error
    from puregrpc.errors import RpcError as RpcError
    from puregrpc.metrics import Counter as Counter
    from puregrpc.metrics import Gauge as Gauge
    from puregrpc.metrics import Metrics as Metrics
    from puregrpc.metrics import Rate as Rate
    from puregrpc.metrics import Trend as Trend
    from puregrpc.metrics import group as group
    from puregrpc.protos import protos as protos
    from puregrpc.server import BlockingServer as BlockingServer
    from puregrpc.server import Server as Server
    from puregrpc.server import serve as serve
    from puregrpc.transport import DynamicTls as DynamicTls
    from puregrpc.transport import TlsOptions as TlsOptions
    from puregrpc.transport import TlsSessionCache as TlsSessionCache

_CONSTANTS = (
    "HealthCheckNotServing", "HealthCheckServiceUnknown", "HealthCheckServiceUnkown", "HealthCheckServing",
    "HealthCheckUnknown", "StatusAborted", "StatusAlreadyExists", "StatusCanceled", "StatusDataLoss",
    "StatusDeadlineExceeded", "StatusFailedPrecondition", "StatusInternal", "StatusInvalidArgument", "StatusNotFound",
    "StatusOK", "StatusOutOfRange", "StatusPermissionDenied", "StatusResourceExhausted", "StatusUnauthenticated",
    "StatusUnavailable", "StatusUnimplemented", "StatusUnknown",
)  # fmt: skip

_MODULES = {
    "AsyncClient": "client.async_client",
    "AsyncStream": "client.streams.async_stream",
    "BlockingChannel": "channel",
    "BlockingServer": "server",
    "Channel": "channel",
    "Client": "client.client",
    "Counter": "metrics",
    "DynamicTls": "transport",
    "Error": "errors",
    "Gauge": "metrics",
    "Metrics": "metrics",
    "Rate": "metrics",
    "Response": "client.results.records",
    "RpcError": "errors",
    "Server": "server",
    "Stream": "client.streams.stream",
    "TlsOptions": "transport",
    "TlsSessionCache": "transport",
    "Trend": "metrics",
    "check": "client.check",
    "fail": "client.check",
    "group": "metrics",
    "open_channel": "channel",
    "serve": "server",
    "sleep": "client.check",
    **dict.fromkeys(_CONSTANTS, "client.results.constants"),
}
"""Public name -> the module below puregrpc that has it."""

_OWN_MODULES = ("errors", "protos")
"""Modules that are public names themselves; protos can be called as well."""

__all__ = [*sorted(_MODULES), *_OWN_MODULES]


def __getattr__(name: str) -> object:
    if name in _OWN_MODULES:
        return importlib.import_module(f"puregrpc.{name}")
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'puregrpc' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"puregrpc.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
