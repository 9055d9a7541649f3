"""A grpcio server for all tests, and each test once with each engine and in each world.

A test that is about one world alone says so: ``pytestmark = pytest.mark.worlds("trio")``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest

import puregrpc.channel.options
from puregrpc.wire import EngineName
from tests.channel.helpers import use_world
from tests.worlds import LOOPS, WORLDS


@pytest.fixture(scope="package")
def server() -> Iterator[str]:
    pytest.importorskip("grpc", reason="grpcio is not installed")
    from tests.channel.grpcio_server import grpcio_server

    with grpcio_server() as address:
        yield address


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The engine on h2 is told from the fast one by the wire: here it runs in two worlds."""
    wanted = metafunc.definition.get_closest_marker("worlds")
    worlds = wanted.args if wanted is not None else WORLDS
    metafunc.parametrize(
        ("world", "engine"),
        [
            pytest.param(world, engine, id=f"{world}-{engine}")
            for world in worlds
            if world != "uvloop" or "uvloop" in LOOPS
            for engine in get_args(EngineName)
            if engine == "fast" or world not in ("asyncio", "uvloop")
        ],
        indirect=True,
    )


@pytest.fixture(autouse=True)
def world(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    use_world(name)
    return name


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> EngineName:
    name: EngineName = request.param
    monkeypatch.setattr(puregrpc.channel.options, "DEFAULT_ENGINE", name)
    return name
