"""A schema with one of everything, compiled from source."""

from __future__ import annotations

from functools import cache

import google.protobuf
import pytest

from puregrpc.codec import Codec
from puregrpc.proto import compile as compile_sources
from puregrpc.proto.descriptors import MessageDescriptor
from puregrpc.schema import Registry
from puregrpc.schema.message_classes import FIRST_WITH_EDITIONS

WITH_EDITIONS = pytest.mark.skipif(
    tuple(map(int, google.protobuf.__version__.split(".")[:2])) < FIRST_WITH_EDITIONS,
    reason=f"google.protobuf {google.protobuf.__version__} has no message classes of files with an edition",
)
"""For tests that ask google.protobuf what it says of such messages."""

PROTO3 = """
syntax = "proto3";
package lab;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum Color { COLOR_UNSPECIFIED = 0; RED = 1; GREEN = 2; NEGATIVE = -1; }
enum Alias { option allow_alias = true; ALIAS_ZERO = 0; FIRST = 1; UNO = 1; }
message Sub { string name = 1; int32 value = 2; Sub child = 3; }
message All {
  double f_double = 1; float f_float = 2; int32 f_int32 = 3; int64 f_int64 = 4; uint32 f_uint32 = 5;
  uint64 f_uint64 = 6; sint32 f_sint32 = 7; sint64 f_sint64 = 8; fixed32 f_fixed32 = 9; fixed64 f_fixed64 = 10;
  sfixed32 f_sfixed32 = 11; sfixed64 f_sfixed64 = 12; bool f_bool = 13; string f_string = 14; bytes f_bytes = 15;
  Color f_color = 16; Alias f_alias = 17; Sub f_sub = 18;
  repeated int32 r_int32 = 20; repeated string r_string = 21; repeated bytes r_bytes = 22; repeated Color r_color = 23;
  repeated Sub r_sub = 24; repeated int64 r_int64 = 25; repeated double r_double = 26; repeated bool r_bool = 27;
  repeated sint64 r_sint64 = 28; repeated float r_float = 29;
  map<string, string> m_ss = 30; map<int32, Sub> m_is = 31; map<bool, Color> m_bc = 32; map<int64, bytes> m_lb = 33;
  map<fixed32, string> m_fs = 34;
  oneof choice { string c_string = 40; int32 c_int32 = 41; Sub c_sub = 42; google.protobuf.NullValue c_null = 43; }
}
message Wkt {
  google.protobuf.Timestamp ts = 1; google.protobuf.Duration dur = 2; google.protobuf.FieldMask mask = 3;
  google.protobuf.Struct struct = 4; google.protobuf.Value value = 5; google.protobuf.ListValue list = 6;
  google.protobuf.NullValue null = 7; google.protobuf.Empty empty = 8;
  google.protobuf.DoubleValue w_double = 10; google.protobuf.FloatValue w_float = 11;
  google.protobuf.Int64Value w_int64 = 12; google.protobuf.UInt64Value w_uint64 = 13;
  google.protobuf.Int32Value w_int32 = 14; google.protobuf.UInt32Value w_uint32 = 15;
  google.protobuf.BoolValue w_bool = 16; google.protobuf.StringValue w_string = 17;
  google.protobuf.BytesValue w_bytes = 18;
  repeated google.protobuf.Timestamp r_ts = 20; map<string, google.protobuf.Duration> m_dur = 21;
  google.protobuf.Any any = 22; repeated google.protobuf.Any many = 23;
}
message Names {
  string snake_case_name = 1; string camelCaseName = 2; string PascalName = 3;
  string custom = 4 [json_name = "myCustom"]; string trailing_ = 6; string _leading = 7;
  string at_name = 9 [json_name = "@weird 'name\\""];
}
message Opt { optional int32 o_int32 = 1; optional string o_string = 2; optional Sub o_sub = 3; int32 plain = 4; }
message Ping { Pong pong = 1; repeated Pong pongs = 2; map<string, Pong> by_name = 3; }
message Pong { Ping ping = 1; }
message Keywords { int32 class = 1; int32 __class__ = 2; int32 None = 3; int32 lambda = 4; int32 d = 5; int32 V = 6; }
"""

PROTO2 = """
syntax = "proto2";
package lab2;
enum Kind { A = 1; B = 2; }
enum Closed { ZERO = 0; ONE = 1; }
message Old {
  optional string o_string = 1; optional int32 o_int = 2 [default = 42]; required string r_string = 3;
  repeated int32 rep = 4 [packed = true]; optional group MyGroup = 5 { optional string inside = 1; }
  optional Kind kind = 6 [default = B]; repeated Kind kinds = 7; repeated Kind packed_kinds = 8 [packed = true];
  map<string, Closed> kind_map = 9; optional Old child = 10;
  extensions 100 to 200;
}
message Set { option message_set_wire_format = true; extensions 4 to max; }
message InSet { extend Set { optional InSet in_set = 1000; } optional string text = 1; }
message Holder { optional Set set = 1; }
extend Old { optional string ext_string = 100; repeated int32 ext_ints = 101; optional Old ext_old = 102; }
"""


@cache
def registry() -> Registry:
    """The registry of the schema."""
    made = Registry()
    for file in compile_sources(["lab.proto", "lab2.proto"], sources={"lab.proto": PROTO3, "lab2.proto": PROTO2}):
        made.add_file(file)
    return made


def message(name: str) -> MessageDescriptor:
    """A message type of the schema."""
    return registry().message(name)


@cache
def codec() -> Codec:
    """A codec with the options as they are by default."""
    return Codec(registry())
