"""The full descriptor of a file that took part in a compilation as a FileDescriptorProto."""

from __future__ import annotations

from google.protobuf import descriptor_pb2
from google.protobuf.message import Message

from puregrpc.proto.link.linked_file import LinkedFile
from puregrpc.proto.locate.element_paths import Path, element_paths
from puregrpc.proto.options.context import OptionContext
from puregrpc.proto.options.elements import option_elements
from puregrpc.proto.options.interpreter import OptionInterpreter
from puregrpc.proto.options.option_bytes import serialize_options
from puregrpc.proto.options.values import OptionMessage
from puregrpc.proto.output.descriptor_proto import serialize_file
from puregrpc.proto.output.unmerged_options import serialize_pieces
from puregrpc.proto.parse import ast
from puregrpc.proto.parse.ast import Node
from puregrpc.proto.parse.descriptor_tree import tree_of_descriptor

__all__ = ["DescribedSource"]


class DescribedSource:
    """Answers with what protoc makes of a FileDescriptorProto: full names of types, kinds of types and JSON names."""

    def __init__(self, context: OptionContext, proto: descriptor_pb2.FileDescriptorProto, file: LinkedFile) -> None:
        self.context = context
        self.proto = proto
        self.file = file

    def file_descriptor_proto(self, *, source_info: bool) -> descriptor_pb2.FileDescriptorProto:
        """The descriptor, complete; with its comments and positions if ``source_info`` asks for them.

        Options that were not interpreted are.
        """
        tree = tree_of_descriptor(self.proto)
        options: dict[Node, bytes | None] = {}
        for node, path in element_paths(tree):
            element = _element(self.proto, path)
            if element.HasField("options"):
                options[node] = element.options.SerializePartialToString(deterministic=True)  # type: ignore[attr-defined]
        options |= self.interpreted(tree)
        info = b""
        if source_info and self.proto.HasField("source_code_info"):
            info = self.proto.source_code_info.SerializePartialToString(deterministic=True)
        return descriptor_pb2.FileDescriptorProto.FromString(serialize_file(tree, self.file.descriptor, options, info))

    def interpreted(self, tree: ast.File) -> dict[Node, bytes | None]:
        """Options of elements that have some that were not interpreted."""
        elements = [
            (node, written)
            for node, written, _, _ in option_elements(tree)
            if any(option.is_uninterpreted for option in written)
        ]
        if not elements:
            return {}
        interpreter = OptionInterpreter(self.context, self.file, records=True)
        interpreter.interpret(tree)
        paths = dict(element_paths(tree))
        made: dict[Node, bytes | None] = {}
        for node, written in elements:
            settings = interpreter.settings[node]
            there = {settings[index][0][0] for index, each in enumerate(written) if not each.is_uninterpreted}
            new = [settings[index] for index, each in enumerate(written) if each.is_uninterpreted]
            whole = interpreter.interpreted[node]
            merged = OptionMessage(whole.type, {s[0][0]: whole.fields[s[0][0]] for s in new if s[0][0] not in there})
            self.context.rules.strip(merged)
            given = type(_element(self.proto, paths[node]).options)()  # type: ignore[attr-defined] # likewise
            given.CopyFrom(_element(self.proto, paths[node]).options)  # type: ignore[attr-defined] # likewise
            given.ClearField("uninterpreted_option")
            pieces = serialize_pieces(setting for setting in new if setting[0][0] in there)
            made[node] = given.SerializePartialToString(deterministic=True) + serialize_options(merged) + pieces
        return made

    def comments(self) -> dict[str, str]:
        """No comments by name: the positions in a descriptor are not read."""
        return {}


def _element(message: Message, path: Path) -> Message:
    """What a path leads to: numbers of fields, each with an index behind it."""
    for number, index in zip(path[::2], path[1::2], strict=True):
        message = getattr(message, message.DESCRIPTOR.fields_by_number[number].name)[index]
    return message
