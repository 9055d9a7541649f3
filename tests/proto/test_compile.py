"""The compiler from source text to run-time descriptors."""

from __future__ import annotations

import pytest
from google.protobuf.internal import api_implementation

from puregrpc import proto
from puregrpc.errors import CompileError, SchemaError
from puregrpc.proto.descriptors import FieldType

HELLO = """
syntax = "proto3";
package hello;
service HelloService {
  rpc SayHello(HelloRequest) returns (HelloResponse);
  rpc BidiHello(stream HelloRequest) returns (stream HelloResponse) {}
}
message HelloRequest { string greeting = 1; optional int32 times = 2; map<string, int64> counts = 3; }
message HelloResponse { string reply = 1; repeated uint32 sizes = 2; oneof kind { bool yes = 3; HelloRequest no = 4; } }
"""


def test_services_and_messages() -> None:
    (file,) = proto.compile(["hello.proto"], sources={"hello.proto": HELLO})
    (service,) = file.services
    say, bidi = service.methods
    assert say.path == "/hello.HelloService/SayHello"
    assert (say.is_client_stream, say.is_server_stream) == (False, False)
    assert (bidi.is_client_stream, bidi.is_server_stream) == (True, True)
    request, response = file.messages
    assert say.input_type is request
    greeting, times, counts = request.fields
    assert (greeting.type, greeting.has_presence, greeting.validates_utf8) == (FieldType.STRING, False, True)
    assert (times.is_synthetic_oneof, times.has_presence, times.containing_oneof) == (True, True, None)
    assert counts.is_map
    assert response.fields[1].is_packed
    assert [field.name for field in response.oneofs[0].fields] == ["yes", "no"]


def test_the_usual_imports_need_no_import_path() -> None:
    source = (
        'syntax = "proto3"; import "google/protobuf/timestamp.proto"; import "google/rpc/status.proto"; '
        "message M { google.protobuf.Timestamp at = 1; google.rpc.Status status = 2; }"
    )
    (file,) = proto.compile(["m.proto"], sources={"m.proto": source})
    assert [field.message_type.full_name for field in file.messages[0].fields if field.message_type] == [
        "google.protobuf.Timestamp",
        "google.rpc.Status",
    ]


def test_errors_name_file_line_and_column() -> None:
    with pytest.raises(CompileError) as caught:
        proto.compile(["m.proto"], sources={"m.proto": 'syntax = "proto3";\nmessage M { string = 1; }\n'})
    assert caught.value.diagnostics == ("m.proto:2:20: Expected field name.",)


def test_a_default_that_is_no_text_is_held_or_refused_by_name() -> None:
    source = b'syntax = "proto2"; message M { optional string s = 1 [default = "\\377"]; }'
    [file] = proto.compile(["odd.proto"], sources={"odd.proto": source})
    if api_implementation.Type() == "python":
        with pytest.raises(SchemaError, match=r"odd\.proto: .*not UTF-8"):
            file.to_proto()
    else:
        assert b"\xff" in file.to_proto().SerializeToString()
