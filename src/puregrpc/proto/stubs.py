"""Type stubs: what a type checker should know of the messages that are made from a .proto file at run time."""

from __future__ import annotations

import keyword
from typing import TYPE_CHECKING

from puregrpc.proto.descriptors import EnumDescriptor, FieldDescriptor, FieldType, MessageDescriptor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from puregrpc.proto.descriptors import FileDescriptor

__all__ = ["stub", "stub_name"]

SCALARS: dict[FieldType, str] = {
    FieldType.DOUBLE: "float", FieldType.FLOAT: "float", FieldType.BOOL: "bool", FieldType.STRING: "str",
    FieldType.BYTES: "bytes",
}  # fmt: skip
HEADER = """\
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar

from google.protobuf import descriptor as _descriptor, message as _message
from google.protobuf.internal import containers as _containers, enum_type_wrapper as _enum_type_wrapper
"""


def stub_name(proto_name: str) -> str:
    """The path of the stub of a .proto file: ``a/b.proto`` has ``a/b_pb2.pyi``."""
    return f"{proto_name.removesuffix('.proto').replace('-', '_')}_pb2.pyi"


def stub(file: FileDescriptor) -> str:
    """The text of the stub of a file."""
    return _StubWriter(file).text()


def module_of(file: FileDescriptor) -> str:
    """The name of the module that a .proto file becomes."""
    return stub_name(file.name).removesuffix(".pyi").replace("/", ".")


class _StubWriter:
    def __init__(self, file: FileDescriptor) -> None:
        self.file = file
        self.imported: dict[FileDescriptor, str] = {}

    def text(self) -> str:
        body = "".join(f"{line}\n" if line else "\n" for line in self.lines())
        imports = "".join(f"import {module}\n" for module in sorted(module_of(file) for file in self.imported))
        return f"{HEADER}\n{imports}{'' if not imports else chr(10)}{body}"

    def lines(self) -> Iterator[str]:
        yield "DESCRIPTOR: _descriptor.FileDescriptor"
        for enum in self.file.enums:
            yield ""
            yield from self.enum(enum, "")
        for extension in self.file.extensions:
            yield f"{_safe(extension.name)}: _descriptor.FieldDescriptor"
        for message in self.file.messages:
            yield ""
            yield from self.message(message, "")

    def enum(self, enum: EnumDescriptor, indent: str) -> Iterator[str]:
        name = self.reference(enum)
        yield f"{indent}class {_safe(enum.name)}(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):"
        yield f"{indent}    __slots__ = ()"
        for value in enum.values:
            yield f"{indent}    {_safe(value.name)}: _ClassVar[{name}]"
        for value in enum.values:
            kind = f"_ClassVar[{name}]" if indent else name
            yield f"{indent}{_safe(value.name)}: {kind}"

    def message(self, message: MessageDescriptor, indent: str) -> Iterator[str]:
        inner = indent + "    "
        yield f"{indent}class {_safe(message.name)}(_message.Message):"
        for enum in message.enum_types:
            yield from self.enum(enum, inner)
        for nested in message.nested_types:
            yield from self.message(nested, inner)
        for extension in message.extensions:
            yield f"{inner}{_safe(extension.name)}: _descriptor.FieldDescriptor"
        for field in message.fields:
            yield f"{inner}{field.name.upper()}_FIELD_NUMBER: _ClassVar[int]"
        arguments = []
        for field in message.fields:
            if not keyword.iskeyword(field.name):
                yield f"{inner}{field.name}: {self.attribute_type(field)}"
                arguments.append(f"{field.name}: {self.argument_type(field)} | None = ...")
        keywords = f", *, {', '.join(arguments)}" if arguments else ""
        yield f"{inner}def __init__(self{keywords}) -> None: ..."

    def reference(self, descriptor: MessageDescriptor | EnumDescriptor) -> str:
        """A class, named as seen from the stub's module."""
        names = []
        current: MessageDescriptor | EnumDescriptor | None = descriptor
        while current is not None:
            names.append(_safe(current.name))
            current = current.containing_type
        name = ".".join(reversed(names))
        file = descriptor.file
        if file is None or file is self.file:
            return name
        self.imported[file] = module_of(file)
        return f"{module_of(file)}.{name}"

    def value_type(self, field: FieldDescriptor) -> str:
        if field.message_type is not None:
            return self.reference(field.message_type)
        if field.enum_type is not None:
            return self.reference(field.enum_type)
        return SCALARS.get(field.type, "int")

    def attribute_type(self, field: FieldDescriptor) -> str:
        """What reading a field gives."""
        entry = field.message_type
        if field.is_map and entry is not None:
            key, value = entry.fields
            container = "MessageMap" if value.message_type is not None else "ScalarMap"
            return f"_containers.{container}[{self.value_type(key)}, {self.value_type(value)}]"
        if field.is_repeated:
            container = "RepeatedCompositeFieldContainer" if entry is not None else "RepeatedScalarFieldContainer"
            return f"_containers.{container}[{self.value_type(field)}]"
        return self.value_type(field)

    def argument_type(self, field: FieldDescriptor) -> str:
        """What the constructor takes for a field."""
        entry = field.message_type
        if field.is_map and entry is not None:
            key, value = entry.fields
            return f"_Mapping[{self.value_type(key)}, {self.given_type(value)}]"
        if field.is_repeated:
            return f"_Iterable[{self.given_type(field)}]"
        return self.given_type(field)

    def given_type(self, field: FieldDescriptor) -> str:
        value = self.value_type(field)
        if field.message_type is not None:
            return f"{value} | _Mapping[str, object]"
        return f"{value} | str" if field.enum_type is not None else value


def _safe(name: str) -> str:
    """A name that is none of Python's keywords."""
    return f"{name}_" if keyword.iskeyword(name) else name
