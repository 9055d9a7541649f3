"""Recorded draws: what was generated can be made again from the numbers that were drawn, and made smaller with them.

Rules: every draw is a number from 0 on, and 0 is the simplest there is. What may be left out stands in a span, whose
first draw is 0 where it is left out, and nothing follows then. So a span is left out by putting a 0 in its place, and
the draws behind it keep their meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

__all__ = ["Choices", "Directed", "Path", "mutated", "shrink"]

Path = tuple[int, ...]
"""The numbers of the fields that lead to one, outermost first."""


class Choices:
    """A sequence of draws: first those that are given, then drawn by ``random``; without it, 0."""

    __slots__ = ("_given", "_open", "_random", "drawn", "spans")

    def __init__(self, random: Random | None = None, given: Sequence[int] = ()) -> None:
        self._random = random
        self._given = given
        self.drawn: list[int] = []
        self.spans: list[tuple[int, int]] = []
        """Where spans begin and end (not included), in the order of their ends."""
        self._open: list[int] = []

    def below(self, bound: int) -> int:
        """A number from 0 to ``bound`` - 1."""
        at = len(self.drawn)
        if at < len(self._given):
            value = min(self._given[at], bound - 1)
        elif self._random is None:
            value = 0
        elif bound <= 1 << 52:
            value = int(self._random.random() * bound)
        else:
            value = self._random.randrange(bound)
        self.drawn.append(value)
        return value

    def flag(self, chance: float) -> bool:
        """True with this probability."""
        at = len(self.drawn)
        if at < len(self._given):
            value = self._given[at] > 0
        else:
            value = self._random is not None and self._random.random() < chance
        self.drawn.append(int(value))
        return value

    def member(self, numbers: Sequence[int], chance: float) -> int:
        """0 for none of these, or the place of one of them from 1 on (the members of a oneof)."""
        at = len(self.drawn)
        if at < len(self._given):
            value = min(self._given[at], len(numbers))
        elif self._random is None or self._random.random() >= chance:
            value = 0
        else:
            value = 1 + int(self._random.random() * len(numbers))
        self.drawn.append(value)
        return value

    def value(self, listed: int, more: int, common: int) -> int:
        """Which value of a table of ``listed`` ones; those from there on are ``more`` ways to make up others.

        Only the first ``common`` of the table come up by chance.
        """
        at = len(self.drawn)
        if at < len(self._given):
            value = min(self._given[at], listed + more - 1)
        elif self._random is None:
            value = 0
        else:
            value = int(self._random.random() * (common + more))
            if value >= common:
                value += listed - common
        self.drawn.append(value)
        return value

    def count(self, bound: int, common: int, chance: float) -> int:
        """A number below ``bound`` that is seldom other than 0, and by chance below ``common``."""
        at = len(self.drawn)
        if at < len(self._given):
            value = min(self._given[at], bound - 1)
        elif self._random is None or self._random.random() >= chance:
            value = 0
        else:
            value = int(self._random.random() * common)
        self.drawn.append(value)
        return value

    def begin(self) -> None:
        """A span begins."""
        self._open.append(len(self.drawn))

    def end(self) -> None:
        """It ends."""
        self.spans.append((self._open.pop(), len(self.drawn)))

    def enter(self, number: int) -> None:
        """What follows is drawn for the field of this number."""

    def leave(self) -> None:
        """The field is done."""


class Directed(Choices):
    """Draws that lead to chosen values of chosen fields; all others are left out, or with ``fill`` ordinary.

    The field ``leave_out`` is left out in any case.
    """

    __slots__ = ("_fill", "_left_out", "_path", "_prefixes", "_targets")

    def __init__(self, targets: Mapping[Path, int], *, fill: bool = False, leave_out: Path = ()) -> None:
        super().__init__()
        self._left_out = leave_out
        self._targets = targets
        self._prefixes = {path[:length] for path in targets for length in range(1, len(path) + 1)}
        self._fill = fill
        self._path: Path = ()

    def _drawn(self, value: int) -> int:
        self.drawn.append(value)
        return value

    def flag(self, chance: float) -> bool:  # noqa: ARG002 - nothing is left to chance
        if self._path == self._left_out:
            return bool(self._drawn(0))
        return bool(self._drawn(self._path in self._prefixes or (self._fill and len(self._path) <= 2)))

    def member(self, numbers: Sequence[int], chance: float) -> int:  # noqa: ARG002
        for place, number in enumerate(numbers, 1):
            if (*self._path, number) in self._prefixes:
                return self._drawn(place)
        return self._drawn(int(self._fill and len(self._path) <= 1))

    def value(self, listed: int, more: int, common: int) -> int:  # noqa: ARG002
        return self._drawn(min(self._targets.get(self._path, int(self._fill)), listed + more - 1))

    def count(self, bound: int, common: int, chance: float) -> int:  # noqa: ARG002
        return self._drawn(min(self._targets.get(self._path, 0), bound - 1))

    def enter(self, number: int) -> None:
        self._path = (*self._path, number)

    def leave(self) -> None:
        self._path = self._path[:-1]


def mutated(drawn: Sequence[int], random: Random) -> list[int]:
    """The draws with some of them changed: what is near to what was found worth a look."""
    changed = list(drawn)
    if not changed:
        return changed
    for _ in range(1 + int(random.random() * 3)):
        at = int(random.random() * len(changed))
        kind = random.random()
        if kind < 0.4:
            changed[at] = int(random.random() * 32)
        elif kind < 0.6:
            changed[at] = max(changed[at] + (1 if random.random() < 0.5 else -1), 0)
        elif kind < 0.8:
            changed[at] = 0
        else:
            del changed[at:]
            break
    return changed


Fails = Callable[[Sequence[int]], "Choices | None"]
"""Makes the case of some draws again and tries it: its choices if it fails as before, None if not."""


def shrink(found: Choices, fails: Fails, most: int = 100) -> Choices:
    """The simplest choices found that still fail, with at most ``most`` tries.

    First whole spans are left out, the outermost first, by halves; then single draws become 0 or smaller.
    """
    best = found
    tries = 0
    seen = {tuple(found.drawn)}

    def attempt(draws: Sequence[int]) -> bool:
        nonlocal best, tries
        key = tuple(draws)
        if tries >= most or key in seen:
            return False
        seen.add(key)
        tries += 1
        outcome = fails(draws)
        if outcome is None or (len(outcome.drawn), outcome.drawn) >= (len(best.drawn), best.drawn):
            return False
        best = outcome
        return True

    depth = 0
    while tries < most:
        level = _spans_at(best, depth)
        if not level:
            if depth > 8:
                break
            depth += 1
            if not any(_depth_of(best, span) >= depth for span in best.spans):
                break
            continue
        size = len(level)
        while size and tries < most:
            at = 0
            changed = False
            while at < len(level) and tries < most:
                if attempt(_without(best.drawn, level[at : at + size])):
                    level = _spans_at(best, depth)
                    changed = True
                else:
                    at += size
            size = size // 2 if size > 1 or not changed else 0
        depth += 1
    at = 0
    while at < len(best.drawn) and tries < most:
        value = best.drawn[at]
        if value:
            low = -1
            for smaller in (0, 1):
                if smaller < value and attempt([*best.drawn[:at], smaller, *best.drawn[at + 1 :]]):
                    break
                low = smaller
            else:
                while at < len(best.drawn) and best.drawn[at] - low > 1 and tries < most:
                    middle = (low + best.drawn[at]) // 2
                    if not attempt([*best.drawn[:at], middle, *best.drawn[at + 1 :]]):
                        low = middle
        at += 1
    return best


def _depth_of(choices: Choices, span: tuple[int, int]) -> int:
    return sum(1 for start, end in choices.spans if start <= span[0] and span[1] <= end) - 1


def _spans_at(choices: Choices, depth: int) -> list[tuple[int, int]]:
    """The spans of one depth of nesting that have something in them."""
    return sorted(
        span
        for span in set(choices.spans)
        if span[0] < span[1] and choices.drawn[span[0]] and _depth_of(choices, span) == depth
    )


def _without(drawn: Sequence[int], spans: Sequence[tuple[int, int]]) -> list[int]:
    out: list[int] = []
    at = 0
    for start, end in spans:
        out += drawn[at:start]
        out.append(0)
        at = end
    out += drawn[at:]
    return out
