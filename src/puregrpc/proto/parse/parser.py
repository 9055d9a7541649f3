"""Tokens to syntax tree: recursive descent over the grammar of the language specification.

https://protobuf.dev/reference/protobuf/proto2-spec/, .../proto3-spec/ and .../edition-2023-spec/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.proto.find.import_paths import decode_path
from puregrpc.proto.parse import ast
from puregrpc.proto.parse.fields import FIXED_WIRE_TYPES, LABELS, TYPES
from puregrpc.proto.parse.lexer import END, ExactTokens
from puregrpc.proto.parse.ranges import set_max_ends
from puregrpc.proto.parse.services import ServiceParser
from puregrpc.proto.parse.token_stream import NotQuick, SkipStatement

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EDITIONS", "Parser"]

EDITIONS = {
    "2023": 1000, "2024": 1001, "2026": 1002, "UNSTABLE": 9999, "LEGACY": 900, "MAX": 0x7FFFFFFF,
    "1_TEST_ONLY": 1, "2_TEST_ONLY": 2,
    "99997_TEST_ONLY": 99997, "99998_TEST_ONLY": 99998, "99999_TEST_ONLY": 99999,
}  # fmt: skip
"""google.protobuf.Edition by the text of an edition statement."""

EDITION_2023 = 1000
EDITION_2024 = 1001
EDITION_UNSTABLE = 9999


class Parser(ServiceParser):
    """Parses one file. ``errors`` and ``warnings`` are of use after a parse of exact tokens only."""

    def __init__(self, tokens: list[str] | ExactTokens) -> None:
        super().__init__(tokens)
        self.has_option_imports = False

    def parse(self, name: str) -> ast.File:
        """The file with all that could be parsed. Raises NotQuick if quick tokens do not suffice."""
        file = ast.File(name)
        if self.tokens[0] in ("syntax", "edition"):
            try:
                self.syntax_statement(file)
            except SkipStatement:
                return file
        else:
            self.syntax = "proto2"
        tokens = self.tokens
        while (word := tokens[self.at]) != END:
            self.depth = 0
            try:
                statement = FILE_STATEMENTS.get(word)
                if statement is None:
                    self.fail('Expected top-level statement (e.g. "message").')
                statement(self, file)
            except SkipStatement:
                self.skip_statement()
                if self.tokens[self.at] == "}":
                    self.error('Unmatched "}".')
                    self.at += 1
        return file

    # ---- file level

    def syntax_statement(self, file: ast.File) -> None:
        """``syntax = "proto3";`` or ``edition = "2023";``."""
        is_edition = self.tokens[self.at] == "edition"
        self.at += 1
        self.consume("=")
        value_at = self.at
        value = self.string("Expected syntax identifier.")
        self.consume(";")
        if is_edition:
            if value not in EDITIONS:
                self.error(f'Unknown edition "{value}".', value_at)
                raise SkipStatement
            self.syntax = file.syntax = "editions"
            self.edition = file.edition = EDITIONS[value]
            if self.edition == EDITION_UNSTABLE:
                self.types = FIXED_WIRE_TYPES
                self.takes_plain_fields = False
            return
        if value not in ("proto2", "proto3"):
            self.error(
                f'Unrecognized syntax identifier "{value}".  This parser only recognizes "proto2" and "proto3".',
                value_at,
            )
            raise SkipStatement
        self.syntax = file.syntax = value

    def file_message(self, file: ast.File) -> None:
        self.message(file.messages)

    def file_enum(self, file: ast.File) -> None:
        self.enum(file.enums)

    def file_extend(self, file: ast.File) -> None:
        self.extend(file.extensions, file.messages)

    def visible_definition(self, file: ast.File) -> None:
        """``export`` or ``local`` before a message or an enum."""
        visibility = self.visibility()
        word = self.tokens[self.at]
        if word == "message":
            self.message(file.messages, visibility)
        elif word == "enum":
            self.enum(file.enums, visibility)
        else:
            self.fail('Expected top-level statement (e.g. "message").')

    def visibility(self) -> int:
        """The visibility that stands here; before edition 2024 the words mean nothing."""
        if self.edition <= EDITION_2023:
            return ast.Visibility.UNSET
        word = self.tokens[self.at]
        self.at += 1
        if self.tokens[self.at] not in ("message", "enum"):
            self.fail("'local' and 'export' visibility modifiers are valid only on 'message' and 'enum'")
        return ast.Visibility.EXPORT if word == "export" else ast.Visibility.LOCAL

    def package(self, file: ast.File) -> None:
        """``package a.b;``."""
        if file.package:
            self.error("Multiple package definitions.")
        self.at += 1
        if self.tokens[self.at][:1] == ".":
            self.fail("Expected identifier.")
        file.package = self.dotted_name("Expected identifier.")
        self.consume(";")

    def import_statement(self, file: ast.File) -> None:
        """``import [public | weak | option] "path";``."""
        self.at += 1
        modifier = self.tokens[self.at]
        problem = "Expected a string naming the file to import."
        if modifier == "option":
            if self.edition < EDITION_2024:
                self.error("option import is not supported before edition 2024.")
            self.at += 1
            self.has_option_imports = True
            file.imports.append(ast.Import(decode_path(self.string(problem)), "option"))
            self.consume(";")
            return
        if self.has_option_imports:
            self.error("imports should precede any option imports to ensure proto files can roundtrip.")
        if modifier == "public":
            self.at += 1
        elif modifier == "weak":
            if self.edition >= EDITION_2024:
                self.error(
                    "weak import is not supported in edition 2024 and above. Consider using option import instead."
                )
            self.at += 1
        else:
            modifier = ""
        file.imports.append(ast.Import(decode_path(self.string(problem)), modifier))
        self.consume(";")

    def file_option(self, file: ast.File) -> None:
        """``option name = value;`` of a file."""
        if file.options is None:
            file.options = []
        self.option_statement(file.options)

    # ---- messages

    def message(self, messages: list[ast.Message], visibility: int = ast.Visibility.UNSET) -> None:
        """``message Name { ... }``."""
        message = ast.Message("", visibility=visibility)
        messages.append(message)
        try:
            self.enter_message()
            self.at += 1
            message.name = self.identifier("Expected message name.")
            self.message_block(message)
        finally:
            self.depth -= 1
        if self.has_proto3_optional:
            _add_synthetic_oneofs(message)

    def message_block(self, message: ast.Message) -> None:
        self.consume("{")
        tokens = self.tokens
        fields = message.fields
        messages = message.messages
        while True:
            word = tokens[self.at]
            if word == "}":
                break
            try:
                statement = MESSAGE_STATEMENTS.get(word)
                if statement is not None:
                    statement(self, message)
                elif word == END:
                    break
                else:
                    self.field(fields, messages, ast.Label.NONE)
            except SkipStatement:
                self.skip_statement()
        if self.at_end():
            self.fail("Reached end of input in message definition (missing '}').")
        self.at += 1
        if message.extension_ranges or message.reserved_ranges:
            set_max_ends(message)
        for option in message.options or ():
            if option.name[0] == ("map_entry", False):
                self.error(
                    "map_entry should not be set explicitly. Use map<KeyType, ValueType> instead.",
                    self.option_starts.get(id(option), 0),
                )
                raise SkipStatement

    def message_visible_definition(self, message: ast.Message) -> None:
        if self.edition <= EDITION_2023:
            self.field(message.fields, message.messages, ast.Label.NONE)
            return
        visibility = self.visibility()
        if self.tokens[self.at] == "message":
            self.message(message.messages, visibility)
        else:
            self.enum(message.enums, visibility)

    def empty_statement(self, _owner: ast.File | ast.Message) -> None:
        self.at += 1

    def message_option(self, message: ast.Message) -> None:
        if message.options is None:
            message.options = []
        self.option_statement(message.options)

    def message_labelled_field(self, message: ast.Message) -> None:
        self.labelled_field(message.fields, message.messages)

    def oneof(self, message: ast.Message) -> None:
        """``oneof name { fields and options }``."""
        self.at += 1
        oneof = ast.Oneof("")
        index = len(message.oneofs)
        message.oneofs.append(oneof)
        oneof.name = self.identifier("Expected oneof name.")
        self.consume("{")
        while True:
            if self.at_end():
                self.fail("Reached end of input in oneof definition (missing '}').")
            word = self.tokens[self.at]
            if word == "option":
                if oneof.options is None:
                    oneof.options = []
                self.option_statement(oneof.options)
            else:
                if word in LABELS:
                    self.error("Fields in oneofs must not have labels (required / optional / repeated).")
                    self.at += 1
                try:
                    self.field(message.fields, message.messages, ast.Label.OPTIONAL, oneof_index=index)
                except SkipStatement:
                    self.skip_statement()
            if self.try_consume("}"):
                return

    def message_extend(self, message: ast.Message) -> None:
        self.extend(message.extensions, message.messages)

    def extend(self, extensions: list[ast.Field], messages: list[ast.Message]) -> None:
        """``extend Type { fields }``."""
        self.at += 1
        if not self.exact and self.tokens[self.at] in TYPES:
            raise NotQuick
        extendee = self.type_name()
        self.consume("{")
        while True:
            if self.at_end():
                self.fail("Reached end of input in extend definition (missing '}').")
            try:
                word = self.tokens[self.at]
                if word in LABELS:
                    self.labelled_field(extensions, messages, extendee)
                else:
                    self.field(extensions, messages, ast.Label.NONE, extendee)
            except SkipStatement:
                self.skip_statement()
            if self.try_consume("}"):
                return

    def nested_message(self, message: ast.Message) -> None:
        self.message(message.messages)

    def nested_enum(self, message: ast.Message) -> None:
        self.enum(message.enums)


FILE_STATEMENTS: dict[str, Callable[[Parser, ast.File], None]] = {
    ";": Parser.empty_statement,
    "message": Parser.file_message,
    "enum": Parser.file_enum,
    "service": Parser.service,
    "extend": Parser.file_extend,
    "import": Parser.import_statement,
    "package": Parser.package,
    "option": Parser.file_option,
    "export": Parser.visible_definition,
    "local": Parser.visible_definition,
}

MESSAGE_STATEMENTS: dict[str, Callable[[Parser, ast.Message], None]] = {
    ";": Parser.empty_statement,
    "message": Parser.nested_message,
    "enum": Parser.nested_enum,
    "extensions": Parser.extensions,
    "reserved": Parser.reserved,
    "extend": Parser.message_extend,
    "option": Parser.message_option,
    "oneof": Parser.oneof,
    "export": Parser.message_visible_definition,
    "local": Parser.message_visible_definition,
    "optional": Parser.message_labelled_field,
    "required": Parser.message_labelled_field,
    "repeated": Parser.message_labelled_field,
}


def _add_synthetic_oneofs(message: ast.Message) -> None:
    """Give each proto3 ``optional`` field a oneof of its own, named so that it clashes with nothing."""
    fields = [field for field in message.fields if field.is_proto3_optional]
    if not fields:
        return
    names = {field.name for field in message.fields} | {oneof.name for oneof in message.oneofs}
    for field in fields:
        name = field.name if field.name.startswith("_") else f"_{field.name}"
        while name in names:
            name = f"X{name}"
        names.add(name)
        field.oneof_index = len(message.oneofs)
        message.oneofs.append(ast.Oneof(name, is_synthetic=True))
