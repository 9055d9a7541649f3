"""What is tried in a message that a method refuses."""

from __future__ import annotations

from tests.fuzz.zoo import ROOT

from puregrpc.fuzz.phases.ordinary import tries
from puregrpc.fuzz.values.generate import Generator
from puregrpc.schema import Registry, load_files

REGISTRY = Registry()
load_files(REGISTRY, [ROOT / "conformance" / "fuzz" / "zoo"], "clinic.proto")
GENERATOR = Generator(REGISTRY)
BOOK = REGISTRY.message("clinic.v1.BookRequest")
SEARCH = REGISTRY.message("clinic.v1.SearchPatientsRequest")


def test_the_field_that_a_refusal_names_is_set_to_its_words_first() -> None:
    first = [(plan.field.name, value) for _, plan, value in tries(GENERATOR, BOOK, "day: as 2026-05-17.")][:3]
    assert first[0] == ("day", "2026-05-17")
    assert {name for name, _ in first} == {"day"}


def test_numbers_of_a_refusal_are_numbers_of_fields_too() -> None:
    found = [(plan.field.name, value) for _, plan, value in tries(GENERATOR, SEARCH, "limit must be from 5 to 50")]
    assert found[:2] == [("limit", 5), ("limit", 50)]
    assert ("query", "50") in found


def test_what_is_preferred_is_the_ordinary_value_of_a_field() -> None:
    generator = Generator(REGISTRY)
    field = next(plan.field for _, plan, _ in tries(generator, BOOK, "") if plan.field.name == "day")
    generator.prefer({field.full_name: "2026-05-17"})
    day = next(plan for path, plan in generator.paths(BOOK) if plan.field.name == "day")
    assert day.values[:2] == ["", "2026-05-17"]
    assert len(day.values) == len(set(map(str, day.values)))
