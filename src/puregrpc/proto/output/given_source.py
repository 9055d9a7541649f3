"""A file that was given as a FileDescriptorProto: a protoset's, or a peer's."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf import descriptor_pb2

__all__ = ["GivenSource"]


@dataclass(frozen=True, slots=True)
class GivenSource:
    """Answers with the FileDescriptorProto that a file was given as."""

    proto: descriptor_pb2.FileDescriptorProto

    def file_descriptor_proto(self, *, source_info: bool) -> descriptor_pb2.FileDescriptorProto:
        """The descriptor as it came; its comments and positions only if ``source_info`` asks for them."""
        copy = descriptor_pb2.FileDescriptorProto()
        copy.CopyFrom(self.proto)
        if not source_info:
            copy.ClearField("source_code_info")
        return copy

    def comments(self) -> dict[str, str]:
        """No comments by name: the positions in a descriptor are not read."""
        return {}
