"""A server on asyncio: route_guide.proto's FeatureExplorer, with health, reflection and a drain on SIGTERM.

``python examples/server.py [127.0.0.1:50051]``; then, in another terminal, with any client, such as
``grpcurl -plaintext 127.0.0.1:50051 main.FeatureExplorer/ListFeatures``.
"""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from puregrpc.schema import Registry, load_files
from puregrpc.server import Context, Interceptor, Server, ServerConfig, stop_on_signal
from puregrpc.services import HealthService, ReflectionService, ServingStatus

PLACES = {(525200000, 134050000): "Berlin", (488566000, 23522000): "Paris", (413874000, 21686000): "Barcelona"}


class FeatureExplorer:
    """A handler for each method of the service, in snake_case; messages are dicts as ProtoJSON has them."""

    async def get_feature(self, request: dict[str, Any], context: Context) -> dict[str, Any]:
        name = PLACES.get((request["latitude"], request["longitude"]))
        if name is None:
            context.abort(5, "there is nothing at that place")  # NOT_FOUND
        context.set_trailing_metadata({"x-map": "europe"})
        return {"name": name, "location": request}

    async def list_features(self, request: dict[str, Any], context: Context) -> AsyncIterator[dict[str, Any]]:
        for (latitude, longitude), name in PLACES.items():
            if request["hi"] is None or latitude <= request["hi"]["latitude"]:
                yield {"name": name, "location": {"latitude": latitude, "longitude": longitude}}
        context.set_trailing_metadata({"x-map": "europe"})


class Log(Interceptor):
    """One line for each call with one response."""

    async def one_response(self, request: Any, context: Context, proceed: Any) -> Any:
        began = time.perf_counter()
        try:
            return await proceed(request, context)
        finally:
            print(f"{context.peer} {context.method} {(time.perf_counter() - began) * 1000:.1f} ms", flush=True)


async def main(address: str) -> None:
    definitions = Path(__file__).parent / "definitions"
    registry = Registry()
    load_files(registry, [definitions], "route_guide.proto")

    server = Server(address, config=ServerConfig(max_concurrent_streams=100), interceptors=[Log()])
    server.add_service(registry.service("main.FeatureExplorer"), FeatureExplorer())
    health = HealthService()
    health.set_status("main.FeatureExplorer", ServingStatus.SERVING)
    health.add_to(server)
    ReflectionService().add_to(server)

    async with server:
        print(f"listening on {server.addresses[0]}", flush=True)
        await stop_on_signal(server)


logging.basicConfig(level=logging.INFO)
asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"))
