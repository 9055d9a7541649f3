"""Hints: how a name that means nothing is likely to be put right."""

from __future__ import annotations

import re
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING

from puregrpc.proto.descriptors import EnumDescriptor, FieldDescriptor, MessageDescriptor
from puregrpc.proto.find.resolver import BuiltinResolver

if TYPE_CHECKING:
    from collections.abc import Iterable

    from puregrpc.proto.link.linked_file import LinkedFile
    from puregrpc.proto.link.symbol_table import SymbolTable

__all__ = ["hint_for_option", "hint_for_type"]

MAX_HINTS = 20
"""Hints for the files of one compilation; further errors are likely to have the same cause."""

MAX_NAME = 100
MAX_NAMES = 5000
"""What is compared, one with each of the others."""

FILES_BY_TYPE = {
    **dict.fromkeys(("Struct", "Value", "ListValue", "NullValue"), "struct"),
    **dict.fromkeys(
        ("DoubleValue", "FloatValue", "Int64Value", "UInt64Value", "Int32Value", "UInt32Value", "BoolValue",
         "StringValue", "BytesValue"),
        "wrappers",
    ),
}  # fmt: skip
"""Types of google.protobuf that are not in a file of their own name."""


def hint_for_type(name: str, table: SymbolTable, file: LinkedFile) -> str:
    """What to do about a type name that is not defined; "" if nothing comes to mind."""
    if table.hints >= MAX_HINTS:
        return ""
    table.hints += 1
    path = _builtin_file(name.removeprefix("."))
    if path and path not in {imported.path for imported in file.tree.imports}:
        return f'import "{path}" provides it'
    if file.descriptor.missing_dependencies:  # one of which may well declare it
        return ""
    last = name.rpartition(".")[2]
    known = {
        full_name.rpartition(".")[2]: full_name
        for full_name, (symbol, owner) in table.symbols.items()
        if isinstance(symbol, (MessageDescriptor, EnumDescriptor)) and table.sees(file, owner)
    }
    if last in known:
        return f'did you mean "{_short(known[last], file)}"?'
    scalars = ("double", "float", "int32", "int64", "uint32", "uint64", "bool", "string", "bytes")
    return _did_you_mean(last, [*known, *scalars], {key: _short(value, file) for key, value in known.items()})


def hint_for_option(name: str, message: MessageDescriptor, table: SymbolTable, file: LinkedFile) -> str:
    """What to do about an option that is unknown."""
    if table.hints >= MAX_HINTS or file.descriptor.missing_dependencies:
        return ""
    table.hints += 1
    names = {field.name: field.name for field in message.fields}
    for full_name, (symbol, owner) in table.symbols.items():
        if isinstance(symbol, FieldDescriptor) and symbol.is_extension and symbol.containing_type is message:
            imported = "" if table.sees(file, owner) else f', from "{owner.name}"'
            names[full_name] = f"({full_name}){imported}"
    last = name.rpartition(".")[2]
    for full_name, shown in names.items():
        if full_name.rpartition(".")[2] == last:
            return f"did you mean {shown}?"
    return _did_you_mean(name, names, names)


def _did_you_mean(name: str, names: Iterable[str], shown: dict[str, str]) -> str:
    if len(name) > MAX_NAME:
        return ""
    short = [each for each in islice(names, MAX_NAMES) if len(each) <= MAX_NAME]
    matches = get_close_matches(name, short, n=1, cutoff=0.7)
    return f'did you mean "{shown.get(matches[0], matches[0])}"?' if matches else ""


def _short(full_name: str, file: LinkedFile) -> str:
    """A full name without the file's own package."""
    return full_name.removeprefix(f"{file.tree.package}.") if file.tree.package else full_name


def _builtin_file(name: str) -> str:
    """The built-in file that declares a type of google.*, by the usual way of naming files; "" if there is none."""
    package, _, type_name = name.rpartition(".")
    if not package.startswith("google."):
        return ""
    snake_case = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type_name).lower()
    for stem in (FILES_BY_TYPE.get(type_name, snake_case), type_name.lower()):
        path = f"{package.replace('.', '/')}/{stem}.proto"
        source = BuiltinResolver().find(path)
        if source is not None and re.search(rb"\b(?:message|enum)\s+" + type_name.encode() + rb"\b", source):
            return path
    return ""
