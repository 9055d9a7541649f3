"""The run-time .proto compiler: source text in, descriptors out, in named phases, without protoc.

A source goes through lexer, parser (with parser_* for the parts of the grammar) and ast; linker with declarer and
crosslinker makes descriptors of it; options and text_format interpret its options, features apply its edition;
validation and policy refuse what protoc refuses. All of this works without positions: when something is to be
reported, or source info is asked for, the exact scan of lexer and source_walker find the places. compiler runs the
phases over files that resolver finds; descriptor_proto writes FileDescriptorProto, stubs writes type stubs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.proto.compiler import compile_files as compile  # noqa: A004 - protoc's own verb
    from puregrpc.proto.diagnostics import Diagnostic, Reporter
    from puregrpc.proto.resolver import (
        BuiltinResolver,
        ChainResolver,
        DescriptorResolver,
        FolderResolver,
        MemoryResolver,
        Resolver,
    )

_MODULES = {
    "BuiltinResolver": "resolver",
    "ChainResolver": "resolver",
    "DescriptorResolver": "resolver",
    "Diagnostic": "diagnostics",
    "FolderResolver": "resolver",
    "MemoryResolver": "resolver",
    "Reporter": "diagnostics",
    "Resolver": "resolver",
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
