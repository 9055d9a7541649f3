"""The .proto files of the services in this room, compiled when they are first asked for."""

from __future__ import annotations

from functools import cache

from puregrpc._data import resource
from puregrpc.codec import Codec
from puregrpc.errors import SchemaError
from puregrpc.proto import compile as compile_proto
from puregrpc.proto.descriptors import FileDescriptor, MethodDescriptor, ServiceDescriptor
from puregrpc.schema import Registry

__all__ = ["codec", "contract", "method", "service", "service_in"]


@cache
def contract(name: str) -> FileDescriptor:
    """The file ``name`` (as it is imported) of this package's ``protos`` folder."""
    source = resource("puregrpc.services", f"protos/{name}")
    (file,) = compile_proto([name], sources={name: source})
    return file


@cache
def codec(name: str) -> Codec:
    """A codec for the messages of that file."""
    registry = Registry()
    registry.add_file(contract(name))
    return Codec(registry)


def service(file: str, full_name: str) -> ServiceDescriptor:
    """A service of one of those files."""
    return next(found for found in contract(file).services if found.full_name == full_name)


def service_in(registry: Registry, file: str, full_name: str) -> ServiceDescriptor:
    """The service as the registry knows it, else as one of those files has it.

    Descriptor sets bring health and reflection along, under other file names or as older versions have them.
    """
    try:
        return registry.service(full_name)
    except SchemaError:
        return service(file, full_name)


def method(file: str, full_name: str, name: str) -> MethodDescriptor:
    """A method of such a service."""
    return next(found for found in service(file, full_name).methods if found.name == name)
