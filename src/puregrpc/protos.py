"""Message classes straight from .proto files: ``protos("definitions/hello.proto")`` and an import hook, without protoc.

The classes are google.protobuf's, made from descriptors in its default pool; well-known types are its own classes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from os import PathLike, fspath
from pathlib import Path
from types import ModuleType

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor
from google.protobuf.descriptor import FileDescriptor as PoolFileDescriptor
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from puregrpc._data import is_file
from puregrpc._locks import Lock
from puregrpc.errors import InvalidArgument, SchemaError
from puregrpc.proto import ChainResolver, FolderResolver
from puregrpc.proto import compile as compile_protos
from puregrpc.proto.descriptors import FileDescriptor
from puregrpc.proto.find.folders import read_if_there
from puregrpc.proto.find.import_paths import canonical_path, is_import_path
from puregrpc.proto.json_names import json_name

__all__ = ["ProtoFinder", "install_import_hook", "protos", "remove_import_hook"]

MODULE_SUFFIX = "_pb2"


def protos(path: str | PathLike[str], *, import_paths: Iterable[str | PathLike[str]] = ()) -> ModuleType:
    """The messages and enums of a .proto file, as a module like the one that protoc would generate.

    ``path`` is looked for below ``import_paths``, the current folder and what is on ``sys.path`` (folders, zip files,
    packages that were imported), in this order; so is what it imports. An absolute path, and one that goes up with
    ``..``, is taken relative to that of ``import_paths`` it is below, and otherwise to the file's own folder. The
    module has a class for each message, a wrapper for each enum, the values of enums and the extensions at its top
    level, and ``DESCRIPTOR``. A file that google.protobuf's default pool has already gives the classes that are there.

    Raises CompileError if the file does not compile, and SchemaError if google.protobuf's default pool has another
    file of the same name or with the same types.
    """
    if isinstance(import_paths, (str, PathLike)):
        raise InvalidArgument(f"import_paths is a list of folders, not {import_paths!r}")
    name = fspath(path).replace("\\", "/")
    roots = [fspath(root) for root in import_paths]
    if Path(name).is_absolute() or ".." in Path(name).parts:
        name, root = _below(roots, name)
        roots = [root, *roots]
    name = canonical_path(name)
    module = ModuleType(_module_name(name))
    _fill(module, name, ChainResolver([FolderResolver([*roots, ""]), SysPathResolver()]))
    return module


def _module_name(name: str) -> str:
    """The name of the module that protoc makes of a file."""
    return name.removesuffix(".proto").replace("/", ".").replace("-", "_") + MODULE_SUFFIX


def _below(roots: Sequence[str], path: str) -> tuple[str, str]:
    """A file as one of ``roots`` has it, and that root; without one, the file's name and its folder."""
    whole = _resolved(Path(path).parent) / Path(path).name  # what goes up from a link goes up from where that leads
    for root in roots:
        above = _resolved(Path(root))
        if above in whole.parents:
            return whole.relative_to(above).as_posix(), root
    return whole.name, str(whole.parent)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # links that lead in a circle
        return path.absolute()


class SysPathResolver(FolderResolver):
    """Files where Python looks for modules: on ``sys.path`` and in the packages that were imported, zip files too."""

    def __init__(self) -> None:
        super().__init__([entry for entry in sys.path if entry and Path(entry).is_dir()])

    def find(self, path: str) -> bytes | None:
        """The contents of the first file of that name."""
        for folder, name in self._places(path):
            found = read_if_there(f"{folder}/{name}")
            if found is not None:
                return found
        return None

    def locate(self, path: str) -> str | None:
        """Where the file is that ``find`` would read."""
        for folder, name in self._places(path):
            if is_file(f"{folder}/{name}"):
                return f"{folder}/{name}"
        return None

    def spellings(self, path: str) -> Iterator[str]:
        """The path, and those of files in folders that have - where it has _, as protoc's modules have it."""
        yield path
        wanted = path.rpartition("/")[2]
        for folder, name in self._places(path):
            parent = Path(folder, name).parent
            for found in sorted(each.name for each in parent.iterdir()) if parent.is_dir() else ():
                if found != wanted and found.replace("-", "_") == wanted:
                    yield path.removesuffix(wanted) + found

    def _places(self, path: str) -> Iterator[tuple[str, str]]:
        if not is_import_path(path):
            return
        for entry in sys.path:
            yield entry or ".", path
        *packages, name = path.split("/")
        package = sys.modules.get(".".join(packages))
        for folder in getattr(package, "__path__", ()):  # an editable install's may be anywhere
            yield folder, name


_OWN_NAMES = frozenset(
    {"__builtins__", "__class__", "__dict__", "__file__", "__loader__", "__name__", "__package__", "__spec__"}
)
"""What a module cannot do without. (A message may be called so; it is in DESCRIPTOR.)"""


_POOL_LOCK = Lock()
"""The pure backend of google.protobuf makes two classes of one type if two threads ask for it at once."""


def _fill(module: ModuleType, name: str, resolver: ChainResolver) -> None:
    """Compile a file and put what it declares into ``module``."""
    (file,) = compile_protos([name], resolver=resolver)
    added = _not_generated(file)
    contents: dict[str, object] = {}
    with _POOL_LOCK:
        pool_file = _in_default_pool(file, added)
        published = [pool_file]
        for each in published:  # as protoc's modules have what those of public imports have
            published += [other for other in each.public_dependencies if other not in published]
        for each in reversed(published):
            _declare(contents, each)
    contents["DESCRIPTOR"] = pool_file
    vars(module).update((key, value) for key, value in contents.items() if key not in _OWN_NAMES)


def _declare(contents: dict[str, object], pool_file: PoolFileDescriptor) -> None:
    module_name = _module_name(pool_file.name)
    for message in pool_file.message_types_by_name.values():
        contents[message.name] = _message_class(message, module_name)
    for enum in pool_file.enum_types_by_name.values():
        _add_enum(contents, enum)
    for extension in pool_file.extensions_by_name.values():
        contents[extension.name] = extension
        contents[f"{extension.name.upper()}_FIELD_NUMBER"] = extension.number
    for service in pool_file.services_by_name.values():
        contents[f"_{service.name.upper()}"] = service


def _message_class(message: Descriptor, module_name: str) -> type[object]:
    try:
        made: type[object] = message_factory.GetMessageClass(message)
    except AttributeError as error:  # for a field "DESCRIPTOR", in protobuf's pure backend
        raise SchemaError(f"{message.full_name}: google.protobuf does not accept it: {error}") from None
    owner: object = made.__module__
    if owner in (None, "None", "", "google.protobuf.message_factory"):
        made.__module__ = module_name
    for nested in message.nested_types:
        nested_class = _message_class(nested, module_name)
        if not hasattr(made, nested.name):  # the native backend has it there already
            setattr(made, nested.name, nested_class)
    return made


def _add_enum(contents: dict[str, object], enum: EnumDescriptor) -> None:
    contents[enum.name] = EnumTypeWrapper(enum)
    for value in enum.values:
        contents[value.name] = value.number


def _not_generated(file: FileDescriptor) -> list[FileDescriptor]:
    """The file and what it imports, imports first, without the files whose generated modules are installed.

    Those are imported now, before the lock is held: a module that is being imported may be waiting for it.
    """
    ordered: list[FileDescriptor] = []
    pending = [(file, False)]
    seen: set[FileDescriptor] = set()
    while pending:
        current, imports_are_done = pending.pop()
        if imports_are_done:
            ordered.append(current)
        elif current not in seen and not _is_generated(current.name):
            seen.add(current)
            pending.append((current, True))
            pending += [(dependency, False) for dependency in current.dependencies]
    return ordered


def _in_default_pool(file: FileDescriptor, added: Iterable[FileDescriptor]) -> PoolFileDescriptor:
    """The file in google.protobuf's default pool, with those that are to be added before it."""
    pool = descriptor_pool.Default()
    for current in added:
        proto = _as_generated(current.to_proto())
        known = _known(pool, current.name)
        if known is not None:
            if _as_generated(known) != proto:
                raise SchemaError(f"{current.name}: google.protobuf's default pool has another file of this name")
            continue
        try:
            pool.AddSerializedFile(proto.SerializeToString())
        except TypeError as error:
            raise SchemaError(f"{current.name}: {_clash(pool, current) or error}") from None
    return pool.FindFileByName(file.name)


def _known(pool: descriptor_pool.DescriptorPool, name: str) -> descriptor_pb2.FileDescriptorProto | None:
    try:
        known = pool.FindFileByName(name)
    except KeyError:
        return None
    return descriptor_pb2.FileDescriptorProto.FromString(known.serialized_pb)


def _clash(pool: descriptor_pool.DescriptorPool, file: FileDescriptor) -> str:
    """Which of a file's names a pool has already, and from where; nothing if it has none."""
    names = [each.full_name for each in file.messages]
    names += [each.full_name for each in file.enums]
    names += [each.full_name for each in file.services]
    names += [each.full_name for each in file.extensions]
    for name in names:
        try:
            other = pool.FindFileContainingSymbol(name).name
        except KeyError:
            continue
        return (
            f"google.protobuf's default pool has {name} already, from {other}; if that is the same file, "
            "name it so, below one of import_paths"
        )
    return ""


def _as_generated(proto: descriptor_pb2.FileDescriptorProto) -> descriptor_pb2.FileDescriptorProto:
    """A descriptor as protoc puts it into the modules it generates: without the JSON names that follow from names.

    A pool takes a file twice, from such a module and from here, if both are the same.
    """
    proto.ClearField("source_code_info")
    messages = list(proto.message_type)
    fields = list(proto.extension)
    while messages:
        message = messages.pop()
        messages += message.nested_type
        fields += [*message.field, *message.extension]
    for field in fields:
        if field.json_name == json_name(field.name):
            field.ClearField("json_name")
    return proto


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
    """Finds ``package/name.proto`` where Python looks for modules, for ``import package.name_pb2``."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - part of the protocol
        target: ModuleType | None = None,  # noqa: ARG002 - part of the protocol
    ) -> ModuleSpec | None:
        """The spec of a module that a .proto file can stand in for, or None."""
        if not fullname.endswith(MODULE_SUFFIX):
            return None
        package, _, last = fullname.removesuffix(MODULE_SUFFIX).rpartition(".")
        folder = package.replace(".", "/") + "/" if package else ""
        resolver = SysPathResolver()
        for name in resolver.spellings(f"{folder}{last}.proto"):
            origin = resolver.locate(name)
            if origin is not None:
                spec = ModuleSpec(fullname, _ProtoLoader(name), origin=origin)
                spec.has_location = True
                return spec
        return None


class _ProtoLoader(Loader):
    def __init__(self, name: str) -> None:
        self.name = name

    def create_module(self, spec: ModuleSpec) -> None:
        """An ordinary module will do."""

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module; what is wrong with the file is an ImportError, as for any module that does not load."""
        try:
            _fill(module, self.name, ChainResolver([SysPathResolver()]))
        except SchemaError as error:
            raise ImportError(str(error), name=module.__name__, path=self.name) from error


FINDER = ProtoFinder()


def install_import_hook() -> None:
    """Let ``import package.name_pb2`` find ``package/name.proto`` on ``sys.path``, where no such module is found.

    What is wrong with the file is then an ImportError.
    """
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
