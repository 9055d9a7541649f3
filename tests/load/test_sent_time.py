"""How long the messages of a stream were on their way, where they say when they were sent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from puregrpc import BlockingServer, Client, Metrics
from puregrpc.client.streams.sent_time import in_seconds
from puregrpc.errors import InvalidArgument
from puregrpc.load import run
from puregrpc.schema import Registry, load_files
from puregrpc.server import Context

PROTO = """
syntax = "proto3";
import "google/protobuf/timestamp.proto";
package ticks;
service Ticker { rpc Watch(Tick) returns (stream Tick); }
message Tick { google.protobuf.Timestamp sent_at = 1; int64 sent_ms = 2; string name = 3; repeated int32 many = 4; }
"""
WAY = 0.05
"""Seconds that the messages pretend to have been on their way."""

SCRIPT = """
from puregrpc import AsyncClient
client = AsyncClient()
client.load([], "ticks.proto")
async def init():
    await client.connect(TARGET, plaintext=True)
async def default():
    stream = client.stream("ticks.Ticker/Watch", time_field="sent_at", tags={"mine": "yes"})
    await stream.write({})
    async for _ in stream:
        pass
"""


@pytest.fixture
def ticker(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "ticks.proto").write_text(PROTO)
    registry = Registry()
    load_files(registry, [str(tmp_path)], "ticks.proto")

    def watch(request: dict[str, Any], context: Context) -> Iterator[dict[str, Any]]:
        for _ in range(3):
            sent = time.time() - WAY
            moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(sent)) + f"{sent % 1:.6f}"[1:] + "Z"
            yield {"sentAt": moment, "sentMs": int(sent * 1000)}
        yield {}

    server = BlockingServer("127.0.0.1:0")
    server.add_service(registry.service("ticks.Ticker"), {"Watch": watch})
    server.start()
    yield server.addresses[0]
    server.stop(0)
    server.wait_for_termination(20)


def check(metrics: Metrics, selector: str) -> None:
    assert metrics.value(selector, "count") == 3
    assert WAY * 1000 - 2 <= metrics.value(selector, "min") < 20_000


@pytest.mark.parametrize("field", ["sent_at", "sentAt", "sent_ms"])
@pytest.mark.parametrize("handled", [False, True])
def test_blocking_streams(ticker: str, tmp_path: Path, field: str, handled: bool) -> None:
    metrics = Metrics()
    client = Client(metrics=metrics)
    client.load([str(tmp_path)], "ticks.proto")
    client.connect(ticker, plaintext=True)
    stream = client.stream("ticks.Ticker/Watch", time_field=field)
    if handled:
        stream.on("data", lambda message: None)
    stream.write({})
    stream.end()
    if handled:
        stream.wait(20)
    else:
        assert len(list(stream)) == 4
    client.close()
    check(metrics, "grpc_streams_msg_latency")


def test_a_load_run(ticker: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"TARGET = {ticker!r}\n{SCRIPT}")
    result = run(str(script), {"iterations": 1})
    assert result.exit_status == 0, result.problem
    check(result.metrics, "grpc_streams_msg_latency{mine:yes,method:Watch}")


@pytest.mark.parametrize(
    ("field", "said"),
    [("sent", "has no field 'sent'; it has sent_at, sent_ms"), ("name", "ticks.Tick.name is no"), ("many", "is no")],
)
def test_fields_that_hold_no_time(ticker: str, tmp_path: Path, field: str, said: str) -> None:
    client = Client()
    client.load([str(tmp_path)], "ticks.proto")
    client.connect(ticker, plaintext=True)
    with pytest.raises(InvalidArgument, match=said):
        client.stream("ticks.Ticker/Watch", time_field=field)
    client.close()


def test_units() -> None:
    now = 1_795_984_272.5
    assert [in_seconds(now * unit) for unit in (1, 1e3, 1e6, 1e9)] == pytest.approx([now] * 4)
