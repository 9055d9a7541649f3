"""The network's side of a blocking client's stream: a call whose messages go to an inbox."""

from __future__ import annotations

from collections.abc import Callable

from puregrpc.channel.calls.call import ClientCall
from puregrpc.channel.core import ChannelCore
from puregrpc.channel.details import CallDetails
from puregrpc.client.failures import status_of
from puregrpc.client.inbox import PATIENCE_SECONDS, Inbox, Patience
from puregrpc.client.requests import CallRequest, StreamEnd
from puregrpc.client.status import CANCELED_HERE, as_k6_says
from puregrpc.errors import InvalidArgument, LocalProtocolError, NotConnected, RpcError
from puregrpc.kernel import Waiter
from puregrpc.kernel.thread_kernel import ThreadKernel
from puregrpc.wire.limits import SEND_BUFFER_SIZE
from puregrpc.wire.status import Status, StatusCode

__all__ = ["StreamLink"]


class StreamLink:
    """Opens a stream in the calling thread. Its end, whatever it is, comes through the inbox.

    What it receives goes to the inbox as fast as there is room in it.
    """

    def __init__(
        self,
        kernel: ThreadKernel,
        core: ChannelCore,
        request: CallRequest,
        inbox: Inbox,
    ) -> None:
        details = CallDetails(request.path, request.metadata, request.timeout, core.options.wait_for_ready)
        self._kernel = kernel
        self._call: ClientCall[bytes, bytes] = ClientCall(core, details)
        self._inbox = inbox
        self._ended_here: Status | None = None
        self._room: Waiter | None = None

    def open(self) -> None:
        """Open the call, and have what comes go to the inbox from here on."""
        end: StreamEnd | None = None
        try:
            self._kernel.run(self._call.__aenter__())
        except RpcError as error:
            end = StreamEnd(status_of(error))
        except (InvalidArgument, NotConnected) as error:
            end = StreamEnd(Status(StatusCode.INTERNAL, str(error)))
        self._kernel.start(self._pump(end))

    async def _pump(self, end: StreamEnd | None) -> None:
        if end is None:
            end = await self._receive_all()
        if self._ended_here is not None:
            end = StreamEnd(self._ended_here)
        status = end.status
        said = as_k6_says(status.code, status.message, status.details)
        self._inbox.end(StreamEnd(said, end.headers, end.trailers))

    async def _receive_all(self) -> StreamEnd:
        call = self._call
        try:
            while (message := await call.receive()) is not None:
                room = self._kernel.waiter()
                self._kernel.locked(self._wait_for_room, room)
                if not self._inbox.put(message, self._has_room):
                    await room.wait()
            return StreamEnd(call.status, await call.headers(), call.trailers)
        except RpcError as error:
            return StreamEnd(status_of(error), error.headers, error.trailers)
        finally:
            call.cancel()

    def _wait_for_room(self, room: Waiter) -> None:
        self._room = room

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
