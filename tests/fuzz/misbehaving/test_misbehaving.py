"""The misbehaving server, and puregrpc's own clients against all of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fuzz.zoo import SHOP

from puregrpc.channel import BlockingChannel
from puregrpc.codec import Codec
from puregrpc.errors import DecodeError, InvalidArgument, RpcError
from puregrpc.fuzz.cases.case import case_from_json, case_to_json
from puregrpc.fuzz.misbehaving.answers import answer_cases
from puregrpc.fuzz.misbehaving.clients import ClientOutcome, fuzz_client, judge_client, misbehaviour_of
from puregrpc.fuzz.misbehaving.misbehaviours import MISBEHAVIOURS
from puregrpc.fuzz.values.field_values import Dictionary
from puregrpc.fuzz.values.generate import Generator
from puregrpc.fuzz.values.meaning import is_beyond
from puregrpc.schema import Registry, load_files
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


READER = """
import sys
from puregrpc import protos
from puregrpc.channel import BlockingChannel
from puregrpc.errors import RpcError
pb = protos({proto!r})
with BlockingChannel(sys.argv[1]) as channel:
    quote = channel.unary_unary("/shop.v1.Shop/Quote", response_deserializer=pb.QuoteResponse.FromString)
    try:
        reply = quote(b"", timeout=5)
    except RpcError:
        sys.exit(3)
    {reading}
"""


def reader(folder: Path, reading: str) -> str:
    """The command of a client that reads a quote."""
    file = folder / "reader.py"
    file.write_text(READER.format(proto=str(SHOP), reading=reading))
    return f"{sys.executable} {file} {{address}}"


def shop() -> Registry:
    registry = Registry()
    load_files(registry, [str(SHOP.parent)], SHOP.name)
    return registry


def test_our_client_reads_what_the_schema_allows_and_refuses_the_rest() -> None:
    registry = shop()
    codec = Codec(registry)
    with MisbehavingServer() as server:
        for path in ("/shop.v1.Shop/Quote", "/shop.v1.Shop/ListItems"):
            method = registry.method(path)
            decode = codec.decoder(method.output_type)
            parse = registry.message_class(method.output_type).FromString
            for case in list(answer_cases(Generator(registry, Dictionary(())), method))[:200]:
                misbehaviour = misbehaviour_of(case_from_json(case_to_json(case)))
                # A connection takes the case that there is when it comes.
                server.use(misbehaviour)
                with BlockingChannel(server.address) as channel:
                    try:
                        channel.unary_unary(path, response_deserializer=decode)(b"", timeout=10)
                        outcome = "handled"
                    except (RpcError, DecodeError):
                        outcome = "error"
                right: str = misbehaviour.right
                if right == "handled" and is_beyond(parse(case.messages[0])):
                    right = "error"  # dicts have dates as JSON has them, which ends with the year 9999
                assert right in ("any", outcome), case.about
                assert server.paths == [path]


def test_answers_of_another_method_are_ordinary() -> None:
    registry = shop()
    case = next(answer_cases(Generator(registry, Dictionary(())), registry.method("/shop.v1.Shop/Quote")))
    assert case.messages[0]
    with MisbehavingServer() as server:
        server.use(misbehaviour_of(case))
        channel = BlockingChannel(server.address)
        assert channel.unary_unary("/shop.v1.Shop/GetItem")(b"", timeout=10) == b""
        assert channel.unary_unary("/shop.v1.Shop/Quote")(b"", timeout=10) == case.messages[0]
        channel.close()


def test_a_breakdown_over_a_right_answer_counts_and_a_refusal_does_not() -> None:
    ordinary = ClientOutcome(0, 0.1, 0, 1, 1)
    registry = shop()
    case = next(answer_cases(Generator(registry, Dictionary(())), registry.method("/shop.v1.Shop/Quote")))
    for breakdown, check in (("", None), ("ValueError: no", "client-status")):
        seen = judge_client(misbehaviour_of(case), ClientOutcome(1, 0.1, 0, 1, 1, breakdown), ordinary)
        assert (seen.check if seen else None) == check


@pytest.mark.slow
def test_a_client_that_breaks_down_is_found_out_and_the_finding_replayed(tmp_path: Path) -> None:
    command = reader(tmp_path, "int(reply.total)")
    report = tmp_path / "report.json"
    run = [sys.executable, "-m", "puregrpc", "fuzz", "--client", command, "--proto", str(SHOP)]
    found = subprocess.run(
        [*run, "--level", "schema", "--max-cases", "30", "--json", str(report)],
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert found.returncode == 1, found.stdout + found.stderr
    (finding,) = json.loads(report.read_text())["findings"]
    assert (finding["check"], finding["level"], finding["method"]) == ("client-status", "client", "/shop.v1.Shop/Quote")
    assert finding["case"]["fields"] == ["total"]
    assert "total: " in finding["case"]["message"]
    for reading, status in (("int(reply.total)", 1), ("reply.total", 0)):
        reader(tmp_path, reading)
        again = subprocess.run([*run, "--replay", str(report)], capture_output=True, text=True, timeout=60, check=False)
        assert again.returncode == status, again.stdout + again.stderr


@pytest.mark.slow
def test_a_client_that_calls_what_the_schema_has_not_is_told_so(tmp_path: Path) -> None:
    proto = tmp_path / "other.proto"
    proto.write_text('syntax = "proto3"; service Other { rpc Call(M) returns (M); } message M {}')
    result = subprocess.run(
        [sys.executable, "-m", "puregrpc", "fuzz", "--client", reader(tmp_path, "pass"), "--proto", str(proto)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert "the schema has none of the methods that it calls: /shop.v1.Shop/Quote" in result.stderr
