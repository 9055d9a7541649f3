"""gRPC for Locust: `GrpcUser`, whose client's calls and stream messages are in Locust's statistics.

Needs Locust (``pip install 'puregrpc[locust]'``). Calls wait in their greenlet alone: gevent stands for threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from locust import User

from puregrpc.client.calls.health import PATH as HEALTH_PATH
from puregrpc.client.client import Client
from puregrpc.client.results.wording import CANCELED_HERE, CLOSING
from puregrpc.client.streams.stream import Stream
from puregrpc.client.stub import Stub
from puregrpc.errors import ConnectError, RpcError
from puregrpc.metrics import Metrics

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from puregrpc.client.calls.prepared import PreparedCall
    from puregrpc.client.calls.requests import Outcome, UnaryOutcome
    from puregrpc.client.params.call import CallKeywords
    from puregrpc.client.params.connect import ConnectKeywords
    from puregrpc.client.results.records import CallError, HealthStatus, Response

__all__ = ["GrpcClient", "GrpcStream", "GrpcUser"]

UNARY = "grpc"
STREAM = "grpc stream"
MESSAGE = "grpc message"
CONNECT = "grpc connect"
"""The request types in Locust's statistics: a call; a whole stream; each message of one that was received, with the
time since the one before it or since the stream was opened; connecting."""


class GrpcClient(Client):
    """A `puregrpc.Client` that fires Locust's ``request`` event for each call, stream and message."""

    def __init__(self, user: User, *, metrics: Metrics | None = None) -> None:
        super().__init__(metrics=metrics)
        self._user = user
        self._fire = user.environment.events.request.fire
        self.is_closing = False

    def fire(
        self, kind: str, name: str, seconds: float, length: int, error: BaseException | None, response: object = None
    ) -> None:
        """Tell Locust of something that took so long and brought so many bytes."""
        self._fire(
            request_type=kind,
            name=name,
            response_time=seconds * 1000,
            response_length=length,
            exception=error,
            context=self._user.context(),
            response=response,
            start_time=time.time() - seconds,
        )

    def connect(
        self, address: str, params: Mapping[str, Any] | None = None, **keywords: Unpack[ConnectKeywords]
    ) -> bool:
        """See `Client.connect`. A connection that fails is in the statistics too, before the error is raised."""
        self.is_closing = False
        began = time.perf_counter()
        try:
            return super().connect(address, params, **keywords)
        except (ConnectError, RpcError) as error:
            self.fire(CONNECT, address, time.perf_counter() - began, 0, error)
            raise

    def close(self) -> None:
        """See `Client.close`. Calls and streams that it ends are not in the statistics."""
        self.is_closing = True
        super().close()

    def _respond(self, call: PreparedCall, outcome: UnaryOutcome) -> Response:
        response = super()._respond(call, outcome)
        error = None if response.error is None else failure(response.error)
        if error is not None and self.is_cut(error.code, error.message):
            return response
        name = call.params.tags.get("name", call.path)
        length = len(outcome.message or b"")
        self.fire(UNARY, name, time.perf_counter() - call.began, length, error, response)
        return response

    def is_cut(self, code: int, message: str) -> bool:
        """Whether something ended since Locust stops the user in the middle of what it does, which is no failure."""
        return self.is_closing and any(
            (code, message) == (each.code, each.message) for each in (CANCELED_HERE, CLOSING)
        )

    def health_check(self, service: str | None = "") -> HealthStatus:
        """See `Client.health_check`."""
        began = time.perf_counter()
        try:
            health = super().health_check(service)
        except RpcError as error:
            self.fire(UNARY, HEALTH_PATH, time.perf_counter() - began, 0, RpcError(error.code, error.message))
            raise
        self.fire(UNARY, HEALTH_PATH, time.perf_counter() - began, 2 * bool(health.status), None, health)
        return health

    healthCheck = health_check  # noqa: N815 - k6's spelling

    def stub(self, service: str) -> Any:
        """See `Client.stub`."""
        found = self._core.registry.service(service)
        return Stub(
            self._core.registry,
            found,
            unary=self._invoke_for_message,
            stream=partial(GrpcStream, self, as_message=True),
        )

    def share_with(self, other: Client) -> None:
        """Use the schema and the connection of another client."""
        self._state = other._state  # noqa: SLF001 - which is the same inside
        self._core = self._state.core

    def stream(self, url: str, params: Mapping[str, Any] | None = None, **keywords: Unpack[CallKeywords]) -> GrpcStream:
        """Open a stream."""
        return GrpcStream(self, url, params, **keywords)

    Stream = stream
    """As k6 calls it: ``self.client.Stream(url)``."""


class GrpcStream(Stream):
    """A `puregrpc.Stream` whose messages, and whose end, are in Locust's statistics."""

    def __init__(
        self,
        client: GrpcClient,
        url: str,
        params: Mapping[str, Any] | None = None,
        *,
        as_message: bool = False,
        **keywords: Unpack[CallKeywords],
    ) -> None:
        self._told = client
        tags = keywords.get("tags") or (params or {}).get("tags")
        self._name = str(tags["name"]) if isinstance(tags, Mapping) and "name" in tags else ""
        self._opened = self._last = time.perf_counter()
        self._received = 0
        super().__init__(client, url, params, as_message=as_message, **keywords)

    def _decoded(self, data: bytes) -> Any:
        now = time.perf_counter()
        self._told.fire(MESSAGE, self._name or self._method.path, now - self._last, len(data), None)
        self._last = now
        self._received += len(data)
        return super()._decoded(data)

    def _ended(self, end: Outcome) -> None:
        super()._ended(end)
        if self._told.is_cut(end.status.code, end.status.message):
            return
        error = None if not end.status.code else failure(self._core.error(end.status))
        name = self._name or self._method.path
        self._told.fire(STREAM, name, time.perf_counter() - self._opened, self._received, error)


def failure(error: CallError) -> RpcError:
    """A call's error, as Locust groups them: by its text."""
    return RpcError(error.code, error.message)


class GrpcUser(User):  # type: ignore[misc,unused-ignore]  # Locust has no types in all of its versions
    """A user of Locust with a gRPC client: ``self.client.invoke("pkg.Service/Method", {...})``.

    The schema and the connection are class attributes; `host` is Locust's own. What a process loads is
    compiled once.
    """

    abstract = True

    import_paths: ClassVar[Sequence[str]] = ()
    """Folders of .proto files."""
    proto_files: ClassVar[Sequence[str]] = ()
    """What `GrpcClient.load` loads."""
    protosets: ClassVar[Sequence[str]] = ()
    """Descriptor sets."""
    connect_params: ClassVar[Mapping[str, Any]] = {}
    """Params of `Client.connect`, such as ``{"plaintext": True}`` or ``{"reflect": True}``."""
    shares_connection: ClassVar[bool] = False
    """All users of the class in a process have one connection, in place of one each."""

    client: GrpcClient

    _shared: ClassVar[dict[type, Client]] = {}
    _sharing: ClassVar[Any] = threading.Lock()
    _metrics: ClassVar[Metrics] = Metrics()
    """Locust keeps the statistics; all clients measure into one registry, which is cheap."""

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.client = GrpcClient(self, metrics=self._metrics)
        self._load()

    def _load(self) -> None:
        if self.proto_files:
            self.client.load(list(self.import_paths), *self.proto_files)
        for path in self.protosets:
            self.client.load_protoset(path)

    def on_start(self) -> None:
        """Connect to ``host``. A subclass that has its own calls this one first."""
        host = self.host
        if not host:
            raise ValueError(f"{type(self).__name__}: host is needed, such as localhost:50051 (or --host)")
        if not self.shares_connection:
            self.client.connect(host, self.connect_params)
            return
        with self._sharing:  # the first one connects, and the others wait for it
            shared = self._shared.get(type(self))
            if shared is None:
                self.client.connect(host, self.connect_params)
                shared = self._shared[type(self)] = self.client
        self.client.share_with(shared)

    def on_stop(self) -> None:
        """Close the connection, if it is the user's own."""
        if not self.shares_connection:
            self.client.close()
