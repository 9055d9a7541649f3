"""Runs of functions, whose clients are made where the program likes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from puregrpc import AsyncClient, Client, check
from puregrpc.load import LoadError, run
from puregrpc.metrics import Metrics
from tests.load.hello import PROTO

SAY_HELLO = "hello.HelloService/SayHello"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the schema in it."""
    (tmp_path / "hello.proto").write_text(PROTO)
    return tmp_path


class TestAClientMadeBefore:
    """A client that was made before the run, whose functions use it: what it does there is measured by the run."""

    @pytest.mark.parametrize("connects", ["before", "in init"])
    def test_of_threads(self, server: str, folder: Path, connects: str) -> None:
        with Client() as client:
            client.load([folder], "hello.proto")
            connect = partial(client.connect, server, plaintext=True)

            def default() -> None:
                response = client.invoke(SAY_HELLO, {"greeting": "a"}, tags={"own": "tag"})
                check(response, {"said": lambda r: r.message == {"reply": "hello a"}})
                stream = client.stream("hello.HelloService/LotsOfReplies")
                stream.on("data", lambda _: None)
                stream.write({"greeting": "b"})
                stream.end()

            if connects == "before":
                connect()
                client.invoke(SAY_HELLO, {"greeting": "outside"})
            script = {"default": default, **({"init": connect} if connects == "in init" else {})}
            for vus in 3, 2:  # each run has what was measured in it
                metrics = run(script, {"vus": vus, "iterations": 6}).metrics
                assert metrics.value("grpc_req_duration{own:tag,scenario:default}", "count") == 6
                assert metrics.value("checks{check:said}", "passes") == 6
                assert metrics.value("grpc_streams", "count") == 6
                assert metrics.value("data_received", "count") > 0
                if connects == "in init":
                    assert metrics.value("grpc_connect_duration", "count") == 1
            client.invoke(SAY_HELLO, {"greeting": "outside"})
            assert client.metrics.value("grpc_req_duration", "count") == (2 if connects == "before" else 1)

    def test_of_a_loop(self, server: str, folder: Path) -> None:
        client = AsyncClient()
        client.load([folder], "hello.proto")

        async def init() -> None:
            await client.connect(server, plaintext=True)

        async def default() -> None:
            response = await client.invoke(SAY_HELLO, {"greeting": "a"})
            check(response, {"said": lambda r: r.message == {"reply": "hello a"}})

        for vus in 5, 2:
            metrics = run({"init": init, "default": default}, {"vus": vus, "iterations": 10}).metrics
            assert metrics.value("grpc_req_duration{status:0}", "count") == 10
            assert metrics.value("checks", "rate") == 1
            assert metrics.value("data_sent", "count") > 0

    def test_that_was_given_metrics_measures_there(self, server: str, folder: Path) -> None:
        own = Metrics()
        with Client(metrics=own) as client:
            client.load([folder], "hello.proto")
            client.connect(server, plaintext=True)

            def default() -> None:
                check(client.invoke(SAY_HELLO, {"greeting": "a"}), {"said": lambda r: r.status == 0})

            metrics = run(default, {"iterations": 2}).metrics
        assert own.value("grpc_req_duration", "count") == 2
        assert own.value("checks", "rate") == 1
        assert metrics.value("checks", "passes") == metrics.value("grpc_req_duration", "count") == 0


async def nothing() -> None:
    """An iteration."""


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_run_inside_of_a_loop_goes_into_a_thread(loop: str) -> None:
    result: list[int] = []

    async def main(to_thread: Callable[..., Any]) -> None:
        with pytest.raises(LoadError, match=f"has a loop of its own: inside of one, await {loop}.to_thread"):
            run(nothing)
        run_in_thread = partial(run, nothing, {"iterations": 3, "loop": loop})
        result.append((await to_thread(run_in_thread)).completed)

    if loop == "trio":
        trio.run(main, trio.to_thread.run_sync)
    else:
        asyncio.run(main(asyncio.to_thread))
    assert result == [3]
