"""A client of the reflection service: what a registry loads from (`puregrpc.schema.FileDescriptorSource`)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from puregrpc.channel import Channel, ClientCall, MetadataLike, StreamStreamMethod
from puregrpc.errors import DecodeError, RemoteProtocolError, RpcError, SchemaError
from puregrpc.kernel.events import Turn
from puregrpc.services.reflection.messages import (
    ERROR,
    EXTENSION_NUMBERS,
    FILE_BY_FILENAME,
    FILE_CONTAINING_SYMBOL,
    FILES,
    LIST_SERVICES,
    NUMBERS_OF_TYPE,
    SERVICES,
    VERSIONS,
    Answer,
    decode_answer,
    extension_question,
    question,
)
from puregrpc.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from puregrpc.schema import Registry

__all__ = ["ReflectionClient", "open_reflection"]

MAX_SERVICES = 10_000
"""How many services one server may list: more than any has, and what a hostile one can cost stays bounded."""

MAX_OCTETS = 1 << 30
MAX_SECONDS = 600
"""For the descriptions of all of them, which have limits of their own (`puregrpc.schema.limits`)."""

ANSWERS = {
    FILES: "fileDescriptorResponse",
    EXTENSION_NUMBERS: "allExtensionNumbersResponse",
    SERVICES: "listServicesResponse",
}
"""What an answer is called (in JSON), by its field."""


class ReflectionClient:
    """Asks a server for its own schema; `open_reflection` makes one. One question at a time goes over one stream.

    Asks by v1, and by v1alpha where a server does not have that. All methods raise RpcError if the call fails
    (UNIMPLEMENTED: no reflection), SchemaError if the server does not know what it was asked for, and
    RemoteProtocolError if its answer is none.
    """

    def __init__(
        self,
        channel: Channel,
        metadata: MetadataLike | None,
        stack: AsyncExitStack,
        *,
        timeout: float | None = None,
    ) -> None:
        self._channel = channel
        self._metadata = metadata
        self._stack = stack
        self._timeout = timeout
        self._turn = Turn(channel.bound().kernel)
        self._call: ClientCall[bytes, Answer] | None = None
        self._versions = list(VERSIONS)

    @property
    def version(self) -> str:
        """The version that is spoken with the server: "v1", or "v1alpha" after it has refused that."""
        return self._versions[0]

    async def list_services(self) -> list[str]:
        """The full names of the server's services, in its order."""
        names = (await self._ask(question(LIST_SERVICES, "*"), SERVICES)).services
        if len(names) > MAX_SERVICES:
            raise RemoteProtocolError(f"the server lists {len(names)} services; {MAX_SERVICES} are taken at most")
        return list(names)

    async def file_by_filename(self, name: str) -> list[bytes]:
        """The file of this name, with any of its imports: serialized FileDescriptorProtos."""
        return list((await self._ask(question(FILE_BY_FILENAME, name), FILES)).files)

    async def file_containing_symbol(self, symbol: str) -> list[bytes]:
        """The file that declares a service, method, type, field ...: serialized FileDescriptorProtos."""
        return list((await self._ask(question(FILE_CONTAINING_SYMBOL, symbol), FILES)).files)

    async def file_containing_extension(self, message: str, number: int) -> list[bytes]:
        """The file that declares an extension of a message: serialized FileDescriptorProtos."""
        return list((await self._ask(extension_question(message, number), FILES)).files)

    async def extension_numbers(self, message: str) -> list[int]:
        """The numbers of the extensions of a message that the server knows."""
        return list((await self._ask(question(NUMBERS_OF_TYPE, message), EXTENSION_NUMBERS)).extension_numbers)

    async def load(self, registry: Registry, services: list[str] | None = None) -> list[str]:
        """Load services (by default all that the server lists) with all their types; returns the names of those loaded.

        When all are asked for, one that the server lists and cannot describe is left out; the registry remembers why.
        Raises RemoteProtocolError beyond ``MAX_OCTETS`` and ``MAX_SECONDS``.
        """
        from puregrpc.schema import load_symbols  # who only lists need not wait for the import

        if services is not None:
            await load_symbols(registry, self, services)
            return services
        loaded = []
        source = _Bounded(self)
        for name in await self.list_services():
            try:
                await load_symbols(registry, source, [name])
            except SchemaError as error:
                registry.note_refused(name, str(error))
                continue
            if registry.find_service(name) is not None:
                loaded.append(name)
            else:
                registry.note_refused(name, "it declares no service of this name")
        return loaded

    async def _ask(self, asked: bytes, wanted: int) -> Answer:
        async with self._turn:
            answer = await self._exchange(asked)
        if answer.member == ERROR:
            raise SchemaError(f"server reflection: {Status(answer.error_code).name}: {answer.error_message}")
        if answer.member != wanted:
            raise RemoteProtocolError(f"server reflection: an answer without {ANSWERS[wanted]}")
        return answer

    async def _exchange(self, asked: bytes) -> Answer:
        fresh = self._call is None
        while True:
            call = await self._open()
            try:
                await call.send(asked)
                answer = await call.receive()
            except RpcError as error:
                self._call = None
                if error.code == StatusCode.UNIMPLEMENTED and len(self._versions) > 1:
                    del self._versions[0]
                    continue
                raise
            except DecodeError as error:
                self._call = None
                raise RemoteProtocolError(f"server reflection: the answer cannot be read: {error}") from None
            except BaseException:  # interrupted: the answer may still come, and would be taken for the next one
                self._call = None
                call.cancel()
                raise
            if answer is not None:
                return answer
            # The server ended the stream: some do after each answer. On a new stream it must answer.
            self._call = None
            if fresh:
                raise RemoteProtocolError("server reflection: the server ended the stream without an answer")
            fresh = True

    async def _open(self) -> ClientCall[bytes, Answer]:
        if self._call is None:
            path = f"/grpc.reflection.{self.version}.ServerReflection/ServerReflectionInfo"
            ask: StreamStreamMethod[bytes, Answer] = self._channel.stream_stream(path, bytes, decode_answer)
            await self._stack.aclose()
            self._call = await self._stack.enter_async_context(ask(metadata=self._metadata, timeout=self._timeout))
        return self._call


class _Bounded:
    """A server's reflection, within the limits on what it may tell of all its services."""

    def __init__(self, reflection: ReflectionClient) -> None:
        self._reflection = reflection
        self._octets = 0
        self._end = time.monotonic() + MAX_SECONDS

    async def file_containing_symbol(self, symbol: str) -> list[bytes]:
        return self._count(await self._reflection.file_containing_symbol(symbol))

    async def file_by_filename(self, name: str) -> list[bytes]:
        return self._count(await self._reflection.file_by_filename(name))

    def _count(self, answers: list[bytes]) -> list[bytes]:
        self._octets += sum(map(len, answers))
        if self._octets > MAX_OCTETS:
            raise RemoteProtocolError(f"the server describes its services with more than {MAX_OCTETS} bytes")
        if time.monotonic() > self._end:
            raise RemoteProtocolError(f"the server had not described its services after {MAX_SECONDS} seconds")
        return answers


@asynccontextmanager
async def open_reflection(
    channel: Channel, *, metadata: MetadataLike | None = None, timeout: float | None = None
) -> AsyncIterator[ReflectionClient]:
    """A `ReflectionClient` on a channel. ``metadata`` and ``timeout`` (seconds) are those of its calls."""
    async with AsyncExitStack() as stack:
        yield ReflectionClient(channel, metadata, stack, timeout=timeout)
