"""A client of the reflection service: what a registry loads from (`puregrpc.schema.FileDescriptorSource`)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from puregrpc.channel import Channel, ClientCall, MetadataLike
from puregrpc.errors import DecodeError, RemoteProtocolError, RpcError, SchemaError
from puregrpc.kernel.events import Turn
from puregrpc.schema import Registry, load_symbols
from puregrpc.services.contracts import codec, method
from puregrpc.services.reflection.server import VERSIONS
from puregrpc.wire.status import Status, StatusCode

__all__ = ["ReflectionClient", "open_reflection"]

MAX_SERVICES = 10_000
"""How many services one server may list: more than any has, and what a hostile one can cost stays bounded."""


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
        self._call: ClientCall[Any, Any] | None = None
        self._versions = list(VERSIONS)

    @property
    def version(self) -> str:
        """The version that is spoken with the server: "v1", or "v1alpha" after it has refused that."""
        return self._versions[0]

    async def list_services(self) -> list[str]:
        """The full names of the server's services, in its order."""
        answer = await self._ask({"listServices": "*"}, "listServicesResponse")
        names = [entry["name"] for entry in answer["service"]]
        if len(names) > MAX_SERVICES:
            raise RemoteProtocolError(f"the server lists {len(names)} services; {MAX_SERVICES} are taken at most")
        return names

    async def file_by_filename(self, name: str) -> list[bytes]:
        """The file of this name, with any of its imports: serialized FileDescriptorProtos."""
        return self._files(await self._ask({"fileByFilename": name}, "fileDescriptorResponse"))

    async def file_containing_symbol(self, symbol: str) -> list[bytes]:
        """The file that declares a service, method, type, field ...: serialized FileDescriptorProtos."""
        return self._files(await self._ask({"fileContainingSymbol": symbol}, "fileDescriptorResponse"))

    async def file_containing_extension(self, message: str, number: int) -> list[bytes]:
        """The file that declares an extension of a message: serialized FileDescriptorProtos."""
        question = {"fileContainingExtension": {"containingType": message, "extensionNumber": number}}
        return self._files(await self._ask(question, "fileDescriptorResponse"))

    async def extension_numbers(self, message: str) -> list[int]:
        """The numbers of the extensions of a message that the server knows."""
        answer = await self._ask({"allExtensionNumbersOfType": message}, "allExtensionNumbersResponse")
        return list(answer["extensionNumber"])

    async def load(self, registry: Registry, services: list[str] | None = None) -> list[str]:
        """Load services (by default all that the server lists) with all their types; returns the names of those loaded.

        When all are asked for, one that the server lists and cannot describe is left out; the registry remembers why.
        """
        if services is not None:
            await load_symbols(registry, self, services)
            return services
        loaded = []
        for name in await self.list_services():
            try:
                await load_symbols(registry, self, [name])
                registry.service(name)
            except SchemaError as error:
                registry.note_refused(name, str(error))
                continue
            loaded.append(name)
        return loaded

    @staticmethod
    def _files(answer: dict[str, Any]) -> list[bytes]:
        return [b64decode(text) for text in answer["fileDescriptorProto"]]

    async def _ask(self, question: dict[str, Any], wanted: str) -> dict[str, Any]:
        async with self._turn:
            answer = await self._exchange(question)
        error = answer.get("errorResponse")
        if error is not None:
            name = Status(error["errorCode"]).name
            raise SchemaError(f"server reflection: {name}: {error['errorMessage']}")
        found: dict[str, Any] | None = answer.get(wanted)
        if found is None:
            raise RemoteProtocolError(f"server reflection: an answer without {wanted}")
        return found

    async def _exchange(self, question: dict[str, Any]) -> dict[str, Any]:
        fresh = self._call is None
        while True:
            call = await self._open()
            try:
                await call.send(question)
                answer: dict[str, Any] | None = await call.receive()
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

    async def _open(self) -> ClientCall[Any, Any]:
        if self._call is None:
            package = f"grpc.reflection.{self.version}"
            file = f"{package.replace('.', '/')}/reflection.proto"
            info = method(file, f"{package}.ServerReflection", "ServerReflectionInfo")
            ask = self._channel.stream_stream(info, codec=codec(file))
            await self._stack.aclose()
            self._call = await self._stack.enter_async_context(ask(metadata=self._metadata, timeout=self._timeout))
        return self._call


@asynccontextmanager
async def open_reflection(
    channel: Channel, *, metadata: MetadataLike | None = None, timeout: float | None = None
) -> AsyncIterator[ReflectionClient]:
    """A `ReflectionClient` on a channel. ``metadata`` and ``timeout`` (seconds) are those of its calls."""
    async with AsyncExitStack() as stack:
        yield ReflectionClient(channel, metadata, stack, timeout=timeout)
