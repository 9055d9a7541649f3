"""What is wrong with an answer: the oracles, each with its evidence."""

from __future__ import annotations

import re

from puregrpc.errors import RemoteProtocolError
from puregrpc.fuzz.cases.answer import CONTROLS, Answer
from puregrpc.fuzz.cases.case import Case
from puregrpc.fuzz.checks.leaks import leak_in, unbase64
from puregrpc.fuzz.checks.replies import Replies
from puregrpc.fuzz.checks.words import (
    BUSY,
    INTERNAL,
    REFUSED_AUTH,
    Check,
    Observation,
    Profile,
    UserCheck,
    normal_text,
    signature,
    violation,
)
from puregrpc.fuzz.values.field_values import words_of
from puregrpc.fuzz.values.fields import lost_field, raw_value
from puregrpc.fuzz.values.meaning import is_beyond
from puregrpc.schema import Registry
from puregrpc.wire.deadline import parse_timeout
from puregrpc.wire.status import Status, StatusCode, http2_error_name

__all__ = ["Judge"]

_NOT_CODED = re.compile(rb"[^\x20-\x7e]")
LARGE = 256 << 10
"""Octets of a request that may take its time; what it takes of the processor is another check's."""
EARLY = 0.25
"""Seconds; no deadline that is longer has passed before."""
LATE_PART = 0.9
"""Of its deadline, after which a call is ended for that."""
PACES = {"interval", "delay", "pause", "period", "every", "wait", "sleep", "pace", "tick", "frequency"}
QUICK_PART = 0.25
"""A method is known to be quicker than this part of the deadline where a call that takes all of it hangs."""


class Judge:
    """Looks at answers. ``replies_are_whole``: replies with fields that the schema has not are a finding as well."""

    def __init__(self, registry: Registry, *, deadline: float, user_checks: tuple[UserCheck, ...] = ()) -> None:
        self.deadline = deadline
        self.replies_are_whole = True
        self._replies = Replies(registry, user_checks)

    def judge(self, case: Case, answer: Answer, profile: Profile | None, *, is_last: bool = True) -> list[Observation]:
        """What is wrong with one answer of a case; ``is_last``: it is that of the call the case is about."""
        found: list[Observation] = []
        # Who quotes a malformed field in its refusal says what it was sent.
        said = [text for text in answer.violations if CONTROLS not in text or not _has_controls(case)]
        found += [violation(text) for text in said[:2]]
        if answer.cancelled:
            return found
        if not answer.ended:
            if is_last:
                self._unended(case, answer, profile, found)
            return found
        code = answer.code
        expects = case.expects
        is_valid = is_last and expects in ("answer", "same", "follows", "stored", "alike")
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
                if case.level == "header" and profile is not None and not varies:
                    _too_early(case, answer, profile, found)
        if code is not None and is_valid and case.level in ("schema", "sequence"):
            _form(answer, found)
        leak = leak_in(case, answer)
        if leak is not None:
            found.append(leak)
        if code == 0 and profile is not None:
            found += self._replies.look(
                case, answer, profile, is_valid=is_valid, is_whole=is_valid and self.replies_are_whole
            )
        if expects == "refusal" and code == 0 and is_last:
            found.append(
                Observation(
                    "accepted-invalid",
                    f"{case.about}: was served with OK",
                    (case.about,),
                    case.severity,
                    case.reference,
                )
            )
        elif (
            expects == "auth"
            and is_last
            and code is not None
            and code not in REFUSED_AUTH
            and self._is_let_in(answer, profile)
        ):
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
        parsed = (self._replies.parse(name, octets) for octets in case.messages)
        return any(message is not None and is_beyond(message) for message in parsed)

    # -- how it ended

    def _unended(self, case: Case, answer: Answer, profile: Profile | None, found: list[Observation]) -> None:
        seconds = case.seconds or self.deadline
        if case.expects == "nothing" or _goes_on(answer, answer.started + seconds, seconds):
            return
        if case.expects == "refusal" and profile is not None and not profile.ends:
            return
        if profile is not None and ((not profile.ends and case.expects != "answer") or _is_paced(case, profile)):
            return
        found.append(Observation("hang", f"{case.about}: no answer, {seconds:g} s deadline passed", ()))

    def _deadline(self, case: Case, answer: Answer, profile: Profile | None, found: list[Observation]) -> None:
        seconds = case.seconds or self.deadline
        if case.octets > LARGE:
            return
        if profile is None or profile.seconds > seconds * QUICK_PART or (not profile.ends and case.expects != "answer"):
            return
        if _is_paced(case, profile):
            return
        if answer.seconds >= seconds * LATE_PART and not _goes_on(answer, answer.finished, seconds):
            usual = f"; ordinary calls take {profile.seconds * 1000:.0f} ms" if profile.ends else ""
            found.append(Observation("hang", f"{case.about}: not answered within its deadline of {seconds:g} s{usual}"))

    def _without_status(
        self, case: Case, answer: Answer, profile: Profile | None, found: list[Observation], *, is_valid: bool
    ) -> None:
        if answer.reset is not None:
            name = http2_error_name(answer.reset)
            if is_valid and answer.reset == 8 and profile is not None:
                self._deadline(case, answer, profile, found)
            # Where a handler panics, hyper cancels its call.
            is_dropped = answer.reset == 8 and answer.headers is None and case.level in ("schema", "sequence")
            is_dropped = is_dropped and answer.seconds < self.deadline * QUICK_PART and not case.seconds
            if is_valid and answer.trailers is None and (answer.reset in (1, 2) or is_dropped):
                check: Check = "protocol-violation" if answer.reset == 1 else "internal-status"
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
        is_late = answer.reset == 8 and answer.seconds >= (case.seconds or self.deadline) * LATE_PART
        if is_late or answer.reset in (7, 11) or answer.code in BUSY:
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


def _has_controls(case: Case) -> bool:
    """Whether a case sends fields with octets that no field may have (RFC 9113, section 8.2.1)."""
    octets = (octets for step in case.steps for field in step.fields for octets in field)
    return any(control in each for each in octets for control in (b"\0", b"\r", b"\n"))


def _form(answer: Answer, found: list[Observation]) -> None:
    """What is wrong with the head and the trailers of an answer that has a grpc-status."""
    reference = "PROTOCOL-HTTP2, Responses"
    if answer.http_status != 200:
        text = f"HTTP {answer.http_status} with a grpc-status"
        found.append(Observation("protocol-violation", text, ("http",), "", reference))
    elif not _is_grpc(answer):
        text = "a response whose content-type is not one of gRPC"
        found.append(Observation("protocol-violation", text, ("content-type",), "", reference))
    # Of requests that are not valid, grpc-js says so in plain text.
    if _NOT_CODED.search(answer.field(b"grpc-message") or b""):
        text = "a grpc-message that is not percent-encoded"
        found.append(Observation("protocol-violation", text, ("grpc-message",), "", reference))
    details = answer.field(b"grpc-status-details-bin")
    if details is not None:
        octets = unbase64(details)
        code = raw_value(octets, (1,)) if octets is not None else None
        if octets is None:
            text = "a grpc-status-details-bin that is not base64"
            found.append(Observation("bad-reply", text, ("details",), "", reference))
        elif code is not None and len(code) == 1 and answer.code and code[0] != answer.code:
            text = f"the grpc-status is {answer.code}, and {code[0]} in its details"
            found.append(Observation("bad-reply", text, ("details",), "", reference))


def _too_early(case: Case, answer: Answer, profile: Profile, found: list[Observation]) -> None:
    """Whether a deadline is said to have passed that is far away still, of a call that is answered otherwise."""
    given = next((value for step in case.steps for name, value in step.fields if name == b"grpc-timeout"), b"")
    if profile.answer is None or profile.answer.code == StatusCode.DEADLINE_EXCEEDED:
        return
    try:
        seconds = parse_timeout(given)
    except RemoteProtocolError:
        return
    if answer.seconds < min(seconds, EARLY):
        shown = given.decode("latin-1")
        text = f"DEADLINE_EXCEEDED after {answer.seconds * 1000:.0f} ms with a grpc-timeout of {shown}"
        found.append(Observation("protocol-violation", text, ("early",), "", "PROTOCOL-HTTP2, Requests"))


def _is_paced(case: Case, profile: Profile) -> bool:
    """Whether the caller has said how much time is to be between the messages of the stream that it asks for."""
    if not profile.method.is_server_stream:
        return False
    numbers = [field.number for field in profile.method.input_type.fields if PACES & {*words_of(field.name)}]
    return any((raw_value(octets, (number,)) or b"").strip(b"\0") for octets in case.messages for number in numbers)


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
