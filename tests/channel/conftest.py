"""A grpcio server for all tests, and each test once with each engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest

import puregrpc.channel.options
from puregrpc.wire import EngineName
from tests.channel.grpcio_server import grpcio_server


@pytest.fixture(scope="package")
def server() -> Iterator[str]:
    with grpcio_server() as address:
        yield address


@pytest.fixture(params=get_args(EngineName), autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> EngineName:
    monkeypatch.setattr(puregrpc.channel.options, "DEFAULT_ENGINE", request.param)
    name: EngineName = request.param
    return name
