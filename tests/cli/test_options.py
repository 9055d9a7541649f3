"""What the options that commands share say of names that are not known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from puregrpc import services
from puregrpc.cli import options
from puregrpc.errors import SchemaError
from puregrpc.schema import Registry


class Refusing:
    """A server's reflection that describes nothing as it should."""

    async def load(self, registry: Registry, services: list[str]) -> list[str]:
        raise SchemaError("a.proto: the type .b.C is not in a.proto or in what it imports")

    async def list_services(self) -> list[str]:
        return ["a.S", "a.b.Shop"]


@pytest.mark.parametrize(
    ("symbol", "hint"),
    [
        ("a.S", ""),
        ("a.S.Call", ""),
        ("a.b.Shop/Buy", ""),
        ("s", "; did you mean a.S?"),
        ("b.S", "; did you mean a.S?"),
        ("a.b.Shup", "; did you mean a.b.Shop?"),
        ("x", ""),
    ],
)
def test_no_hint_for_a_name_that_is_right(symbol: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def open_reflection(_channel: Any, metadata: object) -> AsyncIterator[Refusing]:
        yield Refusing()

    monkeypatch.setattr(services, "open_reflection", open_reflection)
    channel: Any = None
    with pytest.raises(SchemaError) as caught:
        trio.run(options.SchemaOptions((), (), ()).load, channel, Registry(), symbol)
    assert str(caught.value).endswith(f"in what it imports{hint}")
