"""What a server serves: its methods by their paths, the services they belong to, and the types of their messages."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from puregrpc.codec import Codec
from puregrpc.errors import InvalidArgument
from puregrpc.schema import Registry
from puregrpc.server.callables import is_async
from puregrpc.server.calls.incoming import IncomingCall
from puregrpc.server.calls.on_threads import ThreadStreamRequestCall, ThreadUnaryRequestCall
from puregrpc.server.calls.streaming import StreamRequestCall
from puregrpc.server.calls.unary import InPlaceCall, UnaryRequestCall
from puregrpc.server.interceptor import Interceptor, chain_of
from puregrpc.server.method import Deserializer, Method, Serializer
from puregrpc.wire.status import Status, StatusCode

__all__ = ["Route", "Router"]

MAX_SHOWN_NAME = 200
"""Characters of a service's or method's name that a status repeats to who asked for it: he knows it."""


class Route:
    """What a path leads to: a method, with all looked up that each call of it needs."""

    __slots__ = (
        "call_type",
        "codecs",
        "deserialize",
        "expected_answer",
        "handler",
        "has_own_thread",
        "method",
        "responses_stream",
        "serialize",
        "starts_at_once",
    )

    def __init__(self, method: Method, interceptors: Sequence[Interceptor], *, is_blocking: bool) -> None:
        chain = chain_of(method, interceptors)
        self.method = method
        self.handler = chain.handler
        self.has_own_thread = method.has_own_thread
        self.expected_answer = 0
        """How large an answer is to be expected to be, in octets, if it has given some lately that were larger than
        SMALL_ANSWER; else 0."""
        self.deserialize: Deserializer = method.deserializer
        self.serialize: Serializer = method.serializer
        self.codecs = method.codecs
        self.responses_stream = method.shape.responses_stream
        self.starts_at_once = method.shape.requests_stream
        self.call_type: type[IncomingCall]
        if is_blocking or not (chain.is_async or chain.runs_in_place):
            self.call_type = ThreadStreamRequestCall if self.starts_at_once else ThreadUnaryRequestCall
        elif self.starts_at_once:
            self.call_type = StreamRequestCall
        else:
            self.call_type = InPlaceCall if chain.runs_in_place else UnaryRequestCall


class Router:
    """The methods of a server. ``is_blocking``: there is no loop, and everything must be plain."""

    def __init__(self, interceptors: Sequence[Interceptor], *, is_blocking: bool, max_elements: int) -> None:
        self._interceptors = tuple(interceptors)
        self._is_blocking = is_blocking
        self.routes: dict[str, Route] = {}
        self.fallback: Route | None = None
        """What serves paths that are not among them."""
        self.services: dict[str, None] = {}
        """The full names of the services that have methods, in order of their addition."""
        self.registry = Registry()
        self.codec = Codec(self.registry, max_elements=max_elements)
        for interceptor in self._interceptors:
            self._check_interceptor(interceptor)

    def add(self, methods: Iterable[Method]) -> None:
        """Serve more methods, all or none. Raises InvalidArgument if a path is served already, or one cannot run."""
        routes: dict[str, Route] = {}
        for method in methods:
            if method.path in self.routes or method.path in routes:
                raise InvalidArgument(f"{method.path} is served already")
            if self._is_blocking and method.is_async:
                raise InvalidArgument(
                    f"{method.path}: the handler is async, and this server runs plain functions and generators: write "
                    "it with def, or serve it with Server on asyncio or trio"
                )
            # Without the GIL, other threads read a dict without taking its lock only where its keys are immortal.
            routes[sys.intern(method.path)] = Route(method, self._interceptors, is_blocking=self._is_blocking)
        self.routes.update(routes)
        self.services.update((route.method.service, None) for route in routes.values())

    def add_fallback(self, method: Method) -> None:
        """Serve all other paths so."""
        if self._is_blocking and method.is_async:
            raise InvalidArgument("the fallback's handler is async, and this server runs plain functions")
        self.fallback = Route(method, self._interceptors, is_blocking=self._is_blocking)

    def _check_interceptor(self, interceptor: Interceptor) -> None:
        kind = type(interceptor).__name__
        for name in ("one_response", "many_responses"):
            function = getattr(interceptor, name, None)
            if not callable(function):
                raise InvalidArgument(f"{kind} is no interceptor: it has no method {name}; derive it from Interceptor")
            if self._is_blocking and is_async(function):
                raise InvalidArgument(
                    f"{kind}.{name} is async, and this server runs plain functions and generators: write it with def"
                )

    def unimplemented(self, path: str) -> Status:
        """The status of a call to a path that is not served."""
        service, _, name = path.removeprefix("/").rpartition("/")
        if service in self.services:
            text = f"unknown method {shown(name)} for service {service}"
        else:
            text = f"unknown service {shown(service)}" if service else f"malformed method name {shown(path)!r}"
        return Status(StatusCode.UNIMPLEMENTED, text)


def shown(name: str) -> str:
    """A name that a client made up, as an error repeats it."""
    return name if len(name) <= MAX_SHOWN_NAME else f"{name[:MAX_SHOWN_NAME]}..."
