"""The misbehaving server, and puregrpc's own clients against all of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from puregrpc.channel import BlockingChannel
from puregrpc.errors import InvalidArgument, RpcError
from puregrpc.fuzz.misbehaving.clients import ClientOutcome, fuzz_client, judge_client
from puregrpc.fuzz.misbehaving.misbehaviours import MISBEHAVIOURS
from puregrpc.testing import MisbehavingServer

QUICK = [case for case in MISBEHAVIOURS.values() if not case.stalls and not case.name.startswith(("silence", "octet"))]


def decode(octets: bytes) -> bytes:
    """A reply that is an empty message."""
    if octets:
        raise ValueError("not the message")
    return octets


@pytest.mark.parametrize(("engine", "step"), [("fast", 1), ("h2", 3)])
def test_our_client_takes_them_as_it_should(engine: str, step: int) -> None:
    """The call ends as is right, in time."""
    for case in QUICK[::step]:
        with MisbehavingServer(case.name) as server:
            with BlockingChannel(server.address, engine=engine) as channel:  # type: ignore[arg-type]
                call = channel.unary_unary("/a.B/C", response_deserializer=decode)
                try:
                    call(b"", timeout=10)
                    outcome = "ok"
                except (RpcError, ValueError):
                    outcome = "error"
            assert case.right in ("any", outcome), case.name
            assert server.requests <= 12, case.name


def test_an_unknown_case_is_named() -> None:
    with pytest.raises(InvalidArgument, match="no misbehaviour 'x'"):
        MisbehavingServer("x")


def test_the_list() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "puregrpc", "serve", "--misbehave", "list"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "reset-refused-stream" in result.stdout


CLIENT = """
import sys
from puregrpc.channel import BlockingChannel
from puregrpc.errors import RpcError
with BlockingChannel(sys.argv[1]) as channel:
    try:
        channel.unary_unary("/a.B/C")(b"", timeout=5)
    except RpcError:
        sys.exit({status})
"""


@pytest.mark.slow
def test_a_client_that_hides_errors_is_found_out(tmp_path: Path) -> None:
    cases = ("ordinary", "reset-cancel", "no-status")
    found: tuple[tuple[int, set[str]], ...] = ((1, set()), (0, {"client-status"}))
    for status, checks in found:
        file = tmp_path / f"client{status}.py"
        file.write_text(CLIENT.replace("{status}", str(status)))
        report = fuzz_client(f"{sys.executable} {file} {{address}}", cases=cases)
        assert {each.check for each in report.findings} == checks


def test_how_a_client_ended_is_judged() -> None:
    ordinary = ClientOutcome(0, 0.1, 30 << 20, 1, 1)
    case = MISBEHAVIOURS["reset-refused-stream"]
    for outcome, check in (
        (ClientOutcome(1, 0.1, 30 << 20, 5, 1), None),
        (ClientOutcome(-11, 0.1, 0, 1, 1), "process-ended"),
        (ClientOutcome(None, 10.0, 0, 1, 1), "hang"),
        (ClientOutcome(1, 0.1, 900 << 20, 1, 1), "memory"),
        (ClientOutcome(1, 0.1, 0, 500, 1), "retries"),
        (ClientOutcome(0, 0.1, 0, 1, 1), "client-status"),
    ):
        seen = judge_client(case, outcome, ordinary)
        assert (seen.check if seen else None) == check
