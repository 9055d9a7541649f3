"""The linker: syntax trees to run-time descriptors, names resolved.

Two passes over each file, whose imports are linked before it: declare makes a descriptor for every element and enters
its full name; cross-link resolves the names of types and fills in what features and defaults say. Both check what
can be checked on the way, in protoc's order, so that the same errors come first.
"""

from __future__ import annotations

from puregrpc.proto.descriptors import Edition, FieldDescriptor, FileDescriptor, MessageDescriptor
from puregrpc.proto.link.crosslinker import CrossLinker
from puregrpc.proto.link.declarer import Declarer
from puregrpc.proto.link.features import file_features
from puregrpc.proto.link.linked_file import LinkedFile
from puregrpc.proto.link.name_lengths import names_too_long
from puregrpc.proto.link.symbol_table import SymbolTable
from puregrpc.proto.locate.problem import Role
from puregrpc.proto.parse import ast

__all__ = ["Linker"]

KNOWN_EDITIONS = frozenset(Edition)


class Linker:
    """Links files, one after the other, into one symbol table."""

    def __init__(self) -> None:
        self.table = SymbolTable()
        self.files: dict[str, LinkedFile] = {}
        self.exported: dict[FileDescriptor, int] = {}
        """What each of them exports, in this table's bits."""
        self.extensions: dict[tuple[MessageDescriptor, int], FieldDescriptor] = {}

    def link(self, tree: ast.File) -> LinkedFile:
        """Link one file; an import that has not been linked before is an error of the file."""
        descriptor = FileDescriptor(tree.name, tree.package, _edition(tree))
        file = LinkedFile(tree, descriptor, file_features(tree))
        for node, problem in names_too_long(tree):
            file.error(node, Role.NAME, problem)
        if file.has_errors:
            file.is_declared = False
            return file
        self.table.add_package(file)
        self.add_imports(file)
        Declarer(self.table, file).declare()
        CrossLinker(self.table, file, self.extensions).link()
        for reason, suggestion in file.number_hints.suggestions(tree):
            file.error(reason, Role.NUMBER, suggestion)
        return file

    def finish(self, file: LinkedFile) -> None:
        """Let other files import this one, which has no errors."""
        self.files[file.descriptor.name] = file
        self.exported[file.descriptor] = file.exported

    def adopt(self, file: LinkedFile, table: SymbolTable) -> bool:
        """Share a file without imports that another linker has linked; False if that cannot be."""
        if not self.table.adopt(table):
            return False
        self.files[file.descriptor.name] = file
        self.exported[file.descriptor] = self.table.bit(file.descriptor)
        return True

    def forget(self, file: LinkedFile) -> None:
        """Take back what the file that was linked last has declared, because it has errors."""
        self.table.forget(file)
        extensions = self.extensions
        while extensions:  # those of the last file are the last ones, so that the others need not be looked at
            key, extension = extensions.popitem()
            if extension.file is not file.descriptor:
                extensions[key] = extension
                return

    def add_imports(self, file: LinkedFile) -> None:
        descriptor = file.descriptor
        file.visible = file.exported = self.table.bit(descriptor)
        descriptor.missing_dependencies += sorted(file.tree.missing_imports)
        seen: set[str] = set()
        imports = file.tree.imports
        for imported in imports:
            path = imported.path
            if path in seen:
                file.import_error(path, f'Import "{path}" was listed twice.')
            seen.add(path)
            dependency = self.files.get(path)
            if dependency is None:
                if imported.modifier != "option":
                    file.import_error(path, f'Import "{path}" was not found or had errors.')
                descriptor.missing_dependencies.append(path)
            elif imported.modifier == "option":
                descriptor.option_dependencies.append(dependency.descriptor)
                file.visible_for_options |= self.exported[dependency.descriptor]
            else:
                descriptor.dependencies.append(dependency.descriptor)
                exported = self.exported[dependency.descriptor]
                file.visible |= exported
                if imported.modifier == "public":
                    descriptor.public_dependencies.append(dependency.descriptor)
                    file.exported |= exported


def _edition(tree: ast.File) -> Edition:
    if tree.syntax == "proto3":
        return Edition.PROTO3
    if tree.syntax == "editions":
        return Edition(tree.edition) if tree.edition in KNOWN_EDITIONS else Edition.EDITION_2026
    return Edition.PROTO2
