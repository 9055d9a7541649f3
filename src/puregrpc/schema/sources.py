"""Where a registry's files come from: .proto sources, a serialized FileDescriptorSet, a peer that describes itself."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from google.protobuf.message import DecodeError as ProtobufDecodeError

from puregrpc.errors import SchemaError
from puregrpc.proto.descriptors import FileDescriptor
from puregrpc.schema import limits
from puregrpc.schema.registry import Registry
from puregrpc.schema.well_known import WELL_KNOWN_FILES

if TYPE_CHECKING:
    from google.protobuf import descriptor_pb2

    from puregrpc.proto import DescriptorResolver

__all__ = [
    "MAX_FILES",
    "FileDescriptorSource",
    "load_files",
    "load_protoset",
    "load_symbols",
    "protoset_resolver",
    "registry_resolver",
]

MAX_FILES = 20_000
"""How many files one source may give for one request: googleapis, the largest known set, has 8,000."""


class FileDescriptorSource(Protocol):
    """A peer that answers for its own schema, as gRPC server reflection does."""

    async def file_containing_symbol(self, symbol: str) -> list[bytes]:
        """Serialized FileDescriptorProtos: the file that declares ``symbol``, with any of its imports, in any order."""

    async def file_by_filename(self, name: str) -> list[bytes]:
        """Serialized FileDescriptorProtos: the file of this name, with any of its imports, in any order."""


def load_files(
    registry: Registry, import_paths: Iterable[str | PathLike[str]], *files: str | PathLike[str]
) -> list[FileDescriptor]:
    """Compile .proto files and add them with what they import; returns the files that were named.

    ``import_paths`` are the folders that ``files`` and their imports are looked up in; an import that is not there
    may be any file that the registry has. Raises CompileError if a source does not compile and SchemaError if the
    registry has something else under one of its names.
    """
    from puregrpc.proto import ChainResolver, FolderResolver  # schemas from elsewhere need no compiler
    from puregrpc.proto import compile as compile_sources
    from puregrpc.proto.find.import_paths import canonical_path

    names = [canonical_path(fspath(name)) for name in files]
    roots = [fspath(path) for path in import_paths]
    resolver = ChainResolver([FolderResolver(roots), registry_resolver(registry, besides=names)])
    compiled = compile_sources(names, resolver=resolver)
    for file in compiled:
        registry.add_file(file)
    return [registry.files[file.name] for file in compiled]


def registry_resolver(registry: Registry, *, besides: Iterable[str] = ()) -> DescriptorResolver:
    """A resolver for the compiler that answers with the files of a registry, save ``besides``.

    The well-known files are not among them: the compiler has its own, with their comments.
    """
    from puregrpc.proto import DescriptorResolver

    without = WELL_KNOWN_FILES.keys() | set(besides)
    return DescriptorResolver(file for name, file in registry.files.items() if name not in without)


def protoset_resolver(*paths: str | PathLike[str]) -> DescriptorResolver:
    """A resolver for the compiler that answers with the files of serialized FileDescriptorSets.

    All that they import has to be found, in the sets or elsewhere. Raises SchemaError if one of the sets cannot be
    read or is none.
    """
    from puregrpc.proto import DescriptorResolver

    return DescriptorResolver([proto for path in paths for proto in _read_protoset(path).file])


def _read_protoset(path: str | PathLike[str]) -> descriptor_pb2.FileDescriptorSet:
    from google.protobuf import descriptor_pb2

    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise SchemaError(f"{fspath(path)}: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > limits.MAX_DESCRIPTOR_BYTES:
        raise SchemaError(f"{fspath(path)}: {len(data)} bytes, over the limit of {limits.MAX_DESCRIPTOR_BYTES}")
    try:
        return descriptor_pb2.FileDescriptorSet.FromString(data)
    except (ProtobufDecodeError, RecursionError, ValueError):
        raise SchemaError(f"{fspath(path)}: Unable to parse.") from None


def load_protoset(registry: Registry, path: str | PathLike[str]) -> list[FileDescriptor]:
    """Add the files of a serialized FileDescriptorSet, as ``protoc --descriptor_set_out`` writes it.

    Missing imports are tolerated. Raises SchemaError if the file cannot be read or is not a valid set.
    """
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise SchemaError(f"couldn't open protoset: {error}") from None
    return registry.add_file_descriptor_set(data, source=f"couldn't unmarshal protoset file {fspath(path)}")


async def load_symbols(
    registry: Registry,
    source: FileDescriptorSource,
    symbols: Iterable[str],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> list[FileDescriptor]:
    """Ask ``source`` for the files that declare ``symbols`` (services, messages) and all they import; add them.

    Returns the files that were added or were there already, in the order they were given. An import that the source
    does not know is tolerated when it is a well-known file or the source answers with a SchemaError. Raises
    SchemaError if what it gives is not a valid descriptor, or goes on for more than ``MAX_FILES`` files,
    ``limits.MAX_DESCRIPTOR_BYTES`` or ``limits.MAX_SECONDS``. An answer that does not come is the source's to end.
    """
    protos: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    wanted: dict[str, None] = {}
    asked: set[str] = set()
    octets = 0
    end = clock() + limits.MAX_SECONDS

    def take(answers: list[bytes]) -> None:
        nonlocal octets
        for answer in answers:
            octets += len(answer)
            if octets > limits.MAX_DESCRIPTOR_BYTES:
                raise SchemaError(f"the peer described its files with more than {limits.MAX_DESCRIPTOR_BYTES} bytes")
            proto = _parse(answer)
            known = protos.setdefault(proto.name, proto)
            if known is not proto:
                if known != proto:
                    raise SchemaError(f"{proto.name}: the peer gave two different files of this name")
                continue
            if len(protos) > MAX_FILES:
                raise SchemaError(f"the peer described more than {MAX_FILES} files")
            new = set(proto.dependency) - asked - registry.files.keys()
            asked.update(new)
            wanted.update(dict.fromkeys(sorted(new, reverse=True)))
        if len(asked) > MAX_FILES:
            raise SchemaError(f"the peer's files import more than {MAX_FILES} others")
        if clock() > end:
            raise SchemaError(f"the peer had not described all its files after {limits.MAX_SECONDS} seconds")

    for symbol in symbols:
        take(await source.file_containing_symbol(symbol))
    while wanted:
        name, _ = wanted.popitem()
        if name not in protos:
            take(await _answer_or_nothing(source.file_by_filename(name)))
    return registry.add_file_descriptor_protos(protos.values())


async def _answer_or_nothing(request: Awaitable[list[bytes]]) -> list[bytes]:
    try:
        return await request
    except SchemaError:
        return []


def _parse(data: bytes) -> descriptor_pb2.FileDescriptorProto:
    from google.protobuf import descriptor_pb2

    if len(data) > limits.MAX_DESCRIPTOR_BYTES:
        raise SchemaError(f"a file descriptor of {len(data)} bytes, over the limit of {limits.MAX_DESCRIPTOR_BYTES}")
    try:
        return descriptor_pb2.FileDescriptorProto.FromString(data)
    except (ProtobufDecodeError, RecursionError, ValueError) as error:
        raise SchemaError(f"the peer gave something that is not a FileDescriptorProto: {error}") from None
