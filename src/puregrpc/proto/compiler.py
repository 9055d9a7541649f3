"""Compilation from start to end: find the files, parse, link, and say what is wrong."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from puregrpc.errors import CompileError
from puregrpc.proto.check.editions import check_edition, check_unstable
from puregrpc.proto.check.map_conflicts import explain_map_conflicts
from puregrpc.proto.check.reserved_numbers import check_reserved_numbers
from puregrpc.proto.check.usage import check_lifetimes, check_targets, rules_used
from puregrpc.proto.check.validator import Validator
from puregrpc.proto.collecting import making_what_stays
from puregrpc.proto.descriptors import FileDescriptor, MessageDescriptor
from puregrpc.proto.diagnostics import MAX_DIAGNOSTICS, Diagnostic
from puregrpc.proto.find.folders import FolderResolver, where_searched
from puregrpc.proto.find.import_paths import canonical_path, is_import_path, why_refused
from puregrpc.proto.find.resolver import (
    BuiltinResolver,
    ChainResolver,
    MemoryResolver,
    Resolver,
)
from puregrpc.proto.link.features import PROTO2
from puregrpc.proto.link.linked_file import LinkedFile
from puregrpc.proto.link.linker import Linker
from puregrpc.proto.locate.problem_locator import ProblemLocator
from puregrpc.proto.locate.source_walker import walk_source
from puregrpc.proto.options.context import OptionContext
from puregrpc.proto.options.interpreter import OptionInterpreter
from puregrpc.proto.options.usage_rules import UsageRules
from puregrpc.proto.output.compiled_source import CompiledSource
from puregrpc.proto.parse import ast
from puregrpc.proto.parse.ast import Node
from puregrpc.proto.parse.lexer import decode_source, scan, tokenize
from puregrpc.proto.parse.parser import Parser
from puregrpc.proto.parse.token_stream import NotQuick, TooManyErrors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from os import PathLike

    from google.protobuf import descriptor_pb2

    from puregrpc.proto.descriptors import DescriptorSource
    from puregrpc.proto.diagnostics import Reporter
    from puregrpc.proto.options.values import OptionMessage

__all__ = ["compile_files"]


def compile_files(
    files: Iterable[str],
    *,
    import_paths: Sequence[str | PathLike[str]] = (),
    sources: Mapping[str, str | bytes] | None = None,
    resolver: Resolver | None = None,
    reporter: Reporter | None = None,
) -> list[FileDescriptor]:
    """Compile .proto files and all that they import; return the descriptors of ``files``, in their order.

    ``files`` are paths as an import statement writes them; ``./a.proto`` and ``b//a.proto`` are put into that form,
    and one that goes up with ``..`` or is absolute is refused, as it is in imports. They are looked for in ``sources``
    (text by path), then asked of ``resolver``, then below each of ``import_paths``; google/protobuf, google/api,
    google/rpc and google/type are found without any of these. ``resolver`` may answer with descriptors, too: see
    ``Resolver``. ``reporter`` hears every finding, warnings too.

    Raises CompileError with all errors that were found.
    """
    resolvers: list[Resolver] = []
    if sources is not None:
        resolvers.append(MemoryResolver({canonical_path(path): text for path, text in sources.items()}))
    if resolver is not None:
        resolvers.append(resolver)
    if import_paths:
        resolvers.append(FolderResolver([str(path) for path in import_paths]))
    resolvers.append(BuiltinResolver())
    with making_what_stays():
        chain = ChainResolver(resolvers)
        names = [file if chain.find_given(file) is not None else canonical_path(file) for file in files]
        return Compilation(chain, reporter).run(names)


class Compilation:
    """One run of the compiler over a set of files, and what it knows afterwards."""

    def __init__(self, resolver: ChainResolver, reporter: Reporter | None) -> None:
        self.resolver = resolver
        self.reporter = reporter
        self.texts: dict[str, str] = {}
        self.trees: dict[str, ast.File] = {}
        self.given: dict[str, tuple[descriptor_pb2.FileDescriptorProto, bool]] = {}
        """The files that were found as descriptors, and so have no text, and whether all that they import is there."""
        self.linker = Linker()
        self.failed: set[str] = set()
        self.warned: set[str] = set()
        """The files whose warnings of the parser were reported."""
        self.requested: set[str] = set()
        self.with_generic_services: set[str] = set()
        self.rules = UsageRules()
        self.context = OptionContext(self.linker.table, self.rules, self.builtin_options)
        self.builtin: Compilation | None = None
        """The compilation of the descriptor.proto that ships with this package, once it has been asked for."""
        self.is_builtin = False
        self.locators: dict[str, ProblemLocator] = {}
        """Of files that are not built yet: there may be many circles of imports through one."""
        self.diagnostics: list[Diagnostic] = []
        self.counts = [0, 0]
        """How many of them are errors, and how many are warnings."""

    def run(self, names: list[str]) -> list[FileDescriptor]:
        """Compile the files. Raises CompileError."""
        self.requested.update(names)
        with suppress(TooManyErrors):
            for name in names:
                self.load(name)
        self.warn_of_generic_services(names)
        errors = [str(diagnostic) for diagnostic in self.diagnostics if not diagnostic.is_warning]
        if errors:
            raise CompileError(errors)
        return [self.linker.files[name].descriptor for name in names]

    def warn_of_generic_services(self, names: list[str]) -> None:
        """Warn of files that ask for services as old code generators made them, once all files have compiled."""
        if not self.failed and self.reporter is not None:
            for name in dict.fromkeys(names):
                if name in self.with_generic_services:
                    self.report(Diagnostic(name, 0, 0, GENERIC_SERVICES, is_warning=True))

    def report(self, diagnostic: Diagnostic) -> None:
        """Let a finding be known. Raises TooManyErrors, behind the last error that is."""
        kind = int(diagnostic.is_warning)
        if self.counts[kind] >= MAX_DIAGNOSTICS:
            return
        self.counts[kind] += 1
        self.diagnostics.append(diagnostic)
        if self.reporter is not None:
            self.reporter.report(diagnostic)
        if not kind and self.counts[kind] == MAX_DIAGNOSTICS:
            raise TooManyErrors

    def load(self, name: str) -> None:
        """Read, parse and build a file behind everything it imports, depth first, as protoc does."""
        if name in self.linker.files or name in self.failed:
            return
        if not self.read(name):
            return
        stack = [(name, iter(self.trees[name].imports))]
        depths = {name: 0}
        while stack:
            current, imports = stack[-1]
            imported = next(imports, None)
            if imported is None:
                stack.pop()
                del depths[current]
                self.build(self.trees.pop(current))
                self.locators.pop(current, None)
                continue
            path = imported.path
            if path in self.linker.files:
                continue
            if path in depths:
                names = [name for name, _ in stack[depths[path] : depths[path] + MAX_FILES_SHOWN]]
                self.report_cycle(names, stack[-1][0])
            elif path not in self.failed and self.read(path, may_be_missing=self.is_dispensable(current, imported)):
                depths[path] = len(stack)
                stack.append((path, iter(self.trees[path].imports)))

    def report_cycle(self, names: list[str], last: str) -> None:
        """A file imports itself; protoc says so about the first file of the cycle, at its import of the second.

        ``names`` are the first files of the cycle, and all if the ``last`` is among them.
        """
        shown = [*names, names[0]] if names[-1] == last else [*names, "...", last, names[0]]
        message = f"File recursively imports itself: {' -> '.join(shown)}"
        file = LinkedFile(self.trees[names[0]], FileDescriptor(names[0]), PROTO2)
        file.import_error(names[1] if len(names) > 1 else names[0], message)
        self.report_problems(file)
        if len(names) == 1:
            self.failed.add(names[0])

    def is_dispensable(self, name: str, imported: ast.Import) -> bool:
        """Whether a file does without what it imports: its options are interpreted where it comes as a descriptor."""
        return imported.modifier == "option" and self.trees[name].is_descriptor

    def read(self, name: str, *, may_be_missing: bool = False) -> bool:
        """Find and parse a source; False if nothing is left to be done for it, be it for its errors."""
        try:
            found = self.resolver.find(name) if is_import_path(name) else self.resolver.find_given(name)
        except OSError as error:
            self.failed.add(name)
            self.report(Diagnostic(name, 0, 0, _why_unreadable(error)))
            return False
        if found is None and may_be_missing:
            return False
        if found is None:
            self.failed.add(name)
            message = why_refused(name) or "File not found."
            self.report(Diagnostic(name, 0, 0, message, hint=self.why_not_found(name)))
            return False
        if isinstance(found, FileDescriptor) and isinstance(found.source, CompiledSource):
            found = found.source.text.encode("latin-1")
        if not isinstance(found, (str, bytes)):
            return self.take(name, found)
        text = self.texts[name] = decode_source(found.encode() if isinstance(found, str) else found)
        if name == DESCRIPTOR_PROTO and self.adopt_builtin(text):
            return False
        try:
            parser = Parser(tokenize(text))
            tree = parser.parse(name)
            if parser.warnings and self.reporter is not None:
                self.parse_exactly(name, text)
        except NotQuick:
            tree = self.parse_exactly(name, text)
        self.trees[name] = tree
        return name not in self.failed

    def why_not_found(self, name: str) -> str:
        """A hint for a file that was not found."""
        if is_import_path(name):
            return where_searched(self.resolver)
        plain = canonical_path(name)
        if is_import_path(plain):
            return f'write "{plain}"'
        return "files are named as they lie below an import path"

    def adopt_builtin(self, text: str) -> bool:
        """Share the built-in descriptor.proto, which nearly everybody imports, where its text is the same."""
        if self.is_builtin or DESCRIPTOR_PROTO in self.requested:
            return False
        builtin = self.builtin_with_rules()
        if text != builtin.texts[DESCRIPTOR_PROTO]:
            return False
        return self.linker.adopt(builtin.linker.files[DESCRIPTOR_PROTO], builtin.linker.table)

    def take(self, name: str, found: FileDescriptor | descriptor_pb2.FileDescriptorProto) -> bool:
        """Take a file as it is described; False if the description is not one that can be used."""
        from puregrpc.proto.parse.descriptor_tree import InvalidDescriptor, tree_of_descriptor

        missing: list[str] = []
        try:
            if isinstance(found, FileDescriptor):
                missing = found.missing_dependencies
                found = found.to_proto(source_info=True)
            if found.name != name:
                raise InvalidDescriptor(f'The descriptor is that of "{found.name}".')
            self.trees[name] = tree_of_descriptor(found, missing)
        except (InvalidDescriptor, LookupError) as error:
            self.failed.add(name)
            self.report(Diagnostic(name, 0, 0, str(error)))
            return False
        self.given[name] = found, not missing
        return True

    def parse_exactly(self, name: str, text: str) -> ast.File:
        tokens = scan(text)
        parser = Parser(tokens)
        try:
            tree = parser.parse(name)
        except TooManyErrors:
            tree = ast.File(name)
        found = [(token, 0, offset, message, False) for token, offset, message in tokens.errors if token <= parser.at]
        found += [(token, 1, tokens.starts[token], message, False) for token, message in parser.errors]
        if name not in self.warned:
            self.warned.add(name)
            found += [(token, 1, tokens.starts[token], message, True) for token, message in parser.warnings]
        for _, _, offset, message, is_warning in sorted(found, key=lambda entry: entry[:2]):
            line, column = tokens.position(offset)
            self.report(Diagnostic(name, line + 1, column + 1, _as_text(message), is_warning=is_warning))
            if not is_warning:
                self.failed.add(name)
        return tree

    def build(self, tree: ast.File) -> None:
        """Link a file, interpret its options and validate it."""
        name = tree.name
        if name in self.failed:
            return
        file = self.linker.link(tree)
        check_edition(file)
        if not file.has_errors:
            interpreter = OptionInterpreter(self.context, file)
            interpreter.interpret(tree)
            if not file.has_errors:
                self.validate(file, interpreter)
        else:
            explain_map_conflicts(tree.messages, file)
        if file.problems:
            self.report_problems(file)
        if file.has_errors:
            self.failed.add(name)
            if file.is_declared:
                self.linker.forget(file)
            return
        file.descriptor.source = self.source(name, file)
        self.linker.finish(file)
        file.tree = EMPTY_TREE

    def source(self, name: str, file: LinkedFile) -> DescriptorSource:
        """What answers for a file's FileDescriptorProto."""
        if name not in self.given:
            return CompiledSource(self.context, file, self.texts[name])
        from puregrpc.proto.output.described_source import DescribedSource
        from puregrpc.proto.output.given_source import GivenSource

        described, is_complete = self.given[name]
        return DescribedSource(self.context, described, file) if is_complete else GivenSource(described)

    def validate(self, file: LinkedFile, interpreter: OptionInterpreter) -> None:
        """Check a linked file whose options are interpreted; take in what it says about options."""
        options = interpreter.with_plain
        file_options = options.get(file.tree)
        if file_options is not None and any(file_options.get(name) for name in GENERIC_SERVICE_OPTIONS):
            self.with_generic_services.add(file.tree.name)
        table = self.linker.table
        if options:
            self.note_rules(file, options)
        is_requested = file.tree.name in self.requested
        warns = is_requested and self.reporter is not None and not file.tree.is_descriptor
        Validator(table, self.rules, file, options, warns_of_imports=warns).validate()
        if file.has_errors or file.tree.is_descriptor:
            return
        uses = rules_used(interpreter.interpreted, self.rules)
        check_lifetimes(file, uses)
        if is_requested and not file.has_errors:
            check_unstable(file)
            check_reserved_numbers(file)
            check_targets(file, uses)

    def note_rules(self, file: LinkedFile, options: Mapping[Node, OptionMessage]) -> None:
        """Take in what a file says of fields, values and ranges that later files may use."""
        for node, descriptor in file.fields_with_options:
            if node in options:
                self.rules.add_field(descriptor, options[node])
        for value, enum in file.values_with_options:
            if value in options:
                self.rules.add_value(enum, value.number, options[value])
        for extension_range, message in file.ranges_with_options:
            if extension_range in options:
                self.rules.add_range(message, extension_range.start, extension_range.end, options[extension_range])

    def builtin_options(self, name: str) -> MessageDescriptor:
        """An options message of the descriptor.proto that ships with this package."""
        found = self.builtin_with_rules().linker.table.symbols[name][0]
        if not isinstance(found, MessageDescriptor):
            raise TypeError(f"{name} is a message")
        return found

    def builtin_with_rules(self) -> Compilation:
        """The built-in descriptor.proto, whose rules are known here from then on."""
        if self.builtin is None:
            self.builtin = builtin_compilation()
            self.rules.update(self.builtin.rules)
        return self.builtin

    def report_problems(self, file: LinkedFile) -> None:
        """Report what was found in a file, with the places."""
        if self.reporter is None and not file.has_errors:
            return  # nobody hears warnings
        if file.tree.is_descriptor:
            for problem in file.problems:
                name, message, hint = file.descriptor.name, _as_text(problem.message), problem.hint
                self.report(Diagnostic(name, 0, 0, message, is_warning=problem.is_warning, hint=hint))
            return
        locator = self.locator(file)
        if locator is None:
            return
        for problem in file.problems:
            place = locator.locate(problem)
            line, column = (place[0] + 1, place[1] + 1) if place is not None else (0, 0)
            name, message, hint = file.descriptor.name, _as_text(problem.message), problem.hint
            self.report(Diagnostic(name, line, column, message, is_warning=problem.is_warning, hint=hint))

    def locator(self, file: LinkedFile) -> ProblemLocator | None:
        """What finds places in a file; None if its tokens have errors, which are then reported."""
        name = file.descriptor.name
        known = self.locators.get(name)
        if known is None and name not in self.failed:
            tokens = scan(self.texts[name])
            if tokens.errors:  # inside an aggregate, where the quick tokens were taken as they were
                self.parse_exactly(name, self.texts[name])
                return None
            known = self.locators[name] = ProblemLocator(file.tree, walk_source(tokens))
        return known


def _as_text(message: str) -> str:
    """A message in which what stands in a source is one character per byte, with the characters that the bytes mean."""
    try:
        return message if message.isascii() else message.encode("latin-1").decode()
    except UnicodeError:
        return message


def _why_unreadable(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"Read access is denied for file: {error.filename}"
    return f"The file cannot be read: {error.strerror or error}"


DESCRIPTOR_PROTO = "google/protobuf/descriptor.proto"
MAX_FILES_SHOWN = 100
EMPTY_TREE = ast.File("")
GENERIC_SERVICE_OPTIONS = ("cc_generic_services", "java_generic_services", "py_generic_services")
GENERIC_SERVICES = (
    "Generic services (cc_generic_services, java_generic_services, and py_generic_services) are deprecated in favor of "
    "using plugins that generate code specific to your particular RPC system. Additional code generator options may be "
    "required to enable generic services and total removal of these options is planned in future breaking releases."
)


@lru_cache(maxsize=1)
def builtin_compilation() -> Compilation:
    """The compilation of the descriptor.proto that ships with this package."""
    compilation = Compilation(ChainResolver([BuiltinResolver()]), None)
    compilation.is_builtin = True
    compilation.run([DESCRIPTOR_PROTO])
    return compilation
