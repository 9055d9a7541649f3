"""The walk over the exact tokens of a file that is known to parse, which makes its source info.

The order of the locations, and which ones there are, is protoc's (google/protobuf/descriptor.proto, SourceCodeInfo).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.proto.find.import_paths import decode_path
from puregrpc.proto.locate.comments import collect_comments
from puregrpc.proto.locate.source_info import Counter, Location, Path, SourceInfo, TokenWalker
from puregrpc.proto.parse.fields import LABELS, TYPES
from puregrpc.proto.parse.lexer import END, ExactTokens, TokenKind
from puregrpc.proto.parse.literals import unescape

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["walk_source"]


def walk_source(tokens: ExactTokens) -> SourceInfo:
    """The source info of a file whose syntax is right."""
    walker = FileWalker(tokens)
    walker.file()
    return walker.result


class FileWalker(TokenWalker):
    """Walks over one file."""

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
        counter = Counter()
        while self.texts[self.at] != END:
            self.top_level_statement(counter)
        self.close(root)

    def top_level_statement(self, counter: Counter) -> None:
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

    def import_statement(self, counter: Counter) -> None:
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
        path = "".join(unescape(text) or "" for text in self.texts[self.at : self.find_end_of_strings()])
        self.strings()
        self.result.imports[decode_path(path)] = start
        self.end_of_declaration(location)
        self.close(location)

    def find_end_of_strings(self) -> int:
        end = self.at
        while self.kinds[end] == TokenKind.STRING:
            end += 1
        return end

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
        counter = Counter()
        while self.texts[self.at] != "}":
            self.message_statement(path, counter)
        self.end_of_declaration(None)

    def message_statement(self, path: Path, counter: Counter) -> None:
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

    def field(self, location: Location, parent: Path, nested_number: int, counter: Counter) -> None:
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

    def oneof(self, path: Path, counter: Counter) -> None:
        location = self.open((*path, 8, counter.next(8)))
        self.at += 1
        self.one((*location.path, 1))
        self.end_of_declaration(location)
        options = Counter()
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

    def extend(self, path: Path, number: int, nested_number: int, counter: Counter) -> None:
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

    def extensions(self, path: Path, counter: Counter) -> None:
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

    def reserved(self, path: Path, counter: Counter, range_number: int, name_number: int) -> None:
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
        counter = Counter()
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
        counter = Counter()
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
            counter = Counter()
            while self.texts[self.at] != "}":
                if self.texts[self.at] == ";":
                    self.end_of_declaration(None)
                else:
                    self.option_statement((*path, 4), counter)
            self.end_of_declaration(None)
        else:
            self.end_of_declaration(location)
        self.close(location)
