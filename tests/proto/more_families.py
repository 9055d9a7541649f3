"""More families of sources that grow (see `families`): options, editions, escapes, comments, files beside files."""

from __future__ import annotations

from collections.abc import Callable

from tests.proto.families import CUSTOM, HEAD2, HEAD3, Sources, repeated

__all__ = ["MORE"]

MORE: dict[str, Callable[[int], Sources]] = {}

Q, B = '"', "\\"


APOSTROPHE = "'"


def with_any(label: str) -> str:
    """The custom options, and one of type google.protobuf.Any."""
    extend = f"extend google.protobuf.FileOptions {{ {label} google.protobuf.Any any = 50009; }}"
    return CUSTOM.replace(" message O", f' import "google/protobuf/any.proto"; {extend} message O')


def family(function: Callable[[int], Sources | str | bytes]) -> Callable[[int], Sources | str | bytes]:
    """Enter a function, under its name, that gives the sources or the text of the only one."""

    def sources(size: int) -> Sources:
        made = function(size)
        return {"m.proto": made} if isinstance(made, (str, bytes)) else made

    MORE[function.__name__] = sources
    return function


@family
def files_with_names_that_are_nearly_known(size: int) -> Sources:
    count = size // 120
    sources: Sources = {
        f"i{i}.proto": f'{HEAD3}import "k.proto"; message M{i} {{ Numbar{i} f = 1; }}' for i in range(count)
    }
    sources["k.proto"] = HEAD3 + "".join(f"message Number{i}s {{}}" for i in range(count))
    sources["m.proto"] = HEAD3 + "".join(f'import "i{i}.proto"; ' for i in range(count))
    return sources


@family
def files_with_errors_beside_many_extensions(size: int) -> Sources:
    count = size // 160
    sources: Sources = {
        f"i{i}.proto": f'{HEAD2}import "k.proto"; message M{i} {{ optional int32 a = 1; optional int32 a = 2; }}'
        for i in range(count)
    }
    extensions = "".join(f"optional int32 x{i} = {i + 1};" for i in range(size // 2 // 30))
    sources["k.proto"] = f"{HEAD2}message K {{ extensions 1 to max; }} extend K {{ {extensions} }}"
    sources["m.proto"] = HEAD2 + "".join(f'import "i{i}.proto"; ' for i in range(count))
    return sources


@family
def groups(size: int) -> str:
    return f"{HEAD2}message M {{ {repeated(size, 'optional group G{i} = {j} {{ optional int32 f = 1; }}')} }}"


@family
def extends_of_one_field_each(size: int) -> str:
    extends = repeated(size, "extend M {{ optional int32 x{i} = {j}; }}")
    return f"{HEAD2}message M {{ extensions 1 to max; }} {extends}"


@family
def extends_in_messages(size: int) -> str:
    extends = repeated(size, "message N{i} {{ extend M {{ optional N{i} x = {j}; }} }}")
    return f"{HEAD2}message M {{ extensions 1 to max; }} {extends}"


@family
def extends_of_nothing(size: int) -> str:
    return HEAD2 + repeated(size, "extend N{i} {{ optional int32 x{i} = {j}; }}")


@family
def names_from_deep_inside(size: int) -> str:
    inner = repeated(size - 400, "optional Top{i} f{i} = {j};", "optional .Top f{i} = {j};")
    return HEAD2 + "message Top {}" + "message A { " * 28 + inner + " }" * 28


@family
def names_whose_first_part_is_shadowed(size: int) -> str:
    fields = repeated(size, "optional a.b.C f{i} = {j};")
    return f"{HEAD2}package a.b; message C {{}} message M {{ message a {{}} {fields} }}"


@family
def names_with_many_parts(size: int) -> str:
    name = ".".join(["A"] * 28)
    nested = "message A { " * 28 + "}" * 28
    return f"{HEAD2}{nested} message M {{ {repeated(size, f'optional {name} f{{i}} = {{j}};')} }}"


@family
def options_of_methods(size: int) -> str:
    one = "rpc R{i}(M) returns (M) {{ option deprecated = true; option idempotency_level = IDEMPOTENT; }}"
    methods = repeated(size, one)
    return f"{HEAD3}message M {{}} service S {{ {methods} }}"


@family
def statements_of_methods_that_are_none(size: int) -> str:
    return f"{HEAD3}message M {{}} service S {{ rpc R(M) returns (M) {{ {';' * size} }} }}"


@family
def braces_of_methods(size: int) -> str:
    return f"{HEAD3}service S {{ rpc R(M) returns (M) {{ {'{' * size}"


@family
def option_names_of_many_extensions(size: int) -> str:
    return CUSTOM + f"option (own){'.(own)' * (size // 6)} = 1;"


@family
def option_names_of_dots(size: int) -> str:
    return CUSTOM + f"option {'.' * size}a = 1;"


@family
def option_parts_one_after_another(size: int) -> str:
    return CUSTOM + repeated(size, "option (own).m = {{ key: 'k{i}' }};\n")


@family
def option_parts_of_one_message(size: int) -> str:
    return CUSTOM + repeated(size, "option (own).s = 's{i}';\n")


@family
def option_parts_deep_one_after_another(size: int) -> str:
    return CUSTOM + repeated(size, "option (own).o.o.o.o.o.o.o.o.o.o.s = 's{i}';\n")


@family
def option_parts_set_twice(size: int) -> str:
    return CUSTOM + repeated(size, "option (own).a = {i};\n")


@family
def aggregates_with_extensions(size: int) -> str:
    extend = (
        "message E { extensions 1 to max; } extend google.protobuf.MessageOptions { optional E e = 50003; } "
        "extend E { repeated int32 n = 1; }"
    )
    return CUSTOM + extend + f"message M {{ option (e) = {{ {repeated(size, '[n]: {i} ')} }}; }}"


@family
def aggregates_with_extensions_that_are_none(size: int) -> str:
    return CUSTOM + f"option (own) = {{ {repeated(size, '[n{i}]: {i} ')} }};"


@family
def aggregates_in_many_messages(size: int) -> str:
    extend = "extend google.protobuf.MessageOptions { optional O e = 50003; }"
    return CUSTOM + extend + repeated(size, "message M{i} {{ option (e) = {{ o {{ a: 1 }} s: 'x' }}; }}\n")


@family
def aggregates_in_angles(size: int) -> str:
    return f"{CUSTOM}option (own) = {{ {repeated(size, 'r < a: {i} > ')} }};"


@family
def aggregates_of_open_brackets(size: int) -> str:
    return f"{CUSTOM}option (own) = {{ r: {'[' * size} }};"


@family
def aggregates_of_minus_signs(size: int) -> str:
    return f"{CUSTOM}option (own) = {{ a: {'-' * size}1 }};"


@family
def aggregates_of_joined_strings(size: int) -> str:
    return f"{CUSTOM}option (own) = {{ s: {repeated(size, APOSTROPHE + 'x{i}' + APOSTROPHE + ' ')} }};"


@family
def aggregates_with_comments(size: int) -> str:
    return f"{CUSTOM}option (own) = {{ {'# none' + chr(10)} {repeated(size, '# {i}' + chr(10))} a: 1 }};"


@family
def aggregates_with_any(size: int) -> str:
    head = with_any("repeated")
    return f"{head}{repeated(size, 'option (any) = {{ [type.googleapis.com/O] {{ a: {i} }} }};' + chr(10))}"


@family
def aggregates_with_any_in_any(size: int) -> str:
    head = with_any("optional")
    deep = size // 50
    return f"{head}option (any) = {{ {'[type.googleapis.com/google.protobuf.Any] { ' * deep} {'}' * deep} }};"


@family
def features_of_messages(size: int) -> str:
    one = "message M{i} {{ option features.message_encoding = DELIMITED; M{i} m = 1; }}\n"
    return 'edition = "2023";' + repeated(size, one)


@family
def features_that_are_unknown(size: int) -> str:
    return 'edition = "2023";' + repeated(size, "message M{i} {{ option features.nope{i} = X; }}\n")


@family
def features_set_many_times(size: int) -> str:
    return 'edition = "2023";' + repeated(size, "option features.enum_type = OPEN;\n")


@family
def visibilities(size: int) -> str:
    return 'edition = "2024";' + repeated(size, "local message M{i} {{ export enum E{i} {{ A{i} = 0; }} }}\n")


@family
def edition_of_many_digits(size: int) -> str:
    return f'edition = "{"9" * size}"; message M {{}}'


@family
def syntax_of_many_strings(size: int) -> str:
    return f"syntax = {chr(34) * size}; message M {{}}"


@family
def syntax_many_times(size: int) -> str:
    return HEAD3 * (size // 20)


@family
def packages_many_times(size: int) -> str:
    return HEAD3 + repeated(size, "package p{i};")


@family
def reserved_names_in_one_statement(size: int) -> str:
    names = repeated(size, "'n{i}', ")
    return f"{HEAD2}message M {{ reserved {names} 'last'; }}"


@family
def reserved_names_that_are_joined(size: int) -> str:
    names = repeated(size, "'n{i}' ")
    return f"{HEAD2}message M {{ reserved {names}; }}"


@family
def reserved_names_that_are_none(size: int) -> str:
    names = repeated(size, "'{i} n', ")
    return f"{HEAD2}message M {{ reserved {names} 'last'; }}"


@family
def enum_values_negative(size: int) -> str:
    return f"{HEAD2}enum E {{ {repeated(size, 'V{i} = -{j};')} }}"


@family
def enum_values_with_options(size: int) -> str:
    return f"{HEAD3}enum E {{ {repeated(size, 'V{i} = {i} [deprecated = true];')} }}"


@family
def enum_values_that_clash_with_messages(size: int) -> str:
    return f"{HEAD3}{repeated(size // 2, 'message V{i} {{}}')} enum E {{ {repeated(size // 2, 'V{i} = {i};')} }}"


@family
def enums_without_values(size: int) -> str:
    return HEAD3 + repeated(size, "enum E{i} {{}}")


@family
def maps_of_keys_that_are_none(size: int) -> str:
    return f"{HEAD3}message M {{ {repeated(size, 'map<double, M> f{i} = {j};')} }}"


@family
def maps_in_maps(size: int) -> str:
    return f"{HEAD3}message M {{ {'map<string, ' * (size // 12)}"


@family
def maps_of_unknown_types(size: int) -> str:
    return f"{HEAD3}message M {{ {repeated(size, 'map<string, N{i}> f{i} = {j};')} }}"


@family
def every_escape(size: int) -> str:
    one = B + "a" + B + "101" + B + "x4" + B + "u00e9" + B + "U0001F600" + B + "uD83D" + B + "uDE00" + B + "?" + B + Q
    return f"{HEAD2}message M {{ optional string s = 1 [default = {Q}{one * (size // len(one))}{Q}]; }}"


@family
def escapes_that_end_early(size: int) -> str:
    one = B + "x" + B + "u12" + B + "U0011" + B + "8"
    return f"{HEAD2}message M {{ optional string s = 1 [default = {Q}{one * (size // len(one))}{Q}]; }}"


@family
def many_strings_that_do_not_end(size: int) -> str:
    return HEAD2 + repeated(size, "option java_package = 'x{i}\n")


@family
def backslashes(size: int) -> str:
    return HEAD2 + B * size


@family
def backslashes_in_a_string(size: int) -> str:
    return HEAD2 + Q + B * size


@family
def nul_bytes(size: int) -> str:
    return HEAD2 + "\0" * size


@family
def nul_bytes_in_comments(size: int) -> str:
    return HEAD2 + "/* \0 */" * (size // 7)


@family
def byte_order_marks(size: int) -> bytes:
    return b"\xef\xbb\xbf" * (size // 3) + HEAD2.encode()


@family
def octets_that_are_no_text(size: int) -> bytes:
    return HEAD2.encode() + b"message M { optional string s = 1 [default = '" + b"\xff" * size + b"']; }"


@family
def carriage_returns(size: int) -> str:
    return HEAD2 + "\r" * size + "nope"


@family
def comments_before_an_error(size: int) -> str:
    return HEAD2 + "// x\n" * (size // 5) + "nope"


@family
def block_comments_of_stars(size: int) -> str:
    return HEAD2 + "/*" + "*" * size


@family
def slashes(size: int) -> str:
    return HEAD2 + "/ " * (size // 2)


@family
def dots(size: int) -> str:
    return f"{HEAD2}message M {{ optional {'.' * size}a f = 1; }}"


@family
def names_with_dots_between_blanks(size: int) -> str:
    return f"{HEAD2}package {'a . ' * 100} b; message M {{ optional {'a . ' * (size // 4)}b f = 1; }}"


@family
def numbers_with_many_points(size: int) -> str:
    return f"{HEAD2}message M {{ optional float f = 1 [default = {'1.' * (size // 2)}]; }}"


@family
def numbers_with_long_exponents(size: int) -> str:
    return f"{HEAD2}message M {{ {repeated(size, 'optional double f{i} = {j} [default = 1e' + '9' * 200 + '];')} }}"


@family
def numbers_of_underscores_and_letters(size: int) -> str:
    return f"{HEAD2}message M {{ optional int32 f = 1{'a_' * (size // 2)}; }}"


@family
def minus_signs(size: int) -> str:
    return f"{HEAD2}message M {{ optional int32 f = 1 [default = {'-' * size}1]; }}"


@family
def default_values_out_of_range(size: int) -> str:
    return f"{HEAD2}message M {{ {repeated(size, 'optional int32 f{i} = {j} [default = 99999999999];')} }}"


@family
def default_values_of_messages(size: int) -> str:
    return f"{HEAD2}message M {{ {repeated(size, 'optional M f{i} = {j} [default = 1];')} }}"


@family
def field_options_without_end(size: int) -> str:
    return f"{HEAD2}message M {{ optional int32 f = 1 [{repeated(size, 'deprecated = true, ')}"


@family
def json_names_that_are_odd(size: int) -> str:
    return f"{HEAD3}message M {{ {repeated(size, 'int32 f{i} = {j} [json_name = ' + Q + '[x{i}]' + Q + '];')} }}"


@family
def json_names_that_are_one_by_case(size: int) -> str:
    return f"{HEAD3}message M {{ {repeated(size, 'int32 {j}_a = {j};').replace('int32 ', 'int32 A' + '_')} }}"


@family
def oneofs_in_oneofs(size: int) -> str:
    return f"{HEAD3}message M {{ {repeated(size, 'oneof o{i} {{ ')}"


@family
def oneofs_with_maps_and_labels(size: int) -> str:
    members = repeated(size, "repeated int32 f{i} = {j};", "map<string, M> f{i} = {j};")
    return f"{HEAD3}message M {{ oneof o {{ {members} }} }}"


@family
def labels(size: int) -> str:
    return f"{HEAD2}message M {{ {'optional ' * (size // 9)} }}"


@family
def imports_of_every_kind(size: int) -> Sources:
    count = size // 60
    sources: Sources = {f"i{i}.proto": HEAD3 for i in range(count)}
    kinds = ("", "public ", "weak ")
    sources["m.proto"] = HEAD3 + "".join(f'import {kinds[i % 3]}"i{i}.proto"; ' for i in range(count))
    return sources


@family
def imports_that_differ_by_case(size: int) -> Sources:
    count = size // 40
    names = ["".join(c.upper() if i >> j & 1 else c for j, c in enumerate("abcdefghijklmn")) for i in range(count)]
    sources: Sources = {f"{name}.proto": HEAD3 for name in names}
    sources["m.proto"] = HEAD3 + "".join(f'import "{name}.proto"; ' for name in names)
    return sources


@family
def imports_of_odd_paths(size: int) -> str:
    paths = ("../a", "/a", "a//b", "./a", "a/../b", "", "a\0b", "a\\\\b", ".", "C:/a", "a/", "\\377")
    return HEAD3 + "".join(f'import "{paths[i % len(paths)]}{i}.proto"; ' for i in range(size // 25))


@family
def imports_that_have_errors(size: int) -> Sources:
    count = size // 60
    sources: Sources = {f"i{i}.proto": f"{HEAD3}nope" for i in range(count)}
    sources["m.proto"] = HEAD3 + "".join(f'import "i{i}.proto"; ' for i in range(count))
    return sources


@family
def imports_without_a_source_of_options(size: int) -> str:
    return 'edition = "2024";' + repeated(size, 'import option "nope{i}.proto";\n')


@family
def circles_of_imports_of_two(size: int) -> Sources:
    count = size // 120
    sources: Sources = {f"i{i}.proto": f'{HEAD3}import "j{i}.proto";' for i in range(count)}
    sources |= {f"j{i}.proto": f'{HEAD3}import "i{i}.proto";' for i in range(count)}
    sources["m.proto"] = HEAD3 + "".join(f'import "i{i}.proto"; ' for i in range(count))
    return sources


@family
def words_of_the_language(size: int) -> str:
    return HEAD3 + "message message message { message message = 1; } " * (size // 50)


@family
def short_names_in_a_long_package(size: int) -> str:
    return f"{HEAD2}package {'a' * 900}; {repeated(size - 900, 'enum E{i} {{ A{i} = 0; }}')}"
