"""Types that messages name when they come, asked of the server by reflection: those in a google.protobuf.Any."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from puregrpc.channel import Channel, MetadataLike
from puregrpc.errors import DecodeError, EncodeError, RemoteProtocolError, RpcError, SchemaError
from puregrpc.kernel.events import Turn
from puregrpc.schema import Registry, load_symbols
from puregrpc.schema.missing_types import MissingTypes
from puregrpc.services.reflection.client import ReflectionClient, open_reflection

__all__ = ["TypesOnDemand"]

SECONDS = 10.0
"""How long the types that one message needs are asked for: it is shown without them then."""

MAX_OCTETS = 64 << 20
"""Of all descriptors that are asked for in this way. They stay as long as the registry does."""


class TypesOnDemand:
    """Asks a server for types that its registry turns out to lack: each once, and remembers the answer.

    What cannot be had is shown as it came. `learn` raises nothing for it.
    """

    def __init__(self, channel: Channel, registry: Registry, *, metadata: MetadataLike | None = None) -> None:
        self._channel = channel
        self.registry = registry
        self.metadata = metadata
        self._missing = registry.missing_types = registry.missing_types or MissingTypes()
        self._turn = Turn(channel.bound().kernel)
        self._octets = 0

    async def learn(self, attempt: Callable[[], object]) -> None:
        """Run ``attempt``, which decodes or encodes something, and ask for what it misses, until it misses nothing."""
        kernel = self._channel.bound().kernel
        until = kernel.now() + SECONDS
        while True:
            with suppress(DecodeError, EncodeError):  # who does it in earnest is told
                attempt()
            if not self._missing.names:
                return
            async with self._turn:
                names = self._missing.names
                if names:
                    await self._ask(names, until - kernel.now())

    async def _ask(self, names: list[str], timeout: float) -> None:
        try:
            if timeout > 0:
                opening = open_reflection(self._channel, metadata=self.metadata, timeout=timeout)
                async with opening as reflection:
                    for name in names:
                        with suppress(SchemaError, RemoteProtocolError):  # this one cannot be had
                            await load_symbols(self.registry, _Bounded(reflection, self), [name])
                        self._missing.answered(name)
        except RpcError:
            pass  # no reflection, or no answer
        finally:
            for name in names:
                self._missing.answered(name)

    def count(self, answers: list[bytes]) -> list[bytes]:
        """Answers of the server. Raises SchemaError beyond the limit."""
        self._octets += sum(map(len, answers))
        if self._octets > MAX_OCTETS:
            raise SchemaError(f"the server described types with more than {MAX_OCTETS} bytes")
        return answers


class _Bounded:
    """A server's reflection, within the limit on octets."""

    def __init__(self, reflection: ReflectionClient, owner: TypesOnDemand) -> None:
        self._reflection = reflection
        self._owner = owner

    async def file_containing_symbol(self, symbol: str) -> list[bytes]:
        return self._owner.count(await self._reflection.file_containing_symbol(symbol))

    async def file_by_filename(self, name: str) -> list[bytes]:
        return self._owner.count(await self._reflection.file_by_filename(name))
