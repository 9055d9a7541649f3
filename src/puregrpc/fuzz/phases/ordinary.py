"""What to change in a message that a method refuses: what the refusal says first, then ordinary values."""

from __future__ import annotations

import re
from collections.abc import Iterator

from puregrpc.fuzz.values.choices import Path
from puregrpc.fuzz.values.field_values import SIGNED, UNSIGNED, Scalar, words_of
from puregrpc.fuzz.values.fields import leaves
from puregrpc.fuzz.values.generate import FieldPlan, Generator
from puregrpc.proto.descriptors import FieldType, MessageDescriptor

__all__ = ["tries"]

WORDS = re.compile(r"[^\s,;:'\"`()\[\]<>{}=]+(?:[:.][^\s,;:'\"`()\[\]<>{}=]+)*")
MOST_WORDS = 12
MOST_FIELDS = 8
FEW = 10
"""Values of a field's own table."""
INTEGERS = {*SIGNED, *UNSIGNED}


def tries(generator: Generator, descriptor: MessageDescriptor, text: str) -> Iterator[tuple[Path, FieldPlan, Scalar]]:
    """Fields with values to set them to: those that the refusal's ``text`` names first."""
    said = {word for part in WORDS.findall(text) for word in words_of(part.strip("."))}
    fields = [each for each in leaves(generator, descriptor) if len(each[0]) < 3][:MOST_FIELDS]
    fields.sort(key=lambda each: not said >= set(words_of(each[1].field.name)))
    words = sorted(dict.fromkeys(word.rstrip(".") for word in WORDS.findall(text)), key=_looks_like_a_word)[:MOST_WORDS]
    for path, plan in fields:
        if plan.field.type is FieldType.STRING:
            yield from ((path, plan, word) for word in words)
        elif plan.field.type in INTEGERS:
            yield from ((path, plan, int(word)) for word in words if word.isdecimal() and int(word) < 1 << 31)
    for path, plan in fields:
        light = [value for value in plan.values[2:] if not isinstance(value, (str, bytes)) or 0 < len(value) < 40]
        yield from ((path, plan, value) for value in light[:FEW])


def _looks_like_a_word(text: str) -> bool:
    return text.isalpha() and (text.islower() or text.istitle())
