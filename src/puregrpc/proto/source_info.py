"""Source info: which part of the text each part of the descriptor comes from, and the comments beside it.

A walk over the exact tokens of a file that is known to parse. The order of the locations, and which ones there are,
is protoc's (google/protobuf/descriptor.proto, SourceCodeInfo).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from puregrpc.proto.comments import collect_comments
from puregrpc.proto.lexer import END, ExactTokens, TokenKind
from puregrpc.proto.parser import LABELS, TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Location", "OptionPlace", "Path", "SourceInfo", "walk_source"]

Path = tuple[int, ...]
UNINTERPRETED_OPTION = 999


@dataclass(slots=True, eq=False)
class Location:
    """One location: tokens ``start`` to ``end``, the end included."""

    path: Path
    start: int
    end: int = -1
    leading: str = ""
    trailing: str = ""
    detached: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OptionPlace:
    """The tokens at which an option's name and value begin."""

    name: int
    value: int


@dataclass(slots=True)
class SourceInfo:
    """All locations of a file, and the places of its options by path ([..., options field, 999, index])."""

    tokens: ExactTokens
    locations: list[Location] = field(default_factory=list)
    options: dict[Path, OptionPlace] = field(default_factory=dict)
    imports: dict[str, int] = field(default_factory=dict)
    """The token at which a file was last imported."""


def walk_source(tokens: ExactTokens) -> SourceInfo:
    """The source info of a file whose syntax is right."""
    walker = _Walker(tokens)
    walker.file()
    return walker.result


class _Counter:
    """Counts the elements of one declaration, by field number."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}

    def next(self, number: int) -> int:
        index = self.counts.get(number, 0)
        self.counts[number] = index + 1
        return index


class _Walker:
    def __init__(self, tokens: ExactTokens) -> None:
        self.tokens = tokens
        self.texts = tokens.texts
        self.kinds = tokens.kinds
        self.at = 0
        self.result = SourceInfo(tokens)
        self.locations = self.result.locations
        self.upcoming_leading = ""
        self.upcoming_detached: list[str] = []
        self.is_edition = False
        self.has_visibility = False

    # ---- tokens and locations

    def open(self, path: Path, start: int = -1) -> Location:
        location = Location(path, self.at if start < 0 else start)
        self.locations.append(location)
        return location

    def close(self, location: Location) -> None:
        location.end = self.at - 1

    def mark(self, path: Path, start: int, end: int) -> None:
        """A location whose tokens are known."""
        self.locations.append(Location(path, start, end))

    def one(self, path: Path) -> None:
        """A location of the current token, which is then behind."""
        self.mark(path, self.at, self.at)
        self.at += 1

    def end_of_declaration(self, location: Location | None) -> None:
        """Go past a semicolon or brace: comments around it belong to ``location`` and to what follows."""
        token = self.texts[self.at]
        tokens = self.tokens
        following = self.texts[self.at + 1]
        comments = collect_comments(
            tokens.text,
            tokens.ends[self.at],
            tokens.starts[self.at + 1],
            "" if following == END else following,
            at_file_start=False,
        )
        self.at += 1
        leading, self.upcoming_leading = self.upcoming_leading, comments.leading
        if location is not None:
            location.leading = leading
            location.trailing = comments.trailing
            location.detached, self.upcoming_detached = self.upcoming_detached, comments.detached
        elif token == "}":
            self.upcoming_detached = comments.detached
        else:
            self.upcoming_detached = self.upcoming_detached + comments.detached

    def dotted_name(self) -> None:
        """Go past a name with dots."""
        texts = self.texts
        if texts[self.at] == ".":
            self.at += 1
        self.at += 1
        while texts[self.at] == ".":
            self.at += 2

    def strings(self) -> None:
        while self.kinds[self.at] == TokenKind.STRING:
            self.at += 1

    # ---- file level

    def file(self) -> None:
        text = self.tokens.text
        start = 3 if text.startswith("\xef\xbb\xbf") else 0
        first = self.texts[0]
        comments = collect_comments(
            text, start, self.tokens.starts[0], "" if first == END else first, at_file_start=True
        )
        self.upcoming_leading = comments.leading
        self.upcoming_detached = comments.detached
        root = self.open(())
        if first in ("syntax", "edition"):
            location = self.open((12,))
            self.is_edition = first == "edition"
            self.at += 2
            self.has_visibility = self.is_edition and self.texts[self.at][1:-1] not in ("2023", "LEGACY")
            self.strings()
            self.end_of_declaration(location)
            self.close(location)
        counter = _Counter()
        while self.texts[self.at] != END:
            self.top_level_statement(counter)
        self.close(root)

    def top_level_statement(self, counter: _Counter) -> None:
        word = self.texts[self.at]
        if word in ("export", "local"):
            self.at += 1
            word = self.texts[self.at]
        if word == ";":
            self.end_of_declaration(None)
        elif word == "message":
            self.message((4, counter.next(4)))
        elif word == "enum":
            self.enum((5, counter.next(5)))
        elif word == "service":
            self.service((6, counter.next(6)))
        elif word == "extend":
            self.extend((), 7, 4, counter)
        elif word == "import":
            self.import_statement(counter)
        elif word == "package":
            location = self.open((2,))
            self.at += 1
            self.dotted_name()
            self.end_of_declaration(location)
            self.close(location)
        else:
            self.option_statement((8,), counter)

    def import_statement(self, counter: _Counter) -> None:
        start = self.at
        modifier = self.texts[self.at + 1]
        if modifier == "option":
            location = self.open((15, counter.next(15)))
            self.at += 2
        else:
            location = self.open((3, counter.next(3)))
            self.at += 1
            if modifier == "public":
                self.one((10, counter.next(10)))
            elif modifier == "weak":
                self.one((11, counter.next(11)))
        path = "".join(_unquoted(text) for text in self.texts[self.at : self.find_end_of_strings()])
        self.strings()
        self.result.imports[path] = start
        self.end_of_declaration(location)
        self.close(location)

    def find_end_of_strings(self) -> int:
        end = self.at
        while self.kinds[end] == TokenKind.STRING:
            end += 1
        return end

    # ---- options

    def option_statement(self, path: Path, counter: _Counter) -> None:
        """``option name = value;``: a location for the options and one for the option."""
        outer = self.open(path)
        option_path = (*path, UNINTERPRETED_OPTION, counter.next(path[-1] * 1000 + UNINTERPRETED_OPTION))
        location = self.open(option_path)
        self.at += 1
        self.option(option_path)
        self.end_of_declaration(location)
        self.close(location)
        self.close(outer)

    def bracketed_options(self, path: Path, *, is_field: bool = False) -> None:
        """``[name = value, ...]``."""
        location = self.open(path)
        index = 0
        self.at += 1
        while True:
            word = self.texts[self.at]
            if is_field and word == "default":
                self.at += 2
                default = self.open((*path[:-1], 7))
                self.default_value()
                self.close(default)
            elif is_field and word == "json_name":
                json_name = self.open((*path[:-1], 10))
                self.at += 2
                value = self.open((*path[:-1], 10))
                self.strings()
                self.close(value)
                self.close(json_name)
            else:
                option_path = (*path, UNINTERPRETED_OPTION, index)
                index += 1
                option = self.open(option_path)
                self.option(option_path)
                self.close(option)
            self.at += 1
            if self.texts[self.at - 1] == "]":
                break
        self.close(location)

    def default_value(self) -> None:
        if self.texts[self.at] == "-":
            self.at += 1
        if self.kinds[self.at] == TokenKind.STRING:
            self.strings()
        else:
            self.at += 1

    def option(self, path: Path) -> None:
        """``name = value``."""
        texts = self.texts
        name = self.at
        while texts[self.at] != "=":
            self.at += 1
        self.at += 1
        self.result.options[path] = OptionPlace(name, self.at)
        if texts[self.at] == "-":
            self.at += 1
        if self.kinds[self.at] == TokenKind.STRING:
            self.strings()
        elif texts[self.at] == "{":
            depth = 0
            while True:
                depth += (texts[self.at] == "{") - (texts[self.at] == "}")
                self.at += 1
                if depth == 0:
                    break
        else:
            self.at += 1

    # ---- messages

    def message(self, path: Path) -> None:
        location = self.open(path)
        self.at += 1
        self.one((*path, 1))
        self.message_block(location)
        self.close(location)

    def message_block(self, location: Location) -> None:
        path = location.path
        self.end_of_declaration(location)
        counter = _Counter()
        while self.texts[self.at] != "}":
            self.message_statement(path, counter)
        self.end_of_declaration(None)

    def message_statement(self, path: Path, counter: _Counter) -> None:
        word = self.texts[self.at]
        if word in ("export", "local") and self.has_visibility:
            self.at += 1
            word = self.texts[self.at]
        if word == ";":
            self.end_of_declaration(None)
        elif word == "message":
            self.message((*path, 3, counter.next(3)))
        elif word == "enum":
            self.enum((*path, 4, counter.next(4)))
        elif word == "extensions":
            self.extensions(path, counter)
        elif word == "reserved":
            self.reserved(path, counter, 9, 10)
        elif word == "extend":
            self.extend(path, 6, 3, counter)
        elif word == "option":
            self.option_statement((*path, 7), counter)
        elif word == "oneof":
            self.oneof(path, counter)
        else:
            location = self.open((*path, 2, counter.next(2)))
            self.field(location, path, 3, counter)
            self.close(location)

    def field(self, location: Location, parent: Path, nested_number: int, counter: _Counter) -> None:
        path = location.path
        texts = self.texts
        if texts[self.at] in LABELS:
            self.one((*path, 4))
        type_location = self.open(path)
        word = texts[self.at]
        is_map = word == "map" and texts[self.at + 1] == "<"
        is_group = word == "group"
        if is_map:
            while texts[self.at] != ">":
                self.at += 1
            self.at += 1
            type_location.path = (*path, 6)
        elif word in TYPES:
            self.at += 1
            type_location.path = (*path, 5)
        else:
            self.dotted_name()
            type_location.path = (*path, 6)
        self.close(type_location)
        name = self.at
        self.one((*path, 1))
        self.at += 1
        self.one((*path, 3))
        if texts[self.at] == "[":
            self.bracketed_options((*path, 8), is_field=True)
        if is_group:
            group = self.open((*parent, nested_number, counter.next(nested_number)), location.start)
            self.mark((*group.path, 1), name, name)
            self.mark((*path, 6), name, name)
            self.message_block(group)
            self.close(group)
        else:
            self.end_of_declaration(location)
            if is_map:
                counter.next(nested_number)

    def oneof(self, path: Path, counter: _Counter) -> None:
        location = self.open((*path, 8, counter.next(8)))
        self.at += 1
        self.one((*location.path, 1))
        self.end_of_declaration(location)
        options = _Counter()
        while True:
            if self.texts[self.at] == "option":
                self.option_statement((*location.path, 2), options)
            else:
                field_location = self.open((*path, 2, counter.next(2)))
                self.field(field_location, path, 3, counter)
                self.close(field_location)
            if self.texts[self.at] == "}":
                break
        self.end_of_declaration(None)
        self.close(location)

    def extend(self, path: Path, number: int, nested_number: int, counter: _Counter) -> None:
        location = self.open((*path, number))
        self.at += 1
        extendee = self.at
        self.dotted_name()
        extendee_end = self.at - 1
        self.end_of_declaration(location)
        while True:
            field_location = self.open((*path, number, counter.next(number)))
            self.mark((*field_location.path, 2), extendee, extendee_end)
            self.field(field_location, path, nested_number, counter)
            self.close(field_location)
            if self.texts[self.at] == "}":
                break
        self.end_of_declaration(None)
        self.close(location)

    # ---- ranges

    def extensions(self, path: Path, counter: _Counter) -> None:
        location = self.open((*path, 5))
        self.at += 1
        ranges = []
        while True:
            range_path = (*path, 5, counter.next(5))
            ranges.append(range_path)
            self.number_range(range_path)
            if self.texts[self.at] != ",":
                break
            self.at += 1
        if self.texts[self.at] == "[":
            start = self.at
            for range_path in ranges:
                self.at = start
                self.bracketed_options((*range_path, 3))
        self.end_of_declaration(location)
        self.close(location)

    def number_range(self, path: Path) -> None:
        """``start [to end]``; a single number is both."""
        location = self.open(path)
        first = self.at
        self.signed_number()
        self.mark((*path, 1), first, self.at - 1)
        if self.texts[self.at] == "to":
            self.at += 1
            start = self.at
            self.signed_number()
            self.mark((*path, 2), start, self.at - 1)
        else:
            self.mark((*path, 2), first, first)
        self.close(location)

    def signed_number(self) -> None:
        self.at += 2 if self.texts[self.at] == "-" else 1

    def reserved(self, path: Path, counter: _Counter, range_number: int, name_number: int) -> None:
        following = self.at + 1
        number = range_number
        item: Callable[[Path], None] = self.number_range
        if self.kinds[following] == TokenKind.STRING:
            number, item = name_number, self.reserved_string
        elif self.kinds[following] == TokenKind.IDENTIFIER:
            number, item = name_number, self.one
        location = self.open((*path, number))
        self.at += 1
        while True:
            item((*path, number, counter.next(number)))
            if self.texts[self.at] != ",":
                break
            self.at += 1
        self.end_of_declaration(location)
        self.close(location)

    def reserved_string(self, path: Path) -> None:
        location = self.open(path)
        self.strings()
        self.close(location)

    # ---- enums and services

    def enum(self, path: Path) -> None:
        location = self.open(path)
        self.at += 1
        self.one((*path, 1))
        self.end_of_declaration(location)
        counter = _Counter()
        while (word := self.texts[self.at]) != "}":
            if word == ";":
                self.end_of_declaration(None)
            elif word == "option":
                self.option_statement((*path, 3), counter)
            elif word == "reserved":
                self.reserved(path, counter, 4, 5)
            else:
                self.enum_value((*path, 2, counter.next(2)))
        self.end_of_declaration(None)
        self.close(location)

    def enum_value(self, path: Path) -> None:
        location = self.open(path)
        self.one((*path, 1))
        self.at += 1
        start = self.at
        self.signed_number()
        self.mark((*path, 2), start, self.at - 1)
        if self.texts[self.at] == "[":
            self.bracketed_options((*path, 3))
        self.end_of_declaration(location)
        self.close(location)

    def service(self, path: Path) -> None:
        location = self.open(path)
        self.at += 1
        self.one((*path, 1))
        self.end_of_declaration(location)
        counter = _Counter()
        while (word := self.texts[self.at]) != "}":
            if word == ";":
                self.end_of_declaration(None)
            elif word == "option":
                self.option_statement((*path, 3), counter)
            else:
                self.method((*path, 2, counter.next(2)))
        self.end_of_declaration(None)
        self.close(location)

    def method(self, path: Path) -> None:
        location = self.open(path)
        self.at += 1
        self.one((*path, 1))
        for stream_number, type_number in ((5, 2), (6, 3)):
            self.at += 1 if stream_number == 5 else 2
            if self.texts[self.at] == "stream":
                self.one((*path, stream_number))
            start = self.at
            self.dotted_name()
            self.mark((*path, type_number), start, self.at - 1)
            self.at += 1
        if self.texts[self.at] == "{":
            self.end_of_declaration(location)
            counter = _Counter()
            while self.texts[self.at] != "}":
                if self.texts[self.at] == ";":
                    self.end_of_declaration(None)
                else:
                    self.option_statement((*path, 4), counter)
            self.end_of_declaration(None)
        else:
            self.end_of_declaration(location)
        self.close(location)


def _unquoted(token: str) -> str:
    return token[1:-1]
