"""Calls whose client sends one message: the handler runs once it is there, as a job of the loop or in place."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

from puregrpc.server.calls.incoming import IncomingCall, unreadable
from puregrpc.server.context import Context
from puregrpc.server.faults import contain
from puregrpc.server.mixing import closing
from puregrpc.wire.compression import CompressedMessage
from puregrpc.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from puregrpc.server.routing import Route
    from puregrpc.server.session import ServerSession

__all__ = ["InPlaceCall", "UnaryRequestCall"]


class UnaryRequestCall(IncomingCall):
    """A call whose client sends one message: the handler starts once the client has said that it was all."""

    __slots__ = ("message",)

    def __init__(self, route: Route, session: ServerSession) -> None:
        IncomingCall.__init__(self, route, session)
        self.message: bytes | None = None

    def on_message(self, message: bytes) -> None:
        if self.message is not None:
            self.refuse("more than one request message came")
        self.message = message
        self.session.messages_received += 1
        self.session.last_received = self.session.wire.now

    def on_half_close(self) -> None:
        if self.message is None:
            self.refuse("no request message came")
        elif self.ended is None:
            self.begin_soon()

    @property
    def kept_octets(self) -> int:
        message = self.message  # its handler's thread may take it meanwhile
        return 0 if message is None else len(message)

    def drop(self) -> None:
        self.message = None

    def refuse(self, why: str) -> None:
        """End the call: another number of messages than one is UNIMPLEMENTED (gRPC's statuscodes.md)."""
        status = Status(StatusCode.UNIMPLEMENTED, f"{self.request.path} takes exactly one request message: {why}")
        if self.ended is None:
            self.finish(status)
            self.ended = status

    def begin(self) -> Any:
        message, self.message = cast("bytes", self.message), None
        if type(message) is CompressedMessage:
            return self._respond_to(message) if self.route.responses_stream else self._answer_to(message)
        return self.handle(message)

    def begin_at_once(self) -> Any:
        """`begin`, for whoever keeps nobody waiting. Raises NoRoom (see `Threads.inflate`) if it is to begin later."""
        message = cast("bytes", self.message)
        if type(message) is CompressedMessage:
            message = self.inflate_at_once(message)
        self.message = None
        return self.handle(message)

    def inflate_at_once(self, message: CompressedMessage) -> bytes:
        """Inflate the request while nothing else goes on here."""
        return self.session.threads.inflate(message, bool, self.inflated)

    def handle(self, message: bytes) -> Any:
        """Call the handler with a request."""
        try:
            request = self.deserialize(message)
        except Exception as error:
            raise unreadable(error) from error
        return self.route.handler(request, Context(self))

    async def _answer_to(self, message: CompressedMessage) -> Any:
        response = self.handle(await self.inflate(message))
        return await response if hasattr(response, "__await__") else response

    async def _respond_to(self, message: CompressedMessage) -> AsyncIterator[Any]:
        responses = self.handle(await self.inflate(message))
        async with closing(responses):
            async for response in responses:
                yield response


class InPlaceCall(UnaryRequestCall):
    """A call whose handler is a plain function that is called right where its request is read."""

    __slots__ = ("pending",)

    def __init__(self, route: Route, session: ServerSession) -> None:
        super().__init__(route, session)
        self.pending: Any = None
        """What the plain function returned to be awaited."""

    def begin_soon(self) -> None:
        if self.is_to_wait():
            return
        self.has_begun = True
        try:
            if type(self.message) is CompressedMessage:
                self.pending = super().begin()
                self.session.submit(self, self.route)
            else:
                self.session.threads.new_context().run(self._run_in_place)
        except BaseException as error:
            contain(error, self.session.kernel, self.crashed)
        if self.pending is None and self.holds_place:
            self.let_go()

    def _run_in_place(self) -> None:
        try:
            response = self.begin_at_once()
            if hasattr(response, "__await__"):  # such as a decorator's wrapper around an async function gives
                self.pending = response
                self.session.submit(self, self.route)
            else:
                self.respond(response)
        except BaseException as error:
            contain(error, self.session.kernel, self.fail)

    def begin(self) -> Any:
        return self.pending

    def discard(self) -> None:
        if inspect.iscoroutine(self.pending):
            self.pending.close()
