"""The run-time .proto compiler: source text in, descriptors out, in named phases, without protoc."""

from puregrpc.proto.compiler import compile_files as compile  # noqa: A004 - protoc's own verb

__all__ = ["compile"]
