"""Message compression: the codings and their registry (gRPC's compression.md; PROTOCOL-HTTP2, "Message-Encoding")."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol

from puregrpc.errors import InvalidArgument, RemoteProtocolError, RpcError
from puregrpc.wire.limits import INFLATE_SLICE, MAX_COMPRESSED_MEMBERS, MAX_JOINED_VALUES
from puregrpc.wire.status import StatusCode

__all__ = [
    "CODINGS",
    "USUAL_CODINGS",
    "Coding",
    "CompressedMessage",
    "MessageTooLarge",
    "accept_encoding_value",
    "coding_for",
    "needed_for",
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
    inflating: Callable[[bytes, int], Generator[None, None, bytes]] | None = None
    """The same in slices: a generator that yields after each of INFLATE_SLICE octets, and returns the message. None if
    ``decompress`` costs nothing."""


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
        return _last(self.inflating())

    def grows_beyond(self, octets: int) -> bool:
        """Whether it inflates to more than so many octets. Takes no longer than inflating those does."""
        slices = None if self.coding.inflating is None else self.coding.inflating(self, octets)
        try:
            if slices is None:
                self.coding.decompress(self, octets)
            else:
                _last(slices)
        except MessageTooLarge:
            return True
        except RemoteProtocolError:  # whoever inflates it is told
            return False
        return False

    def inflating(self) -> Generator[None, None, bytes]:
        """`inflate` in slices, each of a millisecond or so: a generator that yields after each and returns the message.

        Whoever shares his processor with others lets them have it in between.
        """
        try:
            if self.coding.inflating is None:
                return self.coding.decompress(self, self.max_size)
            return (yield from self.coding.inflating(self, self.max_size))
        except MessageTooLarge as error:
            raise RpcError(StatusCode.RESOURCE_EXHAUSTED, str(error)) from None
        except RemoteProtocolError as error:
            raise RpcError(StatusCode.INTERNAL, str(error)) from None


def _last(slices: Generator[None, None, bytes]) -> bytes:
    """What a generator of slices returns in the end."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            message: bytes = end.value
            return message


class _Inflater(Protocol):
    """What zlib's and zstd's incremental decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes | memoryview, max_length: int = ..., /) -> bytes: ...


def _inflating(
    name: str, start: Callable[[], _Inflater], faults: type[Exception], data: bytes, limit: int
) -> Generator[None, None, bytes]:
    """Inflate one or several members set end to end, as gzip (RFC 1952, section 2.2) and zstd allow, in slices."""
    parts: list[bytes] = []
    room = limit + 1
    octets = memoryview(data)
    position = 0
    for _ in range(MAX_COMPRESSED_MEMBERS):
        inflater = start()
        rest: bytes | memoryview = b""
        while not inflater.eof:
            if not rest:
                rest = octets[position : position + INFLATE_SLICE]
                position += len(rest)
            try:
                part = inflater.decompress(rest, min(room, INFLATE_SLICE))
            except faults as error:
                raise RemoteProtocolError(f"a message compressed with {name} is damaged: {error}") from None
            was_empty = not rest
            rest = getattr(inflater, "unconsumed_tail", b"")  # zstd's keep it themselves
            room -= len(part)
            if room <= 0:
                raise MessageTooLarge(f"grpc: received message after decompression larger than max {limit}")
            if part:
                parts.append(part)
            if not inflater.eof:
                if not part and was_empty:
                    raise RemoteProtocolError(f"a message compressed with {name} is cut short")
                yield
        position -= len(inflater.unused_data)
        if position == len(data):
            return b"".join(parts)
    raise RemoteProtocolError(f"a message compressed with {name} has more than {MAX_COMPRESSED_MEMBERS} members")


def _coding(
    name: str, compress: Callable[[bytes], bytes], start: Callable[[], _Inflater], faults: type[Exception]
) -> Coding:
    def inflating(data: bytes, limit: int) -> Generator[None, None, bytes]:
        return _inflating(name, start, faults, data, limit)

    return Coding(name, compress, lambda data, limit: _last(inflating(data, limit)), inflating)


def _identity_decompress(data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise MessageTooLarge(f"grpc: received message larger than max ({len(data)} vs. {limit})")
    return data


CODINGS: dict[str, Coding] = {"identity": Coding("identity", bytes, _identity_decompress)}
"""The codings at hand, by name. gzip and deflate are there if the interpreter has zlib, zstd if it (from 3.14 on) or
``backports.zstd`` has that."""


def _add_gzip_and_deflate() -> None:
    try:
        import zlib
    except ImportError:
        return

    def compress_gzip(data: bytes) -> bytes:
        deflater = zlib.compressobj(wbits=31)  # 16 + 15: a gzip header with no file name or time
        return deflater.compress(data) + deflater.flush()

    CODINGS["gzip"] = _coding("gzip", compress_gzip, lambda: zlib.decompressobj(31), zlib.error)
    # The zlib format (RFC 1950), as in HTTP.
    CODINGS["deflate"] = _coding("deflate", zlib.compress, zlib.decompressobj, zlib.error)


def _add_zstd() -> None:
    try:
        from backports import zstd  # type: ignore[import-not-found,unused-ignore]  # an extra
    except ImportError:
        try:
            from compression import zstd  # type: ignore[import-not-found,unused-ignore,no-redef]  # from Python 3.14 on
        except ImportError:
            return

    CODINGS["zstd"] = _coding("zstd", zstd.compress, zstd.ZstdDecompressor, zstd.ZstdError)


_add_gzip_and_deflate()
USUAL_CODINGS = tuple(CODINGS)
"""Those that a peer is told of where nothing else is asked for."""
_add_zstd()

_NEEDS = {
    "gzip": "Python's module zlib, which cannot be imported",
    "deflate": "Python's module zlib, which cannot be imported",
    "zstd": "backports.zstd: pip install 'puregrpc[zstd]'",
}


def needed_for(name: str) -> str:
    """What a coding that is not at hand needs, as the end of a sentence, or nothing."""
    return f"; {name} needs {_NEEDS[name]}" if name in _NEEDS and name not in CODINGS else ""


def coding_for(name: str) -> Coding:
    """The coding of that name, for sending. Raises InvalidArgument, naming those there are."""
    try:
        return CODINGS[name]
    except KeyError:
        raise InvalidArgument(f"no compression {name!r}: there are {', '.join(CODINGS)}{needed_for(name)}") from None


def receiving_coding(name: str) -> Coding:
    """The coding to read a peer's messages with. One that is not at hand fails with the first compressed message."""
    known = CODINGS.get(name)
    if known is not None:
        return known

    def fail(*_: object) -> bytes:
        known = ", ".join(CODINGS)
        raise RemoteProtocolError(f"a message is compressed with {name[:32]!r}: there are {known}{needed_for(name)}")

    return Coding(name, bytes, fail)


def accept_encoding_value(names: tuple[str, ...]) -> bytes:
    """The value of grpc-accept-encoding. Raises InvalidArgument for a name that is not a coding."""
    return b",".join([coding_for(name).name.encode() for name in names])


def parse_accept_encoding(value: bytes) -> tuple[str, ...]:
    """The first names in a grpc-accept-encoding value, MAX_JOINED_VALUES at most, unknown ones included, in order."""
    parts = value.decode("latin-1").split(",", MAX_JOINED_VALUES)[:MAX_JOINED_VALUES]
    return tuple(name for part in parts if (name := part.strip(" \t")))
