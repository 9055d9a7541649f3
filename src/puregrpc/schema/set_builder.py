"""The files of a FileDescriptorSet made into descriptors, in the order of their imports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from google.protobuf import descriptor_pb2

from puregrpc.errors import SchemaError
from puregrpc.proto.descriptors import EnumDescriptor, FileDescriptor, MessageDescriptor
from puregrpc.schema.build import FileBuilder, Lookup
from puregrpc.schema.well_known import well_known_file

__all__ = ["SetBuilder"]


class SetBuilder:
    """Builds the files of one set against what is there already."""

    def __init__(self, present: Mapping[str, FileDescriptor], lookup_present: Lookup) -> None:
        self._present = present
        self._lookup_present = lookup_present
        self._types: dict[str, MessageDescriptor | EnumDescriptor] = {}
        self._builders: dict[str, FileBuilder] = {}

    def build(self, protos: Iterable[descriptor_pb2.FileDescriptorProto]) -> dict[str, FileDescriptor]:
        """The files by name, in the order given, those built in for them at the end."""
        for proto in protos:
            self._declare(proto)
        names = list(self._builders)
        for name in names:
            for dependency in self._builders[name].proto.dependency:
                self._add_well_known(dependency)
        files: dict[str, FileDescriptor] = {}
        for name in self._in_import_order():
            builder = self._builders[name]
            dependencies, missing = [], []
            for dependency in builder.proto.dependency:
                found = files.get(dependency) or self._present.get(dependency)
                if found is None:
                    missing.append(dependency)
                else:
                    dependencies.append(found)
            files[name] = builder.link(dependencies, missing, self._lookup)
        for name, file in files.items():
            options = getattr(self._builders[name].proto, "option_dependency", ())  # which older google.protobuf lacks
            known = (files.get(option) or self._present.get(option) for option in options)
            file.option_dependencies = [each for each in known if each is not None]
        return {name: files[name] for name in self._builders}

    def _declare(self, proto: descriptor_pb2.FileDescriptorProto) -> None:
        builder = FileBuilder(proto)
        if proto.name in self._builders:
            if self._builders[proto.name].proto == proto:
                return
            raise SchemaError(f"{proto.name}: the set has two different files of this name")
        self._builders[proto.name] = builder
        for kind in builder.declare():
            other = self._types.setdefault(kind.full_name, kind)
            if other is not kind:
                where = other.file.name if other.file is not None else proto.name
                raise SchemaError(f"{proto.name}: {kind.full_name} is declared in {where} already")

    def _add_well_known(self, name: str) -> None:
        if name in self._builders or name in self._present:
            return
        proto = well_known_file(name)
        if proto is not None:
            self._declare(proto)
            for dependency in proto.dependency:
                self._add_well_known(dependency)

    def _lookup(self, full_name: str) -> MessageDescriptor | EnumDescriptor | None:
        return self._types.get(full_name) or self._lookup_present(full_name)

    def _in_import_order(self) -> list[str]:
        """Every file after those it imports. Raises SchemaError if they import each other in a circle."""
        order: list[str] = []
        state: dict[str, bool] = {}
        for start in self._builders:
            pending: list[tuple[str, bool]] = [(start, False)]
            path: list[str] = []
            while pending:
                name, done = pending.pop()
                if done:
                    state[name] = True
                    order.append(path.pop())
                    continue
                if name in state:
                    if not state[name]:
                        circle = " -> ".join([*path[path.index(name) :][:8], name])
                        raise SchemaError(f"{name}: files import each other in a circle: {circle}")
                    continue
                state[name] = False
                path.append(name)
                pending.append((name, True))
                pending.extend(
                    (dependency, False)
                    for dependency in reversed(self._builders[name].proto.dependency)
                    if dependency in self._builders
                )
        return order
