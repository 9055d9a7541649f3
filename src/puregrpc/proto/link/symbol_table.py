"""The symbol table: full names to what they stand for, and what each file may see of it.

Name resolution: https://protobuf.dev/programming-guides/proto3/#name-resolution.
"""

from __future__ import annotations

from puregrpc.proto.descriptors import EnumDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor
from puregrpc.proto.link.linked_file import LinkedFile
from puregrpc.proto.link.range_index import RangeIndex
from puregrpc.proto.link.symbols import AGGREGATES, TYPES, Package, Symbol
from puregrpc.proto.locate.element_paths import element_names
from puregrpc.proto.locate.problem import Role
from puregrpc.proto.parse.ast import Node

__all__ = ["SymbolTable"]

FEW = 8
"""Ranges that are looked through one by one."""


class SymbolTable:
    """All symbols of one compilation."""

    def __init__(self) -> None:
        self.symbols: dict[str, tuple[Symbol, FileDescriptor]] = {}
        self.bits: dict[FileDescriptor, int] = {}
        """A bit for each file: sets of files are numbers, as chains of public imports make many large ones."""
        self.local: dict[MessageDescriptor | EnumDescriptor, str] = {}
        """Types that other files may not use (``local``, edition 2024), and why."""
        self.reserved_names: dict[MessageDescriptor, list[str]] = {}
        self.range_indexes: dict[MessageDescriptor, RangeIndex] = {}
        self.enum_numbers: dict[EnumDescriptor, dict[str, int]] = {}
        self.lite_files: set[FileDescriptor] = set()
        """The files with optimize_for = LITE_RUNTIME."""
        self.hints = 0
        """How many were looked for: each takes a look at every name."""

    def bit(self, file: FileDescriptor) -> int:
        """The bit of a file."""
        return self.bits.setdefault(file, 1 << len(self.bits))

    def sees(self, file: LinkedFile, other: FileDescriptor) -> bool:
        """Whether a file may use what another declares."""
        return self.bits[other] & file.visible != 0

    def add(self, full_name: str, symbol: Symbol, node: Node, file: LinkedFile) -> bool:
        """Enter a symbol. If the name is taken, an error is noted and False returned."""
        entry = (symbol, file.descriptor)
        known = self.symbols.setdefault(full_name, entry)
        if known is entry:
            return True
        other = known[1]
        if other is not file.descriptor:
            message = f'"{full_name}" is already defined in file "{other.name}".'
        else:
            scope, dot, name = full_name.rpartition(".")
            message = f'"{name}" is already defined in "{scope}".' if dot else f'"{name}" is already defined.'
        file.error(node, Role.NAME, message)
        return False

    def add_package(self, file: LinkedFile) -> None:
        """Enter the package of a file and the packages around it."""
        name = file.tree.package
        while name:
            known = self.symbols.get(name)
            if known is None:
                known = self.symbols[name] = (Package(name), file.descriptor)
            package, other = known
            if not isinstance(package, Package):
                message = f'"{name}" is already defined (as something other than a package) in file "{other.name}".'
                file.error(file.tree, Role.NAME, message)
                return
            package.files |= self.bit(file.descriptor)
            name = name.rpartition(".")[0]

    def is_extension_number(self, message: MessageDescriptor, number: int) -> bool:
        """Whether a message leaves a number to extensions."""
        ranges = message.extension_ranges
        if len(ranges) < FEW:
            return any(start <= number < end for start, end in ranges)
        index = self.range_indexes.get(message)
        if index is None:
            index = self.range_indexes[message] = RangeIndex(ranges)
        return index.holds(number)

    def value_number(self, enum: EnumDescriptor, name: str) -> int | None:
        """The number of an enum's value."""
        known = self.enum_numbers.get(enum)
        if known is None:
            known = self.enum_numbers[enum] = {value.name: value.number for value in reversed(enum.values)}
        return known.get(name)

    def adopt(self, other: SymbolTable) -> bool:
        """Take over another table, of one file without imports, to be shared with it.

        False, and nothing done, if a name is taken.
        """
        packages = {name for name, (symbol, _) in other.symbols.items() if isinstance(symbol, Package)}
        for name in other.symbols.keys() & self.symbols.keys():
            if name not in packages or not isinstance(self.symbols[name][0], Package):
                return False
        for name, (symbol, owner) in other.symbols.items():
            if isinstance(symbol, Package):
                package, _ = self.symbols.setdefault(name, (Package(name), owner))
                if isinstance(package, Package):
                    package.files |= self.bit(owner)
            else:
                self.symbols[name] = (symbol, owner)
        self.local.update(other.local)
        self.reserved_names.update(other.reserved_names)
        self.lite_files |= other.lite_files
        return True

    def forget(self, file: LinkedFile) -> None:
        """Take a file that has errors out of the table, so that they do not lead to others in later files."""
        descriptor = file.descriptor
        for _, full_name in element_names(file.tree):
            known = self.symbols.get(full_name)
            if known is not None and known[1] is descriptor:
                del self.symbols[full_name]
        name = file.tree.package
        while name:
            known = self.symbols.get(name)
            if known is not None and isinstance(known[0], Package):
                known[0].files &= ~self.bit(descriptor)
                if not known[0].files:
                    del self.symbols[name]
            name = name.rpartition(".")[0]

    def resolve(self, name: str, scope: str, file: LinkedFile, *, types_only: bool = False) -> Symbol | None:
        """What ``name`` means inside ``scope``: the innermost scope that has its first part decides."""
        known = file.resolved.get(name)
        if known is not None and (not types_only or isinstance(known, TYPES)):
            return known
        if name[0] == ".":
            return self.find(name[1:], file)
        first, dot, _ = name.partition(".")
        if first not in file.inner_names:
            # Nothing inside a message or service has such a name: it means the same in all scopes of the file.
            found = self.resolve_from(file.tree.package, name, first, dot, file, types_only=types_only)
            if found is not None:
                file.resolved[name] = found
            return found
        return self.resolve_from(scope, name, first, dot, file, types_only=types_only)

    def resolve_from(
        self, scope: str, name: str, first: str, dot: str, file: LinkedFile, *, types_only: bool
    ) -> Symbol | None:
        """Look from ``scope`` outwards for the first part of a name."""
        symbols = self.symbols
        while scope:
            candidate = f"{scope}.{first}"
            if candidate in symbols and (found := self.find(candidate, file)) is not None:
                if dot:
                    if isinstance(found, AGGREGATES):
                        return self.find(f"{scope}.{name}", file)
                elif not types_only or isinstance(found, TYPES):
                    return found
            scope = scope.rpartition(".")[0]
        return self.find(name, file)

    def find(self, full_name: str, file: LinkedFile) -> Symbol | None:
        """The symbol of that name, if the file may see it."""
        known = self.symbols.get(full_name)
        if known is None:
            return None
        symbol, owner = known
        bit = self.bits[owner]
        if bit & file.visible:
            if not isinstance(symbol, Package):
                file.used.add(owner)
            return symbol
        if isinstance(symbol, Package):
            return symbol if symbol.files & (file.visible | file.visible_for_options) else None
        if bit & file.visible_for_options and isinstance(symbol, FieldDescriptor):
            file.used.add(owner)
            return symbol
        return None

    def explain_undefined(self, name: str, scope: str, file: LinkedFile) -> list[str]:
        """Why ``resolve`` has no answer: protoc's sentences, of which there may be two."""
        hidden = resolved_to = ""
        bare = name.removeprefix(".")
        candidates = [bare]
        if bare == name:
            first, dot, _ = name.partition(".")
            candidates = []
            while scope:
                candidates.append(f"{scope}.{first}")
                if dot and isinstance(self.find(candidates[-1], file), AGGREGATES):
                    resolved_to = f"{scope}.{name}"
                    candidates.append(resolved_to)
                    break
                scope = scope.rpartition(".")[0]
            else:
                candidates.append(name)
        for candidate in candidates:
            if candidate in self.symbols and self.find(candidate, file) is None:
                hidden = candidate
        messages = []
        if hidden:
            owner = self.symbols[hidden][1].name
            messages.append(
                f'"{hidden}" seems to be defined in "{owner}", which is not imported by "{file.tree.name}".  '
                "To use it here, please add the necessary import."
            )
        if resolved_to:
            messages.append(
                f'"{name}" is resolved to "{resolved_to}", which is not defined. The innermost scope is searched '
                f"first in name resolution. Consider using a leading '.'(i.e., \".{name}\") to start from the "
                "outermost scope."
            )
        return messages or [f'"{name}" is not defined.']
