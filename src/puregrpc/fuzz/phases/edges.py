"""Messages at the edges of their values: one field at a time, every value of its table."""

from __future__ import annotations

from collections.abc import Iterator

from puregrpc.fuzz.values.choices import Directed, Path
from puregrpc.fuzz.values.generate import Generator
from puregrpc.proto.descriptors import MessageDescriptor

__all__ = ["edges"]

FIRST_WIDTH, WIDTH = 10, 24
"""So many values of a field are tried before the next field's: few at first."""


def edges(generator: Generator, descriptor: MessageDescriptor) -> Iterator[tuple[str, Directed, Path]]:
    """What is peculiar to each message, the choices that make it, and the field that it is about.

    Each field has the values of its table, among ordinary fields and alone.
    """
    paths = generator.paths(descriptor)
    tables = [[(target, value) for target, value in generator.boundaries(path, each) if value] for path, each in paths]
    names = [generator.named(descriptor, path) for path, _ in paths]
    for (path, _), name in zip(paths, names, strict=True):
        yield f"{name}, the simplest", Directed({path: 0}, fill=True), path
        if len(path) <= 2:
            yield f"all but {name}", Directed({}, fill=True, leave_out=path), path
    # The first values of every field come before the last ones of any, and those among ordinary fields first.
    start, width = 0, FIRST_WIDTH
    while any(start < len(table) for table in tables):
        for fill in (True, False) if not start else (True,):
            for (path, _), table, name in zip(paths, tables, names, strict=True):
                for target, value in table[start : start + width]:
                    yield f"{name}, value {value}", Directed({target: value}, fill=fill), path
        start += width
        width = WIDTH
