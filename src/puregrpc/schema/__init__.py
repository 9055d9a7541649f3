"""Descriptors at run time: the registry of files, messages, enums, services and methods, and where they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.schema.registry import Registry as Registry
    from puregrpc.schema.sources import FileDescriptorSource as FileDescriptorSource
    from puregrpc.schema.sources import load_files as load_files
    from puregrpc.schema.sources import load_protoset as load_protoset
    from puregrpc.schema.sources import load_symbols as load_symbols
    from puregrpc.schema.sources import protoset_resolver as protoset_resolver
    from puregrpc.schema.sources import registry_resolver as registry_resolver

_MODULES = {
    "FileDescriptorSource": "sources",
    "Registry": "registry",
    "load_files": "sources",
    "load_protoset": "sources",
    "load_symbols": "sources",
    "protoset_resolver": "sources",
    "registry_resolver": "sources",
}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
