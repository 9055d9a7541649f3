"""The .proto files of the services in this room, compiled when they are first asked for."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from puregrpc.proto import compile as compile_proto
from puregrpc.proto.descriptors import FileDescriptor, ServiceDescriptor

__all__ = ["contract", "service"]


@cache
def contract(name: str) -> FileDescriptor:
    """The file ``name`` (as it is imported) of this package's ``protos`` folder."""
    source = files("puregrpc.services").joinpath("protos", *name.split("/")).read_text("utf-8")
    (file,) = compile_proto([name], sources={name: source})
    return file


def service(file: str, full_name: str) -> ServiceDescriptor:
    """A service of one of those files."""
    return next(found for found in contract(file).services if found.full_name == full_name)
