"""The messages of reflection.proto as a client needs them, read and written field by field.

They are the same in v1 and v1alpha. Who asks for a schema loads neither compiler nor codec for the asking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from puregrpc.codec.faults import FAULTS, fault_of
from puregrpc.codec.wire_format.tags_and_varints import LENGTH, VARINT, read_fields, read_varint, tag_bytes, varint
from puregrpc.errors import DecodeError, InvalidArgument

__all__ = [
    "ERROR", "EXTENSION_NUMBERS", "FILES", "FILE_BY_FILENAME", "FILE_CONTAINING_SYMBOL", "LIST_SERVICES",
    "NUMBERS_OF_TYPE", "SERVICES", "VERSIONS", "Answer", "decode_answer", "extension_question", "question",
]  # fmt: skip

VERSIONS = ("v1", "v1alpha")

FILE_BY_FILENAME, FILE_CONTAINING_SYMBOL, FILE_CONTAINING_EXTENSION, NUMBERS_OF_TYPE, LIST_SERVICES = 3, 4, 5, 6, 7
"""The fields of ServerReflectionRequest.message_request."""

FILES, EXTENSION_NUMBERS, SERVICES, ERROR = 4, 5, 6, 7
"""The fields of ServerReflectionResponse.message_response."""

DEPTH = 100
"""How deep the groups of an unknown field may be nested."""


@dataclass(slots=True)
class Answer:
    """A ServerReflectionResponse: ``member`` is the field that is set, 0 if none is."""

    member: int = 0
    files: tuple[bytes, ...] = ()
    extension_numbers: tuple[int, ...] = ()
    services: tuple[str, ...] = ()
    error_code: int = 0
    error_message: str = ""


def question(member: int, text: str) -> bytes:
    """A ServerReflectionRequest with one string. Raises InvalidArgument for text that no string can hold."""
    return _bytes_field(member, _utf8(text))


def extension_question(message: str, number: int) -> bytes:
    """A ServerReflectionRequest for the file that extends a message with this number."""
    extension = _bytes_field(1, _utf8(message)) + tag_bytes(2, VARINT) + varint(number)
    return _bytes_field(FILE_CONTAINING_EXTENSION, extension)


def decode_answer(data: bytes) -> Answer:
    """A ServerReflectionResponse. Raises DecodeError."""
    try:
        return _answer(data)
    except FAULTS as error:
        raise DecodeError("message", fault_of(error).problem) from None


def _answer(data: bytes) -> Answer:
    member = 0
    parts: list[bytes] = []
    for number, value in _delimited(data):
        if number in _READERS:
            # Of a oneof the last one counts; pieces of the same message are one, as if they had come joined.
            if number != member:
                member, parts = number, []
            parts.append(value)
    return _READERS[member](b"".join(parts)) if member else Answer()


def _files(data: bytes) -> Answer:
    return Answer(FILES, files=tuple(value for number, value in _delimited(data) if number == 1))


def _extension_numbers(data: bytes) -> Answer:
    found: list[int] = []
    for tag, start, end in read_fields(data, 0, len(data), DEPTH):
        if tag == 2 << 3 | VARINT:
            found.append(start)
        elif tag == 2 << 3 | LENGTH:
            found += _packed(data[start:end])
    return Answer(EXTENSION_NUMBERS, extension_numbers=tuple(map(_int32, found)))


def _services(data: bytes) -> Answer:
    names = []
    for number, value in _delimited(data):
        if number == 1:
            name = ""
            for inner, text in _delimited(value):
                name = text.decode() if inner == 1 else name
            names.append(name)
    return Answer(SERVICES, services=tuple(names))


def _error(data: bytes) -> Answer:
    answer = Answer(ERROR)
    for tag, start, end in read_fields(data, 0, len(data), DEPTH):
        if tag == 1 << 3 | VARINT:
            answer.error_code = _int32(start)
        elif tag == 2 << 3 | LENGTH:
            answer.error_message = data[start:end].decode()
    return answer


_READERS: dict[int, Callable[[bytes], Answer]] = {
    FILES: _files,
    EXTENSION_NUMBERS: _extension_numbers,
    SERVICES: _services,
    ERROR: _error,
}


def _delimited(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The numbers and contents of all fields that have a length."""
    for tag, start, end in read_fields(data, 0, len(data), DEPTH):
        if tag & 7 == LENGTH:
            yield tag >> 3, data[start:end]


def _packed(data: bytes) -> Iterator[int]:
    position = 0
    while position < len(data):
        value = data[position]
        position += 1
        if value > 127:
            value, position = read_varint(data, position, value)
        yield value


def _int32(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def _bytes_field(number: int, value: bytes) -> bytes:
    return tag_bytes(number, LENGTH) + varint(len(value)) + value


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"{text!r} is not a name: it has a lone surrogate") from None
