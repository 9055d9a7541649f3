"""Makes the pages of this folder from real traces: the lesson, its exercises and answers; and the command reference.

Usage: python -m docs.wire.generate [--check]; with --check nothing is written, and the exit status is 1 if a page is
not what would be written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from docs.wire.commands import commands_page
from docs.wire.conversation import lesson_conversation
from docs.wire.exercises import EXERCISES
from docs.wire.lesson import lesson_page

from puregrpc.schema import Registry
from puregrpc.services.contracts import contract
from puregrpc.trace import Chunk, Part, Recording, explain
from puregrpc.trace.showing.page import html_page

HERE = Path(__file__).parent
PROTO = "../../examples/definitions/hello.proto"


def hello_registry() -> Registry:
    registry = Registry()
    registry.add_file(contract("hello.proto"))
    return registry


def exercises_page() -> str:
    lines = [
        "# Exercises: what is wrong here?",
        "",
        "Each capture is the first call of [the lesson](README.md) with one thing wrong. Read it by eye, or, in the",
        "folder of this page (`docs/wire`), with",
        "",
        "```sh",
        f"puregrpc trace --read exercises/{EXERCISES[0].name}.hex --detail octets --proto {PROTO}",
        "```",
        "",
        "The [answers](answers.md) tell. In the browser they open in the [playground](playground.md), with",
        "`?exercise=length`.",
        "",
    ]
    for number, exercise in enumerate(EXERCISES, 1):
        lines += [f"{number}. [{exercise.name}.hex](exercises/{exercise.name}.hex): {exercise.question}"]
    return "\n".join(lines) + "\n"


def answers_page() -> str:
    lines = ["# Answers", "", "What `puregrpc trace --read` finds wrong, and what it means.", ""]
    for number, exercise in enumerate(EXERCISES, 1):
        chunks = tuple(Chunk(n / 1000, direction, data) for n, (direction, data) in enumerate(exercise.octets))
        explanation = explain(Recording(chunks), registry=hello_registry())
        lines += [f"## {number}. {exercise.name}", "", exercise.question, "", exercise.answer, ""]
        found = list(explanation.problems())
        found += [f"{part.label}: {part.note}" for part in notes(explanation.parts())]
        lines += ["```", *found, "```", ""]
    return "\n".join(lines)


def notes(parts: Iterator[Part]) -> Iterator[Part]:
    """Parts that are no fault, but that the schema does not know."""
    for part in parts:
        for inner in part.walk():
            if "not in the schema" in inner.note:
                yield inner


def pages() -> Iterator[tuple[Path, str]]:
    """Every generated file with its text."""
    explanation = explain(lesson_conversation(), registry=hello_registry())
    yield HERE / "README.md", lesson_page(explanation)
    yield HERE / "conversation.html", html_page(explanation, title="The lesson's conversation")
    yield HERE / "exercises.md", exercises_page()
    yield HERE / "answers.md", answers_page()
    for exercise in EXERCISES:
        yield HERE / "exercises" / f"{exercise.name}.hex", exercise.hexdump()
    yield HERE.parent / "commands.md", commands_page()


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = []
    for path, text in pages():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in stale:
        print(f"{'not current' if check else 'wrote'}: {path.relative_to(HERE.parent.parent)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
