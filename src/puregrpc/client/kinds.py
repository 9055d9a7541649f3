"""Which class a client is made of: while a load run reads its script, one that each user has its own of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["kind_of", "made_as"]

_kinds: dict[type, type] = {}


def kind_of(cls: type) -> type:
    """The class that an object of ``cls`` is made of: itself, or a subclass that stands for it now."""
    return _kinds.get(cls, cls)


@contextmanager
def made_as(kinds: Mapping[type, type]) -> Iterator[None]:
    """Have objects of some classes made of subclasses of these while the body runs."""
    before = dict(_kinds)
    _kinds.update(kinds)
    try:
        yield
    finally:
        _kinds.clear()
        _kinds.update(before)
