"""The registry: every file that was loaded, and everything in them by full name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import DecodeError as ProtobufDecodeError

from puregrpc._locks import Lock
from puregrpc.errors import SchemaError
from puregrpc.proto.descriptors import (
    EnumDescriptor,
    FieldDescriptor,
    FileDescriptor,
    MessageDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)
from puregrpc.schema import limits
from puregrpc.schema.imports import imports_first
from puregrpc.schema.message_classes import MessageClasses
from puregrpc.schema.missing_types import MissingTypes
from puregrpc.schema.well_known import BUILT_IN_PACKAGES, ERROR_DETAIL_FILES, WELL_KNOWN_FILES, well_known_file

if TYPE_CHECKING:
    from google.protobuf import descriptor_pb2
    from google.protobuf.message import Message

__all__ = ["Registry"]

Symbol = MessageDescriptor | EnumDescriptor | ServiceDescriptor | FieldDescriptor
_T = TypeVar("_T")

_MAX_REASON = 1000
"""Characters; a reason quotes names, and a peer may list many services."""


class Registry:
    """Files and what they declare, found by full name. Adding is all or nothing, and safe from several threads.

    A name that is not there raises SchemaError, with the names that come near it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._files: dict[str, FileDescriptor] = {}
        self._messages: dict[str, MessageDescriptor] = {}
        self._enums: dict[str, EnumDescriptor] = {}
        self._services: dict[str, ServiceDescriptor] = {}
        self._methods: dict[str, MethodDescriptor] = {}
        self._extensions: dict[str, FieldDescriptor] = {}
        self._extensions_of: dict[str, dict[int, FieldDescriptor]] = {}
        self._refused: dict[str, str] = {}
        self._classes = MessageClasses(self)
        self.missing_types: MissingTypes | None = None
        """Where types are noted that a google.protobuf.Any names and that are not here, if somebody asks for them."""
        self.version = 0
        """Grows whenever something is added; what was derived from the registry before may then be out of date."""

    @property
    def files(self) -> Mapping[str, FileDescriptor]:
        """Every file by the name it is imported by, in the order they were added."""
        return MappingProxyType(self._files)

    @property
    def services(self) -> tuple[ServiceDescriptor, ...]:
        """Every service, in the order they were added."""
        return tuple(self._services.values())

    def message(self, full_name: str) -> MessageDescriptor:
        """The message type with this full name, as in ``pkg.Outer.Inner``."""
        return _found(self._messages, full_name, "message type")

    def find_message(self, full_name: str) -> MessageDescriptor | None:
        """The message type with this full name; None if it is not there."""
        return self._messages.get(full_name)

    def type_in_any(self, url: str) -> MessageDescriptor:
        """The type of a google.protobuf.Any by its type URL, of which what follows the last slash counts.

        The well-known types and those of error details (google.rpc) need no import. A type that is not there is noted
        in ``missing_types``.
        """
        found = self.find_type_in_any(url)
        return found if found is not None else self.message(url.rpartition("/")[2])

    def find_type_in_any(self, url: str) -> MessageDescriptor | None:
        """The same; None if it is not there. Of messages from a peer, which may name thousands: nothing is searched."""
        name = url.rpartition("/")[2]
        found = self._messages.get(name)
        if found is None and name.startswith(BUILT_IN_PACKAGES):
            found = _built_in().find_message(name)
        if found is None and self.missing_types is not None:
            self.missing_types.note(name)
        return found

    def has_type(self, full_name: str) -> bool:
        """Whether a message or an enum of this full name is known."""
        return self._lookup_type(full_name) is not None

    def enum(self, full_name: str) -> EnumDescriptor:
        """The enum with this full name."""
        return _found(self._enums, full_name, "enum")

    def service(self, full_name: str) -> ServiceDescriptor:
        """The service with this full name."""
        if full_name in self._refused and full_name not in self._services:
            raise SchemaError(f"no service {full_name!r} in the schema{self._why_refused(full_name)}")
        return _found(self._services, full_name, "service")

    def find_service(self, full_name: str) -> ServiceDescriptor | None:
        """The service with this full name; None if it is not there."""
        return self._services.get(full_name)

    def method(self, path: str) -> MethodDescriptor:
        """The method with this path: ``pkg.Service/Method``, with or without a leading slash."""
        found = self.find_method(path)
        if found is not None:
            return found
        shown = "/" + path.removeprefix("/")
        service_name = shown[1:].rpartition("/")[0]
        hint = self._why_refused(service_name) if service_name not in self._services else ""
        hint = hint or _did_you_mean(shown, list(self._methods))
        raise SchemaError(f'method "{shown}" not found in file descriptors{hint}')

    def find_method(self, path: str) -> MethodDescriptor | None:
        """The same; None if it is not there. Of paths that come from a peer: nothing is searched for what is near."""
        return self._methods.get("/" + path.removeprefix("/"))

    def note_refused(self, service: str, reason: str) -> None:
        """Remember why a service that a peer listed was not added; who asks for it is told."""
        self._refused[service] = reason if len(reason) <= _MAX_REASON else reason[:_MAX_REASON] + "…"

    def _why_refused(self, service: str) -> str:
        reason = self._refused.get(service)
        return f": the peer's description of {service} cannot be used: {reason}" if reason is not None else ""

    def extension(self, message_full_name: str, number: int) -> FieldDescriptor:
        """The extension of a message with this number."""
        found = self._extensions_of.get(message_full_name, {}).get(number)
        if found is None:
            raise SchemaError(f"{message_full_name} has no extension with the number {number} in the schema")
        return found

    def extension_by_name(self, full_name: str) -> FieldDescriptor:
        """The extension with this full name."""
        return _found(self._extensions, full_name, "extension")

    def extensions_of(self, message_full_name: str) -> tuple[FieldDescriptor, ...]:
        """The extensions of a message that are known, by number."""
        known = self._extensions_of.get(message_full_name, {})
        return tuple(known[number] for number in sorted(known))

    def message_class(self, descriptor: MessageDescriptor) -> type[Message]:
        """A google.protobuf message class for a message type, made on first use.

        Raises SchemaError if google.protobuf does not accept the file the type is in.
        """
        return self._classes.message_class(descriptor)

    def add_file(self, file: FileDescriptor) -> None:
        """Add a file and the files it imports.

        A file that is there already, with the same meaning, is passed over. Raises SchemaError if a file of that
        name means something else, or if another file declares one of its names.
        """
        with self._lock:
            self._add(imports_first([file]))

    def add_file_descriptor_set(
        self, data: bytes | descriptor_pb2.FileDescriptorSet, *, source: str = "file descriptor set"
    ) -> list[FileDescriptor]:
        """Add the files of a FileDescriptorSet, in any order; returns their descriptors in the order of the set.

        An import that is neither in the set nor in the registry is tolerated (the well-known files are always at
        hand): what it would declare becomes a placeholder. ``source`` is how messages call the set.

        Raises SchemaError if the bytes are not a FileDescriptorSet or if a file in it is not valid; the registry
        is then as before.
        """
        from google.protobuf import descriptor_pb2

        if isinstance(data, descriptor_pb2.FileDescriptorSet):
            return self.add_file_descriptor_protos(data.file)
        if len(data) > limits.MAX_DESCRIPTOR_BYTES:
            raise SchemaError(f"{source}: {len(data)} bytes, over the limit of {limits.MAX_DESCRIPTOR_BYTES}")
        try:
            parsed = descriptor_pb2.FileDescriptorSet.FromString(data)
        except (ProtobufDecodeError, RecursionError, ValueError) as error:
            raise SchemaError(f"{source}: not a serialized FileDescriptorSet: {error}") from None
        return self.add_file_descriptor_protos(parsed.file)

    def add_file_descriptor_proto(self, data: bytes | descriptor_pb2.FileDescriptorProto) -> FileDescriptor:
        """Add one file; its imports should be there before it, as for ``add_file_descriptor_set``."""
        from google.protobuf import descriptor_pb2

        if not isinstance(data, descriptor_pb2.FileDescriptorProto):
            if len(data) > limits.MAX_DESCRIPTOR_BYTES:
                raise SchemaError(
                    f"a file descriptor of {len(data)} bytes, over the limit of {limits.MAX_DESCRIPTOR_BYTES}"
                )
            try:
                data = descriptor_pb2.FileDescriptorProto.FromString(data)
            except (ProtobufDecodeError, RecursionError, ValueError) as error:
                raise SchemaError(f"not a serialized FileDescriptorProto: {error}") from None
        return self.add_file_descriptor_protos([data])[0]

    def add_file_descriptor_protos(
        self, protos: Iterable[descriptor_pb2.FileDescriptorProto], *, missing: Mapping[str, str] | None = None
    ) -> list[FileDescriptor]:
        """Add several files at once, in any order; see ``add_file_descriptor_set``.

        ``missing`` says of imports that are not there why they are not, for those who need them.
        """
        from puregrpc.schema.set_builder import SetBuilder

        with self._lock:
            files = SetBuilder(self._files, self._lookup_type, missing).build(protos)
            self._add(files.values())
            return [self._files[name] for name in files]

    def _lookup_type(self, full_name: str) -> MessageDescriptor | EnumDescriptor | None:
        return self._messages.get(full_name) or self._enums.get(full_name)

    def _add(self, files: Iterable[FileDescriptor]) -> None:
        new: list[FileDescriptor] = []
        symbols: dict[str, Symbol] = {}
        extended: dict[tuple[str, int], FieldDescriptor] = {}
        for file in files:
            present = self._files.get(file.name)
            if present is file:
                continue
            if present is not None:
                if file.name not in WELL_KNOWN_FILES and _meaning(present) != _meaning(file):
                    raise SchemaError(f"{file.name}: a different file of this name is loaded already")
                continue
            new.append(file)
            for symbol in _symbols(file):
                other = symbols.get(symbol.full_name) or self._symbol(symbol.full_name)
                if other is not None and other is not symbol:
                    where = other.file.name if other.file is not None else "another file"
                    raise SchemaError(f"{file.name}: {symbol.full_name} is declared in {where} already")
                symbols[symbol.full_name] = symbol
                if isinstance(symbol, FieldDescriptor) and symbol.containing_type is not None:
                    key = (symbol.containing_type.full_name, symbol.number)
                    clash = extended.setdefault(key, symbol)
                    clash = self._extensions_of.get(key[0], {}).get(key[1], clash)
                    if clash is not symbol:
                        raise SchemaError(
                            f"{symbol.full_name}: {clash.full_name} extends {key[0]} with {key[1]} already"
                        )
        for file in new:
            self._files[file.name] = file
        for name, symbol in symbols.items():
            if isinstance(symbol, MessageDescriptor):
                self._messages[name] = symbol
            elif isinstance(symbol, EnumDescriptor):
                self._enums[name] = symbol
            elif isinstance(symbol, ServiceDescriptor):
                self._services[name] = symbol
                self._methods.update((method.path, method) for method in symbol.methods)
            else:
                self._extensions[name] = symbol
        for (message, number), extension in extended.items():
            self._extensions_of.setdefault(message, {})[number] = extension
        if new:
            self.version += 1

    def _symbol(self, name: str) -> Symbol | None:
        return (
            self._messages.get(name) or self._enums.get(name) or self._services.get(name) or self._extensions.get(name)
        )


@cache
def _built_in() -> Registry:
    from puregrpc.proto import compile as compile_sources  # the compiler, for none but who needs it

    made = Registry()
    made.add_file_descriptor_protos(filter(None, map(well_known_file, WELL_KNOWN_FILES)))
    for file in compile_sources(ERROR_DETAIL_FILES):
        made.add_file(file)
    return made


def _symbols(file: FileDescriptor) -> Iterator[Symbol]:
    yield from file.enums
    yield from file.services
    yield from file.extensions
    for message in _messages(file):
        yield message
        yield from message.enum_types
        yield from message.extensions


def _messages(file: FileDescriptor) -> Iterator[MessageDescriptor]:
    pending = list(reversed(file.messages))
    while pending:
        message = pending.pop()
        yield message
        pending.extend(reversed(message.nested_types))


def _meaning(file: FileDescriptor) -> object:
    """Everything about a file that changes bytes, JSON or calls; comments and custom options do not."""

    def field(f: FieldDescriptor) -> object:
        return (
            (f.full_name, f.json_name, f.number, f.type, repr(f.default)),
            (f.is_repeated, f.is_required, f.has_presence, f.is_packed, f.is_delimited, f.validates_utf8),
            f.message_type and f.message_type.full_name,
            f.enum_type and f.enum_type.full_name,
            f.containing_type and f.containing_type.full_name,
            f.containing_oneof and f.containing_oneof.full_name,
        )

    def enum(e: EnumDescriptor) -> object:
        return (e.full_name, e.is_closed, tuple((value.name, value.number) for value in e.values))

    return (
        tuple(enum(e) for e in file.enums),
        tuple(field(f) for f in file.extensions),
        tuple(
            (
                m.full_name,
                m.is_message_set,
                m.is_map_entry,
                tuple(m.extension_ranges),
                tuple(field(f) for f in m.fields),
                tuple(field(f) for f in m.extensions),
                tuple(enum(e) for e in m.enum_types),
            )
            for m in _messages(file)
        ),
        tuple(
            (m.full_name, m.input_type.full_name, m.output_type.full_name, m.is_client_stream, m.is_server_stream)
            for service in file.services
            for m in service.methods
        ),
    )


def _found(table: Mapping[str, _T], full_name: str, kind: str) -> _T:
    found = table.get(full_name)
    if found is None:
        raise SchemaError(f"no {kind} {full_name!r} in the schema{_did_you_mean(full_name, list(table))}")
    return found


def _did_you_mean(name: str, known: list[str]) -> str:
    """A question with up to three names that come near ``name``, or nothing."""
    last = name.rpartition("/")[2].rpartition(".")[2].lower()
    near = [each for each in known if each.rpartition("/")[2].rpartition(".")[2].lower() == last]
    if not near:
        near = difflib.get_close_matches(name[:200], known[:5000], n=3, cutoff=0.7)
    return f"; did you mean {' or '.join(near[:3])}?" if near else ""
