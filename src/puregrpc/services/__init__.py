"""Services that come with puregrpc, both halves: health and reflection; the demo services; and any service,
answering with examples."""

from puregrpc.services.demo import add_demo_services, add_health_and_reflection
from puregrpc.services.examples import ExampleService
from puregrpc.services.grpcbin import GRPCBinService
from puregrpc.services.health import HealthService, ServingStatus
from puregrpc.services.hello import HelloService
from puregrpc.services.reflection import ReflectionClient, ReflectionService, TypesOnDemand, open_reflection
from puregrpc.services.route_guide import FeatureExplorerService, RouteGuideService

__all__ = [
    "ExampleService",
    "FeatureExplorerService",
    "GRPCBinService",
    "HealthService",
    "HelloService",
    "ReflectionClient",
    "ReflectionService",
    "RouteGuideService",
    "ServingStatus",
    "TypesOnDemand",
    "add_demo_services",
    "add_health_and_reflection",
    "open_reflection",
]
