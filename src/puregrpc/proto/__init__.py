"""The run-time .proto compiler: source text in, descriptors out, in named phases, without protoc.

The phases are folders, each of which imports only those before it: find (sources), parse (text to tree), locate
(places in the text), link (tree to descriptors), options (interpreted), check (what protoc refuses), output (what is
written). compiler runs them over files and their imports. All of this works without positions: when something is to be
reported, or source info is asked for, the exact scan of parse.lexer and locate find the places.

"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.proto.compiler import compile_files as compile  # noqa: A004 - protoc's own verb
    from puregrpc.proto.diagnostics import Diagnostic, Reporter
    from puregrpc.proto.find.folders import FolderResolver
    from puregrpc.proto.find.resolver import (
        BuiltinResolver,
        ChainResolver,
        DescriptorResolver,
        MemoryResolver,
        Resolver,
    )

_MODULES = {
    "BuiltinResolver": "find.resolver",
    "ChainResolver": "find.resolver",
    "DescriptorResolver": "find.resolver",
    "Diagnostic": "diagnostics",
    "FolderResolver": "find.folders",
    "MemoryResolver": "find.resolver",
    "Reporter": "diagnostics",
    "Resolver": "find.resolver",
    "compile": "compiler:compile_files",
}

__all__ = [
    "BuiltinResolver",
    "ChainResolver",
    "DescriptorResolver",
    "Diagnostic",
    "FolderResolver",
    "MemoryResolver",
    "Reporter",
    "Resolver",
    "compile",
]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
