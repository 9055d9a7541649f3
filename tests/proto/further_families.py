"""Further families of sources that grow (see `families`): names that are nearly right, and what many things share."""

from __future__ import annotations

from collections.abc import Callable

from tests.proto.families import CUSTOM, HEAD2, HEAD3, Sources, repeated

__all__ = ["FURTHER"]

FURTHER: dict[str, Callable[[int], Sources]] = {}


def family(function: Callable[[int], Sources | str]) -> Callable[[int], Sources | str]:
    """Enter a function, under its name, that gives the sources or the text of the only one."""

    def sources(size: int) -> Sources:
        made = function(size)
        return {"m.proto": made} if isinstance(made, str) else made

    FURTHER[function.__name__] = sources
    return function


@family
def options_that_are_nearly_known(size: int) -> str:
    known = repeated(size // 2, "optional int32 number{i}s = {j};")
    asked = repeated(size // 2, "option (own).numbar{i} = 1;\n")
    return CUSTOM.replace("optional O own", "optional Own own") + f"message Own {{ {known} }}\n{asked}"


@family
def extensions_that_are_nearly_known_as_options(size: int) -> str:
    known = repeated(size // 2, "extend google.protobuf.FileOptions {{ optional int32 number{i}s = 6{j}; }}")
    return CUSTOM + known + repeated(size // 2, "option (numbar{i}) = 1;\n")


@family
def fields_of_aggregates_that_are_nearly_known(size: int) -> str:
    known = repeated(size // 2, "optional int32 number{i}s = {j};")
    asked = repeated(size // 2, "numbar{i}: 1 ")
    return CUSTOM.replace("optional O own", "optional Own own") + (
        f"message Own {{ {known} }}\noption (own) = {{ {asked} }};"
    )


@family
def defaults_that_are_nearly_known(size: int) -> str:
    known = repeated(size // 2, "NUMBER{i}S = {i};")
    asked = repeated(size // 2, "optional E f{i} = {j} [default = NUMBAR{i}];")
    return f"{HEAD2}enum E {{ {known} }} message M {{ {asked} }}"


@family
def imports_that_are_nearly_known(size: int) -> Sources:
    count = size // 60
    sources: Sources = {f"number{i}s.proto": HEAD3 for i in range(count)}
    sources["m.proto"] = HEAD3 + "".join(f'import "numbar{i}.proto"; ' for i in range(count))
    return sources


@family
def types_that_other_packages_have(size: int) -> Sources:
    count = size // 120
    sources: Sources = {f"i{i}.proto": f"{HEAD3}package p{i}; message T {{}} message T{i} {{}}" for i in range(count)}
    imports = "".join(f'import "i{i}.proto"; ' for i in range(count))
    sources["m.proto"] = f"{HEAD3}{imports} message M {{ {repeated(size // 3, 'T{i} f{i} = {j}; T g{i} = 9{j};')} }}"
    return sources


@family
def a_oneof_of_many_fields(size: int) -> str:
    return f"{HEAD2}message M {{ oneof o {{ {repeated(size, 'int32 f{i} = {j};')} }} }}"


@family
def groups_in_a_oneof(size: int) -> str:
    return f"{HEAD2}message M {{ oneof o {{ {repeated(size, 'group G{i} = {j} {{ optional G{i} f = 1; }}')} }} }}"


@family
def groups_that_extend(size: int) -> str:
    extends = repeated(size, "extend M {{ repeated group G{i} = {j} {{ optional int32 f = 1; }} }}")
    return f"{HEAD2}message M {{ extensions 1 to max; }} {extends}"


@family
def methods_declared_twice(size: int) -> str:
    return f"{HEAD3}message M {{}} service S {{ {repeated(size, 'rpc R(M) returns (M);')} }}"


@family
def services_declared_twice(size: int) -> str:
    return f"{HEAD3}message M {{}} {repeated(size, 'service S {{ rpc R(M) returns (M); }}')}"


@family
def messages_and_enums_of_one_name_in_many_scopes(size: int) -> str:
    return HEAD2 + repeated(size, "message M{i} {{ message N {{}} enum N {{ A = 0; }} optional N n = 1; }}")


@family
def features_at_each_level(size: int) -> str:
    levels = min(size // 80, 30)
    opened = "".join(f"message L{i} {{ option features.field_presence = IMPLICIT; " for i in range(levels))
    fields = repeated(size - len(opened), "int32 f{i} = {j} [features.repeated_field_encoding = EXPANDED];")
    return f'edition = "2023";{opened}{fields}{"}" * levels}'


@family
def comments_that_are_detached(size: int) -> str:
    return HEAD2 + repeated(size, "// a\n\n/* b */\n\n// c\nmessage M{i} {{}} // d\n")


@family
def a_comment_before_many_on_a_line(size: int) -> str:
    return f"{HEAD2}/*{'*' * (size // 2)}*/ {repeated(size // 2, 'message M{i} {{}} /**/')}"


@family
def statements_on_a_line_of_tabs(size: int) -> str:
    return f"{HEAD2}{repeated(size, chr(9) + 'message M{i} {{ optional N f = 1; }}')}"


@family
def values_of_joined_strings(size: int) -> str:
    parts = "'a' \"b\" " * (size // 8)
    return f"{CUSTOM}option (own) = {{ s: {parts} }};"


@family
def names_of_imports_that_are_joined(size: int) -> str:
    return HEAD2 + "import " + '"a" ' * (size // 4) + ";"


@family
def ranges_of_one_statement_that_overlap(size: int) -> str:
    ranges = repeated(size, "{j} to 9{j}, ")
    return f"{HEAD2}message M {{ extensions {ranges} 536870000; reserved {ranges} 536870001; }}"


@family
def ranges_that_touch(size: int) -> str:
    spans = "".join(f"reserved {2 * i + 1} to {2 * i + 2};" for i in range(size // 26))
    return f"{HEAD2}message M {{ {spans} optional int32 f = 1; optional int32 g = 536870911; }}"


@family
def a_name_as_long_as_may_be_asked_for_again(size: int) -> str:
    name = "N" * 900
    return f"{HEAD2}message {name} {{}} message M {{ {repeated(size, f'optional {name}x f{{i}} = {{j}};')} }}"


@family
def names_asked_for_from_a_long_package(size: int) -> str:
    package = ".".join(["abcdefg"] * 100)
    return f"{HEAD2}package {package}; message M {{ {repeated(size, 'optional abcdefg.N{i} f{i} = {j};')} }}"


@family
def files_that_import_one_publicly(size: int) -> Sources:
    count = size // 120
    sources: Sources = {f"i{i}.proto": f'{HEAD3}import public "k.proto";' for i in range(count)}
    sources["k.proto"] = HEAD3 + repeated(size // 3, "message K{i} {{}}")
    imports = "".join(f'import "i{i}.proto"; ' for i in range(count))
    sources["m.proto"] = f"{HEAD3}{imports} message M {{ {repeated(size // 3, 'K{i} f{i} = {j};')} }}"
    return sources


@family
def json_names_that_differ_in_underscores(size: int) -> str:
    return f"{HEAD3}message M {{ {repeated(size, 'int32 a_{i} = {j}; int32 a{i} = 9{j}; int32 a__{i} = 8{j};')} }}"


@family
def messages_of_sets(size: int) -> str:
    extends = repeated(size, "message N{i} {{ extend M {{ optional N{i} x = 5{j}; }} }}")
    return f"{HEAD2}message M {{ option message_set_wire_format = true; extensions 4 to max; }} {extends}"
