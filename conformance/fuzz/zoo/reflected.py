"""What servers on grpcio tell by reflection where the descriptors are not generated code's."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool

__all__ = ["REFLECTION", "file_of", "pool_of"]

REFLECTION = "grpc_reflection/v1alpha/reflection.proto"


def pool_of(*names: str) -> Any:
    """A pool with these files of the default one."""
    pool = descriptor_pool.DescriptorPool()
    for name in names:
        pool.Add(file_of(descriptor_pool.Default().FindFileByName(name)))
    return pool


def file_of(descriptor: Any) -> Any:
    """A file as its FileDescriptorProto."""
    proto = descriptor_pb2.FileDescriptorProto()
    descriptor.CopyToProto(proto)
    return proto
