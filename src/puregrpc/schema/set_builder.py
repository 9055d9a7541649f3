"""The files of a FileDescriptorSet made into descriptors, in the order of their imports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from google.protobuf import descriptor_pb2

from puregrpc.errors import SchemaError
from puregrpc.proto.descriptors import EnumDescriptor, FileDescriptor, MessageDescriptor
from puregrpc.schema.build import FileBuilder, Lookup
from puregrpc.schema.well_known import WELL_KNOWN_FILES, well_known_file, well_known_names

__all__ = ["FilesRefused", "SetBuilder", "check_references", "names_used"]


MOST_SHOWN = 8
"""So many files of a circle are told."""


class FilesRefused(SchemaError):  # noqa: N818 - what became of the files
    """Files of a set are not valid. ``problems`` says why, by their names; the message is the first of them."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(next(iter(problems.values())))
        self.problems = problems


def names_used(proto: descriptor_pb2.FileDescriptorProto) -> Iterator[str]:
    """The names of types that a file refers to, as they stand there: with a dot before those that are full names."""
    fields = list(proto.extension)
    messages = list(proto.message_type)
    while messages:
        message = messages.pop()
        fields += [*message.field, *message.extension]
        messages += message.nested_type
    for field in fields:
        yield from filter(None, (field.type_name, field.extendee))
    for service in proto.service:
        for method in service.method:
            yield from (method.input_type, method.output_type)


def check_references(proto: descriptor_pb2.FileDescriptorProto) -> None:
    """Raises SchemaError if what a file says of itself and of others is no text.

    Strings in descriptors that are not valid UTF-8 come out of google.protobuf as bytes.
    """
    for name in (proto.name, proto.package, *proto.dependency, *names_used(proto)):
        if not isinstance(name, str):
            raise SchemaError(f"{proto.name[:80]!r}: the name {name[:80]!r} is not valid UTF-8")


class SetBuilder:
    """Builds the files of one set against what is there already."""

    def __init__(
        self, present: Mapping[str, FileDescriptor], lookup_present: Lookup, missing: Mapping[str, str] | None = None
    ) -> None:
        self._present = present
        self._lookup_present = lookup_present
        self._missing = missing or {}
        self._types: dict[str, MessageDescriptor | EnumDescriptor] = {}
        self._builders: dict[str, FileBuilder] = {}
        self._known_as: dict[str, str] = {}
        """The name of a file under which well-known types are described -> that of the well-known file."""
        self._problems: dict[str, str] = {}
        """Why files are refused. All are found in one go: there may be thousands."""

    def build(self, protos: Iterable[descriptor_pb2.FileDescriptorProto]) -> dict[str, FileDescriptor]:
        """The files by name, in the order given, those built in for them at the end.

        Well-known types under the name of another file, as golang/protobuf had them once, become the built-in ones.
        Raises FilesRefused.
        """
        for proto in protos:
            with self._about(proto.name):
                self._declare(proto)
        self._refuse()
        for name in list(self._builders):
            for dependency in self._imports(name):
                self._add_well_known(dependency)
        files: dict[str, FileDescriptor] = {}
        for name in self._in_import_order():
            builder = self._builders[name]
            dependencies, missing = [], []
            for dependency in self._imports(name):
                found = files.get(dependency) or self._present.get(dependency)
                if found is None:
                    missing.append(dependency)
                else:
                    dependencies.append(found)
            with self._about(name):
                files[name] = builder.link(dependencies, missing, self._lookup, self._missing)
        self._refuse()
        for name, file in files.items():
            options = getattr(self._builders[name].proto, "option_dependency", ())  # which older google.protobuf lacks
            known = (files.get(option) or self._present.get(option) for option in options)
            file.option_dependencies = [each for each in known if each is not None]
        return {name: files[name] for name in self._builders}

    @contextmanager
    def _about(self, file: str) -> Iterator[None]:
        try:
            yield
        except SchemaError as error:
            self._problems.setdefault(file, str(error))

    def _refuse(self) -> None:
        if self._problems:
            raise FilesRefused(self._problems)

    def _imports(self, name: str) -> list[str]:
        """What a file imports. Where imports are missing, well-known types that it uses are imported without saying."""
        proto = self._builders[name].proto
        imports = [self._known_as.get(dependency, dependency) for dependency in proto.dependency]
        if all(each in self._builders or each in self._present or each in WELL_KNOWN_FILES for each in imports):
            return imports
        known = well_known_names()
        used = (known[full_name] for full_name in map(_bare, names_used(proto)) if full_name in known)
        return [each for each in dict.fromkeys([*imports, *used]) if each != name]

    def _declare(self, proto: descriptor_pb2.FileDescriptorProto) -> None:
        check_references(proto)
        same = _well_known_same(proto)
        if same:
            self._known_as[proto.name] = same
            self._add_well_known(same)
            return
        builder = FileBuilder(proto)
        if proto.name in self._builders:
            if self._builders[proto.name].proto == proto:
                return
            raise SchemaError(f"{proto.name}: the set has two different files of this name")
        types: dict[str, MessageDescriptor | EnumDescriptor] = {}
        for kind in builder.declare():
            other = self._types.get(kind.full_name) or types.setdefault(kind.full_name, kind)
            if other is not kind:
                where = other.file.name if other.file is not None else proto.name
                raise SchemaError(f"{proto.name}: {kind.full_name} is declared in {where} already")
        self._builders[proto.name] = builder
        self._types.update(types)

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
        """Every file after those it imports. Raises FilesRefused if they import each other in a circle."""
        order: list[str] = []
        state: dict[str, bool] = {}
        for start in self._builders:
            pending: list[tuple[str, bool]] = [(start, False)]
            path: list[str] = []
            places: dict[str, int] = {}
            while pending:
                name, done = pending.pop()
                if done:
                    state[name] = True
                    order.append(path.pop())
                    continue
                if name in state:
                    if not state[name]:
                        circle = " -> ".join([*path[places[name] : places[name] + MOST_SHOWN], name])
                        problem = f"{name}: files import each other in a circle: {circle}"
                        self._problems.setdefault(path[-1], problem)
                    continue
                state[name] = False
                places[name] = len(path)
                path.append(name)
                pending.append((name, True))
                pending.extend(
                    (dependency, False) for dependency in reversed(self._imports(name)) if dependency in self._builders
                )
        self._refuse()
        return order


def _bare(name: str) -> str:
    return name.removeprefix(".")


def _well_known_same(proto: descriptor_pb2.FileDescriptorProto) -> str:
    """The well-known file that has all that a file of another name declares; empty if there is none."""
    if proto.package != "google.protobuf" or proto.name in WELL_KNOWN_FILES:
        return ""
    known = well_known_names()
    declared = [each.name for each in proto.message_type] + [each.name for each in proto.enum_type]
    homes = {known.get(f"{proto.package}.{name}", "") for name in declared}
    return homes.pop() if len(homes) == 1 else ""
