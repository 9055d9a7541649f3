"""examples/server.py, run and called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from puregrpc.channel import open_channel
from puregrpc.codec import Codec
from puregrpc.errors import RpcError
from puregrpc.schema import Registry
from puregrpc.services import ServingStatus, open_reflection
from puregrpc.services.health import check

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2] / "src"), *sys.path])}
EXAMPLE = Path(__file__).parents[2] / "examples" / "server.py"


async def use(address: str) -> None:
    with trio.fail_after(20):
        async with open_channel(address) as channel:
            assert await check(channel, "main.FeatureExplorer") is ServingStatus.SERVING
            registry = Registry()
            async with open_reflection(channel) as reflection:
                await reflection.load(registry, ["main.FeatureExplorer"])
            get_feature = channel.unary_unary(registry.method("main.FeatureExplorer/GetFeature"), codec=Codec(registry))
            place = {"latitude": 525200000, "longitude": 134050000}
            assert await get_feature(place) == {"name": "Berlin", "location": place}
            with pytest.raises(RpcError, match="NOT_FOUND: there is nothing"):
                await get_feature({})
            list_features = channel.unary_stream(
                registry.method("main.FeatureExplorer/ListFeatures"), codec=Codec(registry)
            )
            async with list_features({}) as features:
                assert len([feature async for feature in features]) == 3


def test_the_example() -> None:
    command = [sys.executable, str(EXAMPLE), "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        try:
            assert process.stdout is not None
            trio.run(use, process.stdout.readline().split()[-1])
            process.terminate()
            rest, _ = process.communicate(timeout=10)
            assert process.returncode == 0
            assert rest.count("/main.FeatureExplorer/GetFeature") == 2
        finally:
            process.kill()
