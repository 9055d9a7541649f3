"""The field half of the grammar: ``label type name = number [options];``, maps and groups."""

from __future__ import annotations

import sys
from abc import abstractmethod
from functools import lru_cache

from puregrpc.proto.descriptors import FieldType
from puregrpc.proto.parse import ast
from puregrpc.proto.parse.lexer import ExactTokens
from puregrpc.proto.parse.literals import c_escape, format_double
from puregrpc.proto.parse.options import OptionParser
from puregrpc.proto.parse.token_stream import LARGEST_INT32, LARGEST_UINT64, SMALL_INTEGERS, NotQuick, SkipStatement

__all__ = ["LABELS", "MAX_MESSAGE_DEPTH", "TYPES", "FieldParser"]

MAX_MESSAGE_DEPTH = 32
"""How deep messages may be declared inside each other; protoc's own limit."""

EDITION_UNSTABLE = 9999

TYPES = {
    sys.intern(kind.name.lower()): int(kind) for kind in FieldType if kind not in (FieldType.MESSAGE, FieldType.ENUM)
}

PLAIN_TYPES = {name: kind for name, kind in TYPES.items() if kind != FieldType.GROUP}

LABELS = {"optional": ast.Label.OPTIONAL, "required": ast.Label.REQUIRED, "repeated": ast.Label.REPEATED}

AMBIGUOUS_FIRST_PARTS = frozenset(
    [*TYPES, *LABELS, "message", "enum", "extensions", "reserved", "extend", "option", "oneof", "map", "stream",
     "export", "local"]
)  # fmt: skip
"""Words that mean something where a type name may stand, so that ``word.x`` is not one name."""

FIXED_WIRE_TYPES = TYPES | {
    "uint64": TYPES["fixed64"], "uint32": TYPES["fixed32"], "int32": TYPES["sfixed32"], "int64": TYPES["sfixed64"],
    "varint32": TYPES["int32"], "varint64": TYPES["int64"], "uvarint32": TYPES["uint32"],
    "uvarint64": TYPES["uint64"], "zigzag32": TYPES["sint32"], "zigzag64": TYPES["sint64"],
}  # fmt: skip
RENAMED_TYPES = {
    "fixed32": "uint32", "fixed64": "uint64", "sfixed32": "int32", "sfixed64": "int64", "sint32": "zigzag32",
    "sint64": "zigzag64",
}  # fmt: skip
"""In the unstable edition the plain integer types are fixed-width ones."""

LARGEST_INT64 = LARGEST_UINT64 >> 1
SIGNED_INTEGERS: dict[int, int] = {
    FieldType.INT32: LARGEST_INT32, FieldType.SINT32: LARGEST_INT32, FieldType.SFIXED32: LARGEST_INT32,
    FieldType.INT64: LARGEST_INT64, FieldType.SINT64: LARGEST_INT64, FieldType.SFIXED64: LARGEST_INT64,
}  # fmt: skip
UNSIGNED_INTEGERS: dict[int, int] = {
    FieldType.UINT32: LARGEST_INT32 * 2 + 1, FieldType.FIXED32: LARGEST_INT32 * 2 + 1,
    FieldType.UINT64: LARGEST_UINT64, FieldType.FIXED64: LARGEST_UINT64,
}  # fmt: skip
"""Scalar types and the largest default they can have."""


class FieldParser(OptionParser):
    """Parses fields. What a group holds is for the parser of messages."""

    def __init__(self, tokens: list[str] | ExactTokens) -> None:
        super().__init__(tokens)
        self.syntax = ""
        self.edition = 0
        self.depth = 0
        self.types = TYPES
        self.takes_plain_fields = self.exact is None
        """Whether most fields can be told at a glance: over quick tokens, and not in the unstable edition."""
        self.has_proto3_optional = False

    @abstractmethod
    def message_block(self, message: ast.Message) -> None:
        """``{ ... }`` of a message or a group."""

    def enter_message(self) -> None:
        """Count one message more around what follows."""
        self.depth += 1
        if self.depth >= MAX_MESSAGE_DEPTH:
            self.error("Reached maximum recursion limit for nested messages.")
            raise SkipStatement

    def labelled_field(self, fields: list[ast.Field], messages: list[ast.Message], extendee: str = "") -> None:
        """A field that begins with optional, required or repeated."""
        word = self.tokens[self.at]
        if self.syntax == "editions":
            if word == "optional":
                self.error(
                    'Label "optional" is not supported in editions. By default, all singular fields have presence '
                    "unless features.field_presence is set."
                )
            elif word == "required":
                self.error(
                    'Label "required" is not supported in editions, use features.field_presence = LEGACY_REQUIRED.'
                )
        self.at += 1
        is_proto3_optional = word == "optional" and self.syntax == "proto3"
        if is_proto3_optional:
            self.has_proto3_optional = True
        self.field(fields, messages, LABELS[word], extendee, is_proto3_optional=is_proto3_optional)

    def field(
        self,
        fields: list[ast.Field],
        messages: list[ast.Message],
        label: int,
        extendee: str = "",
        oneof_index: int = -1,
        *,
        is_proto3_optional: bool = False,
    ) -> None:
        """A field behind its label: ``type name = number [options];``, or a map, or a group."""
        tokens = self.tokens
        at = self.at
        word = tokens[at]
        if self.takes_plain_fields and tokens[at + 2] == "=" and (label or self.syntax != "proto2"):  # as nearly all
            number = SMALL_INTEGERS.get(tokens[at + 3])
            name = tokens[at + 1]
            kind = PLAIN_TYPES.get(word, 0)
            following = tokens[at + 4]
            if (
                number is not None
                and (following == ";" or following == "[")
                and name.isidentifier()
                and (kind or _is_plain_type_name(word))
            ):
                field = ast.Field(
                    name, number, label or ast.Label.OPTIONAL, kind, "" if kind else word, oneof_index, extendee
                )
                fields.append(field)
                if is_proto3_optional:
                    field.is_proto3_optional = True
                if following == "[":
                    self.at = at + 4
                    self.field_options(field)
                    self.consume(";")
                else:
                    self.at = at + 5
                return
        field = ast.Field("", 0, label, 0, "", oneof_index, extendee)
        fields.append(field)
        if is_proto3_optional:
            field.is_proto3_optional = True
        map_types: tuple[tuple[int, str], tuple[int, str]] | None = None
        if word == "map":
            self.at += 1
            if tokens[self.at] == "<":
                map_types = self.map_types(field)
            else:
                self.check_label(field)
                field.type_name = "map"
        else:
            if label == 0:
                self.check_label(field)
            field.type, field.type_name = self.field_type()
        name_at = self.at
        name = tokens[name_at]
        if not name.isidentifier():
            self.fail("Expected field name.")
        field.name = name
        self.at += 1
        if tokens[self.at] != "=":
            self.fail("Missing field number.")
        self.at += 1
        field.number = self.integer("Expected field number.")
        if tokens[self.at] == "[":
            self.field_options(field)
        if field.type == FieldType.GROUP:
            self.group(field, messages, name_at)
        elif tokens[self.at] == ";":
            self.at += 1
        else:
            self.fail('Expected ";".')
        if map_types is not None:
            messages.append(_map_entry(field, *map_types))

    def check_label(self, field: ast.Field) -> None:
        if field.label == ast.Label.NONE:
            if self.syntax == "proto2":
                self.error('Expected "required", "optional", or "repeated".')
            field.label = ast.Label.OPTIONAL

    def map_types(self, field: ast.Field) -> tuple[tuple[int, str], tuple[int, str]]:
        """``<K, V>``."""
        if field.oneof_index >= 0:
            self.fail("Map fields are not allowed in oneofs.")
        if field.label != ast.Label.NONE:
            self.fail("Field labels (required/optional/repeated) are not allowed on map fields.")
        if field.extendee:
            self.fail("Map fields are not allowed to be extensions.")
        field.label = ast.Label.REPEATED
        self.at += 1
        key = self.field_type()
        self.consume(",")
        value = self.field_type()
        self.consume(">")
        return key, value

    def field_type(self) -> tuple[int, str]:
        """A scalar type, or the name of another one."""
        word = self.tokens[self.at]
        kind = self.types.get(word)
        if self.edition == EDITION_UNSTABLE and word in RENAMED_TYPES:
            self.error(f"Type '{word}' is obsolete in unstable editions, use '{RENAMED_TYPES[word]}' instead.")
            self.at += 1
            return TYPES["int32"], ""
        if kind is None:
            return 0, self.type_name()
        if kind == FieldType.GROUP and self.syntax == "editions":
            self.error(
                "Group syntax is no longer supported in editions. To get group behavior you can specify "
                "features.message_encoding = DELIMITED on a message field."
            )
        self.at += 1
        return kind, ""

    def type_name(self) -> str:
        """The name of a message or an enum, as written."""
        word = self.tokens[self.at]
        if word in TYPES:
            self.error("Expected message type.")
            self.at += 1
            return word
        if not self.exact and "." in word and word.split(".", 1)[0] in AMBIGUOUS_FIRST_PARTS:
            raise NotQuick
        return self.dotted_name("Expected type name.")

    def group(self, field: ast.Field, messages: list[ast.Message], name_at: int) -> None:
        """The message half of a group: its name is the field's before that was made lower case."""
        group = ast.Message(field.name)
        messages.append(group)
        if not "A" <= field.name[0] <= "Z":
            self.error("Group names must start with a capital letter.", name_at)
        field.type_name = field.name
        field.name = field.name.lower()
        if self.tokens[self.at] != "{":
            self.fail("Missing group body.")
        try:
            self.enter_message()
            self.message_block(group)
        finally:
            self.depth -= 1

    def field_options(self, field: ast.Field) -> None:
        """``[name = value, ...]``, where ``default`` and ``json_name`` are no options."""
        tokens = self.tokens
        self.at += 1
        while True:
            word = tokens[self.at]
            if word == "default":
                self.default_value(field)
            elif word == "json_name":
                self.json_name(field)
            else:
                if not self.exact and word.startswith(("default.", "json_name.")):
                    raise NotQuick
                if field.options is None:
                    field.options = []
                self.option(field.options)
            if tokens[self.at] != ",":
                break
            self.at += 1
        self.consume("]")

    def json_name(self, field: ast.Field) -> None:
        if field.json_name is not None:
            self.error('Already set option "json_name".')
        self.at += 1
        self.consume("=")
        field.json_name = self.string("Expected string for JSON name.")

    def default_value(self, field: ast.Field) -> None:
        """``default = value``, kept as text in the form that FieldDescriptorProto.default_value documents."""
        if field.default is not None:
            self.error('Already set option "default".')
        self.at += 1
        self.consume("=")
        field.default = ""
        kind = field.type
        if not kind:
            token = self.tokens[self.at]
            if not self.exact and not token.isidentifier():
                raise NotQuick
            field.default = token
            if not self.at_end():
                self.at += 1
        elif kind in SIGNED_INTEGERS:
            sign = "-" if self.try_consume("-") else ""
            largest = SIGNED_INTEGERS[kind] + (1 if sign else 0)
            field.default = sign + str(self.integer("Expected integer for field default value.", largest))
        elif kind in UNSIGNED_INTEGERS:
            if self.tokens[self.at] == "-":
                self.at += 1
                self.error("Unsigned field can't have negative default value.")
            field.default = str(self.integer("Expected integer for field default value.", UNSIGNED_INTEGERS[kind]))
        elif kind in (FieldType.FLOAT, FieldType.DOUBLE):
            sign = "-" if self.try_consume("-") else ""
            field.default = sign + format_double(self.number("Expected number."))
        elif kind == FieldType.BOOL:
            field.default = self.tokens[self.at]
            if field.default not in ("true", "false"):
                self.fail('Expected "true" or "false".')
            self.at += 1
        elif kind == FieldType.STRING:
            field.default = self.string("Expected string for field default value.")
        elif kind == FieldType.BYTES:
            field.default = c_escape(self.string("Expected string."))
        else:
            self.fail("Messages can't have default values.")


@lru_cache(maxsize=16384)
def _is_plain_type_name(token: str) -> bool:
    """Whether a quick token where a type stands is the name of a message or an enum, and all of it."""
    first, *_ = parts = token.removeprefix(".").split(".")
    return first not in AMBIGUOUS_FIRST_PARTS and all(map(str.isidentifier, parts))


def _map_entry_name(field_name: str) -> str:
    name = "".join(part[:1].upper() + part[1:] for part in field_name.split("_"))
    return f"{name}Entry"


def _map_entry(field: ast.Field, key: tuple[int, str], value: tuple[int, str]) -> ast.Message:
    """The nested message that a map field stands for; features of the field go to its key and value too."""
    name = _map_entry_name(field.name)
    field.type_name = name
    key_field = ast.Field("key", 1, ast.Label.OPTIONAL, *key)
    value_field = ast.Field("value", 2, ast.Label.OPTIONAL, *value)
    for option in field.options or ():
        part, is_extension = option.name[0]
        for half in (key_field, value_field):
            if not is_extension and (
                part == "features"
                or (part == "enforce_utf8" and len(option.name) == 1 and half.type == FieldType.STRING)
            ):
                half.options = [*(half.options or ()), option]
    return ast.Message(name, [key_field, value_field], is_map_entry=True)
