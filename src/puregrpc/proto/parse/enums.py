"""The enum half of the grammar: ``enum Name { NAME = number [options]; }``."""

from __future__ import annotations

from puregrpc.proto.parse import ast
from puregrpc.proto.parse.ranges import RangeParser
from puregrpc.proto.parse.token_stream import SMALL_INTEGERS, SkipStatement

__all__ = ["EnumParser"]


class EnumParser(RangeParser):
    """Parses enums."""

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
