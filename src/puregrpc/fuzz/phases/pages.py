"""Lists that come page by page: pages of one size, put together, are what pages of another size are.

Each page but the first is asked for by the token that came with the one before it, by its offset, or by its number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.checks.words import Observation, Profile
from puregrpc.fuzz.connection.running import Outcome
from puregrpc.fuzz.values.choices import Path
from puregrpc.fuzz.values.fields import ALL, leaves, parts_of, raw_value, with_field
from puregrpc.fuzz.values.generate import FieldPlan, Generator
from puregrpc.proto.descriptors import FieldType, MessageDescriptor

__all__ = ["first_pages", "page_cases", "unlike_pages"]

SIZES = (10, 7, 5, 3, 2)
MOST_PAGES = 25
WALK = 1000
"""Streams of a case from one walk through the pages to the next."""
SIZE_NAMES = ("page_size", "limit", "max_results", "per_page", "max_items", "size", "count", "first")
TOKEN_NAMES = ("page_token", "cursor", "token", "after", "next_token", "start_token", "continuation_token")
OFFSET_NAMES = ("offset", "skip")
"""Not such as "start", which may be a number that things have themselves."""
OTHER_SIZES = ("size", "count", "first")
"""Those that say something else of what has pages, as books have."""
NUMBER_NAMES = ("page", "page_number", "page_index", "page_no", "page_num")
NEXT_NAMES = ("next_page_token", "next_cursor", "next_token", "cursor", "end_cursor", "next", "continuation_token")
NUMBERS = (FieldType.INT32, FieldType.INT64, FieldType.UINT32, FieldType.UINT64)

Ask = Callable[[Profile], "Answer | None"]


def first_pages(generator: Generator, request: MessageDescriptor, size: int) -> list[bytes]:
    """The request for a first page of that size and nothing else; none where pages have no sizes."""
    plans = [plan for path, plan in leaves(generator, request) if len(path) == 1 and plan.field.type in NUMBERS]
    sizes = [plan for name in SIZE_NAMES for plan in plans if plan.field.name == name]
    return [plan.tag + plan.encode(size) for plan in sizes[:1] if plan.encode is not None]


@dataclass(frozen=True, slots=True)
class Pages:
    """A method that gives pages, and where it has what belongs to them."""

    profile: Profile
    size: FieldPlan
    token: FieldPlan
    """Of the token of a page, or of its offset, or of its number."""
    next: int
    """The number of the reply's field with the token of the next page; 0 where pages have offsets."""
    items: int
    """The number of the reply's list."""
    is_numbered: bool = False
    """Pages have numbers in place of offsets: from 0 on, or from 1 on."""

    @property
    def stored(self) -> tuple[Path, Path]:
        """Where a reply has its list, and what is set unless it is the last one; with offsets nobody says so."""
        return (self.items, ALL), (self.next,) if self.next else ()

    def message(self, size: int, offset: int = 0) -> bytes:
        """The request for a first page, or for that with an offset."""
        assert self.size.encode is not None
        assert self.token.encode is not None
        descriptor = self.profile.method.input_type
        octets = with_field(descriptor, self.profile.octets, (), self.size.tag + self.size.encode(size))
        return octets + self.token.tag + self.token.encode("" if self.next else offset)

    def has_items(self, ask: Ask) -> bool:
        """Whether there is anything in the first page."""
        answer = ask(replace(self.profile, octets=self.message(SIZES[0])))
        messages = answer.messages()[0] if answer is not None and answer.code == 0 else []
        return any(parts_of(octets, (self.items,)) for _, octets in messages[:1])

    def offsets(self, ask: Ask, size: int) -> tuple[bytes, list[int]] | None:
        """All items and the offsets of their pages; None where there are none.

        Who gives fewer than were asked for has no more, or gives no more at once.
        """
        items = b""
        offset = self._first_number(ask, size) if self.is_numbered else 0
        asked: list[int] = []
        while len(asked) < MOST_PAGES:
            answer = ask(replace(self.profile, octets=self.message(size, offset)))
            if answer is None or answer.code != 0 or not (messages := answer.messages()[0]):
                return None
            parts = parts_of(messages[0][1], (self.items,))
            asked.append(offset)
            items += b"".join(parts)
            offset += 1 if self.is_numbered else min(len(parts), size)
            if not parts or (self.is_numbered and len(parts) < size):
                break
        return (items, asked) if items else None

    def _first_number(self, ask: Ask, size: int) -> int:
        """1 where there is no page 0, or it is the same one."""
        first, second = (ask(replace(self.profile, octets=self.message(size, number))) for number in range(2))
        if first is None or second is None or first.code != 0:
            return 1
        return int(second.code == 0 and first.body == second.body)

    def walk(self, ask: Ask, size: int) -> tuple[bytes, int] | None:
        """All items and how many pages they take; None where the tokens lead nowhere."""
        assert self.token.encode is not None
        tokens: set[bytes] = set()
        items = b""
        token = b""
        for count in range(1, MOST_PAGES + 1):
            octets = self.message(size) + self.token.tag + self.token.encode(token)
            answer = ask(replace(self.profile, octets=octets))
            if answer is None or answer.code != 0 or not (messages := answer.messages()[0]):
                return None
            items += raw_value(messages[0][1], (self.items, ALL)) or b""
            token = raw_value(messages[0][1], (self.next,)) or b""
            if not token:
                return items, count
            if token in tokens:
                return None
            tokens.add(token)
        return items, MOST_PAGES

    def steps_at(self, first: int, size: int, offsets: Sequence[int]) -> Iterator[Step]:
        """Calls for the pages with these offsets."""
        for number, offset in enumerate(offsets, first):
            yield Step("open", number, self.profile.fields)
            yield Step("message", number, octets=self.message(size, offset), end=True)
            yield Step("wait", number, until="end")

    def steps(self, first: int, size: int, count: int) -> Iterator[Step]:
        """Calls for so many pages, each with the token of the one before it."""
        octets = self.message(size)
        for number in range(first, first + count):
            take = None if number == first else (number - 1, (self.next,), (self.token.field.number << 3 | 2,))
            yield Step("open", number, self.profile.fields)
            yield Step("message", number, octets=octets, end=True, take=take)
            yield Step("wait", number, until="end")


def page_cases(profiles: Sequence[Profile], generator: Generator, ask: Ask) -> Iterator[Case]:
    """Two walks through the pages of a method, where they do not give the same list."""
    for profile in profiles:
        # What ordinary filters let through may be nothing.
        for octets in dict.fromkeys((profile.octets, b"")):
            pages = _pages(replace(profile, octets=octets), generator)
            if pages is None or profile.answer is None or profile.answer.code != 0:
                break
            if pages.has_items(ask):
                yield from _by_tokens(pages, ask) if pages.next else _by_offsets(pages, ask)
                break


def _by_tokens(pages: Pages, ask: Ask) -> Iterator[Case]:
    walks = [(size, *walked) for size in SIZES if (walked := pages.walk(ask, size)) is not None]
    for size, items, count in walks[1:]:
        first, others, most = walks[0]
        if not _is_alike(items, others, is_whole=max(count, most) < MOST_PAGES):
            yield _unlike(pages, first, size, (*pages.steps(0, first, most), *pages.steps(WALK, size, count)))
            return


def _by_offsets(pages: Pages, ask: Ask) -> Iterator[Case]:
    walks = [(size, *walked) for size in SIZES if (walked := pages.offsets(ask, size)) is not None]
    for size, items, offsets in walks[1:]:
        first, others, before = walks[0]
        if not _is_alike(items, others, is_whole=False):
            yield _unlike(pages, first, size, (*pages.steps_at(0, first, before), *pages.steps_at(WALK, size, offsets)))
            return


def _unlike(pages: Pages, first: int, size: int, steps: tuple[Step, ...]) -> Case:
    about = f"pages of {first} and of {size}, put together"
    return Case("sequence", pages.profile.path, steps, "paged", about, stored=(pages.stored,))


def unlike_pages(case: Case, outcome: Outcome) -> list[Observation]:
    """Whether two walks give different lists."""
    items, token = case.stored[0]
    walks: dict[int, bytes] = {}
    is_whole: dict[int, bool] = {}
    for number in sorted(outcome.answers):
        answer = outcome.answers[number]
        messages = answer.messages()[0]
        if answer.code != 0 or not messages:
            return []
        walk = number // WALK
        walks[walk] = walks.get(walk, b"") + (raw_value(messages[0][1], items) or b"")
        is_whole[walk] = not raw_value(messages[0][1], token)
    if len(walks) != 2 or _is_alike(walks[0], walks[1], is_whole=all(is_whole.values())):
        return []
    return [Observation("property", f"{case.about}, are not the same list", ("pages",))]


def _is_alike(one: bytes, other: bytes, *, is_whole: bool) -> bool:
    """``is_whole``: both have come to their end."""
    most = len(one) + len(other) if is_whole else min(len(one), len(other))
    return one[:most] == other[:most]


def _pages(profile: Profile, generator: Generator) -> Pages | None:
    method = profile.method
    if method.is_client_stream or method.is_server_stream:
        return None
    plans = {plan.field.name: plan for plan in generator.plan(method.input_type).fields()}
    size = _named(plans, SIZE_NAMES, NUMBERS)
    token, offset = _named(plans, TOKEN_NAMES, (FieldType.STRING,)), _named(plans, OFFSET_NAMES, NUMBERS)
    following = _number(method.output_type, NEXT_NAMES)
    lists = [each for each in method.output_type.fields if each.is_repeated and not each.is_map]
    if size is None or len(lists) != 1 or lists[0].type in NUMBERS:
        return None
    if token is not None and following:
        return Pages(profile, size, token, following, lists[0].number)
    if offset is not None:
        return Pages(profile, size, offset, 0, lists[0].number)
    number = _named(plans, NUMBER_NAMES, NUMBERS) if size.field.name not in OTHER_SIZES else None
    return Pages(profile, size, number, 0, lists[0].number, is_numbered=True) if number is not None else None


def _named(plans: dict[str, FieldPlan], names: Sequence[str], types: Sequence[FieldType]) -> FieldPlan | None:
    found = (plans[name] for name in names if name in plans)
    return next((each for each in found if each.field.type in types and not each.field.is_repeated), None)


def _number(descriptor: MessageDescriptor, names: Sequence[str]) -> int:
    fields = {each.name: each for each in descriptor.fields if each.type is FieldType.STRING and not each.is_repeated}
    return next((fields[name].number for name in names if name in fields), 0)
