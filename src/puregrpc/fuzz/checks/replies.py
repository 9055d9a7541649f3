"""Replies: whether they fit the schema, come as they were announced, and give back what they were given."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from puregrpc.errors import SchemaError
from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import Case
from puregrpc.fuzz.checks.words import Observation, Profile, UserCheck
from puregrpc.proto.descriptors import FieldDescriptor, FieldType, MessageDescriptor, MethodDescriptor
from puregrpc.schema import Registry

__all__ = ["Replies"]

MOST_INFLATED = 16 << 20
ECHO = re.compile(r"(?i)(?:unary_?)?(?:echo|mirror|reflect|repeat|identity|round_?trip)")
WIDE = {FieldType.INT64, FieldType.UINT64, FieldType.SINT64, FieldType.FIXED64, FieldType.SFIXED64}
SURELY = 1000
"""A number beyond it that comes back as another is not one that was put within bounds by chance."""
DEFINITIONS = "PROTOCOL-HTTP2, Length-Prefixed-Message"


class Replies:
    """Looks at the messages of answers with OK."""

    def __init__(self, registry: Registry, user_checks: tuple[UserCheck, ...] = ()) -> None:
        self._registry = registry
        self._user_checks = user_checks
        self._parsers: dict[str, Callable[[bytes], Message] | None] = {}
        self._good: dict[str, set[bytes]] = {}
        self._common: dict[tuple[str, tuple[int, ...]], tuple[list[str], FieldDescriptor] | None] = {}

    def look(
        self, case: Case, answer: Answer, profile: Profile, *, is_valid: bool, is_whole: bool
    ) -> list[Observation]:
        """What is wrong with them. ``is_whole``: fields that the schema has not are a finding as well."""
        found: list[Observation] = []
        messages, rest = answer.messages()
        method = profile.method
        if rest:
            text = f"{rest} octets that are no whole message"
            found.append(Observation("protocol-violation", text, ("rest",), "", DEFINITIONS))
        if not method.is_server_stream and len(messages) != 1:
            text = f"{len(messages)} messages with OK; the method returns one"
            found.append(Observation("bad-reply", text, ("count",)))
        full_name = method.output_type.full_name
        good = self._good.setdefault(full_name, set())
        plain: list[bytes] = []
        for flag, octets in messages[:8]:
            if flag:
                inflated = _inflated(case, answer, flag, octets, found)
                if inflated is None:
                    continue
                octets = inflated
            plain.append(octets)
            if octets in good:
                if self._user_checks:
                    self._user(case, answer, profile, octets, found)
                continue
            problem = self._problem(method, octets, looks_closer=is_whole)
            if problem:
                found.append(Observation("bad-reply", problem, (problem[:30],)))
            elif len(good) < 5000 and len(octets) < 4096:
                good.add(octets)
            if self._user_checks:
                self._user(case, answer, profile, octets, found)
        if is_valid and case.level == "schema" and len(messages) == len(plain) == len(case.messages) == 1:
            self._given_back(case, profile, plain[0], found)
        return found

    def _user(self, case: Case, answer: Answer, profile: Profile, octets: bytes, found: list[Observation]) -> None:
        reply = self.parse(profile.method.output_type.full_name, octets)
        for check in self._user_checks:
            problem = check(case, answer, reply)
            if problem:
                found.append(Observation("property", f"{getattr(check, '__name__', 'check')}: {problem}", (problem,)))

    def _problem(self, method: MethodDescriptor, octets: bytes, *, looks_closer: bool) -> str:
        full_name = method.output_type.full_name
        try:
            message = self._parser(full_name)
            if message is None:
                return ""
            parsed = message(octets)
        except (ProtobufDecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
            return f"the reply is not a {full_name}: {str(error)[:120]}"
        if looks_closer:
            number = _unknown_field(parsed, 0)
            if number:
                return f"the reply has the field {number}, which {full_name} has not, or not of that type"
        return ""

    def parse(self, full_name: str, octets: bytes) -> Message | None:
        """A message as an object; None if it is none, or google.protobuf has no objects of the type."""
        parser = self._parser(full_name)
        try:
            return parser(octets) if parser is not None else None
        except (ProtobufDecodeError, UnicodeDecodeError, ValueError, RecursionError):
            return None

    def _parser(self, full_name: str) -> Callable[[bytes], Message] | None:
        if full_name not in self._parsers:
            try:
                made = self._registry.message_class(self._registry.message(full_name)).FromString
            except SchemaError:
                made = None
            self._parsers[full_name] = made
        return self._parsers[full_name]

    # -- what is given back

    def _given_back(self, case: Case, profile: Profile, reply: bytes, found: list[Observation]) -> None:
        """The message of a method called Echo; else the field that the case is about, where the reply has it too."""
        method = profile.method
        source, target = method.input_type, method.output_type
        is_echo = source.full_name == target.full_name and ECHO.fullmatch(method.name) is not None
        if method.is_server_stream or method.is_client_stream or not (is_echo or case.path):
            return
        common = None
        if not is_echo:
            key = (profile.path, case.path)
            if key not in self._common:
                self._common[key] = _same_field(source, target, case.path)
            common = self._common[key]
            if common is None:
                return
        asked, got = self.parse(source.full_name, case.messages[0]), self.parse(target.full_name, reply)
        if asked is None or got is None or asked == got:
            return
        if is_echo:
            if asked.SerializeToString(deterministic=True) != got.SerializeToString(deterministic=True):
                text = f"{method.name} gives back another message than it was given"
                found.append(Observation("property", text, ("echo",)))
            return
        assert common is not None
        names, field = common
        before: Any = asked
        for name in names[:-1]:
            before = getattr(before, name)
        problem = _mangled(field, getattr(before, names[-1]), getattr(got, names[-1]))
        if problem:
            found.append(Observation("property", f"{names[-1]} comes back, and {problem}", (names[-1], problem)))


def _same_field(
    source: MessageDescriptor, target: MessageDescriptor, path: tuple[int, ...]
) -> tuple[list[str], FieldDescriptor] | None:
    """The names that lead to a field of a request, and the field, where a reply has one of its name and type."""
    names: list[str] = []
    current: MessageDescriptor | None = source
    field: FieldDescriptor | None = None
    for number in path:
        field = next((each for each in current.fields if each.number == number), None) if current is not None else None
        if field is None or field.is_repeated or field.is_map:
            return None
        names.append(field.name)
        current = field.message_type
    if field is None or field.message_type is not None:
        return None
    other = next((each for each in target.fields if each.name == field.name), None)
    if other is None or other.is_repeated or other.type is not field.type:
        return None
    return names, field


def _mangled(field: FieldDescriptor, before: Any, after: Any) -> str:
    """How a value that came back has suffered; empty for one that is the same, or that was changed on purpose."""
    if before == after:
        return ""
    if field.type in WIDE and abs(after) > SURELY:
        if after == int(float(before)):
            return "digits are lost"
        if after in (before & 0xFFFFFFFF, (before & 0xFFFFFFFF) - (1 << 32)):
            return "only 32 of its bits"
    elif field.type is FieldType.DOUBLE and before == before and abs(before) < 3e38:
        if after == struct.unpack("<f", struct.pack("<f", before))[0] and after:
            return "digits are lost"
    elif field.type is FieldType.STRING:
        if "\ufffd" in after and "\ufffd" not in before:
            return "characters are lost"
        if not before.isascii() and after == before.encode("utf-8", "replace").decode("latin-1"):
            return "in another encoding"
    return ""


def _inflated(case: Case, answer: Answer, flag: int, octets: bytes, found: list[Observation]) -> bytes | None:
    """What a message with a flag holds; None if that cannot be told."""

    def wrong(text: str) -> None:
        found.append(Observation("protocol-violation", text, ("flag",), "", DEFINITIONS))

    if flag != 1:
        wrong(f"a message with the flags {flag}")
        return None
    encoding = b"identity"
    for name, value in answer.headers or ():
        if name == b"grpc-encoding":
            encoding = value
    if encoding in (b"identity", b""):
        wrong("a compressed message without grpc-encoding")
        return None
    asked = {name for step in case.steps for name, _ in step.fields}
    if not asked & {b"grpc-accept-encoding", b"grpc-encoding"}:
        wrong(f"a message in {encoding.decode('latin-1')}, which the client did not say that it takes")
    if encoding not in (b"gzip", b"deflate"):
        return None
    import zlib  # where there is none, there is no gzip

    try:
        return zlib.decompressobj(wbits=47).decompress(octets, MOST_INFLATED)
    except zlib.error as error:
        found.append(Observation("bad-reply", f"a message that is no {encoding.decode()}: {error}", ("inflate",)))
        return None


def _unknown_field(message: Message, depth: int) -> int:
    unknown: Any = UnknownFieldSet(message)
    if len(unknown):
        first: int = unknown[0].field_number
        return first
    if depth < 6:
        for descriptor, value in message.ListFields():
            if descriptor.message_type is None or descriptor.message_type.GetOptions().map_entry:
                continue
            for each in list(value)[:4] if hasattr(value, "append") or hasattr(value, "add") else [value]:
                if isinstance(each, Message):
                    number = _unknown_field(each, depth + 1)
                    if number:
                        return number
    return 0
