"""Attacks that every server has heard of, against servers that stand and ones that do not."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest
from tests.fuzz.zoo import SHOP

from puregrpc.fuzz.cases.headers import request_fields
from puregrpc.fuzz.checks.words import Profile
from puregrpc.fuzz.connection.connecting import LinkOptions
from puregrpc.fuzz.connection.link import Link
from puregrpc.fuzz.connection.target import Usage
from puregrpc.fuzz.frames.probe import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    OPENING,
    PING,
    RST_STREAM,
    SETTINGS,
    block,
    frame,
    message,
)
from puregrpc.fuzz.measures import attacks
from puregrpc.schema import Registry, load_files

CONTINUATION = 9
MOST_BLOCK = 64 << 10
MEBIBYTE = 1 << 20
HEAD = block(((b":status", b"200"), (b"content-type", b"application/grpc")))
OK = block(((b"grpc-status", b"0"),))
TOO_LONG = block(
    ((b":status", b"200"), (b"content-type", b"application/grpc"), (b"grpc-status", b"8")),
)


class Server:
    """Speaks as much HTTP/2 as is needed. ``way``: what it does with a header block without end."""

    def __init__(self, way: str) -> None:
        self.way = way
        self.in_blocks = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with contextlib.suppress(OSError), peer, peer.makefile("rb") as stream:
            peer.sendall(frame(SETTINGS, 0, 0))
            stream.read(len(OPENING) - 9)  # the preface, without the first SETTINGS
            size = 0
            while len(head := stream.read(9)) == 9:
                length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
                number = int.from_bytes(head[5:], "big")
                content = stream.read(length)
                if kind == PING and not flags & ACK:
                    peer.sendall(frame(PING, ACK, 0, content))
                elif kind in (HEADERS, CONTINUATION):
                    size = length if kind == HEADERS else size + length
                    self.in_blocks += length
                    if self.way == "closes" and size > MOST_BLOCK:
                        peer.sendall(frame(GOAWAY, 0, 0, (0).to_bytes(4, "big") + (11).to_bytes(4, "big")))
                        return
                    if flags & END_HEADERS and size > MOST_BLOCK:
                        refusal = frame(HEADERS, END_HEADERS | END_STREAM, number, TOO_LONG)
                        reset = frame(RST_STREAM, 0, number, (11).to_bytes(4, "big"))
                        peer.sendall(refusal if self.way == "keeps" else reset)
                elif kind == DATA and flags & END_STREAM and number > 1:
                    reply = frame(HEADERS, END_HEADERS, number, HEAD) + frame(DATA, 0, number, message(b""))
                    peer.sendall(reply + frame(HEADERS, END_HEADERS | END_STREAM, number, OK))


class Watched:
    """In place of a target: it connects to a server, and tells what that is to have taken."""

    is_possible = True
    can_restart = False

    def __init__(self, server: Server, *, threads: int = 0, keeps: bool = False) -> None:
        self.server = server
        self.threads = threads
        self.keeps = keeps
        self.looks = 0
        self.made: Link | None = None

    def link(self, timeout: float = 3.0, **options: Any) -> Link:
        self.made = Link(LinkOptions("127.0.0.1", self.server.port), timeout=timeout, **options)
        return self.made

    def usage(self) -> Usage:
        is_connected = self.made is not None and not self.made.closed
        threads = self.threads if is_connected else 0
        self.looks += 1
        until = time.monotonic() + 10
        while self.keeps and self.looks > 1 and not self.server.in_blocks and time.monotonic() < until:
            time.sleep(0.01)  # it reads what it was sent
        memory = 2 * attacks.HEADER_BLOCK if self.keeps and self.looks > 1 else 0
        return Usage(memory, 0, 0.0, 1 + threads)


@pytest.fixture
def profile() -> Profile:
    registry = Registry()
    load_files(registry, [SHOP.parent], SHOP.name)
    profile = Profile(registry.method("shop.v1.Shop/GetItem"))
    return replace(profile, fields=request_fields(profile.path, "localhost"), seconds=0.001)


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attacks, "HEADER_BLOCK", 2 * MEBIBYTE)
    monkeypatch.setattr(attacks, "HEADER_SECONDS", 60.0)


def seen(profile: Profile, target: Any) -> dict[str, list[str]]:
    """What is found of each case, by its words."""
    found: dict[str, list[str]] = {}
    for case, observation in attacks.attack_cases(target, [profile], target, lambda: None):
        found.setdefault(case.about, []).extend([observation.summary] if observation is not None else [])
    return found


@pytest.mark.parametrize(
    ("way", "keeps", "words"),
    [("closes", False, ""), ("reads", False, "is read to its end"), ("keeps", True, "is kept"), ("keeps", False, "")],
)
def test_a_header_block_without_end_is_to_end_the_connection(
    profile: Profile, way: str, keeps: bool, words: str
) -> None:
    found = seen(profile, Watched(Server(way), keeps=keeps))["a header block that does not end"]
    assert len(found) == bool(words)
    assert all(words in text for text in found)


@pytest.mark.parametrize(("threads", "is_found"), [(0, False), (200, False), (1000, True)])
def test_calls_that_are_reset_are_to_have_no_threads(profile: Profile, threads: int, is_found: bool) -> None:
    found = seen(profile, Watched(Server("closes"), threads=threads))["2000 calls that are reset at once"]
    assert bool(found) is is_found


def test_nothing_is_said_of_who_does_not_listen(profile: Profile) -> None:
    server = Server("closes")
    server.listener.close()
    assert not any(seen(profile, Watched(server)).values())


def test_methods_that_are_quick_have_never_many_handlers(profile: Profile) -> None:
    target = Watched(Server("closes"))
    assert "calls that are reset while their handlers are under way" not in seen(profile, target)
