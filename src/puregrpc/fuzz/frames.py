"""The hostile catalogue at the level of frames: every probe there is, by name."""

from __future__ import annotations

from puregrpc.fuzz.floods import FLOODS
from puregrpc.fuzz.probe import Probe

__all__ = ["PROBES"]

PROBES: tuple[Probe, ...] = tuple(FLOODS)
