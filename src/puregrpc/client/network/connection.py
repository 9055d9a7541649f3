"""A client's connection, in every world: opened with a script's params, and its calls as outcomes, not exceptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from puregrpc.channel.calls.methods import UnaryUnaryMethod
from puregrpc.channel.calls.outcome import NO_MESSAGE
from puregrpc.channel.channel import Channel
from puregrpc.channel.core import ChannelCore
from puregrpc.channel.details import MetadataLike
from puregrpc.channel.options import ChannelOptions, channel_options
from puregrpc.channel.target import Target
from puregrpc.client.calls.requests import CallRequest, Outcome, UnaryOutcome, failed_outcome
from puregrpc.client.network.failures import connect_error, reflection_error
from puregrpc.client.params.connect import ConnectParams
from puregrpc.client.results.wording import DEADLINE
from puregrpc.errors import ConnectError, InvalidArgument, NotConnected, RpcError
from puregrpc.kernel import Kernel
from puregrpc.schema import Registry
from puregrpc.transport import SessionCounters

if TYPE_CHECKING:
    from puregrpc.services.reflection.on_demand import TypesOnDemand

__all__ = ["FAILURES", "Connection", "KnownOptions", "Reading", "outcome_of"]

Reading = Callable[[UnaryOutcome], "Callable[[], object] | None"]
"""Gives what reads an outcome as a script sees it; see `ClientCore.reading_of`."""

HEADROOM = 0.25
"""Seconds over the timeout that the attempt itself has to say what it waited for."""

LONGEST_TIMEOUT = 10.0**9

KnownOptions = dict[tuple[str, ConnectParams, float], tuple[Target, ChannelOptions]]
"""By address, params and how long is polled busily."""

MAX_KNOWN = 64
"""Of those that are kept: users connect to few addresses."""

FAILURES = (RpcError, InvalidArgument, NotConnected)
"""What a call raises that could not be made: see `failed_outcome`."""


class Connection:
    """A channel with what a client keeps for it."""

    __slots__ = ("_channel", "_methods", "core", "types")

    def __init__(self, core: ChannelCore) -> None:
        self.core = core
        self.types: TypesOnDemand | None = None
        """What asks the server for types that the schema lacks, if it may be asked."""
        self._channel = Channel.over(core)
        self._methods: dict[str, UnaryUnaryMethod[bytes, bytes]] = {}

    @classmethod
    async def open(
        cls,
        kernel: Kernel,
        address: str,
        params: ConnectParams,
        registry: Registry,
        *,
        busy_poll: float = 0.0,
        known: KnownOptions | None = None,
    ) -> Connection:
        """Connect, within the params' timeout, and load the server's schema if they ask for it.

        ``known`` are the options that other connections with the same params have, their TLS context among them.
        Raises ConnectError, which says what went wrong; InvalidArgument for an address that is none; RpcError if the
        server does not answer reflection. There is no connection then.
        """
        timeout = params.timeout / 1000
        if timeout <= 0:
            raise ConnectError(f"{DEADLINE.message}: no time to connect to {address} (timeout {params.timeout:g} ms)")
        timeout = min(timeout, LONGEST_TIMEOUT)
        if params.service_config is not None:
            known = None  # it is no key
        key = address, params, busy_poll
        made = None if known is None else known.get(key)
        if made is None:
            made = channel_options(
                address,
                tls=params.tls_options(),
                authority=params.authority,
                max_receive_message_size=params.max_receive_size,
                max_header_list_size=params.max_header_list_size,
                tap=params.trace,
                connect_timeout=timeout,
                busy_poll=busy_poll,
                service_config=params.service_config,
            )
            if known is not None and len(known) < MAX_KNOWN:
                known[key] = made
        target, options = made
        until = kernel.now() + timeout
        connection = cls(ChannelCore(kernel, target, options))
        registry.missing_types = None
        try:
            await connection.core.connect(timeout + HEADROOM)
            if params.reflect:
                await connection._reflect(params, registry, timeout=until - kernel.now())
                connection.ask_for_types(registry, params.reflect_metadata)
        except ConnectError as error:
            await connection.close()
            raise connect_error(error, is_late=kernel.now() >= until) from None
        except RpcError as error:
            await connection.close()
            raise reflection_error(error, address) from None
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _reflect(self, params: ConnectParams, registry: Registry, *, timeout: float) -> None:
        """Load all that the server lists."""
        from puregrpc.services.reflection.client import open_reflection

        opening = open_reflection(self._channel, metadata=params.reflect_metadata, timeout=max(timeout, 0.0))
        async with opening as reflection:
            await reflection.load(registry)

    def ask_for_types(self, registry: Registry, metadata: MetadataLike | None) -> None:
        """Have the server asked for types that messages turn out to need."""
        from puregrpc.services.reflection.on_demand import TypesOnDemand

        self.types = TypesOnDemand(self._channel, registry, metadata=metadata)

    def moved_to(self, kernel: Kernel) -> Connection:
        """The same in another loop, since its own is closed: it connects with its first call."""
        core = self.core
        moved = Connection(ChannelCore(kernel, core.target, core.options))
        if self.types is not None:
            moved.ask_for_types(self.types.registry, self.types.metadata)
        return moved

    async def learn(self, attempt: Callable[[], object] | None) -> None:
        """Ask for the types that ``attempt`` misses; see `TypesOnDemand.learn`."""
        if attempt is not None and self.types is not None:
            await self.types.learn(attempt)

    async def unary_learning(self, request: CallRequest, reading: Reading) -> UnaryOutcome:
        """As `unary`; then ask for the types that reading its outcome misses."""
        outcome = await self.unary(request)
        if self.types is not None:
            await self.learn(reading(outcome))
        return outcome

    def method(self, path: str) -> UnaryUnaryMethod[bytes, bytes]:
        """The method of this path."""
        method = self._methods.get(path)
        if method is None:
            method = self._methods[path] = self._channel.unary_unary(path)
        return method

    async def unary(self, request: CallRequest) -> UnaryOutcome:
        """Make a unary call."""
        try:
            call = await self.method(request.path).exchange(
                request.message, metadata=request.metadata, timeout=request.timeout
            )
        except FAILURES as error:
            return failed_outcome(error)
        return outcome_of(call)

    def passed(self) -> SessionCounters:
        """What went over it so far."""
        core = self.core
        return core.kernel.locked(lambda: core.balancer.counters)

    async def close(self) -> None:
        """End all calls and the connection. Idempotent."""
        await self.core.close()


def outcome_of(call: UnaryOutcome) -> UnaryOutcome:
    """How a call that is over ended."""
    if call.message is None and not call.status.code:
        return Outcome(NO_MESSAGE, None, call.headers, call.trailers)
    return call
