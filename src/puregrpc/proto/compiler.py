"""Compilation from start to end: find the files, parse, link, and say what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.errors import CompileError
from puregrpc.proto import ast
from puregrpc.proto.diagnostics import Diagnostic
from puregrpc.proto.lexer import decode_source, scan, tokenize
from puregrpc.proto.linker import Linker
from puregrpc.proto.parser import Parser
from puregrpc.proto.resolver import BuiltinResolver, ChainResolver, FolderResolver, MemoryResolver, Resolver
from puregrpc.proto.token_stream import NotQuick

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from os import PathLike

    from puregrpc.proto.descriptors import FileDescriptor
    from puregrpc.proto.diagnostics import Reporter

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

    ``files`` are paths as an import statement writes them. They are looked for in ``sources`` (text by path), then
    asked of ``resolver``, then below each of ``import_paths``; google/protobuf, google/api, google/rpc and google/type
    are found without any of these. ``reporter`` hears every finding, warnings too.

    Raises CompileError with all errors that were found.
    """
    resolvers: list[Resolver] = []
    if sources is not None:
        resolvers.append(MemoryResolver(sources))
    if resolver is not None:
        resolvers.append(resolver)
    if import_paths:
        resolvers.append(FolderResolver([str(path) for path in import_paths]))
    resolvers.append(BuiltinResolver())
    compilation = Compilation(ChainResolver(resolvers), reporter)
    return compilation.run(list(files))


class Compilation:
    """One run of the compiler over a set of files."""

    def __init__(self, resolver: Resolver, reporter: Reporter | None) -> None:
        self.resolver = resolver
        self.reporter = reporter
        self.texts: dict[str, str] = {}
        self.trees: dict[str, ast.File] = {}
        self.linker = Linker()
        self.diagnostics: list[Diagnostic] = []

    def run(self, names: list[str]) -> list[FileDescriptor]:
        for name in names:
            self.load(name)
        for name, message in self.linker.errors:
            self.report(Diagnostic(name, 0, 0, message))
        errors = [diagnostic for diagnostic in self.diagnostics if not diagnostic.is_warning]
        if errors:
            raise CompileError([str(diagnostic) for diagnostic in errors])
        return [self.linker.files[name].descriptor for name in names]

    def report(self, diagnostic: Diagnostic) -> None:
        self.diagnostics.append(diagnostic)
        if self.reporter is not None:
            self.reporter.report(diagnostic)

    def load(self, name: str) -> None:
        """Read, parse and link a file behind everything it imports, depth first, as protoc does."""
        if name in self.trees:
            return
        if not self.read(name):
            self.report(Diagnostic(name, 0, 0, "File not found."))
            return
        stack = [(name, iter(self.trees[name].imports))]
        open_names = {name: None}
        while stack:
            current, imports = stack[-1]
            imported = next(imports, None)
            if imported is None:
                stack.pop()
                del open_names[current]
                self.linker.link(self.trees[current])
            elif imported.path in open_names:
                cycle = [*list(open_names)[list(open_names).index(imported.path) :], imported.path]
                self.report(Diagnostic(current, 0, 0, f"File recursively imports itself: {' -> '.join(cycle)}"))
            elif imported.path not in self.trees:
                if not self.read(imported.path):
                    self.report(Diagnostic(current, 0, 0, f'Import "{imported.path}" was not found or had errors.'))
                    continue
                open_names[imported.path] = None
                stack.append((imported.path, iter(self.trees[imported.path].imports)))

    def read(self, name: str) -> bool:
        """Find and parse a source; False if there is none."""
        data = self.resolver.find(name)
        if data is None:
            return False
        text = self.texts[name] = decode_source(data)
        try:
            tree = Parser(tokenize(text), exact=False).parse(name)
        except NotQuick:
            tree = self.parse_exactly(name, text)
        self.trees[name] = tree
        return True

    def parse_exactly(self, name: str, text: str) -> ast.File:
        tokens = scan(text)
        parser = Parser(tokens.texts, exact=True)
        tree = parser.parse(name)
        found = [(token, 0, offset, message) for token, offset, message in tokens.errors]
        found += [(token, 1, tokens.starts[token], message) for token, message in parser.errors]
        for _, _, offset, message in sorted(found, key=lambda entry: entry[:2]):
            line, column = tokens.position(offset)
            self.report(Diagnostic(name, line + 1, column + 1, message))
        return tree
