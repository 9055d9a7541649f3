"""main.FeatureExplorer and main.RouteGuide: a map with a few features, routes over it, and notes left on it."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from math import asin, cos, radians, sin, sqrt
from typing import Any

from puregrpc._locks import Lock
from puregrpc.server import Context, in_place
from puregrpc.server.base import ServerBase
from puregrpc.services.answering import Gathering, answer_each, answer_last, answer_many
from puregrpc.services.contracts import service

__all__ = ["FEATURES", "FeatureExplorerService", "RouteGuideService"]

FILE = "route_guide.proto"

Place = tuple[int, int]
"""Latitude and longitude in units of 10^-7 degrees."""

FEATURES: dict[Place, str] = {
    (400273442, -741220915): "Stone quay",
    (404318328, -740835638): "Gull tower",
    (406109563, -742186778): "Salt marsh station",
    (406411633, -741722051): "Ferry steps",
    (407838351, -746143763): "Old orchard path",
    (408031728, -748645385): "Beech grove",
    (408122808, -743999179): "Clockmaker's corner",
    (409146138, -746188906): "Heron lake",
    (410248224, -747127767): "Berry valley farm",
    (411633782, -746784970): "Windmill hill",
    (412144655, -743949739): "Long meadow gate",
    (412950425, -741077389): "Bridge at the bend",
    (413628156, -749015468): "River mile nine",
    (414008389, -743951297): "Two chestnuts",
    (416802456, -742370183): "South ridge lookout",
    (418465462, -746859398): "Trout weir",
    (419611318, -746524769): "Upper mill",
    (419999544, -740371136): "Lantern house",
}
"""The features by their place."""

EARTH_RADIUS = 6_371_000
MAX_PLACES = 1000
MAX_NOTES = 100
"""How many places keep notes, and how many each: the oldest are forgotten, so that clients cannot fill the memory."""


def place(point: dict[str, Any] | None) -> Place:
    """Where a Point is; nowhere given is 0, 0."""
    return (0, 0) if point is None else (point["latitude"], point["longitude"])


def feature(where: Place) -> dict[str, Any]:
    """The Feature at a place; without a name if there is none."""
    return {"name": FEATURES.get(where, ""), "location": {"latitude": where[0], "longitude": where[1]}}


def distance(a: Place, b: Place) -> int:
    """Metres between two places, by the haversine formula."""
    latitude_a, longitude_a, latitude_b, longitude_b = (radians(value / 1e7) for value in (*a, *b))
    half_chord = (
        sin((latitude_b - latitude_a) / 2) ** 2
        + cos(latitude_a) * cos(latitude_b) * sin((longitude_b - longitude_a) / 2) ** 2
    )
    return int(2 * EARTH_RADIUS * asin(sqrt(min(half_chord, 1.0))))


class FeatureExplorerService:
    """main.FeatureExplorer, with messages as dicts."""

    def add_to(self, server: ServerBase) -> None:
        """Serve it."""
        handlers = {"GetFeature": get_feature, "ListFeatures": answer_many(server, list_features)}
        server.add_service(service(FILE, "main.FeatureExplorer"), handlers)


@in_place
def get_feature(request: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG001 - a handler
    return feature(place(request))


def list_features(request: dict[str, Any], context: Context) -> Iterator[dict[str, Any]]:  # noqa: ARG001
    corners = (place(request["lo"]), place(request["hi"]))
    bottom, top = sorted(corner[0] for corner in corners)
    left, right = sorted(corner[1] for corner in corners)
    for latitude, longitude in FEATURES:
        if bottom <= latitude <= top and left <= longitude <= right:
            yield feature((latitude, longitude))


class RouteGuideService:
    """main.RouteGuide, with messages as dicts. Notes live as long as this object."""

    def __init__(self) -> None:
        self._notes: OrderedDict[Place, deque[dict[str, Any]]] = OrderedDict()
        self._lock = Lock()

    def add_to(self, server: ServerBase) -> None:
        """Serve it."""
        handlers = {
            "RecordRoute": answer_last(server, Route),
            "RouteChat": answer_each(server, lambda _: self._leave_note),
        }
        server.add_service(service(FILE, "main.RouteGuide"), handlers)

    def _leave_note(self, note: dict[str, Any], context: Context) -> list[dict[str, Any]]:  # noqa: ARG002
        where = place(note["location"])
        with self._lock:
            notes = self._notes.setdefault(where, deque(maxlen=MAX_NOTES))
            self._notes.move_to_end(where)
            if len(self._notes) > MAX_PLACES:
                self._notes.popitem(last=False)
            notes.append(note)
            return list(notes)


class Route(Gathering):
    """What is known of a route whose points come one by one."""

    def __init__(self, context: Context) -> None:
        self._now = context.kernel.now
        self._started = self._now()
        self._points = self._features = self._metres = 0
        self._last: Place | None = None

    def take(self, request: dict[str, Any]) -> bool:
        where = place(request)
        self._points += 1
        self._features += where in FEATURES
        if self._last is not None:
            self._metres += distance(self._last, where)
        self._last = where
        return True

    def answer(self) -> dict[str, Any]:
        return {
            "pointCount": self._points,
            "featureCount": self._features,
            "distance": self._metres,
            "elapsedTime": int(self._now() - self._started),
        }
