"""The reflection service: answers for what a server serves, from its registry."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from puregrpc.errors import Error
from puregrpc.proto.descriptors import FileDescriptor
from puregrpc.schema import Registry
from puregrpc.schema.imports import files_first
from puregrpc.server import Context, own_thread
from puregrpc.server.base import ServerBase
from puregrpc.server.routing import shown
from puregrpc.services.answering import answer_each
from puregrpc.services.contracts import service_in
from puregrpc.services.reflection.index import FileIndex
from puregrpc.services.reflection.messages import VERSIONS
from puregrpc.wire.status import StatusCode

__all__ = ["ReflectionService"]


class NotFound(Exception):  # noqa: N818 - becomes the error response NOT_FOUND
    """The question has no answer here."""


class ReflectionService:
    """The service, in both versions. ``registry`` is what it answers from; by default that of the server.

    Files come with all they import, each file once on one stream, as reflection.proto allows.
    """

    def __init__(self, registry: Registry | None = None, services: Callable[[], Iterable[str]] | None = None) -> None:
        self._registry = registry
        self._services = services
        self._serialized: dict[str, str] = {}

    def add_to(self, server: ServerBase, *, versions: Iterable[str] = VERSIONS) -> None:
        """Serve it on ``server``."""
        index = FileIndex(self._registry if self._registry is not None else server.registry)
        services = self._services if self._services is not None else lambda: server.services

        def begin(context: Context) -> Callable[[dict[str, Any], Context], Iterator[dict[str, Any]]]:  # noqa: ARG001
            return partial(self._answer_one, index, services, set())

        handler = answer_each(server, begin)
        if server.is_blocking:
            handler = own_thread(handler)  # clients keep such a stream for as long as they like
        for version in versions:
            name = f"grpc.reflection.{version}"
            descriptor = service_in(
                server.registry, f"{name.replace('.', '/')}/reflection.proto", f"{name}.ServerReflection"
            )
            server.add_service(descriptor, {"ServerReflectionInfo": handler})

    def _answer_one(
        self,
        index: FileIndex,
        services: Callable[[], Iterable[str]],
        sent: set[str],
        request: dict[str, Any],
        context: Context,  # noqa: ARG002 - as all that answer get it
    ) -> Iterator[dict[str, Any]]:
        holding = [self._response(index, services, sent, request)]
        del request  # which the answer repeats: a stream that waits keeps neither
        yield holding.pop()

    def _response(
        self, index: FileIndex, services: Callable[[], Iterable[str]], sent: set[str], request: dict[str, Any]
    ) -> dict[str, Any]:
        response = {"validHost": request.get("host", ""), "originalRequest": request}
        try:
            response.update(self._answer(index, services, request, sent))
        except NotFound as error:
            response["errorResponse"] = {"errorCode": int(StatusCode.NOT_FOUND), "errorMessage": str(error)}
        return response

    def _answer(
        self, index: FileIndex, services: Callable[[], Iterable[str]], request: dict[str, Any], sent: set[str]
    ) -> dict[str, Any]:
        if (name := request.get("fileByFilename")) is not None:
            return self._files(index.by_name(name), f"file {name!r}", sent)
        if (symbol := request.get("fileContainingSymbol")) is not None:
            return self._files(index.by_symbol(symbol), f"symbol {symbol!r}", sent)
        if (extension := request.get("fileContainingExtension")) is not None:
            message, number = extension.get("containingType", ""), extension.get("extensionNumber", 0)
            found = index.by_extension(message, number)
            return self._files(found, f"extension {number} of {message!r}", sent)
        if (message := request.get("allExtensionNumbersOfType")) is not None:
            numbers = index.extension_numbers(message)
            if numbers is None:
                raise NotFound(f"{shown(f'type {message!r}')} is not known")
            return {"allExtensionNumbersResponse": {"baseTypeName": message, "extensionNumber": numbers}}
        if request.get("listServices") is not None:
            return {"listServicesResponse": {"service": [{"name": name} for name in sorted(services())]}}
        text = "the request asks for nothing that is known"
        return {"errorResponse": {"errorCode": int(StatusCode.INVALID_ARGUMENT), "errorMessage": text}}

    def _files(self, file: FileDescriptor | None, what: str, sent: set[str]) -> dict[str, Any]:
        if file is None:
            raise NotFound(f"{shown(what)} is not known")
        # What was asked for goes out even if it did before: a client may have lost it.
        chosen = [other for other in files_first([file]) if other is file or other.name not in sent]
        sent.update(other.name for other in chosen)
        return {"fileDescriptorResponse": {"fileDescriptorProto": [self._base64(other) for other in chosen]}}

    def _base64(self, file: FileDescriptor) -> str:
        """The serialized FileDescriptorProto as ProtoJSON has bytes."""
        text = self._serialized.get(file.name)
        if text is None:
            try:
                text = b64encode(file.to_proto().SerializeToString(deterministic=True)).decode()
            except (LookupError, Error) as error:
                raise NotFound(str(error)) from None
            self._serialized[file.name] = text
        return text
