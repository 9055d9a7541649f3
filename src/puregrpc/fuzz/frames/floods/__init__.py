"""Floods: frames that cost the receiver more than the sender, without end. Each sends about a megabyte."""

from __future__ import annotations

from puregrpc.fuzz.frames.floods import control, edges, header_blocks, interplay, messages, streams, to_clients
from puregrpc.fuzz.frames.probe import Probe

__all__ = ["FLOODS", "FLOODS_BY_KIND"]

FLOODS_BY_KIND: tuple[tuple[Probe, ...], ...] = tuple(
    tuple(each.FLOODS) for each in (control, header_blocks, streams, messages, interplay, edges, to_clients)
)
"""Those of one layer of a receiver together."""
FLOODS: tuple[Probe, ...] = tuple(probe for kind in FLOODS_BY_KIND for probe in kind)
