"""Schemas that clients load, once in a process: clients that load the same files share descriptors and codec."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from puregrpc._locks import Lock
from puregrpc.client.calls.prepared import BoundMethod
from puregrpc.client.params.definitions import method_infos
from puregrpc.client.results.records import MethodInfo
from puregrpc.codec import Codec
from puregrpc.proto.descriptors import FileDescriptor
from puregrpc.schema import Registry

__all__ = ["Schema", "Step", "loaded"]

MAX_KEPT = 32
"""Schemas that are kept for the next client; those used last."""

Step = tuple[object, ...]
"""What was loaded: it is the same if this is, and the files have not changed."""


@dataclass(slots=True)
class Schema:
    """What a client knows of messages and methods, with all that was made of it."""

    registry: Registry
    codec: Codec
    methods: dict[str, BoundMethod] = field(default_factory=dict)
    version: int = -1
    """Of the registry, when the methods were made."""
    steps: tuple[Step, ...] | None = ()
    """What was loaded; None if only one client has it, and may add to it."""
    files: tuple[FileDescriptor, ...] = ()
    """What the last step loaded."""
    stamps: tuple[tuple[str, object], ...] = ()
    """How the files were when they were read, and those that would have been read in their place."""

    @classmethod
    def of(cls, registry: Registry, max_elements: int) -> Schema:
        """A schema for what a registry has."""
        return cls(registry, Codec(registry, max_elements=max_elements))

    @classmethod
    @lru_cache(maxsize=MAX_KEPT)
    def empty(cls, max_elements: int) -> Schema:
        """That of clients that have loaded nothing yet, one for all."""
        return cls.of(Registry(), max_elements)

    def private(self, max_elements: int) -> Schema:
        """The same, for one client alone, which may add to it."""
        if self.steps is None:
            return self
        made = Schema.of(copied(self.registry), max_elements)
        made.steps = None
        return made

    def infos(self) -> list[MethodInfo]:
        """The methods of what was loaded last."""
        return method_infos(self.files)


_kept: OrderedDict[object, Schema] = OrderedDict()
_lock = Lock()


def loaded(
    before: Schema,
    step: Step,
    max_elements: int,
    load: Callable[[Registry], Iterable[FileDescriptor]],
    places: Callable[[Iterable[str]], Iterable[str]],
) -> Schema:
    """A schema with one step more: the one that some client has loaded already, or a new one.

    ``load`` adds to a registry; ``places`` gives all paths where files of some names may be.
    """
    if before.steps is None:
        before.files = tuple(load(before.registry))
        return before
    steps = (*before.steps, step)
    key = steps, max_elements
    with _lock:
        found = _kept.get(key)
        if found is not None:
            _kept.move_to_end(key)
    if found is not None and all(stamp_of(path) == stamp for path, stamp in found.stamps):
        return found
    made = Schema.of(copied(before.registry), max_elements)
    made.files = tuple(load(made.registry))
    made.steps = steps
    made.stamps = (*before.stamps, *((path, stamp_of(path)) for path in places(made.registry.files)))
    with _lock:
        _kept[key] = made
        while len(_kept) > MAX_KEPT:
            _kept.popitem(last=False)
    return made


def copied(registry: Registry) -> Registry:
    """Another registry with the same files."""
    made = Registry()
    for file in registry.files.values():
        made.add_file(file)
    return made


def stamp_of(path: str) -> object:
    """What changes when a file does; None: there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - of many files, whose paths are text
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
