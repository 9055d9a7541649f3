"""The files that --proto, --import-path and --protoset name, and those that --protoset-out and --proto-out-dir make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from puregrpc.errors import SchemaError
from puregrpc.proto.descriptors import FileDescriptor
from puregrpc.proto.find.folders import FolderResolver, NotBelowImportPathError, exists
from puregrpc.proto.find.import_paths import is_import_path
from puregrpc.schema import Registry, load_files, load_protoset

__all__ = ["load_schema_files", "write_schema"]


def load_schema_files(
    registry: Registry, *, proto: Sequence[str], import_path: Sequence[str], protoset: Sequence[str]
) -> list[FileDescriptor]:
    """Load them and what they import; returns those that were named. Raises CompileError or SchemaError.

    Without import paths the folders of the .proto files are those.
    """
    files = [file for path in protoset for file in load_protoset(registry, path)]
    if proto:
        folders = import_path or tuple(dict.fromkeys(str(Path(path).parent) for path in proto))
        files += load_files(registry, folders, *(_import_name(path, folders) for path in proto))
    return files


def _import_name(path: str, folders: Sequence[str]) -> str:
    """What imports call a file that is named by its path on disk, or by that name already."""
    if not exists(path):
        return path
    try:
        return FolderResolver(folders).import_path(path)
    except NotBelowImportPathError as error:
        if error.shadow and not Path(error.shadow).samefile(path):
            raise SchemaError(f"{path}: hidden by {error.shadow}, whose import path comes first") from None
    except OSError as error:
        raise SchemaError(f"{path}: {error.strerror}") from None
    file = Path(path).parent.resolve() / Path(path).name  # other spellings of the folders: absolute, or through links
    for folder in folders:
        if file.is_relative_to(Path(folder).resolve()):
            return file.relative_to(Path(folder).resolve()).as_posix()
    if FolderResolver(folders).locate(path) is None:
        raise SchemaError(
            f"{path}: the file is not below an import path ({', '.join(folders)}): add -I {Path(path).parent}"
        )
    return path


def write_schema(files: Iterable[FileDescriptor], *, protoset: str | None, folder: str | None) -> Iterator[str]:
    """Write files and all that they import, as a descriptor set and as .proto sources; yields the names written.

    Raises SchemaError for a file whose name, which a server may have chosen, leads out of the folder.
    """
    from puregrpc.cli.descriptor_sets import write_set
    from puregrpc.schema.imports import imports_first

    known = list(imports_first(files, with_option_imports=True))
    if protoset is not None:
        write_set(Path(protoset), known, source_info=True)
        yield protoset
    if folder is None:
        return
    from puregrpc.cli.proto_source import file_source

    for file in known:
        if not is_import_path(file.name):
            raise SchemaError(f"{file.name!r} is not a name for a file below {folder}: it is not written")
        target = Path(folder, *file.name.split("/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file_source(file), encoding="utf-8")
        yield str(target)
