"""Frames that are sent again and again: how many a server takes, and that they do no harm to one that stands."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest
from tests.fuzz.zoo import SHOP

from puregrpc.fuzz.cases.headers import request_fields
from puregrpc.fuzz.checks.words import Profile
from puregrpc.fuzz.connection.connecting import LinkOptions
from puregrpc.fuzz.connection.link import Link
from puregrpc.fuzz.frames.probe import ACK, OPENING, PING, SETTINGS, frame
from puregrpc.fuzz.measures.frames_again import PIECE, PIECES, frames_again
from puregrpc.schema import Registry, load_files


class Server:
    """Answers each PING, and closes a connection behind so many frames of the connection, if it has a limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.frames = 0
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                self.connections += 1
                Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with contextlib.suppress(OSError), peer, peer.makefile("rb") as stream:
            peer.sendall(frame(SETTINGS, 0, 0))
            stream.read(len(OPENING) - 18)
            taken = 0
            while len(head := stream.read(9)) == 9:
                content = stream.read(int.from_bytes(head[:3], "big"))
                taken += 1
                self.frames += 1
                if taken > self.limit:
                    return
                if head[3] == PING:
                    peer.sendall(frame(PING, ACK, 0, content))

    def link(self, **options: Any) -> Link:
        return Link(LinkOptions("127.0.0.1", self.port), **options)


@pytest.fixture
def profile() -> Profile:
    registry = Registry()
    load_files(registry, [SHOP.parent], SHOP.name)
    profile = Profile(registry.method("shop.v1.Shop/GetItem"))
    return replace(profile, fields=request_fields(profile.path, "localhost"))


@pytest.mark.parametrize("number", range(6))
def test_frames_are_sent_on_one_connection_as_long_as_they_are_taken(
    profile: Profile, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("puregrpc.fuzz.measures.frames_again.CALLED", 0.01)
    server: Any = Server(1 << 30)
    frames = list(frames_again())[number]
    assert [frames(server, profile) for _ in range(3)] == [PIECES] * 3
    frames.close()
    assert server.connections == 1
    assert server.frames >= 3 * PIECES * PIECE


def test_a_server_that_takes_few_of_them_is_left_in_peace(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puregrpc.fuzz.measures.frames_again.CALLED", 0.01)
    server: Any = Server(PIECE)
    frames = next(frames_again())
    assert frames(server, profile) == 0
    assert server.connections == 2
