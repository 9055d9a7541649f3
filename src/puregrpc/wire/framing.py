"""Length-Prefixed-Messages: a flag, four octets of length, the message (PROTOCOL-HTTP2, "Length-Prefixed-Message")."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

from puregrpc.errors import InvalidArgument, RemoteProtocolError
from puregrpc.wire.compression import CODINGS, Coding, CompressedMessage, MessageTooLarge

__all__ = ["PREFIX_SIZE", "MessageReader", "encode_message", "prefix"]

PREFIX_SIZE = 5

_IDENTITY = CODINGS["identity"]


def prefix(length: int, *, compressed: bool = False) -> bytes:
    """The five octets in front of a message of ``length`` octets."""
    return (b"\x01" if compressed else b"\x00") + length.to_bytes(4, "big")


def encode_message(message: bytes, coding: Coding = _IDENTITY, max_size: int = 2**32 - 1) -> bytes:
    """A message with its prefix, compressed if the coding is not identity.

    Raises InvalidArgument if the message, or what it is compressed to, has more than ``max_size`` octets.
    """
    if len(message) > max_size:
        raise InvalidArgument(f"trying to send message larger than max ({len(message)} vs. {max_size})")
    if coding is _IDENTITY:
        return prefix(len(message)) + message
    compressed = coding.compress(message)
    if len(compressed) > max_size:
        raise InvalidArgument(f"trying to send message larger than max ({len(compressed)} vs. {max_size})")
    return prefix(len(compressed), compressed=True) + compressed


class MessageReader:
    """Cuts a stream of octets, given in pieces of any size, into messages, and inflates them; ``inflates`` False
    leaves that to whoever takes them (`CompressedMessage`).

    The size limit holds as soon as a prefix is there and again while a message is inflated. No memory is set aside
    on the word of a prefix: a message takes what has come of it.
    """

    __slots__ = (
        "_body",
        "_head",
        "_inflates",
        "coding",
        "is_compressed",
        "max_size",
        "missing",
        "partial",
        "wire_size",
    )

    def __init__(self, max_size: int, coding: Coding = _IDENTITY, *, inflates: bool = True) -> None:
        self.max_size = max_size
        self.coding = coding
        self._inflates = inflates
        self.partial = 0
        """Octets taken of a message that is not complete, its prefix included."""
        self.wire_size = 0
        """Octets that the message given last took on the wire, its prefix included."""
        self._head = b""
        self._body: BytesIO | None = None
        self.missing = 0
        """Octets that are still to come of a message whose prefix has come."""
        self.is_compressed = False
        """Whether the message given last came compressed."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take octets and give the messages that they complete, in order.

        Raises MessageTooLarge, or RemoteProtocolError for a prefix or a message that breaks the rules, once the
        messages in front of it are given. After that the reader is of no use any more.
        """
        position, end = 0, len(data)
        while position < end:
            body = self._body
            if body is not None:
                piece = data[position : position + self.missing] if position or end > self.missing else data
                body.write(piece)
                position += len(piece)
                self.missing -= len(piece)
                self.partial += len(piece)
                if self.missing:
                    return
                self._body = None
                yield self._finish(body.getvalue())
                continue
            if self._head or end - position < PREFIX_SIZE:
                piece = data[position : position + PREFIX_SIZE - len(self._head)]
                head = self._head + piece
                position += len(piece)
                self.partial += len(piece)
                if len(head) < PREFIX_SIZE:
                    self._head = head
                    self._check_flag(head[0])
                    return
                self._head = b""
            else:
                head = data[position : position + PREFIX_SIZE]
                position += PREFIX_SIZE
                self.partial += PREFIX_SIZE
            self._check_flag(head[0])
            length = int.from_bytes(head[1:], "big")
            if length > self.max_size:
                raise MessageTooLarge(f"grpc: received message larger than max ({length} vs. {self.max_size})")
            if end - position >= length:
                message = data[position : position + length]
                position += length
                self.partial += length
                yield self._finish(message)
            else:
                self.missing = length
                self._body = BytesIO()

    def take_part(self, data: memoryview) -> None:
        """Take octets that are fewer than ``missing``: a part of a message, which they do not complete."""
        if self._body is not None:
            self._body.write(data)
            self.missing -= len(data)
            self.partial += len(data)

    def _check_flag(self, flag: int) -> None:
        if flag > 1:
            raise RemoteProtocolError(f"a message's compressed flag is {flag}, neither 0 nor 1")
        if flag and self.coding is _IDENTITY:
            raise RemoteProtocolError("a message's compressed flag is set, but no grpc-encoding was announced")
        self.is_compressed = bool(flag)

    def _finish(self, message: bytes) -> bytes:
        self.wire_size = self.partial
        self.partial = 0
        if not self.is_compressed:
            return message
        if self._inflates:
            return self.coding.decompress(message, self.max_size)
        return CompressedMessage.of(message, self.coding, self.max_size)

    def finish(self) -> None:
        """No more octets will come. Raises RemoteProtocolError if a message is not complete."""
        if self.partial:
            raise RemoteProtocolError(f"the stream ended within a message, after {self.partial} octets of it")
