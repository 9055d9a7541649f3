"""Services that come with puregrpc, both halves: health and reflection; channelz; the demo services; and any service,
answering with examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.services.channelz import Channelz as Channelz
    from puregrpc.services.channelz import ChannelzService as ChannelzService
    from puregrpc.services.demo import add_demo_services as add_demo_services
    from puregrpc.services.demo import add_health_and_reflection as add_health_and_reflection
    from puregrpc.services.examples import ExampleService as ExampleService
    from puregrpc.services.grpcbin import GRPCBinService as GRPCBinService
    from puregrpc.services.health import HealthService as HealthService
    from puregrpc.services.health import ServingStatus as ServingStatus
    from puregrpc.services.hello import HelloService as HelloService
    from puregrpc.services.reflection import ReflectionClient as ReflectionClient
    from puregrpc.services.reflection import ReflectionService as ReflectionService
    from puregrpc.services.reflection import TypesOnDemand as TypesOnDemand
    from puregrpc.services.reflection import open_reflection as open_reflection
    from puregrpc.services.route_guide import FeatureExplorerService as FeatureExplorerService
    from puregrpc.services.route_guide import RouteGuideService as RouteGuideService

_MODULES = {
    "Channelz": "channelz",
    "ChannelzService": "channelz",
    "ExampleService": "examples",
    "FeatureExplorerService": "route_guide",
    "GRPCBinService": "grpcbin",
    "HealthService": "health",
    "HelloService": "hello",
    "ReflectionClient": "reflection",
    "ReflectionService": "reflection",
    "RouteGuideService": "route_guide",
    "ServingStatus": "health",
    "TypesOnDemand": "reflection",
    "add_demo_services": "demo",
    "add_health_and_reflection": "demo",
    "open_reflection": "reflection",
}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
