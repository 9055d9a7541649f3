"""The methods of a whole service: its descriptor and an object with a handler for each of its methods."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from google.protobuf import descriptor as protobuf_descriptor
from google.protobuf import descriptor_pb2, message_factory

from puregrpc.codec import Codec
from puregrpc.errors import DecodeError, InvalidArgument
from puregrpc.proto.descriptors import MethodDescriptor, ServiceDescriptor
from puregrpc.schema import Registry
from puregrpc.server.method import Deserializer, Handler, Method, Serializer, Shape, as_it_is, checked_bytes
from puregrpc.server.servicers import is_servicer, servicer_handler

__all__ = ["Messages", "ServiceLike", "add_to_registry", "service_methods", "snake_case"]

Messages = Literal["dict", "protobuf", "bytes"]
"""What handlers get: dicts by the rules of ProtoJSON, google.protobuf messages, or bytes. They may return any of the
first two for either (for "bytes": bytes)."""

ServiceLike = ServiceDescriptor | protobuf_descriptor.ServiceDescriptor
"""A service of a `Registry`, or of a generated ``_pb2`` module (``module.DESCRIPTOR.services_by_name["Name"]``)."""

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def snake_case(name: str) -> str:
    """``SayHello`` as ``say_hello``, ``GetURLOf`` as ``get_url_of``."""
    return _WORD_START.sub("_", name).lower()


def add_to_registry(service: ServiceLike, registry: Registry) -> ServiceDescriptor:
    """See that the registry knows the service's file, and give the service's descriptor in it."""
    if isinstance(service, ServiceDescriptor):
        if service.file is None:
            raise InvalidArgument(f"service {service.full_name}: its descriptor belongs to no file")
        registry.add_file(service.file)
    else:
        registry.add_file_descriptor_protos(_with_imports(service.file))
    return registry.service(service.full_name)


def _with_imports(file: Any) -> list[descriptor_pb2.FileDescriptorProto]:
    found: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    waiting = [file]
    while waiting:
        file = waiting.pop()
        if file.name not in found:
            found[file.name] = proto = descriptor_pb2.FileDescriptorProto()
            file.CopyToProto(proto)
            waiting += file.dependencies
    return list(found.values())


def service_methods(
    service: ServiceLike,
    handlers: object,
    *,
    registry: Registry,
    codec: Codec,
    messages: Messages | None = None,
    partial: bool = False,
) -> list[Method]:
    """The methods of a service, with their handlers looked up in ``handlers``; see `Server.add_service`."""
    descriptor = add_to_registry(service, registry)
    generated = {} if isinstance(service, ServiceDescriptor) else dict(_generated_classes(service))
    if messages is None:
        messages = "protobuf" if generated else "dict"
    found: list[Method] = []
    missing: list[str] = []
    for method in descriptor.methods:
        handler = _handler(handlers, method.name)
        if handler is None:
            missing.append(f"{snake_case(method.name)} (for {method.path})")
            continue
        codecs = None
        if messages == "bytes":
            deserialize: Deserializer = as_it_is
            serialize: Serializer = checked_bytes
        else:
            if messages == "dict":
                deserialize = codec.decoder(method.input_type)
            else:
                deserialize = generated.get(method.name) or registry.message_class(method.input_type).FromString
            serialize = codec.encoder(method.output_type)
            codecs = {"json": _json_codec(codec, method, deserialize, serialize)}
        shape = Shape((method.is_client_stream, method.is_server_stream))
        if is_servicer(handlers):
            handler = servicer_handler(handler, responses_stream=shape.responses_stream)
        found.append(Method(method.path, handler, shape, deserialize, serialize, codecs))
    if missing and (not partial or not found):
        raise InvalidArgument(f"{type(handlers).__name__} has no handler {', '.join(missing)}")
    return found


def _generated_classes(service: protobuf_descriptor.ServiceDescriptor) -> Iterator[tuple[str, Deserializer]]:
    for method in service.methods:
        yield method.name, message_factory.GetMessageClass(method.input_type).FromString


def _handler(handlers: object, name: str) -> Handler | None:
    if isinstance(handlers, Mapping):
        return handlers.get(name) or handlers.get(snake_case(name))
    handler: Handler | None = getattr(handlers, name, None) or getattr(handlers, snake_case(name), None)
    return handler


def _json_codec(
    codec: Codec, method: MethodDescriptor, deserialize: Deserializer, serialize: Serializer
) -> tuple[Deserializer, Serializer]:
    """For content-type application/grpc+json: each message is JSON text."""

    def from_json(data: bytes) -> Any:
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise DecodeError("", f"the JSON text is not UTF-8: {error}") from None
        return deserialize(codec.from_json(method.input_type, text))

    def to_json(response: Any) -> bytes:
        return codec.to_json(method.output_type, serialize(response)).encode()

    return from_json, to_json
