"""A case: the steps that are taken on connections, as data that can be kept in a file and taken again."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from puregrpc.errors import InvalidArgument
from puregrpc.fuzz.frames.probe import Fields

__all__ = [
    "FORM",
    "STALLED",
    "Case",
    "Expectation",
    "Kind",
    "Level",
    "Step",
    "Stored",
    "Take",
    "case_from_json",
    "case_to_json",
]

FORM = "puregrpc fuzz case"
"""What the file of a case says that it is."""

Level = Literal["schema", "sequence", "header", "frame", "client"]

Kind = Literal[
    "open", "message", "data", "reset", "wait", "pause", "raw", "connect", "close", "flood", "crowd", "burst", "volley"
]
"""``open``: HEADERS. ``message``: a length-prefixed message. ``data``: octets of DATA. ``reset``: RST_STREAM.
``wait``: until the stream is as ``until`` says. ``raw``: octets as they are. ``connect``: go on with a new connection.
``close``: close the connection as it is. ``flood``: what the probe of this name sends. ``crowd``: so many connections
(``code``) that send ``octets`` and are held for some seconds, or reset. ``burst``: so many calls (``code``) whole and
at once, as far as the server lets them be open together. ``volley``: so many as fast as they are taken, whose answers
nobody looks at."""

MANY = ("burst", "volley")
STALLED = "stalled"
"""A connection whose windows let no octet of an answer through."""

Expectation = Literal[
    "answer", "refusal", "same", "any", "auth", "follows", "stored", "nothing", "alike", "distinct", "paged", "counted",
    "lengths", "again", "gone", "unlisted", "answered", "unmoved", "crossed", "apart",
]  # fmt: skip
"""What is right: a call that is valid by the schema and gets a status; one that must not be served; the same answer as
the ordinary form of the call; anything that keeps to the protocol; UNAUTHENTICATED or PERMISSION_DENIED; for the last
stream the same answer as before; what an earlier stream has put; anything, no answer included; of the same request the
same answer each time; in each answer another value of the field that ``stored`` names; of two walks through pages the
same list; a number that grows with each call; a number that is that of a stream's messages; for the last stream the
same status as for the first; for the last stream no answer that is as before what it has was taken away;
no list with it;
an answer to each message of a stream; the same answer
to the last request as to the same one before; of two things each time the one that was asked for; for the last call
what the first one is answered with, or the end of the connection."""

Stored = tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
"""Fields of a request and where they come back in a reply: the numbers that lead to them in each."""


Take = tuple[int, tuple[int, ...], tuple[int, ...]]
"""The stream whose answer has it, where it is there, and the tags that lead to its place here, outermost first."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done."""

    kind: Kind
    stream: int = 0
    """Which of the case's streams, counted from 0."""
    fields: Fields = ()
    octets: bytes = b""
    end: bool = False
    """With END_STREAM."""
    code: int = 0
    """The error code of a reset; the first octet of a message's prefix."""
    seconds: float = 0.0
    until: str = ""
    """``headers``, ``message`` or ``end``; for a flood, the name of the probe; for a connection, `STALLED`."""
    take: Take | None = None
    """A value from the answer to another stream that a message has."""


@dataclass(slots=True)
class Case:
    """What is sent, and what a sound server makes of it."""

    level: Level
    method: str
    """The path of the method that it is about; empty for the connection itself."""
    steps: tuple[Step, ...]
    expects: Expectation = "answer"
    about: str = ""
    """What is peculiar to it, in words."""
    reference: str = ""
    severity: str = ""
    seconds: float = 0.0
    """The deadline of its calls; 0 for that of the run."""
    drawn: tuple[int, ...] | None = None
    """The choices that its message was made of, where it can be made smaller by them."""
    spans: tuple[tuple[int, int], ...] = ()
    path: tuple[int, ...] = ()
    """The field that the case is about."""
    stored: Stored = ()
    """What is to come back of what was put."""
    stored_by: int = 0
    """Which of its messages put it."""
    maker: Any = field(default=None, repr=False)
    """Makes the case again from other choices."""

    @property
    def octets(self) -> int:
        """About how much it sends."""
        return sum(
            (len(step.octets) + sum(len(n) + len(v) for n, v in step.fields) + 9)
            * (step.code if step.kind in MANY else 1)
            for step in self.steps
        )

    @property
    def calls(self) -> int:
        """How many calls it makes."""
        return sum(step.code if step.kind in MANY else 1 for step in self.steps if step.kind in ("open", *MANY))

    @property
    def messages(self) -> list[bytes]:
        """The messages that it sends, whole ones only."""
        return [step.octets for step in self.steps if step.kind == "message"]


def case_to_json(case: Case) -> dict[str, Any]:
    """A case as JSON values; octets are base64."""
    steps = []
    for step in case.steps:
        shown: dict[str, Any] = {"do": step.kind}
        if step.kind in ("open", "message", "data", "reset", "wait", "burst", "volley"):
            shown["stream"] = step.stream
        if step.fields:
            shown["fields"] = [[_text(name), _text(value)] for name, value in step.fields]
        if step.octets or step.kind in ("message", "data"):
            shown["octets"] = b64encode(step.octets).decode()
        for name in ("end", "code", "seconds", "until"):
            if value := getattr(step, name):
                shown[name] = value
        if step.take is not None:
            stream, path, tags = step.take
            shown["take"] = {"stream": stream, "field": list(path), "tags": list(tags)}
        steps.append(shown)
    made: dict[str, Any] = {
        "level": case.level,
        "method": case.method,
        "expects": case.expects,
        "about": case.about,
        "steps": steps,
    }
    for name in ("reference", "severity", "seconds"):
        if value := getattr(case, name):
            made[name] = value
    if case.stored:
        made["stored"] = [[list(path), list(other)] for path, other in case.stored]
        made["stored_by"] = case.stored_by
    return made


def case_from_json(value: Mapping[str, Any]) -> Case:
    """The case that `case_to_json` made this of. Raises InvalidArgument for what is none."""
    try:
        steps = tuple(
            Step(
                each["do"],
                each.get("stream", 0),
                tuple((_octets(name), _octets(content)) for name, content in each.get("fields", ())),
                b64decode(each.get("octets", "")),
                bool(each.get("end")),
                int(each.get("code", 0)),
                float(each.get("seconds", 0)),
                str(each.get("until", "")),
                _take(each.get("take")),
            )
            for each in value["steps"]
        )
        return Case(
            value["level"], value["method"], steps, value["expects"], value["about"], value.get("reference", ""),
            value.get("severity", ""), float(value.get("seconds", 0)),
            stored=tuple((tuple(path), tuple(other)) for path, other in value.get("stored", ())),
            stored_by=int(value.get("stored_by", 0)),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidArgument(f"not a case of puregrpc fuzz: {error!r}") from None


def _take(value: Any) -> Take | None:
    return None if value is None else (int(value["stream"]), tuple(value["field"]), tuple(value["tags"]))


def _text(octets: bytes) -> str:
    return octets.decode("latin-1")


def _octets(text: str) -> bytes:
    return text.encode("latin-1")


def streams_of(steps: Sequence[Step]) -> int:
    """How many streams the steps open."""
    return 1 + max((step.stream for step in steps if step.kind == "open"), default=-1)
