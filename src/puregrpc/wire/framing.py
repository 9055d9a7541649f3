"""Length-Prefixed-Messages: a flag, four octets of length, the message (PROTOCOL-HTTP2, "Length-Prefixed-Message")."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from io import BytesIO

from puregrpc.errors import InvalidArgument, RemoteProtocolError
from puregrpc.wire.compression import CODINGS, Coding, CompressedMessage, MessageTooLarge

__all__ = ["PREFIX_SIZE", "MessageReader", "encode_message", "prefix", "size_of"]

PREFIX_SIZE = 5

_IDENTITY = CODINGS["identity"]

_GROWTH = 8
_MODEST_GROWTH = 2
"""How many times what has come of a message is set aside for it, its length at most."""

_MOST_SET_ASIDE = 16 << 20
"""Allocators take larger blocks from the system each time (glibc from 32 MiB on), and so can make them larger where
they are. Of smaller ones they keep what was freed, if the next one asks for no more than that."""

_LARGE = 1 << 20
"""A message of so many octets costs more to find memory for than to receive."""


class _Allocator:
    """Has the C library keep the memory of large messages that were let go, for those that come after them.

    glibc gives the end of its heap back to the system from twice the largest block on that was mapped and freed
    (mallopt(3), M_MMAP_THRESHOLD). A message and what it is decoded to come to just that together; each message would
    be written to pages new from the system then, which is most of its cost. So, before the first message of its size,
    a block of twice the size is mapped and freed. Nothing is written to it: it takes no memory, and 10 µs.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known = 0

    def expect(self, size: int) -> None:
        """Blocks of ``size`` octets will come and go."""
        if size > self._known:
            self._known = 1 << (size - 1).bit_length()
            with suppress(MemoryError):
                bytes(2 * self._known - 4096)  # glibc looks at blocks below 32 MiB, their heads included


_allocator = _Allocator()


def prefix(length: int, *, compressed: bool = False) -> bytes:
    """The five octets in front of a message of ``length`` octets."""
    return (b"\x01" if compressed else b"\x00") + length.to_bytes(4, "big")


def size_of(message: object) -> int:
    """How many octets a message has. Raises TypeError for what is no bytes, before anything is made of it."""
    if isinstance(message, (bytes, bytearray, memoryview)):
        return len(message)
    raise TypeError(f"a message is bytes, not {type(message).__name__}: what makes bytes of it is the serializer")


def encode_message(message: bytes, coding: Coding = _IDENTITY, max_size: int = 2**32 - 1) -> bytes:
    """A message with its prefix, compressed if the coding is not identity.

    Raises InvalidArgument if the message, or what it is compressed to, has more than ``max_size`` octets.
    """
    length = size_of(message)
    if length > max_size:
        raise InvalidArgument(f"trying to send message larger than max ({length} vs. {max_size})")
    if coding is _IDENTITY:
        return prefix(length) + message
    compressed = coding.compress(message)
    if len(compressed) > max_size:
        raise InvalidArgument(f"trying to send message larger than max ({len(compressed)} vs. {max_size})")
    return prefix(len(compressed), compressed=True) + compressed


class MessageReader:
    """Cuts a stream of octets, given in pieces of any size, into messages. Compressed ones are `CompressedMessage`.

    The size limit holds as soon as a prefix is there. Little memory is set aside
    on the word of a prefix: a message takes its length, but at most eight times what has come of it.
    """

    __slots__ = (
        "_body",
        "_head",
        "_room",
        "charged",
        "coding",
        "is_compressed",
        "is_modest",
        "max_size",
        "missing",
        "partial",
        "set_aside",
        "wire_size",
    )

    def __init__(self, max_size: int, coding: Coding = _IDENTITY) -> None:
        self.max_size = max_size
        self.coding = coding
        self.partial = 0
        """Octets taken of a message that is not complete, its prefix included."""
        self.wire_size = 0
        """Octets that the message given last took on the wire, its prefix included."""
        self._head = b""
        self._body: BytesIO | None = None
        self._room = 0
        """How many more octets the body takes before it is made larger."""
        self.missing = 0
        """Octets that are still to come of a message whose prefix has come."""
        self.set_aside = 0
        """How much memory is set aside for the message that is not complete."""
        self.charged = 0
        """What its connection takes it to hold: a matter of the connection's."""
        self.is_modest = False
        """Little is set aside for what has not come: a matter of the connection's too."""
        self.is_compressed = False
        """Whether the message given last came compressed."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take octets and give the messages that they complete, in order.

        Raises MessageTooLarge, or RemoteProtocolError for a prefix or a message that breaks the rules, once the
        messages in front of it are given. After that the reader is of no use any more.
        """
        position, end = 0, len(data)
        while position < end:
            if self._body is not None:
                part = memoryview(data)[position : position + self.missing]
                position += len(part)
                self.take_parts((part,), len(part))
                if self.missing:
                    return
                body, self._body = self._body, None
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
                self._room = 0

    def take_parts(self, parts: Sequence[memoryview], count: int) -> None:
        """Take ``count`` octets in all of the message whose prefix has come: fewer than are ``missing``."""
        body = self._body
        if body is not None:
            if count > self._room:
                body = self._make_room(body, count)
            body.writelines(parts)
            self._room -= count
            self.missing -= count
            self.partial += count

    def _make_room(self, body: BytesIO, count: int) -> BytesIO:
        """Let the body take ``count`` octets more.

        A BytesIO left to grow takes an eighth more than the message in the end: more than any message that was freed
        before it had.
        """
        came = body.tell()
        length = came + self.missing
        if length > _MOST_SET_ASIDE:
            self._room = self.missing
            return body
        growth = _MODEST_GROWTH if self.is_modest else _GROWTH
        size = length
        while size > growth * (came + count):
            size = -(-size // growth)
        if size >= _LARGE:
            _allocator.expect(length)
        self.set_aside = size
        self._body = larger = BytesIO(bytes(size))
        larger.write(body.getbuffer()[:came])
        self._room = size - came
        return larger

    def _check_flag(self, flag: int) -> None:
        if flag > 1:
            raise RemoteProtocolError(f"a message's compressed flag is {flag}, neither 0 nor 1")
        if flag and self.coding is _IDENTITY:
            raise RemoteProtocolError("a message's compressed flag is set, but no grpc-encoding was announced")
        self.is_compressed = bool(flag)

    def _finish(self, message: bytes) -> bytes:
        self.wire_size = self.partial
        self.partial = self.set_aside = 0
        return CompressedMessage.of(message, self.coding, self.max_size) if self.is_compressed else message

    def inflating(self, message: bytes) -> Generator[None, None, bytes]:
        """Inflate a message that came compressed, in slices (`Coding.inflating`). Raises MessageTooLarge, or
        RemoteProtocolError for one that is damaged."""
        if self.coding.inflating is None:
            return self.coding.decompress(message, self.max_size)
        return (yield from self.coding.inflating(message, self.max_size))

    @property
    def held(self) -> int:
        """What the message that is not complete takes of memory."""
        return max(self.partial, self.set_aside)

    def finish(self) -> None:
        """No more octets will come. Raises RemoteProtocolError if a message is not complete."""
        if self.partial:
            raise RemoteProtocolError(f"the stream ended within a message, after {self.partial} octets of it")
