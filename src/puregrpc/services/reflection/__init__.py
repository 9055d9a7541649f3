"""gRPC server reflection (reflection.md), v1 and v1alpha: the service, and a client that a registry can load from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.services.reflection.client import ReflectionClient as ReflectionClient
    from puregrpc.services.reflection.client import open_reflection as open_reflection
    from puregrpc.services.reflection.on_demand import TypesOnDemand as TypesOnDemand
    from puregrpc.services.reflection.server import ReflectionService as ReflectionService

_MODULES = {
    "ReflectionClient": "client",
    "ReflectionService": "server",
    "TypesOnDemand": "on_demand",
    "open_reflection": "client",
}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
