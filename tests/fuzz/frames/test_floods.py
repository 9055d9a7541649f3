"""The catalogue of floods, in small: each against both engines, and every limit of the wire reached by one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conformance.hostile.victim import ClientVictim, ServerVictim, Victim

from puregrpc.fuzz.frames.catalogue import PROBES
from puregrpc.fuzz.frames.floods import FLOODS
from puregrpc.fuzz.frames.probe import Probe
from puregrpc.fuzz.frames.servers import HOSTILE_SERVERS
from puregrpc.fuzz.frames.single import SINGLE_SHOTS
from puregrpc.wire import EngineName, limits

MOST_OCTETS = 1 << 16

REACHED_ELSEWHERE = {
    "Rate": "is no limit",
    "SEND_BUFFER_SIZE": "tests/wire/test_flow_control.py: a sender is held back",
    "STREAMS_BEFORE_SETTINGS": "tests/wire/test_connection.py: calls wait for SETTINGS",
    "HANDSHAKE_TIMEOUT": "tests/wire/test_peer_faults_server.py: a client that says nothing",
    "GOAWAY_PING_TIMEOUT": "tests/wire/test_connection.py: a graceful end",
    "MAX_DATA_FRAME_SIZE": "tests/wire/test_flow_control.py: the peer's frame size",
    "CALL_MEMORY": "tests/wire/test_memory.py: calls count",
    "TURN_CALLS": "tests/wire/test_turns.py: a thousand calls that the server did not look at",
    "LONG_CODED_STRING": "tests/wire/test_huffman.py: a long string is decoded in steps",
    "READ_FIELDS": "tests/wire/test_turns.py: a long header block is read in steps",
    "MAX_ESCAPED_RUNS": "tests/wire/test_header_codecs.py: a message of escapes",
    "THREAD_MEMORY": "tests/server/test_fairness.py: a thread beyond the others counts",
    "SERVER_MEMORY": "tests/wire/test_memory.py: the greediest connection of a server",
    "SERVER_UNSENT": "tests/wire/test_memory.py: handlers wait for all connections",
    "GUARANTEED_MEMORY": "tests/wire/test_memory.py: what is guaranteed",
    "CLIENT_MAX_HEADER_LIST_SIZE": "tests/channel/test_header_limits.py: large error details",
    "LARGEST_HEADER_LIST_SIZE": "tests/wire/test_header_limits.py: a size that no list can have",
    "LARGEST_HEADER_BLOCK_SIZE": "tests/wire/test_header_limits.py: blocks are bounded whatever lists are allowed",
}
"""Limits of what this side does, or that take several connections or time."""


@pytest.fixture(params=["h2", "fast"])
def engine(request: pytest.FixtureRequest) -> EngineName:
    name: EngineName = request.param
    return name


@pytest.mark.parametrize("probe", FLOODS, ids=[probe.name for probe in FLOODS])
def test_a_flood(probe: Probe, engine: EngineName) -> None:
    """It ends as its entry in the catalogue says; what it costs is for conformance/hostile to measure."""
    run(probe, engine)


@pytest.mark.parametrize("probes", [SINGLE_SHOTS, HOSTILE_SERVERS], ids=["single-shots", "servers"])
def test_what_is_sent_once(probes: tuple[Probe, ...], engine: EngineName) -> None:
    for probe in probes:
        run(probe, engine)


def run(probe: Probe, engine: EngineName) -> None:
    victim: Victim = ServerVictim(engine, probe.handlers) if probe.to == "server" else ClientVictim(engine)
    received = 0
    for piece in probe.octets():
        victim.feed(piece, takes_output=probe.takes_output or not received)
        received += len(piece)
        if victim.closed is not None or victim.connection.has_input or received > MOST_OCTETS:
            break
    if probe.sound == "closes" and received > MOST_OCTETS:
        return
    is_sound = (victim.closed is not None) is (probe.sound == "closes") or probe.sound in ("any", "resets")
    assert is_sound, f"{probe.name}: {victim.closed}"


def test_every_limit_is_reached_by_a_probe() -> None:
    names = {name for name in vars(limits) if name[0].isupper() and name != "NamedTuple"}
    reached = {name for probe in PROBES for name in probe.limits}
    assert reached <= names, "a limit that there is not"
    assert names - reached == set(REACHED_ELSEWHERE) & names, "a limit that no probe reaches"
    assert set(REACHED_ELSEWHERE) <= names


def test_names_are_unique() -> None:
    assert len({probe.name for probe in PROBES}) == len(PROBES)


def test_security_md_has_every_limit() -> None:
    """With the value that it has."""
    table = (Path(__file__).parents[3] / "SECURITY.md").read_text()
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| ([^|]*) \|", table, re.MULTILINE))
    assert rows == {name: shown(value) for name, value in vars(limits).items() if name in rows}
    assert rows.keys() == {name for name in vars(limits) if name[0].isupper()} - {"NamedTuple", "Rate"}


def shown(value: object) -> str:
    """A limit as the table has it."""
    if isinstance(value, limits.Rate):
        return f"{value.burst}, {value.per_second:g}/s"
    if isinstance(value, int) and value >= 1 << 10 and not value % (1 << 10):
        return f"{value >> 20} MiB" if not value % (1 << 20) else f"{value >> 10} KiB"
    return f"{value:g}" if isinstance(value, float) else str(value)
