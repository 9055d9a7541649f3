"""Properties: random descriptors come back from their source; whatever text comes in, the answer is in order."""

from __future__ import annotations

import random
import string
import time

from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st

from puregrpc import proto
from puregrpc.errors import CompileError
from puregrpc.proto.locate.source_walker import walk_source
from puregrpc.proto.parse.lexer import END, decode_source, scan, tokenize
from tests.proto.peer import INCLUDE, mutate
from tests.proto.sources import BAD, GOOD

Type = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    number: name.removeprefix("TYPE_").lower()
    for name, number in Type.Type.items()
    if name not in ("TYPE_GROUP", "TYPE_MESSAGE", "TYPE_ENUM")
}
NAMES = st.text(string.ascii_lowercase + "_", min_size=1, max_size=8).map(lambda text: f"f{text}".replace("__", "_"))


@st.composite
def messages(draw: st.DrawFn, depth: int = 0) -> descriptor_pb2.DescriptorProto:
    """A proto2 message with fields, enums, ranges and messages inside."""
    message = descriptor_pb2.DescriptorProto(name=f"M{depth}{draw(st.integers(0, 999))}")
    names = draw(st.lists(NAMES, max_size=5, unique_by=lambda name: name.replace("_", "").lower()))
    numbers = draw(st.lists(st.integers(1, 1000), min_size=len(names), max_size=len(names), unique=True))
    for name, number in zip(names, numbers, strict=True):
        kind = draw(st.sampled_from(sorted(SCALARS)))
        label = draw(st.sampled_from([1, 2, 3]))
        field = message.field.add(name=name, number=number, type=kind, label=label, json_name=_json_name(name))
        if label == 1 and SCALARS[kind] == "string" and draw(st.booleans()):
            field.default_value = draw(st.text(max_size=6))
        if draw(st.booleans()):
            field.options.deprecated = draw(st.booleans())
    if draw(st.booleans()):
        message.extension_range.add(start=2000, end=draw(st.integers(2001, 536870912)))
    if draw(st.booleans()):
        message.reserved_range.add(start=1500, end=draw(st.integers(1501, 1999)))
        message.reserved_name.append("gone")
    if draw(st.booleans()):
        enum = message.enum_type.add(name="E")
        for index in range(draw(st.integers(1, 4))):
            enum.value.add(name=f"V{'ABCD'[index]}", number=index * draw(st.sampled_from([1, -1, 1000])))
        if len({value.number for value in enum.value}) < len(enum.value):
            enum.options.allow_alias = True
    if depth < 2 and draw(st.booleans()):
        message.nested_type.append(draw(messages(depth=depth + 1)))
    return message


def _json_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def to_source(message: descriptor_pb2.DescriptorProto, indent: str = "") -> str:
    """The message as .proto source."""
    inner = indent + "  "
    lines = [f"{indent}message {message.name} {{"]
    labels = {1: "optional", 2: "required", 3: "repeated"}
    for field in message.field:
        options = []
        if field.HasField("default_value"):
            options.append(f"default = {_quoted(field.default_value)}")
        if field.options.HasField("deprecated"):
            options.append(f"deprecated = {str(field.options.deprecated).lower()}")
        bracketed = f" [{', '.join(options)}]" if options else ""
        lines.append(f"{inner}{labels[field.label]} {SCALARS[field.type]} {field.name} = {field.number:#x}{bracketed};")
    lines += [f"{inner}extensions {item.start} to {item.end - 1};" for item in message.extension_range]
    lines += [f"{inner}reserved {item.start} to {item.end - 1};" for item in message.reserved_range]
    lines += [f'{inner}reserved "{name}";' for name in message.reserved_name]
    for enum in message.enum_type:
        alias = "option allow_alias = true; " if enum.options.allow_alias else ""
        values = " ".join(f"{value.name} = {value.number};" for value in enum.value)
        lines.append(f"{inner}enum {enum.name} {{ {alias}{values} }}")
    lines += [to_source(nested, inner) for nested in message.nested_type]
    return "\n".join([*lines, f"{indent}}}"])


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\{byte:03o}" if byte < 32 or byte in b'"\\' else chr(byte) for byte in text.encode()) + '"'


@given(messages())
def test_what_is_printed_compiles_to_the_same(message: descriptor_pb2.DescriptorProto) -> None:
    source = f'syntax = "proto2"; package p;\n{to_source(message)}\n'
    (file,) = proto.compile(["m.proto"], sources={"m.proto": source.encode("latin-1")})
    assert file.to_proto().message_type[0] == message


WORDS = """
    message enum service rpc returns stream extend extensions reserved option oneof map group optional required
    repeated syntax edition package import public weak to max default json_name inf nan true M N a.b .a int32 string
    { } ( ) [ ] < > = ; , . - : / # @ 1 0 -1 0x 08 1.5 1e5 .5 99999999999999999999 "s" 's' "\\x" "proto3" "2023"
    // /* */
    """
TOKENS = st.sampled_from(WORDS.split())


@given(st.lists(TOKENS, max_size=60), st.sampled_from(["", 'syntax = "proto3";', 'edition = "2023"; ', "message M {"]))
def test_token_soup(words: list[str], start: str) -> None:
    """Random tokens make a result or diagnostics, nothing else."""
    compiles_or_says_why(f"{start}{' '.join(words)}".encode())


@given(st.binary(max_size=200))
def test_random_bytes(source: bytes) -> None:
    compiles_or_says_why(source)
    compiles_or_says_why(b'syntax = "proto3"; message M { option (x) = {' + source + b"}; }")


REAL = [path.read_bytes() for path in sorted(INCLUDE.rglob("*.proto")) if path.stat().st_size < 12_000]
REAL += [source.encode("latin-1") for source in (*GOOD.values(), *BAD)]


@given(st.randoms(use_true_random=False), st.integers(1, 5))
def test_mutated_files(chance: random.Random, times: int) -> None:
    source = chance.choice(REAL)
    for _ in range(times):
        source = mutate(source, chance)
    compiles_or_says_why(source)


def compiles_or_says_why(source: bytes) -> None:
    try:
        (file,) = proto.compile(["m.proto"], sources={"m.proto": source})
    except CompileError as error:
        diagnostics = error.diagnostics
    else:
        diagnostics = ("m.proto: fine",)
        assert file.to_proto(source_info=True).name == "m.proto"
    assert diagnostics
    assert all(diagnostic.partition(": ")[2] for diagnostic in diagnostics)


@given(st.lists(TOKENS, max_size=30), st.lists(st.sampled_from([" ", "\n", "\t", "// c\n", "/* d */"]), min_size=31))
def test_quick_tokens_are_the_exact_ones_joined(words: list[str], blanks: list[str]) -> None:
    """Joined up, both ways of looking at a source see the same characters, unless the exact one has complaints."""
    text = decode_source("".join(blank + word for blank, word in zip(blanks, words, strict=False)).encode())
    exact = scan(text)
    quick = tokenize(text)
    assert exact.texts[-1] == END
    if not exact.errors and quick[-1] == END and "" not in quick:
        assert "".join(quick).rstrip(END) == "".join(exact.texts).rstrip(END)


DEEP = (
    'import "google/protobuf/descriptor.proto"; message O { optional O o = 1; optional int32 a = 2; } '
    "extend google.protobuf.MessageOptions { optional O o = 50000; }"
)


def test_deep_nesting_is_a_diagnostic() -> None:
    for source in (
        "message M { " * 10_000 + "}" * 10_000,
        "message M { option (x) = " + "{ a " * 10_000 + "} " * 10_000 + "; }",
        "message M { optional group G = 1 {" * 5_000,
        f"message M {{ option deprecated{'.o' * 10_000} = 1; }}",
        f"{DEEP} message M {{ option (o){'.o' * 10_000}.a = 1; }}",
        f"{DEEP} message M {{ option (o) = {'{ o ' * 150}{'}' * 150}; }}",
        f"{DEEP} message M {{ option (o){'.o' * 98} = {'{ o ' * 98}{'{}' + '}' * 98}; }}",
    ):
        compiles_or_says_why(f'syntax = "proto2"; {source}'.encode())


def test_large_sources_take_no_long_time() -> None:
    numbers = range(1, 4_000)
    for source in (
        "".join(f"optional int32 a{number} = 1; " for number in numbers),
        "".join(f"optional Nope a{number} = {number}; " for number in numbers),
        "enum E {" + "".join(f"A{number} = 0; " for number in numbers) + "}",
        "".join(f"reserved {number * 2}; optional int32 a{number} = {number * 2 + 1}; " for number in numbers),
        "enum E {" + "".join(f"reserved {number * 2}; A{number} = {number * 2 + 1}; " for number in numbers) + "}",
        "option (x) = {" + "a { " * 90 + "b: 1 " * 20_000 + "} " * 90 + "};",
        "/* " * 20_000 + '"' * 20_001 + "\\" * 20_000 + "9" * 20_000,
    ):
        start = time.process_time()
        compiles_or_says_why(f'syntax = "proto2"; message M {{ {source} }}'.encode())
        assert time.process_time() - start < 20


def test_every_location_of_a_good_source_ends_behind_its_start() -> None:
    for source in GOOD.values():
        info = walk_source(scan(source))
        for location in info.locations:
            assert location.end >= location.start or not location.path
