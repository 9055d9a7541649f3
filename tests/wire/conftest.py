"""Every test of a connection runs on every engine."""

from __future__ import annotations

import pytest

from puregrpc.wire import EngineName

ENGINES: list[EngineName] = ["h2", "fast"]


@pytest.fixture(params=ENGINES, scope="session")
def engine(request: pytest.FixtureRequest) -> EngineName:
    name: EngineName = request.param
    return name
