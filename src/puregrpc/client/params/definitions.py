"""Where ``Client.load`` finds .proto files, and what it says of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from puregrpc._data import is_file
from puregrpc.client.results.records import MethodInfo
from puregrpc.errors import InvalidArgument
from puregrpc.proto.descriptors import FileDescriptor
from puregrpc.schema.imports import files_first

__all__ = ["another_script", "beside_script", "find_sources", "method_infos"]


_script: list[Path] = []


def beside_script(path: Path) -> None:
    """From here on it is this script that runs, whatever program runs it."""
    _script[:] = [path]


@contextmanager
def another_script() -> Iterator[None]:
    """Whatever script runs meanwhile, afterwards it is the one that ran before."""
    before = _script[:]
    try:
        yield
    finally:
        _script[:] = before


def script_folder() -> Path | None:
    """The folder of the program that runs; None in an interactive session."""
    if _script:
        return _script[0].resolve().parent
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(file).resolve().parent if file else None


def base_folders() -> list[Path]:
    """What relative paths are relative to: the script's folder first, as in k6, then the working directory."""
    script = script_folder()
    here = Path.cwd()
    return [here] if script is None or script == here else [script, here]


def folders(import_paths: object) -> list[Path]:
    """The import paths as folders. Raises InvalidArgument if they are not a list of paths."""
    if import_paths is None:
        import_paths = ()
    if isinstance(import_paths, str | bytes | os.PathLike) or not isinstance(import_paths, Iterable):
        raise InvalidArgument(
            f'import paths are a list of folders, such as ["definitions"], not {type(import_paths).__name__}'
        )
    found: list[Path] = []
    for path in import_paths:
        if not isinstance(path, str | os.PathLike):
            raise InvalidArgument(f"an import path is a folder's path, not {path!r}")
        text = os.fspath(path).removeprefix("file://")
        found += [base / text for base in base_folders()]
    return found or base_folders()


def find_sources(import_paths: object, files: Sequence[object]) -> tuple[list[str], list[str]]:
    """The names to compile and the import paths to compile them with.

    A file below an import path is named from there. One that is named by an absolute path, or by a path that leads
    out of the import paths, is found there, and its own folder becomes the last import path. Raises InvalidArgument.
    """
    roots = folders(import_paths)
    names: list[str] = []
    extra: list[Path] = []
    for file in files:
        if not isinstance(file, str | os.PathLike) or not os.fspath(file):
            raise InvalidArgument(f"a .proto file is named by its path, not {file!r}")
        text = os.fspath(file).removeprefix("file://").replace(os.sep, "/")
        plain = PurePosixPath(text)
        if not plain.is_absolute() and ".." not in plain.parts:
            names.append(str(plain))
            continue
        places = (base / text for base in (*roots, *base_folders()))
        place = next((place.resolve() for place in places if is_file(str(place))), None)
        if place is None:
            names.append(text)
            continue
        extra.append(place.parent)
        root = next((root.resolve() for root in roots if place.is_relative_to(root.resolve())), place.parent)
        names.append(place.relative_to(root).as_posix())
    return list(dict.fromkeys(names)), [str(root) for root in dict.fromkeys([*roots, *extra])]


def method_infos(files: Iterable[FileDescriptor]) -> list[MethodInfo]:
    """The methods of ``files`` and of what they import, the files' own first, in order of declaration."""
    return [
        MethodInfo(
            package=file.package,
            service=service.name,
            full_method=method.path,
            name=method.name,
            is_client_stream=method.is_client_stream,
            is_server_stream=method.is_server_stream,
        )
        for file in files_first(files)
        for service in file.services
        for method in service.methods
    ]
