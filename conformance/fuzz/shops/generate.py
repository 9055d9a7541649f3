"""Runs a plugin of protoc on a file: ``python -m conformance.fuzz.shops.generate PLUGIN PROTO FOLDER PARAMETER``.

The plugin ``descriptors`` writes the FileDescriptorSet itself, to the file FOLDER.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2

from puregrpc.proto.compiler import compile_files
from puregrpc.proto.descriptors import FileDescriptor


def main(plugin: str, proto: str, folder: str, parameter: str) -> None:
    """Write what the plugin makes of the file into a folder. Raises SystemExit with what is wrong."""
    file = Path(proto)
    (compiled,) = compile_files([file.name], import_paths=[file.parent])
    protos: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def add(one: FileDescriptor) -> None:
        for dependency in one.dependencies:
            add(dependency)
        protos.setdefault(one.name, one.to_proto(source_info=True))

    add(compiled)
    if plugin == "descriptors":
        Path(folder).write_bytes(descriptor_pb2.FileDescriptorSet(file=protos.values()).SerializeToString())
        return
    request = plugin_pb2.CodeGeneratorRequest(
        file_to_generate=[file.name], parameter=parameter, proto_file=protos.values()
    )
    done = subprocess.run([plugin], input=request.SerializeToString(), capture_output=True, check=True)
    response = plugin_pb2.CodeGeneratorResponse.FromString(done.stdout)
    if response.error:
        raise SystemExit(f"{plugin}: {response.error}")
    for made in response.file:
        target = Path(folder) / made.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(made.content)


if __name__ == "__main__":
    main(*sys.argv[1:])
