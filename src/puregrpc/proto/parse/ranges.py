"""The ranges of the grammar: ``extensions`` and ``reserved``, the latter with names too."""

from __future__ import annotations

from puregrpc.proto.descriptors import MAX_FIELD_NUMBER
from puregrpc.proto.parse import ast
from puregrpc.proto.parse.fields import FieldParser
from puregrpc.proto.parse.lexer import is_identifier
from puregrpc.proto.parse.token_stream import LARGEST_INT32

__all__ = ["RangeParser", "set_max_ends"]

NO_INTEGER_END = -1
"""What stands for ``max`` until the message's options have been read."""


class RangeParser(FieldParser):
    """Parses ranges of numbers."""

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


def _is_message_set(message: ast.Message) -> bool:
    return any(
        option.name == (("message_set_wire_format", False),)
        and option.kind == ast.ValueKind.IDENTIFIER
        and option.value == "true"
        for option in message.options or ()
    )


def set_max_ends(message: ast.Message) -> None:
    """Replace ``max`` by the largest number there is, which only the message's options decide."""
    largest = LARGEST_INT32 if _is_message_set(message) else MAX_FIELD_NUMBER + 1
    for extension_range in message.extension_ranges:
        if extension_range.end == NO_INTEGER_END:
            extension_range.end = largest
    message.reserved_ranges[:] = [
        (start, largest if end == NO_INTEGER_END else end) for start, end in message.reserved_ranges
    ]
