"""Which file declares a symbol: every name of a registry, those of fields, values and methods included."""

from __future__ import annotations

from collections.abc import Iterator

from puregrpc.proto.descriptors import EnumDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor
from puregrpc.schema import Registry

__all__ = ["FileIndex"]


class FileIndex:
    """Finds the files of a registry by what they declare. It follows the registry as that grows."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._version: object = None
        self._files: dict[str, FileDescriptor] = {}
        self._extensions: dict[tuple[str, int], FileDescriptor] = {}
        self._numbers: dict[str, set[int]] = {}
        """Of the extensions of each message that has any."""

    def _refresh(self) -> None:
        if self._version == self.registry.version:
            return
        self._files.clear()
        self._extensions.clear()
        self._numbers.clear()
        for file in self.registry.files.values():
            for name in symbols(file):
                self._files.setdefault(name, file)
            for extension in extensions(file):
                if extension.containing_type is not None:
                    message = extension.containing_type.full_name
                    self._extensions[message, extension.number] = file
                    self._numbers.setdefault(message, set()).add(extension.number)
        self._version = self.registry.version

    def by_name(self, name: str) -> FileDescriptor | None:
        """The file that is imported by this name."""
        return self.registry.files.get(name)

    def by_symbol(self, symbol: str) -> FileDescriptor | None:
        """The file that declares ``symbol``, with or without a dot in front."""
        self._refresh()
        return self._files.get(symbol.removeprefix("."))

    def by_extension(self, message: str, number: int) -> FileDescriptor | None:
        """The file that declares the extension of ``message`` with this number."""
        self._refresh()
        return self._extensions.get((message.removeprefix("."), number))

    def extension_numbers(self, message: str) -> list[int] | None:
        """The numbers of the known extensions of ``message``; None if there is no such message."""
        self._refresh()
        message = message.removeprefix(".")
        numbers = self._numbers.get(message)
        if numbers is not None:
            return sorted(numbers)
        return [] if self._is_message(message) else None

    def _is_message(self, name: str) -> bool:
        file = self._files.get(name)
        return file is not None and any(message.full_name == name for message in messages(file))


def messages(file: FileDescriptor) -> Iterator[MessageDescriptor]:
    """Every message of a file, nested ones included."""
    waiting = list(file.messages)
    while waiting:
        message = waiting.pop()
        yield message
        waiting += message.nested_types


def extensions(file: FileDescriptor) -> Iterator[FieldDescriptor]:
    """Every extension that a file declares, wherever in it."""
    yield from file.extensions
    for message in messages(file):
        yield from message.extensions


def symbols(file: FileDescriptor) -> Iterator[str]:
    """The full name of everything that a file declares."""
    for service in file.services:
        yield service.full_name
        for method in service.methods:
            yield method.full_name
    for extension in extensions(file):
        yield extension.full_name
    enums: list[EnumDescriptor] = list(file.enums)
    for message in messages(file):
        yield message.full_name
        enums += message.enum_types
        yield from (field.full_name for field in message.fields)
        yield from (oneof.full_name for oneof in message.oneofs)
    for enum in enums:
        yield enum.full_name
        scope = enum.full_name.rpartition(".")[0]  # values belong to the scope that the enum stands in
        for value in enum.values:
            yield f"{scope}.{value.name}" if scope else value.name
