"""Families of sources that grow: what takes more than its share of time or memory shows as they do.

Each is a function from a number of octets to the sources of a compilation, about as long together; ``m.proto`` is the
one to compile. Many are wrong on purpose: what is wrong must not cost more than what is right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

__all__ = ["FAMILIES", "Sources"]

Sources = dict[str, str | bytes]
FAMILIES: dict[str, Callable[[int], Sources]] = {}

HEAD2 = 'syntax = "proto2";\n'
HEAD3 = 'syntax = "proto3";\n'


def family(function: Callable[[int], Sources | str]) -> Callable[[int], Sources | str]:
    """Enter a function, under its name, that gives the sources or the text of the only one."""

    def sources(size: int) -> Sources:
        made = function(size)
        return {"m.proto": made} if isinstance(made, str) else made

    FAMILIES[function.__name__] = sources
    return function


def repeated(size: int, *forms: str) -> str:
    """The forms in turn, with the number of the turn for {i}, until there are ``size`` octets."""

    def pieces() -> Iterator[str]:
        length = index = 0
        while length < size:
            piece = forms[index % len(forms)].format(i=index, j=index + 1)
            length += len(piece)
            index += 1
            yield piece

    return "".join(pieces())


# ---- ranges and numbers


@family
def reserved_ranges(size: int) -> str:
    return f"{HEAD2}message M {{ reserved {repeated(size, '{i}1, ')} 7; }}"


@family
def reserved_ranges_that_overlap(size: int) -> str:
    return f"{HEAD2}message M {{ {repeated(size, 'reserved 1 to 9;')} }}"


@family
def reserved_ranges_in_one_that_holds_all(size: int) -> str:
    return f"{HEAD2}message M {{ reserved 1 to max; {repeated(size, 'reserved {j};')} }}"


@family
def reserved_ranges_of_which_the_last_two_overlap(size: int) -> str:
    return f"{HEAD2}message M {{ {repeated(size, 'reserved {j};')} reserved 400000000; reserved 400000000; }}"


@family
def fields_with_reserved_numbers(size: int) -> str:
    return f"{HEAD2}message M {{ reserved 1 to max; {repeated(size, 'optional int32 f{i} = {j};')} }}"


@family
def fields_and_ranges_of_which_one_clashes(size: int) -> str:
    fields = repeated(size, "optional int32 f{i} = {j}1;", "reserved {j}2;", "extensions {j}3;")
    return f"{HEAD2}message M {{ {fields} reserved 11; }}"


@family
def reserved_names(size: int) -> str:
    return (
        f"{HEAD2}message M {{ {repeated(size, 'reserved `n{i}`; optional int32 n{i} = {j};').replace('`', chr(34))} }}"
    )


@family
def reserved_names_twice(size: int) -> str:
    return f"{HEAD2}message M {{ {repeated(size, 'reserved `n`;').replace('`', chr(34))} }}"


@family
def enum_ranges_that_overlap(size: int) -> str:
    return f"{HEAD2}enum E {{ ZERO = 0; {repeated(size, 'reserved 1 to 9;')} }}"


@family
def enum_values_that_are_reserved(size: int) -> str:
    return f"{HEAD2}enum E {{ reserved 1 to max; reserved -5 to -1; {repeated(size, 'E{i} = {i};')} }}"


@family
def enum_ranges_and_values(size: int) -> str:
    return f"{HEAD2}enum E {{ {repeated(size, 'E{i} = {i}1;', 'reserved {i}2;')} reserved 11; }}"


@family
def extension_ranges(size: int) -> str:
    return f"{HEAD2}message M {{ {repeated(size, 'extensions {j};')} }}"


@family
def extension_ranges_that_overlap(size: int) -> str:
    return f"{HEAD2}message M {{ {repeated(size, 'extensions 1 to 9;')} }}"


@family
def extension_ranges_with_options(size: int) -> str:
    return f"{HEAD2}message M {{ {repeated(size, 'extensions {j} [verification = UNVERIFIED];')} }}"


@family
def extension_ranges_of_one_statement_with_options(size: int) -> str:
    return f"{HEAD2}message M {{ extensions {repeated(size, '{j}, ')} 500000000 [verification = UNVERIFIED]; }}"


@family
def ranges_that_include_fields(size: int) -> str:
    return f"{HEAD2}message M {{ extensions 1 to max; {repeated(size, 'optional int32 f{i} = {j};')} }}"


@family
def extensions_of_many_ranges(size: int) -> str:
    ranges = repeated(size // 2, "extensions {j};")
    return f"{HEAD2}message M {{ {ranges} }} extend M {{ {repeated(size // 2, 'optional int32 x{i} = {j};')} }}"


@family
def extensions_outside_the_ranges(size: int) -> str:
    ranges = repeated(size // 2, "extensions {j};")
    return f"{HEAD2}message M {{ {ranges} }} extend M {{ {repeated(size // 2, 'optional int32 x{i} = 9{j}0000;')} }}"


@family
def extensions_that_are_declared(size: int) -> str:
    ranges = repeated(
        size * 3 // 4, 'extensions {j} [declaration = {{ number: {j} full_name: ".x{i}" type: "int32" }}];'
    )
    return f"{HEAD2}message M {{ {ranges} }} extend M {{ {repeated(size // 4, 'optional int32 x{i} = {j};')} }}"


@family
def extensions_that_one_range_declares(size: int) -> str:
    declarations = repeated(size * 3 // 4, 'declaration = {{ number: {j} full_name: ".x{i}" type: "int32" }}, ')
    extensions = repeated(size // 4, "optional int32 x{i} = {j};")
    return f"{HEAD2}message M {{ extensions 1 to max [{declarations} verification = DECLARATION]; }} extend M {{ {extensions} }}"


@family
def numbers_used_twice(size: int) -> str:
    return f"{HEAD2}message M {{ {repeated(size // 2, 'optional int32 f{i} = {j};')} {repeated(size // 2, 'optional int32 g{i} = {j};')} }}"


@family
def numbers_that_are_none(size: int) -> str:
    return f"{HEAD2}message M {{ {repeated(size, 'optional int32 f{i} = 0;')} }}"


@family
def numbers_that_are_none_in_many_messages(size: int) -> str:
    return f"{HEAD2}{repeated(size, 'message M{i} {{ optional int32 f = 0; }}')}"


@family
def long_numbers(size: int) -> str:
    return f"{HEAD2}message M {{ optional int32 f = {'9' * size}; }}"


@family
def long_defaults(size: int) -> str:
    number = "9" * (size // 4)
    return (
        f"{HEAD2}message M {{ optional double d = 1 [default = {number}]; optional float f = 2 [default = 1.{number}]; "
        f"optional int64 i = 3 [default = {number}]; optional double e = 4 [default = 1e{number}]; }}"
    )


@family
def long_octal_and_hexadecimal_numbers(size: int) -> str:
    number = "7" * (size // 2)
    return f"{HEAD2}message M {{ optional int32 f = 0x{number}; optional int32 g = 0{number}; }}"


@family
def many_long_numbers(size: int) -> str:
    return f"{HEAD2}enum E {{ {repeated(size, 'E{i} = ' + '9' * 1000 + ';')} }}"


# ---- names


@family
def long_package(size: int) -> str:
    return f"{HEAD2}package {'a.' * (size // 2)}a; message M {{}}"


@family
def long_package_of_one_part(size: int) -> str:
    return f"{HEAD2}package {'a' * (size // 2)}; {repeated(size // 2, 'message M{i} {{}}')}"


@family
def long_package_and_many_names(size: int) -> str:
    messages = repeated(size - 4000, "message M{i} {{ optional M{j} n = 1; }}")
    return f"{HEAD2}package {'a.' * 2000}a; {messages}"


@family
def long_message_name_and_many_fields(size: int) -> str:
    return f"{HEAD2}message {'A' * (size // 2)} {{ {repeated(size // 2, 'optional int32 f{i} = {j};')} }}"


@family
def long_service_name_and_many_methods(size: int) -> str:
    return f"{HEAD2}message M {{}} service {'A' * (size // 2)} {{ {repeated(size // 2, 'rpc R{i}(M) returns (M);')} }}"


@family
def long_enum_name_and_many_values(size: int) -> str:
    return f"{HEAD2}enum {'A' * (size // 2)} {{ {repeated(size // 2, 'V{i} = {i};')} }}"


@family
def long_names_nested(size: int) -> str:
    name = "A" * (size // 30)
    return HEAD2 + f"message {name} {{ " * 29 + " }" * 29


@family
def long_names_that_are_unknown(size: int) -> str:
    name = "B" * (size // 40)
    return f"{HEAD2}message {'A' * (size // 40)} {{}} message M {{ {repeated(size, f'optional {name}{{i}} f{{i}} = {{j}};')} }}"


@family
def dotted_names_that_are_unknown(size: int) -> str:
    return f"{HEAD2}message a {{}} message M {{ optional {'a.' * (size // 2)}b f = 1; }}"


@family
def names_that_are_unknown(size: int) -> str:
    return f"{HEAD2}message M {{ {repeated(size, 'optional N{i} f{i} = {j};')} }}"


@family
def names_that_are_nearly_known(size: int) -> str:
    known = repeated(size // 2, "message Number{i}s {{}}")
    return f"{HEAD2}{known} message M {{ {repeated(size // 2, 'optional Numbar{i} f{i} = {j};')} }}"


@family
def names_declared_twice(size: int) -> str:
    return f"{HEAD2}{repeated(size, 'message M {{}}')}"


@family
def fields_declared_twice(size: int) -> str:
    return f"{HEAD2}message M {{ {repeated(size, 'optional int32 f = {j};')} }}"


@family
def messages(size: int) -> str:
    return f"{HEAD3}package p; {repeated(size, 'message M{i} {{ M{j} next = 1; }}')} message M{size} {{}}"


@family
def fields(size: int) -> str:
    return f"{HEAD3}message M {{ {repeated(size, 'int32 field_{i} = {j};')} }}"


@family
def optional_fields(size: int) -> str:
    return f"{HEAD3}message M {{ {repeated(size, 'optional int32 f{i} = {j};')} }}"


@family
def optional_fields_whose_oneofs_clash(size: int) -> str:
    clashing = repeated(size // 2, "int32 {i}_f = {j};").replace("int32 ", "int32 X")
    names = "".join(f"int32 {'X' * index}_f = {index + 2};" for index in range(int((size // 2) ** 0.5)))
    return f"{HEAD3}message M {{ optional int32 f = 1; {names} }} message N {{ {clashing} }}"


@family
def oneofs(size: int) -> str:
    return f"{HEAD3}message M {{ {repeated(size, 'oneof o{i} {{ int32 f{i} = {j}; }}')} }}"


@family
def oneofs_without_fields(size: int) -> str:
    return f"{HEAD3}message M {{ {repeated(size, 'oneof o{i} {{ option deprecated = true; }}')} }}"


@family
def maps(size: int) -> str:
    return f"{HEAD3}message M {{ {repeated(size, 'map<string, M> f{i} = {j};')} }}"


@family
def maps_that_clash(size: int) -> str:
    return f"{HEAD3}message M {{ {repeated(size, 'map<string, M> f{i} = {j}; message F{i}Entry {{}}')} }}"


@family
def json_names_that_clash(size: int) -> str:
    return f"{HEAD3}message M {{ {repeated(size, 'int32 f_{i} = {j}; int32 f{i} = 9{j}0000; ')} }}"


@family
def json_names_of_their_own(size: int) -> str:
    return f"{HEAD3}message M {{ {repeated(size, 'int32 f{i} = {j} [json_name = `g{i}`];').replace('`', chr(34))} }}"


@family
def services(size: int) -> str:
    return f"{HEAD3}message M {{}} {repeated(size, 'service S{i} {{ rpc R(M) returns (stream M); }}')}"


@family
def methods_of_types_that_are_unknown(size: int) -> str:
    return f"{HEAD3}service S {{ {repeated(size, 'rpc R{i}(A{i}) returns (B{i});')} }}"


# ---- enums


@family
def enum_values(size: int) -> str:
    return f"{HEAD3}enum E {{ {repeated(size, 'E_VALUE_{i} = {i};')} }}"


@family
def enum_values_of_one_number(size: int) -> str:
    return f"{HEAD2}enum E {{ {repeated(size, 'E_VALUE_{i} = 0;')} }}"


@family
def enum_values_that_share_numbers(size: int) -> str:
    return f"{HEAD2}enum E {{ {repeated(size // 2, 'A{i} = {i};')} {repeated(size // 2, 'B{i} = {i};')} }}"


@family
def enum_aliases(size: int) -> str:
    return f"{HEAD2}enum E {{ option allow_alias = true; {repeated(size, 'E_VALUE_{i} = 0;')} }}"


@family
def enum_values_that_are_one_in_pascal_case(size: int) -> str:
    return f"{HEAD3}enum E {{ {repeated(size, 'A_{i} = {i};', 'a{i} = 9{i}000;')} }}"


@family
def enum_defaults(size: int) -> str:
    values = repeated(size // 2, "V{i} = {i};")
    last = repeated(size // 2, "V{i} = {i};").count(";") - 1
    return f"{HEAD2}enum E {{ {values} }} message M {{ {repeated(size // 2, f'optional E f{{i}} = {{j}} [default = V{last}];')} }}"


@family
def enum_defaults_that_are_none(size: int) -> str:
    values = repeated(size // 2, "V{i} = {i};")
    return (
        f"{HEAD2}enum E {{ {values} }} message M {{ {repeated(size // 2, 'optional E f{i} = {j} [default = NONE];')} }}"
    )


@family
def enum_values_in_many_enums(size: int) -> str:
    return f"{HEAD2}{repeated(size, 'enum E{i} {{ V{i} = 0; }}')}"


# ---- options


@family
def options(size: int) -> str:
    return f"{HEAD2}message M {{ {repeated(size, 'optional int32 f{i} = {j} [deprecated = true, ctype = CORD];')} }}"


CUSTOM = HEAD2 + (
    'import "google/protobuf/descriptor.proto"; message O { optional int32 a = 1; repeated O r = 2; optional O o = 3; '
    "repeated string s = 4; map<string, O> m = 5; } extend google.protobuf.FileOptions { optional O own = 50000; "
    "repeated int32 list = 50001; repeated O lists = 50002; }\n"
)


@family
def options_in_a_list(size: int) -> str:
    return CUSTOM + repeated(size, "option (list) = {i};\n")


@family
def options_that_are_messages_in_a_list(size: int) -> str:
    return CUSTOM + repeated(size, "option (lists) = {{ a: {i} }};\n")


@family
def options_that_are_unknown(size: int) -> str:
    return CUSTOM + repeated(size, "message M{i} {{ option (nope{i}) = 1; }}\n")


@family
def options_set_twice(size: int) -> str:
    return CUSTOM + repeated(size, "message M{i} {{ option deprecated = true; option deprecated = true; }}\n")


@family
def options_of_long_names(size: int) -> str:
    return CUSTOM + f"option (own){'.o' * (size // 2)}.a = 1;"


@family
def options_of_many_parts(size: int) -> str:
    return CUSTOM + repeated(size, "message M{i} {{}}\n") + f"option (own){'.o' * 20}.a = 1;"


@family
def aggregates(size: int) -> str:
    return f"{CUSTOM}option (own) = {{ {repeated(size, 'r {{ a: {i} }} ')} }};"


@family
def aggregates_of_lists(size: int) -> str:
    return f"{CUSTOM}option (own) = {{ s: [{repeated(size, '`s{i}`, ').replace('`', chr(34))} 'x'] }};"


@family
def aggregates_nested(size: int) -> str:
    return f"{CUSTOM}option (own) = {{ {'o {' * (size // 4)}{'}' * (size // 4)} }};"


@family
def aggregates_that_do_not_end(size: int) -> str:
    return f"{CUSTOM}option (own) = {{ {'o {' * (size // 4)}"


@family
def aggregates_with_maps(size: int) -> str:
    return (
        f"{CUSTOM}option (own) = {{ {repeated(size, 'm {{ key: `k{i}` value {{ a: 1 }} }} ').replace('`', chr(34))} }};"
    )


@family
def features(size: int) -> str:
    fields = repeated(size, "int32 f{i} = {j} [features.field_presence = IMPLICIT];\n")
    return f'edition = "2023"; message M {{ {fields} }}'


@family
def custom_options(size: int) -> str:
    extensions = repeated(size // 2, "optional int32 x{i} = {j}000;\n")
    uses = repeated(size // 2, "message M{i} {{ option (x{i}) = 1; }}\n")
    return f'{HEAD2}import "google/protobuf/descriptor.proto"; extend google.protobuf.MessageOptions {{ {extensions} }} {uses}'


@family
def declared_options_of_fields(size: int) -> str:
    extensions = repeated(
        size // 2, "optional int32 x{i} = {j}000 [targets = TARGET_TYPE_FIELD, retention = RETENTION_SOURCE];\n"
    )
    uses = repeated(size // 2, "message M{i} {{ option (x{i}) = 1; }}\n")
    return f'{HEAD2}import "google/protobuf/descriptor.proto"; extend google.protobuf.MessageOptions {{ {extensions} }} {uses}'


# ---- nesting and syntax


@family
def nested_messages(size: int) -> str:
    return HEAD2 + "message M {" * (size // 12) + "}" * (size // 12)


@family
def nested_groups(size: int) -> str:
    return HEAD2 + "message M {" + "optional group G = 1 {" * (size // 24) + "}" * (size // 24) + "}"


@family
def many_nested_messages(size: int) -> str:
    one = "message A { message B { message C { message D { optional int32 f = 1; } } } }"
    return HEAD2 + repeated(size, one.replace("{", "{{").replace("}", "}}").replace("A", "A{i}"))


@family
def braces(size: int) -> str:
    return HEAD2 + "{" * size


@family
def closing_braces(size: int) -> str:
    return HEAD2 + "}" * size


@family
def semicolons(size: int) -> str:
    return HEAD2 + ";" * size


@family
def statements_that_are_none(size: int) -> str:
    return HEAD2 + repeated(size, "nope{i};\n")


@family
def fields_that_are_none(size: int) -> str:
    return f"{HEAD2}message M {{ {repeated(size, 'optional int32 f{i} {j};')} }}"


@family
def brackets(size: int) -> str:
    return f"{HEAD2}message M {{ optional int32 f = 1 {'[' * size}"


# ---- strings and comments


@family
def strings(size: int) -> str:
    return f"{HEAD2}message M {{ optional string s = 1 [default = {'`x` '.replace('`', chr(34)) * (size // 4)}]; }}"


@family
def string_escapes(size: int) -> str:
    return f'{HEAD2}message M {{ optional bytes s = 1 [default = "{chr(92)}x01{(chr(92) + "n") * (size // 2)}"]; }}'


@family
def string_escapes_that_are_none(size: int) -> str:
    return f'{HEAD2}message M {{ optional bytes s = 1 [default = "{(chr(92) + "q") * (size // 2)}"]; }}'


@family
def strings_that_do_not_end(size: int) -> str:
    return HEAD2 + repeated(size, '"x\n')


@family
def unicode_escapes(size: int) -> str:
    return f'{HEAD2}message M {{ optional string s = 1 [default = "{(chr(92) + "u00e9") * (size // 6)}"]; }}'


@family
def comments(size: int) -> str:
    return HEAD2 + repeated(size, "// comment {i}\n/* and another */\n") + "message M {}"


@family
def comments_between_fields(size: int) -> str:
    fields = repeated(size, "// one\n\n/* two\n * lines */\noptional int32 f{i} = {j}; // tail\n")
    return f"{HEAD2}message M {{ {fields} }}"


@family
def stars_and_slashes(size: int) -> str:
    return f"{HEAD2}/* {'* /' * (size // 3)} */ message M {{}}"


@family
def comments_that_do_not_end(size: int) -> str:
    return HEAD2 + "/*" * (size // 2)


@family
def comments_in_comments(size: int) -> str:
    return f"{HEAD2}/* {'/*' * (size // 2)} */"


@family
def tabs(size: int) -> str:
    return HEAD2 + "\t" * size + "message M { optional Nope f = 1; }"


@family
def tabs_and_errors_in_one_line(size: int) -> str:
    return HEAD2.rstrip() + repeated(size, "\tmessage M{i} {{ optional Nope f = 1; }}")


@family
def errors_in_one_line(size: int) -> str:
    return HEAD2.rstrip() + repeated(size, "nope{i};")


@family
def control_characters(size: int) -> str:
    return HEAD2 + "\x01 " * (size // 2)


@family
def characters_outside_ascii(size: int) -> str:
    return HEAD2 + "\u00e9" * (size // 2)


@family
def one_long_word(size: int) -> str:
    return HEAD2 + "a" * size


@family
def lines(size: int) -> str:
    return HEAD2 + "\n" * size + "message M { optional Nope f = 1; }"


@family
def escaped_quotes_that_do_not_end(size: int) -> str:
    return HEAD2 + 'option java_package = "' + (chr(92) + '"') * (size // 2)


@family
def both_quotes_that_do_not_end(size: int) -> str:
    return HEAD2 + "option java_package = " + (chr(92) + '"' + chr(92) + "'") * (size // 4)


@family
def semicolons_and_comments(size: int) -> str:
    return HEAD2 + "// one\n\n;" * (size // 9) + "message M {}"


@family
def tabs_in_one_line(size: int) -> str:
    return HEAD2.rstrip() + repeated(size, "\tmessage M{i} {{ optional\tint32 f = 1; }}")


# ---- imports


@family
def imports(size: int) -> Sources:
    count = size // 60
    sources: Sources = {f"i{index}.proto": f"{HEAD3}message I{index} {{}}" for index in range(count)}
    sources["m.proto"] = HEAD3 + "".join(f'import "i{index}.proto"; ' for index in range(count))
    return sources


@family
def chain_of_imports(size: int) -> Sources:
    count = size // 60
    sources: Sources = {
        f"i{index}.proto": f'{HEAD3}import "i{index + 1}.proto"; message I{index} {{ I{index + 1} n = 1; }}'
        for index in range(count)
    }
    sources[f"i{count}.proto"] = f"{HEAD3}message I{count} {{}}"
    sources["m.proto"] = f'{HEAD3}import "i0.proto"; message M {{ I0 i = 1; }}'
    return sources


@family
def chain_of_public_imports(size: int) -> Sources:
    count = size // 60
    sources: Sources = {
        f"i{index}.proto": f'{HEAD3}import public "i{index + 1}.proto"; message I{index} {{}}' for index in range(count)
    }
    sources[f"i{count}.proto"] = f"{HEAD3}message I{count} {{}}"
    sources["m.proto"] = f'{HEAD3}import "i0.proto"; message M {{ I{count} i = 1; }}'
    return sources


@family
def circle_of_imports(size: int) -> Sources:
    count = size // 60
    sources: Sources = {
        f"i{index}.proto": f'{HEAD3}import "i{(index + 1) % count}.proto"; message I{index} {{}}'
        for index in range(count)
    }
    sources["m.proto"] = f'{HEAD3}import "i0.proto"; message M {{ I0 i = 1; }}'
    return sources


@family
def circles_of_imports(size: int) -> Sources:
    count = size // 80
    sources: Sources = {
        f"i{index}.proto": f'{HEAD3}import "i{index + 1}.proto"; import "m.proto"; message I{index} {{}}'
        for index in range(count)
    }
    sources["m.proto"] = f'{HEAD3}import "i0.proto"; message M {{ I0 i = 1; }}'
    return sources


@family
def imports_that_are_not_there(size: int) -> str:
    return HEAD3 + repeated(size, 'import "nope{i}.proto";\n')


@family
def imports_twice(size: int) -> Sources:
    return {"m.proto": HEAD3 + repeated(size, 'import "i.proto";\n'), "i.proto": HEAD3}


@family
def long_import_path(size: int) -> str:
    return f'{HEAD3}import "{"a/" * (size // 2)}b.proto";'


@family
def files_of_one_package(size: int) -> Sources:
    count = size // 60
    sources: Sources = {
        f"i{index}.proto": f"{HEAD3}package p.q; message I{index} {{ p.q.I{index} n = 1; }}" for index in range(count)
    }
    sources["m.proto"] = f"{HEAD3}package p; " + "".join(f'import "i{index}.proto"; ' for index in range(count))
    return sources


@family
def packages_of_other_files_are_asked_for(size: int) -> Sources:
    count = size // 120
    sources: Sources = {f"i{index}.proto": f"{HEAD3}package p.q; message I{index} {{}}" for index in range(count)}
    uses = "".join(f"q.I{index} f{index} = {index + 1};" for index in range(count))
    sources["m.proto"] = (
        f"{HEAD3}package p; "
        + "".join(f'import "i{index}.proto"; ' for index in range(count))
        + f"message M {{ {uses} }}"
    )
    return sources


@family
def circles_of_imports_through_a_long_file(size: int) -> Sources:
    count = size // 160
    sources: Sources = {
        f"i{index}.proto": f'{HEAD3}import "i{index + 1}.proto"; import "m.proto"; message I{index} {{}}'
        for index in range(count)
    }
    sources["m.proto"] = f'{HEAD3}import "i0.proto"; message M {{ I0 i = 1; }}' + repeated(
        size // 2, "message A{i} {{}}\n"
    )
    return sources


@family
def many_imports_of_many(size: int) -> Sources:
    count = int((size / 30) ** 0.5)
    return {
        f"{'m' if not index else f'i{index}'}.proto": HEAD3
        + "".join(f'import "i{other}.proto"; ' for other in range(index + 1, count))
        for index in range(count)
    }


@family
def names_from_public_imports(size: int) -> Sources:
    count = size // 90
    sources: Sources = {
        f"i{index}.proto": f'{HEAD3}import public "i{index + 1}.proto"; message I{index} {{ I{count} n = 1; }}'
        for index in range(count)
    }
    sources[f"i{count}.proto"] = f"{HEAD3}message I{count} {{}}"
    sources["m.proto"] = f'{HEAD3}import "i0.proto"; message M {{ I{count} i = 1; }}'
    return sources
