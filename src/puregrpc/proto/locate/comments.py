"""Comments, and what they belong to: the declaration they follow, the one they precede, or neither.

The rules are those that google/protobuf/descriptor.proto states for SourceCodeInfo.Location.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["Comments", "collect_comments"]

BLANKS = re.compile(r"[ \t\r\v\f]*")
LINE_COMMENT = re.compile(r"//([^\n\0]*\n?)")
BLOCK_COMMENT = re.compile(r"/\*(.*?)\*/", re.DOTALL)
CONTINUATION = re.compile(r"\n[ \t\r\v\f]*\*?")
SCOPE_ENDS = ("}", "]", ")")


@dataclass(slots=True)
class Comments:
    """The comments between two tokens."""

    trailing: str = ""
    """Of the declaration before."""
    detached: list[str] = field(default_factory=list)
    leading: str = ""
    """Of the declaration behind."""


NO_COMMENTS = Comments()


def collect_comments(text: str, start: int, next_start: int, next_token: str, *, at_file_start: bool) -> Comments:
    """Attribute the comments in ``text[start:next_start]``; ``next_token`` is empty at the end of the file."""
    if text.find("/", start, next_start) < 0:
        return NO_COMMENTS
    return _Collector(text, start, next_start, next_token).collect(at_file_start=at_file_start)


class _Collector:
    def __init__(self, text: str, start: int, next_start: int, next_token: str) -> None:
        self.text = text
        self.at = start
        self.start = start
        self.end = next_start
        self.next_token = next_token
        self.result = Comments()
        self.buffer: str | None = None
        self.buffer_is_line_comment = False
        self.can_follow = True
        """Whether a comment may still belong to the declaration before."""
        self.has_trailing = False
        self.finished = 0

    def collect(self, *, at_file_start: bool) -> Comments:
        same_line_comment_end = -1
        if at_file_start:
            self.can_follow = False
        else:
            self.skip_blanks()
            if (comment := self.line_comment()) is not None:
                same_line_comment_end = self.at - 1
                self.buffer = comment
                self.flush()
            elif (comment := self.block_comment()) is not None:
                same_line_comment_end = self.at
                self.buffer = comment
                self.skip_blanks()
                self.flush()
            elif not self.newline():
                return self.result
        while True:
            self.skip_blanks()
            if (comment := self.line_comment()) is not None:
                if self.buffer is not None and not self.buffer_is_line_comment:
                    self.flush()
                self.buffer = (self.buffer or "") + comment
                self.buffer_is_line_comment = True
            elif (comment := self.block_comment()) is not None:
                self.flush()
                self.buffer = comment
                self.buffer_is_line_comment = False
                self.skip_blanks()
                self.newline()
            elif self.newline():
                self.flush()
                self.can_follow = False
            else:
                break
        if self.next_token in SCOPE_ENDS or not self.next_token:
            self.flush()
        if self.next_token and (
            (not at_file_start and self.is_same_line(self.start))
            or (same_line_comment_end >= 0 and self.is_same_line(same_line_comment_end))
        ):
            self.detach_single()
        self.result.leading = self.buffer or ""
        return self.result

    def is_same_line(self, offset: int) -> bool:
        """Whether the next token stands in the line of ``offset``."""
        return self.text.find("\n", offset, self.end) < 0

    def flush(self) -> None:
        """The comment in the buffer is complete and belongs to no declaration behind it."""
        if self.buffer is None:
            return
        if self.can_follow:
            self.result.trailing += self.buffer
            self.has_trailing = True
            self.can_follow = False
        else:
            self.result.detached.append(self.buffer)
        self.buffer = None
        self.finished += 1

    def detach_single(self) -> None:
        """A lone comment between two declarations in one line could belong to either: it belongs to neither."""
        if self.finished + (self.buffer is not None) != 1:
            return
        if self.has_trailing:
            self.result.detached.insert(0, self.result.trailing)
            self.result.trailing = ""
        self.flush()

    def skip_blanks(self) -> None:
        match = BLANKS.match(self.text, self.at, self.end)
        if match:
            self.at = match.end()

    def newline(self) -> bool:
        if self.at < self.end and self.text[self.at] == "\n":
            self.at += 1
            return True
        return False

    def line_comment(self) -> str | None:
        match = LINE_COMMENT.match(self.text, self.at, self.end)
        if match is None:
            return None
        self.at = match.end()
        return match[1]

    def block_comment(self) -> str | None:
        """The text of a block comment without the blanks and the asterisk that its lines begin with."""
        match = BLOCK_COMMENT.match(self.text, self.at, self.end)
        if match is None:
            return None
        self.at = match.end()
        return CONTINUATION.sub("\n", match[1])
