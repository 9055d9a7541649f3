"""Source info: which part of the text each part of the descriptor comes from, and the comments beside it.

The records, and the parts of the walk that all declarations share; source_walker walks over whole files.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from puregrpc.proto.locate.comments import collect_comments
from puregrpc.proto.locate.element_paths import Path
from puregrpc.proto.parse.lexer import END, ExactTokens, TokenKind

__all__ = ["Counter", "Location", "OptionPlace", "Path", "SourceInfo", "TokenWalker"]

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


class Counter:
    """Counts the elements of one declaration, by field number."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}

    def next(self, number: int) -> int:
        index = self.counts.get(number, 0)
        self.counts[number] = index + 1
        return index


class TokenWalker:
    """Walks over tokens, noting locations and the comments that belong to them, and knows names and options."""

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

    # ---- options

    def option_statement(self, path: Path, counter: Counter) -> None:
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
