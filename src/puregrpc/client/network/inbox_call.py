"""The call behind a blocking client's stream: what it receives goes to an inbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from puregrpc.channel.calls.call import ClientCall
from puregrpc.channel.calls.hedging import client_call
from puregrpc.channel.core import ChannelCore
from puregrpc.client.calls.requests import CallRequest, Outcome, failed_outcome
from puregrpc.client.network.inbox import PATIENCE_SECONDS, Inbox, Patience
from puregrpc.client.results.wording import CANCELED_HERE, CLOSING, as_k6_says
from puregrpc.errors import InvalidArgument, LocalProtocolError, NotConnected, RpcError
from puregrpc.kernel import Waiter
from puregrpc.kernel.threads.kernel import ThreadKernel
from puregrpc.wire.limits import SEND_BUFFER_SIZE
from puregrpc.wire.status import Status

__all__ = ["InboxCall"]

Learn = Callable[["bytes | Outcome"], Awaitable[None]]
"""Called with what came before it goes to the inbox."""


class InboxCall:
    """What it receives goes to the inbox as fast as there is room in it; so does its end, whatever it is.

    It has no thread of its own. Messages are sent on the threads of whoever sends.
    """

    def __init__(
        self, kernel: ThreadKernel, core: ChannelCore, request: CallRequest, inbox: Inbox, learn: Learn | None
    ) -> None:
        details = core.options.details(request.path, request.metadata, request.timeout)
        self._kernel = kernel
        self._call: ClientCall[bytes, bytes] = client_call(core, details)
        self._inbox = inbox
        self._learn = learn
        self._ended_here: Status | None = None
        self._room: Waiter | None = None

    def open(self) -> None:
        """Open the call in this thread, and have what comes go to the inbox from here on."""
        try:
            self._kernel.run(self._call.__aenter__())
        except (RpcError, InvalidArgument, NotConnected) as error:
            self._end(failed_outcome(error))
            return
        self._kernel.start(self._fill())

    async def _fill(self) -> None:
        end = Outcome(CLOSING)  # if this is interrupted
        try:
            end = await self._receive_all()
            if self._learn is not None:
                await self._learn(end)
        finally:
            self._end(end)

    def _end(self, end: Outcome) -> None:
        if self._ended_here is not None:
            end = Outcome(self._ended_here)
        status = end.status
        said = as_k6_says(status.code, status.message, status.details)
        self._inbox.end(end._replace(status=said))

    async def _receive_all(self) -> Outcome:
        call, inbox = self._call, self._inbox
        try:
            while True:
                message = call.next_taken() if call.has_taken else await call.receive()
                if message is None:
                    return Outcome(call.status, None, await call.headers(), call.trailers)
                if self._learn is not None:
                    await self._learn(message)
                if not inbox.put(message, self._has_room):
                    await self._kernel.locked(self._room_waiter).wait()
        except RpcError as error:
            return failed_outcome(error)
        finally:
            call.cancel()

    def _room_waiter(self) -> Waiter:
        self._room = waiter = self._kernel.waiter()
        if not self._inbox.is_full or self._call.is_over:
            waiter.wake()
        return waiter

    def _has_room(self) -> None:
        self._kernel.locked(self._wake)

    def _wake(self) -> None:
        if self._room is not None:
            self._room.wake()

    # -- on the user's threads

    def send(self, message: bytes, on_sent: Callable[[], None], patience: Patience | None = None) -> None:
        """Send a message behind those before it; wait while too much is on its way. Nothing happens after the end.

        ``patience`` may end the wait before; the message is sent all the same. ``on_sent`` is called when the
        transport has it. Raises KeyboardInterrupt when that interrupts the wait.
        """
        call, kernel = self._call, self._kernel
        try:
            kernel.run(call.send(message, wait=patience is None))
            if patience is not None:
                while call.unsent > SEND_BUFFER_SIZE and patience.lasts(call.unsent):
                    kernel.run(call.wait_for_room(kernel.now() + PATIENCE_SECONDS))
        except (RpcError, LocalProtocolError):
            return  # the inbox says how the call ended
        on_sent()

    def half_close(self) -> None:
        """No more messages will be sent."""
        try:
            self._kernel.run(self._call.half_close())
        except LocalProtocolError:
            return  # it could not be opened; the inbox says why

    def cancel(self, status: Status = CANCELED_HERE) -> None:
        """End the stream from this side; the inbox gets ``status``, unless it has its end already."""
        if self._ended_here is None and not self._call.is_over:
            self._ended_here = status
        self._call.cancel()
        self._has_room()
