"""Type stubs of services and their messages, so that editors and type checkers know what `Client.stub` gives."""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Iterator

from puregrpc.client.stub import snake_case
from puregrpc.proto.descriptors import (
    EnumDescriptor,
    FieldDescriptor,
    FieldType,
    MessageDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)

__all__ = ["type_stubs"]

HEAD = '''"""Types of the messages and services of {services}; made by puregrpc from their definitions."""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Protocol

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer, RepeatedScalarFieldContainer
from google.protobuf.message import Message

from puregrpc import Response, Stream
'''

IMPORTED = (
    *("Any", "Iterator", "Mapping", "Message", "MutableMapping", "Protocol", "RepeatedCompositeFieldContainer"),
    *("RepeatedScalarFieldContainer", "Response", "Sequence", "Stream"),
)
"""Names that messages cannot have in the stubs."""

SCALARS = {
    FieldType.DOUBLE: "float",
    FieldType.FLOAT: "float",
    FieldType.BOOL: "bool",
    FieldType.STRING: "str",
    FieldType.BYTES: "bytes",
}
"""All others are integers, enums included."""


def type_stubs(services: Iterable[ServiceDescriptor]) -> str:
    """The text of a ``.pyi`` file: a class for every message that the services use, a protocol for each service."""
    chosen = list(services)
    return _Writer(chosen).text()


class _Writer:
    def __init__(self, services: list[ServiceDescriptor]) -> None:
        self._services = services
        self._messages: dict[str, MessageDescriptor] = {}
        self._enums: dict[str, EnumDescriptor] = {}
        for service in services:
            for method in service.methods:
                self._collect(method.input_type)
                self._collect(method.output_type)
        self._names: dict[str, str] = {}
        taken = {*IMPORTED, *(service.name for service in services)}
        for full_name in self._messages:
            short = full_name.rpartition(".")[2]
            name = short if short not in taken else full_name.replace(".", "_")
            taken.add(name)
            self._names[full_name] = name

    def _collect(self, first: MessageDescriptor) -> None:
        waiting = [first]
        while waiting:
            message = waiting.pop()
            if message.full_name in self._messages:
                continue
            self._messages[message.full_name] = message
            for field in message.fields:
                if field.enum_type is not None:
                    self._enums[field.enum_type.full_name] = field.enum_type
                if field.message_type is not None:
                    waiting.append(field.message_type)

    def text(self) -> str:
        """Everything."""
        lines = [HEAD.format(services=", ".join(service.full_name for service in self._services))]
        lines += [f"{value.name}: int" for enum in self._enums.values() for value in enum.values if usable(value.name)]
        for message in self._messages.values():
            if not message.is_map_entry:
                lines += ["", *self._message(message)]
        for name in dict.fromkeys(self._names[m.output_type.full_name] for s in self._services for m in s.methods):
            lines += ["", f"class {name}Response(Response):", f"    message: {name}"]
            lines += ["", f"class {name}Stream(Stream):", f"    def __iter__(self) -> Iterator[{name}]: ..."]
        for service in self._services:
            lines += ["", f"class {service.name}(Protocol):", *self._service(service)]
        return "\n".join(lines) + "\n"

    def _message(self, message: MessageDescriptor) -> Iterator[str]:
        fields = [field for field in message.fields if usable(field.name)]
        yield f"class {self._names[message.full_name]}(Message):"
        for field in fields:
            yield f"    {field.name}: {self._held(field)}"
        if fields:
            arguments = ", ".join(f"{field.name}: {self._taken(field)} | None = ..." for field in fields)
            yield f"    def __init__(self, *, {arguments}) -> None: ..."
        else:
            yield "    def __init__(self) -> None: ..."

    def _service(self, service: ServiceDescriptor) -> Iterator[str]:
        for method in service.methods:
            for name in dict.fromkeys((method.name, snake_case(method.name))):
                yield f"    def {name}({self._arguments(method)}) -> {self._result(method)}: ..."
        if not service.methods:
            yield "    ..."

    def _arguments(self, method: MethodDescriptor) -> str:
        params = "params: Mapping[str, Any] | None = ..."
        if method.is_client_stream:
            return f"self, {params}"
        request = f"request: {self._names[method.input_type.full_name]} | Mapping[str, Any] | None = ..."
        return f"self, {request}, {params}, **fields: Any"

    def _result(self, method: MethodDescriptor) -> str:
        name = self._names[method.output_type.full_name]
        return f"{name}Stream" if method.is_client_stream or method.is_server_stream else f"{name}Response"

    def _one(self, field: FieldDescriptor) -> str:
        if field.message_type is not None:
            return self._names[field.message_type.full_name]
        return SCALARS.get(field.type, "int")

    def _map(self, field: FieldDescriptor) -> tuple[str, str]:
        entry = field.message_type
        by_number = {part.number: part for part in entry.fields} if entry is not None else {}
        return self._one(by_number[1]), self._one(by_number[2])

    def _held(self, field: FieldDescriptor) -> str:
        if field.is_map:
            key, value = self._map(field)
            return f"MutableMapping[{key}, {value}]"
        if not field.is_repeated:
            return self._one(field)
        kind = "Composite" if field.message_type is not None else "Scalar"
        return f"Repeated{kind}FieldContainer[{self._one(field)}]"

    def _taken(self, field: FieldDescriptor) -> str:
        if field.is_map:
            key, value = self._map(field)
            return f"Mapping[{key}, {value}]"
        return f"Sequence[{self._one(field)}]" if field.is_repeated else self._one(field)


def usable(name: str) -> bool:
    """Whether a name can be written in Python; others are reached with getattr."""
    return name.isidentifier() and not keyword.iskeyword(name)
