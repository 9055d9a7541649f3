"""Answers for `puregrpc serve`: what a stand-in for a server says, while the server itself is not there.

``puregrpc serve --proto examples/definitions/route_guide.proto --script examples/answers.py``

Methods that have no function here (such as RouteGuide's RouteChat) answer with an example of their response.
"""

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from puregrpc.server import Context

Message = dict[str, Any]

PLACES = {(525200000, 134050000): "Berlin", (488566000, 23522000): "Paris"}


def get_feature(request: Message, context: Context) -> Message:
    """Functions are named as the methods; messages are dicts as ProtoJSON has them."""
    name = _name(request)
    if name is None:
        context.abort(5, "there is nothing at that place")  # NOT_FOUND
    time.sleep(0.01)  # plain functions run in a thread and may block
    return {"name": name, "location": request}


def list_features(request: Message, context: Context) -> Iterator[Message]:
    """Yield what a stream sends."""
    for (latitude, longitude), name in PLACES.items():
        if request["hi"] is None or latitude <= request["hi"]["latitude"]:
            yield {"name": name, "location": {"latitude": latitude, "longitude": longitude}}
    context.set_trailing_metadata({"x-map": "europe"})


class RouteGuide:
    """A class named as a service keeps its methods apart from those of others, and state."""

    def __init__(self) -> None:
        self.routes = 0

    async def record_route(self, requests: AsyncIterator[Message], context: Context) -> Message:
        """Async functions run under trio, and take the requests of a stream with ``async for``."""
        points = [point async for point in requests]
        self.routes += 1
        context.set_trailing_metadata({"x-routes": str(self.routes)})
        return {"pointCount": len(points), "featureCount": len([p for p in points if _name(p)])}


def _name(point: Message) -> str | None:
    """The names of helpers begin with an underscore."""
    return PLACES.get((point["latitude"], point["longitude"]))
