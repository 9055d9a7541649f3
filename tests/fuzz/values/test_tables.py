"""The tables of values: bombs, what looks like a text that was seen, and entries of maps."""

from __future__ import annotations

import zlib
from typing import Any

from tests.fuzz.zoo import ROOT

from puregrpc.fuzz.values.field_values import Dictionary, scalar_values
from puregrpc.fuzz.values.fields import entry, maps
from puregrpc.fuzz.values.generate import Generator
from puregrpc.schema import Registry, load_files

REGISTRY = Registry()
load_files(REGISTRY, [ROOT / "conformance" / "fuzz" / "zoo"], "bookings.proto")
BOOKING = REGISTRY.message("bookings.v1.Booking")


def test_octets_are_inflated_to_a_thousand_times_as_many() -> None:
    (seal,) = (field for field in BOOKING.fields if field.name == "seal")
    bombs = [each for each in scalar_values(seal, Dictionary()) if isinstance(each, bytes) and len(each) > 65537]
    bombs = [each for each in bombs if each[:2] in (b"\x78\xda", b"\x1f\x8b")]
    assert [len(zlib.decompress(each, 47)) for each in bombs] == [64 << 20] * 2
    assert max(map(len, bombs)) < 70_000


def test_what_looks_like_a_text_that_was_seen_is_tried() -> None:
    (name,) = (field for field in BOOKING.fields if field.name == "room")
    dictionary = Dictionary()
    dictionary.add("room", "r12")
    assert {"r12", "r12x", "r1", "r1299999"} <= set(scalar_values(name, dictionary))


def test_an_entry_of_a_map_has_a_key_of_its_own() -> None:
    generator = Generator(REGISTRY)
    booking: Any = REGISTRY.message_class(BOOKING)
    ((path, plan),) = maps(generator, BOOKING)
    assert path[0] == 7
    keys = {next(iter(booking.FromString(entry(plan, number)).wishes)) for number in range(5)}
    assert len(keys) == 5
