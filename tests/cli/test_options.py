"""What the options that commands share say of names that are not known, and what they are if not given."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import click
import pytest
import trio

from puregrpc import services
from puregrpc.cli import options
from puregrpc.cli.call import call
from puregrpc.errors import SchemaError
from puregrpc.schema import Registry
from puregrpc.wire import limits


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


@pytest.mark.parametrize(
    ("name", "default", "most"),
    [
        ("max_message_size", limits.DEFAULT_MAX_MESSAGE_SIZE, None),
        ("max_header_list_size", limits.CLIENT_MAX_HEADER_LIST_SIZE, limits.LARGEST_HEADER_LIST_SIZE),
    ],
)
def test_limits_are_those_of_the_wire(name: str, default: int, most: int | None) -> None:
    (option,) = (each for each in call.params if each.name == name)
    assert isinstance(option.type, click.IntRange)
    assert (option.default, option.type.max) == (default, most)
