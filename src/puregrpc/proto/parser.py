"""Tokens to syntax tree: recursive descent over the grammar of the language specification.

https://protobuf.dev/reference/protobuf/proto2-spec/, .../proto3-spec/ and .../edition-2023-spec/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.proto import ast
from puregrpc.proto.lexer import END, ExactTokens, is_identifier
from puregrpc.proto.parser_fields import FIXED_WIRE_TYPES, LABELS, MAX_MESSAGE_DEPTH, TYPES, FieldParser
from puregrpc.proto.token_stream import LARGEST_INT32, SMALL_INTEGERS, NotQuick, SkipStatement

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EDITIONS", "MAX_FIELD_NUMBER", "MAX_MESSAGE_DEPTH", "Parser"]

MAX_FIELD_NUMBER = (1 << 29) - 1

EDITIONS = {
    "2023": 1000, "2024": 1001, "2026": 1002, "UNSTABLE": 9999, "LEGACY": 900, "MAX": 0x7FFFFFFF,
    "1_TEST_ONLY": 1, "2_TEST_ONLY": 2,
    "99997_TEST_ONLY": 99997, "99998_TEST_ONLY": 99998, "99999_TEST_ONLY": 99999,
}  # fmt: skip
"""google.protobuf.Edition by the text of an edition statement."""

EDITION_2023 = 1000
EDITION_2024 = 1001
EDITION_UNSTABLE = 9999

NO_INTEGER_END = -1


class Parser(FieldParser):
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
            file.imports.append(ast.Import(self.string(problem), "option"))
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
        file.imports.append(ast.Import(self.string(problem), modifier))
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
            _set_max_ends(message)
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

    # ---- ranges and reserved names

    def extensions(self, message: ast.Message) -> None:
        """``extensions 100 to 199, 500 to max [options];``."""
        self.at += 1
        first = len(message.extension_ranges)
        while True:
            extension_range = ast.ExtensionRange(0, 0)
            message.extension_ranges.append(extension_range)
            start, end = self.number_range("Expected field number range.")
            extension_range.start, extension_range.end = start, end
            if not self.try_consume(","):
                break
        if self.tokens[self.at] == "[":
            options = self.bracketed_options([])
            for extension_range in message.extension_ranges[first:]:
                extension_range.options = options
        self.consume(";")

    def number_range(self, problem: str) -> tuple[int, int]:
        """``start [to end | max]``, the end left out; NO_INTEGER_END for max."""
        start = self.integer(problem)
        if start == LARGEST_INT32:
            self.fail("Field number out of bounds.")
        if not self.try_consume("to"):
            return start, start + 1
        if self.try_consume("max"):
            return start, NO_INTEGER_END
        end = self.integer("Expected integer.")
        if end == LARGEST_INT32:
            self.fail("Field number out of bounds.")
        return start, end + 1

    def reserved(self, message: ast.Message) -> None:
        """``reserved`` numbers or names of a message."""
        self.at += 1
        if self.reserved_names(
            message.reserved_names, "Expected field name string literal.", "Expected field name identifier."
        ):
            return
        problem = "Expected field name or number range."
        while True:
            message.reserved_ranges.append((0, 0))
            message.reserved_ranges[-1] = self.number_range(problem)
            problem = "Expected field number range."
            if not self.try_consume(","):
                break
        self.consume(";")

    def enum_reserved(self, enum: ast.Enum) -> None:
        """``reserved`` numbers or names of an enum; its ranges include their end."""
        self.at += 1
        if self.reserved_names(
            enum.reserved_names, "Expected enum value string literal.", "Expected enum value identifier."
        ):
            return
        problem = "Expected enum value or number range."
        while True:
            enum.reserved_ranges.append((0, 0))
            start = end = self.signed_integer(problem)
            problem = "Expected enum number range."
            if self.try_consume("to"):
                end = LARGEST_INT32 if self.try_consume("max") else self.signed_integer("Expected integer.")
            enum.reserved_ranges[-1] = (start, end)
            if not self.try_consume(","):
                break
        self.consume(";")

    def reserved_names(self, names: list[str], string_problem: str, identifier_problem: str) -> bool:
        """The names behind ``reserved``, if names stand there: strings, in editions identifiers."""
        if self.at_string():
            if self.syntax == "editions":
                self.fail("Reserved names must be identifiers in editions, not string literals.")
            while True:
                at = self.at
                name = self.string(string_problem)
                names.append(name)
                if not is_identifier(name):
                    self.warnings.append((at, f'Reserved name "{name}" is not a valid identifier.'))
                if not self.try_consume(","):
                    break
        elif self.tokens[self.at].isidentifier():
            if self.syntax != "editions":
                self.fail("Reserved names must be string literals. (Only editions supports identifiers.)")
            while True:
                names.append(self.identifier(identifier_problem))
                if not self.try_consume(","):
                    break
        else:
            return False
        self.consume(";")
        return True

    # ---- enums

    def enum(self, enums: list[ast.Enum], visibility: int = ast.Visibility.UNSET) -> None:
        """``enum Name { ... }``."""
        enum = ast.Enum("", visibility=visibility)
        enums.append(enum)
        self.at += 1
        enum.name = self.identifier("Expected enum name.")
        self.consume("{")
        tokens = self.tokens
        values = enum.values
        while True:
            word = tokens[self.at]
            if word == "}":
                break
            if self.at_end():
                self.fail("Reached end of input in enum definition (missing '}').")
            try:
                if word == ";":
                    self.at += 1
                elif word == "option":
                    if enum.options is None:
                        enum.options = []
                    self.option_statement(enum.options)
                elif word == "reserved":
                    self.enum_reserved(enum)
                else:
                    self.enum_value(values)
            except SkipStatement:
                self.skip_statement()
        self.at += 1
        self.check_aliases(enum)

    def enum_value(self, values: list[ast.EnumValue]) -> None:
        """``NAME = number [options];``."""
        tokens = self.tokens
        at = self.at
        name = tokens[at]
        if not self.exact and tokens[at + 1] == "=" and tokens[at + 3] == ";" and name.isidentifier():
            number = SMALL_INTEGERS.get(tokens[at + 2])
            if number is not None:
                values.append(ast.EnumValue(name, number))
                self.at = at + 4
                return
        value = ast.EnumValue(name, 0)
        values.append(value)
        if not name.isidentifier():
            self.fail("Expected enum constant name.")
        self.at += 1
        if tokens[self.at] != "=":
            self.fail("Missing numeric value for enum constant.")
        self.at += 1
        value.number = self.signed_integer("Expected integer.")
        if tokens[self.at] == "[":
            value.options = self.bracketed_options([])
        if tokens[self.at] != ";":
            self.fail('Expected ";".')
        self.at += 1

    def check_aliases(self, enum: ast.Enum) -> None:
        """allow_alias must be true, and must be needed."""
        for option in enum.options or ():
            if option.name == (("allow_alias", False),):
                break
        else:
            return
        if option.kind != ast.ValueKind.IDENTIFIER or option.value != "true":
            self.fail(
                f"\"{enum.name}\" declares 'option allow_alias = false;' which has no effect. "
                "Please remove the declaration."
            )
        if len({value.number for value in enum.values}) == len(enum.values):
            self.fail(
                f'"{enum.name}" declares support for enum aliases but no enum values share field numbers. '
                "Please remove the unnecessary 'option allow_alias = true;' declaration."
            )

    # ---- services

    def service(self, file: ast.File) -> None:
        """``service Name { ... }``."""
        service = ast.Service("")
        file.services.append(service)
        self.at += 1
        service.name = self.identifier("Expected service name.")
        self.consume("{")
        while not self.try_consume("}"):
            if self.at_end():
                self.fail("Reached end of input in service definition (missing '}').")
            word = self.tokens[self.at]
            try:
                if word == ";":
                    self.at += 1
                elif word == "option":
                    if service.options is None:
                        service.options = []
                    self.option_statement(service.options)
                else:
                    self.method(service)
            except SkipStatement:
                self.skip_statement()

    def method(self, service: ast.Service) -> None:
        """``rpc Name([stream] Input) returns ([stream] Output);`` or with options in braces."""
        method = ast.Method("", "", "")
        service.methods.append(method)
        self.consume("rpc")
        method.name = self.identifier("Expected method name.")
        self.consume("(")
        method.is_client_stream = self.try_consume("stream")
        method.input_type = self.type_name()
        self.consume(")")
        self.consume("returns")
        self.consume("(")
        method.is_server_stream = self.try_consume("stream")
        method.output_type = self.type_name()
        self.consume(")")
        if self.try_consume("{"):
            method.options = []
            while not self.try_consume("}"):
                if self.at_end():
                    self.fail("Reached end of input in method options (missing '}').")
                if self.try_consume(";"):
                    continue
                try:
                    self.option_statement(method.options)
                except SkipStatement:
                    self.skip_statement()
        else:
            self.consume(";")


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


def _is_message_set(message: ast.Message) -> bool:
    return any(
        option.name == (("message_set_wire_format", False),)
        and option.kind == ast.ValueKind.IDENTIFIER
        and option.value == "true"
        for option in message.options or ()
    )


def _set_max_ends(message: ast.Message) -> None:
    """Replace ``max`` by the largest number there is, which only the message's options decide."""
    largest = LARGEST_INT32 if _is_message_set(message) else MAX_FIELD_NUMBER + 1
    for extension_range in message.extension_ranges:
        if extension_range.end == NO_INTEGER_END:
            extension_range.end = largest
    message.reserved_ranges[:] = [
        (start, largest if end == NO_INTEGER_END else end) for start, end in message.reserved_ranges
    ]


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
