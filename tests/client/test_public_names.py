"""The names of ``import puregrpc``, and what is loaded for them."""

from __future__ import annotations

import subprocess
import sys

import puregrpc

NAMES = [
    "AsyncClient",
    "AsyncStream",
    "BlockingChannel",
    "BlockingServer",
    "Channel",
    "Client",
    "Counter",
    "DynamicTls",
    "Error",
    "Gauge",
    "HealthCheckNotServing",
    "HealthCheckServiceUnknown",
    "HealthCheckServiceUnkown",
    "HealthCheckServing",
    "HealthCheckUnknown",
    "Metrics",
    "Rate",
    "Response",
    "RpcError",
    "Server",
    "StatusAborted",
    "StatusAlreadyExists",
    "StatusCanceled",
    "StatusDataLoss",
    "StatusDeadlineExceeded",
    "StatusFailedPrecondition",
    "StatusInternal",
    "StatusInvalidArgument",
    "StatusNotFound",
    "StatusOK",
    "StatusOutOfRange",
    "StatusPermissionDenied",
    "StatusResourceExhausted",
    "StatusUnauthenticated",
    "StatusUnavailable",
    "StatusUnimplemented",
    "StatusUnknown",
    "Stream",
    "TlsOptions",
    "TlsSessionCache",
    "Trend",
    "check",
    "errors",
    "fail",
    "group",
    "open_channel",
    "protos",
    "serve",
    "sleep",
]


def test_the_public_names_are_these() -> None:
    assert sorted(puregrpc.__all__) == sorted(NAMES)
    for name in NAMES:
        assert getattr(puregrpc, name) is not None
        assert name in dir(puregrpc)


def test_a_client_loads_no_server_service_or_command() -> None:
    program = (
        "import sys, puregrpc\n"
        "assert not [m for m in sys.modules if m.startswith('puregrpc.') and m != 'puregrpc._version']\n"
        "puregrpc.Client(), puregrpc.Stream, puregrpc.AsyncClient(), puregrpc.check\n"
        "import puregrpc.client.network.blocking\n"
        "print(sorted({m.split('.')[1] for m in sys.modules if m.startswith('puregrpc.')}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    for room in ("server", "services", "cli"):
        assert f"'{room}'" not in done.stdout
