"""Where a registry's files come from: .proto sources, a serialized FileDescriptorSet, a peer that describes itself."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Protocol

from google.protobuf.message import DecodeError as ProtobufDecodeError

from puregrpc._data import read
from puregrpc.errors import RpcError, SchemaError
from puregrpc.proto.descriptors import FileDescriptor
from puregrpc.schema import limits
from puregrpc.schema.registry import Registry
from puregrpc.schema.well_known import WELL_KNOWN_FILES, well_known_names

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


MAX_ROUNDS = 20
"""How often files that are not valid are left out before the others are looked at again."""


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
        data = read(fspath(path))
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
        data = read(fspath(path))
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

    Returns the files that were added or were there already, in the order they were given. Imports that the source does
    not know, or gives in a form that cannot be used, are tolerated: a type that may be in one of them is asked for by
    its own name, well-known ones are built in, and whoever needs one that cannot be had is told why. Raises
    SchemaError if a file with one of the ``symbols`` is not a valid descriptor, or the source goes on for more than
    ``MAX_FILES`` files, ``limits.MAX_DESCRIPTOR_BYTES`` or ``limits.MAX_SECONDS``. An answer that does not come is the
    source's to end.
    """
    loading = _Loading(registry, source, clock)
    for symbol in symbols:
        loading.take_answer(symbol, [_parse(answer) for answer in await source.file_containing_symbol(symbol)])
    await loading.ask_for_imports()
    return loading.add()


class _Loading:
    """What a source has given so far, and what is still to be asked of it."""

    def __init__(self, registry: Registry, source: FileDescriptorSource, clock: Callable[[], float]) -> None:
        self._registry = registry
        self._source = source
        self._clock = clock
        self._end = clock() + limits.MAX_SECONDS
        self._protos: dict[str, descriptor_pb2.FileDescriptorProto] = {}
        self._needed: set[str] = set()
        """Files that have to be valid: those with the symbols."""
        self._missing: dict[str, str] = {}
        """Imports that could not be had, and why."""
        self._wanted: dict[str, None] = {}
        self._asked: set[str] = set()
        self._declared: set[str] = set()
        """The full names that the files declare."""
        self._fresh: list[descriptor_pb2.FileDescriptorProto] = []
        """Files whose types were not looked for yet."""
        self._octets = 0

    def take_answer(self, symbol: str, files: list[descriptor_pb2.FileDescriptorProto]) -> None:
        """What the source gave for a symbol: the file that declares it, and maybe others."""
        self.take(files)
        declaring = [proto for proto in files if any(_is_in(symbol, name) for name in _declared(proto))]
        self._needed.update(proto.name for proto in declaring or files)

    def take(self, files: Iterable[descriptor_pb2.FileDescriptorProto]) -> None:
        """Files that the source gave in one answer. Raises SchemaError if it gives too many, or two of one name."""
        for proto in files:
            self._octets += proto.ByteSize()
            if self._octets > limits.MAX_DESCRIPTOR_BYTES:
                raise SchemaError(f"the peer described its files with more than {limits.MAX_DESCRIPTOR_BYTES} bytes")
            known = self._protos.setdefault(proto.name, proto)
            if known is not proto:
                if known != proto:
                    raise SchemaError(f"{proto.name}: the peer gave two different files of this name")
                continue
            if len(self._protos) > MAX_FILES:
                raise SchemaError(f"the peer described more than {MAX_FILES} files")
            self._fresh.append(proto)
            self._declared.update(_declared(proto))
            loaded = self._registry.files
            new = {name for name in proto.dependency if name not in self._asked and name not in loaded}
            self._asked.update(new)
            self._wanted.update(dict.fromkeys(sorted(new, reverse=True)))
        if len(self._asked) > MAX_FILES:
            raise SchemaError(f"the peer's files import more than {MAX_FILES} others")
        self._check_time()

    def _check_time(self) -> None:
        if self._clock() > self._end:
            raise SchemaError(f"the peer had not described all its files after {limits.MAX_SECONDS} seconds")

    async def ask_for_imports(self) -> None:
        """Ask for all that is imported, by its name; then for types that none of that declares."""
        asked_types: set[str] = set()
        while True:
            while self._wanted:
                name, _ = self._wanted.popitem()
                if name not in self._protos and name not in self._missing:
                    await self._ask(self._source.file_by_filename(name), name)
            types = self._types_in_missing_imports() - asked_types
            if not types:
                return
            for name in sorted(types):
                asked_types.add(name)
                if len(asked_types) > MAX_FILES:
                    return
                try:
                    await self._ask(self._source.file_containing_symbol(name), "")
                except RpcError:  # some peers end the call in place of an answer; it works without this one
                    return

    async def _ask(self, question: Awaitable[list[bytes]], name: str) -> None:
        try:
            files = [_parse(answer) for answer in await question]
        except SchemaError as error:
            if name:
                self._missing[name] = str(error)
            self._check_time()
            return
        self.take(files)
        if name and name not in self._protos:
            self._missing[name] = f"the peer gave {files[0].name if files else 'nothing'} in its place"

    def _types_in_missing_imports(self) -> set[str]:
        """The full names that files with missing imports use and that no file declares; each file is looked at once."""
        from puregrpc.schema.set_builder import names_used  # with google.protobuf, as below

        fresh, self._fresh = self._fresh, []
        used = {
            name[1:]
            for proto in fresh
            if any(each in self._missing for each in proto.dependency)
            for name in names_used(proto)
            if name.startswith(".")
        }
        if not used:
            return set()
        known = well_known_names()
        return {
            name
            for name in used
            if name not in self._declared and name not in known and not self._registry.has_type(name)
        }

    def add(self) -> list[FileDescriptor]:
        """Add the files to the registry. Those that are not valid are left out, unless they are needed."""
        from puregrpc.schema.set_builder import FilesRefused

        for _ in range(MAX_ROUNDS):
            try:
                return self._registry.add_file_descriptor_protos(self._protos.values(), missing=self._missing)
            except FilesRefused as error:
                for file, problem in error.problems.items():
                    if file in self._needed or file not in self._protos:
                        raise SchemaError(problem) from None
                    self._missing[file] = problem
                    del self._protos[file]
                self._check_time()
        raise SchemaError(
            f"the peer's files are not valid: without those that are not, others are not, {MAX_ROUNDS} times"
        )


def _is_in(symbol: str, name: str) -> bool:
    """Whether a symbol is what is declared under a name, or something inside of it."""
    return symbol.startswith(name) and symbol[len(name) : len(name) + 1] in ("", ".")


def _declared(proto: descriptor_pb2.FileDescriptorProto) -> set[str]:
    """The full names of messages, enums, services and extensions of a file, those inside messages included."""
    found: set[str] = set()
    scopes: list[tuple[str, Any]] = [(proto.package, proto)]
    while scopes:
        scope, outer = scopes.pop()
        before = f"{scope}." if scope else ""
        is_file = outer is proto
        messages = outer.message_type if is_file else outer.nested_type
        scopes += [(f"{before}{message.name}", message) for message in messages]
        others = (*outer.enum_type, *outer.extension, *(outer.service if is_file else ()))
        found.update(f"{before}{each.name}" for each in (*messages, *others))
    return found


def _parse(data: bytes) -> descriptor_pb2.FileDescriptorProto:
    from google.protobuf import descriptor_pb2

    from puregrpc.schema.set_builder import check_references

    if len(data) > limits.MAX_DESCRIPTOR_BYTES:
        raise SchemaError(f"a file descriptor of {len(data)} bytes, over the limit of {limits.MAX_DESCRIPTOR_BYTES}")
    try:
        proto = descriptor_pb2.FileDescriptorProto.FromString(data)
    except (ProtobufDecodeError, RecursionError, ValueError) as error:
        raise SchemaError(f"the peer gave something that is not a FileDescriptorProto: {error}") from None
    check_references(proto)
    return proto
