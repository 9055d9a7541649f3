"""The messages that the benchmarks send: hello.HelloRequest and hello.HelloResponse as google.protobuf classes."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SAY_HELLO = "/hello.HelloService/SayHello"
LOTS_OF_REPLIES = "/hello.HelloService/LotsOfReplies"
LOTS_OF_GREETINGS = "/hello.HelloService/LotsOfGreetings"


def message_classes() -> tuple[Any, Any]:
    """(HelloRequest, HelloResponse), made without a compiler so that every peer parses with the same code."""
    file = descriptor_pb2.FileDescriptorProto(name="benchmarks/hello.proto", package="hello", syntax="proto2")
    for message, name, label in (("HelloRequest", "greeting", 1), ("HelloResponse", "reply", 2)):
        message_type = file.message_type.add(name=message)
        message_type.field.add(name=name, number=1, label=label, type=9)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return tuple(
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"hello.{name}"))
        for name in ("HelloRequest", "HelloResponse")
    )  # type: ignore[return-value]  # two names, two classes


HelloRequest, HelloResponse = message_classes()
