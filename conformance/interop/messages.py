"""The messages of grpc.testing as google.protobuf classes, made from descriptors that protoc wrote."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PROTOS = Path(__file__).parent / "protos"


@cache
def descriptor_set() -> descriptor_pb2.FileDescriptorSet:
    """grpc/testing/test.proto and what it imports, compiled by protoc."""
    protoc = Path(sys.executable).parent / "protoc"
    result = subprocess.run(
        [protoc, f"-I{PROTOS}", "-o/dev/stdout", "--include_imports", "grpc/testing/test.proto"],
        capture_output=True, check=True,
    )  # fmt: skip
    return descriptor_pb2.FileDescriptorSet.FromString(result.stdout)


@cache
def pool() -> descriptor_pool.DescriptorPool:
    """A pool of its own, so that no other module's registration of the same files matters."""
    made = descriptor_pool.DescriptorPool()
    for file in descriptor_set().file:
        made.Add(file)
    return made


@cache
def message_class(name: str) -> Any:
    """The class of ``grpc.testing.NAME``."""
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(f"grpc.testing.{name}"))


@cache
def method_classes(service: str, method: str) -> tuple[Any, Any]:
    """(request class, response class) of a method of ``grpc.testing.SERVICE``."""
    found = pool().FindServiceByName(f"grpc.testing.{service}").FindMethodByName(method)
    return message_factory.GetMessageClass(found.input_type), message_factory.GetMessageClass(found.output_type)
