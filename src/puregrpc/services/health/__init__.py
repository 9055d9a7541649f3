"""gRPC health checking (health-checking.md): the service, and a client's half."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.services.health.client import ServingStatus as ServingStatus
    from puregrpc.services.health.client import check as check
    from puregrpc.services.health.client import list_statuses as list_statuses
    from puregrpc.services.health.client import watch as watch
    from puregrpc.services.health.server import HealthService as HealthService

_MODULES = {
    "HealthService": "server",
    "ServingStatus": "client",
    "check": "client",
    "list_statuses": "client",
    "watch": "client",
}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
