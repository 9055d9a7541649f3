"""Message compression: the codings and their registry (gRPC's compression.md; PROTOCOL-HTTP2, "Message-Encoding")."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from puregrpc.errors import InvalidArgument, RemoteProtocolError, RpcError
from puregrpc.wire.limits import MAX_COMPRESSED_MEMBERS
from puregrpc.wire.status import StatusCode

__all__ = [
    "CODINGS",
    "Coding",
    "CompressedMessage",
    "MessageTooLarge",
    "accept_encoding_value",
    "coding_for",
    "parse_accept_encoding",
    "receiving_coding",
]


class MessageTooLarge(RemoteProtocolError):  # noqa: N818 - says what happened, as RESOURCE_EXHAUSTED does
    """A message is larger than the receiver takes."""


@dataclass(frozen=True, slots=True)
class Coding:
    """A way to compress messages, by its name in grpc-encoding."""

    name: str
    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes, int], bytes]
    """Takes the compressed octets and the largest size allowed. Raises MessageTooLarge, having inflated at most one
    octet more than that, or RemoteProtocolError for data that is damaged or cut short."""


class CompressedMessage(bytes):
    """A message as it came, for an owner who inflates it when he takes it. Its length is that of the octets that came,
    so that what waits is bounded by flow control, whatever it inflates to."""

    coding: Coding
    max_size: int

    @classmethod
    def of(cls, octets: bytes, coding: Coding, max_size: int) -> CompressedMessage:
        """A message compressed with ``coding``, which may inflate to ``max_size`` octets."""
        message = cls(octets)
        message.coding = coding
        message.max_size = max_size
        return message

    def inflate(self) -> bytes:
        """The message. Raises RpcError: RESOURCE_EXHAUSTED if it is too large, INTERNAL if it is damaged."""
        try:
            return self.coding.decompress(self, self.max_size)
        except MessageTooLarge as error:
            raise RpcError(StatusCode.RESOURCE_EXHAUSTED, str(error), code_name="RESOURCE_EXHAUSTED") from None
        except RemoteProtocolError as error:
            raise RpcError(StatusCode.INTERNAL, str(error), code_name="INTERNAL") from None


class _Inflater(Protocol):
    """What zlib's and zstd's incremental decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


def _inflate(name: str, start: Callable[[], _Inflater], faults: type[Exception], data: bytes, limit: int) -> bytes:
    """Inflate one or several members set end to end, as gzip (RFC 1952, section 2.2) and zstd allow."""
    parts: list[bytes] = []
    room = limit + 1
    for _ in range(MAX_COMPRESSED_MEMBERS):
        inflater = start()
        try:
            part = inflater.decompress(data, room)
        except faults as error:
            raise RemoteProtocolError(f"a message compressed with {name} is damaged: {error}") from None
        room -= len(part)
        if room <= 0:
            raise MessageTooLarge(f"grpc: received message after decompression larger than max {limit}")
        parts.append(part)
        if not inflater.eof:
            raise RemoteProtocolError(f"a message compressed with {name} is cut short")
        data = inflater.unused_data
        if not data:
            return b"".join(parts)
    raise RemoteProtocolError(f"a message compressed with {name} has more than {MAX_COMPRESSED_MEMBERS} members")


def _identity_decompress(data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise MessageTooLarge(f"grpc: received message larger than max ({len(data)} vs. {limit})")
    return data


def _compress_gzip(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=31)  # 16 + 15: a gzip header with no file name or time
    return deflater.compress(data) + deflater.flush()


def _decompress_gzip(data: bytes, limit: int) -> bytes:
    return _inflate("gzip", lambda: zlib.decompressobj(31), zlib.error, data, limit)


def _decompress_deflate(data: bytes, limit: int) -> bytes:
    return _inflate("deflate", zlib.decompressobj, zlib.error, data, limit)


CODINGS: dict[str, Coding] = {
    coding.name: coding
    for coding in (
        Coding("identity", bytes, _identity_decompress),
        Coding("gzip", _compress_gzip, _decompress_gzip),
        Coding("deflate", zlib.compress, _decompress_deflate),  # the zlib format (RFC 1950), as in HTTP
    )
}
"""The codings at hand, by name. zstd is there if the interpreter (3.14) or ``backports.zstd`` has it."""


def _add_zstd() -> None:
    try:
        from backports import zstd  # type: ignore[import-not-found,unused-ignore]  # an extra
    except ImportError:
        try:
            from compression import zstd  # type: ignore[import-not-found,unused-ignore,no-redef]  # from Python 3.14 on
        except ImportError:
            return

    def decompress(data: bytes, limit: int) -> bytes:
        return _inflate("zstd", zstd.ZstdDecompressor, zstd.ZstdError, data, limit)

    CODINGS["zstd"] = Coding("zstd", zstd.compress, decompress)


_add_zstd()


def coding_for(name: str) -> Coding:
    """The coding of that name, for sending. Raises InvalidArgument, naming those there are."""
    try:
        return CODINGS[name]
    except KeyError:
        raise InvalidArgument(f"no compression {name!r}: there are {', '.join(CODINGS)}") from None


def receiving_coding(name: str) -> Coding:
    """The coding to read a peer's messages with. One that is not at hand fails with the first compressed message."""
    known = CODINGS.get(name)
    if known is not None:
        return known

    def fail(*_: object) -> bytes:
        raise RemoteProtocolError(f"a message is compressed with {name[:32]!r}: there are {', '.join(CODINGS)}")

    return Coding(name, bytes, fail)


def accept_encoding_value(names: tuple[str, ...]) -> bytes:
    """The value of grpc-accept-encoding. Raises InvalidArgument for a name that is not a coding."""
    return b",".join([coding_for(name).name.encode() for name in names])


def parse_accept_encoding(value: bytes) -> tuple[str, ...]:
    """The names in a grpc-accept-encoding value, unknown ones included, in order."""
    return tuple(name for part in value.decode("latin-1").split(",") if (name := part.strip(" \t")))
