"""Services that come with puregrpc, both halves: health and reflection; and the demo services."""

from puregrpc.services.demo import add_demo_services
from puregrpc.services.grpcbin import GRPCBinService
from puregrpc.services.health import HealthService, ServingStatus
from puregrpc.services.hello import HelloService
from puregrpc.services.reflection import ReflectionClient, ReflectionService, open_reflection
from puregrpc.services.route_guide import FeatureExplorerService, RouteGuideService

__all__ = [
    "FeatureExplorerService",
    "GRPCBinService",
    "HealthService",
    "HelloService",
    "ReflectionClient",
    "ReflectionService",
    "RouteGuideService",
    "ServingStatus",
    "add_demo_services",
    "open_reflection",
]
