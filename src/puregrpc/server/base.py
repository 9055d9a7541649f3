"""What the servers of all worlds have in common: what they serve, where they listen, and how they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from puregrpc.codec import Codec
from puregrpc.errors import LocalProtocolError
from puregrpc.kernel.network.listening import address_bound, bind
from puregrpc.kernel.numbers import next_number
from puregrpc.schema import Registry
from puregrpc.server.config import ServerConfig
from puregrpc.server.connections import Connections, Target
from puregrpc.server.interceptor import Interceptor
from puregrpc.server.method import Method
from puregrpc.server.routing import Router
from puregrpc.server.service import Messages, ServiceLike, service_methods
from puregrpc.server.snapshot import ServerSnapshot
from puregrpc.transport.event_log import EventLog
from puregrpc.wire.compression import coding_for

if TYPE_CHECKING:
    from puregrpc.kernel.threads.executor import Executor
    from puregrpc.transport.dynamic_tls import DynamicTls
    from puregrpc.transport.tls import TlsOptions

__all__ = ["ServerBase"]


class ServerBase:
    """What `Server` and `BlockingServer` have in common."""

    is_blocking: ClassVar[bool]
    """What it runs must be plain: there is no loop."""

    def __init__(
        self,
        *targets: str,
        tls: TlsOptions | DynamicTls | None,
        config: ServerConfig,
        interceptors: Sequence[Interceptor],
        executor: Executor | None = None,
    ) -> None:
        self.number = next_number()
        """Nothing else of this process has it: neither a channel or a server nor a connection."""
        self._events = EventLog("Server")
        coding_for(config.compression)
        config.check_header_list_size()
        self.config = config
        self._router = Router(interceptors, is_blocking=self.is_blocking, max_elements=config.max_elements)
        self._targets = [Target(target, tls) for target in targets]
        self._executor = executor
        self._on_stop: list[Callable[[], object]] = []
        self._was_started = False
        self._connections: Connections | None = None

    # -- what it serves

    def add_method(self, method: Method) -> None:
        """Serve one more method. Raises InvalidArgument if its path is served already, or its handler cannot run."""
        self._router.add([method])

    def add_methods(self, methods: Iterable[Method]) -> None:
        """Serve several more methods, all or none of them."""
        self._router.add(methods)

    def add_fallback(self, method: Method) -> None:
        """Serve every path that no other method has with this one, in place of UNIMPLEMENTED.

        Its own path is the name it goes by in the log; `Context.method` is the path of the call. A later one replaces
        an earlier.
        """
        self._router.add_fallback(method)

    def add_service(
        self, service: ServiceLike, handlers: object, *, messages: Messages | None = None, partial: bool = False
    ) -> None:
        """Serve a whole service.

        ``service`` is its descriptor: from a `Registry`, or from a generated ``_pb2`` module. ``handlers`` is an object
        with a handler for each method, named as the method or in snake_case (``say_hello`` for ``SayHello``), or a
        mapping of such names; ``partial`` allows some to be missing: those are UNIMPLEMENTED. ``messages`` says what
        handlers get: "dict" (ProtoJSON rules: lowerCamelCase names; the default), "protobuf" (message objects; the
        default for a generated module) or "bytes". They may return dicts or message objects in either of the first
        two cases. What handlers may be: see `Method.handler`. A servicer written for grpcio, whose class derives from
        one of a ``_pb2_grpc`` module, is run as it is, with a context as it knows it.

        Raises InvalidArgument if handlers are missing or of the wrong kind, SchemaError if the service's file clashes
        with one that is known.
        """
        self.add_methods(
            service_methods(
                service, handlers, registry=self.registry, codec=self.codec, messages=messages, partial=partial
            )
        )

    @property
    def services(self) -> tuple[str, ...]:
        """The full names of the services that have methods here, in order of their addition."""
        return tuple(self._router.services)

    @property
    def registry(self) -> Registry:
        """What is known of the services' types; reflection answers from it."""
        return self._router.registry

    @property
    def codec(self) -> Codec:
        """The codec of the registry's messages."""
        return self._router.codec

    # -- where it listens

    def add_listener(self, target: str, *, tls: TlsOptions | DynamicTls | None = None) -> None:
        """Listen on one more address, with TLS options of its own. To be called before the server starts."""
        if self._was_started:
            raise LocalProtocolError("a listener is added before the server starts")
        self._targets.append(Target(target, tls))

    def bind(
        self,
        target: str,
        *,
        tls: TlsOptions | DynamicTls | None = None,
        reuse_port: bool = False,
        both_families: bool = False,
    ) -> tuple[str, ...]:
        """Take one more address at once: the system keeps connections waiting until the server starts.

        Gives the addresses, with real ports. ``reuse_port``: others that say so may listen there too (SO_REUSEPORT).
        ``both_families``: ``[::]`` takes connections over IPv4 as well. To be called before the server starts, and not
        in a loop that must not wait while a name is looked up. Raises InvalidArgument or ConnectError.
        """
        if self._was_started:
            raise LocalProtocolError("an address is bound before the server starts")
        sockets = tuple(bind(target, reuse_port=reuse_port, both_families=both_families))
        self._targets.append(Target(target, tls, sockets, is_shared=False))
        return tuple(str(address_bound(sock)) for sock in sockets)

    def unbind(self) -> None:
        """Let go of what is bound, of a server that is not to start."""
        for target in self._targets:
            for sock in target.sockets:
                sock.close()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the server listens, with real ports: ``127.0.0.1:50051``, ``unix:/run/x``."""
        return () if self._connections is None else self._connections.addresses

    # -- its life

    def call_on_stop(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` when the server begins to stop: the moment to end calls that would go on for ever."""
        self._on_stop.append(callback)

    def snapshot(self) -> ServerSnapshot:
        """The server, its connections and their calls as they stand."""
        if self._connections is None:
            trace = self._events.snapshot()
            return ServerSnapshot((), False, tuple(self._router.routes), (), 0, {}, self.number, trace=trace)
        return replace(self._connections.snapshot(), number=self.number)

    def _begin(self) -> None:
        if self._was_started:
            raise LocalProtocolError(f"a {type(self).__name__} runs once; make another one")
        self._was_started = True

    def _running(self) -> Connections:
        if self._connections is None:
            raise LocalProtocolError("the server does not run")
        return self._connections
