"""The demo server's services, together."""

from __future__ import annotations

from puregrpc.server.base import ServerBase
from puregrpc.services.grpcbin import GRPCBinService
from puregrpc.services.health import HealthService, ServingStatus
from puregrpc.services.hello import HelloService
from puregrpc.services.reflection import ReflectionService
from puregrpc.services.route_guide import FeatureExplorerService, RouteGuideService

__all__ = ["add_demo_services", "add_health_and_reflection"]


def add_demo_services(server: ServerBase) -> None:
    """Serve everything that the demo server has."""
    HelloService().add_to(server)
    GRPCBinService().add_to(server)
    FeatureExplorerService().add_to(server)
    RouteGuideService().add_to(server)
    add_health_and_reflection(server)


def add_health_and_reflection(server: ServerBase) -> None:
    """Serve health, which says that every service of the server so far is SERVING, and reflection."""
    health = HealthService()
    for name in server.services:
        health.set_status(name, ServingStatus.SERVING)
    health.add_to(server)
    ReflectionService().add_to(server)
