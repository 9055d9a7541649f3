"""The demo server's services, together."""

from __future__ import annotations

from puregrpc.server import Server
from puregrpc.services.hello import HelloService

__all__ = ["add_demo_services"]


def add_demo_services(server: Server) -> None:
    """Serve everything that the demo server has."""
    HelloService().add_to(server)
