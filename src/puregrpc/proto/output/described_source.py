"""The full descriptor of a file that took part in a compilation as a FileDescriptorProto."""

from __future__ import annotations

from google.protobuf import descriptor_pb2
from google.protobuf.message import Message

from puregrpc.proto.descriptors import FileDescriptor
from puregrpc.proto.locate.element_paths import Path, element_paths
from puregrpc.proto.output.descriptor_proto import serialize_file
from puregrpc.proto.parse.ast import Node
from puregrpc.proto.parse.descriptor_tree import tree_of_descriptor

__all__ = ["DescribedSource"]


class DescribedSource:
    """Answers with what protoc makes of a FileDescriptorProto: full names of types, kinds of types and JSON names."""

    def __init__(self, proto: descriptor_pb2.FileDescriptorProto, descriptor: FileDescriptor) -> None:
        self.proto = proto
        self.descriptor = descriptor

    def file_descriptor_proto(self, *, source_info: bool) -> descriptor_pb2.FileDescriptorProto:
        """The descriptor, complete; with its comments and positions if ``source_info`` asks for them."""
        tree = tree_of_descriptor(self.proto)
        options: dict[Node, bytes | None] = {}
        for node, path in element_paths(tree):
            element = _element(self.proto, path)
            if element.HasField("options"):
                options[node] = element.options.SerializePartialToString(deterministic=True)  # type: ignore[attr-defined]
        info = b""
        if source_info and self.proto.HasField("source_code_info"):
            info = self.proto.source_code_info.SerializePartialToString(deterministic=True)
        return descriptor_pb2.FileDescriptorProto.FromString(serialize_file(tree, self.descriptor, options, info))

    def comments(self) -> dict[str, str]:
        """No comments by name: the positions in a descriptor are not read."""
        return {}


def _element(message: Message, path: Path) -> Message:
    """What a path leads to: numbers of fields, each with an index behind it."""
    for number, index in zip(path[::2], path[1::2], strict=True):
        message = getattr(message, message.DESCRIPTOR.fields_by_number[number].name)[index]
    return message
