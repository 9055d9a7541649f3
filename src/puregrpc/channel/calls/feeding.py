"""Sending what an iterable gives, beside whoever receives."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import Any, Generic, TypeVar

from puregrpc.errors import LocalProtocolError, RpcError
from puregrpc.kernel import Kernel, Task

__all__ = ["Feeder", "Requests"]

RequestT = TypeVar("RequestT")

Requests = AsyncIterable[RequestT] | Iterable[RequestT]


class Feeder(Generic[RequestT]):
    """Sends ``requests`` and the half-close on a call, in a task of its own.

    The call is a `ClientCall`, a `BlockingCall`, or what an interceptor put in the place of one. What ``requests``
    raises cancels the call; it is kept for `stop`.
    """

    def __init__(self, kernel: Kernel, call: Any, requests: Requests[RequestT]) -> None:
        self._kernel = kernel
        self._call = call
        self._requests = requests
        self._failures: list[Exception] = []
        self._task: Task = kernel.spawn(self._run)

    async def _run(self) -> None:
        call = self._call
        try:
            if await self._send_all():
                await self._kernel.call(call.half_close)
        except (RpcError, LocalProtocolError) as error:
            if not call.is_over:
                self._fail(error)  # it is the iterable's own
        except Exception as error:
            self._fail(error)

    async def _send_all(self) -> bool:
        """False if the call is over before all is sent."""
        requests, send, call = self._requests, self._call.send, self._call
        if not isinstance(requests, AsyncIterable):
            for request in requests:
                await self._kernel.call(send, request)
                if call.is_over:
                    return False
            return True
        try:
            async for request in requests:
                await self._kernel.call(send, request)
                if call.is_over:
                    return False
            return True
        finally:
            if isinstance(requests, AsyncGenerator):
                await requests.aclose()

    def _fail(self, error: Exception) -> None:
        self._failures.append(error)
        self._call.cancel()

    def stop(self, error: BaseException | None) -> None:
        """Stop sending. ``error`` is what the receiving side raised, if it did.

        Raises what the requests raised, unless the receiver has failed by itself.
        """
        self._task.cancel()
        failures, self._failures = self._failures, []
        if failures and (error is None or isinstance(error, RpcError)):
            raise failures.pop()  # kept in a frame, it would keep that frame
