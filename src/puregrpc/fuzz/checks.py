"""What is looked at in an answer, and what is wrong with it: the oracles, each with its evidence."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from puregrpc.errors import SchemaError
from puregrpc.fuzz.answer import Answer
from puregrpc.fuzz.case import Case
from puregrpc.fuzz.fields import lost_field
from puregrpc.fuzz.meaning import is_beyond
from puregrpc.proto.descriptors import MethodDescriptor
from puregrpc.schema import Registry
from puregrpc.wire.status import Status, StatusCode, http2_error_name

__all__ = ["CHECKS", "Check", "Judge", "Observation", "Profile", "violation"]

Check = Literal[
    "process-ended",
    "not-served",
    "hang",
    "memory",
    "cpu",
    "limit-exceeded",
    "internal-status",
    "leak-of-internals",
    "bad-reply",
    "protocol-violation",
    "accepted-invalid",
    "ignored-auth",
    "state",
    "property",
    "bad-schema",
    "client-status",
    "retries",
]

CHECKS: dict[Check, str] = {
    "process-ended": "critical",
    "not-served": "critical",
    "hang": "high",
    "memory": "high",
    "cpu": "high",
    "limit-exceeded": "high",
    "internal-status": "medium",
    "leak-of-internals": "medium",
    "bad-reply": "medium",
    "protocol-violation": "medium",
    "accepted-invalid": "medium",
    "ignored-auth": "critical",
    "state": "high",
    "property": "medium",
    "bad-schema": "low",
    "client-status": "medium",
    "retries": "medium",
}
"""Every check, with how bad it is."""

INTERNAL = {StatusCode.UNKNOWN, StatusCode.INTERNAL, StatusCode.DATA_LOSS}
REFUSED_AUTH = {StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED}
QUICK_PART = 0.25
"""A method is known to be quicker than this part of the deadline where a call that takes all of it hangs."""

_SOURCE = rb"(?:py|go|rs|java|kt|scala|js|mjs|cjs|ts|rb|php|cs|cc|cpp|c|h)"
LEAKS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("a stack trace", re.compile(rb"Traceback \(most recent call last\)")),
    ("a stack trace", re.compile(rb'File "[^"\n]{1,300}", line \d+')),
    ("a stack trace", re.compile(rb"\bat [\w$.<>/]+\((?:[\w$]+\.(?:java|kt|scala)(?::\d+)?|Native Method)\)")),
    (
        "a stack trace",
        re.compile(rb"\bat (?:[\w$.<>\[\] ]+ )?\(?(?:file://|node:)?[^\s()]+\.(?:js|ts|mjs|cjs):\d+:\d+\)?"),
    ),
    ("a stack trace", re.compile(rb"\bgoroutine \d+ \[")),
    ("a stack trace", re.compile(rb"thread '[^']*'(?: \(\d+\))? panicked at|stack backtrace:|\bpanicked at ")),
    ("a panic", re.compile(rb"\bpanic: |\bruntime error: |\bnil pointer dereference")),
    ("a source file", re.compile(rb"(?<![\w.])(?:[\w.@+-]*/)+[\w.@+-]+\." + _SOURCE + rb"\b")),
    ("a source file", re.compile(rb"\b[\w-]+\." + _SOURCE + rb":\d+\b")),
    ("a file name", re.compile(rb"(?<![\w/.])/(?:home|usr|var|etc|opt|root|tmp|srv|app|proc|mnt|data)/[\w./@+-]{2,}")),
    ("a file name", re.compile(rb"\b[A-Z]:\\(?:[\w .-]+\\)+[\w .-]+")),
    ("an address in memory", re.compile(rb"\bat 0x[0-9a-fA-F]{6,16}\b|\b0x[0-9a-f]{10,16}\b")),
    (
        "a database's words",
        re.compile(
            rb"(?i)\bSQLSTATE\b|\bORA-\d{5}|syntax error at or near|near \"[^\"]*\": syntax error|constraint failed: "
            rb"|\bsqlite3?\.\w+Error|\bpsycopg2?\b|sqlalchemy|\bSELECT\b.{1,200}\bFROM\b|\bINSERT INTO\b"
        ),
    ),
    (
        "a secret",
        re.compile(
            rb"(?i)\b(?:password|passwd|secret|api[_-]?key|private[_-]?key)\s*[=:]\s*[^\s,;]{3,}|\w+://[^\s:/@]+:[^\s:/@]+@"
        ),
    ),
)
SURE_LEAKS = 6
"""So many of them are sure enough for the content of replies, where services may say what they like."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Something wrong."""

    check: Check
    summary: str
    key: tuple[str, ...] = ()
    """What tells it from other observations of the same check and method."""
    severity: str = ""
    reference: str = ""
    is_repeated: bool = False
    """Whoever has seen it has seen it again already."""


@dataclass(slots=True)
class Profile:
    """What is known of a method: how it answers ordinary calls."""

    method: MethodDescriptor
    fields: Any = ()
    """The header fields of its ordinary call."""
    octets: bytes = b""
    """The message of its ordinary call."""
    answer: Answer | None = None
    """How that was answered."""
    is_steady: bool = False
    """The same call has always had the same answer."""
    ends: bool = True
    """Ordinary calls end, before their deadline."""
    seconds: float = 0.0
    """The longest that an ordinary call took."""
    ordinary_codes: set[int | None] = field(default_factory=set)
    """What ordinary calls have ended with."""
    codes: dict[int, int] = field(default_factory=dict)
    cases: int = 0
    muted: list[frozenset[tuple[int, ...]]] = field(default_factory=list)
    """Fields that, set together, end the process or hang the call, as it is known already."""
    is_muted: bool = False

    @property
    def path(self) -> str:
        """The method's :path."""
        return self.method.path

    @property
    def signature(self) -> tuple[object, ...] | None:
        """What an ordinary call is answered with, as far as it is to be the same each time."""
        return signature(self.answer) if self.answer is not None else None


def signature(answer: Answer) -> tuple[object, ...]:
    """What is compared of two answers."""
    return (answer.code, bytes(answer.body), answer.reset)


UserCheck = Callable[[Case, Answer, Any], "str | None"]
"""A check of the user's: the case, its answer and the reply as a message object (or None); what is wrong, or None."""


class Judge:
    """Looks at answers. ``replies_are_whole``: replies with fields that the schema has not are a finding as well."""

    def __init__(self, registry: Registry, *, deadline: float, user_checks: tuple[UserCheck, ...] = ()) -> None:
        self._registry = registry
        self.deadline = deadline
        self.replies_are_whole = True
        self._user_checks = user_checks
        self._parsers: dict[str, Callable[[bytes], Message] | None] = {}
        self._good: dict[str, set[bytes]] = {}
        self._texts: dict[tuple[bytes | None, bytes | None], bool] = {}

    def judge(self, case: Case, answer: Answer, profile: Profile | None, *, is_last: bool = True) -> list[Observation]:
        """What is wrong with one answer of a case; ``is_last``: it is that of the call the case is about."""
        found: list[Observation] = []
        if answer.violations:
            found += [violation(text) for text in answer.violations[:2]]
        if answer.cancelled:
            return found
        if not answer.ended:
            if is_last:
                self._unended(case, answer, profile, found)
            return found
        code = answer.code
        expects = case.expects
        is_valid = is_last and expects in ("answer", "same", "follows", "stored")
        if code is None:
            self._without_status(case, answer, profile, found, is_valid=is_valid)
        elif code:
            if code > 16:
                found.append(Observation("bad-reply", f"grpc-status {code}, which there is not", ("status",)))
            varies = profile is not None and len(profile.ordinary_codes) > 1
            if is_valid and code in INTERNAL and not varies and not self._is_malformed(case, code, profile):
                text = answer.text
                shown = f"{Status(code).name}{': ' + text[:160] if text else ''} for a request that is valid"
                found.append(Observation("internal-status", shown, (str(code), normal_text(text))))
            elif code == StatusCode.DEADLINE_EXCEEDED and is_valid and is_last:
                self._deadline(case, answer, profile, found)
        self._leaks(case, answer, found)
        if code == 0 and profile is not None:
            self._reply(case, answer, profile, found, is_valid=is_valid)
        if expects == "refusal" and code == 0:
            found.append(
                Observation(
                    "accepted-invalid",
                    f"{case.about}: was served with OK",
                    (case.about,),
                    case.severity,
                    case.reference,
                )
            )
        elif expects == "auth" and code is not None and code not in REFUSED_AUTH and self._is_let_in(answer, profile):
            found.append(Observation("ignored-auth", f"{case.about} is served", (), case.severity, case.reference))
        elif expects in ("same", "follows") and is_last and profile is not None and profile.is_steady:
            self._same(case, answer, profile, found)
        elif expects == "stored" and is_last:
            self._stored(case, answer, found)
        return found

    def _is_malformed(self, case: Case, code: int, profile: Profile | None) -> bool:
        """Whether INTERNAL stands for a message that cannot be read, since a date in it is beyond all dates."""
        if code != StatusCode.INTERNAL or profile is None:
            return False
        name = profile.method.input_type.full_name
        parsed = (self.parse(name, octets) for octets in case.messages)
        return any(message is not None and is_beyond(message) for message in parsed)

    # -- how it ended

    def _unended(self, case: Case, answer: Answer, profile: Profile | None, found: list[Observation]) -> None:
        seconds = case.seconds or self.deadline
        if case.expects == "nothing" or _goes_on(answer, answer.started + seconds, seconds):
            return
        if case.expects == "refusal" and profile is not None and not profile.ends:
            return
        if profile is not None and not profile.ends and case.expects != "answer":
            return
        found.append(Observation("hang", f"{case.about}: no answer, {seconds:g} s deadline passed", ()))

    def _deadline(self, case: Case, answer: Answer, profile: Profile | None, found: list[Observation]) -> None:
        seconds = case.seconds or self.deadline
        if profile is None or profile.seconds > seconds * QUICK_PART or (not profile.ends and case.expects != "answer"):
            return
        if answer.seconds >= seconds * 0.9 and not _goes_on(answer, answer.finished, seconds):
            usual = f"; ordinary calls take {profile.seconds * 1000:.0f} ms" if profile.ends else ""
            found.append(Observation("hang", f"{case.about}: not answered within its deadline of {seconds:g} s{usual}"))

    def _without_status(
        self, case: Case, answer: Answer, profile: Profile | None, found: list[Observation], *, is_valid: bool
    ) -> None:
        if answer.reset is not None:
            name = http2_error_name(answer.reset)
            if is_valid and answer.reset == 8 and profile is not None:
                self._deadline(case, answer, profile, found)
            if is_valid and answer.reset in (1, 2) and answer.trailers is None:
                check: Check = "internal-status" if answer.reset == 2 else "protocol-violation"
                found.append(Observation(check, f"RST_STREAM {name} for a request that is valid", (name,)))
            return
        if answer.http_status == 200 and _is_grpc(answer) and _is_post(case):
            what = "END_STREAM without trailers" if answer.has_no_trailers else "trailers without grpc-status"
            text = answer.field(b"grpc-status")
            if text is not None:
                what = f"a grpc-status of {text[:20]!r}"
            found.append(Observation("protocol-violation", what, (what[:20],), "", "PROTOCOL-HTTP2, Responses"))
        elif is_valid and case.level in ("schema", "sequence"):
            found.append(
                Observation(
                    "protocol-violation",
                    f"HTTP {answer.http_status} without grpc-status for a request that is valid",
                    ("http", str(answer.http_status)),
                    "",
                    "PROTOCOL-HTTP2, Responses",
                )
            )

    def _same(self, case: Case, answer: Answer, profile: Profile, found: list[Observation]) -> None:
        before = profile.answer
        assert before is not None
        if signature(answer) == signature(before) or (answer.code in INTERNAL and before.code not in INTERNAL):
            return  # the latter is a finding by itself
        if answer.reset in (7, 11) or answer.code in (
            StatusCode.RESOURCE_EXHAUSTED,
            StatusCode.UNAVAILABLE,
            StatusCode.DEADLINE_EXCEEDED,
        ):
            return  # a server may say that it has too much to do; what is late is another check's
        check: Check = "state" if case.expects == "follows" else "protocol-violation"
        found.append(
            Observation(
                check,
                f"{case.about}: answered with {answer.summary()}, and {before.summary()} otherwise"
                + (" (the reply is another one)" if answer.code == before.code else ""),
                (case.about,),
            )
        )

    def _stored(self, case: Case, answer: Answer, found: list[Observation]) -> None:
        """Whether what was put comes back."""
        if answer.code == StatusCode.NOT_FOUND:
            found.append(Observation("property", f"{case.about}: it is not found", ("missing", case.about)))
        elif answer.code == StatusCode.OK and (messages := answer.messages()[0]):
            lost = lost_field(case.messages[case.stored_by], messages[0][1], case.stored)
            if lost is not None:
                check: Check = "state" if len(case.messages) > 2 else "property"
                found.append(Observation(check, f"{case.about}: another value comes back", (str(lost),)))

    def _is_let_in(self, answer: Answer, profile: Profile | None) -> bool:
        """Whether a call without credentials got as far as one with them does."""
        if profile is None or profile.answer is None or profile.answer.code in REFUSED_AUTH:
            return answer.code == StatusCode.OK
        return answer.code == profile.answer.code and answer.code not in (
            StatusCode.UNIMPLEMENTED,
            StatusCode.INTERNAL,
            StatusCode.UNKNOWN,
            StatusCode.UNAVAILABLE,
            StatusCode.DEADLINE_EXCEEDED,
        )

    # -- what it says

    def _leaks(self, case: Case, answer: Answer, found: list[Observation]) -> None:
        trailers = answer.trailers
        texts = []
        if trailers is not None and len(trailers) > 1:
            text = answer.field(b"grpc-message")
            details = answer.field(b"grpc-status-details-bin")
            others = [v for n, v in trailers if not n.startswith((b":", b"grpc-", b"content-type", b"date", b"server"))]
            if text or details or others:
                texts.append(answer.text.encode())
                if details:
                    texts.append(_unbase64(details))
                texts += others
        for text in texts:
            for what, pattern in LEAKS:
                match = pattern.search(text)
                if match and not _is_echo(match[0], case):
                    shown = match[0].decode("utf-8", "replace")[:120]
                    found.append(
                        Observation("leak-of-internals", f"{what} in the status: {shown}", (what,), "", "CWE-209")
                    )
                    return
        body = answer.body
        if body:
            for what, pattern in LEAKS[:SURE_LEAKS]:
                match = pattern.search(body)
                if match and not _is_echo(match[0], case):
                    shown = match[0].decode("utf-8", "replace")[:120]
                    found.append(
                        Observation("leak-of-internals", f"{what} in the reply: {shown}", (what,), "", "CWE-209")
                    )
                    return

    def _reply(self, case: Case, answer: Answer, profile: Profile, found: list[Observation], *, is_valid: bool) -> None:
        messages, rest = answer.messages()
        method = profile.method
        if rest:
            found.append(
                Observation(
                    "protocol-violation",
                    f"{rest} octets that are no whole message",
                    ("rest",),
                    "",
                    "PROTOCOL-HTTP2, Length-Prefixed-Message",
                )
            )
        if not method.is_server_stream and len(messages) != 1:
            found.append(
                Observation("bad-reply", f"{len(messages)} messages with OK; the method returns one", ("count",))
            )
        encoding = b"identity"
        for name, value in answer.headers or ():
            if name == b"grpc-encoding":
                encoding = value
        full_name = method.output_type.full_name
        good = self._good.setdefault(full_name, set())
        for flag, octets in messages[:8]:
            if flag & 1:
                if encoding in (b"identity", b""):
                    found.append(
                        Observation("protocol-violation", "a compressed message without grpc-encoding", ("flag",))
                    )
                continue
            if flag:
                found.append(Observation("protocol-violation", f"a message with the flags {flag}", ("flag",)))
            if octets in good:
                if self._user_checks:
                    self._user(case, answer, profile, octets, found)
                continue
            problem = self._problem(method, octets, looks_closer=is_valid and self.replies_are_whole)
            if problem:
                found.append(Observation("bad-reply", problem, (problem[:30],)))
            elif len(good) < 5000 and len(octets) < 4096:
                good.add(octets)
            if self._user_checks:
                self._user(case, answer, profile, octets, found)
        self._echo(case, method, messages, found, is_valid=is_valid)

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

    def _echo(
        self,
        case: Case,
        method: MethodDescriptor,
        messages: list[tuple[int, bytes]],
        found: list[Observation],
        *,
        is_valid: bool,
    ) -> None:
        """A method called Echo that gives back what it was given, where the types are one."""
        if not is_valid or method.is_server_stream or method.is_client_stream or not ECHO.fullmatch(method.name):
            return
        if method.input_type.full_name != method.output_type.full_name or case.level != "schema":
            return
        sent = case.messages
        if len(sent) != 1 or len(messages) != 1 or messages[0][0]:
            return
        asked, got = (self.parse(method.input_type.full_name, octets) for octets in (sent[0], messages[0][1]))
        if asked is None or got is None or asked == got:
            return
        if asked.SerializeToString(deterministic=True) != got.SerializeToString(deterministic=True):
            found.append(
                Observation("property", f"{method.name} gives back another message than it was given", ("echo",))
            )


ECHO = re.compile(r"(?i)(?:unary_?)?echo")


def _goes_on(answer: Answer, end: float, seconds: float) -> bool:
    """Whether a stream of messages was still coming at its end: it is long, and does not hang."""
    return answer.last_data > end - seconds / 2


def _is_grpc(answer: Answer) -> bool:
    return any(
        name == b"content-type" and value.startswith(b"application/grpc") for name, value in answer.headers or ()
    )


def _is_post(case: Case) -> bool:
    """Whether its calls are ones of gRPC: what answers HEAD has no trailers."""
    fields = next((step.fields for step in case.steps if step.kind == "open"), ())
    return all(value == b"POST" for name, value in fields if name == b":method")


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


_VARYING = re.compile(r"0x[0-9a-fA-F]+|\d+|'[^']*'|\"[^\"]*\"|\[[^\]]*\]|\([^)]*\)")


def normal_text(text: str) -> str:
    """A message without what differs from case to case."""
    return _VARYING.sub("*", text[:300])[:80]


def _is_echo(found: bytes, case: Case) -> bool:
    """Whether the server has it from the request."""
    return any(found in step.octets or any(found in value for _, value in step.fields) for step in case.steps)


def _unbase64(text: bytes) -> bytes:
    import binascii

    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""


def violation(text: str) -> Observation:
    """What a peer did that no peer may, as a connection tells it."""
    return Observation("protocol-violation", text, (normal_text(text),), "", _reference(text))


def _reference(text: str) -> str:
    match = re.search(r"\(((?:RFC|PROTOCOL)[^)]*)\)", text)
    return match[1] if match else "RFC 9113"
