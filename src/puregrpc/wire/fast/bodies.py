"""Bodies that are not just messages: measured by a content-length, or none of gRPC's."""

from __future__ import annotations

from puregrpc.wire.compression import receiving_coding
from puregrpc.wire.framing import MessageReader
from puregrpc.wire.headers import BodyLength, foreign_failure
from puregrpc.wire.limits import FOREIGN_BODY_SIZE
from puregrpc.wire.status import Status

__all__ = ["ForeignBody", "LimitedReader", "MeasuredReader"]


class MeasuredReader(MessageReader):
    """A reader that also measures the body."""

    __slots__ = ("length",)

    def __init__(self, max_size: int, encoding: str, content_length: int) -> None:
        super().__init__(max_size, receiving_coding(encoding))
        self.length = BodyLength(content_length)


class LimitedReader(MessageReader):
    """A reader for a call with a limit of its own. It stays between messages, which go past other readers then."""

    __slots__ = ()


class ForeignBody:
    """The body of a response that is not gRPC's; its beginning is shown in the status."""

    __slots__ = ("_failure", "_text")

    def __init__(self, failure: Status) -> None:
        self._failure = failure
        self._text = b""

    def add(self, octets: bytes) -> bool:
        """Take octets; True if no more of them are wanted."""
        self._text = (self._text + octets[:FOREIGN_BODY_SIZE])[:FOREIGN_BODY_SIZE]
        return len(self._text) == FOREIGN_BODY_SIZE

    @property
    def status(self) -> Status:
        return foreign_failure(self._failure, self._text)
