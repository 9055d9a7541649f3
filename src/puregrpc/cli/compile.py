"""``puregrpc compile``: a stand-in for protoc's descriptor sets, with protoc's own flags.

Findings go to stderr as ``file:line:column: message``; the exit status is 1 if there are errors.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from puregrpc._version import __version__
from puregrpc.cli.descriptor_sets import write_set
from puregrpc.cli.output import print_foreign
from puregrpc.errors import CompileError, SchemaError
from puregrpc.proto import compile as compile_protos
from puregrpc.proto.descriptors import FileDescriptor
from puregrpc.proto.diagnostics import Diagnostic
from puregrpc.proto.find.folders import FolderResolver, NotBelowImportPathError, exists
from puregrpc.proto.find.import_paths import is_import_path, why_refused
from puregrpc.proto.find.resolver import ChainResolver, DescriptorResolver
from puregrpc.proto.output.stubs import stub, stub_name

__all__ = ["main"]


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(
        prog="puregrpc compile",
        description="Compile .proto files to a FileDescriptorSet, to type stubs, or just to see whether they compile.",
        epilog="@FILE reads further arguments from a file, one a line.",
        fromfile_prefix_chars="@",
        allow_abbrev=False,
    )
    made.add_argument("--version", action="version", version=f"puregrpc {__version__}")
    made.add_argument("files", nargs="+", metavar="FILE", help=".proto file, as a path on disk or below an import path")
    made.add_argument(
        "-I",
        "--proto_path",
        action="append",
        default=[],
        metavar="PATH",
        help="folder to look for imports in; may be given several times, the first that has a file wins "
        "(default: the current folder); VIRTUAL=PATH is a folder or file that imports name with VIRTUAL before it",
    )
    made.add_argument(
        "--descriptor_set_in",
        action=_Once,
        metavar="FILES",
        help=f"FileDescriptorSets, with '{os.pathsep}' between their paths, to find FILE and its imports in; "
        "without --proto_path nowhere else, with it after the folders",
    )
    made.add_argument("-o", "--descriptor_set_out", metavar="FILE", help="write a FileDescriptorSet to FILE")
    made.add_argument("--include_imports", action="store_true", help="put everything imported into the set as well")
    made.add_argument("--include_source_info", action="store_true", help="keep comments and positions in the set")
    made.add_argument(
        "--pyi", metavar="FOLDER", help="write a type stub (name_pb2.pyi) for each file below FOLDER", dest="stubs"
    )
    return made


class _Once(argparse.Action):
    """An option that must not be given twice, as with protoc."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        if getattr(namespace, self.dest) is not None:
            parser.error(
                f"{option_string} may only be passed once. To specify multiple descriptor sets, pass them all as a "
                f"single parameter separated by '{os.pathsep}'."
            )
        if not values:
            parser.error(f"{option_string} requires a non-empty value.")
        setattr(namespace, self.dest, values)


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    arguments = parser().parse_args(argv)
    set_names = [name for name in (arguments.descriptor_set_in or "").split(os.pathsep) if name]
    roots = [mapping(root) for value in arguments.proto_path for root in value.split(os.pathsep) if root]
    for _, disk in roots:
        if not disk:
            print('--proto_path passed empty directory name.  (Use "." for current directory.)', file=sys.stderr)
            return 1
        if not exists(disk):
            print(f"{disk}: warning: directory does not exist.", file=sys.stderr)
    folders = FolderResolver(roots or ([] if set_names else [("", ".")]))
    try:
        sets = resolver_of_sets(set_names)
        names = [import_name(file, folders, sets) for file in arguments.files]
        files = compile_protos(names, resolver=ChainResolver([folders, sets]), reporter=_Printer(folders))
    except CompileError:
        return 1
    except (_NotFoundError, SchemaError) as error:
        print_foreign(str(error), error=True)
        return 1
    try:
        if arguments.descriptor_set_out is not None:
            from puregrpc.schema.imports import imports_first

            chosen = imports_first(files, with_option_imports=True) if arguments.include_imports else unique(files)
            write_set(Path(arguments.descriptor_set_out), chosen, source_info=arguments.include_source_info)
        if arguments.stubs is not None:
            for file in files:
                if not is_import_path(file.name):
                    raise _NotFoundError(f"{file.name}: Not a name for a file below {arguments.stubs}.")
                target = Path(arguments.stubs) / stub_name(file.name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(stub(file), encoding="utf-8")
    except _NotFoundError as error:
        print_foreign(str(error), error=True)
        return 1
    except OSError as error:
        print_foreign(f"{error.filename}: {error.strerror}", error=True)
        return 1
    return 0


def mapping(value: str) -> tuple[str, str]:
    """The virtual path, and the path on disk, that a value of --proto_path says: all of it, if there is such a path."""
    virtual, equals, disk = value.partition("=")
    return (virtual, disk) if equals and not exists(value) else ("", value)


def resolver_of_sets(paths: Sequence[str]) -> DescriptorResolver:
    """What the descriptor sets hold. Raises SchemaError."""
    if not paths:
        return DescriptorResolver([])
    from puregrpc.schema import protoset_resolver  # who needs no sets need not wait for the import

    return protoset_resolver(*paths)


class _NotFoundError(Exception):
    """A file named on the command line is not below an import path, or is not there."""


def import_name(file: str, folders: FolderResolver, sets: DescriptorResolver) -> str:
    """What an import statement calls a file that is named as a path on disk or already below an import path.

    Where that finds nothing, it may also be named as it is in one of the descriptor sets.
    """
    is_known = file in sets.files or folders.locate(file) is not None
    try:
        if exists(file):
            return folders.import_path(file)
    except NotBelowImportPathError as error:
        if error.shadow or (folders.roots and not is_known):
            raise _NotFoundError(str(error)) from None
    except (OSError, ValueError) as error:
        if not is_known:
            reason = getattr(error, "strerror", None) or error
            raise _NotFoundError(f"Could not map to virtual file: {file}: {reason}") from None
    if is_known:
        return file
    if not folders.roots:
        raise _NotFoundError(f"Could not find file in descriptor database: {file}: No such file or directory")
    raise _NotFoundError(f"Could not make proto path relative: {file}: No such file or directory")


class _Printer:
    """Prints findings as they come, with the paths that the files have on disk."""

    def __init__(self, folders: FolderResolver) -> None:
        self.folders = folders

    def report(self, diagnostic: Diagnostic) -> None:
        """Print one."""
        located = self.folders.locate(diagnostic.file)
        path = located.removeprefix("./") if located is not None else diagnostic.file
        if diagnostic.message in (
            "File not found.",
            why_refused(diagnostic.file),
        ):  # protoc does not say where it looked
            diagnostic = replace(diagnostic, hint="")
        print_foreign(f"{path}{str(diagnostic)[len(diagnostic.file) :]}", error=True)


def unique(files: Sequence[FileDescriptor]) -> Iterator[FileDescriptor]:
    """The files, each once."""
    return iter(dict.fromkeys(files))
