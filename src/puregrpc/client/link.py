"""A client's connection, in every world: opened with a client's params, and its calls as outcomes, not exceptions."""

from __future__ import annotations

from puregrpc.channel.calls.methods import UnaryUnaryMethod
from puregrpc.channel.calls.outcome import NO_MESSAGE
from puregrpc.channel.calls.unary import UnaryCall
from puregrpc.channel.channel import Channel
from puregrpc.channel.core import ChannelCore
from puregrpc.channel.options import channel_options
from puregrpc.client.failures import DEADLINE_PASSED, connect_error, reflection_error, status_of, tls_options
from puregrpc.client.params import ConnectParams
from puregrpc.client.requests import CallRequest, Outcome, Traffic, UnaryOutcome
from puregrpc.client.status import CLOSING
from puregrpc.errors import ConnectError, InvalidArgument, NotConnected, RpcError
from puregrpc.kernel import Kernel
from puregrpc.schema import Registry
from puregrpc.wire.status import Status, StatusCode

__all__ = ["Link", "failed_outcome", "open_link", "outcome_of"]

HEADROOM = 0.25
"""Seconds over the timeout that the attempt itself has to say what it waited for."""

LONGEST_TIMEOUT = 10.0**9


class Link:
    """A channel with what a client keeps for it."""

    def __init__(self, core: ChannelCore) -> None:
        self.core = core
        self.channel = Channel.over(core)
        self._methods: dict[str, UnaryUnaryMethod[bytes, bytes]] = {}

    async def unary(self, request: CallRequest) -> UnaryOutcome:
        """Make a unary call."""
        method = self._methods.get(request.path)
        if method is None:
            method = self._methods[request.path] = self.channel.unary_unary(request.path)
        try:
            call = await method.exchange(request.message, metadata=request.metadata, timeout=request.timeout)
        except (RpcError, InvalidArgument, NotConnected) as error:
            return failed_outcome(error)
        return outcome_of(call)

    def traffic(self) -> Traffic:
        """Bytes that went over its connections so far."""
        core = self.core
        counted = core.kernel.locked(lambda: core.balancer.counters)
        return Traffic(counted.bytes_sent, counted.bytes_received)


def outcome_of(call: UnaryCall) -> UnaryOutcome:
    """How a call that is over ended."""
    if call.message is None and not call.status.code:
        return Outcome(NO_MESSAGE, None, call.headers, call.trailers)
    return call


def failed_outcome(error: RpcError | InvalidArgument | NotConnected) -> Outcome:
    """How a call ended that could not be sent."""
    if isinstance(error, RpcError):
        return Outcome(status_of(error), None, error.headers, error.trailers)
    if isinstance(error, NotConnected):  # closed since the call was prepared
        return Outcome(CLOSING)
    return Outcome(Status(StatusCode.INTERNAL, str(error)))


async def open_link(
    kernel: Kernel, address: str, params: ConnectParams, registry: Registry, *, busy_poll: float = 0.0
) -> Link:
    """Connect, within the params' timeout, and load the server's schema if they ask for it.

    Raises ConnectError, which says what went wrong; InvalidArgument for an address that is none; RpcError if the
    server does not answer reflection. There is no connection then.
    """
    timeout = params.timeout / 1000
    if timeout <= 0:
        raise ConnectError(f"{DEADLINE_PASSED}: no time to connect to {address} (timeout {params.timeout:g} ms)")
    timeout = min(timeout, LONGEST_TIMEOUT)
    target, options = channel_options(
        address,
        tls=tls_options(params),
        authority=params.authority,
        max_receive_message_size=params.max_receive_size,
        tap=params.trace,
        connect_timeout=timeout,
        busy_poll=busy_poll,
    )
    core = ChannelCore(kernel, target, options)
    began = kernel.now()
    try:
        await core.connect(timeout + HEADROOM)
        link = Link(core)
        if params.reflect:
            await reflect(link.channel, params, registry, timeout=began + timeout - kernel.now())
    except ConnectError as error:
        await core.close()
        raise connect_error(error, is_late=kernel.now() - began >= timeout) from None
    except RpcError as error:
        await core.close()
        if error.code == StatusCode.DEADLINE_EXCEEDED:
            raise ConnectError(
                f"{DEADLINE_PASSED}: {address} did not describe itself by server reflection in time"
            ) from None
        raise reflection_error(error) from None
    except BaseException:
        await core.close()
        raise
    return link


async def reflect(channel: Channel, params: ConnectParams, registry: Registry, *, timeout: float) -> None:
    """Load all that the server lists."""
    from puregrpc.services.reflection.client import open_reflection

    opening = open_reflection(channel, metadata=params.reflect_metadata, timeout=max(timeout, 0.0))
    async with opening as reflection:
        await reflection.load(registry)
