"""Input that is nested too deeply, in Pyodide: an error or a value, and not the end of JavaScript's stack."""

from puregrpc.codec import Codec
from puregrpc.errors import Error
from puregrpc.proto import compile as compile_protos
from puregrpc.schema import Registry

SOURCE = """
syntax = "proto3"; package deep; import "google/protobuf/struct.proto";
message Node { Node child = 1; google.protobuf.Value value = 2; }
"""

registry = Registry()
registry.add_file(compile_protos(["deep.proto"], sources={"deep.proto": SOURCE})[0])
codec = Codec(registry)
NODE = registry.message("deep.Node")
ended: dict[str, str] = {}
for depth in (50, 90, 200, 2_000, 20_000, 200_000):
    for name, text in (
        ("child", '{"child":' * depth + "{}" + "}" * depth),
        ("list", '{"value":' + "[" * depth + "]" * depth + "}"),
        ("unknown", '{"nothing":' + "[" * depth + "]" * depth + "}"),
    ):
        try:
            data = codec.from_json(NODE, text)
            codec.to_json(NODE, data)
            ended[f"{name} {depth}"] = "ok"
        except Error as error:
            ended[f"{name} {depth}"] = type(error).__name__
    nested: dict[str, object] = {}
    for _ in range(min(depth, 2_000)):  # of deeper ones, Python itself does not let go
        nested = {"child": nested}
    try:
        codec.encode(NODE, nested)
        ended[f"dict {depth}"] = "ok"
    except Error as error:
        ended[f"dict {depth}"] = type(error).__name__
    source = "syntax = 'proto3'; " + "".join(f"message M{n} {{ " for n in range(depth)) + "}" * depth
    try:
        compile_protos(["nested.proto"], sources={"nested.proto": source})
        ended[f"nested messages {depth}"] = "ok"
    except Error as error:
        ended[f"nested messages {depth}"] = type(error).__name__
assert all(
    outcome == "ok"
    for name, outcome in ended.items()
    if name.endswith(("d 50", "t 50", "d 90")) and "unknown" not in name
), ended
assert not any(outcome == "ok" for name, outcome in ended.items() if name.endswith("00")), ended
print(f"{len(ended)} nested inputs: none is the end of the stack")
