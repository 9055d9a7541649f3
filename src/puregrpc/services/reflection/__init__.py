"""gRPC server reflection (reflection.md), v1 and v1alpha: the service, and a client that a registry can load from."""

from puregrpc.services.reflection.client import ReflectionClient, open_reflection
from puregrpc.services.reflection.on_demand import TypesOnDemand
from puregrpc.services.reflection.server import ReflectionService

__all__ = ["ReflectionClient", "ReflectionService", "TypesOnDemand", "open_reflection"]
