"""The garbage collector during a compilation.

A compilation makes hundreds of thousands of objects, of which nothing becomes garbage while it runs: what is dropped
goes at once, as its last reference does. To look for garbage all the same takes as long as the compilation itself, and
to look once at its end a sixth of that.
"""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["making_what_stays", "without_garbage_collection"]

MAX_UNSEEN = 300_000
"""How many objects may be taken for old ones unseen: descriptors of about 50 MB, which nobody may need any more."""

CAN_FREEZE = hasattr(gc, "freeze") and "free-threading" not in sys.version
"""Without the GIL, freezing and counting what is frozen look at every object there is, as a collection does."""


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Let no garbage be looked for, in whichever threads; the last to leave has it looked for again."""
    me = object()
    _inside.append(me)
    if gc.isenabled():
        gc.disable()
        _owed.append(me)
    try:
        yield
    finally:
        _inside.remove(me)
        # Who disables the collector notes that only afterwards: however threads take turns, it is enabled at the end.
        while not _inside and _owed:
            try:
                _owed.pop()
            except IndexError:
                break
            gc.enable()


_inside: list[object] = []
"""Who wants no garbage to be looked for."""
_owed: list[object] = []
"""Who found the collector enabled and disabled it."""


@contextmanager
def making_what_stays() -> Iterator[None]:
    """Let no garbage be looked for, and take what is alive at the end for old, as a first look would find it.

    ``gc.freeze`` and ``gc.unfreeze`` together do that. The collector does not count what has come to it in this way,
    so it is counted here, and a full collection is made before there is too much of it.
    """
    takes_part = CAN_FREEZE and gc.isenabled()
    if takes_part:
        _unseen.collect_if_many()
    with without_garbage_collection():
        try:
            yield
        finally:
            if takes_part and not gc.get_freeze_count():  # what others have frozen must stay so
                _unseen.count += gc.get_count()[0]
                gc.freeze()
                gc.unfreeze()


class _Unseen:
    """The objects taken for old since the last full collection."""

    def __init__(self) -> None:
        self.count = 0
        self.collections = 0

    def collect_if_many(self) -> None:
        """Make a full collection if it is time, and if nobody else has made one."""
        collections = gc.get_stats()[-1]["collections"]
        if collections != self.collections:
            self.collections = collections
            self.count = 0
        elif self.count > MAX_UNSEEN:
            gc.collect()
            self.collections = collections + 1
            self.count = 0


_unseen = _Unseen()
