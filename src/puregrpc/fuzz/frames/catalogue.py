"""The hostile catalogue at the level of frames: every probe there is, by name."""

from __future__ import annotations

from puregrpc.fuzz.frames.floods import FLOODS
from puregrpc.fuzz.frames.probe import Probe
from puregrpc.fuzz.frames.servers import HOSTILE_SERVERS
from puregrpc.fuzz.frames.single import SINGLE_SHOTS

__all__ = ["PROBES"]

PROBES: tuple[Probe, ...] = (*FLOODS, *SINGLE_SHOTS, *HOSTILE_SERVERS)
