"""Sources for the comparison with protoc: what is right in odd ways, and what is wrong in many."""

from __future__ import annotations

DESCRIPTOR = 'import "google/protobuf/descriptor.proto";'

GOOD = {
    "empty": "",
    "only a comment": "// nothing\n",
    "byte order mark": '\xef\xbb\xbfsyntax = "proto3"; message M {}',
    "carriage returns": 'syntax = "proto3";\r\n// a\r\nmessage M {\r\n  // b\r\n  string s = 1; // c\r\n}\r\n',
    "tabs": 'syntax = "proto3";\n\tmessage\tM {\n\t\tstring s\t= 1;\t/* x */ }',
    "empty statements": 'syntax = "proto3";; ; message M { ; string s = 1;; } ; enum E { ; A = 0;; } service S { ; }',
    "numbers": """
        syntax = "proto2";
        message M {
          optional int32 a = 0x10 [default = -0x7f]; optional int64 b = 010 [default = 0777];
          optional double c = 3 [default = 1e10]; optional double d = 4 [default = -inf];
          optional float e = 5 [default = nan]; optional float f = 6 [default = .5]; optional double g = 7 [default = 5.];
          optional float h = 9 [default = 1.1]; optional double i = 11 [default = 0.1];
          optional uint64 j = 12 [default = 18446744073709551615]; optional float k = 13 [default = 16777217];
          optional double l = 14 [default = 123456789012345678901234567890]; optional float m = 15 [default = 1e-50];
          optional double n = 17 [default = -0.0]; optional float o = 18 [default = 3.4028235e38];
          optional double p = 19 [default = 1.7976931348623157e308]; optional double q = 20 [default = 0x7];
        }""",
    "strings": r"""
        syntax = "proto2";
        message M {
          optional string a = 1 [default = "a\n\t\x41\101\'\"\?\\" 'b"' "\u00e9\U0001F600\ud83d\ude00"];
          optional bytes b = 2 [default = "\001\377\xfe\0001é"]; optional string c = 3 [default = ""];
          optional bytes d = 4 [default = "\a\b\f\n\r\t\v\\\'\"\?"]; optional string e = 5 [json_name = "x" "y"];
        }""",
    "enum defaults": """
        syntax = "proto2";
        message M { optional E e = 1 [default = B]; optional bool f = 2 [default = true]; enum E { A = 1; B = -2; } }""",
    "dotted names": """
        syntax = "proto3"; package a . b /* c */ . c;
        message M { .a.b.c.M x = 1; a . b . c . M y = 2; b
          .c.M z = 3; c. /* x */ M w = 4; M.N n = 5; message N { M m = 1; N n = 2; } }
        service S { rpc R ( .a.b.c.M ) returns ( stream a.b.c.M.N ); rpc T(stream M)returns(stream M) { } }""",
    "words as names": """
        syntax = "proto3"; package message.option;
        message message { string string = 1; int32 int32 = 2; .message.option.message message = 3; string reserved = 5;
          stream stream = 6; string syntax = 7; string to = 8; string max = 9; string returns = 10; string group = 11; }
        message map {} message stream {} enum enum { option_ = 0; enum_ = 1; rpc = 2; }
        service service { rpc rpc(.message.option.stream) returns (stream .message.option.map); }""",
    "oneofs": """
        syntax = "proto3";
        message M { oneof a { string x = 1; M y = 2; } optional int32 z = 3; optional string _w = 4; optional bool a_ = 5;
          oneof _z { int32 v = 6; } oneof X_z { int32 q = 7; } optional int32 _ = 8; }""",
    "groups": """
        syntax = "proto2"; package g;
        message M { optional group A = 1 { required int32 a = 1; repeated group B = 2 [deprecated = true] { } }
          oneof o { group C = 3 { optional string c = 1; } int32 d = 4; } extensions 100 to max; }
        extend M { repeated group D = 100 { } optional int32 e = 101; }
        message N { extend M { optional N n = 102; repeated group F = 103 { } } }""",
    "ranges": """
        syntax = "proto2";
        message M { extensions 4, 5 to 10, 100 to max; reserved 1, 20 to 30; reserved "a", "b" 'c'; }
        message S { option message_set_wire_format = true; extensions 4 to max; }
        enum E { A = 0; reserved -10 to -5, 7, 100 to max, -1; reserved "X"; }""",
    "editions 2023": """
        edition = "2023"; package e; option features.field_presence = IMPLICIT; option features.enum_type = CLOSED;
        message M { reserved foo, bar; reserved 7; string a = 1; string b = 2 [features.field_presence = EXPLICIT];
          string c = 3 [features = { field_presence: LEGACY_REQUIRED }]; repeated int32 d = 4;
          repeated int32 f = 5 [features.repeated_field_encoding = EXPANDED];
          M m = 6 [features.message_encoding = DELIMITED]; string u = 8 [features.utf8_validation = NONE];
          map<string, M> n = 9 [features.utf8_validation = NONE]; bytes z = 10; }
        enum E { option features.enum_type = OPEN; A = 0; reserved B, C; } enum F { G = 3; }""",
    "editions 2024": """
        edition = "2024"; package e.f; import option "google/protobuf/cpp_features.proto";
        option features.(pb.cpp).string_type = VIEW;
        local message L { export enum E { E_UNKNOWN = 0; } int32 value = 1; }
        export message X { local message Y { L l = 1; } Y y = 1; export message Z {} oneof kind { string s = 2; } }
        message export_ { option features.enforce_naming_style = STYLE_LEGACY; }
        enum Kind { KIND_UNKNOWN = 0; KIND_A = 1; } service Things { rpc Get(X) returns (X); }""",
    "edition 2026": """
        edition = "2026"; package e; message M { string name = 1; } local message N { export enum E { E_A = 0; }
        reserved 1 to max; }""",
    "custom options": f"""
        syntax = "proto2"; package c; {DESCRIPTOR}
        extend google.protobuf.FileOptions {{ optional string f = 50000; repeated int32 fs = 50001; optional O fo = 50002; }}
        extend google.protobuf.MessageOptions {{ optional O o = 50000; repeated O os = 50001; optional float fl = 50003; }}
        extend google.protobuf.FieldOptions {{ optional E e = 50000; optional sint64 s = 50001; optional bytes b = 50002;
          optional group G = 50003 {{ optional int32 x = 1; }} }}
        extend google.protobuf.EnumOptions {{ optional bool eb = 50000; }}
        extend google.protobuf.EnumValueOptions {{ optional double ed = 50000; optional fixed32 ef = 50001; }}
        extend google.protobuf.OneofOptions {{ optional uint32 ou = 50000; }}
        extend google.protobuf.ServiceOptions {{ optional sfixed64 ss = 50000; }}
        extend google.protobuf.MethodOptions {{ optional int64 ms = 50000; }}
        extend google.protobuf.ExtensionRangeOptions {{ optional int64 rs = 50000; }}
        enum E {{ Z = 0; N = -1; }}
        message O {{ optional int32 i = 1; optional string s = 2; repeated E es = 3; optional O o = 4;
          repeated O os = 5; map<string, int32> m = 6; oneof k {{ int32 a = 7; string b = 8; }}
          repeated int32 p = 9 [packed = true]; optional bool t = 10; optional double d = 11; extensions 100 to 200;
          optional group Gr = 12 {{ optional int32 q = 1; }} }}
        extend O {{ optional string x = 100; repeated O y = 101; }}
        option (f) = "a" "b"; option (fs) = 1; option (fs) = -2; option (fo).i = 1; option (c.fo).o.s = "x";
        option (fo).(x) = "q"; option (fo).o.(c.x) = "r"; option java_package = "x"; option optimize_for = SPEED;
        message M {{
          option (o) = {{ i: 1, s: "a" "b"; es: [Z, N] es: -1 o < i: 0x10 > os {{ }} os: {{ t: true }} m {{ key: "k" value: 1 }}
            a: 5 p: [1, 2, 3] t: T [c.x]: "ext" [c.y] {{ i: 010 }} d: -inf Gr {{ q: 1 }} }};
          option (os) = {{ d: 1 }}; option (os) = {{ d: 1.5e3 }}; option (.c.fl) = 1; option deprecated = true;
          optional int32 a = 1 [(e) = N, (s) = -5, (c.b) = "\\xff", (g).x = 3, deprecated = false, lazy = false];
          oneof k {{ option (ou) = 4294967295; int32 b = 2; }} extensions 10, 12 [(rs) = 7];
        }}
        enum F {{ option (eb) = true; A = 0 [(ed) = inf, (ef) = 1]; B = 1 [deprecated = true, (ed) = -1]; }}
        service S {{ option (ss) = -1; rpc R(M) returns (M) {{ option (ms) = 9223372036854775807; ; }} }}""".replace(
        "t: T ", "t: true "
    ),
    "any in options": f"""
        syntax = "proto3"; package a; {DESCRIPTOR} import "google/protobuf/any.proto";
        extend google.protobuf.MessageOptions {{ google.protobuf.Any any = 50000; }} message V {{ string s = 1; int32 z = 2; }}
        message M {{ option (any) = {{ [type.googleapis.com/a.V] {{ s: "x" z: 0 }} }}; }}
        message N {{ option (any) = {{ type_url: "u" value: "\\x01" }}; }}""",
    "nested extensions of options": f"""
        syntax = "proto2"; package n; {DESCRIPTOR}
        message Outer {{ extend google.protobuf.FieldOptions {{ optional int32 o = 50000; optional In i = 50001; }}
          message In {{ optional int32 v = 1; extensions 5; }} extend In {{ optional string e = 5; }} }}
        message M {{ optional int32 a = 1 [(Outer.o) = 1, (n.Outer.i).v = 2, (Outer.i).(Outer.e) = "x"]; }}""",
    "retention and targets": f"""
        syntax = "proto2"; {DESCRIPTOR}
        message O {{ optional int32 a = 1 [retention = RETENTION_SOURCE]; optional int32 b = 2; }}
        extend google.protobuf.MessageOptions {{ optional O o = 50000; optional O p = 50001 [retention = RETENTION_SOURCE]; }}
        extend google.protobuf.FieldOptions {{ optional int32 f = 50000 [targets = TARGET_TYPE_FIELD]; }}
        message M {{ option (o) = {{ a: 1 b: 2 }}; option (p).b = 3; optional int32 x = 1 [(f) = 1]; }}
        message N {{ option (p).b = 3; }} message Q {{ option (o).a = 3; }}""",
    "comments": """
        /* detached */

        // more detached

        // leading syntax
        syntax = "proto3"; // trailing syntax
        // detached one

        /* leading
         * package
         **/
        package c; /* trailing
        package */ /* x */
        /* a */ /* b */ message M { // trailing M
          // not for s

          // for s
          string s = 1; // after s
          // also after

          /* in */ int32 i /* x */ = /* y */ 2 /* z */; /* t */ // u
          // end of M
        } // after M
        // before E
        enum E { // e
          /* v */ A = 0; /* w */ B = 1; // x
          //y
        }
        // before S
        service S { rpc R(M) returns (M) { // opts
            // opt
            option deprecated = true; // after opt
          } // after R
        }
        /* the end */""",
    "imports": """
        syntax = "proto3"; import public "google/protobuf/any.proto"; import weak "google/protobuf/timestamp.proto";
        import "google/protobuf/" "duration.proto";
        message M { google.protobuf.Any a = 1; google.protobuf.Duration d = 2; google.protobuf.Timestamp t = 3; }""",
    "json names": """
        syntax = "proto3"; message M { string foo_bar = 1; string fooBaz = 2; string _x = 3; string y__z = 4;
        string Q1_2 = 5; string x_ = 6 [json_name = "@type"]; string v = 7 [deprecated = true, json_name = "w"]; }""",
    "maps": """
        syntax = "proto3"; message M { map<string, M> a_b = 1; map < int32 , bytes > c = 2 [deprecated = true];
        map<bool, google.E> d = 3; map<sfixed64, double> _e1_f = 4; } message google { enum E { A = 0; } }""",
    "hash in an aggregate": f"""
        syntax = "proto2"; {DESCRIPTOR} message O {{ optional int32 i = 1; optional int32 j = 2; }}
        extend google.protobuf.MessageOptions {{ optional O o = 50000; }}
        message M {{ option (o) = {{ i: 1 # j: 2
          j: 3 }}; }}""",
}
"""Sources that protoc accepts, one character per byte where they are not ASCII."""

PROTO2 = 'syntax = "proto2"; '
PROTO3 = 'syntax = "proto3"; '
EDITION = 'edition = "2023"; '
OPTION = (
    f"{PROTO2}{DESCRIPTOR} extend google.protobuf.MessageOptions {{ optional O o = 50000; optional int32 i = 50001; "
)
OPTION += "repeated O r = 50002; optional bool b = 50003; optional E e = 50004; optional string s = 50005; "
OPTION += "optional float f = 50006; optional uint32 u = 50007; optional int64 l = 50008; } enum E { A = 0; B = 1; } "
OPTION += "message O { optional int32 a = 1; optional string s = 2; optional O o = 3; repeated int32 n = 4; "
OPTION += "optional E e = 5; optional bool b = 6; required int32 q = 7; oneof k { int32 x = 8; int32 y = 9; } "
OPTION += 'optional uint32 u = 10; optional double d = 11; reserved "old"; } '

BAD = [
    "syntax = 'proto4';", "syntax = proto3;", "syntax 'proto3';", "edition = '2025';", "edition = '1_TEST_ONLY';",
    "message", "message {", "message M", "message M {", "message M { string", "message 1 {}", "}", "{ }", "foo bar;",
    "import 'nope.proto';", "import foo;", "import public;", PROTO3 + "package 1;", PROTO3 + "package a; package b;",
    PROTO3 + "package .a;", PROTO3 + "package a..b;", "/* unterminated", "/* /* */", '"unterminated', "'a\nb'",
    PROTO3 + "message M { string a = 1 }", PROTO3 + "message M { string = 1; }", PROTO3 + "message M { string a 1; }",
    PROTO3 + "message M { string a = ; }", PROTO3 + "message M { string a = 'x'; }", PROTO3 + "message M { a = 1; }",
    PROTO3 + "message M { string a = 0; }", PROTO3 + "message M { string a = 536870912; }",
    PROTO3 + "message M { string a = 99999999999; }", PROTO3 + "message M { string a = -1; }",
    PROTO3 + "message M { string a = 1; string b = 1; }", PROTO3 + "message M { string a = 1; int32 a = 2; }",
    PROTO3 + "message M { string a = 08; }", PROTO3 + "message M { string a = 0x; }",
    PROTO3 + "message M { string a = 1e; }", PROTO3 + "message M { string a = 1.2.3; }",
    PROTO3 + "message M { string a = 12a; }", PROTO3 + "message M { string a = 1.0; }",
    PROTO3 + "message M { required string a = 1; }", PROTO3 + "message M { string a = 1 [default = 'x']; }",
    PROTO3 + "message M { extensions 1 to 5; }", PROTO3 + "message M { optional group G = 1 {} }",
    PROTO3 + "message M { Foo f = 1; }", PROTO3 + "message M { M.Foo f = 1; }", PROTO3 + "message M { .Foo f = 1; }",
    PROTO3 + "message M { google.protobuf.Any a = 1; }", PROTO3 + "message M { map<M, string> m = 1; }",
    PROTO3 + "message M { map<float, string> m = 1; }", PROTO3 + "message M { repeated map<int32, string> m = 1; }",
    PROTO3 + "message M { oneof o { map<int32, string> m = 1; } }", PROTO3 + "message M { oneof o { } }",
    PROTO3 + "message M { oneof o { repeated int32 a = 1; } }", PROTO3 + "message M { oneof o { int32 a = 1; ",
    PROTO3 + "message M { map<int32, Foo> m = 1; }", PROTO3 + "message M { int32 foo_bar = 1; int32 fooBar = 2; }",
    PROTO3 + "message M { int32 a = 1 [json_name = '[x]']; }", PROTO3 + "message M { int32 a = 1 [json_name = 3]; }",
    PROTO3 + "message M { int32 a = 1 [json_name = 'b']; int32 b = 2; }",
    PROTO3 + "message M { int32 a = 1 [json_name = 'x', json_name = 'y']; }",
    PROTO3 + "message M { reserved 1; int32 a = 1; }", PROTO3 + "message M { reserved 'a'; int32 a = 1; }",
    PROTO3 + "message M { reserved a; }", PROTO3 + "message M { reserved 5 to 3; }", PROTO3 + "message M { reserved 0; }",
    PROTO3 + "message M { reserved 1 to 5, 3; }", PROTO3 + "message M { reserved 'a', 'a'; }",
    PROTO3 + "message M { reserved 1, 'a'; }", PROTO3 + "message M { reserved -1; }",
    PROTO3 + "message M { string FooEntry = 2; map<int32, int32> Foo = 1; }",
    PROTO3 + "message M { message FooEntry {} map<int32, int32> foo = 1; }",
    PROTO3 + "message M { option map_entry = true; }", PROTO3 + "message M { FooEntry f = 2; map<int32, int32> foo = 1; }",
    PROTO3 + "message M { option foo = 1; }", PROTO3 + "message M { option (foo) = 1; }",
    PROTO3 + "message M { option deprecated = 1; }", PROTO3 + "message M { option deprecated = maybe; }",
    PROTO3 + "message M { option deprecated = true; option deprecated = true; }",
    PROTO3 + "message M { option deprecated.x = true; }", PROTO3 + "message M { option uninterpreted_option = 1; }",
    PROTO3 + "message M { int32 a = 1 [jstype = JS_STRING]; }", PROTO3 + "message M { string a = 1 [packed = true]; }",
    PROTO3 + "message M { int32 a = 1 [lazy = true]; }", PROTO3 + "message M { int32 a = 1 [ctype = FOO]; }",
    PROTO3 + "message M { int32 a = 1 [features.field_presence = EXPLICIT]; }", PROTO3 + "message M { int32 a = 1 []; }",
    PROTO3 + "message M { int32 a = 1 [deprecated = true,]; }", PROTO3 + "option java_package = 1;",
    PROTO3 + "option optimize_for = FAST;", PROTO3 + "option java_package = 'a' option x = 1;",
    PROTO3 + "enum E { }", PROTO3 + "enum E { A = 1; }", PROTO3 + "enum E { A = 0; A = 1; }", PROTO3 + "enum E { A; }",
    PROTO3 + "enum E { A = 0; B = 0; }", PROTO3 + "enum E { option allow_alias = false; A = 0; }",
    PROTO3 + "enum E { option allow_alias = true; A = 0; B = 1; }", PROTO3 + "enum E { A = 0; FOO_a = 1; E_FOO_A = 2; }",
    PROTO3 + "enum E { A = 0; } enum F { A = 0; }", PROTO3 + "enum E { E_FOO = 0; FOO = 1; }",
    PROTO3 + "enum E { A = 0; B = 2147483648; }", PROTO3 + "enum E { A = 0; B = -2147483649; }",
    PROTO3 + "enum E { A = 0; reserved 0; }", PROTO3 + "enum E { A = 0; reserved 'A'; }",
    PROTO3 + "enum E { A = 0; reserved 5 to 2; reserved 7 to 9, 8; }", PROTO3 + "enum E { A = 0x; }",
    PROTO3 + "enum E { A = 0 [foo = 1]; }", PROTO3 + "enum 3 { A = 0; }", PROTO3 + "enum E { 3 = 0; }",
    PROTO3 + "message M {} message M {}", PROTO3 + "message M {} enum M { A = 0; }", PROTO3 + "package M; message M {}",
    PROTO3 + "service S { rpc R(M) returns (M); }", PROTO3 + "service S { rpc R(string) returns (M); } message M {}",
    PROTO3 + "service S { rpc R(E) returns (E); } enum E { A = 0; }", PROTO3 + "service S { rpc R(M) returns M; }",
    PROTO3 + "service S { rpc R(M) (M); } message M {}", PROTO3 + "service S { foo; }", PROTO3 + "service { }",
    PROTO3 + "service S { rpc R(M) returns (M); rpc R(M) returns (M); } message M {}",
    PROTO3 + "service S { rpc R(M) returns (M) { option foo = 1; } } message M {}",
    PROTO3 + "service S { rpc R(M) returns (M) { foo } } message M {}", PROTO3 + "service S { rpc R(M) returns (M) {",
    PROTO3 + "extend M { int32 a = 1; } message M {}", PROTO3 + "extend Foo { int32 a = 1; }", PROTO3 + "extend int32 { }",
    PROTO2 + "message M { int32 a = 1; }", PROTO2 + "message M { optional group g = 1 {} }",
    PROTO2 + "message M { optional group G = 1; }", PROTO2 + "message M { optional int32 a = 1 [default = 'x']; }",
    PROTO2 + "message M { optional int32 a = 1 [default = 2147483648]; }",
    PROTO2 + "message M { optional uint32 a = 1 [default = -1]; }",
    PROTO2 + "message M { optional bool a = 1 [default = 1]; }",
    PROTO2 + "message M { optional string a = 1 [default = x]; }",
    PROTO2 + "message M { optional string a = 1 [default = '\\q']; }",
    PROTO2 + "message M { optional string a = 1 [default = '\\xg']; }",
    PROTO2 + "message M { optional string a = 1 [default = '\\u12']; }",
    PROTO2 + "message M { optional string a = 1 [default = '\\U99999999']; }",
    PROTO2 + "message M { optional E e = 1 [default = C]; enum E { A = 0; } }",
    PROTO2 + "message M { optional E e = 1 [default = 0]; enum E { A = 0; } }",
    PROTO2 + "message M { optional M m = 1 [default = x]; }", PROTO2 + "message M { repeated int32 a = 1 [default = 1]; }",
    PROTO2 + "message M { optional int32 a = 1 [default = 1, default = 2]; }",
    PROTO2 + "message M { extensions 5 to 3; extensions 0; extensions 1 to 10; extensions 5; }",
    PROTO2 + "message M { extensions 1 to 5; optional int32 a = 3; reserved 2; }",
    PROTO2 + "message M { extensions 536870912; }", PROTO2 + "message M { extensions a; }",
    PROTO2 + "message M { extensions 5; } extend M { optional int32 a = 6; }",
    PROTO2 + "message M { extensions 5; } extend M { optional int32 a = 5; optional int32 b = 5; }",
    PROTO2 + "message M { extensions 5; } extend M { required int32 a = 5; }",
    PROTO2 + "message M { extensions 5; } extend M { optional int32 a = 5 [json_name = 'x']; }",
    PROTO2 + "message M { optional int32 a = 19001; }", PROTO2 + "message M { option message_set_wire_format = true; }"
    " message N { option message_set_wire_format = true; optional int32 a = 1; }",
    PROTO2 + "message M { extensions 4 to 9 [declaration = { number: 3 full_name: '.a' type: 'int32' }]; }",
    PROTO2 + "message M { extensions 4 to 9 [declaration = { number: 4 full_name: 'a' type: 'int32' }]; }",
    PROTO2 + "message M { extensions 4 [declaration = { number: 4 }]; }",
    PROTO2 + "message M { extensions 4 [verification = DECLARATION]; } extend M { optional int32 a = 4; }",
    EDITION + "message M { optional int32 a = 1; }", EDITION + "message M { required int32 a = 1; }",
    EDITION + "message M { group G = 1 {} }", EDITION + "message M { reserved 'a'; }",
    EDITION + "message M { int32 a = 1 [packed = true]; }",
    EDITION + "message M { int32 a = 1 [features.field_presence = FOO]; }",
    EDITION + "message M { int32 a = 1 [features.foo = BAR]; }",
    EDITION + "message M { repeated int32 a = 1 [features.field_presence = EXPLICIT]; }",
    EDITION + "message M { int32 a = 1 [features.repeated_field_encoding = PACKED]; }",
    EDITION + "message M { int32 a = 1 [features.utf8_validation = NONE]; }",
    EDITION + "message M { int32 a = 1 [features.message_encoding = DELIMITED]; }",
    EDITION + "message M { M a = 1 [features.field_presence = IMPLICIT]; }",
    EDITION + "message M { oneof o { int32 a = 1 [features.field_presence = IMPLICIT]; } }",
    EDITION + "message M { int32 a = 1 [features.enum_type = OPEN]; }",
    EDITION + "option features.field_presence = LEGACY_REQUIRED;",
    EDITION + "option features.field_presence = FIELD_PRESENCE_UNKNOWN;",
    EDITION + "message M { int32 a = 1 [features.field_presence = IMPLICIT, default = 5]; }",
    EDITION + "enum E { A = 1; }", EDITION + "import option 'google/protobuf/any.proto';",
    EDITION + "option features.enforce_naming_style = STYLE2024;", EDITION + "export message M {}",
    "edition = '2024'; message m { int32 Foo = 1; } enum e { a = 0; } service s {}",
    "edition = '2024'; message M { int32 foo__bar = 1; int32 baz_1 = 2; } enum E { A_1 = 0; }",
    "edition = '2024'; import weak 'google/protobuf/any.proto';", "edition = '2024'; local service S {}",
    "edition = '2024'; option java_multiple_files = true;",
    "edition = '2024'; message M { string s = 1 [ctype = CORD]; }",
    "edition = '2024'; import option 'google/protobuf/any.proto'; import 'google/protobuf/any.proto';",
    "edition = '2024'; import option 'google/protobuf/any.proto'; message M { google.protobuf.Any a = 1; }",
    "edition = '2026'; message M { export message N {} }", "edition = '2026'; message M { int32 has_a = 1; int32 a = 2; }",
    *(
        OPTION + f"message M {{ option {option}; }}"
        for option in (
            "(o) = 1", "(o) = { a: 'x' q: 1 }", "(o) = { z: 1 }", "(o) = { a: 1 }", "(o) = { q: 1 q: 2 }",
            "(o) = { q: 1 x: 1 y: 2 }", "(o) = { q: 1 a 1 }", "(o) = { q: 1", "(o) = { q: 1 > }", "(o) = { q: 1 o < q: 1 } }",
            "(o) = { q: 99999999999 }", "(o) = { q: 1 u: -1 }", "(o) = { q: 1 e: C }", "(o) = { q: 1 e: 7 }",
            "(o) = { q: 1 b: maybe }", "(o) = { q: 1 b: 2 }", "(o) = { q: 1 n: [1, 2 }", "(o) = { q: 1 n: [1,] }",
            "(o) = { q: 1 [foo.bar]: 1 }", "(o) = { q: 1 d: 0x5 }", "(o) = { q: 1 d: x }", "(o) = { q: 1 s: x }",
            "(o) = { q: 1 s: 'a' 5 }", "(o) = { 5: 1 }", "(o).z = 1", "(o).a.b = 1", "(o).a = 1, (i) = 2", "(i) = 'x'",
            "(i) = 2147483648", "(i) = 1.5", "(u) = -1", "(l) = 9223372036854775808", "(b) = 1", "(b) = TRUE",
            "(e) = C", "(e) = 1", "(s) = 5", "(f) = x", "(r) = 1", "(r).a = 1", "(o) = 5 (i) = 5", "(i) = ", "(i) 5",
            "(i = 5", "i) = 5", "(i) = -x", "(i) = -'x'", "(nope) = 1", "(O) = 1", "(o).(i) = 1", "() = 1", "(.i.) = 1",
            "(i) = 1; option (i) = 2", "(o).a = 1; option (o).a = 2", "(o) = { q: 1 }; option (o).a = 2",
            "(i) = @", "(o) = { q: 08 }", "(o) = { q: 1 s: '\\q' }", "(o) = { q: 1 d: 1.5f }", "(o) = { q: 1 s.5: 1 }", "(i) = 1 2", "(o) = { q: 1 old: 5 }", "(o) = { q: 1 old { x: [1, {}] } }", "(o) = { q: 1 old 5 }",
        )
    ),
    "message M { string s = 1; } // no syntax", "syntax = 'proto3'; \x01 message M {}", "syntax = 'proto3'; \xe9",
    EDITION + "option features..enum_type = CLOSED;", EDITION + "option .features.enum_type = CLOSED;",
    EDITION + "option features .enum_type. = CLOSED;", EDITION + "option features.(.pb..cpp) = 1;",
    "\xefsyntax = 'proto3';", PROTO3 + "message M { string s\xe9 = 1; }", PROTO3 + "message M { blah.123 x = 1; }",
    PROTO3 + "message M { message.x y = 1; }", PROTO3 + "message M { map.x y = 1; }", PROTO3 + "message M { int32.x y = 1; }",
    PROTO3 + "message A {" * 40 + "}" * 40, PROTO3 + "message M { " * 5, "message M { foo { bar } baz; } }",
    PROTO3 + "message M { option (a) = { " + "b { " * 150 + "} " * 150 + "}; }",
    PROTO3 + "message M { oneof o { int32 a = 1; } int32 b = 2; oneof o { int32 c = 3; } }",
    PROTO3 + "message M { string s = 1; }\nmessage M { int32 i = 0; }\nmessage N { Foo f = 1; Bar b = 2; string x = -5; }",
]  # fmt: skip
"""Sources of which protoc refuses most."""

EDITION_2024 = "edition = '2024'; "
EDITION_2026 = "edition = '2026'; "
D = DESCRIPTOR + " "

ODD = [
    PROTO3 + "message M { map<string, group> a = 1; }", PROTO2 + "message M { map<group, int32> a = 1; int32 b = 2; }",
    EDITION + "message M { map<string, group> a = 1; }", PROTO2 + "message M { optional group a = 1; }",
    PROTO3 + "message M { repeated group = 1; }", PROTO2 + "extend group { }", PROTO2 + "message M { oneof o { group group = 1 {} } }",
PROTO2 + "option optimize_for = LITE_RUNTIME; option cc_generic_services = true; message M {} service S { rpc R(M) returns (M); }",
PROTO2 + D + "option optimize_for = LITE_RUNTIME; extend google.protobuf.FileOptions { optional int32 a = 50000; }",
PROTO2 + "option optimize_for = LITE_RUNTIME; message M { extensions 5; } extend M { optional int32 a = 5; }",
PROTO3 + "message M { int32 a = 1 [json_name = 'a\\0b']; }",
PROTO2 + "message M { extensions 5; message N {} } extend M { optional M a = 5 [unverified_lazy = true]; }",
PROTO2 + "message M { optional M a = 5 [unverified_lazy = true]; optional group G = 1 [lazy = true] {} }",
PROTO3 + "message M { map<int32, E> m = 1; } enum E { A = 0; }", PROTO2 + "message M { map<int32, E> m = 1; } enum E { A = 1; }",
PROTO3 + "message M { map<E, int32> m = 1; } enum E { A = 0; }", PROTO3 + "message M { map<bytes, int32> m = 1; map<double, M> n = 2; }",
PROTO3 + "message M { repeated FooEntry foo = 1; map<int32, int32> foo_ = 2; message X { map<int32,int32> foo = 1; } X.FooEntry y = 3; }",
PROTO3 + "message M { map<int32, int32> foo = 1; } message N { M.FooEntry foo = 1; repeated M.FooEntry bar = 2; }",
PROTO2 + "enum E { option deprecated_legacy_json_field_conflicts = true; FOO_A = 0; E_FOO_A = 1; }",
PROTO3 + "enum E { option deprecated_legacy_json_field_conflicts = true; FOO_A = 0; E_FOO_A = 1; }",
PROTO2 + "message M { option deprecated_legacy_json_field_conflicts = true; optional int32 a_b = 1; optional int32 aB = 2; }",
PROTO2 + "message M { optional int32 a_b = 1; optional int32 aB = 2; }",
PROTO2 + "message M { optional int32 a = 1 [json_name='x']; optional int32 b = 2 [json_name='x']; }",
PROTO2 + "message M { optional int32 a = 1 [json_name='b']; optional int32 b = 2; }",
PROTO2 + "enum E { FOO_BAR_BAZ = 0; FOO_BARBAZ = 1; }", PROTO2 + "enum Foo { FOO_BAR_BAZ = 0; FOO_BARBAZ = 1; BAR_BAZ = 2; }", PROTO2 + "enum Foo { FOO_ = 0; FOO = 1; FOO__A = 2; A = 3; _a = 4; }",
PROTO2 + "enum E { a = 0; A = 1; }", PROTO2 + "enum E { E = 0; E_E = 1; }",
EDITION + "message M { extensions 5; } extend M { int32 a = 5 [features.field_presence = LEGACY_REQUIRED]; int32 b = 5; }",
EDITION + "message M { extensions 5 to 9; } extend M { int32 a = 5 [features.field_presence = EXPLICIT]; }",
EDITION + "message M { E e = 1 [features.field_presence = IMPLICIT]; } enum E { option features.enum_type = CLOSED; A = 0; }",
EDITION + "message M { map<string, string> m = 1 [features.message_encoding = DELIMITED]; map<int32,int32> n = 2 [features.utf8_validation = NONE]; }",
EDITION + "message M { repeated string a = 1 [features.repeated_field_encoding = PACKED]; repeated M b = 2 [features.repeated_field_encoding = EXPANDED]; }",
EDITION + "option features.json_format = LEGACY_BEST_EFFORT; message M { int32 a_b = 1; int32 aB = 2; }",
EDITION + "message M { option features.json_format = LEGACY_BEST_EFFORT; int32 a_b = 1; int32 aB = 2; } message N { int32 a_b = 1; int32 aB = 2; }",
EDITION + "option java_string_check_utf8 = true;", EDITION + "option features = { field_presence: IMPLICIT enum_type: FOO };",
EDITION + "option features = { field_presence: FIELD_PRESENCE_UNKNOWN };", EDITION + "option features.utf8_validation = 1;",
EDITION + "message M { string s = 1 [features = { utf8_validation: NONE }, features.field_presence = IMPLICIT]; }",
EDITION + "message M { string s = 1 [features.utf8_validation = NONE, features.utf8_validation = VERIFY]; }",
EDITION + "message M { int32 a = 1 [features.(pb.cpp).string_type = VIEW]; }",
EDITION + 'import "google/protobuf/cpp_features.proto"; message M { string a = 1 [features.(pb.cpp).string_type = VIEW]; int32 b = 2 [features.(pb.cpp).string_type = CORD]; }',
EDITION + 'import "google/protobuf/cpp_features.proto"; message M { string a = 1 [features.(pb.cpp).legacy_closed_enum = true]; }',
EDITION + 'import "google/protobuf/java_features.proto"; option features.(pb.java).utf8_validation = VERIFY; message M { string a = 1 [features.(pb.java).use_old_outer_classname_default = true]; }',
EDITION_2024 + "option java_multiple_files = true; message M {}", EDITION_2024 + "package A.b; message M {}", EDITION_2024 + "package a.b_1; message M {}", EDITION_2024 + "package a._b; message M { oneof Foo { int32 a = 1; } }",
EDITION_2024 + "message M { oneof foo { int32 a_ = 1; int32 _b = 2; int32 c__d = 3; } } service Ss { rpc r(M) returns (M); } enum E { A = 0; a = 1; _B = 2; }",
EDITION_2024 + "message M_N {} message n {} enum e_f { X = 0; } service s_t {}", EDITION_2024 + "option features.enforce_naming_style = STYLE_LEGACY; message m { int32 A = 1; }",
EDITION_2024 + "message M { option features.enforce_naming_style = STYLE_LEGACY; int32 A = 1; message n {} enum e { a = 0; } oneof O { int32 B = 2; } }",
EDITION_2024 + "option features.default_symbol_visibility = STRICT; message M { export message N {} export enum E { E_A = 0; } }",
EDITION_2024 + "option features.default_symbol_visibility = STRICT; local message M { export enum E { E_A = 0; } reserved 1 to max; }",
EDITION_2024 + "option features.default_symbol_visibility = LOCAL_ALL; message M { export message N {} }",
EDITION_2024 + "message M { option features.default_symbol_visibility = STRICT; }", EDITION_2024 + "export option java_package = 'x';", EDITION_2024 + "message M { export int32 a = 1; local.X y = 2; }",
EDITION_2026 + "message M { int32 get_x = 1; int32 x = 2; int32 x_value = 3; int32 descriptor = 4; int32 clear_o = 5; oneof o { int32 z = 6; } }",
EDITION_2026 + "message M {" + " ".join(f"int32 f{i}x = {i};" for i in range(1,1503)) + "}", EDITION_2026 + "enum E { E_A = 0; " + " ".join(f"E_V{i}X = {i};" for i in range(1,1702)) + "}",
EDITION_2026 + "option cc_enable_arenas = true; message M {}",
PROTO2 + "message M { option message_set_wire_format = true; extensions 4 to max; extensions 2147483647; }", PROTO2 + "message M { extensions 4 to 536870912; }",
PROTO2 + "message M { option message_set_wire_format = true; extensions 4 to max; } extend M { optional int32 a = 5; repeated M b = 6; optional M c = 600000000; }",
PROTO3 + "message M { option message_set_wire_format = true; }",
PROTO2 + D + "message S { option message_set_wire_format = true; extensions 4 to max; } message T { extend S { optional T t = 100; } optional int32 i = 1; } extend google.protobuf.MessageOptions { optional S s = 50000; } message M { option (s) = { [T] { i: 5 } }; } message N { option (s).(T.t).i = 6; } message Q { option (s) = { [T.t] { i: 7 } }; }",
PROTO2 + "message A { extensions 4 to 1000 [declaration = {number: 4 full_name: '.b' type: '.A'}, declaration = {number: 5 full_name: '.c' type: 'string' repeated: true}]; } extend A { optional int32 b = 4; } extend A { repeated int32 c = 5; } ",
PROTO2 + "message A { extensions 4 to 1000 [declaration = {number: 4 full_name: '.b' type: '.A' repeated: true}]; } extend A { optional A b = 4; }",
PROTO2 + "message A { extensions 4 to 1000 [declaration = {number: 4 full_name: '.b' type: 'A'}, declaration = {number: 4 full_name: '.b' type: '.A'}]; extensions 2000 [declaration = {number: 2000 full_name: '.b' type: '.A'}]; }",
PROTO2 + "message A { extensions 4 to 1000 [verification = UNVERIFIED, declaration = {number: 4 full_name: '.b' type: '.A'}]; }",
PROTO2 + "message A { extensions 4 to 1000 [declaration = {number: 4 full_name: '.b.1x' type: '.A-B'}, declaration = {number: 5 full_name: '.b'}, declaration = {number: 6 reserved: true full_name: '.q'}, declaration = {number: 7 reserved: true}]; } extend A { optional int32 z = 7; }",
PROTO2 + "message A { extensions 4 to 1000 [declaration = {number: 4 full_name: '.e' type: '.E'}]; } enum E { Z = 0; } extend A { optional E e = 4; }",
PROTO2 + "message M { optional double d = 1 [default = 99999999999999999999999]; optional double e = 2 [default = 0xFFFFFFFFFFFFFFFFFF]; }",
PROTO2 + "message M { optional double d = 1 [default = 1e400]; optional float f = 2 [default = -1e39]; }",
PROTO2 + "message M { optional double d = 1 [default = x]; optional float f = 2 [default = - inf]; optional float g = 3 [default = -x]; }",
PROTO2 + "message M { optional int32 i = 1 [default = 1.5]; optional int32 j = 2 [default = -0x80000000]; optional int64 k = 3 [default = -9223372036854775808]; }",
PROTO2 + "message M { optional string s = 1 [default = 'a' 5]; optional bytes b = 2 [default = x]; optional group G = 3 [default = 1] {} }",
PROTO2 + "message M { optional foo.Bar b = 1 [default = A.B]; }", PROTO2 + "message M { optional E e = 1 [default = -A]; enum E { A = 1; } }", PROTO2 + "message M { optional E e = 1 [default = ]; enum E { A = 1; } }",
PROTO2 + "message M { optional Foo e = 1 [default = X]; }", PROTO2 + "message M { optional group G = 1 [default = 3, json_name = 'x'] { } required group H = 2 { optional G g = 1; } }",
PROTO3 + "message M { int32 x = 1 [deprecated]; }", PROTO3 + "message M { int32 x = 1 [(a.b = 1]; }", PROTO3 + "message M { int32 x = 1 [a.(b).c = 1]; }", PROTO3 + "message M { option a. = 1; option .a = 2; option a b = 3; }",
PROTO3 + "service S { option deprecated = 5; rpc A(M) returns (M) { option idempotency_level = FOO; } } message M {}",
PROTO3 + "message M { oneof o { option foo = 1; int32 a = 1; } }", PROTO3 + "message M { oneof o { option (x) 5; int32 a = 1; } int32 b = 0; }", PROTO3 + "message M { oneof o { group G = 1 { } } }",
PROTO3 + "message M { oneof 1 { int32 a = 1; } }", PROTO3 + "message M { oneof o int32 a = 1; }", PROTO3 + "message M { oneof o { int32 a = 1; int32 a = 2; } oneof o { int32 c = 3; } }",
PROTO3 + "message M { reserved 1 to 5,; reserved ; reserved 'a' 'b', ; reserved 'a b'; }", PROTO3 + "message M { reserved 2147483647; reserved 1 to 2147483647; }", PROTO3 + "message M { reserved 1 to max; int32 x = 5; }",
PROTO3 + "enum E { A = 0; reserved 1 to 2147483648; reserved -2147483648 to max; reserved - 5; B = - 3; }", PROTO3 + "enum E { A = 0; reserved 'x', 'x'; reserved x; }", EDITION + "enum E { A = 0; reserved 'x'; reserved y, y; reserved 5 to 5; }",
PROTO2 + "message M { extensions 1 to 5 [foo = 1]; extensions 10, 11 [(foo) = 1, verification = X]; extensions 5 to max, 3; }", PROTO2 + "message M { extensions 2147483647; extensions 1 to 2147483647; extensions 1 to; extensions x; }",
PROTO2 + "extend google.protobuf.FieldOptions { optional int32 x = 50000; }", PROTO2 + D + "extend google.protobuf.FieldOptions { optional int32 x = 5; optional int32 y = 50000; repeated string y = 50001; optional int32 z = 50000; }",
PROTO2 + D + "extend FieldOptions { optional int32 x = 50000; } extend .google.protobuf.FieldOptions { }", PROTO2 + D + "extend google.protobuf.FieldOptions { optional map<int32, int32> x = 50000; map<int32,int32> y = 50001; oneof z {} }",
PROTO2 + D + "extend google.protobuf.FieldOptions { optional int32 x = 50000; } message M { optional int32 a = 1 [(x) = 1, (x) = 2, (y) = 3]; optional int32 b = 2 [(.x) = 5, x = 5, (x).y = 5]; }",
PROTO2 + D + "extend google.protobuf.FieldOptions { optional F x = 50000 [features.enum_type = OPEN]; optional string s = 50001 [(s) = 'me']; } message F { optional int32 q = 1 [(x).q = 5]; }",
EDITION + D + "extend google.protobuf.FeatureSet { MyFeatures my = 9990; } message MyFeatures { int32 x = 1; } message M { option features.(my).x = 1; }",
PROTO2 + D + "message O { optional int32 a = 1; oneof k { int32 x = 2; O y = 3; } repeated O r = 4; } extend google.protobuf.MessageOptions { optional O o = 50000; } message M { option (o).x = 1; option (o).y.a = 5; } message N { option (o) = { x: 1 }; option (o).x = 2; } message P { option (o).r = { a: 1 }; option (o).r.a = 1; } message Q { option (o).r = { a: 1 }; option (o).r = { x: 5, r: [{a: 1}, {a: 2}], r { } }; }",
PROTO2 + D + "message O { optional int32 a = 1; optional O o = 2; reserved 'rr', 'ss'; } extend google.protobuf.MessageOptions { optional O o = 50000; } message M { option (o) = { rr: 'x' 'y' ss: [1, {a {}}, -5, inf] rr { } rr: < x: 5 > ss: -nan ss: foo a: 1, ; }; }",
PROTO2 + D + "message O { optional int32 a = 1; optional O o = 2; reserved 'rr'; } extend google.protobuf.MessageOptions { optional O o = 50000; } message M { option (o) = { rr: -foo }; } message N { option (o) = { rr: ] }; }",
PROTO2 + D + "message O { optional bool a = 1; optional double d = 2; optional float f = 3; optional bytes b = 4; optional int64 l = 5; } extend google.protobuf.MessageOptions { optional O o = 50000; } message M { option (o) = { a: 1, d: 5, f: -1.5e3, b: '\\001' \"x\", l: -9223372036854775808 }; } message N { option (o) = { a: t d: infinity f: -nan }; } message P { option (o) = { a: f d: 010 }; } message Q { option (o) = { f: 18446744073709551616 d: -0 }; } message R { option (o) = { l: -9223372036854775809 }; }",
PROTO2 + D + "extend google.protobuf.MessageOptions { optional float f = 50000; optional double d = 50001; optional bool b = 50002; optional sint32 s = 50003; optional sfixed32 x = 50004; optional fixed64 y = 50005; optional sint64 z = 50006; } message M { option (f) = 1e40; option (d) = -5; option (b) = false; option (s) = -2147483648; option (x) = -1; option (y) = 18446744073709551615; option (z) = -9223372036854775808; } message N { option (f) = nan; option (d) = -nan; option (s) = 2147483647; } message O { option (f) = 18446744073709551616; option (d) = 0x10; option (s) = 1e3; }",
PROTO3 + "import 'google/protobuf/any.proto'; message M { google.protobuf.Anyy a = 1; google.protobuf.any.Any b = 2; protobuf.Any c = 3; google.Any d = 4; }",
PROTO3 + "package google.foo; import 'google/protobuf/any.proto'; message M { protobuf.Any a = 1; google.protobuf.Any b = 2; message google {} google.protobuf.Any c = 3; }",
PROTO3 + "package a.b.a; message M { a.M x = 1; a.b.a.M y = 2; .a.b.a.M z = 3; }", PROTO3 + "message A { message B { message A {} A.B x = 1; } }", PROTO3 + "message A { B.C x = 1; } message B { enum C { D = 0; } int32 E = 1; } message F { B.E x = 1; B.D y = 2; }",
PROTO3 + "message M { enum E { A = 0; } E A = 1; }", PROTO3 + "message M { int32 M = 1; M x = 2; }", PROTO3 + "message M { int32 N = 1; message O { N x = 2; } } message N {}", PROTO3 + "service S { rpc M(M) returns (M); } message M {}", PROTO3 + "service M { rpc S(M) returns (M); } message M {}",
PROTO3 + "message M { repeated int32 a = 1 [packed = true]; repeated string b = 2 [packed = false]; repeated E c = 3 [packed = true]; int64 d = 4 [jstype = JS_STRING]; int64 e = 5 [jstype = FOO]; } enum E { Z = 0; }",
"syntax = 'proto2' ;;; import weak 'google/protobuf/any.proto'; import public public 'x'; import 'google/protobuf/any.proto' ;", "syntax = \"proto2\" \"\"; message M {}", "syntax = 'pro' 'to3'; message M { int32 a = 1; }", "syntax = 'proto3'", "syntax", "edition = 2023;", "syntax = 'proto3'; syntax = 'proto3';", "package a; syntax = 'proto3';", "\n\n  syntax = 'proto9';\n foo", "syntax = 'proto3'; edition = '2023';",
PROTO3 + "message M { int32 a = 1; }}", PROTO3 + "message M { int32 a = 1; ", PROTO3 + "message M int32 a = 1; }", PROTO3 + "message M { { } int32 = 5; foo bar baz; }", PROTO3 + "message M { rpc foo(M) returns (M); }", PROTO3 + "service S { message M {} rpc x(S) returns (S); }", PROTO3 + "enum E { A = 0 { } B = x; C 5; D = 1", PROTO3 + "service S { rpc x(M returns (M); rpc y(M) returns M); rpc (M) returns (M); rpc z() returns (M); }",
PROTO3 + "extend M { ", PROTO3 + "extend { int32 a = 1; }", PROTO3 + "extend M int32 a = 1; }", PROTO3 + "extend M { } message M {}", PROTO3 + "message M { extend M { ", PROTO3 + "message M { message N { extend M { int32 = 1; } } int32 x = 1 int32 y = 2; }",
PROTO3 + "option = 5;", PROTO3 + "option", PROTO3 + "option foo", PROTO3 + "option foo = ;", PROTO3 + "option foo = { a: { } ;", PROTO3 + "option foo = -;", PROTO3 + "option foo = - 5 5;", PROTO3 + "option foo = [1];", PROTO3 + "option (foo) = 'a' bar;", PROTO3 + "import 'a' 'b'", PROTO3 + "import",
PROTO3 + "message M { int32 a\t=\t0; }", PROTO3 + "/* \t x */ message\tM { int32 é = 1; }", PROTO3 + "message M { int32 a = 1; // \xff\xfe\n string \xc3\xa9 = 2; }", PROTO3 + "message M { string a = 1 [json_name = '\xc3\xa9\xff']; }", PROTO3 + "message \x00 M {}", PROTO3 + "message M { // \x00 x\n int32 a = 1; }", PROTO3 + "/* \x00 */ message M {}", PROTO3 + "option java_package = 'a\x00b';", PROTO3 + "option java_package = '\xff';", PROTO2 + "message M { optional string s = 1 [default = '\\xff']; }",
]  # fmt: skip
"""Sources at the edges, some of which protoc accepts: the verdict and every word of it have to be the same."""
