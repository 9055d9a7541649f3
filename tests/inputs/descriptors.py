"""Descriptors that come from elsewhere: sets of files, and what a server says of itself by reflection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from google.protobuf import descriptor_pb2

from puregrpc.codec.wire_format.tags_and_varints import varint
from puregrpc.errors import SchemaError
from puregrpc.schema import Registry, load_symbols

__all__ = ["DESCRIPTORS"]

File = descriptor_pb2.FileDescriptorProto


def file(name: str, package: str = "", imports: Sequence[str] = ()) -> File:
    return File(name=name, package=package, dependency=imports)


def number(index: int) -> int:
    """Field numbers, without those that are kept."""
    return index + 1 if index < 18_000 else index + 3_000


def with_fields(made: File, count: int, type_name: str, message: str = "M") -> File:
    fields = made.message_type.add(name=message).field
    for index in range(count):
        fields.add(name=f"f{index}", number=number(index), label=1, type=11, type_name=type_name)
    return made


def relative_names_in_a_deep_package(size: int) -> list[File]:
    root = file("root")
    root.message_type.add(name="Root")
    return [root, with_fields(file("deep", "a." * 127 + "a", ["root"]), size // 30, "Root")]


def a_package_of_many_parts(size: int) -> list[File]:
    return [with_fields(file("deep", "a." * 2000 + "a", ["lost"]), size // 30, "Root")]


def short_names_in_a_long_package(size: int) -> list[File]:
    made = file("long", "a" * 4000)
    for index in range(size // 12):
        made.message_type.add(name=f"M{index}")
    return [made]


def a_long_name_that_is_extended(size: int) -> list[File]:
    made = file("m", "a." * 100 + "a", ["lost"])
    made.extension.add(name="x", number=1, label=1, type=5, extendee="b" * size)
    return [made]


def types_of_methods_that_are_long(size: int) -> list[File]:
    made = file("m", "a." * 100 + "a", ["lost"])
    made.service.add(name="S").method.add(name="R", input_type="b" * size, output_type="b")
    return [made]


def files(size: int) -> list[File]:
    return [file(f"f{index}") for index in range(size // 8)]


def files_whose_names_differ_by_case(size: int) -> list[File]:
    letters = "abcdefghijklmnop"
    return [
        file("".join(c.upper() if index >> place & 1 else c for place, c in enumerate(letters)))
        for index in range(size // 22)
    ]


def a_chain_of_imports(size: int) -> list[File]:
    return [file(f"f{index}", "", [f"f{index + 1}"]) for index in range(size // 20)]


def a_circle_of_imports(size: int) -> list[File]:
    count = size // 20
    return [file(f"f{index}", "", [f"f{(index + 1) % count}"]) for index in range(count)]


def circles_of_imports(size: int) -> list[File]:
    count = size // 30
    others = [{(index + 1) % count, index // 2} - {index} for index in range(count)]
    return [file(f"f{index}", "", [f"f{other}" for other in sorted(some)]) for index, some in enumerate(others)]


def imports_that_are_public_again_and_again(size: int) -> list[File]:
    return [file("f"), File(name="m", dependency=["f"], public_dependency=[0] * (size // 2))]


def imports_that_are_missing(size: int) -> list[File]:
    return [file("m", "", [f"f{index}" for index in range(size // 8)])]


def nested_messages(size: int) -> list[File]:
    made = file("m")
    for index in range(size // 400):
        message = made.message_type.add(name=f"M{index}")
        for _ in range(60):
            message = message.nested_type.add(name="M")
    return [made]


def enum_values(size: int) -> list[File]:
    made = file("m")
    values = made.enum_type.add(name="E").value
    for index in range(size // 14):
        values.add(name=f"V{index}", number=index)
    return [made]


def extensions(size: int) -> list[File]:
    made = file("m")
    ranges = made.message_type.add(name="M").extension_range
    for index in range(size // 50):
        ranges.add(start=number(index), end=number(index) + 1)
        made.extension.add(name=f"x{index}", number=number(index), label=1, type=5, extendee=".M")
    return [made]


def maps(size: int) -> list[File]:
    made = file("m")
    message = made.message_type.add(name="M")
    for index in range(size // 90):
        entry = message.nested_type.add(name=f"F{index}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=1, type=9)
        entry.field.add(name="value", number=2, label=1, type=5)
        message.field.add(name=f"f{index}", number=number(index), label=3, type=11, type_name=f".M.F{index}Entry")
    return [made]


def defaults_of_many_digits(size: int) -> list[File]:
    made = file("m")
    fields = made.message_type.add(name="M").field
    for kind in (1, 2, 12):
        fields.add(name=f"f{kind}", number=kind, label=1, type=kind, default_value="9" * (size // 3))
    return [made]


def files_of_which_all_are_wrong(size: int) -> list[File]:
    made = [file(f"f{index}") for index in range(size // 20)]
    for each in made:
        each.enum_type.add(name="E")
    return made


SETS = (
    relative_names_in_a_deep_package, a_package_of_many_parts, short_names_in_a_long_package,
    a_long_name_that_is_extended, types_of_methods_that_are_long, files, files_whose_names_differ_by_case,
    a_chain_of_imports, a_circle_of_imports, circles_of_imports, imports_that_are_public_again_and_again,
    imports_that_are_missing, nested_messages, enum_values, extensions, maps, defaults_of_many_digits,
    files_of_which_all_are_wrong,
)  # fmt: skip


def of_set(octets: Callable[[int], bytes]) -> Callable[[int], Callable[[], object]]:
    def work(size: int) -> Callable[[], object]:
        data = octets(size)

        def run() -> None:
            with suppress(SchemaError):
                Registry().add_file_descriptor_set(data)

        return run

    return work


def serialized(make: Callable[[int], list[File]]) -> Callable[[int], bytes]:
    return lambda size: descriptor_pb2.FileDescriptorSet(file=make(size)).SerializeToString()


def options_without_end(size: int) -> bytes:
    inner = b""
    while len(inner) < size:
        inner = b"\x0a" + varint(len(inner)) + inner
    described = file("m").SerializeToString() + b"\x42" + varint(len(inner)) + inner
    return b"\x0a" + varint(len(described)) + described


OCTETS: dict[str, Callable[[int], bytes]] = {
    "options without end": options_without_end,
    "groups without end": lambda size: b"\xfb\x01" * (size // 4) + b"\xfc\x01" * (size // 4),
    "names that are no text": lambda size: b"\x0a\x04\x0a\x02\xff\xfe" * (size // 6),
    "one file again and again": lambda size: (b"\x0a\x03\x0a\x01m") * (size // 5),
}

# -- reflection: what the server says of a symbol, and of a file; None where it knows none

Answers = Callable[[str], list[bytes] | None]


class Peer:
    """A server that describes itself."""

    def __init__(self, of_symbol: Answers, of_file: Answers) -> None:
        self.of_symbol, self.of_file = of_symbol, of_file

    async def file_containing_symbol(self, symbol: str) -> list[bytes]:
        return self._known(self.of_symbol(symbol))

    async def file_by_filename(self, name: str) -> list[bytes]:
        return self._known(self.of_file(name))

    @staticmethod
    def _known(answer: list[bytes] | None) -> list[bytes]:
        if answer is None:
            raise SchemaError("not known")
        return answer


def service(imports: Sequence[str] = ()) -> File:
    made = file("service", "a", imports)
    made.message_type.add(name="M")
    made.service.add(name="S").method.add(name="Do", input_type=".a.M", output_type=".a.M")
    return made


def octets_of(protos: Sequence[File]) -> list[bytes]:
    return [each.SerializeToString() for each in protos]


def many_files_that_are_wrong(size: int) -> tuple[Answers, Answers, str]:
    wrong = files_of_which_all_are_wrong(size)
    answer = octets_of([service([each.name for each in wrong]), *wrong])
    return lambda _: answer, lambda _: None, "a.S"


def files_that_are_right_with_others(size: int) -> tuple[Answers, Answers, str]:
    """Each extends a message of the next; the last one is wrong, and so are all, one after the other."""
    count = size // 70
    made = [service(["f0"])]
    for index in range(count):
        is_last = index == count - 1
        each = file(f"f{index}", f"p{index}", [] if is_last else [f"f{index + 1}"])
        each.message_type.add(name="M").extension_range.add(start=1, end=2)
        of = f".p{index}.M" if is_last else f".p{index + 1}.M"
        each.extension.add(name="x", number=5 if is_last else 1, label=1, type=5, extendee=of)
        made.append(each)
    answer = octets_of(made)
    return lambda _: answer, lambda _: None, "a.S"


def many_circles(size: int) -> tuple[Answers, Answers, str]:
    answer = octets_of([service(["f0"]), *circles_of_imports(size)])
    return lambda _: answer, lambda _: None, "a.S"


def a_chain_of_files(size: int) -> tuple[Answers, Answers, str]:
    def of_file(name: str) -> list[bytes]:
        place = int(name[1:])
        return octets_of([file(name, "", [f"f{place + 1}"] if place < size // 20 else [])])

    return lambda _: octets_of([service(["f0"])]), of_file, "a.S"


def a_chain_of_types(size: int) -> tuple[Answers, Answers, str]:
    """Each file uses a type that none of its imports could have, and the server knows where it is."""

    def of_symbol(symbol: str) -> list[bytes] | None:
        place = -1 if symbol == "a.S" else int(symbol.removeprefix("t.M"))
        if place >= size // 60:
            return None
        made = service(["lost"]) if place < 0 else file(f"f{place}", "t", [f"lost{place}"])
        return octets_of([with_fields(made, 1, f".t.M{place + 1}", f"M{max(place, 0)}")])

    return of_symbol, lambda _: None, "a.S"


def types_that_nobody_has(size: int) -> tuple[Answers, Answers, str]:
    made = service(["lost"])
    fields = made.message_type[0].field
    for index in range(size // 30):
        fields.add(name=f"f{index}", number=number(index), label=1, type=11, type_name=f".t.M{index}")
    answer = octets_of([made])
    return lambda symbol: answer if symbol == "a.S" else None, lambda _: None, "a.S"


def a_symbol_of_many_parts(size: int) -> tuple[Answers, Answers, str]:
    answer = octets_of([service()])
    return lambda _: answer, lambda _: None, "a." * (size // 2) + "a"


def answers_for_other_files(size: int) -> tuple[Answers, Answers, str]:
    answer = octets_of([service([f"f{index}" for index in range(size // 20)])])
    other = octets_of([file("other")])
    return lambda _: answer, lambda _: other, "a.S"


def symbols_that_lead_to_each_other(size: int) -> tuple[Answers, Answers, str]:
    """Each file has a type of the next and of the one before it, none of which it imports."""
    count = size // 120

    def of_symbol(symbol: str) -> list[bytes] | None:
        place = -1 if symbol == "a.S" else int(symbol.removeprefix("t.M"))
        if place >= count:
            return None
        made = service(["lost"]) if place < 0 else file(f"f{place}", "t", [f"lost{place}"])
        with_fields(made, 1, f".t.M{place + 1}", f"M{max(place, 0)}")
        return octets_of([with_fields(made, 1, f".t.M{max(place - 1, 0)}", f"N{max(place, 0)}")])

    return of_symbol, lambda _: None, "a.S"


def all_files_with_each_answer(size: int) -> tuple[Answers, Answers, str]:
    """So many that an answer of all is as long as their number says, times their number in all."""
    number = max(2, int((size / 20) ** 0.5))
    answer = octets_of([file(f"f{index}", "", [f"g{index}"]) for index in range(number)])
    return lambda _: octets_of([service([f"f{index}" for index in range(number)])]), lambda _: answer, "a.S"


def files_of_long_names(size: int) -> tuple[Answers, Answers, str]:
    names = [f"{'n' * 200}{index}" for index in range(size // 220)]
    return lambda _: octets_of([service(names)]), lambda name: octets_of([file(name)]), "a.S"


def answers_that_are_no_files(size: int) -> tuple[Answers, Answers, str]:
    answer = [b"\xff" * 3] * (size // 10)
    return lambda _: answer, lambda _: answer, "a.S"


def answers_of_empty_files(size: int) -> tuple[Answers, Answers, str]:
    answer = [*octets_of([service(["f0"])]), *([b""] * (size // 2))]
    return lambda _: answer, lambda _: answer, "a.S"


PEERS = (
    symbols_that_lead_to_each_other, all_files_with_each_answer, files_of_long_names,
    answers_that_are_no_files, answers_of_empty_files,
    many_files_that_are_wrong, files_that_are_right_with_others, many_circles, a_chain_of_files, a_chain_of_types,
    types_that_nobody_has, a_symbol_of_many_parts, answers_for_other_files,
)  # fmt: skip


def loading(make: Callable[[int], tuple[Answers, Answers, str]]) -> Callable[[int], Callable[[], object]]:
    def work(size: int) -> Callable[[], object]:
        of_symbol, of_file, symbol = make(size)

        def run() -> None:
            with suppress(SchemaError):
                asyncio.run(load_symbols_of(Peer(of_symbol, of_file), symbol))

        return run

    return work


async def load_symbols_of(peer: Peer, symbol: str) -> None:
    await load_symbols(Registry(), peer, [symbol])


DESCRIPTORS = {
    **{f"descriptors: {make.__name__.replace('_', ' ')}": of_set(serialized(make)) for make in SETS},
    **{f"descriptors: {name}": of_set(octets) for name, octets in OCTETS.items()},
    **{f"reflection: {make.__name__.replace('_', ' ')}": loading(make) for make in PEERS},
}
