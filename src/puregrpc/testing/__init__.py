"""Helpers for tests: a channel and a server in memory, frames made by hand, and peers that follow a script."""

from puregrpc.fuzz.misbehaving.server import MisbehavingServer
from puregrpc.testing.frames import FrameFactory, message
from puregrpc.testing.in_memory import open_in_memory
from puregrpc.testing.scripted import ScriptedClient, ScriptedConnection, ScriptedServer, UnexpectedFrame

__all__ = [
    "FrameFactory",
    "MisbehavingServer",
    "ScriptedClient",
    "ScriptedConnection",
    "ScriptedServer",
    "UnexpectedFrame",
    "message",
    "open_in_memory",
]
