"""Services that come with puregrpc, both halves: health and reflection; and the demo services."""

from puregrpc.services.demo import add_demo_services
from puregrpc.services.health import HealthService, ServingStatus
from puregrpc.services.hello import HelloService
from puregrpc.services.reflection import ReflectionClient, ReflectionService, open_reflection

__all__ = [
    "HealthService",
    "HelloService",
    "ReflectionClient",
    "ReflectionService",
    "ServingStatus",
    "add_demo_services",
    "open_reflection",
]
