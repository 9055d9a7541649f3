"""What is beyond the meaning of the well-known types."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fuzz.zoo import SHOP

from puregrpc import protos
from puregrpc.fuzz.values.meaning import is_beyond

pb: Any = protos(SHOP)


@pytest.mark.parametrize(
    ("seconds", "nanos", "beyond"),
    [(0, 0, False), (253_402_300_799, 999_999_999, False), (253_402_300_800, 0, True), (-62_135_596_800, 0, False),
     (-62_135_596_801, 0, True), (0, -1, True), (0, 10**9, True)],
)  # fmt: skip
def test_dates_beyond_all_dates(seconds: int, nanos: int, beyond: bool) -> None:
    date = {"seconds": seconds, "nanos": nanos}
    assert is_beyond(pb.Order(deliver_at=date)) is beyond
    assert is_beyond(pb.Order(lines=[{}], replaces={"deliver_at": date}, notes={"a": "b"})) is beyond
    assert is_beyond(pb.ListItemsResponse(items=[{"added": date}])) is beyond
