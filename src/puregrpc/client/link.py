"""A client's connection on trio: opened with a client's params, and the calls on it as outcomes in place of exceptions.

`AsyncClient` uses it in the caller's own loop, the blocking client's backend in a thread of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from puregrpc.channel import Channel, UnaryUnaryMethod, open_channel
from puregrpc.client.backend import CallRequest, Outcome, Traffic
from puregrpc.client.failures import DEADLINE_PASSED, connect_error, reflection_error, status_of, tls_options
from puregrpc.client.params import ConnectParams
from puregrpc.client.status import CLOSING
from puregrpc.errors import ConnectError, InvalidArgument, NotConnected, RpcError
from puregrpc.schema import Registry
from puregrpc.transport import SessionCounters
from puregrpc.wire.status import Status, StatusCode

__all__ = ["Link", "open_link"]

HEADROOM = 0.25
"""Seconds over the timeout that the attempt itself has to say what it waited for."""


class Link:
    """A channel with what a client keeps for it."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._methods: dict[str, UnaryUnaryMethod[bytes, bytes]] = {}
        self._counted: dict[str, SessionCounters] = {}
        self.counted = Traffic()
        """What of its traffic was measured already."""

    async def unary(self, request: CallRequest) -> Outcome:
        """Make a unary call."""
        method = self._methods.get(request.path)
        if method is None:
            method = self._methods[request.path] = self.channel.unary_unary(request.path)
        try:
            result = await method.with_call(request.message, metadata=request.metadata, timeout=request.timeout)
        except RpcError as error:
            return Outcome(status_of(error), None, error.headers, error.trailers)
        except InvalidArgument as error:
            return Outcome(Status(StatusCode.INTERNAL, str(error)))
        except NotConnected:  # closed since the call was prepared
            return Outcome(CLOSING)
        return Outcome(result.status, result.message, result.headers, result.trailers)

    def traffic(self) -> Traffic:
        """Octets that went over its connections so far."""
        for subchannel in self.channel.snapshot().subchannels:
            for session in subchannel.sessions:
                self._counted[session.local] = session.counters
        counted = self._counted.values()
        return Traffic(sum(c.bytes_sent for c in counted), sum(c.bytes_received for c in counted))


@asynccontextmanager
async def open_link(address: str, params: ConnectParams, registry: Registry) -> AsyncIterator[Link]:
    """Connect, within the params' timeout, and load the server's schema if they ask for it.

    Raises ConnectError, which says what went wrong; InvalidArgument for an address that is none; RpcError if the
    server does not answer reflection.
    """
    timeout = params.timeout / 1000
    if timeout <= 0:
        raise ConnectError(f"{DEADLINE_PASSED}: no time to connect to {address} (timeout {params.timeout:g} ms)")
    timeout = min(timeout, 10**9)
    began = trio.current_time()
    async with open_channel(
        address,
        tls=tls_options(params),
        authority=params.authority,
        max_receive_message_size=params.max_receive_size,
        tap=params.trace,
        connect_timeout=timeout,
    ) as channel:
        link = Link(channel)
        try:
            await channel.connect(timeout=timeout + HEADROOM)
        except ConnectError as error:
            raise connect_error(error, is_late=trio.current_time() - began >= timeout) from None
        if params.reflect:
            with trio.move_on_at(began + timeout) as scope:
                await reflect(channel, params, registry)
            if scope.cancelled_caught:
                raise ConnectError(f"{DEADLINE_PASSED}: {address} did not describe itself by server reflection in time")
        yield link


async def reflect(channel: Channel, params: ConnectParams, registry: Registry) -> None:
    from puregrpc.services.reflection import open_reflection

    try:
        async with open_reflection(channel, metadata=params.reflect_metadata) as reflection:
            await reflection.load(registry)
    except RpcError as error:
        raise reflection_error(error) from None
