"""Any service, answering with example messages: a stand-in for a server that is not there (yet)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from puregrpc.codec import Codec
from puregrpc.codec.samples import example, is_well_known
from puregrpc.proto import compile as compile_proto
from puregrpc.proto.descriptors import FieldDescriptor, MethodDescriptor, ServiceDescriptor
from puregrpc.schema import Registry
from puregrpc.server import Context, in_place
from puregrpc.server.base import ServerBase
from puregrpc.server.method import Handler
from puregrpc.services.answering import Gathering, answer_each, answer_last, answer_many

__all__ = ["ExampleService"]

STREAMED_MESSAGES = 3
"""How many responses a server stream has."""


class ExampleService:
    """A service whose methods answer with an example of their response (see `puregrpc.codec.samples`).

    Fields of the response whose name and type the request has as well are echoed if the request sets them. A server
    stream sends three messages, a client stream is answered once it ends, from its last request, and a bidirectional
    one answers each request. ``handlers`` answer in place of examples: by the name of the method as in the .proto
    file, called as those of `Server.add_service` with messages as dicts.
    """

    def __init__(self, service: ServiceDescriptor, handlers: Mapping[str, Handler] | None = None) -> None:
        self._service = service
        self._handlers = handlers or {}

    def add_to(self, server: ServerBase) -> None:
        """Serve it on ``server``. Raises SchemaError if its file clashes with one that the server knows."""
        examples = {
            method.name: _ExampleMethod(method, server.codec).handler(server)
            for method in self._service.methods
            if method.name not in self._handlers
        }
        if self._service.methods:
            server.add_service(self._service, {**examples, **self._handlers})
        _know_string_value(server.registry)


def _know_string_value(registry: Registry) -> None:
    """Examples of Any hold one."""
    (file,) = compile_proto(["google/protobuf/wrappers.proto"])
    if file.name not in registry.files:
        registry.add_file(file)


class _ExampleMethod:
    """Answers one method; the example is made when it is first asked for."""

    def __init__(self, method: MethodDescriptor, codec: Codec) -> None:
        self.method = method
        self.codec = codec

    def handler(self, server: ServerBase) -> Handler:
        """The handler for the method's shape."""
        if self.method.is_client_stream:
            if self.method.is_server_stream:
                return answer_each(server, lambda _: self.answer_once)
            return answer_last(server, lambda _: _LastRequest(self))
        return answer_many(server, self.answer_thrice) if self.method.is_server_stream else self.answer

    @in_place
    def answer(self, request: Any, context: Context) -> Any:  # noqa: ARG002 - a handler
        return self.response(request)

    def answer_once(self, request: Any, context: Context) -> Iterator[Any]:  # noqa: ARG002 - likewise
        yield self.response(request)

    def answer_thrice(self, request: Any, context: Context) -> Iterator[Any]:  # noqa: ARG002 - likewise
        for _ in range(STREAMED_MESSAGES):
            yield self.response(request)

    @cached_property
    def example(self) -> Any:
        """The response without anything of the request in it."""
        return example(self.method.output_type)

    @cached_property
    def default_request(self) -> Any:
        """A request that sets nothing, as handlers get it."""
        return self.codec.default(self.method.input_type)

    @cached_property
    def echoed(self) -> list[tuple[str, FieldDescriptor]]:
        """The name in requests, and the field of the response, of what is echoed."""
        asked, given = self.method.input_type, self.method.output_type
        if is_well_known(asked) or is_well_known(given):
            return []
        fields = {field.name: field for field in asked.fields}
        return [
            (fields[field.name].json_name, field)
            for field in given.fields
            if field.name in fields and _same_type(fields[field.name], field)
        ]

    def response(self, request: Any) -> Any:
        """The example, with what the request sets echoed."""
        given = self.method.output_type
        if is_well_known(given):
            same = given.full_name == self.method.input_type.full_name
            return request if same and request is not None and request != self.default_request else self.example
        answer = dict(self.example)
        for name, field in self.echoed:
            if request is None or request.get(name) == self.default_request.get(name):
                continue
            for other in field.containing_oneof.fields if field.containing_oneof is not None else ():
                answer.pop(other.json_name, None)
            answer[field.json_name] = request[name]
        return answer


class _LastRequest(Gathering):
    """Answers the last request."""

    def __init__(self, method: _ExampleMethod) -> None:
        self._method = method
        self._last: Any = None

    def take(self, request: Any) -> bool:
        self._last = request
        return True

    def answer(self) -> Any:
        return self._method.response(self._last)


def _same_type(one: FieldDescriptor, other: FieldDescriptor) -> bool:
    """Whether what is in one field can be put in the other."""
    if (one.type, one.is_repeated, one.is_map) != (other.type, other.is_repeated, other.is_map):
        return False
    if one.enum_type is not None and other.enum_type is not None:
        return one.enum_type.full_name == other.enum_type.full_name
    if one.message_type is None or other.message_type is None:
        return one.message_type is other.message_type
    if one.is_map:
        pairs = zip(one.message_type.fields, other.message_type.fields, strict=True)
        return all(_same_type(mine, yours) for mine, yours in pairs)
    return one.message_type.full_name == other.message_type.full_name
