"""Server reflection over a blocking channel: the reflection client's coroutines, run without an event loop.

They wait only for the channel, which blocks in its own way, so each runs from its beginning to its end in one step.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from puregrpc.channel import BlockingCall, BlockingChannel, MetadataLike
from puregrpc.proto.descriptors import MethodDescriptor
from puregrpc.schema import Registry

if TYPE_CHECKING:
    from puregrpc.codec import Codec

__all__ = ["load_by_reflection"]


class StepCall:
    """A blocking call in the form of an async one; its methods never suspend."""

    _call: BlockingCall[Any, Any]

    def __init__(self, opening: AbstractContextManager[BlockingCall[Any, Any]]) -> None:
        self._opening = opening

    async def __aenter__(self) -> StepCall:
        self._call = self._opening.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opening.__exit__(kind, error, trace)

    async def send(self, message: Any) -> None:
        self._call.send(message)

    async def receive(self) -> Any:
        return self._call.receive()


class StepChannel:
    """As much of a channel as reflection needs, over a blocking one; calls end at ``deadline``."""

    def __init__(self, channel: BlockingChannel, deadline: float) -> None:
        self._channel = channel
        self._deadline = deadline

    def stream_stream(self, method: MethodDescriptor, *, codec: Codec) -> Any:
        def begin(*, metadata: MetadataLike | None = None) -> StepCall:
            return StepCall(
                self._channel.stream(
                    method,
                    codec.encoder(method.input_type),
                    codec.decoder(method.output_type),
                    metadata=metadata,
                    timeout=max(self._deadline - time.monotonic(), 0.0),
                )
            )

        return begin


def load_by_reflection(
    channel: BlockingChannel, registry: Registry, *, metadata: MetadataLike | None, timeout: float
) -> None:
    """Load all that the server lists, within ``timeout`` seconds. Raises as `ReflectionClient.load` does."""
    from puregrpc.services.reflection.client import ReflectionClient

    async def load() -> None:
        async with AsyncExitStack() as stack:
            steps = StepChannel(channel, time.monotonic() + timeout)
            await ReflectionClient(cast("Any", steps), metadata, stack, lock=nullcontext()).load(registry)

    coroutine = load()
    try:
        coroutine.send(None)
    except StopIteration:
        return
    finally:
        coroutine.close()
    raise RuntimeError("reflection over a blocking channel waited for something else than the channel")
