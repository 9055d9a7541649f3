"""Message classes straight from .proto files: ``protos("definitions/hello.proto")`` and an import hook, without protoc.

The classes are google.protobuf's, made from descriptors in its default pool; well-known types are its own classes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from os import PathLike
from pathlib import Path
from types import ModuleType

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor
from google.protobuf.descriptor import FileDescriptor as PoolFileDescriptor
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from puregrpc.errors import CompileError, SchemaError
from puregrpc.proto import compile as compile_protos
from puregrpc.proto.descriptors import FileDescriptor

__all__ = ["ProtoFinder", "install_import_hook", "protos", "remove_import_hook"]

MODULE_SUFFIX = "_pb2"


def protos(path: str | PathLike[str], *, import_paths: Iterable[str | PathLike[str]] = ()) -> ModuleType:
    """The messages and enums of a .proto file, as a module like the one that protoc would generate.

    ``path`` is looked for below ``import_paths``, the current folder and the folders of ``sys.path``, in this order;
    so is what it imports. An absolute path is its own import path. The module has a class for each message, a wrapper
    for each enum, the values of enums and the extensions at its top level, and ``DESCRIPTOR``.

    Raises CompileError if the file does not compile, and SchemaError if google.protobuf's default pool has another
    file of the same name or with the same types.
    """
    name = str(path).replace("\\", "/")
    roots = [str(root) for root in import_paths]
    if Path(name).is_absolute():
        roots = [str(Path(name).parent), *roots]
        name = Path(name).name
    roots += ["", *(entry for entry in sys.path if entry)]
    module = ModuleType(name.removesuffix(".proto").replace("/", ".").replace("-", "_") + MODULE_SUFFIX)
    fill_module(module, name.removeprefix("./"), roots)
    return module


def fill_module(module: ModuleType, name: str, roots: Sequence[str]) -> None:
    """Compile a file and put what it declares into ``module``."""
    (file,) = compile_protos([name], import_paths=roots)
    pool_file = _in_default_pool(file)
    contents = vars(module)
    contents["DESCRIPTOR"] = pool_file
    for message in pool_file.message_types_by_name.values():
        contents[message.name] = _message_class(message, module.__name__)
    for enum in pool_file.enum_types_by_name.values():
        _add_enum(contents, enum)
    for extension in pool_file.extensions_by_name.values():
        contents[extension.name] = extension
        contents[f"{extension.name.upper()}_FIELD_NUMBER"] = extension.number
    for service in pool_file.services_by_name.values():
        contents[f"_{service.name.upper()}"] = service


def _message_class(message: Descriptor, module_name: str) -> type[object]:
    made: type[object] = message_factory.GetMessageClass(message)
    owner: object = made.__module__
    if owner in (None, "None", "", "google.protobuf.message_factory"):
        made.__module__ = module_name
    return made


def _add_enum(contents: dict[str, object], enum: EnumDescriptor) -> None:
    contents[enum.name] = EnumTypeWrapper(enum)
    for value in enum.values:
        contents[value.name] = value.number


def _in_default_pool(file: FileDescriptor) -> PoolFileDescriptor:
    """The file in google.protobuf's default pool, added behind what it imports."""
    pool = descriptor_pool.Default()
    pending = [(file, False)]
    seen: set[FileDescriptor] = set()
    while pending:
        current, imports_are_done = pending.pop()
        if not imports_are_done:
            if current not in seen and not _is_generated(current.name):
                seen.add(current)
                pending.append((current, True))
                pending += [(dependency, False) for dependency in current.dependencies]
            continue
        try:
            pool.AddSerializedFile(current.to_proto().SerializeToString())
        except TypeError as error:
            raise SchemaError(
                f"{current.name}: google.protobuf's default pool has another file of this name, or one with the same "
                f"types: {error}"
            ) from None
    return pool.FindFileByName(file.name)


def _is_generated(name: str) -> bool:
    """Whether a file is one whose generated module is installed (well-known types, googleapis-common-protos)."""
    if not name.startswith("google/"):
        return False
    try:
        importlib.import_module(name.removesuffix(".proto").replace("/", ".") + MODULE_SUFFIX)
    except ImportError:
        return False
    return True


class ProtoFinder(MetaPathFinder):
    """Finds ``package/name.proto`` on ``sys.path`` for ``import package.name_pb2``."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - part of the protocol
        target: ModuleType | None = None,  # noqa: ARG002 - part of the protocol
    ) -> ModuleSpec | None:
        """The spec of a module that a .proto file can stand in for, or None."""
        if not fullname.endswith(MODULE_SUFFIX):
            return None
        name = fullname.removesuffix(MODULE_SUFFIX).replace(".", "/") + ".proto"
        for entry in sys.path:
            source = Path(entry or ".") / name
            if source.is_file():
                return ModuleSpec(fullname, _ProtoLoader(name), origin=str(source))
        return None


class _ProtoLoader(Loader):
    def __init__(self, name: str) -> None:
        self.name = name

    def create_module(self, spec: ModuleSpec) -> None:
        """An ordinary module will do."""

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module; what is wrong with the file is an ImportError, as for any module that does not load."""
        try:
            fill_module(module, self.name, [entry or "." for entry in sys.path])
        except CompileError as error:
            raise ImportError(str(error), name=module.__name__, path=self.name) from error


FINDER = ProtoFinder()


def install_import_hook() -> None:
    """Let ``import package.name_pb2`` find ``package/name.proto`` on ``sys.path``, where no such module is found."""
    if FINDER not in sys.meta_path:
        sys.meta_path.append(FINDER)


def remove_import_hook() -> None:
    """Undo install_import_hook; modules that were imported stay."""
    if FINDER in sys.meta_path:
        sys.meta_path.remove(FINDER)


class _CallableModule(ModuleType):
    """Lets ``puregrpc.protos(...)`` mean the function, whoever imported the module before."""

    def __call__(self, path: str | PathLike[str], *, import_paths: Iterable[str | PathLike[str]] = ()) -> ModuleType:
        return protos(path, import_paths=import_paths)


sys.modules[__name__].__class__ = _CallableModule
