"""What may be found wrong, and what is known of a method: in which words observers and judges talk."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import Case
from puregrpc.proto.descriptors import MethodDescriptor
from puregrpc.wire.status import StatusCode

__all__ = [
    "BUSY",
    "CHECKS",
    "NOT_SERVED",
    "REFUSALS",
    "Check",
    "Observation",
    "Profile",
    "UserCheck",
    "normal_text",
    "signature",
    "violation",
]

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

REFUSALS = (3, 9, 11)
"""INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE."""
BUSY = {StatusCode.DEADLINE_EXCEEDED, StatusCode.RESOURCE_EXHAUSTED, StatusCode.UNAVAILABLE}
"""Of a server that has too much to do."""
NOT_SERVED = {None, *BUSY}
"""Of a method that has no room left."""
INTERNAL = {StatusCode.UNKNOWN, StatusCode.INTERNAL, StatusCode.DATA_LOSS}
REFUSED_AUTH = {StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED}


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
    most: int = 0
    """Octets of the largest answer with OK that it has given."""
    amplifier: bytes = b""
    """The message that was answered with it."""
    is_steady: bool = False
    """The same call has always had the same answer."""
    first: tuple[object, ...] | None = None
    """The `signature` of the answer at the beginning of the run."""
    is_changed: bool = False
    """It is answered otherwise than at the beginning, and what did that has been looked for."""
    ends: bool = True
    """Ordinary calls end, before their deadline."""
    seconds: float = 0.0
    """The longest that an ordinary call took."""
    ordinary_codes: set[int | None] = field(default_factory=set)
    """What ordinary calls have ended with."""
    refused: dict[str, bytes] = field(default_factory=dict)
    """Messages that it has refused, by what it has said."""
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


_VARYING = re.compile(r"0x[0-9a-fA-F]+|\d+|'[^']*'|\"[^\"]*\"|\[[^\]]*\]|\([^)]*\)")


def normal_text(text: str) -> str:
    """A message without what differs from case to case."""
    return _VARYING.sub("*", text[:300])[:80]


def violation(text: str) -> Observation:
    """What a peer did that no peer may, as a connection tells it."""
    return Observation("protocol-violation", text, (normal_text(text),), "", _reference(text))


def _reference(text: str) -> str:
    match = re.search(r"\(((?:RFC|PROTOCOL)[^)]*)\)", text)
    return match[1] if match else "RFC 9113"
