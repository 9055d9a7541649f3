"""Descriptors at run time: the registry of files, messages, enums, services and methods, and where they come from."""

from __future__ import annotations

from puregrpc.schema.registry import Registry
from puregrpc.schema.sources import (
    FileDescriptorSource,
    load_files,
    load_protoset,
    load_symbols,
    protoset_resolver,
    registry_resolver,
)

__all__ = [
    "FileDescriptorSource",
    "Registry",
    "load_files",
    "load_protoset",
    "load_symbols",
    "protoset_resolver",
    "registry_resolver",
]
