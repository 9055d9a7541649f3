"""Type stubs: what a type checker should know of the messages that are made from a .proto file at run time."""

from __future__ import annotations

import keyword
from typing import TYPE_CHECKING

from google.protobuf.message import Message

from puregrpc.proto.descriptors import EnumDescriptor, FieldDescriptor, FieldType, MessageDescriptor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from puregrpc.proto.descriptors import EnumValueDescriptor, FileDescriptor

__all__ = ["stub", "stub_name"]

SCALARS: dict[FieldType, str] = {
    FieldType.DOUBLE: "float", FieldType.FLOAT: "float", FieldType.BOOL: "bool", FieldType.STRING: "str",
    FieldType.BYTES: "bytes",
}  # fmt: skip
OUTSIDE = {
    "_Iterable": "from collections.abc import Iterable as",
    "_Mapping": "from collections.abc import Mapping as",
    "_Any": "from typing import Any as",
    "_ClassVar": "from typing import ClassVar as",
    "_TypeAlias": "from typing import TypeAlias as",
    "_builtins": "import builtins as",
    "_descriptor": "from google.protobuf import descriptor as",
    "_message": "from google.protobuf import message as",
    "_containers": "from google.protobuf.internal import containers as",
    "_enum_type_wrapper": "from google.protobuf.internal import enum_type_wrapper as",
    "_extension_dict": "from google.protobuf.internal import extension_dict as",
}
"""What stubs refer to, and the statements that import it."""

OF_EVERY_MESSAGE = frozenset(dir(Message))
"""Fields of these names are reached with getattr only, so that a stub cannot have them."""


def stub_name(proto_name: str) -> str:
    """The path of the stub of a .proto file: ``a/b.proto`` has ``a/b_pb2.pyi``."""
    return f"{_module_name(proto_name).replace('.', '/')}.pyi"


def stub(file: FileDescriptor) -> str:
    """The text of the stub of a file.

    Every name in it means what it should, whatever the file declares: what is a type in one place and a field in
    another (``int32 int = 1``, ``Status Status = 2``) has another name where it is needed as a type. Messages and
    enums that are called like a keyword have an underscore before their names; fields and values cannot be written.
    """
    return _StubWriter(file).text()


def _module_name(proto_name: str) -> str:
    """The name of the module that a .proto file becomes."""
    return proto_name.removesuffix(".proto").replace("-", "_").replace("/", ".") + "_pb2"


def _can_be_imported(module: str) -> bool:
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in module.split("."))


class _StubWriter:
    def __init__(self, file: FileDescriptor) -> None:
        self.file = file
        self.in_classes = {name for message in file.messages for name in _names_in(message)}
        """What class bodies declare: there, it hides what the module has under that name."""
        self.declared = self.in_classes | {each.name for each in _at_top(file)}
        self.used: dict[str, str] = {}
        """Names from outside of the file, and the statement that imports each."""
        self.aliases: dict[str, str] = {}
        """Types of the file that class bodies hide, and the names they have there."""

    def text(self) -> str:
        lines = list(self.lines())
        for name, alias in sorted(self.aliases.items()):
            lines.append(f"{alias}: {self.outside('_TypeAlias')} = {name}")
        body = "".join(f"{line}\n" if line else "\n" for line in lines)
        imports = "".join(f"{statement}\n" for statement in sorted(self.used.values()))
        return f"{imports}{''.join(self.reexports())}\n{body}"

    def reexports(self) -> Iterator[str]:
        """What the module has from the files that its own imports publicly."""
        done = {self.file.name, *self.declared}
        pending = list(reversed(self.file.public_dependencies))
        while pending:
            file = pending.pop()
            pending += reversed(file.public_dependencies)
            module = _module_name(file.name)
            names = [] if file.name in done or not _can_be_imported(module) else [each.name for each in _at_top(file)]
            done.add(file.name)
            for name in names:
                if name not in done and not keyword.iskeyword(name):
                    yield f"from {module} import {name} as {name}\n"
            done.update(names)

    def lines(self) -> Iterator[str]:
        yield f"DESCRIPTOR: {self.outside('_descriptor')}.FileDescriptor"
        for enum in self.file.enums:
            yield ""
            yield from self.enum(enum, "")
        yield from self.extensions(self.file.extensions, "")
        for message in self.file.messages:
            yield ""
            yield from self.message(message, "")

    def enum(self, enum: EnumDescriptor, indent: str) -> Iterator[str]:
        name = self.reference(enum)
        class_variable = f"{self.outside('_ClassVar')}[{name}]"
        values = [value.name for value in enum.values if not keyword.iskeyword(value.name)]
        wrapper = f"{self.outside('_enum_type_wrapper')}.EnumTypeWrapper"
        yield f"{indent}class {_safe(enum.name)}({self.builtin('int')}, metaclass={wrapper}):"
        yield f"{indent}    __slots__ = ()"
        for value in values:
            yield f"{indent}    {value}: {class_variable}"
        for value in values:
            yield f"{indent}{value}: {class_variable if indent else name}"

    def extensions(self, extensions: Sequence[FieldDescriptor], indent: str) -> Iterator[str]:
        kind = f"{self.outside('_ClassVar')}[{self.builtin('int')}]" if indent else self.builtin("int")
        for extension in extensions:
            if extension.containing_type is not None and not keyword.iskeyword(extension.name):
                handle = f"{self.outside('_extension_dict')}._ExtensionFieldDescriptor"
                of = f"{self.reference(extension.containing_type)}, {self.attribute_type(extension)}"
                yield f"{indent}{extension.name}: {handle}[{of}]"
            yield f"{indent}{extension.name.upper()}_FIELD_NUMBER: {kind}"

    def message(self, message: MessageDescriptor, indent: str) -> Iterator[str]:
        inner = indent + "    "
        yield f"{indent}class {_safe(message.name)}({self.outside('_message')}.Message):"
        for enum in message.enum_types:
            yield from self.enum(enum, inner)
        for nested in message.nested_types:
            yield from self.message(nested, inner)
        yield from self.extensions(message.extensions, inner)
        for number in dict.fromkeys(f"{field.name.upper()}_FIELD_NUMBER" for field in message.fields):
            yield f"{inner}{number}: {self.outside('_ClassVar')}[{self.builtin('int')}]"
        arguments = []
        for field in message.fields:
            if keyword.iskeyword(field.name) or field.name.startswith("__"):
                continue
            if field.name not in OF_EVERY_MESSAGE:
                yield f"{inner}{field.name}: {self.attribute_type(field)}"
            arguments.append(f"{field.name}: {self.argument_type(field)} | None = ...")
        keywords = f", *, {', '.join(arguments)}" if arguments else ""
        this = "self_" if any(field.name == "self" for field in message.fields) else "self"
        yield f"{inner}def __init__({this}{keywords}) -> None: ..."

    def reference(self, descriptor: MessageDescriptor | EnumDescriptor) -> str:
        """A class, named as seen from the stub's module."""
        names = []
        current: MessageDescriptor | EnumDescriptor | None = descriptor
        while current is not None:
            names.append(_safe(current.name))
            current = current.containing_type
        names.reverse()
        file = descriptor.file
        if file is None or file is self.file:
            if names[0] in self.in_classes:
                names[0] = self.aliases.setdefault(names[0], self.free(f"_{names[0]}"))
            return ".".join(names)
        module = _module_name(file.name)
        if not _can_be_imported(module):
            return self.outside("_Any")
        if module.partition(".")[0] not in self.declared:
            self.used[module] = f"import {module}"
        else:
            alias = self.free(f"_{module.replace('.', '_')}")
            self.used[module] = f"import {module} as {alias}"
            module = alias
        return f"{module}.{'.'.join(names)}"

    def outside(self, name: str) -> str:
        """A name from ``OUTSIDE``, imported."""
        made = self.free(name)
        self.used[name] = f"{OUTSIDE[name]} {made}"
        return made

    def builtin(self, name: str) -> str:
        """A built-in type."""
        return f"{self.outside('_builtins')}.{name}" if name in self.declared else name

    def free(self, name: str) -> str:
        """``name``, with more underscores if the file declares something that is called so."""
        while name in self.declared:
            name += "_"
        return name

    def value_type(self, field: FieldDescriptor) -> str:
        if field.message_type is not None:
            return self.reference(field.message_type)
        if field.enum_type is not None:
            return self.reference(field.enum_type)
        return self.builtin(SCALARS.get(field.type, "int"))

    def attribute_type(self, field: FieldDescriptor) -> str:
        """What reading a field gives."""
        entry = field.message_type
        if field.is_map and entry is not None:
            key, value = entry.fields
            container = "MessageMap" if value.message_type is not None else "ScalarMap"
            return f"{self.outside('_containers')}.{container}[{self.value_type(key)}, {self.value_type(value)}]"
        if field.is_repeated:
            container = "RepeatedCompositeFieldContainer" if entry is not None else "RepeatedScalarFieldContainer"
            return f"{self.outside('_containers')}.{container}[{self.value_type(field)}]"
        return self.value_type(field)

    def argument_type(self, field: FieldDescriptor) -> str:
        """What the constructor takes for a field."""
        entry = field.message_type
        if field.is_map and entry is not None:
            key, value = entry.fields
            return f"{self.outside('_Mapping')}[{self.value_type(key)}, {self.given_type(value)}]"
        if field.is_repeated:
            return f"{self.outside('_Iterable')}[{self.given_type(field)}]"
        return self.given_type(field)

    def given_type(self, field: FieldDescriptor) -> str:
        value = self.value_type(field)
        if field.message_type is not None:
            return f"{value} | {self.outside('_Mapping')}[{self.builtin('str')}, {self.builtin('object')}]"
        return f"{value} | {self.builtin('str')}" if field.enum_type is not None else value


def _at_top(
    file: FileDescriptor,
) -> Iterator[MessageDescriptor | EnumDescriptor | FieldDescriptor | EnumValueDescriptor]:
    yield from file.messages
    yield from file.extensions
    for enum in file.enums:
        yield enum
        yield from enum.values


def _names_in(message: MessageDescriptor) -> Iterator[str]:
    """What the class of a message, and those in it, declare."""
    pending = [message]
    while pending:
        current = pending.pop()
        pending += current.nested_types
        yield from (field.name for field in (*current.fields, *current.extensions))
        yield from (nested.name for nested in current.nested_types)
        yield from (enum.name for enum in current.enum_types)
        for enum in current.enum_types:
            yield from (value.name for value in enum.values)


def _safe(name: str) -> str:
    """A name that is none of Python's keywords."""
    return f"_{name}" if keyword.iskeyword(name) else name
