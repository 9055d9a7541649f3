"""The log of calls."""

from __future__ import annotations

import logging

import pytest
import trio

from puregrpc import AsyncClient, Client
from tests.client.lab import DEFINITIONS


def test_calls_and_streams_are_written_to_the_log(client: Client, lab: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="puregrpc.client"):
        client.invoke("lab.Bench/Echo", {"aString": "debug"}, metadata={"x-a": "b", "authorization": "hidden"})
        client.invoke("lab.Bench/Fail", {"code": 5, "message": "gone"})
        stream = client.stream("lab.Bench/Count")
        stream.write({"count": 1})
        list(stream)
    first = caplog.records[0]
    assert (first.connection, first.method, isinstance(first.stream, int)) == (lab, "/lab.Bench/Echo", True)  # type: ignore[attr-defined]  # given as extra
    texts = [record.getMessage() for record in caplog.records]
    assert texts[0].startswith(f"Out Header:\nFull Method: /lab.Bench/Echo\nRemote Address: {lab}\nStream: ")
    assert "x-a: b" in texts[0]
    assert "hidden" not in "".join(texts)
    kinds = [text.partition(":")[0] for text in texts]
    assert kinds[:11] == [
        *("Out Header", "Out Payload", "In Header", "In Payload", "In Trailer"),
        *("Out Header", "Out Payload", "In Header", "In Trailer"),
        *("Out Header", "Out Payload"),
    ]
    assert sorted(kinds[11:]) == ["In Header", "In Payload", "In Trailer"]  # written on two threads
    assert "debug" in texts[1]
    assert "Status: 5 NOT_FOUND gone" in texts[8]
    assert all(record.method and record.connection for record in caplog.records)  # type: ignore[attr-defined]  # given as extra


def test_streams_of_trio_programs_are_written_too(lab: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with AsyncClient() as client:
            client.load([DEFINITIONS], "lab.proto")
            await client.connect(lab, plaintext=True)
            stream = client.stream("lab.Bench/Count", metadata={"x-a": "b"})
            await stream.write({"count": 1})
            assert [message["index"] async for message in stream] == [0]

    with caplog.at_level(logging.DEBUG, logger="puregrpc.client"):
        trio.run(main)
    kinds = [record.getMessage().partition(":")[0] for record in caplog.records]
    assert kinds == ["Out Header", "Out Payload", "In Payload", "In Header", "In Trailer"]


def test_nothing_is_written_unless_asked_for(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.invoke("lab.Bench/Echo", {})
    assert not caplog.records
