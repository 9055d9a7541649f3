"""Answers that are made of a schema: right ones at the edges of their values, and damaged ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.cases.damage import damaged
from puregrpc.fuzz.frames.probe import DATA, END_STREAM, GRPC_RESPONSE, HEADERS, block, frame, message
from puregrpc.fuzz.misbehaving.misbehaviours import OK_TRAILERS, RIGHT, Misbehaviour, Talk, answer
from puregrpc.fuzz.phases.edges import edges
from puregrpc.fuzz.values.choices import Choices, Directed
from puregrpc.fuzz.values.generate import Generator
from puregrpc.proto.descriptors import MethodDescriptor

__all__ = ["answer_cases", "answering"]

END_HEADERS = 4
MOST_FRAME = 16_000
MOST_ANSWER = 60_000
"""Octets: what goes into the windows that every client opens."""
RIGHTS: dict[str, RIGHT] = {"answer": "handled", "refusal": "error"}


def answer_cases(generator: Generator, method: MethodDescriptor) -> Iterator[Case]:
    """What a method is answered with: ordinary, empty, at the edges of each field, and damaged."""
    descriptor = method.output_type

    def made(choices: Choices, about: str) -> Case:
        octets = generator.message(descriptor, choices)
        case = Case("client", method.path, (Step("message", octets=octets),), "answer", f"an answer: {about}")
        case.drawn, case.spans = tuple(choices.drawn), tuple(choices.spans)

        def again(drawn: Sequence[int]) -> tuple[Case, Choices]:
            choices = Choices(None, drawn)
            return made(choices, about), choices

        case.maker = again
        return case

    yield made(Directed({}, fill=True), "an ordinary message")
    yield made(Directed({}), "an empty message")
    damages = damaged(generator, descriptor)
    for about, choices, _ in edges(generator, descriptor):
        case = made(choices, about)
        if case.octets <= MOST_ANSWER:
            yield case
        # Every other one is damaged, as long as there are any.
        broken = next(damages, None)
        if broken is not None and len(broken.octets) <= MOST_ANSWER:
            steps = (Step("message", octets=broken.octets),)
            yield Case("client", method.path, steps, broken.expects, f"an answer: {broken.about}")
    for broken in damages:
        if len(broken.octets) <= MOST_ANSWER:
            steps = (Step("message", octets=broken.octets),)
            yield Case("client", method.path, steps, broken.expects, f"an answer: {broken.about}")


def answering(case: Case) -> Misbehaviour:
    """The server that answers calls of the case's method with its message, and those of others with an empty one."""
    body = message(case.messages[0])

    def act(talk: Talk) -> None:
        if talk.path and talk.path != case.method:
            talk.send(answer(talk.stream))
            return
        out = frame(HEADERS, END_HEADERS, talk.stream, block(GRPC_RESPONSE))
        for at in range(0, len(body), MOST_FRAME):
            out += frame(DATA, 0, talk.stream, body[at : at + MOST_FRAME])
        talk.send(out + frame(HEADERS, END_HEADERS | END_STREAM, talk.stream, block(OK_TRAILERS)))

    right = RIGHTS.get(case.expects, "any")
    return Misbehaviour("answer", case.about, right, act, case.reference or "protobuf, encoding")
