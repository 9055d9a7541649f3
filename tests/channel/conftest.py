"""A grpcio server for the tests of a module, and trio runs that are bounded in time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.channel.grpcio_server import grpcio_server


@pytest.fixture(scope="package")
def server() -> Iterator[str]:
    with grpcio_server() as address:
        yield address
