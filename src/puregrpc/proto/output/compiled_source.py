"""The full descriptor of a compiled file, worked out again from its source when somebody asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.errors import SchemaError
from puregrpc.proto.collecting import without_garbage_collection
from puregrpc.proto.descriptors import MessageDescriptor
from puregrpc.proto.link.linked_file import LinkedFile
from puregrpc.proto.locate.element_paths import OPTIONS_FIELD, Path, element_names, element_paths
from puregrpc.proto.locate.source_walker import walk_source
from puregrpc.proto.options.context import OptionContext
from puregrpc.proto.options.interpreter import OptionInterpreter, Setting
from puregrpc.proto.options.option_bytes import serialize_options
from puregrpc.proto.options.values import OptionMessage
from puregrpc.proto.output.descriptor_proto import serialize_file
from puregrpc.proto.output.source_code_info import serialize_source_info
from puregrpc.proto.output.unmerged_options import as_protoc_knows_them, leads_to, serialize_pieces
from puregrpc.proto.parse import ast
from puregrpc.proto.parse.ast import Node
from puregrpc.proto.parse.lexer import scan, tokenize
from puregrpc.proto.parse.parser import Parser
from puregrpc.proto.parse.token_stream import NotQuick

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from google.protobuf import descriptor_pb2

__all__ = ["CompiledSource"]

DESCRIPTOR_PROTO = "google/protobuf/descriptor.proto"
KINDS_OF_OPTIONS = (
    "File", "Message", "Field", "Oneof", "ExtensionRange", "Enum", "EnumValue", "Service", "Method",
)  # fmt: skip


class CompiledSource:
    """The full descriptor of a compiled file, worked out again from its source when it is asked for."""

    def __init__(self, context: OptionContext, file: LinkedFile, text: str) -> None:
        self.context = context
        self.file = file
        self.text = text
        """The source, one character per byte."""

    def parse(self) -> ast.File:
        """The syntax tree, once more."""
        name = self.file.descriptor.name
        try:
            return Parser(tokenize(self.text)).parse(name)
        except NotQuick:
            return Parser(scan(self.text)).parse(name)

    def serialized(self, *, source_info: bool) -> bytes:
        """The serialized FileDescriptorProto, options with retention = RETENTION_SOURCE left out as protoc does."""
        with without_garbage_collection():
            return self.write(source_info=source_info)

    def write(self, *, source_info: bool) -> bytes:
        """What ``serialized`` gives."""
        tree = self.parse()
        has_own_options = self.has_own_options()
        interpreter = OptionInterpreter(self.context, self.file, records=source_info or has_own_options)
        interpreter.interpret(tree)
        serialized_options: dict[Node, bytes | None] = {}
        stripped: dict[Node, list[Path]] = {}
        paths = dict(element_paths(tree)) if has_own_options else {}
        for node, message in interpreter.interpreted.items():
            if has_own_options:
                settings = interpreter.settings.get(node, {}).values()
                data, gone = self.own_options(message, settings, (*paths[node], OPTIONS_FIELD[type(node)]))
            else:
                gone = self.context.rules.strip(message)
                data = serialize_options(message)
            owner = message.type.file
            is_gone = bool(gone) and not data and owner is not None and owner.name == DESCRIPTOR_PROTO
            if gone:
                stripped[node] = [()] if is_gone else gone
            serialized_options[node] = None if is_gone else data
        info = self.source_info(tree, interpreter, stripped) if source_info else b""
        return serialize_file(tree, self.file.descriptor, serialized_options, info)

    def has_own_options(self) -> bool:
        """Whether the options messages are those of a descriptor.proto that is not the one that ships with this."""
        symbols = self.context.table.symbols
        names = (f"google.protobuf.{kind}Options" for kind in KINDS_OF_OPTIONS)
        return any(name in symbols and symbols[name][0] is not self.context.builtin_options(name) for name in names)

    def own_options(self, message: OptionMessage, settings: Iterable[Setting], path: Path) -> tuple[bytes, list[Path]]:
        """Options of such a message, serialized, and the paths of what was left out."""
        known, _ = self.context.table.symbols.get("google.protobuf.FileDescriptorProto", (None, None))
        gone: list[Path] = []
        if isinstance(known, MessageDescriptor) and leads_to(known, path, message.type):
            gone = self.context.rules.strip(message)
            data = serialize_options(message)
        else:
            data = serialize_pieces(settings)
        builtin = self.context.builtin_options(message.type.full_name)
        rules = None if isinstance(known, MessageDescriptor) else self.context.rules
        return as_protoc_knows_them(data, builtin, rules, gone), gone

    def source_info(self, tree: ast.File, interpreter: OptionInterpreter, stripped: Mapping[Node, list[Path]]) -> bytes:
        """SourceCodeInfo, with the paths of options as interpreted."""
        interpreted: dict[Path, Path] = {}
        gone: set[Path] = set()
        for node, path in element_paths(tree):
            if node not in interpreter.interpreted:
                continue
            options_path = (*path, OPTIONS_FIELD[type(node)])
            for index in range(len(getattr(node, "options", None) or ())):
                written = (*options_path, 999, index)
                interpreted[written] = options_path + interpreter.settings[node][index][2]
            gone.update(options_path + below for below in stripped.get(node, ()))
        info = walk_source(scan(self.text))
        return serialize_source_info(info, interpreted, gone)

    def file_descriptor_proto(self, *, source_info: bool) -> descriptor_pb2.FileDescriptorProto:
        """The descriptor as a message."""
        from google.protobuf import descriptor_pb2

        data = self.serialized(source_info=source_info)
        try:
            return descriptor_pb2.FileDescriptorProto.FromString(data)
        except UnicodeDecodeError as error:  # a default in proto2 may be any octets
            name = self.file.descriptor.name
            raise SchemaError(
                f"{name}: google.protobuf without native code holds no text that is not UTF-8: {error}"
            ) from None

    def comments(self) -> Mapping[str, str]:
        """Leading comments by full name."""
        info = walk_source(scan(self.text))
        by_path = {location.path: location.leading for location in info.locations if location.leading}
        return {
            full_name: by_path[path].encode("latin-1").decode("utf-8", "replace")
            for path, full_name in element_names(self.parse())
            if path in by_path
        }
